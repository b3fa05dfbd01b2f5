using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Explanations;
using Portal.Data.Serving;
using Portal.Data.Unlearning;
using Portal.Web.Accounts;
using Portal.Web.Shell;

namespace Portal.Web.Unlearning;

/// <summary>Asks the engine what forgetting some pairs would do. Stores nothing.</summary>
[Needs(Permission.Review)]
public sealed class PreviewUnlearning(IDbContextFactory<PortalDbContext> contexts, Access access, EngineClient engine)
{
    public async Task<Outcome<UnlearningPreview>> Handle(ClaimsPrincipal user, ExplanationId explanation, IReadOnlyList<JudgementId> judgements, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        return await Ask(db, engine, explanation, judgements, stop);
    }

    /// <summary>For handlers that have checked who asks.</summary>
    internal static async Task<Outcome<UnlearningPreview>> Ask(PortalDbContext db, EngineClient engine, ExplanationId id, IReadOnlyList<JudgementId> judgements, CancellationToken stop)
    {
        var found = CheckedUnlearning.Find(db, id, judgements);
        if (found.Refusal is { } refusal)
            return refusal;
        var (explanation, model, all, of) = found.Value;
        var effect = await engine.PreviewRemoval(new RemovalPreviewRequest($"{model.Id}", [.. all.Select(judgement => judgement.Value)]), stop);
        if (effect.Refusal is { } unseen)
            return unseen;
        var fall = await db.ExplainingPairs.Where(p => p.ExplanationId == id && judgements.Contains(p.JudgementId)).SumAsync(p => p.Influence, stop);
        return new UnlearningPreview(effect.Value, fall, await OthersExplained(db, explanation, all, stop), all.Count > UnlearningRequest.ShareForOneApproval * of ? 2 : 1);
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
