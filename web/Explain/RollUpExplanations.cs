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
/// <param name="Explanations">That were added up: the newest, at most <see cref="WeighedExplanations.ExplanationsMax"/>.</param>
/// <param name="Total">That there are.</param>
/// <param name="Sources">By <see cref="RollUpExplanations.SourceOf"/>.</param>
/// <param name="Topics">"" for prompts without one.</param>
public sealed record RolledUp(ModelVersion Model, IReadOnlyList<ModelVersion> Models, AttributionMethod By, int Explanations, int Total, IReadOnlyList<GroupWeight> Annotators, IReadOnlyList<GroupWeight> Sources, IReadOnlyList<GroupWeight> Topics,
    IReadOnlyList<SharedPair> Shared);

/// <summary>
/// Adds up the explanations of a reward model by annotator, source and topic, beside each group's share of the judgements trained on; and finds pairs that come first for many prompts. What
/// a pair weighs is <see cref="WeighedExplanations"/>' business.
/// </summary>
[Needs(Permission.Review)]
public sealed class RollUpExplanations(IDbContextFactory<PortalDbContext> contexts, Access access)
{
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
        var weighed = (await WeighedExplanations.Load(db, project, wanted, by, stop))!; // it has some
        var groups = await Groups(db, weighed.Dataset, weighed.Judgements, stop);
        IReadOnlyList<GroupWeight> By(Func<JudgementGroups, string> key, IReadOnlyDictionary<string, int> judgements) =>
            ExplanationRollUp.By(weighed.Counted, row => groups.TryGetValue(weighed.Judgements[row], out var known) ? [key(known)] : [], judgements);
        return new RolledUp(models.First(v => v.Id == wanted), [.. ids.Select(id => models.First(v => v.Id == id))], by, weighed.Counted.Count, await all.CountAsync(e => e.RewardModelId == wanted, stop),
            By(known => known.Annotator, await Counts(db, weighed.Dataset, rows => rows.GroupBy(row => row.Annotator), stop)),
            By(known => SourceOf(known.Source, known.File), (await Trained(db, weighed.Dataset).GroupBy(row => new { row.Source, row.File }).Select(group => new { group.Key, Count = group.Count() }).ToListAsync(stop)).ToDictionary(group => SourceOf(group.Key.Source, group.Key.File), group => group.Count)),
            By(known => known.Topic, await Counts(db, weighed.Dataset, rows => rows.GroupBy(row => row.Topic), stop)), await Shared(db, weighed, groups, by, stop));
    }

    internal sealed class JudgementGroups
    {
        public required JudgementId Id { get; init; }
        public required int Number { get; init; }
        public required string Annotator { get; init; }
        public required JudgementSource Source { get; init; }
        public required string? File { get; init; }
        public required string Topic { get; init; }
        public required PromptId Prompt { get; init; }
    }

    /// <summary>Judgements that were trained on, with what they are grouped by.</summary>
    internal static IQueryable<JudgementGroups> Trained(PortalDbContext db, DatasetVersionId dataset) =>
        from d in db.DatasetRows.AsNoTracking()
        where d.DatasetVersionId == dataset && d.Part == DatasetPart.Train
        join j in db.PairwiseJudgements on d.JudgementId equals j.Id
        join a in db.Annotators on j.AnnotatorId equals a.Id
        join p in db.Prompts on d.PromptId equals p.Id
        join i in db.Imports on j.ImportId equals i.Id into imported
        from i in imported.DefaultIfEmpty()
        select new JudgementGroups { Id = d.JudgementId, Number = d.Ordinal + 1, Annotator = a.Pseudonym, Source = j.Source, File = i == null ? null : i.FileName, Topic = p.Topic ?? "", Prompt = p.Id };

    internal static async Task<Dictionary<JudgementId, JudgementGroups>> Groups(PortalDbContext db, DatasetVersionId dataset, IReadOnlyList<JudgementId> judgements, CancellationToken stop)
    {
        var known = new Dictionary<JudgementId, JudgementGroups>();
        foreach (var some in judgements.Chunk(500))
            foreach (var row in await Trained(db, dataset).Where(row => some.Contains(row.Id)).ToListAsync(stop))
                known[row.Id] = row;
        return known;
    }

    internal static async Task<Dictionary<string, int>> Counts(PortalDbContext db, DatasetVersionId dataset, Func<IQueryable<JudgementGroups>, IQueryable<IGrouping<string, JudgementGroups>>> by, CancellationToken stop) =>
        await by(Trained(db, dataset)).Select(group => new { group.Key, Count = group.Count() }).ToDictionaryAsync(group => group.Key, group => group.Count, stop);

    private static async Task<IReadOnlyList<SharedPair>> Shared(PortalDbContext db, WeighedExplanations weighed, IReadOnlyDictionary<JudgementId, JudgementGroups> groups, AttributionMethod by, CancellationToken stop)
    {
        var hubs = ExplanationRollUp.Hubs(weighed.Counted).Where(hub => groups.ContainsKey(weighed.Judgements[hub.Row])).Take(SharedMax).Select(hub => (Hub: hub, Known: groups[weighed.Judgements[hub.Row]])).ToList();
        var prompts = hubs.ConvertAll(entry => entry.Known.Prompt);
        var texts = await (from p in db.Prompts.AsNoTracking() where prompts.Contains(p.Id) join c in db.Contents on p.ContentId equals c.Id select new { p.Id, c.Text }).ToDictionaryAsync(row => row.Id, row => row.Text, stop);
        return hubs.ConvertAll(entry => new SharedPair(entry.Hub, entry.Known.Number, Conversation.LastQuestion(Conversation.Parse(texts[entry.Known.Prompt])),
            weighed.Pairs.Where(pair => pair.JudgementId == entry.Known.Id || pair.Others().Contains(entry.Known.Id)).MinBy(pair => pair.RankBy(by) ?? int.MaxValue)!.ExplanationId)); // a pair that comes first has a weight
    }
}
