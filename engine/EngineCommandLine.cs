using System.CommandLine;
using System.Runtime.InteropServices;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Erasure;
using Portal.Data.Storage;
using Portal.Engine.Erasure;
using Portal.Engine.Jobs;
using Portal.Engine.Recipes;

namespace Portal.Engine;

/// <summary>The engine's verbs that serve an installation: worker, job-worker, audit-verify, erasure-scan, doctor.</summary>
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
            Worker(parts), JobWorkerVerb(parts), AuditVerify(), ErasureScan(), Doctor(),
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
        var command = new Command("audit-verify", "Walks the audit chain, and holds the proof of each erasure against it and against what is stored; ends with 1 when something was changed, removed or inserted.") { folder };
        command.SetAction(async (parsed, stop) =>
        {
            var data = InstallationOf(parsed.GetRequiredValue(folder));
            await using var services = new ServiceCollection().AddPortalData(data).BuildServiceProvider();
            await using var db = await services.GetRequiredService<IDbContextFactory<PortalDbContext>>().CreateDbContextAsync(stop);
            var verdict = AuditChain.Verify(db.AuditEvents.AsNoTracking().OrderBy(e => e.Sequence));
            Console.WriteLine(verdict.Problem is { } problem
                ? $"BROKEN after {verdict.Intact} events. {problem}"
                : $"{verdict.Intact} events, the chain is whole.");
            var broken = 0;
            foreach (var request in await db.ErasureRequests.AsNoTracking().Where(r => r.State == ErasureState.Done).OrderBy(r => r.Number).ToListAsync(stop))
            {
                var wrong = ErasureProof.Verify(db, request);
                broken += wrong is null ? 0 : 1;
                Console.WriteLine(wrong is null ? $"Erasure {request.Number}: proof {request.ProofSha256} stands." : $"BROKEN: {wrong}");
            }
            return verdict.Problem is null && broken == 0 ? 0 : Failed;
        });
        return command;
    }

    private static Command ErasureScan()
    {
        var folder = DataOption();
        var list = new Option<FileInfo?>("--texts") { Description = "A file with the texts to look for, one a line (a line in quotes is a JSON string). Without it they are read from standard input, so that they stand in no list of processes." };
        var json = new Option<bool>("--json") { Description = "The report as JSON." };
        var command = new Command("erasure-scan", "Looks for texts in everything an installation keeps, in every coding, also packed; ends with 1 when one was found. Texts are never printed.") { folder, list, json };
        command.SetAction(async (parsed, stop) =>
        {
            var data = InstallationOf(parsed.GetRequiredValue(folder));
            var file = parsed.GetValue(list);
            using var reader = file is null ? Console.In : file.OpenText();
            var scanner = new CanaryScanner(CanaryTexts.Read(reader), CanaryScanner.TokenizersOf(data.Directory));
            scanner.Files(data.Directory.Root, store: null, except: file?.FullName, stop);
            var left = data.PostgresConnection is { } connection ? await scanner.Postgres(connection, stop) : null;
            var report = scanner.Report();
            if (parsed.GetValue(json))
            {
                Console.WriteLine(System.Text.Json.JsonSerializer.Serialize(report, new System.Text.Json.JsonSerializerOptions(System.Text.Json.JsonSerializerDefaults.Web) { Converters = { new System.Text.Json.Serialization.JsonStringEnumConverter() } }));
            }
            else
            {
                foreach (var one in report.Findings)
                    Console.WriteLine($"FOUND text {one.Text + 1} in {one.Store}, {one.Coding}{(one.Inside.Length > 0 ? $" in {one.Inside}" : "")}: {one.Whole} whole, {one.Parts} parts");
                Console.WriteLine($"{report.Files} files, {report.Bytes} bytes. {(report.Findings.Count == 0 ? "None of the texts was found." : "")}");
                foreach (var unread in report.Unread)
                    Console.WriteLine($"NOT READ {unread}");
                if (report.CutOff > 0)
                    Console.WriteLine($"NOT READ to their ends: {report.CutOff} packed members larger than {CanaryScanner.UnpackedMax} bytes");
            }
            if (left is not null)
                await Console.Error.WriteLineAsync($"NOT READ {left}");
            return report.Findings.Count == 0 ? 0 : Failed;
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
