using System.ComponentModel;
using System.Diagnostics;
using System.Reflection;
using Portal.Data;
using Portal.Data.Storage;

namespace Portal.Engine.Jobs;

/// <summary>The queue's end of one job's process: starts it at lower priority, keeps what it prints, asks it to stop, kills it with its children.</summary>
internal sealed class JobProcess : IDisposable
{
    /// <summary>Below everything interactive on the machine, the portal's process included.</summary>
    private const int Nice = 10;

    private const int LogCharactersMax = 4_000_000;

    private readonly Process process;
    private readonly StreamWriter log;
    private readonly Lock logGate = new();
    private readonly Task printed;
    private long logged;

    private JobProcess(Process process, StreamWriter log)
    {
        (this.process, this.log) = (process, log);
        printed = Task.WhenAll(Keep(process.StandardOutput), Keep(process.StandardError));
    }

    /// <summary>The process id, for logs and tests.</summary>
    public int Id => process.Id;

    /// <summary>Starts the worker of a job: this very program with the verb `job-worker`.</summary>
    /// <exception cref="Win32Exception">The program cannot be started (no memory, no processes left).</exception>
    public static JobProcess Start(JobId job, int number, DataDirectory directory, Uri? notify)
    {
        // nice is started first and becomes the worker, so that every thread of it has the lower priority from the beginning.
        var start = new ProcessStartInfo("nice") { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        List<string> arguments = ["-n", $"{Nice}", .. ThisProgram(), "job-worker", "--job", $"{job}", "--data", directory.Root];
        if (notify is not null)
            arguments.AddRange(["--notify", notify.ToString()]);
        arguments.ForEach(start.ArgumentList.Add);
        // It rotates by being made anew: what it held belongs to an earlier run of the same job.
        var log = new StreamWriter(directory.JobLog(number), append: true) { AutoFlush = true };
        try
        {
            var process = Process.Start(start)!; // Null only where UseShellExecute may reuse a process.
            log.WriteLine($"--- {TimeProvider.System.GetUtcNow():u} process {process.Id}");
            return new JobProcess(process, log);
        }
        catch
        {
            log.Dispose();
            throw;
        }
    }

    /// <summary>Ends when the process has.</summary>
    public Task Ended(CancellationToken stop) => process.WaitForExitAsync(stop);

    /// <summary>Asks the job to end early; it may take its time.</summary>
    public void AskToStop()
    {
        try
        {
            process.StandardInput.WriteLine(JobWorker.StopLine);
            process.StandardInput.Flush();
        }
        catch (IOException)
        {
            // It has ended by itself just now.
        }
    }

    /// <summary>Ends the process and everything it started, at once.</summary>
    public void Kill()
    {
        try
        {
            process.Kill(entireProcessTree: true);
        }
        catch (InvalidOperationException)
        {
            // It has ended by itself just now.
        }
    }

    /// <summary>How the process ended, for the job's reason. Only after <see cref="Ended"/>.</summary>
    public (int Code, string InWords) Exit
    {
        get
        {
            // .NET reports a process that a signal ended as 128 + signal, as shells do.
            var code = process.ExitCode;
            return (code, code switch
            {
                137 => "it was killed (signal 9); when nobody did it, the machine may have run out of memory",
                > 128 and < 160 => $"it was ended by signal {code - 128}",
                _ => $"exit code {code}",
            });
        }
    }

    public void Dispose()
    {
        Kill();
        printed.Wait(TimeSpan.FromSeconds(2)); // a grandchild that survived may hold the pipes open
        process.Dispose();
        lock (logGate)
            log.Dispose();
    }

    /// <summary>How to start this program once more: its own file, or dotnet with the assembly.</summary>
    internal static IReadOnlyList<string> ThisProgram()
    {
        var file = Environment.ProcessPath ?? throw new InvalidOperationException("The path of this program is not known.");
        return Path.GetFileNameWithoutExtension(file) == "dotnet"
            ? [file, "exec", Assembly.GetEntryAssembly()!.Location] // started by dotnet, so there is an entry assembly
            : [file];
    }

    private async Task Keep(StreamReader from)
    {
        while (await from.ReadLineAsync() is { } line)
        {
            lock (logGate)
            {
                if (logged > LogCharactersMax || log.BaseStream is not { CanWrite: true })
                    continue; // Read on, so that the process does not block on a full pipe.
                logged += line.Length;
                log.WriteLine(logged > LogCharactersMax ? "--- the log is full" : line);
            }
        }
    }
}
