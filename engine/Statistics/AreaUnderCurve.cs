namespace Portal.Engine.Statistics;

/// <summary>
/// Area under the receiver operating curve: how often a positive scores above a negative, ties counting half (Mann and Whitney's U over all such pairs).
/// <code>AUC = (#{s⁺ &gt; s⁻} + ½ #{s⁺ = s⁻}) / (n⁺ n⁻)      with strata: both sums over pairs of one stratum only</code>
/// </summary>
/// <remarks>
/// Strata make it conditional: with strata of equal reward, a score that only says "high reward" falls to one half. A half is chance; below it the score points the other way.
/// O(N log N) once, then O(N) a resample. Source: Mann and Whitney 1947; Hanley and McNeil 1982.
/// </remarks>
public static class AreaUnderCurve
{
    /// <summary>The area, 0 to 1; null where no positive meets a negative.</summary>
    /// <param name="scores">[N], finite.</param>
    /// <param name="isPositive">[N].</param>
    /// <param name="strata">[N]; only members of the same stratum are compared. Null: all are.</param>
    /// <exception cref="ArgumentException">Lengths differ, or a score is not finite.</exception>
    public static double? Compute(IReadOnlyList<double> scores, IReadOnlyList<bool> isPositive, IReadOnlyList<int>? strata = null)
    {
        Sorted sorted = Sort(scores, isPositive, strata);
        return Area(sorted, null);
    }

    /// <summary>The area with its percentile interval over whole groups, as <see cref="Bootstrap.Mean"/> draws them; null where no positive meets a negative.</summary>
    /// <param name="scores">[N], finite.</param>
    /// <param name="isPositive">[N].</param>
    /// <param name="groups">Prompts, or annotators. [N]; null: each observation is its own.</param>
    /// <param name="random">Source of the draws; a split is used.</param>
    /// <param name="strata">See <see cref="Compute"/>.</param>
    /// <param name="resamples">At least 1. Resamples without a comparison are left out; with rare positives the interval then rests on fewer.</param>
    /// <param name="level">Strictly between 0 and 1.</param>
    /// <exception cref="ArgumentException">Lengths differ, a score is not finite, or a parameter is out of range.</exception>
    public static ConfidenceInterval? Interval(IReadOnlyList<double> scores, IReadOnlyList<bool> isPositive, IReadOnlyList<string>? groups, SeededRandom random,
        IReadOnlyList<int>? strata = null, int resamples = Bootstrap.DefaultResamples, double level = 0.95)
    {
        if (groups is not null && groups.Count != scores.Count) throw new ArgumentException($"There are {scores.Count} scores and {groups.Count} groups.", nameof(groups));
        if (resamples < 1) throw new ArgumentException($"At least one resample is needed, not {resamples}.", nameof(resamples));
        _ = NormalDistribution.TwoSided(level); // the same check of the level as everywhere
        Sorted sorted = Sort(scores, isPositive, strata);
        if (Area(sorted, null) is not { } estimate) return null;

        var numbers = new Dictionary<string, int>(StringComparer.Ordinal);
        int[] groupOf = groups is null ? [.. Enumerable.Range(0, scores.Count)] : new int[scores.Count];
        for (int i = 0; groups is not null && i < groups.Count; i++)
        {
            if (!numbers.TryGetValue(groups[i], out int number)) numbers[groups[i]] = number = numbers.Count;
            groupOf[i] = number;
        }

        int groupCount = groups is null ? scores.Count : numbers.Count;
        int[] inOrder = [.. sorted.Order.Select(i => groupOf[i])];
        SeededRandom draws = random.Split("bootstrap of an area");
        var areas = new List<double>(resamples);
        var times = new int[groupCount];
        var weights = new int[scores.Count];
        for (int r = 0; r < resamples; r++)
        {
            Array.Clear(times);
            for (int g = 0; g < groupCount; g++) times[draws.NextInt(groupCount)]++;
            for (int i = 0; i < weights.Length; i++) weights[i] = times[inOrder[i]];
            if (Area(sorted, weights) is { } area) areas.Add(area);
        }

        if (areas.Count == 0) return null;
        areas.Sort();
        double tail = (1 - level) / 2;
        return new ConfidenceInterval(estimate, Bootstrap.Quantile(areas, tail), Bootstrap.Quantile(areas, 1 - tail), level, groupCount);
    }

    /// <summary>Observations by stratum and score. <c>Ends[i]</c>: i is the last of its ties; <c>Closes[i]</c>: the last of its stratum.</summary>
    private sealed record Sorted(int[] Order, bool[] IsPositive, bool[] Ends, bool[] Closes);

    private static Sorted Sort(IReadOnlyList<double> scores, IReadOnlyList<bool> isPositive, IReadOnlyList<int>? strata)
    {
        if (scores.Count != isPositive.Count || (strata is not null && strata.Count != scores.Count))
            throw new ArgumentException($"Scores, labels and strata must be equally many; they are {scores.Count}, {isPositive.Count} and {strata?.Count ?? scores.Count}.");
        for (int i = 0; i < scores.Count; i++)
            if (!double.IsFinite(scores[i])) throw new ArgumentException($"Score {i} is {scores[i]}.", nameof(scores));
        int StratumOf(int i) => strata is null ? 0 : strata[i];
        int[] order = [.. Enumerable.Range(0, scores.Count).OrderBy(StratumOf).ThenBy(i => scores[i])];
        bool IsLast(int at, Func<int, int, bool> same) => at == order.Length - 1 || !same(order[at], order[at + 1]);
        return new Sorted(order, [.. order.Select(i => isPositive[i])],
            [.. order.Select((_, at) => IsLast(at, (a, b) => StratumOf(a) == StratumOf(b) && scores[a] == scores[b]))],
            [.. order.Select((_, at) => IsLast(at, (a, b) => StratumOf(a) == StratumOf(b)))]);
    }

    // One pass: every positive wins against the negatives of earlier ties, and half against those of its own.
    private static double? Area(Sorted sorted, int[]? weights)
    {
        double won = 0, compared = 0;
        long below = 0, positives = 0, tiedPositives = 0, tiedNegatives = 0;
        for (int at = 0; at < sorted.Order.Length; at++)
        {
            int weight = weights is null ? 1 : weights[at];
            if (sorted.IsPositive[at]) tiedPositives += weight;
            else tiedNegatives += weight;
            if (sorted.Ends[at])
            {
                won += tiedPositives * (below + tiedNegatives / 2.0);
                below += tiedNegatives;
                positives += tiedPositives;
                (tiedPositives, tiedNegatives) = (0, 0);
            }

            if (sorted.Closes[at])
            {
                compared += (double)positives * below;
                (below, positives) = (0, 0);
            }
        }

        return compared > 0 ? won / compared : null;
    }
}
