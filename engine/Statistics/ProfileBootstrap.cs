namespace Portal.Engine.Statistics;

/// <summary>What two measurements of the same observations add up to in one group (prompt).</summary>
/// <param name="Count">Observations, at least 1.</param>
/// <param name="First">Sum of the first measurement, in any unit that is whole (half points for right, half right and wrong).</param>
/// <param name="Second">Sum of the second.</param>
public readonly record struct GroupTotals(int Count, int First, int Second);

/// <summary>
/// The paired bootstrap by group where there are very many groups and most are alike: the same intervals as <see cref="Bootstrap"/>, in milliseconds.
/// </summary>
/// <remarks>
/// A resample of P groups with replacement matters only by how often each kind of group was drawn, and groups with equal totals are one kind. Those numbers are multinomial, so they are
/// drawn as such, kind after kind: Binomial(what is left, share of what is left). That is the bootstrap itself, not an approximation of it; 25,000 prompts of 100 kinds cost 100 draws a
/// resample instead of 25,000. Both means and their difference come from the same resamples. Source: Efron and Tibshirani 1993, chapter 8; binomials by Hörmann 1993
/// ("The generation of binomial random variates", algorithm BTRS) with exact factorials. Checked against <see cref="Bootstrap"/> and against the binomial's mean and variance.
/// </remarks>
public static class ProfileBootstrap
{
    /// <summary>Means over all observations of both measurements and of second − first, per unit, with their intervals.</summary>
    /// <param name="groups">Totals of each group, in any order; at least one.</param>
    /// <param name="unit">What one is worth: 0.5 for sums in half points.</param>
    /// <param name="random">Source of the draws; its own state is not touched.</param>
    /// <exception cref="ArgumentException">No groups, or an empty one.</exception>
    public static (ConfidenceInterval First, ConfidenceInterval Second, ConfidenceInterval Difference) Paired(IEnumerable<GroupTotals> groups, double unit, SeededRandom random,
        int resamples = Bootstrap.DefaultResamples, double level = 0.95)
    {
        var kinds = groups.CountBy(group => group).OrderByDescending(kind => kind.Value).ThenBy(kind => kind.Key.Count).ThenBy(kind => kind.Key.First).ThenBy(kind => kind.Key.Second).ToArray();
        if (kinds.Length == 0)
            throw new ArgumentException("There are no groups to resample.", nameof(groups));
        if (kinds.Any(kind => kind.Key.Count < 1))
            throw new ArgumentException("A group has no observations.", nameof(groups));
        if (resamples < 1)
            throw new ArgumentException($"At least one resample is needed, not {resamples}.", nameof(resamples));
        _ = NormalDistribution.TwoSided(level); // the same check of the level as everywhere
        var total = kinds.Sum(kind => kind.Value);
        var logFactorials = LogFactorials(total);
        var draws = random.Split("bootstrap");
        var (first, second, difference) = (new double[resamples], new double[resamples], new double[resamples]);
        for (var r = 0; r < resamples; r++)
        {
            var (left, weight) = (total, (long)total);
            var (count, a, b) = (0L, 0L, 0L);
            foreach (var (kind, alike) in kinds)
            {
                if (left == 0)
                    break;
                var drawn = weight == alike ? left : Binomial(left, alike / (double)weight, draws, logFactorials);
                (left, weight) = (left - drawn, weight - alike);
                (count, a, b) = (count + (long)drawn * kind.Count, a + (long)drawn * kind.First, b + (long)drawn * kind.Second);
            }
            (first[r], second[r], difference[r]) = (a * unit / count, b * unit / count, (b - a) * unit / count);
        }
        var all = kinds.Aggregate((Count: 0L, First: 0L, Second: 0L), (sum, kind) =>
            (sum.Count + (long)kind.Value * kind.Key.Count, sum.First + (long)kind.Value * kind.Key.First, sum.Second + (long)kind.Value * kind.Key.Second));
        return (Of(first, all.First * unit / all.Count), Of(second, all.Second * unit / all.Count), Of(difference, (all.Second - all.First) * unit / all.Count));

        ConfidenceInterval Of(double[] means, double estimate)
        {
            Array.Sort(means);
            var tail = (1 - level) / 2;
            return new ConfidenceInterval(estimate, Bootstrap.Quantile(means, tail), Bootstrap.Quantile(means, 1 - tail), level, total);
        }
    }

    /// <summary>One draw of Binomial(n, p).</summary>
    /// <param name="logFactorials">ln 0! to ln n! at least.</param>
    internal static int Binomial(int n, double p, SeededRandom random, double[] logFactorials)
    {
        if (p > 0.5)
            return n - Binomial(n, 1 - p, random, logFactorials);
        return n * p < 10 ? ByInversion(n, p, random) : ByRejection(n, p, random, logFactorials);
    }

    /// <summary>ln 0! to ln n!.</summary>
    internal static double[] LogFactorials(int n)
    {
        var values = new double[n + 1];
        for (var i = 2; i <= n; i++)
            values[i] = values[i - 1] + Math.Log(i);
        return values;
    }

    /// <summary>Walks up from 0; n·p is small, so (1 − p)^n is far from 0.</summary>
    private static int ByInversion(int n, double p, SeededRandom random)
    {
        var (odds, start) = (p / (1 - p), Math.Pow(1 - p, n));
        while (true)
        {
            var (point, probability, k) = (random.NextDouble(), start, 0);
            while (point > probability && k < n)
            {
                point -= probability;
                k++;
                probability *= odds * (n - k + 1) / k;
            }
            if (point <= probability)
                return k; // else rounding left a crumb beyond n: once more
        }
    }

    /// <summary>Hörmann's transformed rejection; p at most one half, n·p at least 10.</summary>
    private static int ByRejection(int n, double p, SeededRandom random, double[] logFactorials)
    {
        var spread = Math.Sqrt(n * p * (1 - p));
        var b = 1.15 + 2.53 * spread;
        var a = -0.0873 + 0.0248 * b + 0.01 * p;
        var (centre, certain, alpha) = (n * p + 0.5, 0.92 - 4.2 / b, (2.83 + 5.1 / b) * spread);
        var (logOdds, mode) = (Math.Log(p / (1 - p)), (int)((n + 1) * p));
        var atMode = logFactorials[mode] + logFactorials[n - mode];
        while (true)
        {
            var (u, v) = (random.NextDouble() - 0.5, random.NextDouble());
            var us = 0.5 - Math.Abs(u);
            var k = Math.Floor((2 * a / us + b) * u + centre);
            if (us >= 0.07 && v <= certain)
                return (int)k;
            if (k < 0 || k > n)
                continue;
            if (Math.Log(v * alpha / (a / (us * us) + b)) <= atMode - logFactorials[(int)k] - logFactorials[n - (int)k] + (k - mode) * logOdds)
                return (int)k;
        }
    }
}
