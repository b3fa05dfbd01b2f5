using Portal.Data.SaeFeatures;
using Portal.Engine.Statistics;

namespace Portal.Engine.Sae;

/// <summary>A place that was chosen to show a feature.</summary>
/// <param name="Place">Number of the place.</param>
/// <param name="Band">See <see cref="FeatureContext.Band"/>.</param>
public readonly record struct PickedContext(int Place, int Band, double Activation);

/// <summary>
/// Which places show a feature: the strongest, and, because those flatter it, as many again from each part of its range.
/// </summary>
/// <remarks>
/// Of places with the same text only the strongest counts for the top, and one for a quarter. A quarter's are those with the least hash under the seed: a fair draw among
/// different texts that needs no second look and does not depend on their order.
/// </remarks>
public static class FeatureContextPicker
{
    private const int Quarters = 4;

    /// <summary>Chooses for one latent at one kind of position.</summary>
    /// <param name="candidates">Places where it fires and how strongly (above 0), all of one kind.</param>
    /// <param name="hashes">Text hash of every place.</param>
    /// <param name="top">N; half as many come from each quarter.</param>
    /// <param name="seed">Of the draw.</param>
    /// <returns>Band by band, strongest first.</returns>
    public static IReadOnlyList<PickedContext> Pick(IReadOnlyList<(int Place, float Activation)> candidates, Func<int, ulong> hashes, int top, ulong seed)
    {
        if (candidates.Count == 0)
            return [];
        var picked = new List<PickedContext>();
        var seen = new HashSet<ulong>();
        var rest = new List<(int Place, float Activation)>();
        foreach (var candidate in candidates.OrderByDescending(one => one.Activation).ThenBy(one => one.Place))
        {
            if (picked.Count == top)
                rest.Add(candidate);
            else if (seen.Add(hashes(candidate.Place)))
                picked.Add(new PickedContext(candidate.Place, 0, candidate.Activation));
        }
        var highest = candidates.Max(candidate => candidate.Activation);
        var quarters = rest.Where(candidate => !seen.Contains(hashes(candidate.Place))).GroupBy(candidate => QuarterOf(candidate.Activation, highest)).OrderBy(quarter => quarter.Key);
        foreach (var quarter in quarters)
        {
            var drawn = quarter.DistinctBy(candidate => hashes(candidate.Place)).Select(candidate => (candidate, Order: Draw(hashes(candidate.Place), seed)))
                .OrderBy(one => one.Order).Take(top / 2).Select(one => one.candidate);
            picked.AddRange(drawn.OrderByDescending(one => one.Activation).ThenBy(one => one.Place).Select(one => new PickedContext(one.Place, quarter.Key, one.Activation)));
        }
        return picked;
    }

    /// <summary>1 for the upper quarter of 0 to the highest, 4 for the lowest.</summary>
    public static int QuarterOf(float activation, float highest) => 1 + Math.Min(Quarters - 1, (int)((1 - activation / highest) * Quarters));

    /// <summary>A number that depends on text and seed only.</summary>
    internal static ulong Draw(ulong hash, ulong seed) => new SeededRandom(hash ^ seed).NextBits();
}
