using Portal.Engine.Statistics;
using Xunit;

namespace Portal.Tests.Engine.Statistics;

/// <summary>The bound against closed forms, exact tails and draws that do not weigh alike.</summary>
public sealed class HoeffdingBoundTests
{
    [Theory]
    [InlineData(8, 0.2, 0.5)]
    [InlineData(30, 0.05, 0.2)]
    [InlineData(100, 0.4, 0.55)]
    [InlineData(5, 0.3, 1)]
    public void Of_equal_weights_it_is_the_divergences_and_above_the_exact_tail(int count, double p, double w)
    {
        var bound = HoeffdingBound.AtLeast([.. Enumerable.Repeat(1.0 / count, count)], p, w);

        Assert.Equal(1, bound / Math.Exp(-count * HoeffdingBound.Divergence(w, p)), 1e-6);
        var exact = BinomialTest.AtLeast((int)Math.Round(w * count), count, p);
        Assert.InRange(bound, exact * (1 - 1e-6), exact * 12); // and not by much
    }

    /// <summary>All draws have it: the product of their probabilities, whatever they weigh. One draw with all the weight says nothing more than p.</summary>
    [Fact]
    public void What_all_draws_have_is_as_probable_as_all_of_them_together()
    {
        Assert.Equal(Math.Pow(0.2, 3), HoeffdingBound.AtLeast([0.7, 0.2, 0.1], 0.2, 1), 1e-6);
        Assert.Equal(0.03, HoeffdingBound.AtLeast([1], 0.03, 1), 1e-9);
        Assert.Equal([1.0, 1.0], new[] { 0.1, 0.3 }.Select(w => HoeffdingBound.AtLeast([0.5, 0.5], 0.3, w)));
        Assert.Equal(0.5 * Math.Log(0.5 / 0.2) + 0.5 * Math.Log(0.5 / 0.8), HoeffdingBound.Divergence(0.5, 0.2), 1e-15);
        Assert.Equal(0, HoeffdingBound.Divergence(1, 1));
    }

    /// <summary>A grid over t finds nothing lower than the search does.</summary>
    [Fact]
    public void No_other_t_gives_less()
    {
        double[] weights = [0.4, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05];
        foreach (var (p, w) in new[] { (0.1, 0.5), (0.02, 0.4), (0.5, 0.9) })
        {
            var least = Enumerable.Range(0, 200_000).Min(i => i * 0.001 is var t ? weights.Sum(weight => Math.Log(1 - p + p * Math.Exp(t * weight))) - t * w : 0);
            Assert.Equal(least, Math.Log(HoeffdingBound.AtLeast(weights, p, w)), 1e-6);
        }
    }

    /// <summary>A hundred items of which a fifth have it; weights that differ by a factor of a thousand are laid on them at random, without replacement.</summary>
    [Fact]
    public void Draws_without_replacement_exceed_it_no_more_often_than_it_says()
    {
        var weights = Enumerable.Range(0, 60).Select(i => Math.Pow(0.89, i)).ToArray();
        var total = weights.Sum();
        weights = [.. weights.Select(weight => weight / total)];
        var (random, items) = (new SeededRandom(7), Enumerable.Range(0, 100).Select(i => i % 5 == 0).ToArray());
        var shares = new double[20_000];
        for (var draw = 0; draw < shares.Length; draw++)
        {
            for (var i = 0; i < weights.Length; i++) // the first sixty of a shuffle
            {
                var other = i + random.NextInt(items.Length - i);
                (items[i], items[other]) = (items[other], items[i]);
                shares[draw] += items[i] ? weights[i] : 0;
            }
        }

        Assert.Equal(0.2, shares.Average(), 0.003);
        foreach (var w in new[] { 0.3, 0.4, 0.5 })
            Assert.InRange(shares.Count(share => share >= w) / (double)shares.Length, 1e-9, HoeffdingBound.AtLeast(weights, 0.2, w));
    }
}
