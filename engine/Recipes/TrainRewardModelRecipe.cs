using System.Diagnostics;
using Portal.Data.JobSpecs;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Losses;
using Portal.Engine.Models;
using Portal.Engine.Tokenizers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Portal.Engine.Recipes;

/// <summary>
/// Trains a Bradley-Terry reward model: a language model's decoder with one score read off the last token, so that the answers people
/// preferred score higher.
/// </summary>
/// <remarks>
/// Loss: specs/rlhf.md §1.2 (TRL's reward trainer, margins and centring included); accumulation is a mean of micro-batch means. The head
/// starts at zero (loss ln 2). Reports held-out accuracy with its interval, calibration, and beside them what length alone and
/// a bag of words trained on the same pairs reach: a reward model that does not beat those has learned little.
/// </remarks>
public static class TrainRewardModelRecipe
{
    /// <param name="model">Trained in place; make it with <see cref="LlamaReward.From"/> for a fresh head.</param>
    /// <param name="rows">Pairs split by prompt.</param>
    /// <returns>What was measured; weights, tokenizer and report are in the context's artefact folder.</returns>
    /// <exception cref="CannotTrain">No usable pair, or the loss diverged.</exception>
    public static TrainingReport Run(TrainRewardModel spec, LlamaReward model, ITokenizer tokenizer, TrainingSplit<PreferencePair> rows,
        RecipeContext context)
    {
        var started = Stopwatch.StartNew();
        var options = spec.Optimization;
        var encoder = new DialogueEncoder(tokenizer, Math.Min(spec.LengthMax, model.Config.ContextLength), spec.Overlong);
        var train = Encode(encoder, rows.Train);
        var (filtered, truncated) = (encoder.Filtered, encoder.Truncated);
        var heldOut = Encode(encoder, rows.HeldOut);
        if (train.Count == 0)
            throw new CannotTrain($"No pair can be trained on: {rows.Train.Count} were given, {filtered} have a side longer than {spec.LengthMax} tokens.");
        if (truncated > 0)
            context.Log($"{truncated} of {2 * train.Count} training texts ({(double)truncated / (2 * train.Count):P1}) lost their beginning to fit {spec.LengthMax} tokens.");
        var lengths = train.Select(pair => Math.Max(pair.Chosen.Ids.Length, pair.Rejected.Ids.Length)).ToList();
        var batchesPerEpoch = (train.Count + options.BatchSize - 1) / options.BatchSize;
        var stepsTotal = Optimization.StepsTotal(options, batchesPerEpoch);
        using var optimization = new Optimization(model.Backbone.parameters(), [model.ScoreWeight], options, stepsTotal);
        var fingerprint = Checkpoint.Fingerprint(
            [spec.ToJson(), .. train.Select(pair => $"{string.Join(' ', pair.Chosen.Ids)}|{string.Join(' ', pair.Rejected.Ids)}|{pair.Row.Margin}|{pair.Row.Weight}")]);
        var checkpoint = new Checkpoint(context.CheckpointFolder, fingerprint, model);
        var state = checkpoint.Resume(optimization) ?? new RunState(0);
        if (state.Step > 0)
            context.Log($"Resumed at step {state.Step} of {stepsTotal}.");
        model.train();

        var losses = new List<double>(state.Losses);
        var watch = Stopwatch.StartNew();
        var tokensSeen = 0L;
        foreach (var (step, batches) in StepsOf.Run(lengths, options, spec.Seed, state.Step, stepsTotal))
        {
            context.ThrowIfStopped();
            var (loss, accuracy) = (0.0, 0.0);
            foreach (var batch in batches)
            {
                using var scope = NewDisposeScope();
                var pairs = batch.Select(i => train[i]).ToList();
                var (chosen, rejected, tokens) = Rewards(model, tokenizer.PadId, pairs);
                var margin = spec.UseMargins ? tensor(pairs.Select(pair => (float)(pair.Row.Margin ?? 0)).ToArray(), device: model.Device) : null;
                var weight = pairs.All(pair => pair.Row.Weight == 1) ? null
                    : tensor(pairs.Select(pair => (float)pair.Row.Weight).ToArray(), device: model.Device);
                var share = 1.0 / batches.Count;
                loss += share * optimization.Accumulate(BradleyTerryLoss.Compute(chosen, rejected, margin, weight, spec.CenteringCoefficient), share, step);
                accuracy += share * chosen.gt(rejected).to_type(ScalarType.Float32).mean().item<float>();
                tokensSeen += tokens;
            }
            var norm = optimization.Step(step);
            losses.Add(loss);
            var done = step + 1;
            context.Metric("loss", done, loss);
            context.Metric("accuracy", done, accuracy);
            context.Metric("grad_norm", done, norm);
            context.Metric("learning_rate", done, optimization.LearningRate(step));
            context.Metric("tokens_per_second", done, tokensSeen / watch.Elapsed.TotalSeconds);
            context.Report(done, stepsTotal, "training");
            state = state with { Step = done };
            if (heldOut.Count > 0 && options.EvaluateEverySteps > 0 && done % options.EvaluateEverySteps == 0 && done < stepsTotal)
            {
                var value = Share(Differences(model, tokenizer, heldOut, context));
                context.Metric("heldout/accuracy", done, value);
                state = EarlyStop.Next(state, value, options, checkpoint);
                if (EarlyStop.IsDue(state, options))
                {
                    context.Log($"Stopped at step {done}: no better held-out accuracy in {state.EvaluationsWithoutGain} evaluations.");
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
            context.Report(state.Step, state.Step, "evaluating");
            var differences = Differences(model, tokenizer, heldOut, context);
            kept = EarlyStop.KeepBest(state, Share(differences), checkpoint);
            if (kept != state.Step)
                differences = Differences(model, tokenizer, heldOut, context);
            context.Metric("heldout/accuracy", kept, Share(differences));
            measurements.AddRange(RewardModelReport.Measure(differences, [.. heldOut.Select(pair => pair.Row)], [.. train.Select(pair => pair.Row)],
                spec.Seed, context.Stop));
        }
        HuggingFaceFolder.Save(model, context.ArtefactFolder, tokenizer);
        var report = new TrainingReport
        {
            Recipe = nameof(TrainRewardModel), Spec = spec.ToJson(), Fingerprint = fingerprint, Steps = state.Step, KeptStep = kept,
            ExamplesTrain = train.Count, ExamplesHeldOut = heldOut.Count, Filtered = filtered, Truncated = truncated,
            Seconds = started.Elapsed.TotalSeconds, Losses = losses, Measurements = measurements,
        };
        report.Write(context.ArtefactFolder);
        return report;
    }

    internal sealed record EncodedPair(PreferencePair Row, EncodedText Chosen, EncodedText Rejected);

    private static List<EncodedPair> Encode(DialogueEncoder encoder, IReadOnlyList<PreferencePair> rows) =>
        [.. rows.Select(row => encoder.Pair(row) is { } pair ? new EncodedPair(row, pair.Chosen, pair.Rejected) : null).OfType<EncodedPair>()];

    /// <summary>Rewards of both sides of some pairs in one forward pass, [B] each, and the real tokens read.</summary>
    internal static (Tensor Chosen, Tensor Rejected, int Tokens) Rewards(LlamaReward model, int padId, IReadOnlyList<EncodedPair> pairs)
    {
        using var batch = PaddedBatch.Of([.. pairs.Select(pair => pair.Chosen), .. pairs.Select(pair => pair.Rejected)], padId, model.Device);
        var rewards = model.Rewards(batch.Ids, batch.LastPositions);
        return (rewards.narrow(0, 0, pairs.Count), rewards.narrow(0, pairs.Count, pairs.Count), batch.Tokens);
    }

    /// <summary>Share of pairs whose chosen answer scores higher; equal scores count half.</summary>
    private static double Share(IReadOnlyList<double> differences) =>
        differences.Sum(difference => difference > 0 ? 1 : difference == 0 ? 0.5 : 0) / differences.Count;

    /// <summary>Chosen minus rejected reward of each held-out pair.</summary>
    private static double[] Differences(LlamaReward model, ITokenizer tokenizer, IReadOnlyList<EncodedPair> pairs, RecipeContext context)
    {
        model.eval();
        using var noGrad = no_grad();
        var differences = new double[pairs.Count];
        foreach (var batch in BatchOrder.ByLength([.. pairs.Select(pair => Math.Max(pair.Chosen.Ids.Length, pair.Rejected.Ids.Length))], 64))
        {
            context.ThrowIfStopped();
            using var scope = NewDisposeScope();
            var (chosen, rejected, _) = Rewards(model, tokenizer.PadId, [.. batch.Select(i => pairs[i])]);
            var values = chosen.sub(rejected).ToFloats();
            for (var row = 0; row < batch.Length; row++)
                differences[batch[row]] = values[row];
        }
        model.train();
        return differences;
    }
}
