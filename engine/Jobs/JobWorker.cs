using System.Diagnostics;
using System.Runtime.InteropServices;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Portal.Data;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Storage;
using Portal.Engine.Recipes;

namespace Portal.Engine.Jobs;

/// <summary>
/// The process of one job (`Portal.Engine job-worker`). It is started by <see cref="JobProcess"/> and hangs on it by a pipe: when the queue's
/// process ends in whatever way, killed included, the pipe closes and this process ends itself, so no orphan survives.
/// </summary>
/// <remarks>
/// The last state is written here, in one transaction with the result. What this process cannot write (because it was killed) the queue
/// concludes from its exit code.
/// </remarks>
public static class JobWorker
{
    /// <summary>The job is over, and its row says how.</summary>
    public const int ExitOver = 0;

    /// <summary>Asked to stop although nobody cancelled the job: it waits for the next start of the engine.</summary>
    public const int ExitPutBack = 3;

    /// <summary>The job's end could not be written; the queue tries again from the checkpoint.</summary>
    public const int ExitNotWritten = 4;

    /// <summary>The line on standard input that asks for an early end.</summary>
    internal const string StopLine = "stop";

    private static readonly TimeSpan OldProcessPatience = TimeSpan.FromSeconds(20);

    /// <summary>Runs the job to its end.</summary>
    /// <param name="notify">The portal's address; null for none.</param>
    /// <returns>The exit code.</returns>
    public static async Task<int> Run(JobId id, PortalDataOptions options, Uri? notify, JobRunners runners)
    {
        using var stopping = new CancellationTokenSource();
        ListenToTheQueue(stopping);
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, context =>
        {
            context.Cancel = true;
            stopping.Cancel();
        });
        // Ctrl-C reaches the whole group; the queue decides what becomes of its jobs.
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, context => context.Cancel = true);

        using var mine = await TakeJobFolder(options.Directory, id);
        await using var services = new ServiceCollection().AddPortalData(options).BuildServiceProvider();
        var contexts = services.GetRequiredService<IDbContextFactory<PortalDbContext>>();
        var writes = services.GetRequiredService<WriteQueue>();
        var time = services.GetRequiredService<TimeProvider>();
        Job job;
        await using (var db = await contexts.CreateDbContextAsync(CancellationToken.None))
        {
            if (await db.Jobs.AsNoTracking().FirstOrDefaultAsync(j => j.Id == id) is not { State: JobState.Running } row)
                return ExitOver; // Cancelled or finished while this process started.
            job = row;
        }

        using var notice = new PortalNotice(notify, options.Directory.ReadEngineToken());
        await using var progress = new JobProgress(id, writes, time, notice);
        var run = new JobRun
        {
            JobId = id, Number = job.Number, ProjectId = job.ProjectId, CreatedBy = job.CreatedBy, Directory = options.Directory,
            Contexts = contexts, Writes = writes, Hasher = services.GetRequiredService<ContentHasher>(),
            Ids = services.GetRequiredService<IdFactory>(), Time = time, Progress = progress, Stop = stopping.Token,
        };
        if (job.Resumes > 0)
            progress.Log(JobEventLevel.Warning, $"Taken up again after a crash, for the {(job.Resumes == 1 ? "first" : "second")} time.");
        var end = await RunToItsEnd(job, runners, run);
        if (end is null)
            return ExitPutBack;
        return await Conclude(id, end, progress, writes, time, notice);
    }

    /// <summary>What to write as the job's end; null when it was stopped without being cancelled.</summary>
    private static async Task<Action<PortalDbContext, Job, DateTimeOffset>?> RunToItsEnd(Job job, JobRunners runners, JobRun run)
    {
        try
        {
            var result = await runners.Run(JobSpec.FromJson(job.SpecJson), run);
            return (db, row, at) =>
            {
                result.Save?.Invoke(db);
                row.Succeed(result.Path, at);
            };
        }
        catch (OperationCanceledException) when (run.Stop.IsCancellationRequested)
        {
            await using var db = await run.Contexts.CreateDbContextAsync(CancellationToken.None);
            var isCancelled = await db.Jobs.AnyAsync(j => j.Id == job.Id && j.CancelAskedAt != null);
            return isCancelled ? (_, row, at) => row.Cancelled(at) : null;
        }
        catch (Exception e) when (e is CannotTrain or FormatException)
        {
            return Failure(e.Message);
        }
        catch (Exception e)
        {
            // The one place where a job's surprises end: the person gets a sentence, the log the whole story.
            await Console.Error.WriteLineAsync(e.ToString());
            return Failure(FullDisk.Explain(e) ?? $"It stopped at an unexpected error: {e.Message.TrimEnd('.')}. The log {Path.GetFileName(run.Directory.JobLog(job.Number))} says more.");
        }

        Action<PortalDbContext, Job, DateTimeOffset> Failure(string reason)
        {
            run.Progress.Log(JobEventLevel.Error, reason);
            return (_, row, at) => row.Fail(reason, at);
        }
    }

    private static async Task<int> Conclude(JobId id, Action<PortalDbContext, Job, DateTimeOffset> end, JobProgress progress, WriteQueue writes,
        TimeProvider time, PortalNotice notice)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                await progress.Flush(CancellationToken.None); // so that the end shows all steps and lines
                await writes.WriteAsync(db =>
                {
                    db.LockJobs();
                    if (db.Jobs.FirstOrDefault(j => j.Id == id) is { State: JobState.Running } row)
                        end(db, row, time.GetUtcNow());
                }, CancellationToken.None);
                await notice.Send(id, CancellationToken.None);
                return ExitOver;
            }
            catch (CannotTrain e)
            {
                // What the result rests on changed while the job ran; its rows were rolled back.
                end = (_, row, at) => row.Fail(e.Message, at);
            }
            catch (Exception e) when (e is DbUpdateException or System.Data.Common.DbException)
            {
                await Console.Error.WriteLineAsync($"The end of the job could not be written (attempt {attempt}): {e}");
                if (attempt == 5)
                    return ExitNotWritten;
                await Task.Delay(TimeSpan.FromSeconds(attempt), time);
            }
        }
    }

    /// <summary>
    /// The folder of the job's checkpoints, locked: a process of the same job that is still dying (its queue was killed) is waited for, so
    /// that two never write the same files. The lock goes with the process.
    /// </summary>
    private static async Task<FileStream> TakeJobFolder(DataDirectory directory, JobId id)
    {
        var folder = JobRun.CheckpointFolder(directory, id);
        Directory.CreateDirectory(folder);
        var deadline = Stopwatch.StartNew();
        while (true)
        {
            try
            {
                return new FileStream(Path.Combine(folder, ".lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException) when (deadline.Elapsed < OldProcessPatience)
            {
                await Task.Delay(50);
            }
        }
    }

    /// <summary>A thread that reads what the queue says, and ends this process at once when the queue is gone.</summary>
    private static void ListenToTheQueue(CancellationTokenSource stopping)
    {
        var thread = new Thread(() =>
        {
            using var input = new StreamReader(Console.OpenStandardInput());
            while (input.ReadLine() is { } line)
                if (line == StopLine)
                    stopping.Cancel();
            // Not Environment.Exit, which would wait for native code that may compute for minutes.
            Process.GetCurrentProcess().Kill();
        })
        {
            IsBackground = true,
            Name = "queue",
        };
        thread.Start();
    }
}
