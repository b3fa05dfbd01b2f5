using System.Globalization;
using Portal.Engine.Studies;
using Xunit;

namespace Portal.Tests.Engine.Studies;

/// <summary>
/// One seed of the foundation study in small, on the shipped base, as <c>./bench evidence foundation --quick --seeds 1</c> runs it: in a process of its own, which has
/// the engine's settings. Thresholds are far below what the full study reaches; the control trained on shuffled votes has to stay behind.
/// </summary>
[Trait("Speed", "slow")]
public sealed class FoundationStudyTests
{
    [Fact]
    public async Task Votes_make_a_reward_model_and_better_policies()
    {
        var (rows, said) = await BuiltEngine.Study("foundation");
        StudyRow Row(string start) => rows.First(row => row.Measure.StartsWith(start, StringComparison.Ordinal));

        var (reward, control) = (Row("reward model, 350"), Row("control: reward model, 350"));
        Assert.True(reward.Interval!.Value.Low > Math.Max(0.5, control.Value), $"reward model {reward.Value:F3}, shuffled votes {control.Value:F3}");
        Assert.InRange(Row("graders' logistic").Value, 0.9, 1);
        Assert.InRange(Row("base: readable").Value, 0.9, 1);
        Assert.True(Row("DPO, lr 3e-4: gain in mean r*").Value > 0);
        Assert.Contains("| reward model, 350 votes |", said, StringComparison.Ordinal);
        Notes.Write(string.Create(CultureInfo.InvariantCulture,
            $"foundation study in small, seed 1: reward model {reward.Value:F3} of r*'s sign (shuffled votes {control.Value:F3}), DPO gains {Row("DPO, lr 3e-4: gain in mean r*").Value:F2}"));
    }
}
