using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Portal.Data.Storage;
using Portal.Tests.Engine.Jobs;
using Xunit;

namespace Portal.Tests.Journeys;

/// <summary>
/// The script ./run as a person uses it: what it refuses, and that portal and engine start and end together. It runs what these tests were built
/// with (PORTAL_PUBLISHED), so it builds nothing.
/// </summary>
[Trait("Speed", "slow")]
public sealed class RunScriptTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(120);
    private readonly DirectoryInfo root = Directory.CreateTempSubdirectory("portal-run-");

    public void Dispose() => root.Delete(recursive: true);

    [Theory]
    [InlineData("Add --no-demo", "--listen", "0.0.0.0")]
    [InlineData("Add --no-demo", "--listen", "0.0.0.0", "--insecure")]
    [InlineData("add --insecure", "--listen", "0.0.0.0", "--no-demo")]
    [InlineData("Unknown option --nonsense", "--nonsense")]
    [InlineData("holds no installation", "reset", "--yes")]
    public void What_is_not_right_is_refused_with_what_to_do(string words, params string[] arguments)
    {
        using var run = Start([.. arguments, "--data", Path.Combine(root.FullName, "data")]);
        var said = run.Process.StandardError.ReadToEnd();

        Assert.True(run.Process.WaitForExit(Patience));
        Assert.Equal(1, run.Process.ExitCode);
        Assert.Contains(words, said, StringComparison.Ordinal);
        Assert.False(Directory.Exists(Path.Combine(root.FullName, "data")), "something was made all the same");
    }

    [Fact]
    public async Task Portal_and_engine_start_and_Ctrl_C_ends_both()
    {
        using var run = Start(["--no-demo", "--data", Path.Combine(root.FullName, "data"), "--port", $"{FreePort()}"]);
        var clock = Stopwatch.StartNew();
        await run.UntilReady();
        Notes.Write(string.Create(CultureInfo.InvariantCulture, $"./run, first start on an empty folder, nothing to build: {clock.Elapsed.TotalSeconds:F1} s"));
        var family = EngineProcess.Family(run.Process.Id);
        Assert.Contains(family, id => NameOf(id).Contains("Portal.Web", StringComparison.Ordinal));
        Assert.Contains(family, id => NameOf(id).Contains("Portal.Engine", StringComparison.Ordinal));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(new DataDirectory(Path.Combine(root.FullName, "data")).SignIns));

        Signal("-INT", run.Process.Id);

        Assert.True(run.Process.WaitForExit(Patience), "the script did not end");
        Assert.Equal(130, run.Process.ExitCode);
        Assert.DoesNotContain(family, EngineProcess.IsAlive);
    }

    [Theory]
    [InlineData("Portal.Engine")]
    [InlineData("Portal.Web")]
    public async Task When_one_of_the_two_dies_the_other_is_ended(string victim)
    {
        using var run = Start(["--no-demo", "--data", Path.Combine(root.FullName, "data"), "--port", $"{FreePort()}"]);
        await run.UntilReady();
        var family = EngineProcess.Family(run.Process.Id);

        Signal("-KILL", family.Single(id => NameOf(id).StartsWith(victim, StringComparison.Ordinal)));

        Assert.True(run.Process.WaitForExit(Patience), "the script did not end");
        Assert.Equal(1, run.Process.ExitCode);
        Assert.DoesNotContain(family, EngineProcess.IsAlive);
    }

    private Running Start(string[] arguments)
    {
        var published = BuiltEngine.PublishedIn(root).FullName;
        // Whoever runs the tests in the background ignores Ctrl-C, and a shell cannot undo what it was started with.
        var start = new ProcessStartInfo("env", ["--default-signal=INT", "bash", Path.Combine(Repository.Root, "run"), .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["PORTAL_PUBLISHED"] = published;
        start.Environment.Remove("PORTAL_POSTGRES");
        return new Running(Process.Start(start)!); // null only where a process may be reused
    }

    private static void Signal(string name, int id)
    {
        using var kill = Process.Start("kill", [name, $"{id}"]);
        kill.WaitForExit();
    }

    /// <summary>The file name of a process's program; empty when it has just ended.</summary>
    private static string NameOf(int id)
    {
        try
        {
            return Path.GetFileName(File.ReadAllText($"/proc/{id}/cmdline").Split('\0')[0]);
        }
        catch (IOException)
        {
            return "";
        }
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    /// <summary>The script while it runs; whatever is left of it is killed at the end.</summary>
    private sealed class Running(Process process) : IDisposable
    {
        public Process Process => process;

        public async Task UntilReady()
        {
            using var patience = new CancellationTokenSource(Patience);
            while (await process.StandardOutput.ReadLineAsync(patience.Token) is { } line)
                if (line.StartsWith("Logs are in", StringComparison.Ordinal))
                    return;
            Assert.Fail($"./run ended without starting: {await process.StandardError.ReadToEndAsync()}");
        }

        public void Dispose()
        {
            if (!process.HasExited)
            {
                process.Kill(entireProcessTree: true);
                process.WaitForExit();
            }
            process.Dispose();
        }
    }
}
