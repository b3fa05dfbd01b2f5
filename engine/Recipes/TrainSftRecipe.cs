using System.Diagnostics;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Losses;
using Portal.Engine.Models;
using Portal.Engine.Statistics;
using Portal.Engine.Tokenizers;
using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Engine.Recipes;

/// <summary>
/// Supervised fine-tuning, and with fresh weights the training of the demo's base model: the model learns to write the assistant's turns of
/// whole dialogues.
/// </summary>
/// <remarks>
/// Loss: specs/rlhf.md §1.1 (TRL's nll and dft): the sum over the step's assistant tokens divided by their number over all
/// micro-batches, so 8 × 1 and 1 × 8 give the same gradient. Reports held-out loss per token with an interval by prompt.
/// </remarks>
public static class TrainSftRecipe
{
    /// <param name="model">Trained in place; on whatever device it is.</param>
    /// <param name="rows">Dialogues split by prompt.</param>
    /// <returns>What was measured; weights, tokenizer and report are in the context's artefact folder.</returns>
    /// <exception cref="CannotTrain">No usable dialogue, or the loss diverged.</exception>
    public static TrainingReport Run(TrainSft spec, Llama model, ITokenizer tokenizer, TrainingSplit<TrainingDialogue> rows, RecipeContext context)
    {
        var started = Stopwatch.StartNew();
        var encoder = new DialogueEncoder(tokenizer, Math.Min(spec.LengthMax, model.Config.ContextLength), Overlong.Filter);
        var train = rows.Train.Select(row => encoder.Dialogue(row.Turns)).OfType<EncodedText>().Where(text => text.CompletionLength > 0).ToList();
        var (filtered, truncated) = (encoder.Filtered, encoder.Truncated);
        var heldOut = rows.HeldOut.Select(row => (row.PromptKey, Text: encoder.Dialogue(row.Turns)))
            .Where(row => row.Text is { CompletionLength: > 0 }).Select(row => (row.PromptKey, Text: row.Text!)).ToList(); // null was filtered out above
        if (train.Count == 0)
            throw new CannotTrain($"No dialogue can be trained on: {rows.Train.Count} were given, {filtered} are longer than {spec.LengthMax} tokens.");
        var fingerprint = Checkpoint.Fingerprint([spec.ToJson(), .. train.Select(text => string.Join(' ', text.Ids))]);
        using var steps = new TrainingSteps(context, spec, spec.Optimization, model, model.parameters(), [], [.. train.Select(text => text.Ids.Length)], fingerprint);
        Func<HeldOutFigures>? evaluate = heldOut.Count == 0 ? null : () =>
        {
            var mean = TokenLosses(model, tokenizer, heldOut, context).Mean;
            return new HeldOutFigures(-mean, "held-out loss", ("heldout/loss", mean));
        };
        foreach (var (step, batches) in steps.Rest(spec.KeepOrder))
        {
            using var scope = NewDisposeScope();
            // The denominator is the whole step's, so that accumulation changes nothing.
            var padded = batches.Select(batch => PaddedBatch.Of([.. batch.Select(i => train[i])], tokenizer.PadId, model.Device)).ToList();
            var picks = padded.Select(batch => CompletionTokens.Of(batch.Ids, batch.Mask)).ToList();
            var items = picks.Sum(pick => pick.Count);
            var (loss, tokens) = (0.0, 0L);
            foreach (var (batch, pick) in padded.Zip(picks))
            {
                using var inner = NewDisposeScope();
                var logProbs = LogProbs(model, batch, pick);
                var kind = spec.Loss is SftLoss.Dft ? CrossEntropyKind.Dft : CrossEntropyKind.Nll;
                loss += steps.Accumulate(CrossEntropyLoss.Compute(logProbs, kind, items), share: 1, step);
                tokens += batch.Tokens;
            }
            if (!steps.Finish(step, loss, tokens, evaluate))
                break;
        }

        var measurements = new List<Measurement>();
        var kept = steps.Done;
        if (heldOut.Count > 0)
        {
            var last = TokenLosses(model, tokenizer, heldOut, context);
            kept = steps.KeepBest(-last.Mean);
            if (kept != steps.Done)
                last = TokenLosses(model, tokenizer, heldOut, context);
            context.Metric("heldout/loss", kept, last.Mean);
            measurements.Add(Measurement.Of(MetricNames.Loss, MetricNames.HeldOut,
                Bootstrap.Mean(last.PerRow, [.. heldOut.Select(row => row.PromptKey)], new SeededRandom((ulong)spec.Seed))));
        }
        HuggingFaceFolder.Save(model, context.ArtefactFolder, tokenizer);
        return steps.Write(nameof(TrainSft), kept, new ExampleCounts(train.Count, heldOut.Count, filtered, truncated), started.Elapsed, measurements);
    }

    /// <summary>
    /// Log-probabilities of the picked tokens, [N], with gradients where they are on. The logits' handle ends here: the backward pass does not
    /// need them, and they are the largest tensor of a step.
    /// </summary>
    internal static Tensor LogProbs(Llama model, PaddedBatch batch, CompletionTokens pick)
    {
        using var scope = NewDisposeScope();
        return scope.MoveToOuter(SequenceLogProb.OfTokens(model.Logits(pick.Pick(model.Hidden(batch.Ids))), pick.Targets));
    }

    /// <summary>Held-out loss: the mean per assistant token over all, and each dialogue's own mean.</summary>
    private static (double Mean, IReadOnlyList<double> PerRow) TokenLosses(Llama model, ITokenizer tokenizer,
        IReadOnlyList<(string PromptKey, EncodedText Text)> rows, RecipeContext context)
    {
        model.eval();
        using var noGrad = no_grad();
        var perRow = new double[rows.Count];
        var (sum, count) = (0.0, 0L);
        foreach (var batch in BatchOrder.ByLength([.. rows.Select(row => row.Text.Ids.Length)], 64))
        {
            context.ThrowIfStopped();
            using var scope = NewDisposeScope();
            using var padded = PaddedBatch.Of([.. batch.Select(i => rows[i].Text)], tokenizer.PadId, model.Device);
            var pick = CompletionTokens.Of(padded.Ids, padded.Mask);
            var logProbs = LogProbs(model, padded, pick);
            var sums = SequenceLogProb.OfSequences(logProbs, pick).ToFloats();
            var counts = pick.CountByRow().ToFloats();
            for (var row = 0; row < batch.Length; row++)
            {
                perRow[batch[row]] = -sums[row] / Math.Max(1, counts[row]);
                sum -= sums[row];
                count += (long)counts[row];
            }
        }
        model.train();
        return (sum / Math.Max(1, count), perRow);
    }
}
