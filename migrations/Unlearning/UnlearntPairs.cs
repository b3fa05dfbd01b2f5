using Microsoft.EntityFrameworkCore;
using Portal.Data.Registry;

namespace Portal.Data.Unlearning;

/// <summary>What is done to judgements that taught a model the wrong thing.</summary>
public enum UnlearningAction
{
    /// <summary>They count no more.</summary>
    Remove = 1,
    /// <summary>The other answer is the better one: for judgements that somebody read and found the wrong way round.</summary>
    Relabel = 2,
    /// <summary>They count by <see cref="PairStanding.LessWeight"/> of what they did.</summary>
    DownWeight = 3,
}

/// <summary>How a model goes by a judgement that a request was about: the newest request decides.</summary>
/// <param name="Request">That request.</param>
public sealed record PairStanding(UnlearningRequestId Request, UnlearningAction Action)
{
    /// <summary>What a judgement weighs after <see cref="UnlearningAction.DownWeight"/>, as a share of what it weighed.</summary>
    public const double LessWeight = 0.5;

    public bool IsGone => Action is UnlearningAction.Remove;

    public bool IsTurned => Action is UnlearningAction.Relabel;

    /// <summary>Weight, as a share of what it was.</summary>
    public double Weight => Action is UnlearningAction.DownWeight ? LessWeight : 1;
}

/// <summary>What reward models have forgotten, or go by otherwise than it was judged.</summary>
public static class UnlearntPairs
{
    /// <summary>Judgements of its data that a version goes by otherwise than they stand there, or not at all: those of requests on its way from the training, whatever was done to it afterwards (toggles keep what was forgotten forgotten). Read at once, inside writes as well: two short queries a step of the way.</summary>
    public static IReadOnlyDictionary<JudgementId, PairStanding> Of(PortalDbContext db, ModelVersion version)
    {
        var standing = new Dictionary<JudgementId, PairStanding>();
        for (var at = version; at is { Kind: ModelKind.RewardModel, ParentId: { } parent }; at = db.ModelVersions.AsNoTracking().FirstOrDefault(v => v.Id == parent))
        {
            var id = at.Id;
            foreach (var pair in (from request in db.UnlearningRequests.AsNoTracking()
                                  where request.VersionId == id
                                  join pair in db.UnlearningPairs on request.Id equals pair.RequestId
                                  select new { pair.JudgementId, request.Id, request.Action }).ToList())
                standing.TryAdd(pair.JudgementId, new PairStanding(pair.Id, pair.Action)); // the walk is from the newest to the oldest
        }
        return standing;
    }

    /// <summary>Judgements of released requests: later trainings go by them as these say, or the next model would learn again what this one forgot.</summary>
    public static async Task<IReadOnlyDictionary<JudgementId, PairStanding>> Released(PortalDbContext db, ProjectId project, CancellationToken stop)
    {
        var standing = new Dictionary<JudgementId, PairStanding>();
        foreach (var pair in await (from request in db.UnlearningRequests.AsNoTracking()
                                    where request.ProjectId == project && request.State == UnlearningState.Released
                                    join pair in db.UnlearningPairs on request.Id equals pair.RequestId
                                    orderby request.Number
                                    select new { pair.JudgementId, request.Id, request.Action }).ToListAsync(stop))
            standing[pair.JudgementId] = new PairStanding(pair.Id, pair.Action);
        return standing;
    }
}
