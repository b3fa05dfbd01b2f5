using Portal.Engine.Irl;
using Portal.Engine.Statistics;
using Xunit;

namespace Portal.Tests.Engine.Irl;

/// <summary>The vectors of specs/fairl.md §3.2, random cases in numpy (irl_vectors.json), EPIC from its general formula, and the invariances that make it a distance between rewards.</summary>
public sealed class RewardDistanceTests
{
    private static readonly CandidateSets two = CandidateSets.Uniform([3, 3]);
    private static readonly double[] a = [1, 2, 4, 0, -1, 3], b = [.5, 1.5, 1, 2, 0, 5];

    [Fact]
    public void Matches_the_vectors_of_the_specification()
    {
        var distance = RewardDistance.Compute(two, a, b)!.Value;
        Assert.Equal(.8176262338, distance.Rho!.Value, 1e-10);
        Assert.Equal(.3019716594, distance.Starc, 1e-10);
        Assert.Equal(.6039433188, distance.StarcL2, 1e-10);
        Assert.Equal(distance.Starc, distance.Epic);

        var global = RewardDistance.Global(two, a, b)!.Value;
        Assert.Equal(.4505635569, global.Rho!.Value, 1e-10);
        Assert.Equal(.5241356900, global.Starc, 1e-10);

        var weighted = RewardDistance.Compute(CandidateSets.Weighted([[.2, .3, .5], [.6, .2, .2]]), a, b)!.Value;
        Assert.Equal(.7218503473, weighted.Rho!.Value, 1e-10);
        Assert.Equal(.3729273741, weighted.Starc, 1e-10);

        Assert.Equal(.2857142857, RewardDistance.Regret(two, b, a, new SeededRandom(1))!.Value.Estimate, 1e-10);
    }

    [Fact]
    public void Of_pairs_it_is_the_cosine_of_their_margins()
    {
        double[] m1 = [1, -.5, .2, 2], m2 = [.5, .1, -.3, 1];
        var sets = CandidateSets.Uniform([2, 2, 2, 2]);

        var distance = RewardDistance.Compute(sets, [.. m1.SelectMany(m => new[] { m, 0 })], [.. m2.SelectMany(m => new[] { m + 7, 7 })])!.Value;

        Assert.Equal(.8943410819, distance.Rho!.Value, 1e-10);
        Assert.Equal(.2298465990, distance.Starc, 1e-10);
    }

    [Fact]
    public void Matches_numpy()
    {
        foreach (var golden in IrlGolden.File.Distances)
        {
            var distance = RewardDistance.Compute(golden.Sets, golden.A, golden.B)!.Value;
            Assert.Equal(golden.Rho, distance.Rho!.Value, 1e-12);
            Assert.Equal(golden.Starc, distance.Starc, 1e-12);
            Assert.Equal(golden.GlobalRho, RewardDistance.Global(golden.Sets, golden.A, golden.B)!.Value.Rho!.Value, 1e-12);
            Assert.Equal(golden.Regret, RewardDistance.Regret(golden.Sets, golden.B, golden.A, new SeededRandom(1))!.Value.Estimate, 1e-12);
        }
        Assert.NotEmpty(IrlGolden.File.Distances);
    }

    [Fact]
    public void Scale_and_what_a_prompt_adds_are_not_seen()
    {
        double[] moved = [.. a.Select((value, i) => 3 * value + (i < 3 ? 5 : -7))];

        Assert.Equal(RewardDistance.Compute(two, a, b)!.Value.Starc, RewardDistance.Compute(two, moved, b)!.Value.Starc, 1e-12);
        Assert.Equal(0, RewardDistance.Compute(two, a, moved)!.Value.Starc, 1e-7); // a root of rounding
        Assert.Equal(0, RewardDistance.Compute(two, a, [.. a.Select(value => 2 * value)])!.Value.Starc, 1e-7);
        Assert.Equal(1, RewardDistance.Compute(two, a, [.. a.Select(value => -value)])!.Value.Starc, 1e-12);
        Assert.True(Math.Abs(RewardDistance.Global(two, moved, b)!.Value.Starc - RewardDistance.Global(two, a, b)!.Value.Starc) > 0.01); // the stricter one sees the prompts' offsets
    }

    /// <summary>
    /// The general canonicalisation c(R) = R(x,o,x') + E[γ R(x',A,S') − R(x,A,S') − γ R(S,A,S')] and Pearson over the coverage distribution, with an episode that ends after one answer (the next
    /// state pays nothing) and γ = 0.9: written out, not simplified.
    /// </summary>
    [Fact]
    public void Epic_in_its_general_form_is_the_same_number()
    {
        foreach (var golden in IrlGolden.File.Distances)
        {
            const double gamma = 0.9;
            var sets = golden.Sets;
            double[] Canonical(double[] r)
            {
                var overall = Enumerable.Range(0, sets.Prompts).Average(x => Expected(r, x));
                return [.. Enumerable.Range(0, sets.Prompts).SelectMany(x => r[sets.Of(x)].Select(value => value + gamma * 0 - Expected(r, x) - gamma * overall))];
            }
            double Expected(double[] r, int x) => r[sets.Of(x)].Zip(sets.Weights[sets.Of(x)], (value, weight) => value * weight).Sum();
            var (one, other) = (Canonical(golden.A), Canonical(golden.B));
            double Mean(IEnumerable<double> values) => values.Zip(sets.Weights, (value, weight) => value * weight).Sum() / sets.Prompts;
            double meanOne = Mean(one), meanOther = Mean(other);
            var covariance = Mean(one.Zip(other, (x, y) => (x - meanOne) * (y - meanOther)));
            var rho = covariance / Math.Sqrt(Mean(one.Select(x => (x - meanOne) * (x - meanOne))) * Mean(other.Select(y => (y - meanOther) * (y - meanOther))));

            Assert.Equal(Math.Sqrt(0.5 * (1 - rho)), RewardDistance.Compute(sets, golden.A, golden.B)!.Value.Epic, 1e-9);
        }
    }

    [Fact]
    public void A_constant_reward_is_half_way_and_two_are_the_same()
    {
        // Constant up to what each prompt adds; the tenths do not add up exactly, so rounding must not make a reward of it.
        double[] constant = [.1, .1, .1, .7, .7, .7];

        Assert.Equal(new RewardDistanceResult(null, 0.5), RewardDistance.Compute(two, a, constant));
        Assert.Equal(new RewardDistanceResult(null, 0), RewardDistance.Compute(two, constant, [.. constant.Select(value => value * 3 - .3)]));
        Assert.Equal(0.5, RewardDistance.Global(two, a, [.1, .1, .1, .1, .1, .1])!.Value.Starc);
    }

    [Fact]
    public void With_one_candidate_a_prompt_there_is_no_distance()
    {
        var single = CandidateSets.Uniform([1, 1, 1]);

        Assert.Null(RewardDistance.Compute(single, [1, 2, 3], [3, 1, 2]));
        Assert.Null(RewardDistance.Interval(single, [1, 2, 3], [3, 1, 2], new SeededRandom(1)));
        Assert.Null(RewardDistance.Regret(single, [1, 2, 3], [3, 1, 2], new SeededRandom(1)));
        Assert.NotNull(RewardDistance.Compute(CandidateSets.Uniform([1, 2]), [1, 2, 3], [3, 1, 2]));
    }

    [Fact]
    public void Regret_counts_what_cannot_be_told_apart_with_its_mean()
    {
        // Prompt 1: R ties the best (4) with the worst (1): loses (4 − 2.5) of 3. Prompt 2: picks the best.
        Assert.Equal(1.5 / (3 + 4), RewardDistance.Regret(two, [9, 0, 9, 0, 0, 1], a, new SeededRandom(1))!.Value.Estimate, 1e-12);
    }

    /// <summary>The interval from sums against one that draws prompts and computes each distance from its scores: the same draws give the same ends.</summary>
    [Fact]
    public void The_interval_is_that_of_distances_computed_anew()
    {
        var random = new SeededRandom(6);
        var sets = CandidateSets.Uniform([.. Enumerable.Range(0, 25).Select(i => 2 + i % 4)]);
        double[] one = [.. Enumerable.Range(0, sets.Count).Select(_ => random.NextGaussian())], other = [.. one.Select(value => value + random.NextGaussian())];

        var interval = RewardDistance.Interval(sets, one, other, new SeededRandom(3), resamples: 400)!.Value;

        var draws = new SeededRandom(3).Split("bootstrap of sums");
        var seen = new List<double>();
        for (var r = 0; r < 400; r++)
        {
            int[] prompts = [.. Enumerable.Range(0, 25).Select(_ => draws.NextInt(25))];
            var drawn = CandidateSets.Uniform([.. prompts.Select(prompt => 2 + prompt % 4)]);
            seen.Add(RewardDistance.Compute(drawn, [.. prompts.SelectMany(prompt => one[sets.Of(prompt)])], [.. prompts.SelectMany(prompt => other[sets.Of(prompt)])])!.Value.Starc);
        }
        seen.Sort();
        Assert.Equal(RewardDistance.Compute(sets, one, other)!.Value.Starc, interval.Estimate, 1e-12);
        Assert.Equal(Bootstrap.Quantile(seen, 0.025), interval.Low, 1e-10);
        Assert.Equal(Bootstrap.Quantile(seen, 0.975), interval.High, 1e-10);
        Assert.Equal(25, interval.Count);
    }

    [Fact]
    public void Differences_are_paired()
    {
        var random = new SeededRandom(9);
        var sets = CandidateSets.Uniform([.. Enumerable.Repeat(8, 60)]);
        double[] truth = [.. Enumerable.Range(0, sets.Count).Select(_ => random.NextGaussian())], far = [.. truth.Select(value => value + 2 * random.NextGaussian())], near = [.. far.Zip(truth, (x, y) => x + 0.5 * y)];

        var difference = RewardDistance.Difference(sets, near, far, truth, new SeededRandom(2))!.Value;

        Assert.Equal(RewardDistance.Compute(sets, near, truth)!.Value.Starc - RewardDistance.Compute(sets, far, truth)!.Value.Starc, difference.Estimate, 1e-12);
        Assert.True(difference.High < 0);
        var (one, other) = (RewardDistance.Interval(sets, near, truth, new SeededRandom(2))!.Value, RewardDistance.Interval(sets, far, truth, new SeededRandom(2))!.Value);
        Assert.True(difference.High - difference.Low < (one.High - one.Low + other.High - other.Low) / 2); // what both share cancels
    }

    [Fact]
    public void Wrong_input_is_named()
    {
        Assert.Contains("6 candidates and scores of 5", Assert.Throws<ArgumentException>(() => RewardDistance.Compute(two, a[..5], b)).Message, StringComparison.Ordinal);
        Assert.Contains("candidate 2 are 4 and NaN", Assert.Throws<ArgumentException>(() => RewardDistance.Compute(two, a, [0, 0, double.NaN, 0, 0, 0])).Message, StringComparison.Ordinal);
    }
}
