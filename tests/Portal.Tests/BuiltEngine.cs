using System.Diagnostics;
using System.Text.Json;
using Portal.Engine.Studies;
using Xunit;

namespace Portal.Tests;

/// <summary>The engine that was built beside these tests, in a process of its own: there the engine's settings for memory and threads hold.</summary>
internal static class BuiltEngine
{
    /// <summary>Jobs run at 10.</summary>
    private const string Niceness = "15";

    /// <summary>Runs a command to its end, behind everything else: what is run here trains for minutes, and other tests wait for pages and jobs meanwhile.</summary>
    /// <exception cref="OperationCanceledException">It took longer than the patience; it was ended.</exception>
    public static async Task<(int Code, string Output, string Errors)> Run(TimeSpan patience, params string[] arguments)
    {
        var engine = Path.Combine(Built("Portal.Engine"), "Portal.Engine");
        using var process = Process.Start(new ProcessStartInfo("nice", ["-n", Niceness, engine, .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true })!; // null only where a process may be reused
        try
        {
            var (output, errors) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
            using var waiting = new CancellationTokenSource(patience);
            await process.WaitForExitAsync(waiting.Token);
            return (process.ExitCode, await output, await errors);
        }
        finally
        {
            if (!process.HasExited)
                process.Kill(entireProcessTree: true);
        }
    }

    /// <summary>A folder as `./run` and the benches publish it (web/ and engine/), of what was built beside these tests.</summary>
    public static DirectoryInfo PublishedIn(DirectoryInfo root)
    {
        var published = root.CreateSubdirectory("published");
        foreach (var (name, project) in new[] { ("web", "Portal.Web"), ("engine", "Portal.Engine") })
            Directory.CreateSymbolicLink(Path.Combine(published.FullName, name), Built(project));
        return published;
    }

    /// <summary>The folder a project was built into, in the configuration of these tests.</summary>
    public static string Built(string project) =>
        Path.Combine(Repository.Root, "artifacts", "bin", project, Path.GetFileName(AppContext.BaseDirectory.TrimEnd(Path.DirectorySeparatorChar)));

    /// <summary>What the miniatures ask the shipped base, most of them the same: whichever comes first samples. It goes with the test run.</summary>
    private static readonly Lazy<DirectoryInfo> Answers = new(() =>
    {
        var folder = Directory.CreateTempSubdirectory("portal-answers-");
        AppDomain.CurrentDomain.ProcessExit += (_, _) => folder.Delete(recursive: true);
        return folder;
    });

    /// <summary>One seed of a study's miniature, on one thread, as <c>./bench evidence NAME --quick --seeds 1</c> runs it: its rows, and what it said (the table included).</summary>
    public static async Task<(IReadOnlyList<StudyRow> Rows, string Said)> Study(string name, params string[] arguments)
    {
        var work = Directory.CreateTempSubdirectory("portal-study-");
        try
        {
            var result = Path.Combine(work.FullName, "rows.json");
            var (code, output, errors) = await Run(TimeSpan.FromMinutes(30), ["evidence", name, "--quick", "--seeds", "1", "--threads", "1",
                "--assets", Path.Combine(Repository.Root, "wwwroot-assets", "demo"), "--work", work.FullName, "--answers", Answers.Value.FullName, "--json", result, .. arguments]);
            Assert.True(code == 0, errors);
            return (JsonSerializer.Deserialize<List<StudyRow>>(await File.ReadAllTextAsync(result), new JsonSerializerOptions(JsonSerializerDefaults.Web))!, errors + output); // an array
        }
        finally
        {
            work.Delete(recursive: true);
        }
    }
}
