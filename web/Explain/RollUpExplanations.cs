using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Datasets;
using Portal.Data.Explanations;
using Portal.Data.Feedback;
using Portal.Data.Registry;
using Portal.Web.Accounts;

namespace Portal.Web.Explain;

/// <summary>A pair that comes first for many prompts, with the explanation it is shown on.</summary>
/// <param name="Number">Of the judgement within its dataset version, as pages call the pair.</param>
/// <param name="Question">The pair's last question; empty once erased.</param>
public sealed record SharedPair(HubPair Hub, int Number, string Question, ExplanationId On);

/// <summary>What the explanations of one reward model have in common.</summary>
/// <param name="Models">Those with explanations, the newest first.</param>
/// <param name="By">Whose first pairs count.</param>
/// <param name="Explanations">That were added up: the newest, at most <see cref="RollUpExplanations.ExplanationsMax"/>.</param>
/// <param name="Total">That there are.</param>
/// <param name="Sources">By <see cref="RollUpExplanations.SourceOf"/>.</param>
/// <param name="Topics">"" for prompts without one.</param>
public sealed record RolledUp(ModelVersion Model, IReadOnlyList<ModelVersion> Models, AttributionMethod By, int Explanations, int Total, IReadOnlyList<GroupWeight> Annotators, IReadOnlyList<GroupWeight> Sources, IReadOnlyList<GroupWeight> Topics,
    IReadOnlyList<SharedPair> Shared);

/// <summary>
/// Adds up the explanations of a reward model by annotator, source and topic, beside each group's share of the judgements trained on; and finds pairs that come first for many prompts. Each explanation counts alike; of the
/// projection its weights, of other methods its first ten pairs alike.
/// </summary>
[Needs(Permission.Review)]
public sealed class RollUpExplanations(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    public const int ExplanationsMax = 1_000;
    private const int ModelsMax = 20, SharedMax = 10;

    /// <summary>Who gave a judgement, and the file it came in with: "Person", "Imported|votes.csv".</summary>
    public static string SourceOf(JudgementSource source, string? file) => file is null ? $"{source}" : $"{source}|{file}";

    /// <param name="model">Null: the reward model of the newest explanation.</param>
    /// <returns>Null where nothing is explained yet.</returns>
    public async Task<Outcome<RolledUp?>> Handle(ClaimsPrincipal user, ProjectId project, ModelVersionId? model, AttributionMethod by, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        // Over the index (ProjectId, At).
        var all = db.Explanations.AsNoTracking().Where(e => e.ProjectId == project);
        var ids = await all.GroupBy(e => e.RewardModelId).Select(group => new { group.Key, At = group.Max(e => e.At) }).OrderByDescending(group => group.At).Select(group => group.Key).Take(ModelsMax).ToListAsync(stop);
        if (ids.Count == 0)
            return (RolledUp?)null;
        var wanted = model ?? ids[0];
        if (!ids.Contains(wanted))
            return new Problem("model", "Nothing is explained by such a reward model here.", ProblemKind.NotFound);
        var models = await db.ModelVersions.AsNoTracking().Where(v => ids.Contains(v.Id)).ToListAsync(stop);
        var explanations = await (from e in all
                                  where e.RewardModelId == wanted
                                  orderby e.At descending, e.Id descending
                                  join r in db.Responses on e.ResponseId equals r.Id
                                  select new { e.Id, e.DatasetVersionId, r.PromptId }).Take(ExplanationsMax).ToListAsync(stop);
        var dataset = explanations[0].DatasetVersionId; // of one model
        var pairs = new List<ExplainingPair>();
        foreach (var some in explanations.Select(e => e.Id).Chunk(500))
            pairs.AddRange(await db.ExplainingPairs.AsNoTracking().Where(p => some.Contains(p.ExplanationId)).ToListAsync(stop));
        var weighed = Weighed(pairs.Where(pair => Weight(pair, by) > 0), by);
        var groups = await Groups(db, dataset, [.. weighed.Rows], stop);
        List<WeighedPairs> counted = [.. explanations.Where(e => weighed.Of.ContainsKey(e.Id)).Select(e => new WeighedPairs($"{e.PromptId}", weighed.Of[e.Id]))];
        IReadOnlyList<GroupWeight> By(Func<JudgementGroups, string> key, IReadOnlyDictionary<string, int> judgements) =>
            ExplanationRollUp.By(counted, row => groups.TryGetValue(weighed.Rows[row], out var known) ? [key(known)] : [], judgements);
        return new RolledUp(models.First(v => v.Id == wanted), [.. ids.Select(id => models.First(v => v.Id == id))], by, counted.Count, await all.CountAsync(e => e.RewardModelId == wanted, stop),
            By(known => known.Annotator, await Counts(db, dataset, rows => rows.GroupBy(row => row.Annotator), stop)),
            By(known => SourceOf(known.Source, known.File), (await Trained(db, dataset).GroupBy(row => new { row.Source, row.File }).Select(group => new { group.Key, Count = group.Count() }).ToListAsync(stop)).ToDictionary(group => SourceOf(group.Key.Source, group.Key.File), group => group.Count)),
            By(known => known.Topic, await Counts(db, dataset, rows => rows.GroupBy(row => row.Topic), stop)), await Shared(db, counted, weighed.Rows, groups, pairs, by, stop));
    }

    private sealed class JudgementGroups
    {
        public required JudgementId Id { get; init; }
        public required int Number { get; init; }
        public required string Annotator { get; init; }
        public required JudgementSource Source { get; init; }
        public required string? File { get; init; }
        public required string Topic { get; init; }
        public required PromptId Prompt { get; init; }
    }

    private static double Weight(ExplainingPair pair, AttributionMethod by) => by is AttributionMethod.Projection ? pair.Weight : pair.RankBy(by) is <= ShowExplanation.PairsMax ? 1 : 0;

    /// <summary>Judgements in the order of their first being met, and per explanation how much of each: pairs that were judged alike share theirs.</summary>
    private static (List<JudgementId> Rows, Dictionary<ExplanationId, List<(int Row, double Weight)>> Of) Weighed(IEnumerable<ExplainingPair> pairs, AttributionMethod by)
    {
        var (rows, index, of) = (new List<JudgementId>(), new Dictionary<JudgementId, int>(), new Dictionary<ExplanationId, List<(int Row, double Weight)>>());
        foreach (var pair in pairs)
        {
            JudgementId[] alike = [pair.JudgementId, .. pair.Others()];
            if (!of.TryGetValue(pair.ExplanationId, out var own))
                of.Add(pair.ExplanationId, own = []);
            foreach (var judgement in alike)
            {
                if (!index.TryGetValue(judgement, out var row))
                {
                    index.Add(judgement, row = rows.Count);
                    rows.Add(judgement);
                }
                own.Add((row, Weight(pair, by) / alike.Length));
            }
        }
        return (rows, of);
    }

    /// <summary>Judgements that were trained on, with what they are grouped by.</summary>
    private static IQueryable<JudgementGroups> Trained(PortalDbContext db, DatasetVersionId dataset) =>
        from d in db.DatasetRows.AsNoTracking()
        where d.DatasetVersionId == dataset && d.Part == DatasetPart.Train
        join j in db.PairwiseJudgements on d.JudgementId equals j.Id
        join a in db.Annotators on j.AnnotatorId equals a.Id
        join p in db.Prompts on d.PromptId equals p.Id
        join i in db.Imports on j.ImportId equals i.Id into imported
        from i in imported.DefaultIfEmpty()
        select new JudgementGroups { Id = d.JudgementId, Number = d.Ordinal + 1, Annotator = a.Pseudonym, Source = j.Source, File = i == null ? null : i.FileName, Topic = p.Topic ?? "", Prompt = p.Id };

    private static async Task<Dictionary<JudgementId, JudgementGroups>> Groups(PortalDbContext db, DatasetVersionId dataset, IReadOnlyList<JudgementId> judgements, CancellationToken stop)
    {
        var known = new Dictionary<JudgementId, JudgementGroups>();
        foreach (var some in judgements.Chunk(500))
            foreach (var row in await Trained(db, dataset).Where(row => some.Contains(row.Id)).ToListAsync(stop))
                known[row.Id] = row;
        return known;
    }

    private static async Task<Dictionary<string, int>> Counts(PortalDbContext db, DatasetVersionId dataset, Func<IQueryable<JudgementGroups>, IQueryable<IGrouping<string, JudgementGroups>>> by, CancellationToken stop) =>
        await by(Trained(db, dataset)).Select(group => new { group.Key, Count = group.Count() }).ToDictionaryAsync(group => group.Key, group => group.Count, stop);

    private static async Task<IReadOnlyList<SharedPair>> Shared(PortalDbContext db, IReadOnlyList<WeighedPairs> counted, IReadOnlyList<JudgementId> rows, IReadOnlyDictionary<JudgementId, JudgementGroups> groups, IReadOnlyList<ExplainingPair> pairs,
        AttributionMethod by, CancellationToken stop)
    {
        var hubs = ExplanationRollUp.Hubs(counted).Where(hub => groups.ContainsKey(rows[hub.Row])).Take(SharedMax).Select(hub => (Hub: hub, Known: groups[rows[hub.Row]])).ToList();
        var prompts = hubs.ConvertAll(entry => entry.Known.Prompt);
        var texts = await (from p in db.Prompts.AsNoTracking() where prompts.Contains(p.Id) join c in db.Contents on p.ContentId equals c.Id select new { p.Id, c.Text }).ToDictionaryAsync(row => row.Id, row => row.Text, stop);
        return hubs.ConvertAll(entry => new SharedPair(entry.Hub, entry.Known.Number, Conversation.LastQuestion(Conversation.Parse(texts[entry.Known.Prompt])),
            pairs.Where(pair => pair.JudgementId == entry.Known.Id).MinBy(pair => pair.RankBy(by) ?? int.MaxValue)?.ExplanationId ?? default));
    }
}
