using System.Numerics;
using Portal.Engine.Statistics;
using Xunit;

namespace Portal.Tests.Engine.Statistics;

/// <summary>Intervals, tests and correlations against published values, closed forms and brute force; each test says which.</summary>
public sealed class StatisticsTests
{
    [Theory] // tables of the normal distribution (e.g. Abramowitz and Stegun 26.1, extended digits as R's qnorm and pnorm print them)
    [InlineData(0.975, 1.959963984540054)]
    [InlineData(0.995, 2.5758293035489004)]
    [InlineData(0.95, 1.6448536269514722)]
    [InlineData(0.5, 0)]
    [InlineData(0.001, -3.090232306167813)]
    [InlineData(1e-9, -5.9978070150076865)]
    public void Normal_quantiles_match_the_tables(double probability, double z)
    {
        Assert.Equal(z, NormalDistribution.Quantile(probability), 1e-9);
        Assert.Equal(probability, NormalDistribution.Cdf(z), probability * 1e-9);
    }

    [Fact]
    public void Normal_areas_match_a_numeric_integral()
    {
        // Simpson's rule over the density from 0 to z, 20,000 steps: error below 1e-14.
        foreach (double z in new[] { 0.1, 0.7, 1.5, 2.8, 2.9, 4.0 })
        {
            const int steps = 20_000;
            double h = z / steps, sum = 0;
            for (int i = 0; i <= steps; i++) sum += (i == 0 || i == steps ? 1 : i % 2 == 1 ? 4 : 2) * Math.Exp(-(i * h) * (i * h) / 2);
            Assert.Equal(0.5 + sum * h / 3 / Math.Sqrt(2 * Math.PI), NormalDistribution.Cdf(z), 1e-13);
        }
    }

    [Theory] // Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3 (score without continuity correction)
    [InlineData(81, 263, 0.2553, 0.3662)]
    [InlineData(15, 148, 0.0624, 0.1605)]
    [InlineData(0, 20, 0.0000, 0.1611)]
    [InlineData(1, 29, 0.0061, 0.1718)]
    public void Wilson_matches_newcombes_table(int successes, int trials, double low, double high)
    {
        ConfidenceInterval interval = WilsonInterval.Compute(successes, trials);

        Assert.Equal(low, interval.Low, 5e-5);
        Assert.Equal(high, interval.High, 5e-5);
    }

    [Fact]
    public void Wilson_ends_solve_the_score_equation()
    {
        // The definition: at each end p0, |p - p0| = z sqrt(p0 (1 - p0) / n).
        ConfidenceInterval interval = WilsonInterval.Compute(37.5, 60, 0.9);
        foreach (double end in new[] { interval.Low, interval.High })
            Assert.Equal(1.6448536269514722 * Math.Sqrt(end * (1 - end) / 60), Math.Abs(37.5 / 60 - end), 1e-12);
    }

    [Theory] // the examples of scipy.stats.binomtest's and R's binom.test's documentation
    [InlineData(682, 925, 0.75, 0.3824915595748)]
    [InlineData(11, 20, 0.5, 0.8238029479980469)]
    public void Two_sided_binomial_matches_published_values(int successes, int trials, double probability, double expected) =>
        Assert.Equal(expected, BinomialTest.TwoSided(successes, trials, probability), 1e-9);

    [Fact]
    public void Binomial_tails_match_exact_whole_numbers()
    {
        Assert.Equal(0.18406106910639114, BinomialTest.AtLeast(3, 15, 0.1), 1e-13); // scipy's documentation
        // P = 1/2: sums of binomial coefficients as exact integers.
        foreach ((int k, int n) in new[] { (0, 1), (7, 10), (180, 300), (320, 600), (2, 2) })
        {
            BigInteger term = 1, tail = 0, both = 0;
            var terms = new BigInteger[n + 1];
            for (int i = 0; i <= n; i++)
            {
                terms[i] = term;
                term = term * (n - i) / (i + 1);
            }

            for (int i = 0; i <= n; i++)
            {
                if (i >= k) tail += terms[i];
                if (terms[i] <= terms[k]) both += terms[i];
            }

            double Share(BigInteger part) => Math.Exp(BigInteger.Log(part) - n * Math.Log(2));
            Assert.Equal(Share(tail), BinomialTest.AtLeast(k, n), 1e-11);
            Assert.Equal(Share(both), BinomialTest.TwoSided(k, n), 1e-11);
        }
    }

    [Fact]
    public void Correlations_match_published_examples()
    {
        // scipy's documentation of kendalltau and spearmanr.
        Assert.Equal(-0.47140452079103173, Correlation.KendallTauB([12, 2, 1, 12, 2], [1, 4, 7, 1, 0])!.Value, 1e-14);
        Assert.Equal(0.8207826816681233, Correlation.Spearman([1, 2, 3, 4, 5], [5, 6, 7, 8, 7])!.Value, 1e-14);
        // Anscombe's first quartet: r = .816 to three places.
        Assert.Equal(0.816, Correlation.Pearson([10, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5], [8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68])!.Value, 5e-4);
    }

    [Fact]
    public void Kendall_matches_a_count_of_all_pairs()
    {
        var random = new SeededRandom(5);
        for (int round = 0; round < 50; round++)
        {
            int n = 2 + random.NextInt(60);
            double[] x = [.. Enumerable.Range(0, n).Select(_ => (double)random.NextInt(8))], y = [.. Enumerable.Range(0, n).Select(_ => (double)random.NextInt(8))];
            double agree = 0, differX = 0, differY = 0;
            for (int i = 0; i < n; i++)
            {
                for (int j = 0; j < i; j++)
                {
                    agree += Math.Sign(x[i] - x[j]) * Math.Sign(y[i] - y[j]);
                    if (x[i] != x[j]) differX++;
                    if (y[i] != y[j]) differY++;
                }
            }

            double? expected = differX == 0 || differY == 0 ? null : agree / Math.Sqrt(differX * differY);
            double? seen = Correlation.KendallTauB(x, y);
            Assert.Equal(expected is null, seen is null);
            if (expected is not null) Assert.Equal(expected.Value, seen!.Value, 1e-12);
        }
    }

    [Fact]
    public void Correlation_with_a_constant_is_absent()
    {
        Assert.Null(Correlation.Pearson([1, 1, 1], [1, 2, 3]));
        Assert.Null(Correlation.Spearman([1, 2, 3], [4, 4, 4]));
        Assert.Null(Correlation.KendallTauB([1, 2, 3], [4, 4, 4]));
        Assert.Equal(1.0, Correlation.Spearman([1, 2, 3], [1, 10, 100])!.Value, 1e-15);
        Assert.Equal([1.5, 3, 1.5], Correlation.Ranks([2, 9, 2]));
    }

    [Fact]
    public void Bootstrap_of_three_values_matches_all_27_resamples()
    {
        // n = 3: the exact bootstrap distribution of the mean of {0, 1, 5} has 27 equally likely outcomes; its quantiles at 10 % and 90 % by full enumeration.
        double[] values = [0, 1, 5];
        double[] exact = [.. from a in values from b in values from c in values orderby a + b + c select (a + b + c) / 3];

        ConfidenceInterval interval = Bootstrap.Mean(values, null, new SeededRandom(1), resamples: 20_000, level: 0.8);

        Assert.Equal((2.0, 3), (interval.Estimate, interval.Count));
        // Cumulative shares: 4/27 at the second outcome (1/3), so the 10 % point is 1/3; 26/27 - 3/27 below 11/3, so the 90 % point is 11/3.
        Assert.Equal(exact[2], interval.Low, 1e-12);
        Assert.Equal(exact[24], interval.High, 1e-12);
    }

    [Fact]
    public void Bootstrap_of_shares_matches_the_binomial_distribution()
    {
        // Resampling n zeros and ones draws Binomial(n, p) / n; its 2.5 % and 97.5 % points by summing exact probabilities.
        double[] values = [.. Enumerable.Range(0, 200).Select(i => i < 130 ? 1.0 : 0.0)];
        int low = Enumerable.Range(0, 201).First(k => 1 - BinomialTest.AtLeast(k + 1 > 200 ? 200 : k + 1, 200, 0.65) >= 0.025);
        int high = Enumerable.Range(0, 200).First(k => 1 - BinomialTest.AtLeast(k + 1, 200, 0.65) >= 0.975);

        ConfidenceInterval interval = Bootstrap.Mean(values, null, new SeededRandom(2), resamples: 20_000);

        // 20,000 draws put each end within one step of 1/200.
        Assert.Equal(low / 200.0, interval.Low, 0.0051);
        Assert.Equal(high / 200.0, interval.High, 0.0051);
    }

    [Fact]
    public void Bootstrap_by_group_is_as_wide_as_the_groups_allow()
    {
        // 40 prompts of 25 equal values each: the information is that of 40 values, so both intervals are the same draws.
        double[] means = [.. Enumerable.Range(0, 40).Select(i => (double)(i * 7 % 11))];
        double[] values = [.. means.SelectMany(mean => Enumerable.Repeat(mean, 25))];
        string[] groups = [.. Enumerable.Range(0, 1000).Select(i => $"prompt {i / 25}")];

        ConfidenceInterval byGroup = Bootstrap.Mean(values, groups, new SeededRandom(3)), ofMeans = Bootstrap.Mean(means, null, new SeededRandom(3)), naive = Bootstrap.Mean(values, null, new SeededRandom(3));

        Assert.Equal((ofMeans.Low, ofMeans.High, 40), (byGroup.Low, byGroup.High, byGroup.Count), (a, b) => Math.Abs(a.Low - b.Low) < 1e-12 && Math.Abs(a.High - b.High) < 1e-12 && a.Item3 == b.Item3);
        Assert.Equal(5, (byGroup.High - byGroup.Low) / (naive.High - naive.Low), 0.5); // √25
    }

    [Fact]
    public void Bootstrap_intervals_hold_the_truth_about_as_often_as_they_say()
    {
        // 300 samples of 60 normal values with mean 1: the percentile bootstrap is known to cover a little less than 95 % at this size; below 91 % or above 98 % is a fault
        // (the binomial's standard error is 1.3 %).
        int held = 0;
        for (int sample = 0; sample < 300; sample++)
        {
            SeededRandom random = new SeededRandom(11).Split(sample);
            double[] values = [.. Enumerable.Range(0, 60).Select(_ => 1 + random.NextGaussian())];
            if (Bootstrap.Mean(values, null, random, resamples: 500).Holds(1)) held++;
        }

        Assert.InRange(held / 300.0, 0.91, 0.98);
    }

    [Fact]
    public void Paired_differences_cancel_what_is_shared()
    {
        var random = new SeededRandom(4);
        double[] first = [.. Enumerable.Range(0, 100).Select(_ => random.NextGaussian() * 100)], second = [.. first.Select(value => value - 0.25)];

        ConfidenceInterval interval = Bootstrap.PairedDifference(first, second, null, random);

        Assert.Equal(0.25, interval.Low, 1e-9);
        Assert.Equal(0.25, interval.High, 1e-9);
        Assert.True(interval.IsAbove(0));
    }

    [Fact]
    public void Bootstrap_is_the_same_for_the_same_seed_and_leaves_the_source_alone()
    {
        double[] values = [1, 4, 2, 8, 5, 7];
        var random = new SeededRandom(9);

        ConfidenceInterval first = Bootstrap.Mean(values, null, random), second = Bootstrap.Mean(values, null, random);

        Assert.Equal(first, second);
        Assert.NotEqual(first, Bootstrap.Mean([1, 4, 2, 8, 5, 7.5], null, random));
        Assert.Contains("6 values and 1 groups", Assert.Throws<ArgumentException>(() => Bootstrap.Mean(values, ["a"], random)).Message);
    }

    [Fact]
    public void Quantiles_interpolate_as_numpy_does()
    {
        // numpy.quantile([1, 2, 4, 8], [0, .25, .5, .9, 1]) = 1, 1.75, 3, 6.8, 8 (its documented linear rule, worked by hand)
        double[] sorted = [1, 2, 4, 8];
        Assert.Equal([1, 1.75, 3, 6.8, 8], new[] { 0, .25, .5, .9, 1 }.Select(share => Math.Round(Bootstrap.Quantile(sorted, share), 12)));
    }
}
