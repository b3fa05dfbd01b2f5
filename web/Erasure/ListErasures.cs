using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Erasure;
using Portal.Data.Jobs;
using Portal.Web.Accounts;

namespace Portal.Web.Erasure;

/// <summary>A request of the console.</summary>
/// <param name="IsStuck">Its job failed or was cancelled before it was done.</param>
public sealed record ErasureRow(ErasureRequest Request, string Project, string By, bool IsStuck);

/// <summary>A page of requests, newest first.</summary>
/// <param name="Page">0-based, within range.</param>
public sealed record ErasureList(IReadOnlyList<ErasureRow> Rows, int Total, int Page)
{
    public bool HasMore => (Page + 1) * ListErasures.RowsMax < Total;
}

/// <summary>The requests of the installation.</summary>
[Needs(Permission.Administer)]
public sealed class ListErasures(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    public const int RowsMax = 25;

    public async Task<Outcome<ErasureList>> Handle(ClaimsPrincipal user, int page, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        var total = await db.ErasureRequests.CountAsync(stop);
        var at = Math.Clamp(page, 0, Math.Max(0, (total - 1) / RowsMax));
        // Over IX_ErasureRequests_Number.
        var rows = await db.ErasureRequests.AsNoTracking().OrderByDescending(r => r.Number).Skip(at * RowsMax).Take(RowsMax).ToListAsync(stop);
        var (projects, people, jobs) = (rows.Select(r => r.ProjectId).Distinct().ToList(), rows.Select(r => r.RequestedBy).Distinct().ToList(), rows.Where(r => r.State is ErasureState.Approved or ErasureState.Running).Select(r => r.JobId).OfType<JobId>().ToList());
        var named = await db.Projects.AsNoTracking().Where(p => projects.Contains(p.Id)).ToDictionaryAsync(p => p.Id, p => p.Name, stop);
        var names = await db.Users.AsNoTracking().Where(a => people.Contains(a.Id)).ToDictionaryAsync(a => a.Id, a => a.DisplayName, stop);
        var stuck = (await db.Jobs.AsNoTracking().Where(j => jobs.Contains(j.Id) && (j.State == JobState.Failed || j.State == JobState.Cancelled)).Select(j => j.Id).ToListAsync(stop)).ToHashSet();
        return new ErasureList(rows.ConvertAll(r => new ErasureRow(r, named[r.ProjectId], names.GetValueOrDefault(r.RequestedBy, "?"), r.JobId is { } job && stuck.Contains(job))), total, at);
    }
}
