using Portal.Engine.Studies;
using Portal.Engine.TinyAssistant;
using Xunit;

namespace Portal.Tests.Engine.Studies;

/// <summary>
/// One seed of the sweep in small, on the shipped base, as <c>./bench evidence sae-sweep --quick --seeds 1</c> runs it. The numbers prove nothing at this size; what must
/// hold is that every combination was trained and measured, and what no size changes.
/// </summary>
[Trait("Speed", "slow")]
public sealed class SaeSweepStudyTests
{
    [Fact]
    public async Task Every_combination_stands_in_the_table()
    {
        var (rows, said) = await BuiltEngine.Study("sae-sweep", "--expansion", "2");
        StudyRow Row(string measure) => rows.Single(row => row.Measure == measure);

        foreach (var layer in new[] { 2, 4 })
            foreach (var k in new[] { 4, 16 })
            {
                var name = SaeSweepStudy.NameOf(layer, k, 2);
                Assert.InRange(Row($"{name}: head on its codes").Value, 0.35, 1);
                Assert.Equal(Row($"{name}: head on its codes").Value - Row("reward model, full depth").Value, Row($"{name}: minus the reward model").Value, 1e-9);
                Assert.InRange(Row($"{name}: dead share at the ends").Value, 0, 1);
                Assert.Equal(Row("reward model, full depth").Interval!.Value.Count, Row($"{name}: spliced").Interval!.Value.Count); // the same prompts
            }
        // More components leave over less, whatever was trained.
        Assert.All(new[] { 2, 4 }, layer => Assert.True(Pca(layer, 16) < Pca(layer, 4)));
        Assert.Contains("--quick --expansion 2", said, StringComparison.Ordinal); // the command under the table repeats it

        double Pca(int layer, int k) => Row($"{SaeSweepStudy.NameOf(layer, k, 2)}: FVU of as many principal components").Value;
    }
}
