using TorchSharp;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Portal.Engine.Losses;

/// <summary>Log-probabilities, in nats, that a model gives to tokens and to whole completions.</summary>
/// <remarks>
/// Works on the N picked positions of <see cref="CompletionTokens"/>, so that memory is N × vocabulary and not B × T ×
/// vocabulary. Source: selective log-softmax, x_y − log Σ exp x, in float32. Checked against Golden/loss_vectors.json.
/// </remarks>
public static class SequenceLogProb
{
    /// <summary>The log-probability of each target.</summary>
    /// <param name="logits">[N, V], any floating-point format; computed in float32.</param>
    /// <param name="targets">[N] int64.</param>
    /// <returns>[N] float32, at most 0; gradients reach the logits.</returns>
    public static Tensor OfTokens(Tensor logits, Tensor targets)
    {
        if (logits.shape.Length != 2 || targets.shape.Length != 1 || logits.shape[0] != targets.shape[0])
        {
            throw new ArgumentException($"logits [{string.Join(", ", logits.shape)}] must be [N, V] and targets [{string.Join(", ", targets.shape)}] [N]");
        }

        // The library's cross-entropy is this, negated, in one pass over the logits.
        using var scope = NewDisposeScope();
        var wide = logits.to_type(ScalarType.Float32);
        return scope.MoveToOuter(functional.cross_entropy(wide, targets, reduction: Reduction.None).neg());
    }

    /// <summary>The log-probability of each row's completion: the sum over its tokens, [N] to [B].</summary>
    public static Tensor OfSequences(Tensor tokenLogProbs, CompletionTokens tokens)
    {
        return tokens.SumByRow(tokenLogProbs);
    }

    /// <summary>
    /// The length-desensitised sum of LD-DPO: tokens beyond the shorter completion of a pair count <paramref name="alpha"/>.
    /// Rows are chosen completions first, then the rejected ones in the same order.
    /// </summary>
    /// <remarks>Source: Liu et al. 2024 (2409.06411). Applied to policy and reference alike, as TRL does.</remarks>
    public static Tensor OfSequencesLengthDesensitised(Tensor tokenLogProbs, CompletionTokens tokens, double alpha)
    {
        using var scope = NewDisposeScope();
        var lengths = tokens.CountByRow();
        var half = tokens.BatchSize / 2;
        var shared = lengths.narrow(0, 0, half).minimum(lengths.narrow(0, half, half));
        var limit = cat([shared, shared], 0).index_select(0, tokens.Rows);
        var weights = where(tokens.Indexes.to_type(ScalarType.Float32).lt(limit), ones_like(limit), full_like(limit, alpha));
        return scope.MoveToOuter(tokens.SumByRow(tokenLogProbs.mul(weights)));
    }

    /// <summary>The entropy of each position's distribution, in nats: [N, V] to [N]. No gradient.</summary>
    public static Tensor Entropy(Tensor logits)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var logProbs = logits.detach().to_type(ScalarType.Float32).log_softmax(-1);
        return scope.MoveToOuter(logProbs.exp().mul(logProbs).sum(-1).neg());
    }

    /// <summary>
    /// WPO's weight of each completion: how likely it is under the policy, against the policy's own expectation.
    /// <code>w = exp( mean_t [ log p(y_t) − log Σ_v p(v)² ] )</code>
    /// </summary>
    /// <returns>[B], no gradient.</returns>
    /// <remarks>Source: Zhou et al. 2024 (2406.11827) eq. 5.</remarks>
    public static Tensor PolicyWeights(Tensor logits, Tensor tokenLogProbs, CompletionTokens tokens)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var wide = logits.detach().to_type(ScalarType.Float32);
        var collision = wide.mul(2).logsumexp(-1).sub(wide.logsumexp(-1).mul(2));
        var mean = tokens.SumByRow(tokenLogProbs.detach().sub(collision)).div(tokens.CountByRow().clamp_min(1));
        return scope.MoveToOuter(mean.exp());
    }
}
