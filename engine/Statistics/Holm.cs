namespace Portal.Engine.Statistics;

/// <summary>
/// Family-wise error over a few tests: the chance that even one of those reported at p ≤ 0.05 is a false alarm stays below 0.05, whatever the tests' dependence.
/// <code>p'_(i) = max over j ≤ i of min(1, (m − j + 1) p_(j))      p_(1) ≤ … ≤ p_(m)</code>
/// </summary>
/// <remarks>Never rejects less than Bonferroni. For many tests of which a few may be false, see <see cref="BenjaminiHochberg"/>. Source: Holm 1979; adjusted values as R's p.adjust gives them.</remarks>
public static class Holm
{
    /// <summary>Adjusted p of each p, in the order given. Empty for none.</summary>
    /// <param name="p">0 to 1 each.</param>
    /// <exception cref="ArgumentException">A p that is none.</exception>
    public static double[] Adjust(IReadOnlyList<double> p)
    {
        for (int i = 0; i < p.Count; i++)
            if (!(p[i] >= 0 && p[i] <= 1)) throw new ArgumentException($"p {i} is {p[i]}; it must lie between 0 and 1.", nameof(p));
        int[] order = [.. Enumerable.Range(0, p.Count).OrderBy(i => p[i])];
        var adjusted = new double[p.Count];
        double largest = 0;
        for (int rank = 0; rank < p.Count; rank++)
        {
            largest = Math.Max(largest, Math.Min(1, p[order[rank]] * (p.Count - rank)));
            adjusted[order[rank]] = largest;
        }

        return adjusted;
    }
}
