using Portal.Engine.Statistics;
using Portal.Engine.Studies;
using Xunit;

namespace Portal.Tests.Engine.Studies;

public sealed class StudyTableTests
{
    /// <summary>By hand: values .1, .2, .6 have mean .3, standard deviation .26458 and, with t = 4.3027, the interval .3 ± .6572.</summary>
    [Fact]
    public void The_mean_has_an_interval_over_seeds_from_three_on()
    {
        Assert.Contains("| a | 0.100 | 0.200 | 0.600 | 0.300 [-0.357, 0.957] |", Table((1, 0.1), (2, 0.2), (3, 0.6)));
        Assert.Contains("| a | 0.100 | 0.200 | 0.150 |", Table((1, 0.1), (2, 0.2)));
    }

    [Fact]
    public void A_seed_that_misses_a_target_misses_it_for_all()
    {
        StudyRow[] rows = [new("a", 1, 0.7, null, ">= 0.5", true), new("a", 2, 0.4, null, ">= 0.5", false)];
        Assert.Contains(">= 0.5 (missed)", StudyTable.Markdown("x", rows));
        Assert.Contains(">= 0.5 (reached)", StudyTable.Markdown("x", rows[..1]));
    }

    [Fact]
    public void A_cell_holds_its_own_interval_and_count() =>
        Assert.Contains("0.500 [0.400, 0.600] n 12", StudyTable.Markdown("x", [StudyRow.Of("a", 1, new ConfidenceInterval(0.5, 0.4, 0.6, 0.95, 12))]));

    private static string Table(params (long Seed, double Value)[] rows) => StudyTable.Markdown("x", [.. rows.Select(row => new StudyRow("a", row.Seed, row.Value, null, null, null))]);
}
