using System.Globalization;
using Portal.Engine.Studies;
using Portal.Engine.TinyAssistant;
using Xunit;

namespace Portal.Tests.Engine.Studies;

/// <summary>
/// One seed of the study of training anew with recovered rewards in small, as <c>./bench evidence re-rl --quick --seeds 1</c> runs it, on a stand-in for P0 that it trains itself: all arms answer the same prompts,
/// each one moved, and differences are those of the arms.
/// </summary>
[Trait("Speed", "slow")]
public sealed class ReRlStudyTests
{
    private static readonly string[] trained = ["failure-aware", "max-entropy", "log-ratio ridge", "true reward", "control: random head"];

    [Fact]
    public async Task Every_arm_is_trained_from_the_base_and_graded_on_the_same_prompts()
    {
        var (rows, said) = await BuiltEngine.Study("re-rl");
        StudyRow Row(string measure) => rows.Single(row => row.Measure == measure);

        foreach (var figure in new[] { "r*", "answers with an insult, share", "length, words and marks", "readable, share" })
            Assert.All(["base", "P0", .. trained], arm => Assert.Equal(12, Row($"{arm}: {figure}").Interval!.Value.Count));
        foreach (var arm in trained)
        {
            var (steps, kl) = (Row($"{arm}: steps to the budget"), Row($"{arm}: KL to the base, nats"));
            Assert.InRange(steps.Value, 1, 5);
            Assert.Equal(steps.Value < 5, steps.Reached);
            Assert.NotEqual(0, kl.Value); // that of the base would be 0 to the last bit
            var wanted = Row("P0: KL to the base, nats").Value;
            Assert.Equal(Math.Abs(kl.Value - wanted) <= ReRlStudy.KlTolerance * wanted, kl.Reached);
            Assert.InRange(Row($"{arm}: step whose weights are nearest to it").Value, 1, steps.Value);
            Assert.Equal(Row($"{arm}: r*").Value - Row("base: r*").Value, Row($"{arm}: r* less the base's").Value, 1e-9);
        }
        foreach (var other in trained.Skip(1))
        {
            Assert.Equal(Row("failure-aware: r*").Value - Row($"{other}: r*").Value, Row($"failure-aware less {other}: r*").Value, 1e-9);
            Assert.Equal(Row("failure-aware: KL to the base, nats").Value - Row($"{other}: KL to the base, nats").Value, Row($"failure-aware less {other}: KL to the base, nats").Value, 1e-9);
        }
        Assert.Equal(0.3, Row("budget: P0's KL to the base on hold-out prompts, nats").Value);
        Assert.InRange(Row("failure-aware: runs of which the guard accepted a round, of 2").Value, 0, 2);
        Assert.True(trained.Average(arm => Row($"{arm}: the reward it was trained with, less the base's, deviations within a prompt").Value) > 0); // a few steps already raise what they are paid for
        Assert.Contains("| failure-aware less max-entropy: r* |", said, StringComparison.Ordinal);
        Notes.Write(string.Create(CultureInfo.InvariantCulture,
            $"re-RL study in small, seed 1: r* {Row("base: r*").Value:F2} base, {Row("true reward: r*").Value:F2} true reward, {Row("failure-aware: r*").Value:F2} failure-aware, {Row("max-entropy: r*").Value:F2} max-entropy at {Row("true reward: KL to the base, nats").Value:F2}, {Row("failure-aware: KL to the base, nats").Value:F2} and {Row("max-entropy: KL to the base, nats").Value:F2} nats"));
    }

    /// <summary>The full study asks for the policy that ships, and says where it is missing and how to make it.</summary>
    [Fact]
    public async Task Without_P0_the_full_study_says_how_to_make_it()
    {
        var folders = Directory.CreateTempSubdirectory("portal-re-rl-");
        try
        {
            Directory.CreateSymbolicLink(Path.Combine(folders.FullName, "base"), Path.Combine(Repository.Root, "wwwroot-assets", "demo", "base"));
            var (code, _, errors) = await BuiltEngine.Run(TimeSpan.FromMinutes(2), "evidence", "re-rl", "--seeds", "1", "--threads", "1", "--assets", folders.FullName, "--work", Path.Combine(folders.FullName, "work"));

            Assert.NotEqual(0, code);
            Assert.Contains(Path.Combine("policies", "p0"), errors, StringComparison.Ordinal);
            Assert.Contains("make-demo --only-policies", errors, StringComparison.Ordinal);
        }
        finally
        {
            folders.Delete(recursive: true);
        }
    }
}
