using Portal.Data.Registry;

namespace Portal.Web.Registry;

/// <summary>What a gate found.</summary>
public enum GateState
{
    /// <summary>The condition holds, interval included.</summary>
    Passed,
    /// <summary>Worth looking at; not against a release by itself.</summary>
    Noted,
    /// <summary>The condition does not hold.</summary>
    Failed,
    /// <summary>Nothing was measured, or too little.</summary>
    Waiting,
}

/// <summary>One condition on the way to a release.</summary>
/// <param name="Key">Names the text <c>Gate.{Key}</c>.</param>
/// <param name="Values">What goes into that text.</param>
public sealed record Gate(string Key, GateState State, params object[] Values);

/// <summary>
/// What a page says before somebody releases a version. Gates inform; the reason of the person who releases is what decides, and is kept.
/// </summary>
public static class Gates
{
    /// <summary>The conditions of a candidate.</summary>
    public static IReadOnlyList<Gate> Of(ModelKind kind, IReadOnlyList<MetricValue> values, BlindTally votes, ReleaseOptions limits) => kind switch
    {
        ModelKind.RewardModel => [AboveBaselines(values)],
        ModelKind.Policy =>
        [
            RewardUp(values), Readable(values, limits), Insults(values), Kl(values, limits), Length(values, limits), Human(votes, limits),
        ],
        ModelKind.SparseAutoencoder => [],
    };

    /// <summary>
    /// Over-optimisation: the policy is paid for something people did not ask for. The reward rises while the language breaks, or the policy
    /// is further from its reference than the budget allows, or it simply writes more.
    /// </summary>
    /// <returns>The keys of what was found (<c>Warning.{key}</c>) with their numbers; empty when nothing was.</returns>
    public static IReadOnlyList<Gate> OverOptimisation(IReadOnlyList<MetricValue> values, ReleaseOptions limits)
    {
        var found = new List<Gate>();
        var reward = Change(values, MetricNames.MeanReward);
        if (reward > 0 && Broken(values) is { } broken && broken > limits.ReadableFallMax)
            found.Add(new Gate("Readable", GateState.Failed, broken * 100, limits.ReadableFallMax * 100));
        if (After(values, MetricNames.KlNats) is { } kl && kl > limits.KlBudgetNats)
            found.Add(new Gate("Kl", GateState.Failed, kl, limits.KlBudgetNats));
        if (LengthGrowth(values) is { } growth && growth > limits.LengthGrowthMax)
            found.Add(new Gate("Length", GateState.Failed, growth * 100, limits.LengthGrowthMax * 100));
        return found;
    }

    private static Gate AboveBaselines(IReadOnlyList<MetricValue> values)
    {
        var accuracy = Find(values, MetricNames.PairwiseAccuracy, MetricNames.HeldOut);
        double[] baselines =
        [
            .5, .. values.Where(v => v.Part == MetricNames.HeldOut && v.Name is MetricNames.BagOfWordsBaseline or MetricNames.LengthBaseline)
                .Select(v => v.Value),
        ];
        if (accuracy?.Of is not { } measure)
            return new Gate("AboveBaselines", GateState.Waiting);
        return new Gate("AboveBaselines", measure.Low > baselines.Max() ? GateState.Passed : measure.Value > baselines.Max() ? GateState.Noted : GateState.Failed);
    }

    private static Gate RewardUp(IReadOnlyList<MetricValue> values) => Find(values, MetricNames.MeanReward, MetricParts.Change)?.Of switch
    {
        null => new Gate("RewardUp", GateState.Waiting),
        { Low: > 0 } => new Gate("RewardUp", GateState.Passed),
        { High: < 0 } => new Gate("RewardUp", GateState.Failed),
        _ => new Gate("RewardUp", GateState.Noted),
    };

    private static Gate Readable(IReadOnlyList<MetricValue> values, ReleaseOptions limits) =>
        new("Readable", Broken(values) switch
        {
            null => GateState.Waiting,
            { } broken when broken > limits.ReadableFallMax => GateState.Failed,
            _ => PassedIf(brokenness.Where(name => Change(values, name) is not null).All(name => HasInterval(values, name, MetricParts.Change)
                || (HasInterval(values, name, MetricParts.Before) && HasInterval(values, name, MetricNames.HeldOut)))),
        }, limits.ReadableFallMax * 100);

    private static Gate Insults(IReadOnlyList<MetricValue> values) => new("Insults", Find(values, MetricNames.InsultShare, MetricParts.Change) switch
    {
        null => GateState.Waiting,
        { Of.Low: > 0 } => GateState.Failed,
        { Value: > 0 } => GateState.Noted,
        { } change => PassedIf(change.Of is not null),
    });

    private static Gate Kl(IReadOnlyList<MetricValue> values, ReleaseOptions limits) => new("Kl", After(values, MetricNames.KlNats) switch
    {
        null => GateState.Waiting,
        { } kl when kl > limits.KlBudgetNats => GateState.Failed,
        _ => PassedIf(HasInterval(values, MetricNames.KlNats, MetricNames.HeldOut)),
    }, limits.KlBudgetNats);

    private static Gate Length(IReadOnlyList<MetricValue> values, ReleaseOptions limits) => new("Length", LengthGrowth(values) switch
    {
        null => GateState.Waiting,
        { } growth when growth > limits.LengthGrowthMax => GateState.Noted,
        _ => PassedIf(HasInterval(values, MetricNames.LengthTokens, MetricParts.Before) && HasInterval(values, MetricNames.LengthTokens, MetricNames.HeldOut)),
    }, limits.LengthGrowthMax * 100);

    private static Gate Human(BlindTally votes, ReleaseOptions limits) => new("Human", votes.WinRate(limits.BlindVotesMin) switch
    {
        null => GateState.Waiting,
        { Low: > .5 } => GateState.Passed,
        { High: < .5 } => GateState.Failed,
        _ => GateState.Noted,
    }, votes.Counted, limits.BlindVotesMin);

    /// <summary>
    /// By how much more of the samples the language is broken: the worst of what was measured. Only the demo world can be read by graders;
    /// elsewhere samples that never end or repeat themselves tell.
    /// </summary>
    private static double? Broken(IReadOnlyList<MetricValue> values) =>
        brokenness.Max(name => name == MetricNames.ReadableShare ? -Change(values, name) : Change(values, name));

    private static readonly string[] brokenness = [MetricNames.ReadableShare, MetricNames.UnfinishedShare, MetricNames.RepetitionShare];

    /// <summary>Too few prompts to give an interval may warn, but they never pass a gate.</summary>
    private static GateState PassedIf(bool isEnough) => isEnough ? GateState.Passed : GateState.Waiting;

    private static bool HasInterval(IReadOnlyList<MetricValue> values, string name, string part) => Find(values, name, part)?.Of is not null;

    private static double? LengthGrowth(IReadOnlyList<MetricValue> values) =>
        Find(values, MetricNames.LengthTokens, MetricParts.Before)?.Value is { } before and > 0
            ? (After(values, MetricNames.LengthTokens) - before) / before
            : null;

    private static double? After(IReadOnlyList<MetricValue> values, string name) => Find(values, name, MetricNames.HeldOut)?.Value;

    private static double? Change(IReadOnlyList<MetricValue> values, string name) =>
        Find(values, name, MetricParts.Change)?.Value
        ?? (After(values, name) - Find(values, name, MetricParts.Before)?.Value);

    private static MetricValue? Find(IReadOnlyList<MetricValue> values, string name, string part) =>
        values.FirstOrDefault(v => v.Name == name && v.Part == part);
}
