using Portal.Engine.Statistics;

namespace Portal.Engine.Irl;

/// <summary>How two rewards of the same texts go together; each with its interval over prompts, null where one of them is constant.</summary>
/// <param name="Pearson">Of all texts.</param>
/// <param name="Spearman">Of all texts.</param>
/// <param name="Kendall">τ-b of all texts.</param>
/// <param name="WithinPrompt">Mean over prompts of Spearman's ρ among a prompt's candidates; prompts where one reward is constant are left out.</param>
public sealed record RankAgreement(ConfidenceInterval? Pearson, ConfidenceInterval? Spearman, ConfidenceInterval? Kendall, ConfidenceInterval? WithinPrompt)
{
    /// <summary>Resamples of the rank correlations, whose every resample is ranked anew.</summary>
    public const int DefaultResamples = 200;

    /// <summary>Measures all four. Cost: a few sorts of all texts a resample.</summary>
    /// <param name="first">[Count], finite.</param>
    /// <param name="second">[Count].</param>
    /// <exception cref="ArgumentException">Lengths differ from the sets', fewer than two texts, or a score that is not finite.</exception>
    public static RankAgreement Compute(CandidateSets sets, double[] first, double[] second, SeededRandom random, CancellationToken stop, int resamples = DefaultResamples)
    {
        if (first.Length != sets.Count || second.Length != sets.Count)
            throw new ArgumentException($"There are {sets.Count} candidates and scores of {first.Length} and {second.Length}.");
        Func<double[], double[], double?>[] measures = [Correlation.Pearson, Correlation.Spearman, Correlation.KendallTauB];
        var seen = measures.Select(_ => new List<double>()).ToArray();
        var draws = random.Split("rank agreement");
        for (var r = 0; r < resamples; r++)
        {
            stop.ThrowIfCancellationRequested();
            var rows = Enumerable.Range(0, sets.Prompts).SelectMany(_ => Rows(sets.Of(draws.NextInt(sets.Prompts)))).ToArray();
            double[] a = [.. rows.Select(row => first[row])], b = [.. rows.Select(row => second[row])];
            for (var m = 0; m < measures.Length; m++)
            {
                if (measures[m](a, b) is { } value)
                    seen[m].Add(value);
            }
        }
        var intervals = measures.Select((measure, m) => Interval(measure(first, second), seen[m], sets.Prompts)).ToArray();
        double[] within = [.. Enumerable.Range(0, sets.Prompts).Select(sets.Of).Where(range => range.End.Value - range.Start.Value >= 2)
            .Select(range => Correlation.Spearman(first[range], second[range])).OfType<double>()];
        return new RankAgreement(intervals[0], intervals[1], intervals[2], within.Length == 0 ? null : Bootstrap.Mean(within, null, random));
    }

    private static IEnumerable<int> Rows(Range range) => Enumerable.Range(range.Start.Value, range.End.Value - range.Start.Value);

    private static ConfidenceInterval? Interval(double? estimate, List<double> seen, int prompts)
    {
        if (estimate is not { } value || seen.Count == 0)
            return null;
        seen.Sort();
        return new ConfidenceInterval(value, Bootstrap.Quantile(seen, 0.025), Bootstrap.Quantile(seen, 0.975), 0.95, prompts);
    }
}
