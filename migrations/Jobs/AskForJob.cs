using Portal.Data.AuditLog;
using Portal.Data.JobSpecs;

namespace Portal.Data.Jobs;

/// <summary>The one way a job comes to be: a row that carries the spec, with the next number, and its audit event.</summary>
public static class AskForJob
{
    /// <summary>Adds the row; inside a write, whose other rows are stored with it or not at all. Who may ask, and whether the spec makes sense, is the caller's business.</summary>
    /// <param name="after">The job that must succeed first; null when this one may start at once.</param>
    /// <param name="by">The account that asks; null for the system.</param>
    public static Job Add(PortalDbContext db, JobId id, ProjectId project, JobSpec spec, JobId? after, Guid? by, DateTimeOffset now)
    {
        db.LockJobs();
        var job = new Job
        {
            Id = id, Number = (db.Jobs.Max(j => (int?)j.Number) ?? 0) + 1, ProjectId = project, Kind = spec.Kind, SpecJson = spec.ToJson(), AfterJobId = after, CreatedBy = by, CreatedAt = now,
        };
        db.Jobs.Add(job);
        AuditChain.Append(db, now, by, "job.start", "job", $"{id}", new { number = job.Number, kind = job.Kind, project = $"{project}", seed = spec.Seed });
        return job;
    }
}
