using Portal.Engine.Statistics;

namespace Portal.Engine.Irl;

/// <summary>What a recovered reward makes of a training pair.</summary>
public enum FailureKind
{
    /// <summary>Clearly on the right side.</summary>
    None,
    /// <summary>Right, by less than a share of the usual margin.</summary>
    NearTie,
    /// <summary>The base's completion scores higher.</summary>
    Misclassified,
}

/// <summary>Why a failure was not allowed to teach anything.</summary>
public enum ScreenReason
{
    /// <summary>It was.</summary>
    None,
    /// <summary>The policies' own log-probabilities do not say that the audited one prefers it, beyond their noise.</summary>
    LogRatioTooSmall,
    /// <summary>No log-ratio is known of it.</summary>
    NoLogRatio,
    /// <summary>Over repeated samples the base's side scores higher on this prompt.</summary>
    SideMeansDisagree,
    /// <summary>A reward trained on other prompts contradicts it with confidence.</summary>
    ContradictedOutOfFold,
}

/// <summary>A training pair that the reward gets wrong or hardly tells apart.</summary>
/// <param name="Pair">Its number in the training part.</param>
/// <param name="Margin">m over the median |m|, under the accepted reward.</param>
/// <param name="BaseMargin">The same of the linear path alone, over the same median.</param>
/// <param name="MarginAtStart">The same under the reward before any round, over its own median: with <paramref name="Margin"/> it says what the rounds corrected.</param>
/// <param name="Round">The first round that trained on it as a failure; 0: none.</param>
/// <param name="Screen">Why it was kept out; None where it was not.</param>
public sealed record FailureRow(int Pair, FailureKind Kind, double Margin, double BaseMargin, double MarginAtStart, int Round, ScreenReason Screen);

/// <summary>
/// Failures: pairs whose margin is negative, or small against the usual one.
/// <code>s = median |m| + 1e-9      m̃ = m / s      misclassified: m̃ &lt; 0      near tie: 0 ≤ m̃ &lt; τ      severity = −m̃</code>
/// </summary>
/// <remarks>Scaled first, because a threshold on |m| means nothing for a reward whose scale is arbitrary. Source: specs/fairl.md §1.4 (definition from the paper's abstract, τ ours).</remarks>
public static class Failures
{
    public const double DefaultTau = 0.25;

    /// <summary>Rounds until the curriculum admits every failure.</summary>
    private const double RoundsToAll = 4;

    /// <summary>s of some margins, at least one.</summary>
    public static double Scale(IEnumerable<double> margins) => Bootstrap.Quantile([.. margins.Select(Math.Abs).Order()], 0.5) + 1e-9;

    /// <summary>The kind of a scaled margin.</summary>
    public static FailureKind KindOf(double scaled, double tau = DefaultTau) => scaled < 0 ? FailureKind.Misclassified : scaled < tau ? FailureKind.NearTie : FailureKind.None;

    /// <summary>
    /// The curriculum, clear errors before subtle ones: those of a round are the failures whose severity is at least the quantile 1 − min(1, t/4). For fixed margins each round's set holds the one before.
    /// </summary>
    /// <param name="scaled">m̃ of the failures that may teach.</param>
    /// <param name="round">t ≥ 1.</param>
    /// <returns>Their places in <paramref name="scaled"/>, ascending.</returns>
    public static IReadOnlyList<int> Admitted(IReadOnlyList<double> scaled, int round)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(round, 1);
        if (scaled.Count == 0)
            return [];
        var least = Bootstrap.Quantile([.. scaled.Select(margin => -margin).Order()], 1 - Math.Min(1, round / RoundsToAll));
        return [.. Enumerable.Range(0, scaled.Count).Where(i => -scaled[i] >= least)];
    }
}
