using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Explanations;
using Portal.Data.Registry;
using Portal.Data.Unlearning;
using Portal.Web.Accounts;
using Portal.Web.Shell;

namespace Portal.Web.Unlearning;

/// <summary>What a request would be, before it is one.</summary>
/// <param name="Action">That was asked for, or that the reviewers' marks suggest.</param>
/// <param name="Preview">What it would do; null while the engine cannot say, with <paramref name="Why"/>.</param>
public sealed record ChosenPairs(ModelVersion Model, UnlearningAction Action, IReadOnlyList<ForgottenPair> Pairs, int Judgements, int Of, UnlearningPreview? Preview, Refusal? Why);

/// <summary>Shows pairs that somebody chose on an explanation, and what forgetting them, or changing them, would do.</summary>
[Needs(Permission.Review)]
public sealed class ChooseUnlearning(IDbContextFactory<PortalDbContext> contexts, Access access, EngineClient engine)
{
    /// <param name="action">Null: turned round where the newest mark of every pair says that it is the wrong way round; removed otherwise.</param>
    public async Task<Outcome<ChosenPairs>> Handle(ClaimsPrincipal user, ExplanationId explanation, UnlearningChoice choice, UnlearningAction? action, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        var wanted = action ?? await Suggested(db, explanation, choice.Pairs, stop);
        var found = CheckedUnlearning.Find(db, explanation, choice, wanted);
        if (found.Refusal is { } unusable)
            return unusable;
        var (of, model, all, count, _) = found.Value;
        var preview = await PreviewUnlearning.Ask(db, engine, found.Value, choice, wanted, stop);
        return new ChosenPairs(model, wanted, await ShowUnlearning.Pairs(db, model, of.DatasetVersionId, all, stop), all.Count, count, preview.Refusal is null ? preview.Value : null, preview.Refusal);
    }

    private static async Task<UnlearningAction> Suggested(PortalDbContext db, ExplanationId explanation, IReadOnlyList<JudgementId> judgements, CancellationToken stop)
    {
        var marks = await db.PairMarks.AsNoTracking().Where(m => m.ExplanationId == explanation && judgements.Contains(m.JudgementId)).OrderBy(m => m.At).ThenBy(m => m.Id).ToListAsync(stop);
        var newest = marks.GroupBy(mark => mark.JudgementId).ToDictionary(group => group.Key, group => group.Last().Verdict);
        return judgements.Count > 0 && judgements.All(judgement => newest.TryGetValue(judgement, out var verdict) && verdict is PairVerdict.WrongLabel) ? UnlearningAction.Relabel : UnlearningAction.Remove;
    }
}
