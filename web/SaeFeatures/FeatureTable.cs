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

/// <summary>Queries of the table. They read rows of one description only, which the primary key (DescriptionId, Latent) finds.</summary>
internal static class FeatureTable
{
    public const int RowsMax = 50;
    public const int FindLengthMax = 100;

    /// <summary>False discovery rate up to which a selection is called significant.</summary>
    public const double DiscoveryMax = 0.05;

    /// <summary>The features that fit, not yet in order.</summary>
    public static IQueryable<SaeFeature> Matching(PortalDbContext db, DescribedFeatures of, FeatureFilter filter)
    {
        var description = of.Description.Id;
        var features = db.SaeFeatures.AsNoTracking().Where(f => f.DescriptionId == description);
        features = filter.Fires switch
        {
            FeatureFires.End => features.Where(f => f.FiringAtEnd > 0),
            FeatureFires.Sentence => features.Where(f => f.FiringAtEnd == 0 && f.FiringAtSentence > 0),
            FeatureFires.Dead => features.Where(f => f.FiringAtEnd == 0 && f.FiringAtSentence == 0),
            FeatureFires.All => features,
        };
        if (filter.Significant)
            features = features.Where(f => f.ResidualQ != null && f.ResidualQ <= DiscoveryMax);
        var labels = FeatureLabels.Current(db, of.Root);
        if (filter.Labelled)
            features = features.Where(f => labels.Select(label => label.Latent).Contains(f.Latent)); // read once, where Any() would look for each feature's
        if (filter.Find?.Trim() is { Length: > 0 } find)
        {
            var words = find.ToLowerInvariant();
            var found = labels.Where(label => label.Text.ToLower().Contains(words)).Select(label => label.Latent);
            // One list, by which the primary key is searched; "or" would read all features.
            if (int.TryParse(find.TrimStart('#'), NumberStyles.None, CultureInfo.InvariantCulture, out var number))
                found = found.Concat(db.SaeFeatures.Where(f => f.DescriptionId == description && f.Latent == number).Select(f => f.Latent));
            features = features.Where(f => found.Contains(f.Latent));
        }
        return features;
    }

    /// <summary>The numbers of one page's features, in order, and of the first one after it where there is one. Ties by number, so that pages never overlap.</summary>
    /// <remarks>Only numbers are sorted: 65,000 rows with their histograms would fill the sorter of a page far down.</remarks>
    public static async Task<IReadOnlyList<int>> PageOf(PortalDbContext db, DescribedFeatures of, FeatureFilter filter, CancellationToken stop)
    {
        var matching = Matching(db, of, filter);
        var skipped = Math.Clamp(filter.Page, 0, 100_000) * RowsMax;
        if (filter.Sort is FeatureSort.Weight or FeatureSort.Contribution or FeatureSort.Gap && of.Factors.Count > 0)
            return await PageByWeight(matching, of, filter, skipped, stop);
        if (filter.Sort is not FeatureSort.Label)
            return await Ordered(matching, filter).Skip(skipped).Take(RowsMax + 1).Select(f => f.Latent).ToListAsync(stop);

        // Named ones first, of these the best tested first; then the others by number. A label and a number for each named feature are held here.
        var labels = FeatureLabels.Current(db, of.Root);
        var named = await (from label in labels join f in matching on label.Latent equals f.Latent select new { f.Latent, label.Detection }).ToListAsync(stop);
        var first = (filter.Ascending ? named.OrderBy(n => n.Detection ?? 0) : named.OrderByDescending(n => n.Detection ?? 0)).ThenBy(n => n.Latent).Select(n => n.Latent)
            .Skip(skipped).Take(RowsMax + 1).ToList();
        return first.Count > RowsMax ? first :
        [
            .. first, .. await matching.Where(f => !labels.Select(label => label.Latent).Contains(f.Latent)).OrderBy(f => f.Latent).Skip(Math.Max(0, skipped - named.Count)).Take(RowsMax + 1 - first.Count)
                .Select(f => f.Latent).ToListAsync(stop),
        ];
    }

    /// <summary>
    /// The same by a number that toggles changed for some features. Those are put in order here, between the others that the database has put in order: of these it takes as many more
    /// before and behind the page as there are changed ones, so that none is missing wherever they fall.
    /// </summary>
    private static async Task<IReadOnlyList<int>> PageByWeight(IQueryable<SaeFeature> matching, DescribedFeatures of, FeatureFilter filter, int skipped, CancellationToken stop)
    {
        var changed = of.Factors.Keys.ToList();
        var from = Math.Max(0, skipped - changed.Count);
        var others = await Weights(Ordered(matching.Where(f => !changed.Contains(f.Latent)), filter).Skip(from).Take(RowsMax + 1 + changed.Count)).ToListAsync(stop);
        var all = others.Concat(await Weights(matching.Where(f => changed.Contains(f.Latent))).ToListAsync(stop));
        return [.. (filter.Ascending ? all.OrderBy(Size) : all.OrderByDescending(Size)).ThenBy(f => f.Latent).Skip(skipped - from).Take(RowsMax + 1).Select(f => f.Latent)];

        double Size(Weighted f) => Math.Abs(of.Factor(f.Latent) * (filter.Sort is FeatureSort.Weight ? f.Weight : filter.Sort is FeatureSort.Contribution ? f.Contribution : f.Gap));

        static IQueryable<Weighted> Weights(IQueryable<SaeFeature> features) => features.Select(f => new Weighted(f.Latent, f.HeadWeight, f.ContributionMean, f.GapContribution));
    }

    private sealed record Weighted(int Latent, double Weight, double Contribution, double Gap);

    /// <summary>The rows of these features, in this order.</summary>
    public static async Task<IReadOnlyList<FeatureRow>> Rows(PortalDbContext db, DescribedFeatures of, IReadOnlyList<int> latents, RankedFeatures ranks, CancellationToken stop)
    {
        var description = of.Description.Id;
        var features = await db.SaeFeatures.AsNoTracking().Where(f => f.DescriptionId == description && latents.Contains(f.Latent)).ToDictionaryAsync(f => f.Latent, stop);
        var labels = await FeatureLabels.Of(db, of.Root, latents, stop);
        return [.. latents.Where(features.ContainsKey).Select(latent => RowOf(features[latent], of, labels, ranks))];
    }

    private static IOrderedQueryable<SaeFeature> Ordered(IQueryable<SaeFeature> features, FeatureFilter filter)
    {
        var up = filter.Ascending;
        return (filter.Sort switch
        {
            FeatureSort.Latent or FeatureSort.Label => up ? features.OrderBy(f => f.Latent) : features.OrderByDescending(f => f.Latent),
            FeatureSort.Firing => up ? features.OrderBy(f => f.FiringAtEnd) : features.OrderByDescending(f => f.FiringAtEnd),
            FeatureSort.Sentence => up ? features.OrderBy(f => f.FiringAtSentence) : features.OrderByDescending(f => f.FiringAtSentence),
            FeatureSort.Weight => up ? features.OrderBy(f => Math.Abs(f.HeadWeight)) : features.OrderByDescending(f => Math.Abs(f.HeadWeight)),
            FeatureSort.Contribution => up ? features.OrderBy(f => Math.Abs(f.ContributionMean)) : features.OrderByDescending(f => Math.Abs(f.ContributionMean)),
            FeatureSort.Gap => up ? features.OrderBy(f => Math.Abs(f.GapContribution)) : features.OrderByDescending(f => Math.Abs(f.GapContribution)),
            FeatureSort.Pairs => up ? features.OrderBy(f => f.PairsDiffering) : features.OrderByDescending(f => f.PairsDiffering),
            FeatureSort.Selection => ByScore(features.OrderBy(f => f.SelectionScore == null)),
            FeatureSort.Residual => ByResidual(features.OrderBy(f => f.ResidualScore == null)),
            FeatureSort.Auc => ByAuc(features.OrderBy(f => f.RewardAuc == null)),
        }).ThenBy(f => f.Latent);

        IOrderedQueryable<SaeFeature> ByScore(IOrderedQueryable<SaeFeature> first) =>
            up ? first.ThenBy(f => Math.Abs(f.SelectionScore ?? 0)) : first.ThenByDescending(f => Math.Abs(f.SelectionScore ?? 0));

        IOrderedQueryable<SaeFeature> ByResidual(IOrderedQueryable<SaeFeature> first) =>
            up ? first.ThenBy(f => Math.Abs(f.ResidualScore ?? 0)) : first.ThenByDescending(f => Math.Abs(f.ResidualScore ?? 0));

        IOrderedQueryable<SaeFeature> ByAuc(IOrderedQueryable<SaeFeature> first) => up ? first.ThenBy(f => f.RewardAuc) : first.ThenByDescending(f => f.RewardAuc);
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
