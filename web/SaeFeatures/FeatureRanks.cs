using System.Collections.Concurrent;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.SaeFeatures;

namespace Portal.Web.SaeFeatures;

/// <summary>The numbers of one feature that the table is sorted and filtered by; the members are those of <see cref="SaeFeature"/>.</summary>
public readonly record struct FeatureKeys(int Latent, int FiringAtEnd, int FiringAtSentence, double HeadWeight, double ContributionMean, double GapContribution, int PairsDiffering, double? RewardAuc,
    double? SelectionScore, double? ResidualScore, double? ResidualQ);

/// <summary>How many features of a description are alive, and where its selection puts those with support.</summary>
/// <param name="Keys">Of all features, by number.</param>
/// <param name="AtEnd">Features that fire at the end of some response, where the reward is read.</param>
/// <param name="OnlyAtSentences">Features that fire at ends of sentences only.</param>
/// <param name="Raw">1 for the largest |selection score|, by feature; equal scores share a place.</param>
/// <param name="Residual">The same with the reward's part taken off.</param>
public sealed record RankedFeatures(IReadOnlyList<FeatureKeys> Keys, int AtEnd, int OnlyAtSentences, IReadOnlyDictionary<int, int> Raw, IReadOnlyDictionary<int, int> Residual);

/// <summary>
/// Keys and ranks of whole descriptions, and which features have a label, kept in memory: an order or a rank needs the numbers of all features, a page shows fifty rows, and a row in the database is forty times as long as its
/// keys. Descriptions never change, and labels only become more, so what was read once stays right until there are more of them. Some 200 bytes a feature.
/// </summary>
/// <remarks>Permission is the calling handler's business.</remarks>
public sealed class FeatureRanks
{
    /// <summary>Features in memory at most, of all descriptions together; the largest description alone may be more.</summary>
    private const int KeptMax = 300_000;

    private readonly ConcurrentDictionary<FeatureDescriptionId, RankedFeatures> kept = new();
    private readonly ConcurrentDictionary<ModelVersionId, (int Rows, IReadOnlyDictionary<int, double> Tested)> labelled = new();

    /// <summary>Reads the numbers of one description: one pass over its rows the first time, nothing afterwards.</summary>
    public async Task<RankedFeatures> Of(PortalDbContext db, FeatureDescriptionId description, CancellationToken stop)
    {
        if (kept.TryGetValue(description, out var known))
            return known;
        var keys = await db.SaeFeatures.AsNoTracking().Where(f => f.DescriptionId == description).OrderBy(f => f.Latent).Select(f => new FeatureKeys(f.Latent, f.FiringAtEnd, f.FiringAtSentence, f.HeadWeight,
            f.ContributionMean, f.GapContribution, f.PairsDiffering, f.RewardAuc, f.SelectionScore, f.ResidualScore, f.ResidualQ)).ToListAsync(stop);
        var ranked = new RankedFeatures(keys, keys.Count(f => f.FiringAtEnd > 0), keys.Count(f => f is { FiringAtEnd: 0, FiringAtSentence: > 0 }),
            Places(keys.Where(f => f.SelectionScore is not null).Select(f => (f.Latent, Math.Abs(f.SelectionScore!.Value)))), // filtered
            Places(keys.Where(f => f.ResidualScore is not null).Select(f => (f.Latent, Math.Abs(f.ResidualScore!.Value))))); // filtered
        if (kept.Values.Sum(one => one.Keys.Count) + keys.Count > KeptMax)
            kept.Clear(); // old descriptions are seldom looked at
        kept[description] = ranked;
        return ranked;
    }

    /// <summary>The features of a model that have a label, each with how well that detects; 0 where it was not tested. Counting the labels (index only) says whether those in memory still hold.</summary>
    /// <param name="root">The version that labels belong to.</param>
    public async Task<IReadOnlyDictionary<int, double>> Labelled(PortalDbContext db, ModelVersionId root, CancellationToken stop)
    {
        var rows = await db.FeatureLabels.CountAsync(label => label.ModelVersionId == root, stop);
        if (labelled.TryGetValue(root, out var known) && known.Rows == rows)
            return known.Tested;
        var tested = await FeatureLabels.Current(db, root).Select(label => new { label.Latent, Detection = label.Detection ?? 0 }).ToDictionaryAsync(label => label.Latent, label => label.Detection, stop);
        if (labelled.Values.Sum(one => one.Tested.Count) + tested.Count > KeptMax)
            labelled.Clear();
        labelled[root] = (rows, tested);
        return tested;
    }

    /// <summary>Places by size, largest first: 1, 2, 2, 4.</summary>
    internal static IReadOnlyDictionary<int, int> Places(IEnumerable<(int Latent, double Size)> scores)
    {
        var places = new Dictionary<int, int>();
        var (place, seen, last) = (0, 0, double.NaN);
        foreach (var (latent, size) in scores.OrderByDescending(score => score.Size).ThenBy(score => score.Latent))
        {
            seen++;
            if (size != last)
                (place, last) = (seen, size);
            places[latent] = place;
        }
        return places;
    }
}
