using System.Runtime.CompilerServices;
using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.SaeFeatures;
using Portal.Data.Serving;
using Portal.Web.Accounts;
using Portal.Web.Api;
using Portal.Web.Shell;

namespace Portal.Web.SaeFeatures;

/// <summary>The table of features as a file: all features that fit the filter, by number, read in batches by key; or those that fire on a typed text.</summary>
/// <remarks>Intervals are empty where the feature says something in too few prompts, and where the engine did not answer: a file is not refused for that.</remarks>
[Needs(Permission.Review)]
public sealed class ExportFeatures(IDbContextFactory<PortalDbContext> contexts, Access access, FeatureRanks ranks, EngineClient engine, ShowFeatures show)
{
    private const int BatchRows = FeatureEffectsRequest.LatentsMax;

    private static readonly Problem Unknown = new("model", "There is no reward model with described features at this address.", ProblemKind.NotFound);

    private static readonly string[] Columns =
    [
        "feature", "label", "label_detection", "label_fuzzing", "label_scored_on", "firing_at_end", "share_at_end", "firing_at_sentence", "share_at_sentence", "activation_max",
        "activation_mean", "head_weight", "contribution_mean", "contribution_low", "contribution_high", "gap_contribution", "gap_low", "gap_high", "pairs_differing", "prompts_differing", "reward_auc", "selection_score", "selection_rank", "selection_p",
        "selection_q", "residual_score", "residual_rank", "residual_p", "residual_q",
    ];

    public async Task<Outcome<TableFile>> Handle(ClaimsPrincipal user, ModelVersionId model, FeatureFilter filter, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        if (filter.Find?.Length > FeatureTable.FindLengthMax)
            return new Problem("find", $"The search has {filter.Find.Length} characters; {FeatureTable.FindLengthMax} are enough for a label.");
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (await db.ModelVersions.AsNoTracking().FirstOrDefaultAsync(v => v.Id == model, stop) is not { } version
            || await DescribedFeatures.Of(db, version, stop) is not { } features)
            return Unknown;
        var ranked = await ranks.Of(db, features.Description.Id, stop);
        return new TableFile($"features-reward-model-v{version.Number}", Columns, Rows(model, features, [.. (await FeatureTable.Matching(db, features, filter, ranks, stop)).Select(f => f.Latent)], ranked));
    }

    /// <summary>The features that fire at the end of a typed text, strongest first. The text itself is not in the file.</summary>
    public async Task<Outcome<TableFile>> Found(ClaimsPrincipal user, ModelVersionId model, string? typed, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        if (string.IsNullOrWhiteSpace(typed))
            return new Problem("typed", "Type a text to search with.");
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (await db.ModelVersions.AsNoTracking().FirstOrDefaultAsync(v => v.Id == model, stop) is not { } version)
            return Unknown;
        var shown = await show.Handle(user, version.ProjectId, model, new FeatureFilter(), typed, stop);
        if ((shown.Refusal ?? shown.Value.Search) is { } why)
            return why;
        return shown.Value.Description is { } description
            ? TableFile.Of($"features-on-a-text-reward-model-v{version.Number}", ["activation_on_text", .. Columns], shown.Value.Rows.Select(row => (IReadOnlyList<object?>)[row.Here, .. Cells(description, row)]))
            : Unknown;
    }

    private async IAsyncEnumerable<IReadOnlyList<object?>> Rows(ModelVersionId model, DescribedFeatures features, IReadOnlyList<int> latents, RankedFeatures ranked,
        [EnumeratorCancellation] CancellationToken stop = default)
    {
        Refusal? silent = null;
        foreach (var batch in latents.Chunk(BatchRows))
        {
            await using var db = await contexts.CreateDbContextAsync(stop);
            var rows = await FeatureTable.Rows(db, features, batch, ranked, stop);
            if (silent is null) // an engine that does not answer is not waited for again and again
                (rows, silent) = await FeatureIntervals.Add(engine, model, rows, stop);
            foreach (var row in rows)
                yield return Cells(features.Description, row);
        }
    }

    private static IReadOnlyList<object?> Cells(FeatureDescription description, FeatureRow row) =>
    [
        row.Latent, row.Label?.Text, row.Label?.Detection, row.Label?.Fuzzing, row.Label?.ScoredOn, row.FiringAtEnd, Share(row.FiringAtEnd, description.Responses),
        row.FiringAtSentence, Share(row.FiringAtSentence, description.SentenceEnds), row.ActivationMax, row.ActivationMean, row.HeadWeight, row.ContributionMean, row.Effect?.Contribution?.Low,
        row.Effect?.Contribution?.High, row.GapContribution, row.Effect?.Gap?.Low, row.Effect?.Gap?.High, row.PairsDiffering, row.Effect?.PromptsDiffering, row.RewardAuc, row.Selection?.Score,
        row.Selection?.Rank, row.Selection?.P, row.Selection?.Q, row.Residual?.Score, row.Residual?.Rank, row.Residual?.P, row.Residual?.Q,
    ];

    private static double? Share(int firing, int of) => of > 0 ? (double)firing / of : null;
}
