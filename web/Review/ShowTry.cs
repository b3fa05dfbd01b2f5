using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Web.Accounts;

namespace Portal.Web.Review;

/// <summary>Says which policy the try page would ask.</summary>
[Needs(Permission.Review)]
public sealed class ShowTry(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    /// <param name="project">Null where there is none yet.</param>
    /// <returns>The policy that serves; null where none does.</returns>
    public async Task<Outcome<FlagPolicy?>> Handle(ClaimsPrincipal user, ProjectId? project, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        return new Outcome<FlagPolicy?>.Done(await (from p in db.Projects.AsNoTracking()
                                                    where p.Id == project && p.ArchivedAt == null
                                                    join v in db.ModelVersions on p.CurrentPolicyId equals v.Id
                                                    select new FlagPolicy(v.Id, v.Number, true)).FirstOrDefaultAsync(stop));
    }
}
