using System.Diagnostics;
using System.Globalization;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Tests.Data;
using Xunit;

namespace Portal.Tests.Engine.Jobs;

/// <summary>An installation with a project and a real engine process (this assembly, see TestProgram) that can be killed and started again.</summary>
public sealed class EngineProcess : IDisposable
{
    /// <summary>Jobs run at lower priority, so on a busy machine they take their time; a test that waits so long has failed.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(180);

    private readonly Uri? notify;
    private Process? process;
    private int number;

    public EngineProcess(Uri? notify = null, bool start = true, PostgresFixture? postgres = null)
    {
        this.notify = notify;
        Database = new PortalDatabase(postgres);
        Project = new ProjectId(Guid.CreateVersion7());
        using (var db = Database.Open())
        {
            db.Projects.Add(new Project { Id = Project, Name = "Jobs", CreatedAt = DateTimeOffset.UtcNow });
            db.SaveChanges();
        }
        if (start)
            Start();
    }

    public PortalDatabase Database { get; }

    public ProjectId Project { get; }

    /// <summary>Null on SQLite.</summary>
    public string? PostgresConnection => Database.Services.GetRequiredService<PortalDataOptions>().PostgresConnection;

    public int Id => process!.Id; // only while it runs

    public static ProcessStartInfo CommandLine(params IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo("dotnet") { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        foreach (var argument in arguments.Prepend(typeof(EngineProcess).Assembly.Location).Prepend("exec"))
            start.ArgumentList.Add(argument);
        return start;
    }

    public void Start()
    {
        var start = CommandLine(["worker", "--data", Database.Directory.Root, .. notify is null ? Array.Empty<string>() : ["--notify", $"{notify}"]]);
        if (PostgresConnection is { } connection)
            start.Environment["PORTAL_POSTGRES"] = connection;
        process = Process.Start(start)!;
        var log = TextWriter.Synchronized(new StreamWriter(Path.Combine(Database.Directory.Logs, "engine.log"), append: true) { AutoFlush = true });
        process.OutputDataReceived += (_, line) => log.WriteLine(line.Data);
        process.ErrorDataReceived += (_, line) => log.WriteLine(line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    /// <summary>kill -9 of the engine alone; its children must end by themselves.</summary>
    public void Kill()
    {
        process!.Kill(entireProcessTree: false);
        process.WaitForExit();
    }

    /// <summary>SIGTERM, and how it ended.</summary>
    public int Stop()
    {
        using var kill = Process.Start("kill", $"-TERM {process!.Id}");
        Assert.True(process.WaitForExit(Patience), "the engine did not end within the patience");
        return process.ExitCode;
    }

    public JobId Enqueue(JobSpec spec, JobId? after = null, ProjectId? project = null, string? json = null)
    {
        using var db = Database.Open();
        var job = new Job
        {
            Id = new JobId(Guid.CreateVersion7()), Number = ++number, ProjectId = project ?? Project, Kind = spec.Kind, SpecJson = json ?? spec.ToJson(),
            AfterJobId = after, CreatedBy = null, CreatedAt = DateTimeOffset.UtcNow,
        };
        db.Jobs.Add(job);
        db.SaveChanges();
        return job.Id;
    }

    public Job Job(JobId id)
    {
        using var db = Database.Open();
        return db.Jobs.AsNoTracking().Single(j => j.Id == id);
    }

    public IReadOnlyList<JobEvent> Events(JobId id)
    {
        using var db = Database.Open();
        return db.JobEvents.AsNoTracking().Where(e => e.JobId == id).OrderBy(e => e.Id).ToList();
    }

    public void AskCancel(JobId id) => Database.Writes.WriteAsync(db => db.Jobs.Single(j => j.Id == id).AskCancel(DateTimeOffset.UtcNow), default).Wait();

    /// <summary>Waits until the job's row is as wanted; fails with what it is instead.</summary>
    public async Task<Job> Until(JobId id, Func<Job, bool> wanted, string what)
    {
        var clock = Stopwatch.StartNew();
        while (true)
        {
            var job = Job(id);
            if (wanted(job))
                return job;
            Assert.True(clock.Elapsed < Patience, $"waiting for \"{what}\", but job {job.Number} is {job.State}, step {job.Step}, resumes {job.Resumes}, "
                + $"reason: {job.FailReason}. The engine says:\n{Tail("engine.log")}\nthe job says:\n{Tail($"job-{job.Number}.log")}");
            await Task.Delay(50);
        }
    }

    public Task<Job> UntilOver(JobId id) => Until(id, j => j.IsOver, "over");

    /// <summary>Waits until the queue has removed what a job that is over needed only while it ran.</summary>
    public async Task UntilTidied(JobId id)
    {
        var checkpoints = Path.Combine(Database.Directory.Checkpoints, $"{id.Value:N}");
        for (var clock = Stopwatch.StartNew(); Directory.Exists(checkpoints) && clock.Elapsed < Patience;)
            await Task.Delay(50);
        Assert.False(Directory.Exists(checkpoints), "the checkpoint of a job that is over stays");
    }

    /// <summary>The live worker process of a job, read from the command lines of all processes; null when there is none.</summary>
    public static int? WorkerOf(JobId id) => Processes().Where(p => p.CommandLine.Contains("job-worker") && p.CommandLine.Contains($"{id}"))
        .Select(p => (int?)p.Id).FirstOrDefault();

    public static async Task<int> UntilWorkerOf(JobId id)
    {
        var clock = Stopwatch.StartNew();
        while (true)
        {
            if (WorkerOf(id) is { } worker)
                return worker;
            Assert.True(clock.Elapsed < Patience, "no worker process came");
            await Task.Delay(50); // each look reads the command lines of all processes
        }
    }

    /// <summary>kill -9 of a worker, if it still lives.</summary>
    public static void KillWorker(int process)
    {
        using var kill = Process.Start(new ProcessStartInfo("kill", $"-9 {process}") { RedirectStandardError = true })!; // null only where a process may be reused
        kill.WaitForExit();
    }

    /// <summary>All processes below this one, itself included.</summary>
    public static IReadOnlyList<int> Family(int parent) => [parent, .. Processes().Where(p => p.Parent == parent).SelectMany(p => Family(p.Id))];

    public static bool IsAlive(int id) => Of($"/proc/{id}") is not null;

    /// <summary>The nice value of each thread of a process.</summary>
    public static IReadOnlyList<int> NiceOf(int id) => [.. Directory.GetDirectories($"/proc/{id}/task").Select(thread => int.Parse(Stat($"{thread}/stat")[16], CultureInfo.InvariantCulture))];

    public void Dispose()
    {
        if (process is { HasExited: false })
        {
            process.Kill(entireProcessTree: true);
            process.WaitForExit();
        }
        process?.Dispose();
        Database.Dispose();
    }

    private string Tail(string file)
    {
        var path = Path.Combine(Database.Directory.Logs, file);
        if (!File.Exists(path))
            return "(nothing)";
        using var reader = new StreamReader(new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite));
        return string.Join('\n', reader.ReadToEnd().Split('\n').TakeLast(15));
    }

    private static IEnumerable<(int Id, int Parent, string CommandLine)> Processes()
    {
        foreach (var folder in Directory.GetDirectories("/proc").Where(f => char.IsAsciiDigit(Path.GetFileName(f)[0])))
            if (Of(folder) is { } process)
                yield return process;
    }

    /// <summary>Null where there is none, or only a zombie: that is dead, though its folder stands until its parent has waited for it.</summary>
    private static (int Id, int Parent, string CommandLine)? Of(string folder)
    {
        try
        {
            var stat = Stat($"{folder}/stat");
            return stat[0] is "Z" or "X" ? null : (int.Parse(Path.GetFileName(folder), CultureInfo.InvariantCulture), int.Parse(stat[1], CultureInfo.InvariantCulture), File.ReadAllText($"{folder}/cmdline"));
        }
        catch (IOException)
        {
            return null; // It has just ended.
        }
    }

    /// <summary>The fields after the name in brackets: state, parent, ...; nice is number 16 of them.</summary>
    private static string[] Stat(string path)
    {
        var text = File.ReadAllText(path);
        return text[(text.LastIndexOf(')') + 2)..].Split(' ');
    }
}
