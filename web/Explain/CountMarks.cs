using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Explanations;
using Portal.Web.Accounts;
using Portal.Web.Components;

namespace Portal.Web.Explain;

/// <summary>How often a method's first pairs were what was wrong, as reviewers found who read them.</summary>
/// <param name="First">Pairs among the first ten of an explanation, over all explanations that were added up.</param>
/// <param name="Causes">Of those, found to be the wrong way round or bad content.</param>
/// <param name="Fine">Found fine.</param>
/// <param name="Open">Marked, but undecided: unsure, or as many said one as the other.</param>
public sealed record MarkedPrecision(AttributionMethod Method, int First, int Causes, int Fine, int Open)
{
    /// <summary>Fewer decided pairs than this say nothing about a method.</summary>
    public const int DecidedMin = 5;

    public int Decided => Causes + Fine;

    /// <summary>Causes of all decided, with Wilson's 95 % interval; null below <see cref="DecidedMin"/>. Pairs of one explanation are not independent, so it is rather too narrow.</summary>
    public Measure? Precision => Decided < DecidedMin ? null : WilsonInterval.Of(Causes, Decided);
}

/// <summary>
/// Precision in production: of the pairs that each method puts first, how many did reviewers find to be a cause? The newest mark of each reviewer counts; the majority decides a pair of an explanation.
/// </summary>
/// <remarks>Reviewers read what a page shows, so a method that is shown first has more marks; a pair that nobody read is no part of it. Source: specs/xrlhf.md §5.2, §6.1.</remarks>
[Needs(Permission.Review)]
public sealed class CountMarks(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    /// <param name="model">The reward model whose explanations are counted; the newest <see cref="WeighedExplanations.ExplanationsMax"/>.</param>
    /// <returns>One row a method that is kept with explanations; none where nothing is marked.</returns>
    public async Task<Outcome<IReadOnlyList<MarkedPrecision>>> Handle(ClaimsPrincipal user, ProjectId project, ModelVersionId model, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        // Over the index (RewardModelId, At).
        var newest = db.Explanations.AsNoTracking().Where(e => e.ProjectId == project && e.RewardModelId == model).OrderByDescending(e => e.At).ThenByDescending(e => e.Id).Take(WeighedExplanations.ExplanationsMax).Select(e => e.Id);
        var marks = await db.PairMarks.AsNoTracking().Where(m => newest.Contains(m.ExplanationId)).OrderBy(m => m.At).ThenBy(m => m.Id).Select(m => new { m.ExplanationId, m.JudgementId, m.By, m.Verdict }).ToListAsync(stop);
        if (marks.Count == 0)
            return Array.Empty<MarkedPrecision>();
        var verdicts = marks.GroupBy(m => (m.ExplanationId, m.JudgementId)).ToDictionary(pair => pair.Key, pair => IsCause([.. pair.GroupBy(m => m.By).Select(own => own.Last().Verdict)]));
        var first = await db.ExplainingPairs.AsNoTracking()
            .Where(p => newest.Contains(p.ExplanationId) && (p.ProjectionRank <= ExplanationRules.FirstPairs || p.InfluenceRank <= ExplanationRules.FirstPairs || p.NearestRank <= ExplanationRules.FirstPairs || p.CosineRank <= ExplanationRules.FirstPairs)).ToListAsync(stop);
        return ExplainWords.Methods.Select(method =>
        {
            var own = first.Where(pair => pair.RankBy(method) is <= ExplanationRules.FirstPairs).ToList();
            var found = own.Where(pair => verdicts.ContainsKey((pair.ExplanationId, pair.JudgementId))).Select(pair => verdicts[(pair.ExplanationId, pair.JudgementId)]).ToList();
            return new MarkedPrecision(method, own.Count, found.Count(cause => cause == true), found.Count(cause => cause == false), found.Count(cause => cause is null));
        }).ToList();
    }

    /// <summary>Whether more reviewers found the pair a cause than fine; null for as many, and where all are unsure.</summary>
    internal static bool? IsCause(IReadOnlyList<PairVerdict> verdicts)
    {
        var (causes, fine) = (verdicts.Count(verdict => verdict is PairVerdict.WrongLabel or PairVerdict.BadContent), verdicts.Count(verdict => verdict is PairVerdict.Fine));
        return causes == fine ? null : causes > fine;
    }
}
