using Portal.Data.SaeFeatures;
using Portal.Data.Serving;
using Portal.Web.SaeFeatures;
using Xunit;

namespace Portal.Tests.Web.SaeFeatures;

/// <summary>How a preview's figures are drawn, and what stands in a field is read.</summary>
public sealed class PreviewNumbersTests
{
    [Theory]
    [InlineData(-.01, .01, true)] // the whole interval within a point
    [InlineData(-.0101, .002, false)]
    [InlineData(-.002, .0101, false)]
    public void Elsewhere_is_unchanged_only_where_the_whole_interval_says_so(double low, double high, bool expected) =>
        Assert.Equal(expected, PreviewNumbers.IsHarmless(new AccuracyChange(200, 90, null, null, new Estimated(0, low, high))));

    [Fact]
    public void Without_an_interval_nothing_is_said()
    {
        Assert.Null(PreviewNumbers.IsHarmless(new AccuracyChange(5, 3, null, null, new Estimated(0, null, null))));
        Assert.Null(PreviewNumbers.IsHarmless(null));
        Assert.Null(PreviewNumbers.Of(new Estimated(.5, null, null), 9));
    }

    /// <summary>Wilson's interval of 10 in 100 is .05523 to .17437 (Wilson 1927; R's binom.wilson); 1,000 pairs on 100 prompts are 100 cases.</summary>
    [Fact]
    public void Flipped_pairs_of_one_prompt_count_as_one_case()
    {
        var preview = FakePreview.Of(new TogglePreviewRequest("m", [new Toggle(3, 0)])) with { Pairs = 1_000, Flips = 100 };

        var flips = PreviewNumbers.Flips(preview with { AllPairs = preview.AllPairs with { Prompts = 100 } });

        Assert.Equal((.1, .05523, .17437, 1_000), (flips!.Value, Math.Round(flips.Low, 5), Math.Round(flips.High, 5), flips.Count));
        Assert.Null(PreviewNumbers.Flips(preview with { Pairs = 0 }));
    }

    [Theory]
    [InlineData("0.5", .5)]
    [InlineData("-1", -1.0)]
    [InlineData("100", 100.0)]
    [InlineData("100.5", null)]
    [InlineData("1e9", null)]
    [InlineData("NaN", null)]
    [InlineData("", null)]
    [InlineData("half", null)]
    public void A_field_is_a_factor_or_none(string typed, double? expected)
    {
        var draft = new ToggleDraft();
        Assert.True(draft.Add(3));
        Assert.False(draft.Add(3)); // twice

        draft.Type(3, typed);

        Assert.Equal(expected, draft.Lines[0].Factor);
        Assert.Equal(expected is null, draft.Toggles() is null);
    }
}
