namespace Portal.Engine.Statistics;

/// <summary>How two lists of numbers go together: linearly (Pearson), in rank (Spearman), in order of pairs (Kendall).</summary>
/// <remarks>Null where one of the lists is constant, since then nothing can go together with it.</remarks>
public static class Correlation
{
    /// <summary>Pearson's r, −1 to 1. [N] each, N ≥ 2.</summary>
    public static double? Pearson(IReadOnlyList<double> x, IReadOnlyList<double> y)
    {
        Check(x, y);
        double meanX = x.Average(), meanY = y.Average(), xx = 0, yy = 0, xy = 0;
        for (int i = 0; i < x.Count; i++)
        {
            double dx = x[i] - meanX, dy = y[i] - meanY;
            xx += dx * dx;
            yy += dy * dy;
            xy += dx * dy;
        }

        return xx > 0 && yy > 0 ? Math.Clamp(xy / Math.Sqrt(xx) / Math.Sqrt(yy), -1, 1) : null;
    }

    /// <summary>Spearman's rho: Pearson's r of the ranks, ties with their average rank.</summary>
    public static double? Spearman(IReadOnlyList<double> x, IReadOnlyList<double> y)
    {
        Check(x, y);
        return Pearson(Ranks(x), Ranks(y));
    }

    /// <summary>
    /// Kendall's tau-b, which corrects for ties: (concordant − discordant) / √((pairs − ties in x)(pairs − ties in y)).
    /// </summary>
    /// <remarks>O(N log N): after sorting by x, the discordant pairs are the exchanges of a merge sort by y. Source: Knight 1966.</remarks>
    public static double? KendallTauB(IReadOnlyList<double> x, IReadOnlyList<double> y)
    {
        Check(x, y);
        int n = x.Count;
        int[] order = [.. Enumerable.Range(0, n).OrderBy(i => x[i]).ThenBy(i => y[i])];
        double[] sortedX = [.. order.Select(i => x[i])], sortedY = [.. order.Select(i => y[i])];
        double pairs = n * (n - 1.0) / 2, tiedX = TiedPairs(n, (i, j) => sortedX[i] == sortedX[j]), tiedBoth = TiedPairs(n, (i, j) => sortedX[i] == sortedX[j] && sortedY[i] == sortedY[j]);
        double discordant = Exchanges(sortedY, new double[n], 0, n); // leaves sortedY sorted
        double tiedY = TiedPairs(n, (i, j) => sortedY[i] == sortedY[j]);
        if (tiedX == pairs || tiedY == pairs) return null;
        double concordantLessDiscordant = pairs - tiedX - tiedY + tiedBoth - 2 * discordant;
        return Math.Clamp(concordantLessDiscordant / Math.Sqrt(pairs - tiedX) / Math.Sqrt(pairs - tiedY), -1, 1);
    }

    /// <summary>Ranks from 1, ties with the average of the ranks they span.</summary>
    public static double[] Ranks(IReadOnlyList<double> values)
    {
        int[] order = [.. Enumerable.Range(0, values.Count).OrderBy(i => values[i])];
        var ranks = new double[values.Count];
        for (int start = 0; start < order.Length;)
        {
            int end = start + 1;
            while (end < order.Length && values[order[end]] == values[order[start]]) end++;
            for (int i = start; i < end; i++) ranks[order[i]] = (start + 1 + end) / 2.0;
            start = end;
        }

        return ranks;
    }

    // Pairs within runs of equal neighbours.
    private static double TiedPairs(int n, Func<int, int, bool> same)
    {
        double pairs = 0;
        for (int start = 0; start < n;)
        {
            int end = start + 1;
            while (end < n && same(start, end)) end++;
            double run = end - start;
            pairs += run * (run - 1) / 2;
            start = end;
        }

        return pairs;
    }

    private static double Exchanges(double[] values, double[] scratch, int from, int to)
    {
        if (to - from < 2) return 0;
        int middle = (from + to) / 2;
        double count = Exchanges(values, scratch, from, middle) + Exchanges(values, scratch, middle, to);
        int left = from, right = middle;
        for (int at = from; at < to; at++)
        {
            if (right >= to || (left < middle && values[left] <= values[right])) scratch[at] = values[left++];
            else
            {
                count += middle - left;
                scratch[at] = values[right++];
            }
        }

        Array.Copy(scratch, from, values, from, to - from);
        return count;
    }

    private static void Check(IReadOnlyList<double> x, IReadOnlyList<double> y)
    {
        if (x.Count != y.Count || x.Count < 2) throw new ArgumentException($"Two lists of the same length of at least 2 are needed; they have {x.Count} and {y.Count}.");
        for (int i = 0; i < x.Count; i++)
            if (!double.IsFinite(x[i]) || !double.IsFinite(y[i])) throw new ArgumentException($"Element {i} is not finite: {x[i]}, {y[i]}.");
    }
}
