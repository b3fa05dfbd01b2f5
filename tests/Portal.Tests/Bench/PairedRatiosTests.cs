using Portal.Bench;
using Xunit;

namespace Portal.Tests.Bench;

/// <summary>
/// The arithmetic of the benches' verdicts. Expected quartiles are from Python 3's <c>statistics.quantiles(values, n=4, method="inclusive")</c>
/// (n=100 for the tail), which is the same definition.
/// </summary>
public sealed class PairedRatiosTests
{
    private static readonly double[] Steady = [1.02, 0.97, 0.99, 1.05, 0.93, 1.00, 0.98];
    private static readonly double[] Scattered = [0.80, 0.85, 0.96, 0.97, 0.98, 1.09, 1.20];

    [Fact]
    public void Quantiles_are_those_of_pythons_statistics()
    {
        double[] values = [3, 1, 2, 10];

        Assert.Equal(1.75, PairedRatios.Quantile(values, 0.25), 12);
        Assert.Equal(2.5, PairedRatios.Quantile(values, 0.5), 12);
        Assert.Equal(4.75, PairedRatios.Quantile(values, 0.75), 12);
        Assert.Equal(9.79, PairedRatios.Quantile(values, 0.99), 12);
        Assert.Equal((1, 10), (PairedRatios.Quantile(values, 0), PairedRatios.Quantile(values, 1)));
        Assert.Equal(double.NaN, PairedRatios.Quantile([], 0.5));
        Assert.Throws<ArgumentOutOfRangeException>(() => PairedRatios.Quantile(values, 1.01));
    }

    [Fact]
    public void Spread_is_the_interquartile_range_over_the_median()
    {
        Assert.Equal(0.03535353535353539, new PairedRatios([Steady]).Spread, 12);
        Assert.Equal(0.13402061855670117, new PairedRatios([Scattered]).Spread, 12);
    }

    [Fact]
    public void Pairs_of_all_tries_count_together()
    {
        var both = new PairedRatios([[0.96, 0.955, 0.965, 0.96], [0.94, 0.95, 0.96, 0.945]]);

        // The first try alone would reach 0.96, the second only 0.9475.
        Assert.Equal(8, both.Pooled.Count);
        Assert.Equal(0.9575, both.Median, 12);
        Assert.Equal((0.96 - 0.94875) / 0.9575, both.Spread, 12);
    }

    [Fact]
    public void A_steady_median_at_the_target_is_ok_and_just_below_is_missed()
    {
        Assert.Equal(Verdict.Ok, new PairedRatios([Steady]).AtLeast(0.99));
        Assert.Equal(Verdict.Missed, new PairedRatios([Steady]).AtLeast(0.9901));
    }

    [Fact]
    public void Scattered_or_few_pairs_claim_nothing_whatever_their_median()
    {
        Assert.Equal(Verdict.Inconclusive, new PairedRatios([Scattered]).AtLeast(0.5));
        Assert.Equal(Verdict.Inconclusive, new PairedRatios([Scattered]).AtLeast(1.5));
        Assert.Equal(Verdict.Inconclusive, new PairedRatios([Steady[..6]]).AtLeast(0.5));
        Assert.Equal(Verdict.Inconclusive, new PairedRatios([]).AtLeast(0.5));
    }

    [Fact]
    public void A_late_try_cannot_hide_an_early_one()
    {
        double[] bad = [.. Enumerable.Repeat(0.90, 9)];
        double[] good = [.. Enumerable.Repeat(0.97, 9)];

        Assert.Equal(Verdict.Ok, new PairedRatios([good]).AtLeast(0.95));
        Assert.NotEqual(Verdict.Ok, new PairedRatios([bad, good]).AtLeast(0.95));
    }

    [Fact]
    public void An_invalid_row_stays_invalid_however_good_its_ratios_are()
    {
        Assert.Equal(Verdict.Invalid, new PairedRatios([Steady]).AtLeast(0.5, "the first losses differ"));
        Assert.Equal(Verdict.Invalid, new PairedRatios([Steady]).AtMost(5, "judgements are lost"));
    }

    [Fact]
    public void A_latency_may_be_at_most_so_many_times_the_idle_one_and_may_scatter()
    {
        double[] busy = [1.1, 1.9, 1.2, 3.0, 1.4, 1.3, 1.2];

        Assert.Equal(Verdict.Ok, new PairedRatios([busy]).AtMost(2));
        Assert.Equal(Verdict.Missed, new PairedRatios([[.. busy.Select(ratio => ratio + 1)]]).AtMost(2));
        Assert.Equal(Verdict.Inconclusive, new PairedRatios([busy[..6]]).AtMost(2));
    }
}
