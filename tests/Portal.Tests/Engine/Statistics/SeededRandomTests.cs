using Portal.Engine.Statistics;
using Xunit;

namespace Portal.Tests.Engine.Statistics;

public sealed class SeededRandomTests
{
    /// <summary>The published first outputs of SplitMix64 for seed 1234567 (its reference implementation in C).</summary>
    [Fact]
    public void Matches_the_reference_outputs_of_SplitMix64()
    {
        var random = new SeededRandom(1234567);

        ulong[] drawn = [random.NextBits(), random.NextBits(), random.NextBits(), random.NextBits(), random.NextBits()];

        Assert.Equal([6457827717110365317UL, 3203168211198807973UL, 9817491932198370423UL, 4593380528125082431UL, 16408922859458223821UL], drawn);
    }

    [Fact]
    public void A_split_depends_on_seed_and_label_but_not_on_draws()
    {
        var fresh = new SeededRandom(5);
        var used = new SeededRandom(5);
        used.NextBits();

        Assert.Equal(fresh.Split("a").NextBits(), used.Split("a").NextBits());
        Assert.NotEqual(fresh.Split("a").NextBits(), fresh.Split("b").NextBits());
        Assert.NotEqual(fresh.Split(0).NextBits(), fresh.Split(1).NextBits());
        Assert.NotEqual(fresh.Split("a").NextBits(), new SeededRandom(6).Split("a").NextBits());
    }

    /// <summary>60,000 throws of a die: chi-squared with 5 degrees of freedom exceeds 25 with probability 1.4e-4; the seed is fixed.</summary>
    [Fact]
    public void Integers_are_uniform()
    {
        var random = new SeededRandom(11);
        var counts = new int[6];
        for (var i = 0; i < 60_000; i++) counts[random.NextInt(6)]++;

        Assert.True(counts.Sum(count => Math.Pow(count - 10_000, 2) / 10_000) < 25, string.Join(' ', counts));
    }

    /// <summary>By the definition, in whole numbers: the high half of bits times count, and bits again where the low half is below 2^64 mod count.</summary>
    [Theory]
    [InlineData(6)]
    [InlineData(400)]
    [InlineData(1_431_655_765)]
    public void Integers_follow_their_definition(int count)
    {
        var (random, bits) = (new SeededRandom(14), new SeededRandom(14));
        var unfair = (ulong)((UInt128.One << 64) % (UInt128)count);
        for (var i = 0; i < 2_000; i++)
        {
            UInt128 product;
            do
                product = (UInt128)bits.NextBits() * (UInt128)count;
            while ((ulong)product < unfair);
            Assert.Equal((int)(product >> 64), random.NextInt(count));
        }
    }

    [Fact]
    public void Doubles_lie_in_the_unit_interval_and_gaussians_have_mean_0_and_variance_1()
    {
        var random = new SeededRandom(12);
        var uniform = Enumerable.Range(0, 20_000).Select(_ => random.NextDouble()).ToArray();
        var normal = Enumerable.Range(0, 20_000).Select(_ => random.NextGaussian()).ToArray();

        Assert.All(uniform, value => Assert.InRange(value, 0, 1 - 1e-16));
        Assert.Equal(.5, uniform.Average(), .01);
        Assert.Equal(0, normal.Average(), .03);
        Assert.Equal(1, normal.Average(value => value * value), .05);
    }

    [Fact]
    public void Weights_are_respected_and_bad_ones_are_refused()
    {
        var random = new SeededRandom(13);
        var hits = Enumerable.Range(0, 10_000).Count(_ => random.PickWeighted([1, 0, 3]) == 2);

        Assert.InRange(hits, 7_300, 7_700);
        Assert.Throws<ArgumentException>(() => random.PickWeighted([0, 0]));
        Assert.Throws<ArgumentException>(() => random.PickWeighted([1, double.NaN]));
        Assert.Throws<ArgumentOutOfRangeException>(() => random.NextInt(0));
    }

    [Fact]
    public void A_shuffle_keeps_the_items()
    {
        var items = Enumerable.Range(0, 50).ToArray();
        new SeededRandom(14).Shuffle(items);

        Assert.NotEqual(Enumerable.Range(0, 50), items);
        Assert.Equal(Enumerable.Range(0, 50), items.Order());
    }
}
