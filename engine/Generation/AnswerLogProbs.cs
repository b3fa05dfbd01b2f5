using Portal.Engine.Losses;
using Portal.Engine.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Engine.Generation;

/// <summary>
/// How likely a model finds answers that were written by it or by another: the two ends of a KL estimate (k1 = log π − log π_ref on π's
/// samples, specs/rlhf.md §1.6), always at temperature 1.
/// </summary>
public static class AnswerLogProbs
{
    private const int BatchSize = 64;

    /// <summary>The log-probability of each continuation after its prompt, nats.</summary>
    /// <param name="prompts">Token ids of each prompt.</param>
    /// <param name="answers">One continuation a prompt; an empty one has 0.</param>
    public static double[] Of(Llama model, IReadOnlyList<IReadOnlyList<int>> prompts, IReadOnlyList<Continuation> answers, int padId, CancellationToken stop)
    {
        if (prompts.Count != answers.Count)
            throw new ArgumentException($"{prompts.Count} prompts, {answers.Count} answers.");
        using var noGrad = no_grad();
        var logProbs = new double[prompts.Count];
        foreach (var batch in Enumerable.Range(0, prompts.Count).OrderBy(i => prompts[i].Count + answers[i].Ids.Count).Chunk(BatchSize))
        {
            stop.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            var width = batch.Max(i => prompts[i].Count + answers[i].Ids.Count);
            var ids = new long[batch.Length * width];
            var mask = new bool[batch.Length * width];
            Array.Fill(ids, padId);
            for (var row = 0; row < batch.Length; row++)
            {
                var (prompt, answer) = (prompts[batch[row]], answers[batch[row]].Ids);
                for (var t = 0; t < prompt.Count + answer.Count; t++)
                {
                    ids[row * width + t] = t < prompt.Count ? prompt[t] : answer[t - prompt.Count];
                    mask[row * width + t] = t >= prompt.Count;
                }
            }
            var tokens = tensor(ids, [batch.Length, width], device: model.Device);
            var pick = CompletionTokens.Of(tokens, tensor(mask, [batch.Length, width], device: model.Device));
            var values = SequenceLogProb.OfSequences(SequenceLogProb.OfTokens(model.Logits(pick.Pick(model.Hidden(tokens))), pick.Targets), pick).ToFloats();
            for (var row = 0; row < batch.Length; row++)
                logProbs[batch[row]] = values[row];
        }
        return logProbs;
    }
}
