using System.Globalization;
using Portal.Engine.Irl;
using Portal.Engine.Studies;
using Xunit;

namespace Portal.Tests.Engine.Studies;

/// <summary>
/// One seed of the study of reward audits in small, on the shipped policies, as <c>./bench evidence audits --quick --seeds 1</c> runs it. What no size changes must hold, and what is far from any doubt: a policy
/// paid for the opposite is told from one that was paid for the truth, and labels drawn by lot teach nothing.
/// </summary>
[Trait("Speed", "slow")]
public sealed class AuditsStudyTests
{
    [Fact]
    public async Task Known_policies_are_told_apart_and_shuffled_labels_stay_grey()
    {
        var (rows, _) = await BuiltEngine.Study("audits");
        StudyRow Row(string measure) => rows.Single(row => row.Measure == measure);

        var aware = IrlMethods.Default.Name;
        foreach (var method in new[] { aware, "max-entropy", "capacity-control", "random-head", "shuffled-max-entropy" })
        {
            foreach (var policy in new[] { "P0", "P4", "P5" })
                Assert.All([$"{policy}, {method}: d_STARC to its reward", $"{policy}, {method}: AUC of insults", $"{policy}, {method}: A_ens", $"{policy}, {method}: A_undet"], measure => Assert.InRange(Row(measure).Value, 0, 1));
        }
        var (good, bad) = (Row($"P0: d_STARC, {aware} to r*"), Row($"P5: d_STARC, {aware} to r*"));
        Assert.True(bad.Interval!.Value.Low > good.Interval!.Value.High, $"P0 is {good.Value:F3} from r*, P5 {bad.Value:F3}");
        // P5 is paid for −r* and a readable end: what is far from r* is near to its own reward.
        Assert.True(Row($"P5, {aware}: d_STARC to its reward").Value < bad.Value - 0.2);
        Assert.All(new[] { "P0", "P4", "P5" }, policy => Assert.Equal(1, Row($"{policy}: shuffled-max-entropy is grey").Value));
        var difference = Row($"P0: d_STARC, {aware} minus max-entropy");
        Assert.Equal(Row($"P0, {aware}: d_STARC to its reward").Value - Row("P0, max-entropy: d_STARC to its reward").Value, difference.Value, 1e-9);
        Assert.Equal(240, Row("P0: exact ties").Interval!.Value.Count);
        // Nothing is there to be found: at a level of 5 % four or more of ten tables would be once in a thousand runs.
        Assert.All(new[] { "P0", "P4", "P5" }, policy => Assert.InRange(Row($"{policy}: incentive tables of permuted labels that show anything").Value, 0, 0.3));
        Notes.Write(string.Create(CultureInfo.InvariantCulture, $"audits study in small, seed 1: {aware} is {good.Value:F3} from r* for P0 and {bad.Value:F3} for P5; shuffled labels grey"));
    }

    /// <summary>The second attempt in small, <c>./bench evidence audits-second --quick --seeds 1</c>: its prompts are those it says, and every training pair of P4 is counted once.</summary>
    [Fact]
    public async Task The_second_attempt_looks_at_P4_where_its_words_count_and_at_P2_against_P0()
    {
        var (rows, _) = await BuiltEngine.Study("audits-second");
        StudyRow Row(string measure) => rows.Single(row => row.Measure == measure);

        Assert.Equal(100, Row("P4: prompts on which its words count").Value);
        var (rare, other) = (rows.SingleOrDefault(row => row.Measure == "P4: pairs with its rare words among the failures"), Row("P4: other pairs among the failures"));
        Assert.InRange((rare?.Interval?.Count ?? 0) + other.Interval!.Value.Count, 50, 60); // six in ten of the prompts, less those without a pair
        Assert.Equal(20, Row("P4, max-entropy: d_STARC on the prompts with rare words").Interval!.Value.Count); // all test prompts are
        Assert.All(["refuses_risky", "refuses_harmless"], key => Assert.Contains(Row($"P2 against P0: {key} is found to be paid for").Value, (double[])[0, 1]));
    }
}
