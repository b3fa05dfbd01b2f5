using System.Globalization;
using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.SaeFeatures;
using Portal.Data.Serving;

namespace Portal.Web.SaeFeatures;

/// <summary>Where a feature fires.</summary>
public enum FeatureFires
{
    /// <summary>At the end of some response: it can touch the reward.</summary>
    End,

    /// <summary>At ends of sentences inside responses and never at the end.</summary>
    Sentence,

    /// <summary>Nowhere.</summary>
    Dead,

    /// <summary>Anywhere or nowhere.</summary>
    All,
}

/// <summary>What the table of features can be sorted by. Scores and contributions count by size, whatever their sign.</summary>
public enum FeatureSort { Residual, Selection, Latent, Label, Firing, Sentence, Weight, Contribution, Gap, Pairs, Auc }

/// <summary>Which features, in which order.</summary>
/// <param name="Labelled">Only those with a label.</param>
/// <param name="Significant">Only those whose score at equal reward has a false discovery rate of at most <see cref="FeatureTable.DiscoveryMax"/>.</param>
/// <param name="Find">Part of a label, or the number of a feature ("402" or "#402"); null for all.</param>
/// <param name="Ascending">Smallest first; without it largest first. Features that have no such value come last.</param>
/// <param name="Page">0-based.</param>
public sealed record FeatureFilter(FeatureFires Fires = FeatureFires.End, bool Labelled = false, bool Significant = false, string? Find = null,
    FeatureSort Sort = FeatureSort.Gap, bool Ascending = false, int Page = 0);

/// <summary>A selection score with its place among all that have one.</summary>
/// <param name="Q">False discovery rate; null where no permutation was made.</param>
public sealed record RankedScore(double Score, double? P, double? Q, int Rank);

/// <summary>One feature as the table shows it. Weight, contribution and gap are of the version shown; AUC and scores rest on the rewards of the version that was described.</summary>
/// <param name="Label">Null where nobody has named it.</param>
/// <param name="Here">Its activation on the text that was searched with; null where none was.</param>
/// <param name="Effect">How sure its means are; null where the engine was not asked or did not say.</param>
public sealed record FeatureRow(int Latent, FeatureLabel? Label, int FiringAtEnd, int FiringAtSentence, double ActivationMax, double ActivationMean, double HeadWeight,
    double ContributionMean, double GapContribution, int PairsDiffering, double? RewardAuc, RankedScore? Selection, RankedScore? Residual, ActivationHistogram Histogram,
    double? Here = null, FeatureEffect? Effect = null)
{
    /// <summary>AUC this far from 0.5 says that a feature goes with high (or low) reward: the spec's exposed example had 0.97.</summary>
    public const double AucExtreme = 0.4;

    /// <summary>Responses on which it must fire before its AUC says anything: of features that fire on one or two at random, every fifth has an extreme one; on ten, an extreme one is over four standard errors away.</summary>
    public const int AucFiringMin = 10;

    /// <summary>It fires almost only on responses of high, or of low, reward. A detector of the reward does that, and so does what the reward is paid for: this cannot tell them apart.</summary>
    public bool FollowsReward => FiringAtEnd >= AucFiringMin && RewardAuc is { } auc && Math.Abs(auc - 0.5) >= AucExtreme;

    /// <summary>It fires inside responses and never where the reward is read.</summary>
    public bool NeverTouchesReward => FiringAtEnd == 0 && FiringAtSentence > 0;
}

/// <summary>Which features the table shows, in which order: told from the keys in memory; rows are read by primary key (DescriptionId, Latent) for one page only.</summary>
internal static class FeatureTable
{
    public const int RowsMax = 50;
    public const int FindLengthMax = 100;

    /// <summary>False discovery rate up to which a selection is called significant.</summary>
    public const double DiscoveryMax = 0.05;

    /// <summary>The features that fit, by number. Labels are asked of the database where the filter is about them.</summary>
    public static async Task<IReadOnlyList<FeatureKeys>> Matching(PortalDbContext db, DescribedFeatures of, FeatureFilter filter, FeatureRanks ranks, CancellationToken stop)
    {
        IEnumerable<FeatureKeys> features = (await ranks.Of(db, of.Description.Id, stop)).Keys;
        features = filter.Fires switch
        {
            FeatureFires.End => features.Where(f => f.FiringAtEnd > 0),
            FeatureFires.Sentence => features.Where(f => f is { FiringAtEnd: 0, FiringAtSentence: > 0 }),
            FeatureFires.Dead => features.Where(f => f is { FiringAtEnd: 0, FiringAtSentence: 0 }),
            FeatureFires.All => features,
        };
        if (filter.Significant)
            features = features.Where(f => f.ResidualQ <= DiscoveryMax);
        if (filter.Labelled)
        {
            var labelled = await ranks.Labelled(db, of.Root, stop);
            features = features.Where(f => labelled.ContainsKey(f.Latent));
        }
        if (filter.Find?.Trim() is { Length: > 0 } find)
        {
            var found = await FeatureLabels.Saying(db, of.Root, find).Select(label => label.Latent).ToHashSetAsync(stop);
            if (int.TryParse(find.TrimStart('#'), NumberStyles.None, CultureInfo.InvariantCulture, out var latent))
                found.Add(latent);
            features = features.Where(f => found.Contains(f.Latent));
        }
        return [.. features];
    }

    /// <summary>The numbers of one page's features, in order, and of the first one after it where there is one. Ties by number, so that pages never overlap.</summary>
    public static async Task<IReadOnlyList<int>> PageOf(PortalDbContext db, DescribedFeatures of, FeatureFilter filter, FeatureRanks ranks, CancellationToken stop)
    {
        var matching = await Matching(db, of, filter, ranks, stop);
        var tested = filter.Sort is FeatureSort.Label ? await ranks.Labelled(db, of.Root, stop) : new Dictionary<int, double>();
        return [.. Ordered(matching, of, filter, tested).Skip(Math.Clamp(filter.Page, 0, 100_000) * RowsMax).Take(RowsMax + 1).Select(f => f.Latent)];
    }

    /// <summary>The rows of these features, in this order.</summary>
    public static async Task<IReadOnlyList<FeatureRow>> Rows(PortalDbContext db, DescribedFeatures of, IReadOnlyList<int> latents, RankedFeatures ranks, CancellationToken stop)
    {
        var description = of.Description.Id;
        var features = await db.SaeFeatures.AsNoTracking().Where(f => f.DescriptionId == description && latents.Contains(f.Latent)).ToDictionaryAsync(f => f.Latent, stop);
        var labels = await FeatureLabels.Of(db, of.Root, latents, stop);
        return [.. latents.Where(features.ContainsKey).Select(latent => RowOf(features[latent], of, labels, ranks))];
    }

    /// <summary>Features without the value come last, whichever way the others go.</summary>
    /// <param name="tested">How well the labels of the named ones were tested.</param>
    private static IEnumerable<FeatureKeys> Ordered(IReadOnlyList<FeatureKeys> features, DescribedFeatures of, FeatureFilter filter, IReadOnlyDictionary<int, double> tested)
    {
        Func<FeatureKeys, double?> value = filter.Sort switch
        {
            FeatureSort.Latent => f => f.Latent,
            FeatureSort.Label => f => tested.TryGetValue(f.Latent, out var detection) ? detection : null,
            FeatureSort.Firing => f => f.FiringAtEnd,
            FeatureSort.Sentence => f => f.FiringAtSentence,
            FeatureSort.Weight => f => Math.Abs(of.Factor(f.Latent) * f.HeadWeight),
            FeatureSort.Contribution => f => Math.Abs(of.Factor(f.Latent) * f.ContributionMean),
            FeatureSort.Gap => f => Math.Abs(of.Factor(f.Latent) * f.GapContribution),
            FeatureSort.Pairs => f => f.PairsDiffering,
            FeatureSort.Selection => f => f.SelectionScore is { } score ? Math.Abs(score) : null,
            FeatureSort.Residual => f => f.ResidualScore is { } score ? Math.Abs(score) : null,
            FeatureSort.Auc => f => f.RewardAuc,
        };
        return features.OrderBy(f => value(f) is { } known ? filter.Ascending ? known : -known : double.PositiveInfinity).ThenBy(f => f.Latent);
    }

    /// <summary>Rows as the page shows them.</summary>
    public static FeatureRow RowOf(SaeFeature feature, DescribedFeatures of, IReadOnlyDictionary<int, FeatureLabel> labels, RankedFeatures ranks) => new(feature.Latent,
        labels.GetValueOrDefault(feature.Latent), feature.FiringAtEnd, feature.FiringAtSentence, feature.ActivationMax, feature.ActivationMean, of.Factor(feature.Latent) * feature.HeadWeight,
        of.Factor(feature.Latent) * feature.ContributionMean, of.Factor(feature.Latent) * feature.GapContribution, feature.PairsDiffering, feature.RewardAuc,
        feature.SelectionScore is { } raw ? new RankedScore(raw, feature.SelectionP, feature.SelectionQ, ranks.Raw.GetValueOrDefault(feature.Latent)) : null,
        feature.ResidualScore is { } left ? new RankedScore(left, feature.ResidualP, feature.ResidualQ, ranks.Residual.GetValueOrDefault(feature.Latent)) : null,
        Histogram(feature.HistogramJson));

    private static ActivationHistogram Histogram(string json)
    {
        try
        {
            return JsonSerializer.Deserialize<ActivationHistogram>(json) is { AtEnd: not null, AtSentence: not null } histogram ? histogram : new(0, [], []);
        }
        catch (JsonException)
        {
            return new(0, [], []); // a dead feature may have none
        }
    }
}
