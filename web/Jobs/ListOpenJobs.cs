using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Jobs;
using Portal.Web.Accounts;

namespace Portal.Web.Jobs;

/// <summary>A job that runs or waits.</summary>
/// <param name="AfterNumber">The job it waits for; null when it waits for none.</param>
public sealed record OpenJob(JobId Id, int Number, string Kind, JobState State, bool IsCancelAsked, int Step, int StepsTotal, string Phase, double? SecondsLeft, int? AfterNumber);

/// <summary>What runs and what waits in a project.</summary>
/// <param name="Total">All open jobs, shown or not.</param>
public sealed record OpenJobs(IReadOnlyList<OpenJob> Rows, int Total);

/// <summary>The queue of a project in the order in which it will run, at most <see cref="RowsMax"/> of it.</summary>
[Needs(Permission.Audit)]
public sealed class ListOpenJobs(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    public const int RowsMax = 10;

    public async Task<Outcome<OpenJobs>> Handle(ClaimsPrincipal user, ProjectId projectId, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Audit, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        // Over IX_Jobs_State_Number: few jobs are open.
        var open = db.Jobs.AsNoTracking().Where(j => j.ProjectId == projectId && (j.State == JobState.Queued || j.State == JobState.Running));
        var rows = await open.OrderByDescending(j => j.State).ThenBy(j => j.Number).Take(RowsMax).ToListAsync(stop);
        var after = rows.Select(j => j.AfterJobId).OfType<JobId>().ToList();
        var numbers = await db.Jobs.AsNoTracking().Where(j => after.Contains(j.Id)).ToDictionaryAsync(j => j.Id, j => j.Number, stop);
        return new OpenJobs([.. rows.Select(j => new OpenJob(j.Id, j.Number, j.Kind, j.State, j.CancelAskedAt is not null, j.Step, j.StepsTotal, j.Phase, j.SecondsLeft,
            j.AfterJobId is { } first && numbers.TryGetValue(first, out var number) ? number : null))], await open.CountAsync(stop));
    }
}
