using System.Collections.Concurrent;
using Microsoft.EntityFrameworkCore;
using Portal.Data;

namespace Portal.Web.SaeFeatures;

/// <summary>How many features of a description are alive, and where its selection puts those with support.</summary>
/// <param name="AtEnd">Features that fire at the end of some response, where the reward is read.</param>
/// <param name="OnlyAtSentences">Features that fire at ends of sentences only.</param>
/// <param name="Raw">1 for the largest |selection score|, by feature; equal scores share a place.</param>
/// <param name="Residual">The same with the reward's part taken off.</param>
public sealed record RankedFeatures(int AtEnd, int OnlyAtSentences, IReadOnlyDictionary<int, int> Raw, IReadOnlyDictionary<int, int> Residual);

/// <summary>
/// Ranks of whole descriptions, kept in memory: a rank needs all scores, a page shows fifty. Descriptions never change, so what was ranked once
/// stays right. Only features with support are held: 20 bytes each.
/// </summary>
/// <remarks>Permission is the calling handler's business.</remarks>
public sealed class FeatureRanks
{
    private const int KeptMax = 16;

    private readonly ConcurrentDictionary<FeatureDescriptionId, RankedFeatures> kept = new();

    /// <summary>Reads the scores of one description: one pass over its rows the first time, nothing afterwards.</summary>
    public async Task<RankedFeatures> Of(PortalDbContext db, FeatureDescriptionId description, CancellationToken stop)
    {
        if (kept.TryGetValue(description, out var known))
            return known;
        var features = db.SaeFeatures.AsNoTracking().Where(f => f.DescriptionId == description);
        var alive = await features.GroupBy(f => f.FiringAtEnd > 0).Select(g => new { AtEnd = g.Key, Count = g.Count(f => f.FiringAtEnd > 0 || f.FiringAtSentence > 0) }).ToListAsync(stop);
        var scored = await features.Where(f => f.SelectionScore != null || f.ResidualScore != null).Select(f => new { f.Latent, f.SelectionScore, f.ResidualScore }).ToListAsync(stop);
        var ranked = new RankedFeatures(alive.Where(a => a.AtEnd).Sum(a => a.Count), alive.Where(a => !a.AtEnd).Sum(a => a.Count),
            Places(scored.Where(f => f.SelectionScore is not null).Select(f => (f.Latent, Math.Abs(f.SelectionScore!.Value)))), // filtered
            Places(scored.Where(f => f.ResidualScore is not null).Select(f => (f.Latent, Math.Abs(f.ResidualScore!.Value))))); // filtered
        if (kept.Count >= KeptMax)
            kept.Clear(); // old descriptions are seldom looked at
        kept[description] = ranked;
        return ranked;
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
