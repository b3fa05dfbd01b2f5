using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Engine.Losses;

/// <summary>
/// The divergence of a policy from its reference at each position, summed over the whole vocabulary: exact where <see cref="KlEstimate"/> reads it off one drawn token.
/// <code>KL_t = Σ_v π(v) (log π(v) − log π_ref(v))      (nats)</code>
/// </summary>
/// <remarks>
/// Gradients go through π at each position; the positions themselves, prefixes that π wrote, count as given. The sum over an answer's tokens is an unbiased estimate of the answers' divergence, steadier than k1
/// and k3, and needs both models' logits at once. Checked against closed forms, finite differences and the mean of k1 over a whole distribution.
/// </remarks>
public static class TokenKl
{
    /// <summary>The divergence at each position.</summary>
    /// <param name="logits">Of π, at the temperature of sampling. [N, V], any floating-point format; computed in float32, or in float64 where they are.</param>
    /// <param name="referenceLogits">Of π_ref, the same. No gradient reaches them.</param>
    /// <returns>[N] in the caller's scope, at least 0 but for rounding; its gradient is 0 where the two agree.</returns>
    /// <exception cref="ArgumentException">Not two of one shape [N, V].</exception>
    public static Tensor Compute(Tensor logits, Tensor referenceLogits)
    {
        if (logits.shape.Length != 2 || !logits.shape.SequenceEqual(referenceLogits.shape))
            throw new ArgumentException($"logits [{string.Join(", ", logits.shape)}] and the reference's [{string.Join(", ", referenceLogits.shape)}] must both be [N, V]");
        using var scope = NewDisposeScope();
        var type = logits.dtype is ScalarType.Float64 ? ScalarType.Float64 : ScalarType.Float32;
        var policy = logits.to_type(type).log_softmax(-1);
        var reference = referenceLogits.detach().to_type(type).log_softmax(-1);
        return scope.MoveToOuter(policy.exp().mul(policy.sub(reference)).sum(-1));
    }
}
