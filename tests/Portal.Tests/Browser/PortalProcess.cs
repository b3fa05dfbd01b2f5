using System.Diagnostics;
using System.Text.RegularExpressions;

namespace Portal.Tests.Browser;

/// <summary>The real portal in a process of its own, on a port that the system chose.</summary>
public sealed partial class PortalProcess : IAsyncDisposable
{
    private readonly Process process;
    private readonly string? ownData;
    private bool isStopped;

    private PortalProcess(Process process, Uri address, string? ownData)
    {
        this.process = process;
        this.ownData = ownData;
        Address = address;
    }

    /// <summary>"http://127.0.0.1:{port}/".</summary>
    public Uri Address { get; }

    /// <summary>Starts the portal that was built beside these tests. Throws with its output if it does not listen within three minutes (a busy machine takes one).</summary>
    /// <param name="environment">Further variables; they win over the defaults.</param>
    public static async Task<PortalProcess> Start(params (string Name, string Value)[] environment)
    {
        var assembly = Path.Combine(BuiltEngine.Built("Portal.Web"), "Portal.Web.dll");
        var start = new ProcessStartInfo("dotnet", [assembly])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = Path.GetDirectoryName(assembly)!,
        };
        start.Environment["ASPNETCORE_ENVIRONMENT"] = "Development";
        start.Environment["ASPNETCORE_URLS"] = "http://127.0.0.1:0";
        start.Environment["Logging__LogLevel__Default"] = "Information";
        foreach (var (name, value) in environment)
        {
            start.Environment[name] = value;
        }

        // A portal needs a place for its rows; one that nobody named is thrown away with the process.
        var ownData = environment.Any(static variable => variable.Name == "PORTAL_DATA") ? null : Directory.CreateTempSubdirectory("portal-own-").FullName;
        if (ownData is not null)
        {
            start.Environment["PORTAL_DATA"] = ownData;
        }

        var output = new List<string>();
        var listening = new TaskCompletionSource<Uri>(TaskCreationOptions.RunContinuationsAsynchronously);
        var process = new Process { StartInfo = start, EnableRaisingEvents = true };
        void Read(object sender, DataReceivedEventArgs line)
        {
            lock (output)
            {
                if (line.Data is { } text && output.Count < 500)
                {
                    output.Add(text);
                }
            }

            if (line.Data is { } said && Listening().Match(said) is { Success: true } match)
            {
                listening.TrySetResult(new Uri(match.Groups[1].Value));
            }
        }

        process.OutputDataReceived += Read;
        process.ErrorDataReceived += Read;
        process.Exited += (_, _) => listening.TrySetException(new InvalidOperationException("The portal ended before it listened."));
        process.Start();
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        try
        {
            return new PortalProcess(process, await listening.Task.WaitAsync(TimeSpan.FromSeconds(180)), ownData);
        }
        catch (Exception problem)
        {
            Stop(process);
            lock (output)
            {
                throw new InvalidOperationException($"The portal did not start. Its output:\n{string.Join('\n', output)}", problem);
            }
        }
    }

    /// <summary>Kills the portal; a second call does nothing.</summary>
    public async ValueTask DisposeAsync()
    {
        if (isStopped)
        {
            return;
        }

        isStopped = true;
        Stop(process);
        await process.WaitForExitAsync();
        process.Dispose();
        if (ownData is not null)
        {
            Directory.Delete(ownData, recursive: true);
        }
    }

    private static void Stop(Process process)
    {
        if (!process.HasExited)
        {
            process.Kill(entireProcessTree: true);
        }
    }

    [GeneratedRegex(@"Now listening on: (http://127\.0\.0\.1:\d+)")]
    private static partial Regex Listening();
}
