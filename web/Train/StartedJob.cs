using Portal.Data;

namespace Portal.Web.Train;

/// <summary>A job that was put into the queue, with the number people know it by.</summary>
public sealed record StartedJob(JobId Id, int Number)
{
    /// <summary>Starts a job inside a write and stores it, so that a second one of the same write gets the next number and may wait for it.</summary>
    internal static Outcome<StartedJob> In(PortalDbContext db, Func<Outcome<JobId>> start)
    {
        var outcome = start();
        if (outcome.Refusal is { } refusal)
            return refusal;
        db.SaveChanges();
        return new StartedJob(outcome.Value, db.Jobs.Local.First(j => j.Id == outcome.Value).Number);
    }
}
