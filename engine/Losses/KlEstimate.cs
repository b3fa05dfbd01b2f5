namespace Portal.Engine.Losses;

/// <summary>Ways to read the divergence KL(π ‖ π_ref) off one token that π sampled.</summary>
public enum KlEstimator
{
    /// <summary>log π − log π_ref: unbiased, of either sign, the noisiest. What RLOO takes off the reward.</summary>
    K1,

    /// <summary>½ (log π − log π_ref)²: never negative, biased away from small divergences.</summary>
    K2,

    /// <summary>π_ref/π − 1 − log(π_ref/π): unbiased as K1 and never negative. What a budget goes by.</summary>
    K3,
}

/// <summary>
/// Estimates of the divergence between a policy and its reference from what the policy sampled, token by token, nats.
/// <code>d = log π − log π_ref      k1 = d      k2 = d²/2      k3 = e^(−d) − 1 + d</code>
/// </summary>
/// <remarks>
/// The mean of k1 and of k3 over samples of π is KL(π ‖ π_ref) where π_ref gives some probability to whatever π does; the sum over a response's tokens estimates the divergence of the
/// responses. A mean of k1 over many responses that is clearly below 0 can only be a mistake in the log-probabilities. Sign as in TRL and OpenRLHF; rlhf-book's code has it the other way round.
/// Source: Schulman 2020, "Approximating KL divergence". Checked against Golden/loss_vectors.json and by summing over whole distributions.
/// </remarks>
public static class KlEstimate
{
    /// <summary>The estimate of one token.</summary>
    /// <param name="logProb">log π of the token, under the very distribution it was drawn from.</param>
    /// <param name="referenceLogProb">log π_ref of the same token, at the same temperature.</param>
    /// <param name="limit">Cut at ± this (OpenRLHF: 10), which makes it biased; null for none.</param>
    public static double Of(KlEstimator estimator, double logProb, double referenceLogProb, double? limit = null)
    {
        var d = logProb - referenceLogProb;
        var estimate = estimator switch
        {
            KlEstimator.K1 => d,
            KlEstimator.K2 => d * d / 2,
            KlEstimator.K3 => Math.Max(0, Math.Exp(-d) - 1 + d), // rounding may leave −1e-17 where the two agree
        };
        return limit is { } most ? Math.Clamp(estimate, -most, most) : estimate;
    }

    /// <summary>The estimate of a response: the sum over its tokens.</summary>
    /// <exception cref="ArgumentException">The two are of different length.</exception>
    public static double Sum(KlEstimator estimator, IReadOnlyList<float> logProbs, IReadOnlyList<float> referenceLogProbs)
    {
        if (logProbs.Count != referenceLogProbs.Count)
            throw new ArgumentException($"{logProbs.Count} log-probabilities and {referenceLogProbs.Count} of the reference; they must be of the same tokens.");
        var sum = 0.0;
        for (var t = 0; t < logProbs.Count; t++)
            sum += Of(estimator, logProbs[t], referenceLogProbs[t]);
        return sum;
    }
}

/// <summary>
/// A KL coefficient that follows a target: a little higher after a step beyond the target, a little lower after one below it.
/// <code>β' = β (1 + clip(KL / target − 1, ±0.2) · n / horizon)</code>
/// </summary>
/// <remarks>
/// Between targets far apart it moves by at most a fifth of n / horizon a step. Source: Ziegler et al. 2019 (1909.08593) §2.2, lm-human-preference-details. Checked against Golden/loss_vectors.json.
/// </remarks>
public static class AdaptiveKl
{
    private const double ErrorMax = 0.2;

    /// <summary>The coefficient of the next step.</summary>
    /// <param name="coefficient">β &gt; 0 of this step.</param>
    /// <param name="klNats">What was measured in this step, nats per response.</param>
    /// <param name="targetNats">Above 0.</param>
    /// <param name="horizon">Responses after which a constant full error has added a fifth; above 0.</param>
    /// <param name="responses">n: responses of this step.</param>
    public static double Next(double coefficient, double klNats, double targetNats, double horizon, int responses)
    {
        if (!(coefficient > 0) || !(targetNats > 0) || !(horizon > 0) || responses < 1 || !double.IsFinite(klNats))
            throw new ArgumentException($"coefficient {coefficient}, target {targetNats} and horizon {horizon} must be above 0, responses ({responses}) at least 1 and the divergence ({klNats}) a number");
        return coefficient * (1 + Math.Clamp(klNats / targetNats - 1, -ErrorMax, ErrorMax) * responses / horizon);
    }
}
