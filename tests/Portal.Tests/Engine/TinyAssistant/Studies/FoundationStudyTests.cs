using System.Globalization;
using System.Text.Json;
using Portal.Engine.TinyAssistant.Studies;
using Xunit;

namespace Portal.Tests.Engine.TinyAssistant.Studies;

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
        var work = Directory.CreateTempSubdirectory("portal-study-");
        try
        {
            var result = Path.Combine(work.FullName, "rows.json");
            var (code, printed, errors) = await BuiltEngine.Run(TimeSpan.FromMinutes(20), "evidence", "foundation", "--quick", "--seeds", "1", "--threads", "1",
                "--assets", Path.Combine(Repository.Root, "wwwroot-assets", "demo"), "--work", work.FullName, "--json", result);
            Assert.True(code == 0, errors);
            var rows = JsonSerializer.Deserialize<List<StudyRow>>(await File.ReadAllTextAsync(result), new JsonSerializerOptions(JsonSerializerDefaults.Web))!; // an array
            StudyRow Row(string start) => rows.First(row => row.Measure.StartsWith(start, StringComparison.Ordinal));

            var (reward, control) = (Row("reward model, 800"), Row("control: reward model, 800"));
            Assert.True(reward.Interval!.Value.Low > Math.Max(0.5, control.Value), $"reward model {reward.Value:F3}, shuffled votes {control.Value:F3}");
            Assert.InRange(Row("graders' logistic").Value, 0.9, 1);
            Assert.InRange(Row("base: readable").Value, 0.9, 1);
            Assert.True(Row("DPO, lr 3e-4: gain in mean r*").Value > 0);
            Assert.Contains("| reward model, 800 votes |", printed, StringComparison.Ordinal);
            Notes.Write(string.Create(CultureInfo.InvariantCulture,
                $"foundation study in small, seed 1: reward model {reward.Value:F3} of r*'s sign (shuffled votes {control.Value:F3}), DPO gains {Row("DPO, lr 3e-4: gain in mean r*").Value:F2}"));
        }
        finally
        {
            work.Delete(recursive: true);
        }
    }
}
