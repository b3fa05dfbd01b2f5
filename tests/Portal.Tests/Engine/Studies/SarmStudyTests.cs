using System.Globalization;
using Portal.Engine.Studies;
using Xunit;

namespace Portal.Tests.Engine.Studies;

/// <summary>
/// One seed of the study of sparse reward models in small, on the shipped base, as <c>./bench evidence sarm --quick --seeds 1</c> runs it. The numbers prove
/// nothing at this size; what must hold is that every model of the table was trained and measured on the same pairs, and what no size changes.
/// </summary>
[Trait("Speed", "slow")]
public sealed class SarmStudyTests
{
    [Fact]
    public async Task Sparse_reward_models_stand_beside_every_control()
    {
        var (rows, _) = await BuiltEngine.Study("sarm");
        StudyRow Row(string measure) => rows.Single(row => row.Measure == measure);

        string[] models =
        [
            "full depth, linear head", "mode 0: head on the base's features", "mode 1: body and head through the base's features", "control: mode 1, random frozen TopK encoder",
            "control: mode 1 without an SAE (linear head, equal depth)", "SAE after the reward model, head on its features", "multi-aspect (graders' readings), full depth", "bag of words", "length only",
        ];
        Assert.All(models, name => Assert.InRange(Row(name).Value, 0.35, 0.95));
        Assert.Single(models.Select(name => Row(name).Interval!.Value.Count).Distinct()); // the same prompts, or a bootstrap by prompt would not be paired
        // Nothing but the head moves in mode 0 and after the reward model; a code that is the state itself loses nothing.
        Assert.Equal(1, Row("mode 0: head on the base's features: top contexts kept").Value);
        Assert.Equal(1, Row("SAE after the reward model, head on its features: top contexts kept").Value);
        Assert.True(Row("control: mode 1 without an SAE (linear head, equal depth): FVU at the ends, after").Value < 1e-9);
        Assert.True(Row("control: mode 1, random frozen TopK encoder: FVU at the ends, before").Value > Row("mode 1: body and head through the base's features: FVU at the ends, before").Value);
        Assert.True(Row("mode 1: body and head through the base's features: FVU at the ends, after").Value > Row("mode 1: body and head through the base's features: FVU at the ends, before").Value);
        Assert.Equal(Row("mode 1: body and head through the base's features").Value - Row("mode 0: head on the base's features").Value, Row("mode 1 minus mode 0").Value, 1e-9);
        Notes.Write(string.Create(CultureInfo.InvariantCulture,
            $"sarm study in small, seed 1: full {Row(models[0]).Value:F3}, mode 0 {Row(models[1]).Value:F3}, mode 1 {Row(models[2]).Value:F3}, random {Row(models[3]).Value:F3}, linear {Row(models[4]).Value:F3}, after the reward model {Row(models[5]).Value:F3}"));
    }
}
