using Portal.Engine.Statistics;

namespace Portal.Engine.Irl;

/// <summary>How far the runs of a method are from agreeing with each other.</summary>
/// <param name="Ensemble">A_ens: mean d_STARC over all pairs of runs, 0 to 1, with the interval over prompts; null where distances are undefined or there is one run.</param>
/// <param name="Distances">d_STARC of each pair of runs. [M][M], zeros on the diagonal; empty where undefined.</param>
public sealed record EnsembleAmbiguity(ConfidenceInterval? Ensemble, IReadOnlyList<double[]> Distances);

/// <summary>Pairs whose order the runs do not agree on.</summary>
/// <param name="Share">A_undet, 0 to 1, with the interval over prompts.</param>
/// <param name="IsUndetermined">Pair by pair, in the order given.</param>
public sealed record UndeterminedPairs(ConfidenceInterval Share, IReadOnlyList<bool> IsUndetermined);

/// <summary>
/// How much the data leave open about the reward: three measures, always by name, since the paper's own ("up to 24 %") is not known.
/// </summary>
/// <remarks>
/// A small ambiguity is not accuracy: runs that all collapsed to the same wrong direction have A_ens 0. Show it beside the distance to a reference, or beside the hold-out loss where there is none.
/// Source: specs/fairl.md §3.3.
/// </remarks>
public static class Ambiguity
{
    /// <summary>Share of runs (or posterior mass) that must agree on a pair's sign for it to count as determined.</summary>
    public const double AgreementMin = 0.95;

    /// <summary>A_ens over runs that differ by seed and resample.</summary>
    /// <param name="runs">Scores of all candidates under each run. [M][Count].</param>
    public static EnsembleAmbiguity OfRuns(CandidateSets sets, IReadOnlyList<double[]> runs, SeededRandom random, int resamples = RewardDistance.DefaultResamples, double level = 0.95)
    {
        if (runs.Count < 2 || sets.CandidatesMin < 2)
            return new EnsembleAmbiguity(null, []);
        var width = Width(runs.Count);
        var sums = Products(sets, runs);
        var total = new double[width];
        for (var i = 0; i < sums.Length; i++)
            total[i % width] += sums[i];
        var distances = new double[runs.Count][];
        for (var i = 0; i < runs.Count; i++)
            distances[i] = [.. Enumerable.Range(0, runs.Count).Select(j => i == j ? 0 : Distance(total, i, j))];
        return new EnsembleAmbiguity(Bootstrap.OfSums(sums, width, products => Mean(products, runs.Count), random, resamples, level), distances);
    }

    /// <summary>
    /// (A_before − A_after) / A_before of two methods' runs on the same prompts, with the paired interval over prompts; null where undefined, or where there was no ambiguity before.
    /// </summary>
    /// <remarks>Fair only for runs on the same data, in the same number, under the same convergence rule.</remarks>
    public static ConfidenceInterval? RelativeReduction(CandidateSets sets, IReadOnlyList<double[]> before, IReadOnlyList<double[]> after, SeededRandom random, int resamples = RewardDistance.DefaultResamples, double level = 0.95)
    {
        if (before.Count != after.Count)
            throw new ArgumentException($"The methods have {before.Count} and {after.Count} runs; ambiguities of different numbers of runs do not compare.", nameof(after));
        if (before.Count < 2 || sets.CandidatesMin < 2)
            return null;
        var width = Width(before.Count);
        var (one, other) = (Products(sets, before), Products(sets, after));
        var both = new double[2 * one.Length];
        for (var prompt = 0; prompt < sets.Prompts; prompt++)
        {
            one.AsSpan(prompt * width, width).CopyTo(both.AsSpan(2 * prompt * width));
            other.AsSpan(prompt * width, width).CopyTo(both.AsSpan((2 * prompt + 1) * width));
        }
        return Bootstrap.OfSums(both, 2 * width, products =>
        {
            var was = Mean(products.AsSpan(0, width), before.Count);
            return was > 0 ? (was - Mean(products.AsSpan(width), after.Count)) / was : null;
        }, random, resamples, level);
    }

    /// <summary>A_undet over runs: pairs whose sign is not the same in at least 95 % of them; an equal score agrees with neither side.</summary>
    /// <param name="runs">Margins of the same pairs under each run. [M][N], M, N ≥ 1.</param>
    /// <param name="prompts">[N].</param>
    public static UndeterminedPairs Undetermined(IReadOnlyList<double[]> runs, IReadOnlyList<string> prompts, SeededRandom random) =>
        Undetermined([.. prompts.Select((_, pair) => Math.Max(runs.Count(run => run[pair] > 0), runs.Count(run => run[pair] < 0)) < AgreementMin * runs.Count)], prompts, random);

    /// <summary>A_undet of a posterior: pairs of whose margin less than 95 % of the mass lies on one side.</summary>
    public static UndeterminedPairs Undetermined(LogisticPosterior posterior, PairMatrix pairs, SeededRandom random)
    {
        var means = new RecoveredReward(posterior.Weights).Margins(pairs);
        var isOpen = new bool[pairs.Count];
        for (var i = 0; i < isOpen.Length; i++)
        {
            var deviation = Math.Sqrt(posterior.Variance(pairs.Difference.AsSpan(i * pairs.Width, pairs.Width)));
            isOpen[i] = deviation == 0 || NormalDistribution.Cdf(Math.Abs(means[i]) / deviation) < AgreementMin; // no deviation: both completions have the same features
        }
        return Undetermined(isOpen, pairs.Prompts, random);
    }

    private static UndeterminedPairs Undetermined(IReadOnlyList<bool> isUndetermined, IReadOnlyList<string> prompts, SeededRandom random) =>
        new(Bootstrap.Mean([.. isUndetermined.Select(open => open ? 1.0 : 0)], prompts, random), isUndetermined);

    private static int Width(int runs) => runs * (runs + 1) / 2;

    private static int Place(int i, int j) => i >= j ? i * (i + 1) / 2 + j : j * (j + 1) / 2 + i;

    // ⟨c(R_i), c(R_j)⟩ of every prompt and pair of runs: an ambiguity of any resample is made from their sums.
    private static double[] Products(CandidateSets sets, IReadOnlyList<double[]> runs)
    {
        foreach (var run in runs)
        {
            if (run.Length != sets.Count)
                throw new ArgumentException($"There are {sets.Count} candidates and a run with {run.Length} scores.", nameof(runs));
        }
        double[][] centred = [.. runs.Select(run => RewardDistance.Centred(sets, run))];
        var width = Width(runs.Count);
        var products = new double[sets.Prompts * width];
        for (var prompt = 0; prompt < sets.Prompts; prompt++)
        {
            var (from, to) = (sets.Of(prompt).Start.Value, sets.Of(prompt).End.Value);
            var into = products.AsSpan(prompt * width, width);
            for (var i = 0; i < runs.Count; i++)
            {
                for (var j = 0; j <= i; j++)
                {
                    var sum = 0.0;
                    for (var k = from; k < to; k++)
                        sum += sets.Weights[k] * centred[i][k] * centred[j][k];
                    into[Place(i, j)] = sum;
                }
            }
        }
        return products;
    }

    private static double Distance(ReadOnlySpan<double> products, int i, int j) => RewardDistance.Of([products[Place(i, i)], products[Place(i, j)], products[Place(j, j)]]).Starc;

    private static double Mean(ReadOnlySpan<double> products, int runs)
    {
        var sum = 0.0;
        for (var i = 0; i < runs; i++)
        {
            for (var j = 0; j < i; j++)
                sum += Distance(products, i, j);
        }
        return sum / (runs * (runs - 1) / 2);
    }
}
