using Portal.Engine;
using Portal.Engine.Irl;
using Portal.Engine.Statistics;
using Xunit;

namespace Portal.Tests.Engine.Irl;

/// <summary>The vector of specs/fairl.md §1.4, the curriculum's nesting on random margins, and screens on small data worked by hand.</summary>
public sealed class FailuresTests
{
    [Fact]
    public void Matches_the_vector_of_the_specification()
    {
        double[] margins = [2, -1.5, .1, .6, -.05, .3];

        var scale = Failures.Scale(margins);
        double[] scaled = [.. margins.Select(margin => margin / scale)];

        Assert.Equal(.45, scale, 1e-8);
        foreach (var (expected, seen) in new[] { 4.444, -3.333, .2222, 1.333, -.1111, .6667 }.Zip(scaled))
            Assert.Equal(expected, seen, 5e-4);
        Assert.Equal([1, 4], Enumerable.Range(0, 6).Where(i => Failures.KindOf(scaled[i]) is FailureKind.Misclassified));
        Assert.Equal([2], Enumerable.Range(0, 6).Where(i => Failures.KindOf(scaled[i]) is FailureKind.NearTie));
        Assert.Equal(FailureKind.NearTie, Failures.KindOf(0)); // a tie is a near tie
        Assert.Equal(FailureKind.None, Failures.KindOf(0.25));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void For_fixed_margins_each_round_admits_what_the_one_before_did_and_more(ulong seed)
    {
        var random = new SeededRandom(seed);
        double[] scaled = [.. Enumerable.Range(0, 5 + random.NextInt(60)).Select(_ => 0.25 - Math.Abs(random.NextGaussian()))];

        var rounds = Enumerable.Range(1, 6).Select(t => Failures.Admitted(scaled, t).ToHashSet()).ToArray();

        for (var t = 1; t < rounds.Length; t++)
        {
            Assert.True(rounds[t - 1].IsSubsetOf(rounds[t]));
            Assert.True(t >= 4 || rounds[t - 1].Count < rounds[t].Count);
        }
        Assert.Equal(scaled.Length, rounds[3].Count);
        Assert.Equal(scaled.Length, rounds[5].Count);
        Assert.InRange(rounds[0].Count, scaled.Length / 4, scaled.Length / 4 + 1);
        Assert.True(rounds[0].Max(i => scaled[i]) <= Enumerable.Range(0, scaled.Length).Where(i => !rounds[0].Contains(i)).Min(i => scaled[i])); // the clear errors first
    }

    [Fact]
    public void No_failures_no_curriculum()
    {
        Assert.Empty(Failures.Admitted([], 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => Failures.Admitted([-1], 0));
    }

    [Fact]
    public void Noise_of_log_ratios_by_hand()
    {
        // Differences 2, −2, 4: root mean square √8; the mean of two halves has half of that deviation.
        Assert.Equal(Math.Sqrt(8) / 2, FailureScreens.NoiseFromHalves([(3, 1), (0, 2), (5, 1)]), 1e-12);
        Assert.Equal(Math.Sqrt((1 + 9 + 4) / 3.0), FailureScreens.NoiseFromBasePairs([1, -3, 2]), 1e-12);
        // And from draws: two halves with noise 1 each around any dl have a mean with noise 1/√2.
        var random = new SeededRandom(2);
        var halves = Enumerable.Range(0, 20_000).Select(_ => 3 * random.NextGaussian() is var dl ? (dl + random.NextGaussian(), dl + random.NextGaussian()) : default).ToArray();
        Assert.Equal(Math.Sqrt(0.5), FailureScreens.NoiseFromHalves(halves), 0.015); // four standard errors
    }

    [Fact]
    public void The_screen_by_log_ratio_asks_for_twice_the_noise()
    {
        var task = Task([2.1, 1.9, -1, null], noise: 1);

        Assert.Equal([ScreenReason.None, ScreenReason.LogRatioTooSmall, ScreenReason.LogRatioTooSmall, ScreenReason.NoLogRatio], Fixed(FailureScreen.LogRatio, task));
        Assert.Equal([ScreenReason.None, ScreenReason.None, ScreenReason.LogRatioTooSmall, ScreenReason.NoLogRatio], Fixed(FailureScreen.LogRatio, Task([2.1, 1.9, -1, null], noise: 0)));
        Assert.Contains("no training pair has them", Assert.Throws<CannotTrain>(() => Fixed(FailureScreen.LogRatio, Task([null, null, null, null], noise: 1))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_screen_by_repeats_asks_the_side_means()
    {
        IrlPair[] pairs = [Pair("a", 1, 0), Pair("b", 0, 1)];
        // Over repeats the audited side has more of the feature on prompt a (mean 2 against 1), less on prompt b (0 against 3).
        PromptRepeats[] repeats = [new("a", [[3], [1]], [[1]]), new("b", [[0]], [[2], [4]])];
        var data = IrlData.Prepare(IrlSplit.Of(pairs, [Pair("h", 1, 0)], [Pair("t", 1, 0)]), [], repeats);

        Assert.Equal(ScreenReason.None, FailureScreens.BySideMeans(data, 0, [1]));
        Assert.Equal(ScreenReason.SideMeansDisagree, FailureScreens.BySideMeans(data, 1, [1]));
        Assert.Equal(ScreenReason.SideMeansDisagree, FailureScreens.BySideMeans(data, 0, [-1])); // under the opposite reward it is the other way round
        // Standardised by the pool {1, 0, 0, 1}: mean .5, deviation .5, so the differences 1 and −3 become 2 and −6.
        Assert.Equal([2.0, -6], data.RepeatDifference!);
        Assert.Contains("'b' has no repeated", Assert.Throws<CannotTrain>(() => IrlData.Prepare(IrlSplit.Of(pairs, [Pair("h", 1, 0)], [Pair("t", 1, 0)]), [], repeats[..1])).Message, StringComparison.Ordinal);
        Assert.Contains("needs more completions", Assert.Throws<CannotTrain>(() => Fixed(FailureScreen.RepeatSampling, Task([1, 1, 1, 1], 0))).Message, StringComparison.Ordinal);
    }

    /// <summary>A world with a strong incentive in which some pairs were turned round by hand: those are what other prompts contradict.</summary>
    [Fact]
    public void The_screen_out_of_fold_finds_pairs_that_other_prompts_contradict()
    {
        var random = new SeededRandom(7);
        var planted = Enumerable.Range(0, 200).Where(i => i % 20 == 0).ToHashSet();
        IrlPair One(string prompt, bool isTurned) => new(prompt, [(isTurned ? -1 : 1) * (float)(0.5 + random.NextDouble()), Noise()], [0, Noise()]);
        float Noise() => 0.1f * (float)random.NextGaussian();
        var data = IrlData.Prepare(IrlSplit.Of([.. Enumerable.Range(0, 200).Select(i => One($"p{i}", planted.Contains(i)))], [.. Enumerable.Range(0, 60).Select(i => One($"h{i}", i % 20 == 0))], [One("t", false)]), []);

        var reasons = Fixed(FailureScreen.OutOfFold, new IrlTask(data, [.. Enumerable.Range(0, 200)], new ConvergenceRule()));

        Assert.Equal(planted.Order(), Enumerable.Range(0, 200).Where(i => reasons[i] is ScreenReason.ContradictedOutOfFold));
    }

    private static ScreenReason[] Fixed(FailureScreen screen, IrlTask task) => FailureScreens.Fixed(screen, task, new EntropyObjective(), new SeededRandom(1), CancellationToken.None);

    private static IrlPair Pair(string prompt, float audited, float @base, double? ratio = null) => new(prompt, [audited], [@base], ratio);

    private static IrlTask Task(double?[] ratios, double noise) => new(IrlData.Prepare(IrlSplit.Of([.. ratios.Select((ratio, i) => Pair($"p{i}", i, 0, ratio))], [Pair("h", 1, 0)], [Pair("t", 1, 0)]), [], logRatioNoise: noise),
        [.. Enumerable.Range(0, ratios.Length)], new ConvergenceRule());
}
