using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Engine.Losses;

/// <summary>
/// The clipped policy gradient of RLOO: answers with a positive advantage become likelier, but not by more than a clip allows on samples of an older policy.
/// <code>
/// ρ = exp(log π − log π_old)      ℓ = − min(ρ A, clip(ρ, 1 − ε_low, 1 + ε_high) A)
/// sequence: ρ of whole answers, L = mean of ℓ over answers      tokens: ρ of each token, L = mean of ℓ over all tokens
/// </code>
/// </summary>
/// <remarks>
/// On the first pass over fresh samples ρ is 1, so both have the gradient of −A log π, the first per answer and the second over the batch's tokens (a constant factor apart within a batch).
/// On later passes a long answer's ρ leaves the clip much sooner by sequence than by token.
/// Source: by sequence Ahmadian et al. 2024 (2402.14740) with the clip of Schulman et al. 2017 (1707.06347) eq. 7, TRL 1.10 rloo_trainer; by token OpenRLHF's PolicyLoss, TRL's "bnpo" and "dapo".
/// Checked against Golden/loss_vectors.json and finite differences.
/// </remarks>
public static class RlooLoss
{
    /// <summary>Losses of whole answers.</summary>
    /// <param name="logProbs">log π of each answer, the sum over its tokens. [B], with gradients.</param>
    /// <param name="oldLogProbs">The same when it was sampled, at the same temperature. [B].</param>
    /// <param name="advantages">[B].</param>
    /// <returns>[B] in the caller's scope; its mean is the loss.</returns>
    public static Tensor PerSequence(Tensor logProbs, Tensor oldLogProbs, Tensor advantages, double clipLow, double clipHigh) => Clipped(logProbs, oldLogProbs, advantages, clipLow, clipHigh, "answers");

    /// <summary>The mean over tokens.</summary>
    /// <param name="logProbs">log π of each token of all answers together. [N], with gradients.</param>
    /// <param name="oldLogProbs">The same when they were sampled. [N].</param>
    /// <param name="advantages">Of the answer each token belongs to. [N].</param>
    /// <param name="items">What the sum is divided by: the tokens of all micro-batches of the step, so that accumulation changes nothing; null for N.</param>
    /// <returns>Scalar in the caller's scope.</returns>
    public static Tensor OfTokens(Tensor logProbs, Tensor oldLogProbs, Tensor advantages, double clipLow, double clipHigh, long? items = null)
    {
        using var scope = NewDisposeScope();
        return scope.MoveToOuter(Clipped(logProbs, oldLogProbs, advantages, clipLow, clipHigh, "tokens").sum().div((double)(items ?? logProbs.shape[0])));
    }

    private static Tensor Clipped(Tensor logProbs, Tensor oldLogProbs, Tensor advantages, double clipLow, double clipHigh, string what)
    {
        if (logProbs.shape.Length != 1 || logProbs.shape[0] == 0 || !logProbs.shape.SequenceEqual(oldLogProbs.shape) || !logProbs.shape.SequenceEqual(advantages.shape))
            throw new ArgumentException(
                $"log-probabilities [{string.Join(", ", logProbs.shape)}], old ones [{string.Join(", ", oldLogProbs.shape)}] and advantages [{string.Join(", ", advantages.shape)}] must be of one number of {what} ≥ 1");
        if (!(clipLow is >= 0 and < 1) || !(clipHigh >= 0))
            throw new ArgumentException($"clip −{clipLow}, +{clipHigh}: the lower must be in [0, 1), the upper not negative");
        using var scope = NewDisposeScope();
        var ratio = logProbs.sub(oldLogProbs).exp();
        var plain = ratio.mul(advantages);
        var clipped = ratio.clamp(1 - clipLow, 1 + clipHigh).mul(advantages);
        return scope.MoveToOuter(plain.minimum(clipped).neg());
    }
}
