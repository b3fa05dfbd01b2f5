using System.Text.RegularExpressions;
using Portal.Web.Components;
using Xunit;

namespace Portal.Tests.Web;

/// <summary>Axes by hand; thinning against its promise on random walks; the drawing by what it must hold.</summary>
public sealed class ChartTests
{
    [Theory]
    [InlineData(0, 1000, 4, "0 250 500 750 1000")]
    [InlineData(.31, .69, 4, "0.3 0.4 0.5 0.6 0.7")]
    [InlineData(0, 140, 4, "0 50 100 150")]
    [InlineData(-.3, .2, 4, "-0.4 -0.2 0 0.2")]
    [InlineData(5, 5, 4, "4.6 4.8 5 5.2 5.4")]
    [InlineData(0, 0, 4, "-1 -0.5 0 0.5 1")]
    public void Ticks_are_round_and_cover_the_values(double low, double high, int wanted, string expected)
    {
        var ticks = ChartScale.Ticks(low, high, wanted);

        // 5 ± 5 % is 4.75 to 5.25, a step of 0.2 covers it from 4.6 to 5.4
        Assert.Equal(expected, string.Join(' ', ticks.Select(static tick => tick.ToString(System.Globalization.CultureInfo.InvariantCulture))));
    }

    [Fact]
    public void Bars_can_change_where_a_bar_has_the_number_of_a_tick()
    {
        // Bars at 0 and 1, ticks of both axes at 0 too: all of them are siblings in the drawing.
        ChartSeries Bars(params double[] at) => new("Before", [.. at.Select(static x => new ChartPoint(x, 3))]);
        (string, object?)[] Of(ChartSeries series) => [("Title", "Rewards"), ("XTitle", "reward"), ("YTitle", "responses"), ("Bars", true), ("Series", new[] { series })];

        var html = Rendering.HtmlAfterChange<Chart>(Of(Bars(0, 1, 2)), Of(Bars(0.5, 0, 2.5)));

        Assert.Equal(3, html.Split("<rect").Length - 1);
    }

    [Fact]
    public void Any_range_gets_a_handful_of_ticks_that_cover_it()
    {
        var random = new Random(7);
        for (var round = 0; round < 2_000; round++)
        {
            var low = (random.NextDouble() - .5) * Math.Pow(10, random.Next(-6, 7));
            var high = low + (random.NextDouble() * Math.Pow(10, random.Next(-6, 7))) + 1e-6;

            var ticks = ChartScale.Ticks(low, high, 4);

            var slack = (high - low) * 1e-6;
            Assert.True(ticks[0] <= low + slack && ticks[^1] >= high - slack, $"[{low}, {high}] -> {string.Join(' ', ticks)}");
            Assert.InRange(ticks.Count, 2, 9);
        }
    }

    [Fact]
    public void An_axis_without_finite_ends_is_refused() => Assert.Throws<ArgumentException>(() => ChartScale.Ticks(double.NaN, 1, 4));

    [Fact]
    public void Thinning_keeps_ends_order_and_extremes()
    {
        var random = new Random(3);
        var value = 0.0;
        var points = Enumerable.Range(0, 10_000).Select(step => new ChartPoint(step, value += random.NextDouble() - .5)).ToList();

        var thin = ChartScale.Thin(points, 400);

        Assert.InRange(thin.Count, 200, 400);
        Assert.Equal((points[0], points[^1]), (thin[0], thin[^1]));
        Assert.Equal(thin.OrderBy(static point => point.X), thin);
        Assert.Equal(points.Min(static point => point.Y), thin.Min(static point => point.Y));
        Assert.Equal(points.Max(static point => point.Y), thin.Max(static point => point.Y));
        Assert.Same(points, ChartScale.Thin(points, 10_000));
    }

    [Fact]
    public void The_table_behind_the_picture_holds_the_rows()
    {
        using var _ = new English();
        ChartSeries series = new("held-out", [new(0, .7, .6, .8), new(10, double.NaN), new(20, .5, .4, .6)]);

        var html = Rendering.Html<Chart>(("Title", "Loss"), ("Unit", "nats, n 698"), ("XTitle", "step"), ("YTitle", "nats"), ("Series", new[] { series }), ("References", new ChartReference[] { new("ln 2", Y: .693) }));

        var cells = Regex.Matches(html, "<td class=\"num\">([^<]*)</td>").Select(static match => match.Groups[1].Value);
        Assert.Equal(["0.70", "0.60 to 0.80", "", "", "0.50", "0.40 to 0.60"], cells);
        Assert.Contains("aria-label=\"Loss, nats, n 698. held-out: from 0.70 at 0 to 0.50 at 20\"", html, StringComparison.Ordinal);
        // a gap begins the line anew (the first match is the legend's)
        Assert.Equal(2, Regex.Matches(html, "class=\"l1\" d=\"([^\"]*)\"")[1].Groups[1].Value.Count(static c => c == 'M'));
        Assert.DoesNotContain("NaN", html, StringComparison.Ordinal);
    }

    [Fact]
    public void A_chart_without_points_says_so()
    {
        var html = Rendering.Html<Chart>(("Title", "Loss"), ("Unit", "nats"), ("XTitle", "step"), ("YTitle", "nats"), ("Series", new ChartSeries[] { new("a", []) }));

        Assert.Equal("Loss nats Nothing to draw yet", Rendering.Words(html));
    }
}
