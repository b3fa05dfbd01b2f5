namespace Portal.Engine.Statistics;

/// <summary>
/// False discovery rate over many tests: of those reported at q ≤ 0.05, on average at most one in twenty is a false alarm.
/// <code>q_(i) = min over j ≥ i of min(1, p_(j) m / j)      p_(1) ≤ … ≤ p_(m)</code>
/// </summary>
/// <remarks>Holds for independent and for positively dependent tests. Source: Benjamini and Hochberg 1995; adjusted values as R's p.adjust gives them.</remarks>
public static class BenjaminiHochberg
{
    /// <summary>q of each p, in the order given. Empty for none.</summary>
    /// <param name="p">0 to 1 each.</param>
    /// <exception cref="ArgumentException">A p that is none.</exception>
    public static double[] Adjust(IReadOnlyList<double> p)
    {
        for (int i = 0; i < p.Count; i++)
            if (!(p[i] >= 0 && p[i] <= 1)) throw new ArgumentException($"p {i} is {p[i]}; it must lie between 0 and 1.", nameof(p));
        int[] order = [.. Enumerable.Range(0, p.Count).OrderBy(i => p[i])];
        var q = new double[p.Count];
        double least = 1;
        for (int rank = p.Count; rank >= 1; rank--)
        {
            least = Math.Min(least, p[order[rank - 1]] * p.Count / rank);
            q[order[rank - 1]] = least;
        }

        return q;
    }
}
