using System.Globalization;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;
using Portal.Data.Serving;
using Portal.Engine.Statistics;

namespace Portal.Engine.Sae;

/// <summary>What a change is meant to move.</summary>
/// <param name="Responses">Which responses show the target. [responses].</param>
/// <param name="Pairs">Which pairs are on target; all others are off target. [pairs].</param>
public sealed record ToggleTarget(bool[] Responses, bool[] Pairs)
{
    /// <summary>The usual target: pairs of which exactly one response shows it.</summary>
    /// <exception cref="ArgumentException">Not one answer a response.</exception>
    public static ToggleTarget Of(FeatureCodes codes, bool[] responses) => responses.Length == codes.Responses.Count
        ? new ToggleTarget(responses, [.. codes.Pairs.Select(pair => responses[pair.Chosen] != responses[pair.Rejected])])
        : throw new ArgumentException($"{responses.Length} marks were given for {codes.Responses.Count} responses", nameof(responses));
}

/// <summary>How an effect is measured.</summary>
public sealed record ToggleEffectOptions
{
    /// <summary>Of the resamples and of the random control; the same seed gives the same answer.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>Flipped pairs listed at most.</summary>
    public int FlipsMax { get; init; } = 50;

    /// <summary>Sets of similar features drawn for the random control.</summary>
    public int Draws { get; init; } = 20;

    /// <summary>Resamples behind each interval.</summary>
    public int Resamples { get; init; } = Bootstrap.DefaultResamples;
}

/// <summary>
/// What some toggles do to a reward model, on coded pairs: agreement with the judgements before and after on target, off target and where anything can change; flips; the rewards'
/// distribution; controls; other strengths; and what to beware of.
/// </summary>
/// <remarks>
/// A pair counts once, however many votes are behind it. Agreement is 1 where the preferred response has the higher reward, one half for a tie. Intervals resample prompts, never pairs.
/// A shifted histogram proves nothing (specs/sarm.md §6.3): what counts is change on target beside change off target, the random control, and firing at equal reward.
/// </remarks>
public static class ToggleEffect
{
    /// <summary>Strengths of the dose-response.</summary>
    public static readonly IReadOnlyList<double> Strengths = [-1, 0, 0.5, 1, 2, 4];

    /// <summary>Pairs that must differ in a toggled feature before anything is said about its effect.</summary>
    public const int FiringMin = 10;

    /// <summary>From this share of its pairs on, a set that outweighs all other features is called saturated.</summary>
    public const double SaturationShare = 0.9;

    private const int Bars = 40;

    /// <summary>Measures it.</summary>
    /// <param name="model">Stands in the answer as the model's name.</param>
    /// <param name="target">Null: no target is claimed.</param>
    /// <exception cref="ArgumentException">Factors that <see cref="ToggleSet.Check"/> refuses, or a target of other pairs.</exception>
    public static TogglePreviewResponse Measure(string model, CodedRewards before, IReadOnlyList<Toggle> toggles, ToggleTarget? target, ToggleEffectOptions options, CancellationToken stop)
    {
        var pairs = before.Gaps.Length;
        if (target is not null && (target.Pairs.Length != pairs || target.Responses.Length != before.Rewards.Length))
            throw new ArgumentException($"the target is about {target.Pairs.Length} pairs of {target.Responses.Length} responses; there are {pairs} of {before.Rewards.Length}", nameof(target));
        var toggled = new ToggledReward(before, toggles);
        var random = new SeededRandom((ulong)options.Seed).Split("toggles");
        var onTarget = target?.Pairs;

        var differs = new bool[pairs];
        var flipped = new List<int>();
        for (var pair = 0; pair < pairs; pair++)
        {
            differs[pair] = toggled.Differs(pair);
            if (toggled.Turns(pair))
                flipped.Add(pair);
        }
        stop.ThrowIfCancellationRequested();
        var all = Change(toggled, _ => true, random.Split("all"), options.Resamples);
        var firing = Change(toggled, pair => differs[pair], random.Split("firing"), options.Resamples);
        var on = onTarget is null ? null : Change(toggled, pair => onTarget[pair], random.Split("on target"), options.Resamples);
        var off = onTarget is null ? null : Change(toggled, pair => !onTarget[pair], random.Split("off target"), options.Resamples);
        stop.ThrowIfCancellationRequested();

        var controls = new List<ToggleControl> { ToggleControls.RandomFeatures(toggled, onTarget, on ?? all, options.Draws, random.Split("random features")) };
        if (target is not null)
            controls.Add(ToggleControls.MatchedReward(toggled, target.Responses));
        stop.ThrowIfCancellationRequested();

        return new TogglePreviewResponse(model, pairs, all, on, off, firing, flipped.Count, onTarget is null ? null : flipped.Count(pair => onTarget[pair]),
            Listed(toggled, flipped, options.FlipsMax), Shift(toggled), controls, Doses(toggled, onTarget, all, on, off, random.Split("dose"), options.Resamples, stop),
            Warnings(toggled, target, differs, firing));
    }

    /// <summary>Agreement before and after on some pairs, paired, by prompt.</summary>
    public static AccuracyChange Change(ToggledReward toggled, Func<int, bool> counts, SeededRandom random, int resamples = Bootstrap.DefaultResamples)
    {
        var before = toggled.Before;
        var groups = ByPrompt(before, counts, pair => (HalfPoints(before, before.Gaps[pair]), HalfPoints(before, toggled.Gap(pair))));
        if (groups.Count == 0)
            return new AccuracyChange(0, 0, null, null, null);
        var (first, second, change) = ProfileBootstrap.Paired(groups, 0.5, random, resamples);
        return new AccuracyChange(groups.Sum(group => group.Count), groups.Count, Estimate(first, groups.Count), Estimate(second, groups.Count), Estimate(change, groups.Count));
    }

    /// <summary>Two measurements of some pairs, added up by prompt; prompts without such a pair are left out.</summary>
    private static List<GroupTotals> ByPrompt(CodedRewards before, Func<int, bool> counts, Func<int, (int First, int Second)> of)
    {
        var totals = new GroupTotals[before.Prompts];
        for (var pair = 0; pair < before.Gaps.Length; pair++)
            if (counts(pair))
            {
                var (first, second) = of(pair);
                ref var sum = ref totals[before.PromptOfPair[pair]];
                sum = new GroupTotals(sum.Count + 1, sum.First + first, sum.Second + second);
            }
        return [.. totals.Where(sum => sum.Count > 0)];
    }

    /// <summary>A number as pages get it: without an interval where too few prompts speak.</summary>
    internal static Estimated Estimate(ConfidenceInterval interval, int prompts) => prompts >= MetricNames.PromptsForInterval
        ? new Estimated(interval.Estimate, interval.Low, interval.High)
        : new Estimated(interval.Estimate, null, null);

    /// <summary>2 right, 1 tie, 0 wrong.</summary>
    internal static int HalfPoints(CodedRewards before, double gap) => before.SignOf(gap) + 1;

    private static List<FlippedPair> Listed(ToggledReward toggled, List<int> flipped, int max)
    {
        var codes = toggled.Before.Codes;
        return
        [
            .. flipped.Select(pair => (Pair: pair, At: toggled.FlipPoint(pair)))
                .OrderBy(flip => flip.At is { } at ? Math.Abs(at - 1) : double.PositiveInfinity).ThenBy(flip => flip.Pair).Take(max)
                .Select(flip => new FlippedPair(codes.Pairs[flip.Pair].PromptId, codes.Responses[codes.Pairs[flip.Pair].Chosen], codes.Responses[codes.Pairs[flip.Pair].Rejected],
                    toggled.Before.Gaps[flip.Pair], toggled.Gap(flip.Pair), flip.At, toggled.Before.Gaps[flip.Pair] > 0)),
        ];
    }

    private static RewardShift Shift(ToggledReward toggled)
    {
        var before = toggled.Before;
        var count = before.Rewards.Length;
        if (count == 0)
            return new RewardShift(0, 0, 0, 0, [0, 1], [0], [0]);
        var after = new double[count];
        var (firing, moved) = (0, 0.0);
        for (var response = 0; response < count; response++)
        {
            after[response] = before.Rewards[response] + toggled.Added(response);
            moved += toggled.Added(response);
            firing += toggled.Fires(response) ? 1 : 0;
        }
        Array.Sort(after);
        // On a line the cheapest way to carry one distribution to the other keeps the order, so sorted values belong together.
        var distance = before.Sorted.Zip(after, (one, other) => Math.Abs(one - other)).Average();
        var unit = before.Deviation > 0 ? before.Deviation : 1; // all rewards equal: a warning says so
        var (low, high) = (Math.Min(before.Sorted[0], after[0]), Math.Max(before.Sorted[^1], after[^1]));
        if (high <= low)
            high = low + 1;
        return new RewardShift(count, firing, moved / count / unit, distance / unit, [.. Enumerable.Range(0, Bars + 1).Select(i => low + (high - low) * i / Bars)], Histogram(before.Sorted), Histogram(after));

        int[] Histogram(double[] rewards)
        {
            var counts = new int[Bars];
            foreach (var reward in rewards)
                counts[Math.Min(Bars - 1, (int)((reward - low) / (high - low) * Bars))]++;
            return counts;
        }
    }

    /// <summary>Agreement at other strengths, each with its interval by prompt. Strength 0 is before and strength 1 is after, so their figures are taken as they are.</summary>
    private static List<DosePoint> Doses(ToggledReward toggled, bool[]? onTarget, AccuracyChange all, AccuracyChange? on, AccuracyChange? off, SeededRandom random, int resamples, CancellationToken stop)
    {
        var before = toggled.Before;
        var points = new List<DosePoint>();
        foreach (var strength in Strengths)
        {
            stop.ThrowIfCancellationRequested();
            var flips = Enumerable.Range(0, before.Gaps.Length).Count(pair => toggled.Turns(pair, strength));
            var draws = random.Split(points.Count);
            var (onThis, offThis, allThis) = strength switch
            {
                0 => (on?.Before, off?.Before, all.Before),
                1 => (on?.After, off?.After, all.After),
                _ => (onTarget is null ? null : At(pair => onTarget[pair], "on target"), onTarget is null ? null : At(pair => !onTarget[pair], "off target"), At(_ => true, "all")),
            };
            points.Add(new DosePoint(strength, onThis?.Value, offThis?.Value, allThis?.Value ?? 0, flips, Range95.Of(onThis), Range95.Of(offThis), Range95.Of(allThis)));

            Estimated? At(Func<int, bool> counts, string name)
            {
                var groups = ByPrompt(before, counts, pair => (0, HalfPoints(before, toggled.Gap(pair, strength))));
                return groups.Count == 0 ? null : Estimate(ProfileBootstrap.Paired(groups, 0.5, draws.Split(name), resamples).Second, groups.Count);
            }
        }
        return points;
    }

    private static List<string> Warnings(ToggledReward toggled, ToggleTarget? target, bool[] differs, AccuracyChange firing)
    {
        var before = toggled.Before;
        var said = new List<string>();
        if (toggled.Toggles.All(toggle => toggle.Multiplier == 1))
            said.Add("All factors are 1, so nothing changes.");
        var silent = toggled.Toggles.Where(toggle => before.FiringCount(toggle.Latent) == 0).Select(toggle => toggle.Latent).ToList();
        if (silent.Count > 0)
            said.Add($"{Features(silent)} {(silent.Count == 1 ? "fires" : "fire")} at no response's end: toggling {(silent.Count == 1 ? "it" : "them")} changes nothing.");
        var idle = toggled.Toggles.Where(toggle => before.FiringCount(toggle.Latent) > 0 && before.Weights[toggle.Latent] == 0).Select(toggle => toggle.Latent).ToList();
        if (idle.Count > 0)
            said.Add($"{Features(idle)} {(idle.Count == 1 ? "has" : "have")} weight 0 in the head: no factor changes that.");
        if (toggled.Toggles.Count > 0 && silent.Count < toggled.Toggles.Count && (firing.Pairs < FiringMin || firing.Prompts < MetricNames.PromptsForInterval))
            said.Add($"The toggled features tell the responses of only {firing.Pairs} pairs ({firing.Prompts} prompts) apart: not enough evidence about what the change does.");
        if (target is not null)
        {
            var onTarget = target.Pairs.Count(on => on);
            var both = Enumerable.Range(0, differs.Length).Count(pair => differs[pair] && target.Pairs[pair]);
            if (onTarget == 0)
                said.Add("No pair is on target: no judged pair has the target's phrases in exactly one of its responses.");
            else if (both < FiringMin)
                said.Add($"Of {onTarget} pairs on target the toggled features tell only {both} apart: not enough evidence about the target.");
        }
        if (before.Rewards.Length > 0 && before.Deviation == 0)
            said.Add("All rewards were equal before: shifts are given in units of reward, not in standard deviations.");
        if (Saturation(toggled, differs) is { Pairs: >= FiringMin } saturation && saturation.After / (double)saturation.Pairs >= SaturationShare)
            said.Add(string.Create(CultureInfo.InvariantCulture, $"Saturated: in {100.0 * saturation.After / saturation.Pairs:F0} % of the {saturation.Pairs} pairs they tell apart, the toggled features outweigh all other features together ({100.0 * saturation.Before / saturation.Pairs:F0} % before). They alone decide there; a larger factor changes no more."));
        return said;
    }

    /// <summary>Pairs that differ in a toggled feature, and on how many of them its part is larger than the rest of the gap, after and before.</summary>
    private static (int Pairs, int After, int Before) Saturation(ToggledReward toggled, bool[] differs)
    {
        var (pairs, after, before) = (0, 0, 0);
        for (var pair = 0; pair < differs.Length; pair++)
            if (differs[pair])
            {
                var part = toggled.Part(pair);
                var rest = toggled.Before.Gaps[pair] - part;
                var change = toggled.Gap(pair) - toggled.Before.Gaps[pair];
                pairs++;
                after += Math.Abs(part + change) > Math.Abs(rest) ? 1 : 0;
                before += Math.Abs(part) > Math.Abs(rest) ? 1 : 0;
            }
        return (pairs, after, before);
    }

    internal static string Features(IReadOnlyList<int> latents) => latents.Count == 1 ? $"Feature {latents[0]}"
        : latents.Count <= 5 ? $"Features {string.Join(", ", latents.SkipLast(1))} and {latents[^1]}" : $"{latents.Count} of the toggled features";
}
