using Microsoft.EntityFrameworkCore;
using Portal.Data.Registry;

namespace Portal.Data.Unlearning;

/// <summary>What reward models have forgotten.</summary>
public static class UnlearntPairs
{
    /// <summary>Judgements of its data that a version does not go by any more: those that were unlearnt on its way from the training, whatever was done to it afterwards (toggles keep what was forgotten forgotten).</summary>
    public static async Task<IReadOnlySet<JudgementId>> Of(PortalDbContext db, ModelVersion version, CancellationToken stop)
    {
        var gone = new HashSet<JudgementId>();
        for (var at = version; at is { Kind: ModelKind.RewardModel, ParentId: { } parent }; at = await db.ModelVersions.AsNoTracking().FirstOrDefaultAsync(v => v.Id == parent, stop))
        {
            var id = at.Id;
            gone.UnionWith(await (from request in db.UnlearningRequests.AsNoTracking()
                                  where request.VersionId == id
                                  join pair in db.UnlearningPairs on request.Id equals pair.RequestId
                                  select pair.JudgementId).ToListAsync(stop));
        }
        return gone;
    }

    /// <summary>Judgements whose unlearning was released: later trainings leave them out, or the next model would learn again what this one forgot.</summary>
    public static IQueryable<JudgementId> Released(PortalDbContext db, ProjectId project) =>
        from request in db.UnlearningRequests.AsNoTracking()
        where request.ProjectId == project && request.State == UnlearningState.Released
        join pair in db.UnlearningPairs on request.Id equals pair.RequestId
        select pair.JudgementId;
}
