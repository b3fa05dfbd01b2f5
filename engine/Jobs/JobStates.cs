using System.Globalization;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;

namespace Portal.Engine.Jobs;

/// <summary>
/// The queue's decisions about job rows. Each is made inside one write transaction under the jobs' lock, on the row as it is then, so that
/// a decision never rests on what somebody else has changed meanwhile.
/// </summary>
internal static class JobStates
{
    /// <summary>What came of trying to begin a job.</summary>
    internal enum Begun
    {
        /// <summary>The row says running: start its process.</summary>
        Yes,
        /// <summary>It must wait; it will be offered again.</summary>
        NotYet,
        /// <summary>It is over, or must not start and says why.</summary>
        Never,
    }

    /// <summary>
    /// Begins a job that waits. One that is still "running" although this is called was left so by an engine that was killed: that counts
    /// as a crash.
    /// </summary>
    public static Begun Begin(PortalDbContext db, JobId id, JobRunners runners, DateTimeOffset now)
    {
        db.LockJobs();
        if (db.Jobs.FirstOrDefault(j => j.Id == id) is not { } job)
            return Begun.Never;
        if (job.State is JobState.Running)
        {
            job.Crashed("the engine itself ended while it ran", now);
            Log(db, job, JobEventLevel.Warning, "The engine ended while the job ran.", now);
        }
        if (job.IsOver)
            return Begun.Never;
        if (WhyNever(db, job, runners) is { } reason)
        {
            job.Fail(reason, now);
            Log(db, job, JobEventLevel.Error, reason, now);
            return Begun.Never;
        }
        if (MustWait(db, job))
            return Begun.NotYet;
        job.Start(now);
        return Begun.Yes;
    }

    /// <summary>The job's process has ended. A row that the process itself has brought to an end stays as it is.</summary>
    /// <param name="how">How it ended, in words.</param>
    /// <param name="putBack">It was stopped because the engine is: no crash.</param>
    public static void ProcessEnded(PortalDbContext db, JobId id, string how, bool putBack, DateTimeOffset now)
    {
        db.LockJobs();
        if (db.Jobs.FirstOrDefault(j => j.Id == id) is not { State: JobState.Running } job)
            return;
        if (putBack)
        {
            job.PutBack(now);
            Log(db, job, JobEventLevel.Info, "The engine is being stopped; the job goes on when it is started again.", now);
        }
        else
        {
            var wasCancelled = job.CancelAskedAt is not null;
            job.Crashed(how, now);
            Log(db, job, wasCancelled ? JobEventLevel.Info : JobEventLevel.Error, wasCancelled ? "Cancelled." : $"The worker stopped: {how}.", now);
        }
    }

    /// <summary>Why this job can never run, in words; null when it can.</summary>
    private static string? WhyNever(PortalDbContext db, Job job, JobRunners runners)
    {
        JobSpec spec;
        try
        {
            spec = JobSpec.FromJson(job.SpecJson);
        }
        catch (FormatException e)
        {
            return e.Message;
        }
        if (!runners.CanRun(spec))
            return $"This engine cannot run jobs of the kind {spec.Kind}; it knows {string.Join(", ", runners.Kinds)}.";
        if (job.AfterJobId is { } first && db.Jobs.AsNoTracking().FirstOrDefault(j => j.Id == first) is var before)
        {
            if (before is null)
                return "The job that had to succeed first is gone.";
            if (before.State is JobState.Failed)
                return $"Job {before.Number} ({before.Kind}), which had to succeed first, failed: {before.FailReason}";
            if (before.State is JobState.Cancelled)
                return $"Job {before.Number} ({before.Kind}), which had to succeed first, was cancelled.";
        }
        return spec.IsTraining && !IsOwed(db, job) ? WhyOverQuota(db, job) : null;
    }

    /// <summary>An erasure owes this training: nobody's quota keeps it from being made.</summary>
    private static bool IsOwed(PortalDbContext db, Job job)
    {
        var id = $"{job.Id}";
        return job.CreatedBy is null && db.ErasureRequests.Any(r => r.ProofJson != null && r.ProofJson.Contains(id));
    }

    /// <summary>The quota once more: a job that came into the table by another way than the portal's handler counts like the rest.</summary>
    private static string? WhyOverQuota(PortalDbContext db, Job job)
    {
        var midnight = new DateTimeOffset(job.CreatedAt.UtcDateTime.Date, TimeSpan.Zero);
        var perDay = db.Projects.Where(p => p.Id == job.ProjectId).Select(p => p.JobsPerDay).FirstOrDefault();
        var kinds = JobSpec.TrainingKinds.ToList();
        var sameDay = db.Jobs.Count(j => j.ProjectId == job.ProjectId && j.Number <= job.Number && kinds.Contains(j.Kind)
                                         && j.CreatedAt >= midnight && j.CreatedAt < midnight.AddDays(1));
        return sameDay <= perDay
            ? null
            : string.Create(CultureInfo.InvariantCulture, $"The project may start {perDay} training jobs a day; this was number {sameDay} of {midnight:yyyy-MM-dd} (UTC).");
    }

    private static bool MustWait(PortalDbContext db, Job job) =>
        (job.AfterJobId is { } first && !db.Jobs.Any(j => j.Id == first && j.State == JobState.Succeeded))
        || Collides(JobSpec.FromJson(job.SpecJson), Others(db, job.Id));

    /// <summary>What runs just now would be slowed down, or would read what is being erased.</summary>
    private static bool Collides(JobSpec spec, IReadOnlyList<JobSpec> others) =>
        others.Any(other => spec.RunsAlone || other.RunsAlone || (spec.IsHeavy && other.IsHeavy));

    private static IReadOnlyList<JobSpec> Others(PortalDbContext db, JobId except) =>
        [.. db.Jobs.AsNoTracking().Where(j => j.State == JobState.Running && j.Id != except).Select(j => j.SpecJson).AsEnumerable().Select(JobSpec.FromJson)];

    private static void Log(PortalDbContext db, Job job, JobEventLevel level, string message, DateTimeOffset now) =>
        db.JobEvents.Add(new JobEvent { JobId = job.Id, At = now, Level = level, Message = message });
}
