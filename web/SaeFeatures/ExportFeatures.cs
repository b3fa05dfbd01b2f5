using System.Runtime.CompilerServices;
using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.SaeFeatures;
using Portal.Web.Accounts;

namespace Portal.Web.SaeFeatures;

/// <summary>The table of features as a file: all features that fit the filter, by number, read in batches by key.</summary>
[Needs(Permission.Review)]
public sealed class ExportFeatures(IDbContextFactory<PortalDbContext> contexts, Access access, FeatureRanks ranks)
{
    private const int BatchRows = 1_000;

    private static readonly string[] Columns =
    [
        "feature", "label", "label_detection", "label_fuzzing", "label_scored_on", "firing_at_end", "share_at_end", "firing_at_sentence", "share_at_sentence", "activation_max",
        "activation_mean", "head_weight", "contribution_mean", "gap_contribution", "pairs_differing", "reward_auc", "selection_score", "selection_rank", "selection_p",
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
            return new Problem("model", "There is no reward model with described features at this address.", ProblemKind.NotFound);
        return new TableFile($"features-reward-model-v{version.Number}", Columns, Rows(features, filter, await ranks.Of(db, features.Description.Id, stop)));
    }

    private async IAsyncEnumerable<IReadOnlyList<object?>> Rows(DescribedFeatures features, FeatureFilter filter, RankedFeatures ranked, [EnumeratorCancellation] CancellationToken stop = default)
    {
        var description = features.Description;
        for (var last = -1; ;)
        {
            await using var db = await contexts.CreateDbContextAsync(stop);
            var batch = await FeatureTable.Matching(db, features, filter).Where(f => f.Latent > last).OrderBy(f => f.Latent).Take(BatchRows).ToListAsync(stop);
            var labels = await FeatureLabels.Of(db, features.Root, batch.ConvertAll(f => f.Latent), stop);
            foreach (var row in batch.Select(f => FeatureTable.RowOf(f, features, labels, ranked)))
                yield return
                [
                    row.Latent, row.Label?.Text, row.Label?.Detection, row.Label?.Fuzzing, row.Label?.ScoredOn, row.FiringAtEnd, Share(row.FiringAtEnd, description.Responses),
                    row.FiringAtSentence, Share(row.FiringAtSentence, description.SentenceEnds), row.ActivationMax, row.ActivationMean, row.HeadWeight, row.ContributionMean,
                    row.GapContribution, row.PairsDiffering, row.RewardAuc, row.Selection?.Score, row.Selection?.Rank, row.Selection?.P, row.Selection?.Q, row.Residual?.Score,
                    row.Residual?.Rank, row.Residual?.P, row.Residual?.Q,
                ];
            if (batch.Count < BatchRows)
                yield break;
            last = batch[^1].Latent;
        }
    }

    private static double? Share(int firing, int of) => of > 0 ? (double)firing / of : null;
}
