using Portal.Engine.Statistics;
using Xunit;

namespace Portal.Tests.Engine.Statistics;

/// <summary>Against the general bootstrap on the same observations, and against the moments of the binomial.</summary>
public sealed class ProfileBootstrapTests
{
    [Fact]
    public void Gives_the_intervals_of_the_general_bootstrap()
    {
        var random = new SeededRandom(3);
        var (first, second, prompts) = (new List<double>(), new List<double>(), new List<string>());
        for (var prompt = 0; prompt < 300; prompt++)
        {
            var easy = random.NextDouble();
            for (var pair = 0; pair <= random.NextInt(5); pair++)
            {
                first.Add(random.Chance(easy) ? 1 : random.Chance(0.1) ? 0.5 : 0);
                second.Add(random.Chance(0.8) ? first[^1] : random.Chance(0.7) ? 1 : 0);
                prompts.Add($"{prompt}");
            }
        }
        var groups = prompts.Select((prompt, i) => (prompt, i)).GroupBy(at => at.prompt, at => at.i)
            .Select(own => new GroupTotals(own.Count(), (int)own.Sum(i => 2 * first[i]), (int)own.Sum(i => 2 * second[i])));

        var (a, b, change) = ProfileBootstrap.Paired(groups, 0.5, new SeededRandom(1), resamples: 20_000);

        Near(Bootstrap.Mean(first, prompts, new SeededRandom(2), 20_000), a);
        Near(Bootstrap.Mean(second, prompts, new SeededRandom(2), 20_000), b);
        Near(Bootstrap.PairedDifference(second, first, prompts, new SeededRandom(2), 20_000), change);

        // 20,000 resamples leave about 1 % of the width to chance in each end.
        static void Near(ConfidenceInterval expected, ConfidenceInterval found)
        {
            Assert.Equal(expected.Estimate, found.Estimate, 12);
            Assert.Equal(expected.Count, found.Count);
            var tolerance = 0.03 * (expected.High - expected.Low);
            Assert.InRange(found.Low, expected.Low - tolerance, expected.Low + tolerance);
            Assert.InRange(found.High, expected.High - tolerance, expected.High + tolerance);
        }
    }

    [Theory]
    [InlineData(40, 0.05)]
    [InlineData(40, 0.6)]
    [InlineData(5_000, 0.3)]
    [InlineData(25_000, 0.0007)]
    [InlineData(100, 0.5)]
    public void Binomials_have_their_mean_variance_and_chances(int n, double p)
    {
        var random = new SeededRandom(11);
        var logs = ProfileBootstrap.LogFactorials(n);
        const int Draws = 200_000;

        var drawn = Enumerable.Range(0, Draws).Select(_ => ProfileBootstrap.Binomial(n, p, random, logs)).ToList();

        var (mean, variance) = (n * p, n * p * (1 - p));
        Assert.InRange(drawn.Average(), mean - 5 * Math.Sqrt(variance / Draws), mean + 5 * Math.Sqrt(variance / Draws));
        Assert.InRange(drawn.Average(k => (k - mean) * (k - mean)) / variance, 0.98, 1.02); // relative error of a variance: √(2/200,000) ≈ 0.3 %
        var mode = (int)((n + 1) * p);
        var chance = Math.Exp(logs[n] - logs[mode] - logs[n - mode] + mode * Math.Log(p) + (n - mode) * Math.Log(1 - p));
        Assert.InRange(drawn.Count(k => k == mode) / (double)Draws, chance - 5 * Math.Sqrt(chance / Draws), chance + 5 * Math.Sqrt(chance / Draws));
        Assert.All(drawn, k => Assert.InRange(k, 0, n));
    }

    [Fact]
    public void Groups_that_are_all_alike_leave_nothing_to_chance()
    {
        var (first, second, change) = ProfileBootstrap.Paired(Enumerable.Repeat(new GroupTotals(2, 3, 1), 50), 0.5, new SeededRandom(1));

        Assert.Equal((0.75, 0.75, 0.75), (first.Low, first.Estimate, first.High));
        Assert.Equal((0.25, -0.5, -0.5, 50), (second.Estimate, change.Low, change.High, change.Count));
    }

    [Fact]
    public void Nothing_to_resample_is_refused()
    {
        Assert.Throws<ArgumentException>(() => ProfileBootstrap.Paired([], 1, new SeededRandom(1)));
        Assert.Throws<ArgumentException>(() => ProfileBootstrap.Paired([new GroupTotals(0, 0, 0)], 1, new SeededRandom(1)));
        Assert.Throws<ArgumentException>(() => ProfileBootstrap.Paired([new GroupTotals(1, 0, 0)], 1, new SeededRandom(1), resamples: 0));
    }
}
