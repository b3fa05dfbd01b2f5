using System.Globalization;
using Portal.Engine.Studies;
using Xunit;

namespace Portal.Tests.Engine.Studies;

/// <summary>
/// One seed of the study of a changing taste in small, as <c>./bench evidence shift --quick --seeds 1</c> runs it: every way of following the new votes is measured on the same pairs, and the
/// old reward, which was paid for warm openings, is worse on the new taste than on the rest.
/// </summary>
[Trait("Speed", "slow")]
public sealed class ShiftStudyTests
{
    [Fact]
    public async Task Toggles_stand_beside_every_way_of_training_again()
    {
        var (rows, _) = await BuiltEngine.Study("shift");
        StudyRow Row(string measure) => rows.Single(row => row.Measure == measure);
        string[] ways =
        [
            "before, all features as they are", "before, reward model", "50 new votes, toggles", "50 new votes, head fitted again on old and new votes",
            "50 new votes, whole head on the new votes, pulled to the old head", "50 new votes, reward model trained on old and new votes",
        ];

        foreach (var part in new[] { "new taste", "rest" })
        {
            Assert.Single(ways.Select(way => Row($"{way}: {part}").Interval!.Value.Count).Distinct()); // the same prompts, or a bootstrap by prompt would not be paired
            Assert.Equal(Row($"50 new votes, toggles: {part}").Value - Row($"50 new votes, reward model trained on old and new votes: {part}").Value,
                Row($"50 new votes, toggles less the reward model trained again: {part}").Value, 1e-9);
        }
        Assert.InRange(Row("50 new votes: features toggled").Value, 0, 32);
        Assert.InRange(Row("50 new votes: those that differ in a warm opening").Value, 8, 42); // a third of the answers open warmly: of 50 pairs some 22 differ
        Assert.True(Row("before, reward model: new taste").Value < Row("before, reward model: rest").Value);
        Notes.Write(string.Create(CultureInfo.InvariantCulture,
            $"shift study in small, seed 1, 50 new votes: new taste {Row("before, all features as they are: new taste").Value:F3} before, {Row("50 new votes, toggles: new taste").Value:F3} with {Row("50 new votes: features toggled").Value} toggles, {Row("50 new votes, reward model trained on old and new votes: new taste").Value:F3} trained again"));
    }
}
