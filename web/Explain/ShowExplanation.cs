using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Explanations;
using Portal.Data.Feedback;
using Portal.Data.Registry;
using Portal.Data.Review;
using Portal.Web.Accounts;

namespace Portal.Web.Explain;

/// <summary>A pair that explains a response, with what people need to judge it.</summary>
/// <param name="Number">Of the judgement within its dataset version, 1 to n: how pages call the pair.</param>
/// <param name="Prompt">The turns; empty once erased.</param>
/// <param name="Chosen">The preferred answer; null once erased, as <paramref name="Rejected"/>.</param>
/// <param name="Annotator">By pseudonym.</param>
/// <param name="Judgements">People who judged the pair alike.</param>
/// <param name="Agree">Projection and influence both have it among their first ten.</param>
/// <param name="Marks">The latest of each reviewer.</param>
/// <param name="Mine">The latest of who asks; null for none.</param>
/// <param name="ChangedBy">The request by which the model goes by it otherwise than it was judged; null for nearly all.</param>
public sealed record ShownPair(ExplainingPair Pair, int Number, IReadOnlyList<Turn> Prompt, string? Chosen, string? Rejected, string Annotator, DateTimeOffset At, int Judgements, bool Agree, IReadOnlyList<PairVerdict> Marks, PairVerdict? Mine, EarlierChange? ChangedBy)
{
    /// <summary>Chosen for unlearning before anybody chooses: a reviewer found it wrong or bad, or two methods agree on it and no reviewer found it fine.</summary>
    public bool IsSuspect => Marks.Any(mark => mark is PairVerdict.WrongLabel or PairVerdict.BadContent) || (Agree && !Marks.Contains(PairVerdict.Fine));
}

/// <summary>A pair that comes first for many prompts explains nothing in particular.</summary>
/// <param name="Number">As pages call it.</param>
public sealed record HubWarning(int Number, int Prompts, int Of);

/// <summary>An explanation with all that its page shows.</summary>
/// <param name="Pairs">Of the method asked for, the first first.</param>
/// <param name="Others">Pairs with a weight that are not shown, and their reward together.</param>
/// <param name="Annotators">By pseudonym; of this explanation alone.</param>
/// <param name="Bar">The projection's first pairs, their numbers and rewards; what <paramref name="Others"/> add; what no pair explains.</param>
/// <param name="Flag">Null where nobody flagged it.</param>
/// <param name="Policy">That wrote the response: the one asked about the pairs, where one was; null where none of the project did.</param>
/// <param name="Next">The next explanation of the same job; null for the last.</param>
public sealed record ExplanationView(Explanation Explanation, IReadOnlyList<Turn> Prompt, string? Text, Flag? Flag, ModelVersion RewardModel, int DatasetNumber, ModelVersion? Policy, AttributionMethod By, IReadOnlyList<ShownPair> Pairs,
    IReadOnlyList<ShownPair> Bar, int Others, double OthersReward, IReadOnlyList<GroupWeight> Annotators, IReadOnlyList<HubWarning> Hubs, ExplanationId? Next);

/// <summary>Reads one explanation: texts, pairs by a method, whose judgements they are, and whether it is a generic one.</summary>
[Needs(Permission.Review)]
public sealed class ShowExplanation(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    /// <summary>Pairs of the bar.</summary>
    public const int BarMax = 4;

    /// <summary>Recent explanations of the same reward model among which a hub is looked for.</summary>
    private const int RecentMax = 500;

    internal static readonly Problem Gone = new("explanation", "There is no explanation at this address.", ProblemKind.NotFound);

    /// <param name="by">Whose first pairs are shown.</param>
    public async Task<Outcome<ExplanationView>> Handle(ClaimsPrincipal user, ExplanationId id, AttributionMethod by, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (await db.Explanations.AsNoTracking().FirstOrDefaultAsync(e => e.Id == id, stop) is not { } explanation)
            return Gone;
        var response = await (from r in db.Responses.AsNoTracking()
                              where r.Id == explanation.ResponseId
                              join c in db.Contents on r.ContentId equals c.Id
                              join p in db.Prompts on r.PromptId equals p.Id
                              join pc in db.Contents on p.ContentId equals pc.Id
                              select new { c.Text, Prompt = pc.Text, r.ModelVersionId }).FirstOrDefaultAsync(stop);
        var pairs = await db.ExplainingPairs.AsNoTracking().Where(p => p.ExplanationId == id).ToListAsync(stop);
        var model = await db.ModelVersions.AsNoTracking().FirstAsync(v => v.Id == explanation.RewardModelId, stop);
        var shown = await Shown(db, explanation, model, pairs, asked.Value.AccountId, stop);
        var weighted = shown.Where(pair => pair.Pair.Weight > 0).OrderByDescending(pair => pair.Pair.Weight).ThenBy(pair => pair.Number).ToList();
        var bar = weighted.Where(pair => pair.Pair.RewardShare > 0).OrderByDescending(pair => pair.Pair.RewardShare).Take(BarMax).ToList();
        var ofJob = await db.Explanations.AsNoTracking().Where(e => e.JobId == explanation.JobId).OrderBy(e => e.Id).Select(e => e.Id).ToListAsync(stop); // a few hundred at most
        var next = ofJob.SkipWhile(other => other != id).Skip(1).Cast<ExplanationId?>().FirstOrDefault();
        return new ExplanationView(explanation, response is null ? [] : Conversation.Parse(response.Prompt), response?.Text,
            explanation.FlagId is { } flag ? await db.Flags.AsNoTracking().FirstOrDefaultAsync(f => f.Id == flag, stop) : null,
            model, await db.DatasetVersions.Where(v => v.Id == explanation.DatasetVersionId).Select(v => v.Number).FirstAsync(stop),
            (explanation.PolicyId ?? response?.ModelVersionId) is { } writer ? await db.ModelVersions.AsNoTracking().FirstOrDefaultAsync(v => v.Id == writer, stop) : null, by,
            [.. shown.Where(pair => pair.Pair.RankBy(by) is <= ExplanationRules.FirstPairs).OrderBy(pair => pair.Pair.RankBy(by))], bar, weighted.Count - bar.Count, explanation.Explained - bar.Sum(pair => pair.Pair.RewardShare),
            await Annotators(db, explanation, weighted, stop), await Hubs(db, explanation, stop), next);
    }

    private static async Task<IReadOnlyList<ShownPair>> Shown(PortalDbContext db, Explanation explanation, ModelVersion model, IReadOnlyList<ExplainingPair> pairs, Guid person, CancellationToken stop)
    {
        var rows = (await PairText.Read(db, model, explanation.DatasetVersionId, [.. pairs.Select(pair => pair.JudgementId)], stop)).ToDictionary(row => row.Judgement);
        var marks = (await db.PairMarks.AsNoTracking().Where(m => m.ExplanationId == explanation.Id).OrderBy(m => m.At).ThenBy(m => m.Id).ToListAsync(stop)).GroupBy(m => (m.JudgementId, m.By)).Select(group => group.Last()).ToLookup(m => m.JudgementId);
        return [.. pairs.Where(pair => rows.ContainsKey(pair.JudgementId)).Select(pair =>
        {
            var row = rows[pair.JudgementId];
            var own = marks[pair.JudgementId].ToList();
            return new ShownPair(pair, row.Number, row.Prompt, row.Chosen, row.Rejected, row.Annotator, row.At, 1 + pair.Others().Count, pair is { ProjectionRank: <= ExplanationRules.FirstPairs, InfluenceRank: <= ExplanationRules.FirstPairs },
                [.. own.Select(mark => mark.Verdict)], own.FirstOrDefault(mark => mark.By == person)?.Verdict, row.ChangedBy);
        })];
    }

    /// <summary>Whose judgements the weight is of, beside their share of all judgements trained on.</summary>
    private static async Task<IReadOnlyList<GroupWeight>> Annotators(PortalDbContext db, Explanation explanation, IReadOnlyList<ShownPair> weighted, CancellationToken stop)
    {
        var counts = await (from d in db.DatasetRows.AsNoTracking()
                            where d.DatasetVersionId == explanation.DatasetVersionId && d.Part == Data.Datasets.DatasetPart.Train
                            join j in db.PairwiseJudgements on d.JudgementId equals j.Id
                            join a in db.Annotators on j.AnnotatorId equals a.Id
                            group a by a.Pseudonym into own
                            select new { Annotator = own.Key, Judgements = own.Count() }).ToDictionaryAsync(row => row.Annotator, row => row.Judgements, stop);
        var (total, weight) = (counts.Values.Sum(), weighted.Sum(pair => pair.Pair.Weight));
        return weight <= 0 || total == 0 ? [] :
        [
            .. weighted.GroupBy(pair => pair.Annotator).Select(own => new GroupWeight(own.Key, own.Sum(pair => pair.Pair.Weight) / weight, counts.GetValueOrDefault(own.Key) / (double)total, counts.GetValueOrDefault(own.Key), 1))
                .OrderByDescending(part => part.Weight).ThenBy(part => part.Key, StringComparer.Ordinal),
        ];
    }

    /// <summary>First pairs of this explanation that come first for many prompts of the recent ones of the same model.</summary>
    private static async Task<IReadOnlyList<HubWarning>> Hubs(PortalDbContext db, Explanation explanation, CancellationToken stop)
    {
        // Over (RewardModelId, At), then the primary key of the pairs.
        var recent = db.Explanations.AsNoTracking().Where(e => e.RewardModelId == explanation.RewardModelId && e.Mode == explanation.Mode && e.Space == explanation.Space).OrderByDescending(e => e.At).Take(RecentMax);
        var firsts = await (from e in recent
                            join r in db.Responses on e.ResponseId equals r.Id
                            join p in db.ExplainingPairs on e.Id equals p.ExplanationId
                            where p.ProjectionRank == 1
                            select new { r.PromptId, p.JudgementId, Own = e.Id == explanation.Id }).ToListAsync(stop);
        var prompts = firsts.Select(first => first.PromptId).Distinct().Count();
        if (prompts < ExplanationRules.HubPromptsMin || firsts.FirstOrDefault(first => first.Own) is not { } own)
            return [];
        var alike = firsts.Where(first => first.JudgementId == own.JudgementId).Select(first => first.PromptId).Distinct().Count();
        if (alike <= ExplanationRules.HubShare * prompts)
            return [];
        var number = await db.DatasetRows.Where(d => d.DatasetVersionId == explanation.DatasetVersionId && d.JudgementId == own.JudgementId).Select(d => d.Ordinal + 1).FirstOrDefaultAsync(stop);
        return [new HubWarning(number, alike, prompts)];
    }
}
