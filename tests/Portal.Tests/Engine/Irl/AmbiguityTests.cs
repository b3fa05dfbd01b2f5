using Portal.Engine.Irl;
using Portal.Engine.Statistics;
using Xunit;

namespace Portal.Tests.Engine.Irl;

/// <summary>Brute force over pairs of runs, limiting cases, and integrals by mpmath (irl_vectors.json).</summary>
public sealed class AmbiguityTests
{
    private static readonly CandidateSets sets = CandidateSets.Uniform([.. Enumerable.Repeat(6, 30)]);

    private static double[][] Runs(int count, double noise, ulong seed = 4)
    {
        var random = new SeededRandom(seed);
        double[] shared = [.. Enumerable.Range(0, sets.Count).Select(_ => random.NextGaussian())];
        return [.. Enumerable.Range(0, count).Select(_ => shared.Select(value => value + noise * random.NextGaussian()).ToArray())];
    }

    [Fact]
    public void The_mean_over_pairs_of_runs_is_what_a_loop_gives()
    {
        var runs = Runs(7, 0.8);

        var ambiguity = Ambiguity.OfRuns(sets, runs, new SeededRandom(1));

        double sum = 0;
        for (var i = 0; i < 7; i++)
        {
            for (var j = 0; j < 7; j++)
            {
                var distance = i == j ? 0 : RewardDistance.Compute(sets, runs[i], runs[j])!.Value.Starc;
                Assert.Equal(distance, ambiguity.Distances[i][j], 1e-12);
                sum += distance;
            }
        }
        Assert.Equal(sum / 42, ambiguity.Ensemble!.Value.Estimate, 1e-12);
        Assert.True(ambiguity.Ensemble.Value.Low < sum / 42 && sum / 42 < ambiguity.Ensemble.Value.High);
    }

    [Fact]
    public void Runs_that_agree_up_to_scale_have_none_and_opposites_have_all()
    {
        var run = Runs(1, 0)[0];

        Assert.Equal(0, Ambiguity.OfRuns(sets, [run, [.. run.Select(value => 4 * value + 1)], run], new SeededRandom(1)).Ensemble!.Value.Estimate, 1e-7);
        Assert.Equal(1, Ambiguity.OfRuns(sets, [run, [.. run.Select(value => -value)]], new SeededRandom(1)).Ensemble!.Value.Estimate, 1e-12);
        Assert.Null(Ambiguity.OfRuns(sets, [run], new SeededRandom(1)).Ensemble);
        Assert.Null(Ambiguity.OfRuns(CandidateSets.Uniform([1, 1]), [[1, 2], [2, 1]], new SeededRandom(1)).Ensemble);
    }

    [Fact]
    public void The_reduction_is_relative_and_paired()
    {
        var (wide, narrow) = (Runs(6, 1), Runs(6, 0.5));
        double Of(double[][] runs) => Ambiguity.OfRuns(sets, runs, new SeededRandom(1)).Ensemble!.Value.Estimate;

        var reduction = Ambiguity.RelativeReduction(sets, wide, narrow, new SeededRandom(1))!.Value;

        Assert.Equal((Of(wide) - Of(narrow)) / Of(wide), reduction.Estimate, 1e-12);
        Assert.True(reduction.IsAbove(0.2));
        Assert.Equal(0, Ambiguity.RelativeReduction(sets, wide, wide, new SeededRandom(1))!.Value.High, 1e-12);
        Assert.Contains("6 and 5 runs", Assert.Throws<ArgumentException>(() => Ambiguity.RelativeReduction(sets, wide, narrow[..5], new SeededRandom(1))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_pair_is_undetermined_where_one_of_fifteen_runs_differs()
    {
        // Pair 0: all agree. Pair 1: 14 of 15 (.933 < .95). Pair 2: all zero, so that neither side has them. Pair 3: all agree on the base.
        double[][] runs = [.. Enumerable.Range(0, 15).Select(run => new[] { 1.0, run == 3 ? -1 : 2, 0, -0.1 })];

        var open = Ambiguity.Undetermined(runs, ["a", "b", "c", "d"], new SeededRandom(1));

        Assert.Equal([false, true, true, false], open.IsUndetermined);
        Assert.Equal(0.5, open.Share.Estimate);
    }

    [Fact]
    public void A_posterior_leaves_open_what_lies_within_its_spread()
    {
        // θ ~ N(1, 1/4) in one dimension: margin x·θ has mean x and deviation x/2, so every pair has z = 2, Φ = .977: determined; with a variance of 1, Φ(1) = .841: open.
        var pairs = IrlGolden.Pairs([1, -2, 3, 0], null, 1);
        LogisticPosterior Posterior(double precision) => new([1], Cholesky.Factor([precision], 1), 0, 0);

        Assert.Equal([false, false, false, true], Ambiguity.Undetermined(Posterior(4), pairs, new SeededRandom(1)).IsUndetermined); // the last has the same features twice
        Assert.Equal(1, Ambiguity.Undetermined(Posterior(1), pairs, new SeededRandom(1)).Share.Estimate);
    }

    [Fact]
    public void Entropies_of_a_normal_margin_match_mpmath()
    {
        foreach (var golden in IrlGolden.File.Entropies)
        {
            var entropy = RewardUncertainty.OfNormal(golden.Mean, golden.Deviation * golden.Deviation);
            Assert.Equal(golden.Total, entropy.Total, 1e-12);
            Assert.Equal(golden.Aleatoric, entropy.Aleatoric, 1e-12);
            Assert.Equal(golden.Epistemic, entropy.Epistemic, 1e-12);
        }
    }

    [Fact]
    public void Entropies_of_runs_are_worked_by_hand()
    {
        // Certain of opposite things: total ln 2, all of it epistemic. Agreed on one half: all of it aleatoric.
        Assert.Equal(new PairEntropy(Math.Log(2), 0, Math.Log(2)), RewardUncertainty.OfRuns([0, 1]));
        Assert.Equal(new PairEntropy(Math.Log(2), Math.Log(2), 0), RewardUncertainty.OfRuns([0.5, 0.5]));
        // {.8, .4}: H(.6) = .6730117, mean of H(.8) = .5004024 and H(.4) = .6730117.
        var entropy = RewardUncertainty.OfRuns([0.8, 0.4]);
        Assert.Equal(0.6730116670, entropy.Total, 1e-9);
        Assert.Equal((0.5004024235 + 0.6730116670) / 2, entropy.Aleatoric, 1e-9);
        Assert.Throws<ArgumentException>(() => RewardUncertainty.OfRuns([1.5]));
    }

    [Fact]
    public void Median_information_is_that_of_the_middle_pair()
    {
        var pairs = IrlGolden.Pairs([1, 0.1, 3], null, 1);
        var posterior = new LogisticPosterior([0.4], Cholesky.Factor([2.0], 1), 0, 0);

        double[] each = [.. new[] { 1, 0.1f, 3.0 }.Select(x => RewardUncertainty.OfNormal(0.4 * x, x * x / 2).Epistemic).Order()];

        Assert.Equal(each[1], RewardUncertainty.MedianInformation(posterior, pairs), 1e-9);
    }
}
