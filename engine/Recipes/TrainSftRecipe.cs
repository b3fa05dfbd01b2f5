using System.Diagnostics;
using Portal.Data.JobSpecs;
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
        var options = spec.Optimization;
        var encoder = new DialogueEncoder(tokenizer, Math.Min(spec.LengthMax, model.Config.ContextLength), Overlong.Filter);
        var train = rows.Train.Select(row => encoder.Dialogue(row.Turns)).OfType<EncodedText>().Where(text => text.CompletionLength > 0).ToList();
        var (filtered, truncated) = (encoder.Filtered, encoder.Truncated);
        var heldOut = rows.HeldOut.Select(row => (row.PromptKey, Text: encoder.Dialogue(row.Turns)))
            .Where(row => row.Text is { CompletionLength: > 0 }).Select(row => (row.PromptKey, Text: row.Text!)).ToList(); // null was filtered out above
        if (train.Count == 0)
            throw new CannotTrain($"No dialogue can be trained on: {rows.Train.Count} were given, {filtered} are longer than {spec.LengthMax} tokens.");
        var lengths = train.Select(text => text.Ids.Length).ToList();
        var batchesPerEpoch = (train.Count + options.BatchSize - 1) / options.BatchSize;
        var stepsTotal = Optimization.StepsTotal(options, batchesPerEpoch);
        using var optimization = new Optimization(model.parameters(), [], options, stepsTotal);
        var fingerprint = Checkpoint.Fingerprint([spec.ToJson(), .. train.Select(text => string.Join(' ', text.Ids))]);
        var checkpoint = new Checkpoint(context.CheckpointFolder, fingerprint, model);
        var state = checkpoint.Resume(optimization) ?? new RunState(0);
        if (state.Step > 0)
            context.Log($"Resumed at step {state.Step} of {stepsTotal}.");
        model.train();

        var losses = new List<double>(state.Losses);
        var watch = Stopwatch.StartNew();
        var tokensSeen = 0L;
        foreach (var (step, batches) in StepsOf.Run(lengths, options, spec.Seed, state.Step, stepsTotal, spec.KeepOrder))
        {
            context.ThrowIfStopped();
            using var scope = NewDisposeScope();
            // The denominator is the whole step's, so that accumulation changes nothing.
            var padded = batches.Select(batch => PaddedBatch.Of([.. batch.Select(i => train[i])], tokenizer.PadId, model.Device)).ToList();
            var picks = padded.Select(batch => CompletionTokens.Of(batch.Ids, batch.Mask)).ToList();
            var items = picks.Sum(pick => pick.Count);
            var loss = 0.0;
            foreach (var (batch, pick) in padded.Zip(picks))
            {
                using var inner = NewDisposeScope();
                var logProbs = LogProbs(model, batch, pick);
                var kind = spec.Loss is SftLoss.Dft ? CrossEntropyKind.Dft : CrossEntropyKind.Nll;
                loss += optimization.Accumulate(CrossEntropyLoss.Compute(logProbs, kind, items), share: 1, step);
                tokensSeen += batch.Tokens;
            }
            var norm = optimization.Step(step);
            losses.Add(loss);
            var done = step + 1;
            context.Metric("loss", done, loss);
            context.Metric("grad_norm", done, norm);
            context.Metric("learning_rate", done, optimization.LearningRate(step));
            context.Metric("tokens_per_second", done, tokensSeen / watch.Elapsed.TotalSeconds);
            context.Report(done, stepsTotal, "training");
            state = state with { Step = done };
            if (heldOut.Count > 0 && options.EvaluateEverySteps > 0 && done % options.EvaluateEverySteps == 0 && done < stepsTotal)
            {
                var value = TokenLosses(model, tokenizer, heldOut, context).Mean;
                context.Metric("heldout/loss", done, value);
                state = EarlyStop.Next(state, -value, options, checkpoint);
                if (EarlyStop.IsDue(state, options))
                {
                    context.Log($"Stopped at step {done}: no better held-out loss in {state.EvaluationsWithoutGain} evaluations.");
                    break;
                }
            }
            if (options.CheckpointEverySteps > 0 && done % options.CheckpointEverySteps == 0 && done < stepsTotal)
                checkpoint.Save(optimization, state with { Losses = losses });
        }

        var measurements = new List<Measurement>();
        var kept = state.Step;
        if (heldOut.Count > 0)
        {
            var last = TokenLosses(model, tokenizer, heldOut, context);
            kept = EarlyStop.KeepBest(state, -last.Mean, checkpoint);
            if (kept != state.Step)
                last = TokenLosses(model, tokenizer, heldOut, context);
            context.Metric("heldout/loss", kept, last.Mean);
            measurements.Add(Measurement.Of("loss", "held-out",
                Bootstrap.Mean(last.PerRow, [.. heldOut.Select(row => row.PromptKey)], new SeededRandom((ulong)spec.Seed))));
        }
        HuggingFaceFolder.Save(model, context.ArtefactFolder, tokenizer);
        var report = new TrainingReport
        {
            Recipe = nameof(TrainSft), Spec = spec.ToJson(), Fingerprint = fingerprint, Steps = state.Step, KeptStep = kept,
            ExamplesTrain = train.Count, ExamplesHeldOut = heldOut.Count, Filtered = filtered, Truncated = truncated,
            Seconds = started.Elapsed.TotalSeconds, Losses = losses, Measurements = measurements,
        };
        report.Write(context.ArtefactFolder);
        return report;
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
