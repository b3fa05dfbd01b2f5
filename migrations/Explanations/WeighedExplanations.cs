using Microsoft.EntityFrameworkCore;

namespace Portal.Data.Explanations;

/// <summary>The explanations of one reward model, ready to be added up. Each counts alike; of the projection its weights, of other methods its first <see cref="ExplanationRules.FirstPairs"/> pairs alike.</summary>
/// <param name="Dataset">Whose judgements the pairs are.</param>
/// <param name="Judgements">In the order of their first being met: <see cref="WeighedPairs"/> name them by their place here.</param>
/// <param name="Counted">Explanations with weight of some pair, the newest first. Pairs that were judged alike share theirs.</param>
/// <param name="Pairs">Those with a weight.</param>
public sealed record WeighedExplanations(DatasetVersionId Dataset, IReadOnlyList<JudgementId> Judgements, IReadOnlyList<WeighedPairs> Counted, IReadOnlyList<ExplainingPair> Pairs)
{
    /// <summary>Explanations that are added up at most: the newest.</summary>
    public const int ExplanationsMax = 1_000;

    /// <summary>Reads those of a reward model; null where nothing is explained by it.</summary>
    public static async Task<WeighedExplanations?> Load(PortalDbContext db, ProjectId project, ModelVersionId rewardModel, AttributionMethod by, CancellationToken stop)
    {
        // Over the index (ProjectId, At).
        var explanations = await (from e in db.Explanations.AsNoTracking()
                                  where e.ProjectId == project && e.RewardModelId == rewardModel
                                  orderby e.At descending, e.Id descending
                                  join r in db.Responses on e.ResponseId equals r.Id
                                  select new { e.Id, e.DatasetVersionId, r.PromptId }).Take(ExplanationsMax).ToListAsync(stop);
        if (explanations.Count == 0)
            return null;
        var pairs = new List<ExplainingPair>();
        foreach (var some in explanations.Select(e => e.Id).Chunk(500))
            pairs.AddRange(await With(db.ExplainingPairs.AsNoTracking().Where(p => some.Contains(p.ExplanationId)), by).ToListAsync(stop));
        var (judgements, of) = Weighed(pairs, by);
        return new WeighedExplanations(explanations[0].DatasetVersionId, judgements, [.. explanations.Where(e => of.ContainsKey(e.Id)).Select(e => new WeighedPairs($"{e.PromptId}", of[e.Id]))], pairs); // a model has one dataset
    }

    /// <summary>Pairs with a weight by a method.</summary>
    private static IQueryable<ExplainingPair> With(IQueryable<ExplainingPair> pairs, AttributionMethod by) => by switch
    {
        AttributionMethod.Projection => pairs.Where(pair => pair.Weight > 0),
        AttributionMethod.Influence => pairs.Where(pair => pair.InfluenceRank <= ExplanationRules.FirstPairs),
        AttributionMethod.NearestNeighbours => pairs.Where(pair => pair.NearestRank <= ExplanationRules.FirstPairs),
        AttributionMethod.Cosine => pairs.Where(pair => pair.CosineRank <= ExplanationRules.FirstPairs),
        AttributionMethod.Representer or AttributionMethod.TrakLinear or AttributionMethod.Random => pairs.Where(pair => false), // not kept
    };

    private static (List<JudgementId> Judgements, Dictionary<ExplanationId, List<(int Row, double Weight)>> Of) Weighed(IEnumerable<ExplainingPair> pairs, AttributionMethod by)
    {
        var (judgements, index, of) = (new List<JudgementId>(), new Dictionary<JudgementId, int>(), new Dictionary<ExplanationId, List<(int Row, double Weight)>>());
        foreach (var pair in pairs)
        {
            var weight = by is AttributionMethod.Projection ? pair.Weight : 1;
            JudgementId[] alike = [pair.JudgementId, .. pair.Others()];
            if (!of.TryGetValue(pair.ExplanationId, out var own))
                of.Add(pair.ExplanationId, own = []);
            foreach (var judgement in alike)
            {
                if (!index.TryGetValue(judgement, out var row))
                {
                    index.Add(judgement, row = judgements.Count);
                    judgements.Add(judgement);
                }
                own.Add((row, weight / alike.Length));
            }
        }
        return (judgements, of);
    }
}
