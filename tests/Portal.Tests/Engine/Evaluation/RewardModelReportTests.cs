using Portal.Data.Registry;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Xunit;

namespace Portal.Tests.Engine.Evaluation;

/// <summary>What is said of a reward model when there is little to say.</summary>
public sealed class RewardModelReportTests
{
    [Theory]
    [InlineData(2, false)]
    [InlineData(7, false)]
    [InlineData(8, true)]
    public void Too_few_held_out_prompts_give_a_number_and_no_interval(int prompts, bool hasInterval)
    {
        // Every pair is right, three to a prompt: a bootstrap would say "100 % to 100 %" however few they are.
        List<PreferencePair> heldOut = [.. Enumerable.Range(0, 3 * prompts).Select(i => Pair($"held out {i / 3}"))];
        List<PreferencePair> training = [.. Enumerable.Range(0, 20).Select(i => Pair($"trained {i}"))];

        var rows = RewardModelReport.Measure([.. heldOut.Select(_ => 1.0)], heldOut, training, 1, CancellationToken.None);

        foreach (var name in new[] { MetricNames.PairwiseAccuracy, MetricNames.LengthBaseline, MetricNames.BagOfWordsBaseline })
        {
            var row = rows.Single(r => r.Name == name && r.Part == MetricNames.HeldOut);
            Assert.Equal((hasInterval, hasInterval, prompts), (row.Low is not null, row.High is not null, row.Count));
        }
        Assert.Equal(1, rows.Single(r => r.Name == MetricNames.PairwiseAccuracy).Value);
    }

    private static PreferencePair Pair(string prompt) => new(prompt, [new("user", prompt)], "yes please", "no");
}
