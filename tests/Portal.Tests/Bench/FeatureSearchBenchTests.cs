using Portal.Bench;
using Xunit;

namespace Portal.Tests.Bench;

/// <summary>The quick run of the search, which has no second process: that it searches and finds, or it would throw.</summary>
public sealed class FeatureSearchBenchTests
{
    [Fact]
    public async Task Each_search_finds_what_it_searches_for_and_three_rows_tell_how_long()
    {
        var rows = await new FeatureSearchBench(quick: true).Run(_ => { }, default);

        Assert.Equal(["feature-search-first", "feature-search-p50", "feature-search-p95"], rows.Select(row => row.Name));
        Assert.All(rows, row => Assert.True(row is { Ours: > 0, Unit: "ms", Invalid: null, Verdict: null }));
        Assert.InRange(rows[2].Ours, rows[1].Ours, rows[1].Range!.Value.High);
    }
}
