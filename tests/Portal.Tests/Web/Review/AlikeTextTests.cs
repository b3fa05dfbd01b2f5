using Portal.Data.Review;
using Portal.Web.Review;
using Xunit;

namespace Portal.Tests.Web.Review;

/// <summary>Which texts count as the same, and how long people waited. Every expected value was written or worked out by hand.</summary>
public sealed class AlikeTextTests
{
    private static readonly DateTimeOffset Now = new(2026, 5, 4, 9, 0, 0, TimeSpan.Zero);

    [Theory]
    [InlineData("Grass, you nitwit.", "grass you nitwit")]
    [InlineData("  GRASS ,\n\tyou — nitwit!!! ", "grass you nitwit")]
    [InlineData("ｇｒａｓｓ you nitwit", "grass you nitwit")] // full width
    [InlineData("zero\u200bwidth", "zero width")]
    [InlineData("It is -5, or 1.5.", "it is -5 or 1.5")]
    [InlineData("It is 5", "it is 5")]
    [InlineData("naïve Straße 👍", "naïve straße 👍")]
    [InlineData("?!…", "")]
    [InlineData("", "")]
    public void Case_space_and_punctuation_make_no_difference_and_numbers_do(string text, string expected) => Assert.Equal(expected, AlikeText.Normalise(text));

    [Fact]
    public void Half_a_character_is_no_reason_to_fail() => Assert.Equal("a\ud800", AlikeText.Normalise("A\ud800!"));

    /// <summary>
    /// Twelve flags came between a day and thirty days ago, nine of them were answered in time: Wilson gives .75 (.468 to .911). Eleven were decided, after 1, 2, ... 11 hours: the median is 6, its range
    /// the 2nd to the 10th value (Campbell and Gardner's table for n = 11); seven of them were confirmed: .636 (.354 to .848).
    /// </summary>
    [Fact]
    public void Service_times_are_those_of_the_last_thirty_days()
    {
        List<FlagTimes> flags = [.. Enumerable.Range(1, 9).Select(hours => Decided(daysAgo: 3, hours, isConfirmed: hours <= 5)),
            Decided(daysAgo: .5, 10, isConfirmed: true), // too young for the share answered in a day
            Decided(daysAgo: .5, 11, isConfirmed: true),
            new(Now.AddDays(-2), null, FlagState.Open), new(Now.AddDays(-29), null, FlagState.Open), new(Now.AddDays(-1), null, FlagState.Open),
            new(Now.AddHours(-1), null, FlagState.Open), // likewise
            Decided(daysAgo: 40, 1, isConfirmed: true), // too old for all of them
        ];

        var times = ServiceTimes.Of(flags, Now);

        Assert.Equal((12, 11), (times.Came, times.Decided));
        Assert.Equal((.75, 12), (times.InADay!.Value, times.InADay.Count));
        Assert.Equal(.468, times.InADay.Low, .0005);
        Assert.Equal(.911, times.InADay.High, .0005);
        Assert.Equal((6.0, 2.0, 10.0, 11), (times.Hours!.Value, times.Hours.Low, times.Hours.High, times.Hours.Count));
        Assert.Equal((7 / 11.0, 11), (times.Confirmed!.Value, times.Confirmed.Count));
        Assert.Equal(.354, times.Confirmed.Low, .0005);
        Assert.Equal(.848, times.Confirmed.High, .0005);
    }

    [Fact]
    public void Few_flags_say_nothing()
    {
        var times = ServiceTimes.Of([.. Enumerable.Range(1, ServiceTimes.EvidenceMin - 1).Select(hours => Decided(daysAgo: 3, hours, isConfirmed: true))], Now);

        Assert.Equal((null, null, null, 9, 9), (times.InADay, times.Hours, times.Confirmed, times.Came, times.Decided));
    }

    private static FlagTimes Decided(double daysAgo, double hours, bool isConfirmed) =>
        new(Now.AddDays(-daysAgo), Now.AddDays(-daysAgo).AddHours(hours), isConfirmed ? FlagState.Confirmed : FlagState.Dismissed);
}
