using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Review;
using Portal.Web.Accounts;

namespace Portal.Web.Review;

/// <summary>Open flags of one person that are held.</summary>
/// <param name="Reason">The reason they share; null where they have several.</param>
/// <param name="Minutes">From the first to the last.</param>
public sealed record HeldFlags(FlagHold Why, FlagReason? Reason, int Count, int Minutes);

/// <summary>What stands beside and above the queue.</summary>
public sealed record ServiceView(ServiceTimes Times, IReadOnlyList<HeldFlags> Held);

/// <summary>Service times of the last 30 days, and which open flags are held. Flags of people only: nobody waits for the answer to a suggestion.</summary>
/// <remarks>Served by IX_Flags_At, IX_Flags_ClosedAt and IX_Flags_State_Severity_At_Id; at most <see cref="RowsMax"/> short rows each, the newest.</remarks>
[Needs(Permission.Review)]
public sealed class ShowServiceTimes(IDbContextFactory<PortalDbContext> contexts, Access access, TimeProvider time)
{
    public const int RowsMax = 5_000;
    private const int PeopleMax = 3;

    public async Task<Outcome<ServiceView>> Handle(ClaimsPrincipal user, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var now = time.GetUtcNow();
        var since = now - ServiceTimes.Window;
        await using var db = await contexts.CreateDbContextAsync(stop);
        var people = db.Flags.AsNoTracking().Where(f => f.Source == FlagSource.Person && f.Place != "import");
        var came = await people.Where(f => f.At > since).OrderByDescending(f => f.At).Take(RowsMax).Select(f => new { f.Id, f.At, f.ClosedAt, f.State }).ToListAsync(stop);
        var decided = await people.Where(f => f.ClosedAt > since).OrderByDescending(f => f.ClosedAt).Take(RowsMax).Select(f => new { f.Id, f.At, f.ClosedAt, f.State }).ToListAsync(stop);
        var held = await people.Where(f => f.State == FlagState.Open && f.Held != FlagHold.None && db.Projects.Any(p => p.Id == f.ProjectId && p.ArchivedAt == null))
            .OrderByDescending(f => f.At).Take(RowsMax).Select(f => new { f.AnnotatorId, f.Held, f.Reason, f.At }).ToListAsync(stop);
        return new ServiceView(
            ServiceTimes.Of([.. came.Concat(decided).DistinctBy(f => f.Id).Select(f => new FlagTimes(f.At, f.ClosedAt, f.State))], now),
            [.. held.GroupBy(f => (f.AnnotatorId, f.Held)).OrderByDescending(group => group.Count()).Take(PeopleMax).Select(group => new HeldFlags(group.Key.Held,
                group.Select(f => f.Reason).Distinct().Count() == 1 ? group.First().Reason : null, group.Count(), (int)Math.Ceiling((group.Max(f => f.At) - group.Min(f => f.At)).TotalMinutes)))]);
    }
}
