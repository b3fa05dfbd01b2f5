using Portal.Engine.Statistics;

namespace Portal.Engine.Irl;

/// <summary>How often a reward puts a pair the right way round.</summary>
/// <param name="Pairs">Pairs counted.</param>
/// <param name="LeftOut">Pairs that have no right way round: the reference says they are equal.</param>
/// <param name="Accuracy">0 to 1, equal scores counting half, with the interval over prompts.</param>
public sealed record PairAccuracy(int Pairs, int LeftOut, ConfidenceInterval Accuracy);

/// <summary>Right and wrong calls of a yes-or-no decision.</summary>
public readonly record struct Confusion(int TruePositives, int FalsePositives, int FalseNegatives, int TrueNegatives)
{
    public double Accuracy => (double)(TruePositives + TrueNegatives) / (TruePositives + FalsePositives + FalseNegatives + TrueNegatives);

    /// <summary>F1 of the positive class; null where it neither occurs nor is called.</summary>
    public double? F1Positive => F1(TruePositives);

    /// <summary>F1 of the other class.</summary>
    public double? F1Negative => F1(TrueNegatives);

    /// <summary>Mean of both; null where one is.</summary>
    public double? F1Macro => (F1Positive + F1Negative) / 2;

    /// <summary>Of two sets of texts together.</summary>
    public static Confusion operator +(Confusion first, Confusion second) =>
        new(first.TruePositives + second.TruePositives, first.FalsePositives + second.FalsePositives, first.FalseNegatives + second.FalseNegatives, first.TrueNegatives + second.TrueNegatives);

    private double? F1(int right) => 2 * right + FalsePositives + FalseNegatives is > 0 and var all ? 2.0 * right / all : null;
}

/// <summary>How well a recovered reward sorts pairs and single texts.</summary>
/// <remarks>
/// Two accuracies of pairs that are easily confused, so they are always named: against the policy (did it find which completion is the audited policy's) and against a reference reward (did it prefer
/// what the reference prefers). Numbers of other repositories threshold at means of their own and do not compare (specs/fairl.md §2, code facts 6 and 7). Source: specs/fairl.md §3.1.
/// </remarks>
public static class RewardClassification
{
    /// <summary>Against the policy label: the share of pairs whose audited completion scores higher.</summary>
    /// <param name="margins">R(o⁺) − R(o⁻), [N], N ≥ 1.</param>
    /// <param name="prompts">[N].</param>
    public static PairAccuracy AgainstPolicy(double[] margins, IReadOnlyList<string> prompts, SeededRandom random) => new(margins.Length, 0, Bootstrap.Mean([.. margins.Select(Right)], prompts, random));

    /// <summary>The same share alone.</summary>
    public static double AgainstPolicy(double[] margins) => margins.Average(Right);

    /// <summary>Against a reference: the share of pairs that both rewards order alike, among those that the reference tells apart; null where it tells none apart.</summary>
    /// <param name="reference">r*(o⁺) − r*(o⁻), [N].</param>
    public static PairAccuracy? AgainstReference(double[] margins, double[] reference, IReadOnlyList<string> prompts, SeededRandom random)
    {
        if (margins.Length != reference.Length)
            throw new ArgumentException($"There are {margins.Length} margins and {reference.Length} of the reference.", nameof(reference));
        int[] kept = [.. Enumerable.Range(0, margins.Length).Where(i => reference[i] != 0)];
        return kept.Length == 0 ? null
            : new PairAccuracy(kept.Length, margins.Length - kept.Length, Bootstrap.Mean([.. kept.Select(i => Right(margins[i] * Math.Sign(reference[i])))], [.. kept.Select(i => prompts[i])], random));
    }

    /// <summary>How well −R finds texts of a bad kind (toxic): area under the curve with its interval over prompts; null where one kind is missing.</summary>
    /// <param name="rewards">R, [N].</param>
    /// <param name="isBad">[N].</param>
    /// <param name="prompts">[N].</param>
    public static ConfidenceInterval? AreaForBad(double[] rewards, IReadOnlyList<bool> isBad, IReadOnlyList<string> prompts, SeededRandom random, int resamples = Bootstrap.DefaultResamples) =>
        AreaUnderCurve.Interval([.. rewards.Select(reward => -reward)], isBad, prompts, random, resamples: resamples);

    /// <summary>The threshold half-way between the means of both kinds; learn it on calibration texts, never on those it is judged on.</summary>
    /// <exception cref="ArgumentException">Lengths differ, or one kind is missing.</exception>
    public static double Midpoint(double[] rewards, IReadOnlyList<bool> isBad)
    {
        if (rewards.Length != isBad.Count || isBad.All(bad => bad) || !isBad.Any(bad => bad))
            throw new ArgumentException($"A midpoint needs rewards of both kinds; there are {rewards.Length} rewards and {isBad.Count(bad => bad)} bad of {isBad.Count} texts.");
        return (rewards.Where((_, i) => isBad[i]).Average() + rewards.Where((_, i) => !isBad[i]).Average()) / 2;
    }

    /// <summary>Calls a text bad where its reward is below a threshold.</summary>
    public static Confusion Below(double threshold, double[] rewards, IReadOnlyList<bool> isBad)
    {
        if (rewards.Length != isBad.Count || rewards.Length == 0)
            throw new ArgumentException($"There are {rewards.Length} rewards and {isBad.Count} labels.");
        int Count(bool called, bool bad) => Enumerable.Range(0, rewards.Length).Count(i => rewards[i] < threshold == called && isBad[i] == bad);
        return new Confusion(Count(true, true), Count(true, false), Count(false, true), Count(false, false));
    }

    private static double Right(double margin) => margin > 0 ? 1 : margin < 0 ? 0 : 0.5;
}
