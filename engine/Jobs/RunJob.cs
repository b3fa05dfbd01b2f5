using System.ComponentModel;
using System.Data.Common;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Logging;
using Portal.Data;
using Portal.Data.Jobs;
using Portal.Data.Storage;
using Quartz;

namespace Portal.Engine.Jobs;

/// <summary>
/// One firing of Quartz: begins the row, runs the job's process, watches over it, and writes the end where the process could not. When the
/// engine is killed meanwhile, Quartz fires it again at the next start and <see cref="JobStates.Begin"/> counts a crash.
/// </summary>
internal sealed class RunJob(JobQueue queue, IDbContextFactory<PortalDbContext> contexts, WriteQueue writes, PortalDataOptions data,
    JobRunners runners, JobQueueOptions options, TimeProvider time, ILogger<RunJob> log) : IJob
{
    /// <inheritdoc/>
    public async ValueTask Execute(IJobExecutionContext context, CancellationToken cancellationToken)
    {
        var id = JobId.Parse(context.JobDetail.Key.Name, null);
        if (queue.Ending.IsCancellationRequested)
            return;
        using var notice = new PortalNotice(options.Notify, data.Directory.ReadEngineToken());
        if (await Write(db => JobStates.Begin(db, id, runners, time.GetUtcNow())) is not JobStates.Begun.Yes)
        {
            await notice.Send(id, cancellationToken);
            return;
        }
        var (how, putBack) = await RunProcess(id, notice);
        await Write(db =>
        {
            JobStates.ProcessEnded(db, id, how, putBack, time.GetUtcNow());
            return 0;
        });
        await notice.Send(id, CancellationToken.None);
    }

    /// <summary>Runs the process to its end.</summary>
    /// <returns>How it ended, in words, and whether it was stopped only because the engine is.</returns>
    private async Task<(string How, bool PutBack)> RunProcess(JobId id, PortalNotice notice)
    {
        int number;
        await using (var db = await contexts.CreateDbContextAsync(CancellationToken.None))
            number = await db.Jobs.Where(j => j.Id == id).Select(j => j.Number).FirstAsync();
        JobProcess process;
        try
        {
            process = JobProcess.Start(id, number, data.Directory, options.Notify);
        }
        catch (Exception e) when (e is Win32Exception or IOException or UnauthorizedAccessException)
        {
            return ($"its process could not be started: {e.Message}", false);
        }
        using (process)
        {
            log.LogInformation("Job {Number} runs in process {Process}", number, process.Id);
            await notice.Send(id, CancellationToken.None);
            var silent = await Watch(id, process);
            var (code, inWords) = process.Exit;
            log.LogInformation("Job {Number}: process {Process} has ended, {How}", number, process.Id, inWords);
            // 137: it did not end in time when the engine was stopped, and was killed for that.
            var putBack = queue.Ending.IsCancellationRequested && !silent && code is (JobWorker.ExitPutBack or 137);
            return (silent ? $"it gave no sign of life for {options.HungAfter.TotalMinutes:F0} minutes" : inWords, putBack);
        }
    }

    /// <summary>Waits for the end of the process; asks it to stop, and kills it, when that is wanted.</summary>
    /// <returns>True when it was killed because it had fallen silent.</returns>
    private async Task<bool> Watch(JobId id, JobProcess process)
    {
        var ended = process.Ended(CancellationToken.None);
        long? asked = null;
        while (!ended.IsCompleted)
        {
            await Task.WhenAny(ended, Task.Delay(options.Look, time));
            if (ended.IsCompleted)
                break;
            var row = await Look(id);
            if (asked is null && (queue.Ending.IsCancellationRequested || row is { CancelAsked: true } or { IsOver: true }))
            {
                asked = time.GetTimestamp();
                process.AskToStop();
            }
            if (asked is { } since && time.GetElapsedTime(since) > options.StopPatience)
                process.Kill();
            if (row is { HeartbeatAt: { } beat } && time.GetUtcNow() - beat > options.HungAfter)
            {
                process.Kill();
                await ended;
                return true;
            }
        }
        await ended;
        return false;
    }

    /// <summary>What the row says; null when the database does not answer just now.</summary>
    private async Task<Seen?> Look(JobId id)
    {
        try
        {
            await using var db = await contexts.CreateDbContextAsync(CancellationToken.None);
            return await db.Jobs.AsNoTracking().Where(j => j.Id == id)
                .Select(j => new Seen(j.CancelAskedAt != null, j.State != JobState.Running, j.HeartbeatAt)).FirstOrDefaultAsync();
        }
        catch (DbException e)
        {
            log.LogWarning("A job's row could not be read: {Message}", e.Message);
            return null;
        }
    }

    private sealed record Seen(bool CancelAsked, bool IsOver, DateTimeOffset? HeartbeatAt);

    /// <summary>Writes a decision; a busy database is tried again until it works, since the row must not stay in a false state.</summary>
    private async Task<T> Write<T>(Func<PortalDbContext, T> decision)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                return await writes.WriteAsync(decision, CancellationToken.None);
            }
            catch (Exception e) when (e is DbException or DbUpdateException && attempt < 30)
            {
                log.LogWarning("A job's state could not be written (attempt {Attempt}): {Message}", attempt, e.Message);
                await Task.Delay(TimeSpan.FromSeconds(1), time);
            }
        }
    }
}
