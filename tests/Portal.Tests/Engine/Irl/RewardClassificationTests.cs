using Portal.Engine.Irl;
using Portal.Engine.Statistics;
using Xunit;

namespace Portal.Tests.Engine.Irl;

/// <summary>Counts by hand, and rank correlations against brute force over all pairs.</summary>
public sealed class RewardClassificationTests
{
    [Fact]
    public void The_two_accuracies_of_pairs_are_not_the_same()
    {
        double[] margins = [2, -1, 0, 3, -2], truth = [1, -4, 2, -1, 0];
        string[] prompts = ["a", "b", "c", "d", "e"];

        var policy = RewardClassification.AgainstPolicy(margins, prompts, new SeededRandom(1));
        var reference = RewardClassification.AgainstReference(margins, truth, prompts, new SeededRandom(1))!;

        Assert.Equal((5, 0, 2.5 / 5), (policy.Pairs, policy.LeftOut, policy.Accuracy.Estimate));
        Assert.Equal(policy.Accuracy.Estimate, RewardClassification.AgainstPolicy(margins));
        Assert.Equal((4, 1, 2.5 / 4), (reference.Pairs, reference.LeftOut, reference.Accuracy.Estimate)); // right, right, half, wrong; the last pair is a tie of the truth
        Assert.Null(RewardClassification.AgainstReference(margins, new double[5], prompts, new SeededRandom(1)));
    }

    [Fact]
    public void Area_confusion_and_f1_by_hand()
    {
        double[] rewards = [-3, -1, 0, 2, -1, 5];
        bool[] isBad = [true, true, false, false, false, true];
        string[] prompts = ["a", "b", "c", "d", "e", "f"];

        // Bad {−3, −1, 5} against good {0, 2, −1}: pairs with the bad one lower: 3 + (2 + ½) + 0 of 9.
        Assert.Equal(5.5 / 9, RewardClassification.AreaForBad(rewards, isBad, prompts, new SeededRandom(1))!.Value.Estimate, 1e-12);
        Assert.Equal((1.0 / 3 + 1.0 / 3) / 2, RewardClassification.Midpoint(rewards, isBad), 1e-12);
        var confusion = RewardClassification.Below(0, rewards, isBad);
        Assert.Equal(new Confusion(2, 1, 1, 2), confusion);
        Assert.Equal(4 / 6.0, confusion.Accuracy, 1e-12);
        Assert.Equal(2 * 2 / (4.0 + 1 + 1), confusion.F1Positive!.Value, 1e-12);
        Assert.Equal(2 / 3.0, confusion.F1Macro!.Value, 1e-12);
        var one = RewardClassification.Below(-10, rewards, isBad); // nothing is called bad
        Assert.Equal((0.0, 2 * 3 / (6.0 + 3)), (one.F1Positive!.Value, one.F1Negative!.Value));
        Assert.Null(new Confusion(3, 0, 0, 0).F1Macro);
        Assert.Contains("3 bad of 3", Assert.Throws<ArgumentException>(() => RewardClassification.Midpoint([1, 2, 3], [true, true, true])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Rank_agreement_is_that_of_all_texts_and_of_texts_within_prompts()
    {
        var random = new SeededRandom(3);
        var sets = CandidateSets.Uniform([4, 1, 5, 3]);
        double[] one = [.. Enumerable.Range(0, sets.Count).Select(_ => (double)random.NextInt(6))], other = [.. one.Select(value => value + random.NextInt(5))];
        for (var i = 0; i < 4; i++)
            one[i] = 2; // the first prompt's candidates are alike: no rank within

        var ranks = RankAgreement.Compute(sets, one, other, new SeededRandom(1), CancellationToken.None, resamples: 50);

        Assert.Equal(TauB(one, other), ranks.Kendall!.Value.Estimate, 1e-12);
        Assert.Equal(Pearson(RanksOf(one), RanksOf(other)), ranks.Spearman!.Value.Estimate, 1e-12);
        Assert.Equal(Pearson(one, other), ranks.Pearson!.Value.Estimate, 1e-12);
        Assert.Equal((Pearson(RanksOf(one[5..10]), RanksOf(other[5..10])) + Pearson(RanksOf(one[10..]), RanksOf(other[10..]))) / 2, ranks.WithinPrompt!.Value.Estimate, 1e-12);
        Assert.All(new[] { ranks.Kendall!.Value, ranks.Spearman!.Value, ranks.Pearson!.Value }, interval => Assert.True(interval.Low < interval.High));
        Assert.Null(RankAgreement.Compute(sets, new double[13], other, new SeededRandom(1), CancellationToken.None, resamples: 5).Spearman);
    }

    private static double TauB(double[] x, double[] y)
    {
        double agree = 0, differX = 0, differY = 0;
        for (var i = 0; i < x.Length; i++)
        {
            for (var j = 0; j < i; j++)
            {
                agree += Math.Sign(x[i] - x[j]) * Math.Sign(y[i] - y[j]);
                differX += x[i] != x[j] ? 1 : 0;
                differY += y[i] != y[j] ? 1 : 0;
            }
        }
        return agree / Math.Sqrt(differX * differY);
    }

    // 1 + how many are smaller + half of the others that are equal: average ranks without sorting.
    private static double[] RanksOf(double[] values) => [.. values.Select(value => 1 + values.Count(other => other < value) + (values.Count(other => other == value) - 1) / 2.0)];

    private static double Pearson(double[] x, double[] y)
    {
        double mx = x.Average(), my = y.Average();
        return x.Zip(y, (a, b) => (a - mx) * (b - my)).Sum() / Math.Sqrt(x.Sum(a => (a - mx) * (a - mx)) * y.Sum(b => (b - my) * (b - my)));
    }
}
