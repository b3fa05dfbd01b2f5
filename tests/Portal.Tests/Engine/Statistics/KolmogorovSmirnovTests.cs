using Portal.Engine.Statistics;
using Xunit;

namespace Portal.Tests.Engine.Statistics;

/// <summary>D by brute force over all numbers, p against relabelling by lot, and the limit's table (Smirnov 1948: .05 at 1.358, .01 at 1.628).</summary>
public sealed class KolmogorovSmirnovTests
{
    [Fact]
    public void The_statistic_is_the_largest_difference_of_the_distribution_functions()
    {
        var random = new SeededRandom(31);
        for (var trial = 0; trial < 50; trial++)
        {
            // Few different numbers, so that ties are common.
            double[] a = [.. Enumerable.Range(0, 3 + random.NextInt(20)).Select(_ => (double)random.NextInt(12))], b = [.. Enumerable.Range(0, 3 + random.NextInt(20)).Select(_ => (double)random.NextInt(12) + trial % 3)];
            Assert.Equal(BruteForce(a, b), KolmogorovSmirnov.Compare(a, b).Statistic, 1e-12);
        }
    }

    [Fact]
    public void Equal_samples_have_p_one_and_separate_ones_none()
    {
        double[] numbers = [.. Enumerable.Range(0, 40).Select(i => (double)i)];
        Assert.Equal(new KolmogorovSmirnovResult(0, 1), KolmogorovSmirnov.Compare(numbers, numbers));
        var apart = KolmogorovSmirnov.Compare(numbers, [.. numbers.Select(x => x + 100)]);
        Assert.Equal(1, apart.Statistic);
        Assert.InRange(apart.P, 0, 1e-12);
        Assert.Throws<ArgumentException>(() => KolmogorovSmirnov.Compare(numbers, []));
        Assert.Throws<ArgumentException>(() => KolmogorovSmirnov.Compare(numbers, [double.NaN]));
    }

    /// <summary>Of samples so large that the correction is none, D √e is λ.</summary>
    [Theory]
    [InlineData(1.358, 0.05)]
    [InlineData(1.628, 0.01)]
    public void The_limit_is_Smirnovs(double lambda, double p)
    {
        // All of the first are 0.5 below the second but for a share, which makes D what it should be.
        const int n = 200_000;
        var d = lambda / Math.Sqrt(n / 2.0);
        double[] a = [.. Enumerable.Range(0, n).Select(i => (double)i)];
        double[] b = [.. a.Select(x => x + d * n)];

        Assert.Equal(p, KolmogorovSmirnov.Compare(a, b).P, 0.03 * p);
    }

    [Fact]
    public void P_is_how_often_relabelling_by_lot_does_as_much()
    {
        var random = new SeededRandom(32);
        double[] a = [.. Enumerable.Range(0, 40).Select(_ => random.NextGaussian())], b = [.. Enumerable.Range(0, 60).Select(_ => random.NextGaussian() + 0.4)];
        var seen = KolmogorovSmirnov.Compare(a, b);
        double[] all = [.. a, .. b];
        var asMuch = 0;
        for (var round = 0; round < 4_000; round++)
        {
            random.Shuffle(all);
            asMuch += BruteForce(all[..40], all[40..]) >= seen.Statistic - 1e-12 ? 1 : 0;
        }
        Assert.Equal(asMuch / 4_000.0, seen.P, 0.03);
    }

    private static double BruteForce(double[] a, double[] b) =>
        a.Concat(b).Max(at => Math.Abs(a.Count(x => x <= at) / (double)a.Length - b.Count(x => x <= at) / (double)b.Length));
}
