using System.Globalization;
using Portal.Engine.Studies;
using Xunit;

namespace Portal.Tests.Engine.Studies;

/// <summary>
/// One seed of the study of known features in small, as <c>./bench evidence features --quick --seeds 1</c> runs it. At this size features prove little; what must hold is that probes see what
/// is plainly there, that the built detector of reward is found out, and that every row was measured on the same prompts.
/// </summary>
[Trait("Speed", "slow")]
public sealed class FeaturesStudyTests
{
    [Fact]
    public async Task Known_properties_are_measured_and_a_detector_of_reward_is_found_out()
    {
        var (rows, _) = await BuiltEngine.Study("features");
        StudyRow Row(string measure) => rows.Single(row => row.Measure == measure);
        const string detector = "control: \"reward above its upper quarter\" as a feature";

        Assert.All(rows.Where(row => row.Interval is not null), row => Assert.InRange(row.Value, 0, 1));
        Assert.Single(rows.Where(row => row.Interval is not null).Select(row => row.Interval!.Value.Count).Distinct()); // prompts of the test
        foreach (var sae in new[] { "SAE of the base", "SAE after the reward model" })
        {
            // Words that stand in the sentence that ends there: a linear probe sees them.
            Assert.True(Row($"{sae}, maximum, trigger: linear probe").Value > 0.9);
            Assert.True(Row($"{sae}, maximum, warm: linear probe").Value > 0.8);
            Assert.True(Row($"{sae}, maximum, trigger: best latent").Value > 0.8);
        }
        Assert.True(Row($"{detector}: AUC for warm, at equal reward").Reached);
        Assert.True(Row($"{detector}: q at equal reward").Reached);
        Assert.True(Row($"{detector}: score at equal reward, over the raw score").Reached);
        Assert.True(Row($"{detector}: raw rank among features on votes").Value < Row($"{detector}: rank at equal reward").Value);
        Notes.Write(string.Create(CultureInfo.InvariantCulture,
            $"features study in small, seed 1: warm, maximum, after the reward model: best latent {Row("SAE after the reward model, maximum, warm: best latent").Value:F3}, probe {Row("SAE after the reward model, maximum, warm: linear probe").Value:F3}; the detector of reward falls from rank {Row($"{detector}: raw rank among features on votes").Value} to {Row($"{detector}: rank at equal reward").Value}"));
    }
}
