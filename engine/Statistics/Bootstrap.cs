using System.Runtime.Intrinsics;

namespace Portal.Engine.Statistics;

/// <summary>
/// Percentile bootstrap of a mean, by group: whole groups (prompts, annotators) are drawn with replacement, because their members are alike. An interval that treats the pairs of
/// one prompt as independent is too narrow.
/// </summary>
/// <remarks>
/// Deterministic for a seed. Each resample draws as many groups as there are, and takes the mean over all their members, so that larger groups weigh more, as in the estimate itself.
/// With fewer than about 20 groups percentile intervals are too narrow; show the count beside them. Source: Efron and Tibshirani 1993, chapters 13 and 8.
/// </remarks>
public static class Bootstrap
{
    /// <summary>Resamples where nothing else is said: the ends then move by about 2 % of the interval's width from seed to seed.</summary>
    public const int DefaultResamples = 2000;

    /// <summary>The interval of the mean of <paramref name="values"/>. [N], N ≥ 1, finite.</summary>
    /// <param name="values">One number an observation.</param>
    /// <param name="groups">The group of each observation (equal keys, same group); null: each is its own.</param>
    /// <param name="random">Source of the draws; its own state is not touched (a split is used).</param>
    /// <param name="resamples">At least 1.</param>
    /// <param name="level">Strictly between 0 and 1.</param>
    /// <exception cref="ArgumentException">No values, a value that is not finite, or lengths that differ.</exception>
    public static ConfidenceInterval Mean(IReadOnlyList<double> values, IReadOnlyList<string>? groups, SeededRandom random, int resamples = DefaultResamples, double level = 0.95)
    {
        if (values.Count == 0) throw new ArgumentException("There are no values to resample.", nameof(values));
        if (groups is not null && groups.Count != values.Count) throw new ArgumentException($"There are {values.Count} values and {groups.Count} groups.", nameof(groups));
        if (resamples < 1) throw new ArgumentException($"At least one resample is needed, not {resamples}.", nameof(resamples));
        (double[] sums, int[] counts) = ByGroup(values, groups);
        SeededRandom draws = random.Split("bootstrap");
        var means = new double[resamples];
        for (int r = 0; r < resamples; r++)
        {
            double sum = 0;
            long count = 0;
            for (int g = 0; g < sums.Length; g++)
            {
                int drawn = draws.NextInt(sums.Length);
                sum += sums[drawn];
                count += counts[drawn];
            }

            means[r] = sum / count;
        }

        Array.Sort(means);
        double tail = (1 - level) / 2;
        _ = NormalDistribution.TwoSided(level); // the same check of the level as everywhere
        return new ConfidenceInterval(sums.Sum() / values.Count, Quantile(means, tail), Quantile(means, 1 - tail), level, sums.Length);
    }

    /// <summary>The interval of mean(first − second) where both were measured on the same observations: what they share cancels.</summary>
    /// <inheritdoc cref="Mean"/>
    public static ConfidenceInterval PairedDifference(IReadOnlyList<double> first, IReadOnlyList<double> second, IReadOnlyList<string>? groups, SeededRandom random, int resamples = DefaultResamples, double level = 0.95)
    {
        if (first.Count != second.Count) throw new ArgumentException($"Paired measurements must be equally many; they are {first.Count} and {second.Count}.", nameof(second));
        return Mean([.. first.Zip(second, (a, b) => a - b)], groups, random, resamples, level);
    }

    /// <summary>The interval of any statistic that is a function of sums over groups (a ratio, a cosine, a distance), made from each group's own sums: a resample costs their addition only.</summary>
    /// <param name="sums">Each group's sums, one group after the other. [G · <paramref name="width"/>], finite.</param>
    /// <param name="width">How many sums a group has, at least 1.</param>
    /// <param name="statistic">From the sums of all groups drawn, [width], to the number; null where it is undefined there, and such resamples are left out. It must not keep the array.</param>
    /// <param name="random">Source of the draws; a split is used, so statistics of the same groups and seed are paired.</param>
    /// <returns>Null where the statistic is undefined on all groups together, or on every resample.</returns>
    /// <exception cref="ArgumentException">No groups, a sum that is not finite, or a parameter out of range.</exception>
    public static ConfidenceInterval? OfSums(double[] sums, int width, Func<double[], double?> statistic, SeededRandom random, int resamples = DefaultResamples, double level = 0.95)
    {
        if (width < 1 || sums.Length == 0 || sums.Length % width != 0) throw new ArgumentException($"{sums.Length} numbers are not {width} sums of at least one group each.", nameof(sums));
        if (resamples < 1) throw new ArgumentException($"At least one resample is needed, not {resamples}.", nameof(resamples));
        _ = NormalDistribution.TwoSided(level); // the same check of the level as everywhere
        int groups = sums.Length / width;
        var total = new double[width];
        for (int i = 0; i < sums.Length; i++)
        {
            if (!double.IsFinite(sums[i])) throw new ArgumentException($"Sum {i % width} of group {i / width} is {sums[i]}.", nameof(sums));
            total[i % width] += sums[i];
        }

        if (statistic(total) is not { } estimate) return null;
        SeededRandom draws = random.Split("bootstrap of sums");
        var seen = new List<double>(resamples);
        double[] four = width <= 4 ? Padded(sums, width) : [];
        for (int r = 0; r < resamples; r++)
        {
            if (width <= 4)
            {
                // In one register: through memory each addition would wait for the one before to be written.
                Vector256<double> all = default;
                for (int g = 0; g < groups; g++) all += Vector256.LoadUnsafe(in four[0], (nuint)(4 * draws.NextInt(groups)));
                for (int k = 0; k < width; k++) total[k] = all[k];
            }
            else
            {
                Array.Clear(total);
                for (int g = 0; g < groups; g++)
                {
                    ReadOnlySpan<double> drawn = sums.AsSpan(draws.NextInt(groups) * width, width);
                    if (width < 8) for (int k = 0; k < total.Length; k++) total[k] += drawn[k];
                    else System.Numerics.Tensors.TensorPrimitives.Add(total, drawn, total);
                }
            }

            if (statistic(total) is { } value) seen.Add(value);
        }

        if (seen.Count == 0) return null;
        seen.Sort();
        double tail = (1 - level) / 2;
        return new ConfidenceInterval(estimate, Quantile(seen, tail), Quantile(seen, 1 - tail), level, groups);
    }

    /// <summary>The value below which a share of the sorted numbers lies, interpolated between neighbours (R's and numpy's default).</summary>
    /// <param name="sorted">Ascending, at least one.</param>
    /// <param name="share">0 to 1.</param>
    public static double Quantile(IReadOnlyList<double> sorted, double share)
    {
        if (sorted.Count == 0 || !(share >= 0 && share <= 1)) throw new ArgumentException($"A quantile needs numbers and a share in [0, 1], not {sorted.Count} numbers and {share}.");
        double position = share * (sorted.Count - 1);
        int below = (int)position;
        return below + 1 < sorted.Count ? sorted[below] + (position - below) * (sorted[below + 1] - sorted[below]) : sorted[below];
    }

    // Each group's sums with zeros behind them, four numbers a group.
    private static double[] Padded(double[] sums, int width)
    {
        var padded = new double[sums.Length / width * 4];
        for (int i = 0; i < sums.Length; i++) padded[i / width * 4 + i % width] = sums[i];
        return padded;
    }

    private static (double[] Sums, int[] Counts) ByGroup(IReadOnlyList<double> values, IReadOnlyList<string>? groups)
    {
        var index = new Dictionary<string, int>(StringComparer.Ordinal);
        var sums = new List<double>();
        var counts = new List<int>();
        for (int i = 0; i < values.Count; i++)
        {
            if (!double.IsFinite(values[i])) throw new ArgumentException($"Value {i} is {values[i]}.", nameof(values));
            int group = sums.Count;
            if (groups is not null && !index.TryAdd(groups[i], group)) group = index[groups[i]];
            if (group == sums.Count)
            {
                sums.Add(0);
                counts.Add(0);
            }

            sums[group] += values[i];
            counts[group]++;
        }

        return ([.. sums], [.. counts]);
    }
}
