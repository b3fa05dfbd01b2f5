using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Jobs;
using Portal.Data.Unlearning;
using Portal.Web.Accounts;

namespace Portal.Web.Unlearning;

/// <summary>A request of the list.</summary>
/// <param name="Model">The reward model that shall forget, as people call it.</param>
/// <param name="IsStuck">Approved, but its job failed or was cancelled.</param>
public sealed record UnlearningRow(UnlearningRequest Request, string Model, string By, bool IsStuck);

/// <summary>A page of requests, newest first.</summary>
/// <param name="Page">0-based, within range.</param>
public sealed record UnlearningList(IReadOnlyList<UnlearningRow> Rows, int Total, int Page)
{
    public bool HasMore => (Page + 1) * ListUnlearning.RowsMax < Total;
}

/// <summary>The requests of a project.</summary>
[Needs(Permission.Review)]
public sealed class ListUnlearning(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    public const int RowsMax = 25;

    public async Task<Outcome<UnlearningList>> Handle(ClaimsPrincipal user, ProjectId project, int page, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        var total = await db.UnlearningRequests.CountAsync(r => r.ProjectId == project, stop);
        var at = Math.Clamp(page, 0, Math.Max(0, (total - 1) / RowsMax));
        // Over (ProjectId, Number).
        var rows = await db.UnlearningRequests.AsNoTracking().Where(r => r.ProjectId == project).OrderByDescending(r => r.Number).Skip(at * RowsMax).Take(RowsMax).ToListAsync(stop);
        var (models, people, jobs) = (rows.Select(r => r.RewardModelId).Distinct().ToList(), rows.Select(r => r.RequestedBy).Distinct().ToList(), rows.Where(r => r.State is UnlearningState.Approved).Select(r => r.JobId).OfType<JobId>().ToList());
        var labels = (await db.ModelVersions.AsNoTracking().Where(v => models.Contains(v.Id)).ToListAsync(stop)).ToDictionary(v => v.Id, v => v.Label);
        var names = await db.Users.AsNoTracking().Where(a => people.Contains(a.Id)).ToDictionaryAsync(a => a.Id, a => a.DisplayName, stop);
        var stuck = (await db.Jobs.AsNoTracking().Where(j => jobs.Contains(j.Id) && (j.State == JobState.Failed || j.State == JobState.Cancelled)).Select(j => j.Id).ToListAsync(stop)).ToHashSet();
        return new UnlearningList(rows.ConvertAll(r => new UnlearningRow(r, labels[r.RewardModelId], names.GetValueOrDefault(r.RequestedBy, "?"), r is { State: UnlearningState.Approved, JobId: { } job } && stuck.Contains(job))), total, at);
    }
}
