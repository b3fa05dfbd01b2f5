using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Datasets;
using Portal.Data.Explanations;
using Portal.Data.Feedback;
using Portal.Data.Registry;
using Portal.Web.Accounts;
using Portal.Web.Components;

namespace Portal.Web.Explain;

/// <summary>How often judgements agree with those of other people on the same two answers.</summary>
/// <param name="Own">Of this annotator; <see cref="Measure"/> counts comparisons with one other judgement each.</param>
/// <param name="All">Of all annotators together: what anybody's would be.</param>
public sealed record AgreementView(Measure? Own, Measure? All);

/// <summary>What reviewers found of explaining pairs.</summary>
public sealed record FoundPairs(int Causes, int Fine, int Open)
{
    public int Decided => Causes + Fine;

    /// <summary>Causes of all decided; null below <see cref="MarkedPrecision.DecidedMin"/>.</summary>
    public Measure? Share => Decided < MarkedPrecision.DecidedMin ? null : WilsonInterval.Of(Causes, Decided);
}

/// <summary>A pair of this annotator's that explains something.</summary>
/// <param name="Number">Of the judgement within its dataset version.</param>
/// <param name="Question">The pair's last question; empty once erased.</param>
/// <param name="Weight">Its share of all weight of the explanations.</param>
/// <param name="Explanations">It has weight in.</param>
/// <param name="IsCause">As reviewers found; null: open or not marked.</param>
/// <param name="On">The explanation it is shown on.</param>
public sealed record AnnotatorPair(int Number, string Question, double Weight, int Explanations, bool? IsCause, ExplanationId On);

/// <summary>One annotator in the explanations of a reward model, beside what anybody's figures would be.</summary>
/// <param name="Own">Weight, share of the data, excess.</param>
/// <param name="Annotators">Who have judgements among those trained on.</param>
/// <param name="Explanations">That were added up.</param>
/// <param name="Topics">Of this annotator's weight, beside those of this annotator's judgements; "" for prompts without one.</param>
/// <param name="Found">Of this annotator's pairs, and of all others'.</param>
/// <param name="Pairs">The heaviest first.</param>
public sealed record AnnotatorView(string Pseudonym, ModelVersion Model, AttributionMethod By, GroupWeight Own, int Annotators, int Explanations, AgreementView Agreement, IReadOnlyList<GroupWeight> Topics, FoundPairs Found, FoundPairs FoundOfOthers,
    IReadOnlyList<AnnotatorPair> Pairs);

/// <summary>
/// Reads what explanations of a reward model say of one annotator's judgements, so that whoever looks sees the base rates first: an association is no fault, and one that is none may look like one.
/// </summary>
/// <remarks>Source: specs/xrlhf.md §6.3, "Fairness to annotators". Never more than the pseudonym.</remarks>
[Needs(Permission.Review)]
public sealed class ShowAnnotator(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    /// <summary>Pairs that are shown.</summary>
    public const int PairsMax = 20;

    /// <summary>Fewer comparisons with others than this say nothing about agreement.</summary>
    public const int ComparedMin = 10;

    private static readonly Problem gone = new("annotator", "No annotator of this name gave a judgement that this reward model was trained on.", ProblemKind.NotFound);

    /// <param name="model">The reward model whose explanations are added up; null: the newest explained one.</param>
    public async Task<Outcome<AnnotatorView>> Handle(ClaimsPrincipal user, ProjectId project, string pseudonym, ModelVersionId? model, AttributionMethod by, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        var wanted = model ?? await db.Explanations.AsNoTracking().Where(e => e.ProjectId == project).OrderByDescending(e => e.At).ThenByDescending(e => e.Id).Select(e => (ModelVersionId?)e.RewardModelId).FirstOrDefaultAsync(stop);
        if (wanted is not { } reward || await WeighedExplanations.Load(db, project, reward, by, stop) is not { } weighed)
            return new Problem("model", "Nothing is explained by such a reward model here.", ProblemKind.NotFound);
        var own = await RollUpExplanations.Trained(db, weighed.Dataset).Where(row => row.Annotator == pseudonym).ToDictionaryAsync(row => row.Id, stop);
        if (own.Count == 0)
            return gone;
        var groups = await RollUpExplanations.Groups(db, weighed.Dataset, weighed.Judgements, stop);
        var counts = await RollUpExplanations.Counts(db, weighed.Dataset, rows => rows.GroupBy(row => row.Annotator), stop);
        var weight = ExplanationRollUp.By(weighed.Counted, row => groups.TryGetValue(weighed.Judgements[row], out var known) ? [known.Annotator] : [], counts).FirstOrDefault(group => group.Key == pseudonym)
            ?? new GroupWeight(pseudonym, 0, own.Count / (double)counts.Values.Sum(), own.Count, 0);
        var weights = Weights(weighed);
        var found = await Found(db, weighed, stop);
        return new AnnotatorView(pseudonym, await db.ModelVersions.AsNoTracking().FirstAsync(v => v.Id == reward, stop), by, weight, counts.Count, weighed.Counted.Count, await Agreement(db, weighed.Dataset, own.Keys.ToHashSet(), stop),
            Topics(own, weights), Tally(found.Where(entry => own.ContainsKey(entry.Judgement))), Tally(found.Where(entry => !own.ContainsKey(entry.Judgement))), await Pairs(db, weighed, own, weights, found, by, stop));
    }

    /// <summary>Of each judgement its share of all weight, each explanation counting alike, and the explanations it has weight in.</summary>
    private static Dictionary<JudgementId, (double Weight, int Explanations)> Weights(WeighedExplanations weighed)
    {
        var weights = new Dictionary<JudgementId, (double Weight, int Explanations)>();
        foreach (var explanation in weighed.Counted)
        {
            var sum = explanation.Pairs.Sum(pair => Math.Max(0, pair.Weight));
            foreach (var (row, weight) in explanation.Pairs.Where(pair => pair.Weight > 0))
            {
                var before = weights.GetValueOrDefault(weighed.Judgements[row]);
                weights[weighed.Judgements[row]] = (before.Weight + (weight / sum / weighed.Counted.Count), before.Explanations + 1);
            }
        }
        return weights;
    }

    private static IReadOnlyList<GroupWeight> Topics(Dictionary<JudgementId, RollUpExplanations.JudgementGroups> own, Dictionary<JudgementId, (double Weight, int Explanations)> weights)
    {
        double Of(IEnumerable<JudgementId> some) => some.Sum(id => weights.GetValueOrDefault(id).Weight);
        var total = Of(own.Keys);
        return total <= 0 ? [] :
        [
            .. own.Values.GroupBy(row => row.Topic).Select(topic => new GroupWeight(topic.Key, Of(topic.Select(row => row.Id)) / total, topic.Count() / (double)own.Count, topic.Count(), 0))
                .OrderByDescending(group => group.Weight).ThenByDescending(group => group.DataShare).ThenBy(group => group.Key, StringComparer.Ordinal),
        ];
    }

    private static FoundPairs Tally(IEnumerable<(JudgementId Judgement, bool? IsCause)> pairs)
    {
        var all = pairs.ToList();
        return new FoundPairs(all.Count(entry => entry.IsCause == true), all.Count(entry => entry.IsCause == false), all.Count(entry => entry.IsCause is null));
    }

    /// <summary>What reviewers found of each judgement, over all explanations it is part of: the newest mark of each reviewer there.</summary>
    private static async Task<IReadOnlyList<(JudgementId Judgement, bool? IsCause)>> Found(PortalDbContext db, WeighedExplanations weighed, CancellationToken stop)
    {
        var verdicts = new List<(JudgementId Judgement, PairVerdict Verdict)>();
        foreach (var some in weighed.Pairs.Select(pair => pair.ExplanationId).Distinct().Chunk(500))
        {
            var marks = await db.PairMarks.AsNoTracking().Where(m => some.Contains(m.ExplanationId)).OrderBy(m => m.At).ThenBy(m => m.Id).ToListAsync(stop);
            verdicts.AddRange(marks.GroupBy(m => (m.ExplanationId, m.JudgementId, m.By)).Select(group => (group.Key.JudgementId, group.Last().Verdict)));
        }
        return [.. verdicts.GroupBy(entry => entry.Judgement).Select(pair => (pair.Key, CountMarks.IsCause([.. pair.Select(entry => entry.Verdict)])))];
    }

    /// <summary>Of judgements trained on, those of other people on the same two answers: how many prefer the same one.</summary>
    private static async Task<AgreementView> Agreement(PortalDbContext db, DatasetVersionId dataset, HashSet<JudgementId> own, CancellationToken stop)
    {
        // Over the primary key (DatasetVersionId, Ordinal): numbers and ids only, 45,000 rows in a tenth of a second.
        var rows = await (from d in db.DatasetRows.AsNoTracking()
                          where d.DatasetVersionId == dataset && d.Part == DatasetPart.Train && d.RejectedId != null && d.ChangedBy == null
                          join j in db.PairwiseJudgements on d.JudgementId equals j.Id
                          select new { d.JudgementId, j.AnnotatorId, d.ChosenId, Rejected = d.RejectedId!.Value }).ToListAsync(stop);
        var (ownAlike, ownAll, alike, all) = (0, 0, 0, 0);
        foreach (var pair in rows.GroupBy(row => row.ChosenId.Value.CompareTo(row.Rejected.Value) < 0 ? (row.ChosenId, row.Rejected) : (row.Rejected, row.ChosenId)))
        {
            var some = pair.ToList();
            foreach (var one in some)
            {
                var others = some.Where(other => other.AnnotatorId != one.AnnotatorId).ToList();
                var same = others.Count(other => other.ChosenId == one.ChosenId);
                (alike, all) = (alike + same, all + others.Count);
                if (own.Contains(one.JudgementId))
                    (ownAlike, ownAll) = (ownAlike + same, ownAll + others.Count);
            }
        }
        return new AgreementView(ownAll < ComparedMin ? null : WilsonInterval.Of(ownAlike, ownAll), all < ComparedMin ? null : WilsonInterval.Of(alike, all));
    }

    private static async Task<IReadOnlyList<AnnotatorPair>> Pairs(PortalDbContext db, WeighedExplanations weighed, Dictionary<JudgementId, RollUpExplanations.JudgementGroups> own, Dictionary<JudgementId, (double Weight, int Explanations)> weights,
        IReadOnlyList<(JudgementId Judgement, bool? IsCause)> found, AttributionMethod by, CancellationToken stop)
    {
        var first = weights.Where(entry => own.ContainsKey(entry.Key)).OrderByDescending(entry => entry.Value.Weight).ThenBy(entry => own[entry.Key].Number).Take(PairsMax).ToList();
        var prompts = first.ConvertAll(entry => own[entry.Key].Prompt);
        var texts = await (from p in db.Prompts.AsNoTracking() where prompts.Contains(p.Id) join c in db.Contents on p.ContentId equals c.Id select new { p.Id, c.Text }).ToDictionaryAsync(row => row.Id, row => row.Text, stop);
        var verdicts = found.ToDictionary(entry => entry.Judgement, entry => entry.IsCause);
        return first.ConvertAll(entry => new AnnotatorPair(own[entry.Key].Number, Conversation.LastQuestion(Conversation.Parse(texts[own[entry.Key].Prompt])), entry.Value.Weight, entry.Value.Explanations, verdicts.GetValueOrDefault(entry.Key),
            weighed.Pairs.Where(pair => pair.JudgementId == entry.Key || pair.Others().Contains(entry.Key)).MinBy(pair => pair.RankBy(by) ?? int.MaxValue)!.ExplanationId)); // it has a weight
    }
}
