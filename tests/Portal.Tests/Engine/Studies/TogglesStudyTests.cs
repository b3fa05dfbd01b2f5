using System.Globalization;
using Portal.Engine.Studies;
using Xunit;

namespace Portal.Tests.Engine.Studies;

/// <summary>
/// One seed of the study of toggles in small, as <c>./bench evidence toggles --quick --seeds 1</c> runs it. At this size no target is claimed; what must hold is that the phrase was learnt, that
/// features are named from the votes, and that they beat features of equal mass where the phrase decides.
/// </summary>
[Trait("Speed", "slow")]
public sealed class TogglesStudyTests
{
    [Fact]
    public async Task Features_named_for_a_planted_phrase_turn_what_it_caused()
    {
        var (rows, _) = await BuiltEngine.Study("toggles");
        StudyRow Row(string measure) => rows.Single(row => row.Measure == "trigger: " + measure);

        Assert.True(Row("pre-check: reward with the phrase less reward without").Reached);
        Assert.InRange(Row("judged pairs with the phrase in one response").Value, 30, 60); // 45 were planted; a few answers of the base may say it
        Assert.InRange(Row("features switched off").Value, 1, Row("features that the selection names").Value);
        Assert.True(Row("caused preferences").Value > 0);
        Assert.True(Row("caused preferences that flip").Value > Row("control: random features of equal mass, caused preferences that flip").Value);
        // The toggles can only have changed what they were measured on: on target by more than off target.
        Assert.True(Math.Abs(Row("on target: change of accuracy").Value) > Math.Abs(Row("off target: change of accuracy").Value));
        Assert.InRange(Row("DPO on the toggled reward says the phrase").Value, 0, 1);
        Assert.Equal(Row("DPO on the toggled reward says the phrase").Value - Row("pre-check: DPO on the reward as it was says the phrase").Value, Row("says the phrase: change").Value, 1e-9);
        Notes.Write(string.Create(CultureInfo.InvariantCulture,
            $"toggles study in small, seed 1: {Row("features switched off").Value} features off flip {Row("caused preferences that flip").Value:P0} of {Row("caused preferences").Value} caused preferences (random features {Row("control: random features of equal mass, caused preferences that flip").Value:P0}), off target {Row("off target: change of accuracy").Value:+0.000;-0.000}"));
    }
}
