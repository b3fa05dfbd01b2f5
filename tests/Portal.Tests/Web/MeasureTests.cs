using Portal.Web.Components;
using Xunit;

namespace Portal.Tests.Web;

/// <summary>Expected strings written by hand from the mock-ups' conventions: true minus, no-break space, no "−0".</summary>
public sealed class MeasureTests
{
    [Theory]
    [InlineData(.813, MeasureFormat.Percent, 1, null, "81.3\u00a0%")]
    [InlineData(.118, MeasureFormat.Points, 1, null, "+11.8\u00a0pts")]
    [InlineData(-.038, MeasureFormat.Points, 1, null, "\u22123.8\u00a0pts")]
    [InlineData(.37, MeasureFormat.Signed, 2, null, "+0.37")]
    [InlineData(-.004, MeasureFormat.Signed, 2, null, "0.00")]
    [InlineData(0, MeasureFormat.Points, 1, null, "0.0\u00a0pts")]
    [InlineData(5.24, MeasureFormat.Plain, 1, "nats", "5.2\u00a0nats")]
    [InlineData(-5.26, MeasureFormat.Plain, 1, null, "\u22125.3")]
    [InlineData(11480, MeasureFormat.Plain, 0, "tokens", "11,480\u00a0tokens")]
    [InlineData(1, MeasureFormat.Percent, 0, null, "100\u00a0%")]
    public void Numbers_are_written_one_way(double value, MeasureFormat format, int decimals, string? unit, string expected)
    {
        using var _ = new English();
        Assert.Equal(expected, MeasureText.Number(value, format, decimals, unit));
    }

    [Fact]
    public void An_interval_says_value_range_n_and_baseline()
    {
        using var _ = new English();
        var html = Rendering.Html<Interval>(("Of", new Measure(.813, .789, .835, 1698)), ("Format", MeasureFormat.Percent), ("Min", .5), ("Baseline", .621));

        Assert.Equal("81.3\u00a0% 95 % range 78.9 to 83.5, n 1,698 , baseline 62.1\u00a0%".Replace('\u00a0', ' '), Rendering.Words(html));
        // x = 4 + 88 (v - .5)/.5, by hand: baseline 25.3, range 54.9 to 63.0 + 1, point 59.1 - 1.5
        Assert.Contains("M25.3 1v14", html, StringComparison.Ordinal);
        Assert.Contains("M54.9 8H64", html, StringComparison.Ordinal);
        Assert.Contains("x=\"57.6\"", html, StringComparison.Ordinal);
    }

    [Fact]
    public void A_value_beyond_the_axis_is_an_arrow_and_not_a_false_place()
    {
        var html = Rendering.Html<Interval>(("Of", new Measure(12, 11, 13, 5)), ("Max", 10.0));

        Assert.Contains("class=\"off\"", html, StringComparison.Ordinal);
        Assert.DoesNotContain("class=\"pt\"", html, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(double.NaN, 0, 1, 10)]
    [InlineData(.5, double.NegativeInfinity, 1, 10)]
    [InlineData(.5, .6, .4, 10)]
    [InlineData(.5, .4, .6, 0)]
    public void A_number_without_a_range_is_not_shown(double value, double low, double high, int count)
    {
        var html = Rendering.Html<Interval>(("Of", new Measure(value, low, high, count)), ("Have", 14), ("Need", 50), ("What", "double votes"));

        Assert.Equal("Not enough evidence: 14 of 50 double votes", Rendering.Words(html));
    }

    [Fact]
    public void Without_a_known_need_it_only_says_so() =>
        Assert.Equal("Not enough evidence", Rendering.Words(Rendering.Html<Interval>(("Of", null))));
}
