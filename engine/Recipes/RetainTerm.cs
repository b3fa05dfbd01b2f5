using Portal.Data.JobSpecs;
using Portal.Engine.Datasets;
using Portal.Engine.Losses;
using Portal.Engine.Models;
using Portal.Engine.Statistics;
using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Engine.Recipes;

/// <summary>
/// Holds a policy to its reference on prompts that are not to change, while it learns on others.
/// <code>+ β_R · mean of KL(π(·|x, y_&lt;t) ‖ π_ref(·|x, y_&lt;t))      x by lot from R, y ~ π(·|x)</code>
/// </summary>
/// <remarks>
/// Each step the policy answers some prompts of R once, and the divergences at all tokens of those answers, over the whole vocabulary (<see cref="TokenKl"/>), are summed and divided as the policy gradient is: by all
/// their tokens at <see cref="PolicyLossLevel.Token"/>, by the answers at <see cref="PolicyLossLevel.Sequence"/>. So β_R means the same as β at either level, what a nat per answer costs in units of the advantages,
/// where answers to R are about as long. Gradients go through π at the written positions; that other weights would have written other answers is left out. Which prompts and which answers is a function of seed, step and
/// weights. Source: specs/xrlhf.md §2.4, policy side.
/// </remarks>
/// <param name="prompts">R, ready to be continued.</param>
internal sealed class RetainTerm(TrainRlooPolicy spec, Llama policy, Llama reference, PolicyRollouts rollouts, IReadOnlyList<EncodedPrompt> prompts)
{
    /// <summary>Answers of the policy as it is now to the prompts that are this step's by lot; to all where there are no more than a step wants.</summary>
    /// <param name="step">0-based.</param>
    public IReadOnlyList<EncodedText> Write(int step)
    {
        var lot = prompts.ToArray();
        new SeededRandom((ulong)spec.Seed).Split("retained prompts").Split($"step {step + 1}").Shuffle(lot);
        return rollouts.WriteTexts([.. lot.Take(spec.RetainPrompts)], $"retained, step {step + 1}");
    }

    /// <summary>The part of some of the step's answers.</summary>
    /// <param name="texts">Of one micro-batch.</param>
    /// <param name="all">All of the step, for the denominator.</param>
    /// <returns>β_R times the micro-batch's share of the mean, a scalar in the caller's scope with gradients to the policy; the sum of the divergences, nats; and the real tokens the policy read.</returns>
    public (Tensor Loss, double KlNats, int Tokens) Part(IReadOnlyList<EncodedText> texts, IReadOnlyList<EncodedText> all)
    {
        using var scope = NewDisposeScope();
        var (logits, _, tokens) = rollouts.Logits(policy, texts);
        Tensor before;
        using (no_grad())
            before = rollouts.Logits(reference, texts).Logits;
        var kl = TokenKl.Compute(logits, before).sum();
        var items = spec.LossLevel switch
        {
            PolicyLossLevel.Token => all.Sum(text => text.Mask.Count(isDrawn => isDrawn)),
            PolicyLossLevel.Sequence => all.Count,
        };
        return (scope.MoveToOuter(kl.mul(spec.RetainWeight / items)), kl.item<float>(), tokens);
    }
}
