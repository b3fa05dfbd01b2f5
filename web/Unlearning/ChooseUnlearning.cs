using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Registry;
using Portal.Data.Unlearning;
using Portal.Web.Accounts;
using Portal.Web.Shell;

namespace Portal.Web.Unlearning;

/// <summary>What a request would be, before it is one.</summary>
/// <param name="Preview">What it would do; null while the engine cannot say, with <paramref name="Why"/>.</param>
public sealed record ChosenPairs(ModelVersion Model, IReadOnlyList<ForgottenPair> Pairs, int Judgements, int Of, UnlearningPreview? Preview, Refusal? Why);

/// <summary>Shows pairs that somebody chose on an explanation, and what forgetting them would do.</summary>
[Needs(Permission.Review)]
public sealed class ChooseUnlearning(IDbContextFactory<PortalDbContext> contexts, Access access, EngineClient engine)
{
    public async Task<Outcome<ChosenPairs>> Handle(ClaimsPrincipal user, ExplanationId explanation, IReadOnlyList<JudgementId> judgements, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        var found = CheckedUnlearning.Find(db, explanation, judgements);
        if (found.Refusal is { } unusable)
            return unusable;
        var (of, model, all, count, _) = found.Value;
        var preview = await PreviewUnlearning.Ask(db, engine, found.Value, stop);
        return new ChosenPairs(model, await ShowUnlearning.Pairs(db, of.DatasetVersionId, all, stop), all.Count, count, preview.Refusal is null ? preview.Value : null, preview.Refusal);
    }
}
