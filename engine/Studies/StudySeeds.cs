using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Portal.Engine.Jobs;
using Portal.Engine.Recipes;

namespace Portal.Engine.Studies;

/// <summary>
/// Runs the seeds of a study in processes of their own, several at once with fewer threads each: operators of a small model gain
/// little from a second thread.
/// </summary>
internal static class StudySeeds
{
    private static readonly JsonSerializerOptions json = new(JsonSerializerDefaults.Web);

    /// <param name="study">The verb behind <c>evidence</c>.</param>
    /// <param name="arguments">What every seed is told, besides its seed, threads and file.</param>
    /// <param name="atOnce">Processes at a time; the cores are divided among them.</param>
    /// <param name="workFolder">Holds <c>seed-N.log</c> and <c>seed-N.json</c>.</param>
    /// <returns>The rows of all seeds, in the order of the seeds.</returns>
    /// <exception cref="CannotTrain">A seed failed; the message has its last words. The others are ended.</exception>
    public static async Task<IReadOnlyList<StudyRow>> Run(string study, IReadOnlyList<string> arguments, IReadOnlyList<long> seeds, int atOnce, string workFolder, TextWriter told,
        CancellationToken stop)
    {
        Directory.CreateDirectory(workFolder);
        using var failing = CancellationTokenSource.CreateLinkedTokenSource(stop);
        using var places = new SemaphoreSlim(atOnce);
        var threads = Math.Max(1, Environment.ProcessorCount / Math.Min(atOnce, seeds.Count));
        var rows = await Task.WhenAll(seeds.Select(async seed =>
        {
            await places.WaitAsync(failing.Token);
            try
            {
                return await One(study, arguments, seed, threads, workFolder, told, failing.Token);
            }
            catch
            {
                await failing.CancelAsync();
                throw;
            }
            finally
            {
                places.Release();
            }
        }));
        return [.. rows.SelectMany(some => some)];
    }

    private static async Task<IReadOnlyList<StudyRow>> One(string study, IReadOnlyList<string> arguments, long seed, int threads, string workFolder, TextWriter told, CancellationToken stop)
    {
        var result = Path.Combine(workFolder, $"seed-{seed}.json");
        File.Delete(result); // of an earlier run
        var program = JobProcess.ThisProgram();
        var start = new ProcessStartInfo(program[0]) { RedirectStandardError = true, RedirectStandardOutput = true };
        foreach (var argument in (string[])[.. program.Skip(1), "evidence", study, .. arguments, "--seeds", Text(seed), "--threads", Text(threads), "--json", result])
            start.ArgumentList.Add(argument);
        await using var log = new StreamWriter(Path.Combine(workFolder, $"seed-{seed}.log"));
        using var process = Process.Start(start)!; // null only where UseShellExecute may reuse a process
        try
        {
            var last = "";
            var reading = process.StandardOutput.ReadToEndAsync(stop);
            while (await process.StandardError.ReadLineAsync(stop) is { } line)
            {
                await log.WriteLineAsync(line);
                await told.WriteLineAsync($"seed {seed}: {last = line}");
            }
            await reading;
            await process.WaitForExitAsync(stop);
            if (process.ExitCode != 0)
                throw new CannotTrain($"Seed {seed} of the study ended with exit code {process.ExitCode}: {last}");
        }
        finally
        {
            if (!process.HasExited)
                process.Kill(entireProcessTree: true);
        }
        await using var file = File.OpenRead(result);
        return await JsonSerializer.DeserializeAsync<List<StudyRow>>(file, json, stop) ?? [];
    }

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);
}
