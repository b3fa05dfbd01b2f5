using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.JobSpecs;
using Portal.Web.Accounts;
using Portal.Web.Train;

namespace Portal.Web.Jobs;

/// <summary>Queues a new job with the settings of one that has ended. The old one stays as it is.</summary>
[Needs(Permission.Administer)]
public sealed class RestartJob(IDbContextFactory<PortalDbContext> contexts, StartJob start, Access access)
{
    public async Task<Outcome<JobId>> Handle(ClaimsPrincipal user, JobId id, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (await db.Jobs.AsNoTracking().FirstOrDefaultAsync(j => j.Id == id, stop) is not { } job)
            return new Problem("job", "This job is gone.", ProblemKind.NotFound);
        if (!job.IsOver)
            return new Problem("job", $"Job {job.Number} has not ended yet.", ProblemKind.Conflict);
        if (job.Kind == nameof(ImportData))
            return new Problem("job", "An import is started again from the import page: its upload may be gone.", ProblemKind.Conflict);
        if (job.Kind == nameof(PublishToggles))
            return new Problem("job", "A toggle set is proposed again on its own page: take it back there first.", ProblemKind.Conflict);
        return await start.Handle(user, job.ProjectId, JobSpec.FromJson(job.SpecJson), null, stop);
    }
}
