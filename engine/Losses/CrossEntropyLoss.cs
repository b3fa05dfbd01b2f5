using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Engine.Losses;

/// <summary>How each token's surprise counts in supervised fine-tuning.</summary>
public enum CrossEntropyKind
{
    /// <summary>−log p: plain negative log-likelihood.</summary>
    Nll,

    /// <summary>−p·log p with p held fixed: dynamic fine-tuning, which trusts unlikely tokens less.</summary>
    Dft,
}

/// <summary>
/// Supervised fine-tuning loss over completion tokens.
/// <code>L = Σ_t −w_t log p(y_t) / n      w = 1 (nll) or p(y_t), detached (dft)      (nats per token)</code>
/// </summary>
/// <remarks>
/// n is the number of predicted tokens in the whole optimiser step, over all micro-batches: pass it, and accumulated
/// micro-batches give the gradient of one big batch. Without it the micro-batch's own count is used.
/// Source: TRL 1.10 sft_trainer; dft: Wu et al. 2025 (2508.05629) eq. 9. Checked against Golden/loss_vectors.json.
/// </remarks>
public static class CrossEntropyLoss
{
    /// <summary>The loss.</summary>
    /// <param name="tokenLogProbs">log p of each predicted token, [N], N ≥ 1.</param>
    /// <param name="kind">How tokens count.</param>
    /// <param name="itemsInBatch">Predicted tokens in the whole optimiser step; null means N.</param>
    /// <returns>Scalar in the caller's scope.</returns>
    /// <exception cref="ArgumentException">No token, or a count below 1.</exception>
    public static Tensor Compute(Tensor tokenLogProbs, CrossEntropyKind kind = CrossEntropyKind.Nll, long? itemsInBatch = null)
    {
        var count = itemsInBatch ?? tokenLogProbs.shape[0];
        if (tokenLogProbs.shape.Length != 1 || tokenLogProbs.shape[0] == 0 || count < 1)
        {
            throw new ArgumentException($"log-probabilities [{string.Join(", ", tokenLogProbs.shape)}] over {count} items: at least one predicted token is needed");
        }

        using var scope = NewDisposeScope();
        var terms = kind switch
        {
            CrossEntropyKind.Nll => tokenLogProbs,
            CrossEntropyKind.Dft => tokenLogProbs.detach().exp().mul(tokenLogProbs),
        };
        return scope.MoveToOuter(terms.sum().neg().div(count));
    }

    /// <summary>What to report beside the loss: share of tokens the model would have chosen itself, and mean entropy in nats.</summary>
    /// <param name="logits">[N, V].</param>
    /// <param name="targets">[N].</param>
    public static (double TokenAccuracy, double Entropy) Metrics(Tensor logits, Tensor targets)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var hits = logits.detach().argmax(-1).eq(targets).to_type(ScalarType.Float32).mean();
        return (hits.item<float>(), SequenceLogProb.Entropy(logits).mean().item<float>());
    }
}
