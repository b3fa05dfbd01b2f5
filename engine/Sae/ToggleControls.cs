using System.Globalization;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;
using Portal.Data.Serving;
using Portal.Engine.Statistics;

namespace Portal.Engine.Sae;

/// <summary>What a real preference feature must beat: other features of the same size, and firing on any text of the same reward.</summary>
/// <remarks>
/// SARM's own "safety" feature moved safe answers far more than others, and fired on 66 % of the highly rewarded ones of either kind: a detector of high reward (specs/sarm.md §2.5).
/// The second control finds such a feature; the first tells an effect from what any feature of that size does.
/// </remarks>
public static class ToggleControls
{
    public const string RandomKind = "random", MatchedKind = "matched_reward";

    /// <summary>A feature is similar when its Σ |w| z and its firings are each within this factor.</summary>
    public const double SimilarWithin = 2;

    /// <summary>Other texts that a stratum of equal reward needs to say how often a feature fires there.</summary>
    private const int OthersMin = 5;

    private const int StrataMax = 20, TextsPerStratum = 20;

    /// <summary>Others fire "as often" when even the upper end of the difference is below this share of the firing on target.</summary>
    private const double AsOftenShare = 0.25;

    /// <summary>The same factors on features of about equal size and density, drawn at random.</summary>
    /// <param name="onTarget">Which pairs are on target; null: no target, then all pairs stand as off target.</param>
    /// <param name="actual">What the toggles themselves change (on target, where there is one).</param>
    /// <returns>Means over the draws with the stretch that holds 95 % of them; no figures where no feature is similar enough.</returns>
    public static ToggleControl RandomFeatures(ToggledReward toggled, bool[]? onTarget, AccuracyChange actual, int draws, SeededRandom random)
    {
        var before = toggled.Before;
        var matter = toggled.Toggles.Where(toggle => toggle.Multiplier != 1 && before.FiringCount(toggle.Latent) > 0 && before.Weights[toggle.Latent] != 0).ToList();
        if (matter.Count == 0)
            return new ToggleControl(RandomKind, null, null, null, 0, "No toggled feature changes any reward, so there is nothing to compare with.");
        var similar = Similar(before, toggled.Toggles, matter);
        var lonely = matter.Where(toggle => similar[toggle].Count == 0).Select(toggle => toggle.Latent).ToList();
        if (lonely.Count > 0)
            return new ToggleControl(RandomKind, null, null, null, 0, $"Not enough evidence: no other feature is about as large and as frequent as {LowerFirst(ToggleEffect.Features(lonely))} (within a factor of {SimilarWithin}).");
        var (on, off, flips) = (new List<double>(), new List<double>(), new List<double>());
        for (var draw = 0; draw < draws; draw++)
        {
            if (Draw(matter, similar, random.Split(draw)) is not { } others)
                continue;
            var (changeOn, changeOff, turned) = Effect(new ToggledReward(before, others), onTarget);
            if (changeOn is { } some)
                on.Add(some);
            if (changeOff is { } rest)
                off.Add(rest);
            flips.Add(turned);
        }
        if (flips.Count == 0)
            return new ToggleControl(RandomKind, null, null, null, 0, "Not enough evidence: too few features are about as large and as frequent as the toggled ones to draw a set of them.");
        var fewest = similar.Values.Min(some => some.Count);
        var compared = onTarget is null ? Spread(off) : Spread(on);
        var says = string.Create(CultureInfo.InvariantCulture, $"The same factors on similar features ({flips.Count} random draws; at least {fewest} similar {(fewest == 1 ? "feature" : "features")} to each toggled one) change agreement{(onTarget is null ? "" : " on target")} by {Points(compared)}; the toggles change it by {(actual.Change is { } change ? Points(new Estimated(change.Value, change.Low, change.High)) : "nothing that could be measured")}.");
        if (compared is { Low: { } low, High: { } high } && actual.Change is { } own)
            says += own.Low > high || own.High < low ? " That is beyond what features of this size do." : own.Low is null ? " There are too few prompts to compare them." : " That is not clearly beyond what features of this size do.";
        return new ToggleControl(RandomKind, onTarget is null ? null : compared, Spread(off), flips.Average(), flips.Count, says);
    }

    /// <summary>How often the toggled features fire on texts of the target and on other texts of the same reward.</summary>
    /// <param name="isTarget">Which responses show the target.</param>
    /// <remarks>
    /// Rewards before the change are cut at quantiles of the target's texts into at most 20 strata; others in a stratum are weighted by the target's share of it. Strata with fewer
    /// than 5 others are left out on both sides. Intervals: variance of the linearised weighted shares, summed within prompts (the strata's weights are taken as given).
    /// </remarks>
    public static ToggleControl MatchedReward(ToggledReward toggled, IReadOnlyList<bool> isTarget)
    {
        var before = toggled.Before;
        var responses = before.Rewards.Length;
        var fires = Enumerable.Range(0, responses).Select(toggled.Fires).ToArray();
        var targets = Enumerable.Range(0, responses).Where(response => isTarget[response]).ToList();
        if (targets.Count == 0 || targets.Count == responses)
            return None(0, $"Not enough evidence: {(targets.Count == 0 ? "no" : "every")} response shows the target, so there is nothing to match.");
        var strata = Strata(before.Rewards, isTarget, targets);
        // One number a response: its weight in the share of its side, 0 outside matched strata.
        var weight = new double[responses];
        var counts = new (int Target, int Other)[strata.Count];
        for (var response = 0; response < responses; response++)
            if (strata.Of[response] is >= 0 and var stratum)
                counts[stratum] = isTarget[response] ? (counts[stratum].Target + 1, counts[stratum].Other) : (counts[stratum].Target, counts[stratum].Other + 1);
        var matched = counts.Where(count => count.Other >= OthersMin).Sum(count => count.Target);
        if (matched * 2 < targets.Count || matched < ToggleEffect.FiringMin)
            return None(matched, string.Create(CultureInfo.InvariantCulture, $"Not enough evidence: only {matched} of {targets.Count} texts of the target have at least {OthersMin} other texts of about their reward beside them."));
        var used = 0;
        for (var response = 0; response < responses; response++)
            if (strata.Of[response] is >= 0 and var stratum && counts[stratum].Other >= OthersMin)
            {
                weight[response] = isTarget[response] ? 1.0 / matched : counts[stratum].Target / (double)matched / counts[stratum].Other;
                used++;
            }
        var at = Compare(before, fires, isTarget, weight, strata.Of, strata.Count);
        var raw = Compare(before, fires, isTarget, [.. Enumerable.Range(0, responses).Select(response => isTarget[response] ? 1.0 / targets.Count : 1.0 / (responses - targets.Count))], new int[responses], 1);
        var says = Verdict(before, fires, at, raw);
        return new ToggleControl(MatchedKind, at.OnTarget, at.OffTarget, null, used, says);

        static ToggleControl None(int count, string why) => new(MatchedKind, null, null, null, count, why);
    }

    private sealed record Shares(Estimated OnTarget, Estimated OffTarget, double Difference, double? Low, double? High);

    private static string Verdict(CodedRewards before, bool[] fires, Shares at, Shares raw)
    {
        var figures = string.Create(CultureInfo.InvariantCulture, $"{100 * at.OnTarget.Value:F0} % of the target's texts against {100 * at.OffTarget.Value:F0} % of others at equal reward; {100 * raw.OnTarget.Value:F0} % against {100 * raw.OffTarget.Value:F0} % of all others");
        if (at.OnTarget.Value == 0 && at.OffTarget.Value == 0)
            return $"The toggled features fire on no text of the target, nor on others of the same reward ({figures}).";
        if (at.High is not { } high || at.Low is not { } low)
            return $"Not enough evidence to compare firing at equal reward: fewer than {MetricNames.PromptsForInterval} prompts ({figures}).";
        if (high < AsOftenShare * at.OnTarget.Value || at.OnTarget.Value == 0)
            return raw.Low > 0
                ? $"Fires as often on other texts of the same reward: it goes with {(FiresHigh(before, fires) ? "high" : "low")} reward rather than with the target's phrases. Whether it only detects that reward, or stands for something in those texts that causes it, this cannot tell ({figures})."
                : $"Fires as often on other texts as on the target, at any reward: it does not tell the target apart ({figures}).";
        return low > 0
            ? $"Fires more often on the target than on other texts of the same reward ({figures}): not a mere detector of reward."
            : $"Not enough evidence whether it fires more often on the target than on other texts of the same reward ({figures}).";
    }

    private static bool FiresHigh(CodedRewards before, bool[] fires)
    {
        var (sum, count) = (0.0, 0);
        for (var response = 0; response < fires.Length; response++)
            if (fires[response])
                (sum, count) = (sum + before.Rewards[response], count + 1);
        return count > 0 && sum / count >= before.Mean;
    }

    /// <summary>Weighted shares of firing on both sides and their difference, with intervals by prompt.</summary>
    private static Shares Compare(CodedRewards before, bool[] fires, IReadOnlyList<bool> isTarget, double[] weight, int[] stratumOf, int strata)
    {
        var (on, off) = (0.0, 0.0);
        var (fired, counted) = (new double[strata, 2], new double[strata, 2]);
        for (var response = 0; response < weight.Length; response++)
            if (weight[response] > 0)
            {
                var side = isTarget[response] ? 0 : 1;
                counted[stratumOf[response], side]++;
                if (!fires[response])
                    continue;
                fired[stratumOf[response], side]++;
                (on, off) = side == 0 ? (on + weight[response], off) : (on, off + weight[response]);
            }
        var parts = new Dictionary<int, (double On, double Off)>();
        var sides = new[] { new HashSet<int>(), new HashSet<int>() };
        for (var response = 0; response < weight.Length; response++)
            if (weight[response] > 0)
            {
                var (side, stratum, prompt) = (isTarget[response] ? 0 : 1, stratumOf[response], before.PromptOfResponse[response]);
                // The target's share is a plain mean, the others' one of strata: each response's pull on it is its distance from the mean it is part of.
                var centre = side == 0 ? on : fired[stratum, 1] / counted[stratum, 1];
                var pull = weight[response] * ((fires[response] ? 1 : 0) - centre);
                var sum = parts.GetValueOrDefault(prompt);
                parts[prompt] = side == 0 ? (sum.On + pull, sum.Off) : (sum.On, sum.Off + pull);
                sides[side].Add(prompt);
            }
        var prompts = Math.Min(sides[0].Count, sides[1].Count);
        var enough = prompts >= MetricNames.PromptsForInterval;
        return new Shares(Share(on, parts.Values.Select(sum => sum.On), sides[0].Count), Share(off, parts.Values.Select(sum => sum.Off), sides[1].Count), on - off,
            enough ? on - off - Half(parts.Values.Select(sum => sum.On - sum.Off), parts.Count) : null, enough ? on - off + Half(parts.Values.Select(sum => sum.On - sum.Off), parts.Count) : null);

        static Estimated Share(double value, IEnumerable<double> pulls, int prompts) => prompts >= MetricNames.PromptsForInterval && Half(pulls, prompts) is var half
            ? new Estimated(Math.Min(1, value), Math.Max(0, value - half), Math.Min(1, value + half)) // weights add up to 1 but for rounding
            : new Estimated(Math.Min(1, value), null, null);

        static double Half(IEnumerable<double> pulls, int prompts) => NormalDistribution.TwoSided(0.95) * Math.Sqrt(pulls.Sum(pull => pull * pull) * prompts / (prompts - 1.0));
    }

    /// <summary>The stratum of each response, −1 outside the target's range of rewards.</summary>
    private static (int[] Of, int Count) Strata(double[] rewards, IReadOnlyList<bool> isTarget, List<int> targets)
    {
        double[] sorted = [.. targets.Select(response => rewards[response]).Order()];
        var wanted = Math.Clamp(sorted.Length / TextsPerStratum, 1, StrataMax);
        // Upper ends; equal ones (many texts of one reward) are one stratum.
        double[] ends = [.. Enumerable.Range(1, wanted).Select(i => sorted[(int)((long)i * sorted.Length / wanted) - 1]).Distinct()];
        var of = new int[rewards.Length];
        for (var response = 0; response < rewards.Length; response++)
        {
            var place = Array.BinarySearch(ends, rewards[response]);
            var stratum = place >= 0 ? place : ~place;
            of[response] = rewards[response] < sorted[0] || stratum >= ends.Length ? -1 : stratum;
        }
        return (of, ends.Length);
    }

    private static Dictionary<Toggle, List<int>> Similar(CodedRewards before, IReadOnlyList<Toggle> toggles, IReadOnlyList<Toggle> matter)
    {
        var taken = toggles.Select(toggle => toggle.Latent).ToHashSet();
        var others = Enumerable.Range(0, before.Codes.Latents).Where(latent => !taken.Contains(latent) && before.FiringCount(latent) > 0 && before.Weights[latent] != 0)
            .Select(latent => (Latent: latent, Mass: before.Mass(latent), Count: before.FiringCount(latent))).ToList();
        return matter.ToDictionary(toggle => toggle, toggle =>
        {
            var (mass, count) = (before.Mass(toggle.Latent), before.FiringCount(toggle.Latent));
            return others.Where(other => Near(other.Mass, mass) && Near(other.Count, count)).Select(other => other.Latent).ToList();
        });

        static bool Near(double one, double other) => one <= SimilarWithin * other && other <= SimilarWithin * one;
    }

    /// <summary>One similar feature for each toggled one, none twice; null where the draw came to a dead end.</summary>
    private static List<Toggle>? Draw(IReadOnlyList<Toggle> matter, Dictionary<Toggle, List<int>> similar, SeededRandom random)
    {
        var drawn = new List<Toggle>();
        var taken = new HashSet<int>();
        foreach (var toggle in matter.OrderBy(toggle => similar[toggle].Count).ThenBy(toggle => toggle.Latent)) // those with the least choice first
        {
            var open = similar[toggle].Where(latent => !taken.Contains(latent)).ToList();
            if (open.Count == 0)
                return null;
            var latent = random.Pick(open);
            taken.Add(latent);
            drawn.Add(new Toggle(latent, toggle.Multiplier));
        }
        return drawn;
    }

    private static (double? OnTarget, double? OffTarget, int Flips) Effect(ToggledReward toggled, bool[]? onTarget)
    {
        var before = toggled.Before;
        var (on, off, onPairs, flips) = (0L, 0L, 0, 0);
        for (var pair = 0; pair < before.Gaps.Length; pair++)
        {
            var (first, second) = (before.SignOf(before.Gaps[pair]), before.SignOf(toggled.Gap(pair)));
            if (onTarget is not null && onTarget[pair])
                (on, onPairs) = (on + second - first, onPairs + 1);
            else
                off += second - first;
            flips += first * second < 0 ? 1 : 0;
        }
        var offPairs = before.Gaps.Length - onPairs;
        return (onPairs == 0 ? null : on / 2.0 / onPairs, offPairs == 0 ? null : off / 2.0 / offPairs, flips);
    }

    private static Estimated? Spread(List<double> draws)
    {
        if (draws.Count == 0)
            return null;
        double[] sorted = [.. draws.Order()];
        return sorted.Length < MetricNames.PromptsForInterval ? new Estimated(draws.Average(), null, null)
            : new Estimated(draws.Average(), Bootstrap.Quantile(sorted, 0.025), Bootstrap.Quantile(sorted, 0.975));
    }

    private static string Points(Estimated? change) => change is null ? "nothing that could be measured"
        : string.Create(CultureInfo.InvariantCulture, $"{100 * change.Value:+0.0;−0.0;0.0} points{(change is { Low: { } low, High: { } high } ? string.Create(CultureInfo.InvariantCulture, $" ({100 * low:+0.0;−0.0;0.0} to {100 * high:+0.0;−0.0;0.0})") : "")}");

    private static string LowerFirst(string text) => char.ToLowerInvariant(text[0]) + text[1..];
}
