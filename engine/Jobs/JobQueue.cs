using System.Data.Common;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Npgsql;
using Portal.Data;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Storage;
using Quartz;

namespace Portal.Engine.Jobs;

/// <summary>How the queue behaves; the defaults are what an installation uses.</summary>
public sealed record JobQueueOptions
{
    /// <summary>The portal's address for notices; null for none.</summary>
    public Uri? Notify { get; init; }

    /// <summary>How often the table of jobs is looked at: how long a new job waits, and how soon a cancel is seen.</summary>
    public TimeSpan Look { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>What a job that was asked to stop gets before it is killed; with <see cref="Look"/> it must stay below 10 s.</summary>
    public TimeSpan StopPatience { get; init; } = TimeSpan.FromSeconds(8);

    /// <summary>A job of another engine whose process writes no heartbeat for so long is taken for abandoned. It writes one each second.</summary>
    public TimeSpan SilenceMax { get; init; } = TimeSpan.FromSeconds(90);

    /// <summary>A process of one's own that lives and says nothing for so long is killed. Jobs yield to everything else, so on a busy machine silence may only be starvation.</summary>
    public TimeSpan HungAfter { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Jobs that may run at once: one heavy one and light ones beside it.</summary>
    public int JobsAtOnce { get; init; } = 3;
}

/// <summary>
/// Takes queued <see cref="Job"/> rows to a finished state. Rows are all that pages see; behind them a Quartz scheduler with its own store
/// claims each job for one engine and offers it again when that engine was killed.
/// </summary>
/// <remarks>
/// <para>Twice a second the rows are read and those that may start are handed to Quartz, oldest first: one heavy job (training) at a time,
/// light ones beside it. <see cref="RunJob"/> does the rest. A row and its Quartz entry cannot disagree for long: what Quartz has lost is
/// handed over again, what is over in the table is ended in <see cref="JobStates.Begin"/>.</para>
/// <para>Quartz keeps its store in a SQLite file of its own, in WAL mode before Quartz sees it (in the default journal each job cost it
/// 81 ms instead of 39); on Postgres in the portal's database, clustered, so that another engine takes over within seconds.</para>
/// <para>Each job has a folder below the checkpoints. It stays until what an unsuccessful job left behind is removed: it is the note that
/// there is something to remove, so that a kill in between forgets nothing.</para>
/// </remarks>
public sealed class JobQueue(ISchedulerFactory schedulers, IDbContextFactory<PortalDbContext> contexts, WriteQueue writes, PortalDataOptions data,
    JobRunners runners, JobQueueOptions options, ContentHasher hasher, IdFactory ids, TimeProvider time, ILogger<JobQueue> log) : BackgroundService
{
    private const string Group = "portal";

    private readonly CancellationTokenSource ending = new();
    private readonly HashSet<JobId> tidied = [];

    /// <summary>Fires when this engine is being stopped; running jobs are then put back.</summary>
    internal CancellationToken Ending => ending.Token;

    /// <summary>Adds the queue with its scheduler.</summary>
    public static IServiceCollection AddTo(IServiceCollection services, PortalDataOptions data, JobRunners runners, JobQueueOptions options)
    {
        services.AddSingleton(runners);
        services.AddSingleton(options);
        services.AddSingleton<JobQueue>();
        services.AddHostedService(provider => provider.GetRequiredService<JobQueue>());
        services.AddQuartz(quartz =>
        {
            quartz.ConfigureScheduler(scheduler =>
            {
                scheduler.InstanceName = "portal";
                if (!data.UsesPostgres)
                    scheduler.InstanceId = "engine"; // the same after a restart: its unfinished firings are its own
            });
            quartz.UseDefaultThreadPool(options.JobsAtOnce);
            quartz.UsePersistentStore(store =>
            {
                if (data.PostgresConnection is { } connection)
                {
                    store.UsePostgres(NpgsqlFactory.Instance, connection);
                    store.UseClustering(cluster =>
                    {
                        cluster.CheckinInterval = TimeSpan.FromSeconds(2);
                        cluster.CheckinMisfireThreshold = TimeSpan.FromSeconds(4);
                    });
                }
                else
                {
                    store.UseSqlite(SqliteFactory.Instance, $"Data Source={data.Directory.QueueDatabase}");
                }
                store.UseSystemTextJsonSerializer();
                store.ProvisionSchema();
            });
        });
        return services;
    }

    /// <summary>Makes Quartz's SQLite file, in WAL mode and for this user only.</summary>
    internal static void PrepareStore(DataDirectory directory)
    {
        using var connection = new SqliteConnection($"Data Source={directory.QueueDatabase};Pooling=False");
        connection.Open();
        using var command = connection.CreateCommand();
        command.CommandText = "PRAGMA journal_mode=WAL";
        if (command.ExecuteScalar() is not "wal")
            throw new InvalidOperationException($"{directory.QueueDatabase} cannot be switched to write-ahead logging; is it on a network file system?");
        File.SetUnixFileMode(directory.QueueDatabase, UnixFileMode.UserRead | UnixFileMode.UserWrite);
    }

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (!data.UsesPostgres)
            PrepareStore(data.Directory);
        var scheduler = await schedulers.GetScheduler(stoppingToken);
        await scheduler.Start(stoppingToken);
        try
        {
            using var timer = new PeriodicTimer(options.Look, time);
            do
            {
                try
                {
                    await Look(scheduler, stoppingToken);
                }
                catch (Exception e) when (e is DbException or DbUpdateException or SchedulerException)
                {
                    log.LogWarning("The queue looks again in a moment: {Message}", e.Message);
                }
            }
            while (await timer.WaitForNextTickAsync(stoppingToken));
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The engine is being stopped.
        }
        finally
        {
            await ending.CancelAsync();
            await scheduler.Shutdown(waitForJobsToComplete: true, CancellationToken.None);
        }
    }

    /// <summary>One look at the table: hand over what may start, take up what was lost, remove what is left of jobs that are over.</summary>
    private async Task Look(IScheduler scheduler, CancellationToken stop)
    {
        await using var db = await contexts.CreateDbContextAsync(stop);
        // Over IX_Jobs_State_Number.
        var open = await db.Jobs.AsNoTracking().Where(j => j.State == JobState.Queued || j.State == JobState.Running)
            .OrderBy(j => j.Number).Take(1_000).ToListAsync(stop);
        var handedOver = new HashSet<JobId>();
        foreach (var job in open)
            if (await IsHandedOver(scheduler, job.Id, stop))
                handedOver.Add(job.Id);

        var heavyTaken = open.Any(j => (j.State is JobState.Running || handedOver.Contains(j.Id)) && IsHeavy(j));
        foreach (var job in open.Where(j => !handedOver.Contains(j.Id)))
        {
            if (job.State is JobState.Running)
            {
                if (IsOrphan(job))
                    await HandOver(scheduler, job, stop);
                continue;
            }
            if (job.AfterJobId is { } first && !await IsDecided(db, first, stop))
                continue;
            var heavy = IsHeavy(job);
            if (heavy && heavyTaken)
                continue;
            await HandOver(scheduler, job, stop);
            heavyTaken |= heavy;
        }
        await Tidy(stop);
    }

    /// <summary>
    /// Nobody runs this running job: Quartz does not know it, and its process is silent. On SQLite one engine alone has the data directory,
    /// so what Quartz does not know is nobody's.
    /// </summary>
    private bool IsOrphan(Job job) => !data.UsesPostgres || job.HeartbeatAt is not { } beat || time.GetUtcNow() - beat > options.SilenceMax;

    private static bool IsHeavy(Job job)
    {
        try
        {
            return JobSpec.FromJson(job.SpecJson).IsHeavy;
        }
        catch (FormatException)
        {
            return false; // Begin fails it with the reason.
        }
    }

    private static Task<bool> IsDecided(PortalDbContext db, JobId id, CancellationToken stop) =>
        db.Jobs.AllAsync(j => j.Id != id || j.State == JobState.Succeeded || j.State == JobState.Failed || j.State == JobState.Cancelled, stop);

    private static JobKey KeyOf(JobId id) => new($"{id}", Group);

    /// <summary>Quartz has the job and will fire it, or runs it. An entry that can never fire is removed.</summary>
    private static async Task<bool> IsHandedOver(IScheduler scheduler, JobId id, CancellationToken stop)
    {
        if (!await scheduler.Exists(KeyOf(id), stop))
            return false;
        if (await scheduler.GetTriggerState(new TriggerKey($"{id}", Group), stop) is not TriggerState.Error)
            return true;
        await scheduler.DeleteJob(KeyOf(id), stop);
        return false;
    }

    private static async Task HandOver(IScheduler scheduler, Job job, CancellationToken stop)
    {
        var detail = JobBuilder.Create<RunJob>().WithIdentity(KeyOf(job.Id)).WithDescription($"{job.Number} {job.Kind}")
            .RequestRecovery(true).DisallowConcurrentExecution(true).Build();
        var trigger = TriggerBuilder.Create().WithIdentity(new TriggerKey($"{job.Id}", Group)).StartNow().Build();
        try
        {
            await scheduler.ScheduleJob(detail, trigger, cancellationToken: stop);
        }
        catch (ObjectAlreadyExistsException)
        {
            // Another engine of the cluster was faster.
        }
    }

    /// <summary>Removes what jobs that are over have left: staged rows and uploads by their runner, checkpoints, half-made models.</summary>
    internal async Task Tidy(CancellationToken stop)
    {
        foreach (var folder in Directory.EnumerateDirectories(data.Directory.Checkpoints))
        {
            if (!Guid.TryParseExact(Path.GetFileName(folder), "N", out var guid) || tidied.Contains(JobId.From(guid)))
                continue;
            var id = JobId.From(guid);
            await using var db = await contexts.CreateDbContextAsync(stop);
            if (await db.Jobs.AsNoTracking().FirstOrDefaultAsync(j => j.Id == id, stop) is not { IsOver: true } job || IsLocked(folder))
                continue;
            try
            {
                await CleanUp(job, stop);
                Directory.Delete(folder, recursive: true);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException)
            {
                tidied.Add(id); // not again and again; the next start tries once more
                log.LogWarning("What job {Number} left behind could not be removed: {Message}", job.Number, e.Message);
            }
        }
    }

    private async Task CleanUp(Job job, CancellationToken stop)
    {
        var run = new JobRun
        {
            JobId = job.Id, Number = job.Number, ProjectId = job.ProjectId, CreatedBy = job.CreatedBy, Directory = data.Directory,
            Contexts = contexts, Writes = writes, Hasher = hasher, Ids = ids, Time = time, Progress = NoProgress.Instance, Stop = stop,
        };
        await runners.CleanUp(JobSpec.FromJson(job.SpecJson), run, job.State is JobState.Succeeded);
        var models = Path.Combine(data.Directory.Models, run.ModelFolder);
        if (job.State is not JobState.Succeeded && Directory.Exists(models))
            Directory.Delete(models, recursive: true);
    }

    /// <summary>A process of the job is still there.</summary>
    private static bool IsLocked(string folder)
    {
        var path = Path.Combine(folder, ".lock");
        if (!File.Exists(path))
            return false;
        try
        {
            using var file = new FileStream(path, FileMode.Open, FileAccess.ReadWrite, FileShare.None);
            return false;
        }
        catch (IOException)
        {
            return true;
        }
    }
}
