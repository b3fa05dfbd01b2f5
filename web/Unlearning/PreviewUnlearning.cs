using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Explanations;
using Portal.Data.Serving;
using Portal.Data.Unlearning;
using Portal.Web.Shell;

namespace Portal.Web.Unlearning;

/// <summary>Asks the engine what forgetting some pairs, or changing them, would do, for handlers that have checked who asks and for what. Stores nothing.</summary>
internal static class PreviewUnlearning
{
    public static async Task<Outcome<UnlearningPreview>> Ask(PortalDbContext db, EngineClient engine, CheckedUnlearning of, UnlearningChoice choice, UnlearningAction action, CancellationToken stop)
    {
        var effect = await engine.PreviewRemoval(new RemovalPreviewRequest($"{of.Model.Id}", [.. of.Judgements.Select(judgement => judgement.Value)], action), stop);
        if (effect.Refusal is { } unseen)
            return unseen;
        // Of pairs that were judged alike, the one they are named by has the influence of all. Of most that a person gave it is not kept.
        var influence = choice.Annotator is not null ? (double?)null : await db.ExplainingPairs.Where(p => p.ExplanationId == of.Explanation.Id && of.Judgements.Contains(p.JudgementId)).SumAsync(p => p.Influence, stop);
        double? fall = action switch { UnlearningAction.Remove => influence, UnlearningAction.DownWeight => (1 - PairStanding.LessWeight) * influence, UnlearningAction.Relabel => null };
        return new UnlearningPreview(effect.Value, fall, await OthersExplained(db, of.Explanation, of.Judgements, stop), UnlearningRequest.ApprovalsFor(of.Judgements.Count, of.Of, of.Protected), of.Protected);
    }

    /// <summary>Responses besides this one that some of the pairs explain, under the same model.</summary>
    private static Task<int> OthersExplained(PortalDbContext db, Explanation explanation, IReadOnlyList<JudgementId> judgements, CancellationToken stop) =>
        // Over IX_ExplainingPairs_JudgementId.
        (from pair in db.ExplainingPairs
         where judgements.Contains(pair.JudgementId) && pair.Weight > 0
         join other in db.Explanations on pair.ExplanationId equals other.Id
         where other.RewardModelId == explanation.RewardModelId && other.ResponseId != explanation.ResponseId
         select other.ResponseId).Distinct().CountAsync(stop);
}
