using Portal.Data.Registry;
using Portal.Web.Components;
using Portal.Web.Registry;
using Xunit;

namespace Portal.Tests.Web.Registry;

/// <summary>When the pages warn. Limits are the defaults: 3 points of readable share, 6 nats, 25 % of length, 10 votes.</summary>
public sealed class GatesTests
{
    private static readonly ReleaseOptions Limits = new();
    private static readonly BlindTally NoVotes = new(0, 0, 0, 0, 0);

    [Fact]
    public void A_run_that_breaks_the_language_while_its_reward_rises_is_warned_of() =>
        Assert.Equal(["Readable"], Warnings(Value(MetricNames.MeanReward, MetricParts.Change, 1.2), Value(MetricNames.ReadableShare, MetricParts.Change, -.28)));

    [Theory]
    [InlineData(1.2, -.02)]
    [InlineData(-.1, -.28)]
    [InlineData(1.2, .01)]
    public void A_readable_run_and_a_run_without_gain_are_not(double reward, double readable) =>
        Assert.Empty(Warnings(Value(MetricNames.MeanReward, MetricParts.Change, reward), Value(MetricNames.ReadableShare, MetricParts.Change, readable)));

    [Theory]
    [InlineData(6.1, true)]
    [InlineData(5.9, false)]
    public void Kl_above_the_budget_is_warned_of(double nats, bool warned) =>
        Assert.Equal(warned, Warnings(Value(MetricNames.KlNats, MetricNames.HeldOut, nats)).Contains("Kl"));

    [Theory]
    [InlineData(20, 25.2, true)]
    [InlineData(20, 24.8, false)]
    [InlineData(20, 12, false)]
    public void Growth_beyond_a_quarter_is_warned_of(double before, double after, bool warned) =>
        Assert.Equal(warned, Warnings(Value(MetricNames.LengthTokens, MetricParts.Before, before), Value(MetricNames.LengthTokens, MetricNames.HeldOut, after)).Contains("Length"));

    [Fact]
    public void The_change_is_taken_from_before_and_after_where_no_paired_difference_is_stored() =>
        Assert.Equal(["Readable"], Warnings(Value(MetricNames.MeanReward, MetricParts.Before, 0), Value(MetricNames.MeanReward, MetricNames.HeldOut, .5),
            Value(MetricNames.ReadableShare, MetricParts.Before, .97), Value(MetricNames.ReadableShare, MetricNames.HeldOut, .90)));

    [Theory]
    [InlineData(.72, .69, .75, .70, GateState.Noted)]
    [InlineData(.75, .72, .78, .70, GateState.Passed)]
    [InlineData(.66, .63, .69, .70, GateState.Failed)]
    public void A_reward_model_must_beat_the_best_baseline_with_its_whole_interval(double accuracy, double low, double high, double words, GateState expected) =>
        Assert.Equal(expected, Gates.Of(ModelKind.RewardModel, [Value(MetricNames.PairwiseAccuracy, MetricNames.HeldOut, accuracy, low, high), Value(MetricNames.BagOfWordsBaseline, MetricNames.HeldOut, words)], NoVotes, Limits).Single().State);

    [Fact]
    public void What_was_not_measured_waits() =>
        Assert.All(Gates.Of(ModelKind.Policy, [], NoVotes, Limits), gate => Assert.Equal(GateState.Waiting, gate.State));

    /// <summary>Three prompts give figures but no interval: they may warn, they never pass.</summary>
    [Theory]
    [InlineData(false, GateState.Waiting)]
    [InlineData(true, GateState.Passed)]
    public void A_gate_passes_only_on_enough_prompts(bool isEnough, GateState expected)
    {
        MetricValue At(string name, string part, double value) => isEnough ? Value(name, part, value, value, value) : Value(name, part, value);
        var gates = Gates.Of(ModelKind.Policy,
        [
            At(MetricNames.UnfinishedShare, MetricParts.Before, 0), At(MetricNames.UnfinishedShare, MetricNames.HeldOut, 0), At(MetricNames.RepetitionShare, MetricParts.Change, 0),
            At(MetricNames.InsultShare, MetricParts.Change, 0), At(MetricNames.KlNats, MetricNames.HeldOut, 2), At(MetricNames.LengthTokens, MetricParts.Before, 20),
            At(MetricNames.LengthTokens, MetricNames.HeldOut, 21), At(MetricNames.MeanReward, MetricParts.Change, 1),
        ], NoVotes, Limits);

        Assert.All(gates.Where(gate => gate.Key != "Human"), gate => Assert.Equal((gate.Key, expected), (gate.Key, gate.State)));
    }

    [Fact]
    public void Few_prompts_may_fail_a_gate_all_the_same() =>
        Assert.Equal(GateState.Failed, Gates.Of(ModelKind.Policy, [Value(MetricNames.KlNats, MetricNames.HeldOut, 13.8)], NoVotes, Limits).Single(gate => gate.Key == "Kl").State);

    [Theory]
    [InlineData(9, 0, 0, GateState.Waiting)]
    [InlineData(10, 0, 0, GateState.Passed)]
    [InlineData(0, 0, 10, GateState.Failed)]
    [InlineData(4, 2, 4, GateState.Noted)]
    public void People_decide_from_ten_votes_on(int wins, int ties, int losses, GateState expected) =>
        Assert.Equal(expected, Gates.Of(ModelKind.Policy, [], new BlindTally(10, wins, ties, losses, 0), Limits).Single(g => g.Key == "Human").State);

    private static IEnumerable<string> Warnings(params MetricValue[] values) => Gates.OverOptimisation(values, Limits).Select(w => w.Key);

    private static MetricValue Value(string name, string part, double value, double? low = null, double? high = null) =>
        new(name, part, low is { } l && high is { } h ? new Measure(value, l, h, 300) : null, value, 300);
}
