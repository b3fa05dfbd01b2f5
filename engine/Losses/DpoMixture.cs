using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Engine.Losses;

/// <summary>One term of a mixed preference loss: a DPO variant, or (null) the likelihood of the chosen completions.</summary>
public sealed record DpoTerm(DpoOptions? Preference, double Weight);

/// <summary>A preference loss straight from logits, with what can be done only there.</summary>
public sealed record DpoMixtureOptions
{
    /// <summary>The terms to add up, for instance MPO: sigmoid 0.8, bco_pair 0.2, likelihood 1.</summary>
    public required IReadOnlyList<DpoTerm> Terms { get; init; }

    /// <summary>LD-DPO's α for tokens beyond the shorter completion; null is off.</summary>
    public double? LengthDesensitisation { get; init; }

    /// <summary>WPO: weigh each pair by how likely the policy is to write it.</summary>
    public bool WeighByPolicy { get; init; }
}

/// <summary>The loss and the log-probabilities it was made of.</summary>
public sealed record DpoMixtureResult(Tensor Loss, DpoLogProbs LogProbs);

/// <summary>Mixed, length-desensitised and policy-weighted preference losses (MPO, LD-DPO, WPO).</summary>
/// <remarks>
/// Rows are the chosen completions, then the rejected ones in the same order.
/// Source: TRL 1.10 dpo_trainer; MPO: Wang et al. 2024 (2411.10442). Checked against Golden/loss_vectors.json from logits.
/// </remarks>
public static class DpoMixture
{
    /// <summary>Computes the loss.</summary>
    /// <param name="logits">The policy's logits at every position, [2B, T, V].</param>
    /// <param name="referenceLogits">The reference's, [2B, T, V].</param>
    /// <param name="ids">Token ids, [2B, T] int64.</param>
    /// <param name="completionMask">True on completion tokens, [2B, T] bool.</param>
    /// <param name="options">The terms.</param>
    /// <returns>Tensors in the caller's scope.</returns>
    public static DpoMixtureResult FromLogits(Tensor logits, Tensor referenceLogits, Tensor ids, Tensor completionMask, DpoMixtureOptions options)
    {
        using var scope = NewDisposeScope();
        var tokens = CompletionTokens.Of(ids, completionMask);
        var picked = tokens.Pick(logits);
        var policy = SequenceLogProb.OfTokens(picked, tokens.Targets);
        var reference = SequenceLogProb.OfTokens(tokens.Pick(referenceLogits), tokens.Targets).detach();
        var half = ids.shape[0] / 2;
        var lengths = completionMask.to_type(ScalarType.Float32).sum(1);
        var (policySums, referenceSums) = (Sums(policy), Sums(reference));
        var pairs = new DpoLogProbs(
            policySums.narrow(0, 0, half), policySums.narrow(0, half, half), referenceSums.narrow(0, 0, half), referenceSums.narrow(0, half, half))
        {
            ChosenLengths = lengths.narrow(0, 0, half),
            RejectedLengths = lengths.narrow(0, half, half),
        };
        var weights = options.WeighByPolicy ? PairWeights() : null;
        var loss = options.Terms.Select(Term).Aggregate((sum, term) => sum.add(term));
        return new DpoMixtureResult(scope.MoveToOuter(loss), pairs with
        {
            Chosen = scope.MoveToOuter(pairs.Chosen),
            Rejected = scope.MoveToOuter(pairs.Rejected),
            ReferenceChosen = scope.MoveToOuter(pairs.ReferenceChosen),
            ReferenceRejected = scope.MoveToOuter(pairs.ReferenceRejected),
            ChosenLengths = scope.MoveToOuter(pairs.ChosenLengths),
            RejectedLengths = scope.MoveToOuter(pairs.RejectedLengths),
        });

        Tensor Sums(Tensor tokenLogProbs)
        {
            return options.LengthDesensitisation is { } alpha
                ? SequenceLogProb.OfSequencesLengthDesensitised(tokenLogProbs, tokens, alpha)
                : SequenceLogProb.OfSequences(tokenLogProbs, tokens);
        }

        Tensor PairWeights()
        {
            var each = SequenceLogProb.PolicyWeights(picked, policy, tokens);
            return each.narrow(0, 0, half).mul(each.narrow(0, half, half));
        }

        Tensor Term(DpoTerm term)
        {
            var losses = term.Preference is { } preference ? DpoLoss.PerPair(pairs, preference) : ChosenLikelihood();
            return (weights is null ? losses : losses.mul(weights)).mean().mul(term.Weight);
        }

        // A mean over the chosen completions' tokens, the same for every pair of the batch. [B]
        Tensor ChosenLikelihood()
        {
            var isChosen = tokens.Rows.lt(half).to_type(ScalarType.Float32);
            return policy.mul(isChosen).sum().neg().div(isChosen.sum()).expand(half);
        }
    }
}
