using System.CommandLine;
using System.Runtime.InteropServices;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Storage;
using Portal.Engine.Jobs;
using Portal.Engine.Recipes;

namespace Portal.Engine;

/// <summary>The engine's verbs that serve an installation: worker, job-worker, audit-verify, doctor.</summary>
/// <remarks>Exit codes: 0 done, 1 it did not work (the message says why), 2 the command line is wrong, 130 ended by Ctrl-C.</remarks>
public static class EngineCommandLine
{
    public const int Failed = 1;
    public const int WrongUsage = 2;
    public const int Interrupted = 130;

    /// <summary>Runs a command line. Mistakes of people end in one sentence on standard error, never in a stack trace.</summary>
    /// <param name="more">Verbs of other parts (train, generate, score ...).</param>
    public static async Task<int> Run(string[] args, EngineParts parts, params IReadOnlyList<Command> more)
    {
        var root = new RootCommand("Portal's engine: turns judgements into models, and models into findings.")
        {
            Worker(parts), JobWorkerVerb(parts), AuditVerify(), Doctor(),
        };
        foreach (var command in more)
            root.Subcommands.Add(command);
        var parsed = root.Parse(args);
        if (parsed.Errors.Count > 0)
        {
            await parsed.InvokeAsync(); // prints the errors and the help of the verb
            return WrongUsage;
        }
        try
        {
            // No exception handler and no termination handling: the verbs do both, and jobs need longer than two seconds to end well.
            return await parsed.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
        }
        catch (OperationCanceledException)
        {
            return Interrupted;
        }
        catch (Exception e) when (e is CannotTrain or InvalidOperationException or IOException or UnauthorizedAccessException or FormatException
                                       or System.Data.Common.DbException or DbUpdateException)
        {
            await Console.Error.WriteLineAsync(FullDisk.Explain(e) ?? e.Message);
            return Failed;
        }
    }

    internal static Option<string> DataOption() => new("--data")
    {
        Description = "The data directory, the same as the portal's (default: PORTAL_DATA, else ./data).",
        DefaultValueFactory = _ => Environment.GetEnvironmentVariable("PORTAL_DATA") is { Length: > 0 } folder ? folder : "data",
    };

    private static Option<Uri?> NotifyOption() => new("--notify")
    {
        Description = "The portal's address (http://...): it is told when a job has news. Without it the portal looks by itself.",
        CustomParser = result =>
        {
            if (Uri.TryCreate(result.Tokens[0].Value, UriKind.Absolute, out var address) && address.Scheme is "http" or "https")
                return address;
            result.AddError($"--notify {result.Tokens[0].Value} is no address; it looks like http://127.0.0.1:5080.");
            return null;
        },
    };

    private static PortalDataOptions DataOf(string folder) => new(new DataDirectory(Path.GetFullPath(folder)),
        Environment.GetEnvironmentVariable("PORTAL_POSTGRES") is { Length: > 0 } connection ? connection : null);

    /// <summary>The installation in a data directory.</summary>
    /// <exception cref="InvalidOperationException">There is none.</exception>
    internal static PortalDataOptions InstallationOf(string folder)
    {
        var data = DataOf(folder);
        return data.UsesPostgres || File.Exists(data.Directory.Database)
            ? data
            : throw new InvalidOperationException($"There is no installation in {data.Directory.Root} (no portal.db).");
    }

    private static Command Worker(EngineParts parts)
    {
        var folder = DataOption();
        var notify = NotifyOption();
        var demo = new Option<DirectoryInfo>("--demo") { Description = "Fill a fresh installation with the demo project from this folder." };
        var command = new Command("worker", "Runs the queue of jobs and the HTTP door until it is ended (Ctrl-C, SIGTERM).") { folder, notify, demo };
        command.SetAction(async (parsed, _) =>
        {
            await EngineHost.Run(DataOf(parsed.GetRequiredValue(folder)), new JobQueueOptions { Notify = parsed.GetValue(notify) }, parts,
                parsed.GetValue(demo));
            return 0;
        });
        return command;
    }

    private static Command JobWorkerVerb(EngineParts parts)
    {
        var folder = DataOption();
        var notify = NotifyOption();
        var job = new Option<Guid>("--job") { Description = "The job's id.", Required = true };
        var command = new Command("job-worker", "Runs one job that the worker has begun. The worker starts this by itself; it ends with its standard input.")
        {
            folder, notify, job,
        };
        command.SetAction((parsed, _) => JobWorker.Run(JobId.From(parsed.GetValue(job)), DataOf(parsed.GetRequiredValue(folder)),
            parsed.GetValue(notify), parts.Runners));
        return command;
    }

    private static Command AuditVerify()
    {
        var folder = DataOption();
        var command = new Command("audit-verify", "Walks the audit chain; ends with 1 when an event was changed, removed or inserted.") { folder };
        command.SetAction(async (parsed, stop) =>
        {
            var data = InstallationOf(parsed.GetRequiredValue(folder));
            await using var services = new ServiceCollection().AddPortalData(data).BuildServiceProvider();
            await using var db = await services.GetRequiredService<IDbContextFactory<PortalDbContext>>().CreateDbContextAsync(stop);
            var verdict = AuditChain.Verify(db.AuditEvents.AsNoTracking().OrderBy(e => e.Sequence));
            Console.WriteLine(verdict.Problem is { } problem
                ? $"BROKEN after {verdict.Intact} events. {problem}"
                : $"{verdict.Intact} events, the chain is whole.");
            return verdict.Problem is null ? 0 : Failed;
        });
        return command;
    }

    private static Command Doctor()
    {
        var folder = DataOption();
        var command = new Command("doctor", "Says what this machine and this installation offer the engine.") { folder };
        command.SetAction((parsed, _) =>
        {
            var data = DataOf(parsed.GetRequiredValue(folder));
            Console.WriteLine($"runtime    {RuntimeInformation.FrameworkDescription}, {RuntimeInformation.OSDescription}, {RuntimeInformation.ProcessArchitecture}");
            Console.WriteLine($"cores      {Environment.ProcessorCount}");
            Console.WriteLine($"memory     {GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / (1L << 30)} GiB for this process");
            Console.WriteLine($"data       {data.Directory.Root} ({(Directory.Exists(data.Directory.Root) ? "there" : "not made yet")})");
            Console.WriteLine($"rows       {(data.UsesPostgres ? "PostgreSQL" : File.Exists(data.Directory.Database) ? "SQLite, portal.db" : "SQLite, not made yet")}");
            if (Directory.Exists(data.Directory.Root))
                Console.WriteLine($"disk       {new DriveInfo(data.Directory.Root).AvailableFreeSpace / (1L << 30)} GiB free");
            foreach (var line in TrainingProcess.Describe())
                Console.WriteLine(line);
            var presets = Path.Combine(AppContext.BaseDirectory, "presets");
            Console.WriteLine($"presets    {(Directory.Exists(presets) ? string.Join(", ", Directory.EnumerateFiles(presets, "*.json").Select(Path.GetFileNameWithoutExtension).Order()) : $"none: {presets} is missing")}");
            return Task.FromResult(0);
        });
        return command;
    }
}
