using System.Diagnostics;

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
        var configuration = Path.GetFileName(AppContext.BaseDirectory.TrimEnd(Path.DirectorySeparatorChar));
        var engine = Path.Combine(Repository.Root, "artifacts", "bin", "Portal.Engine", configuration, "Portal.Engine");
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
}
