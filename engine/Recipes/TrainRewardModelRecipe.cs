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
        RecipeContext context) =>
        Run(spec, new TrainedReward(model, model, [.. model.Backbone.parameters()], [model.ScoreWeight], folder => HuggingFaceFolder.Save(model, folder, tokenizer)), tokenizer, rows, context);

    /// <summary>A model of any kind, and which of its weights move.</summary>
    /// <param name="Module">Whose weights are kept in checkpoints.</param>
    /// <param name="Body">Parameters at the learning rate; may be empty.</param>
    /// <param name="Head">Parameters at the head's rate.</param>
    /// <param name="Save">Writes the model into a folder.</param>
    public sealed record TrainedReward(IRewardModel Model, nn.Module Module, IReadOnlyList<Parameter> Body, IReadOnlyList<Parameter> Head, Action<string> Save);

    /// <inheritdoc cref="Run(TrainRewardModel, LlamaReward, ITokenizer, TrainingSplit{PreferencePair}, RecipeContext)"/>
    public static TrainingReport Run(TrainRewardModel spec, TrainedReward trained, ITokenizer tokenizer, TrainingSplit<PreferencePair> rows, RecipeContext context)
    {
        var started = Stopwatch.StartNew();
        var model = trained.Model;
        var encoder = new DialogueEncoder(tokenizer, Math.Min(spec.LengthMax, model.ContextLength), spec.Overlong);
        var train = Encode(encoder, rows.Train);
        var (filtered, truncated) = (encoder.Filtered, encoder.Truncated);
        var heldOut = Encode(encoder, rows.HeldOut);
        if (train.Count == 0)
            throw new CannotTrain($"No pair can be trained on: {rows.Train.Count} were given, {filtered} have a side longer than {spec.LengthMax} tokens.");
        if (truncated > 0)
            context.Log($"{truncated} of {2 * train.Count} training texts ({(double)truncated / (2 * train.Count):P1}) lost their beginning to fit {spec.LengthMax} tokens.");
        var fingerprint = Checkpoint.Fingerprint(
            [spec.ToJson(), .. train.Select(pair => $"{string.Join(' ', pair.Chosen.Ids)}|{string.Join(' ', pair.Rejected.Ids)}|{pair.Row.Margin}|{pair.Row.Weight}")]);
        using var steps = new TrainingSteps(context, spec, spec.Optimization, trained.Module, trained.Body, trained.Head, [.. train.Select(LengthOf)], fingerprint);
        Func<HeldOutFigures>? evaluate = heldOut.Count == 0 ? null : () =>
        {
            var share = Share(Differences(trained, tokenizer, heldOut, context));
            return new HeldOutFigures(share, "held-out accuracy", ("heldout/accuracy", share));
        };
        foreach (var (step, batches) in steps.Rest())
        {
            var (loss, accuracy, tokens) = (0.0, 0.0, 0L);
            foreach (var batch in batches)
            {
                using var scope = NewDisposeScope();
                var pairs = batch.Select(i => train[i]).ToList();
                var (chosen, rejected, read) = Rewards(model, tokenizer.PadId, pairs);
                var margin = spec.UseMargins ? tensor(pairs.Select(pair => (float)(pair.Row.Margin ?? 0)).ToArray(), device: model.Device) : null;
                var weight = pairs.All(pair => pair.Row.Weight == 1) ? null
                    : tensor(pairs.Select(pair => (float)pair.Row.Weight).ToArray(), device: model.Device);
                var share = 1.0 / batches.Count;
                loss += share * steps.Accumulate(BradleyTerryLoss.Compute(chosen, rejected, margin, weight, spec.CenteringCoefficient), share, step);
                accuracy += share * chosen.gt(rejected).to_type(ScalarType.Float32).mean().item<float>();
                tokens += read;
            }
            if (!steps.Finish(step, loss, tokens, evaluate, ("accuracy", accuracy)))
                break;
        }

        var measurements = new List<Measurement>();
        var kept = steps.Done;
        if (heldOut.Count > 0)
        {
            context.Report(steps.Done, steps.Done, "evaluating");
            var differences = Differences(trained, tokenizer, heldOut, context);
            kept = steps.KeepBest(Share(differences));
            if (kept != steps.Done)
                differences = Differences(trained, tokenizer, heldOut, context);
            context.Metric("heldout/accuracy", kept, Share(differences));
            measurements.AddRange(RewardModelReport.Measure(differences, [.. heldOut.Select(pair => pair.Row)], [.. train.Select(pair => pair.Row)],
                spec.Seed, context.Stop));
        }
        trained.Save(context.ArtefactFolder);
        return steps.Write(nameof(TrainRewardModel), kept, new ExampleCounts(train.Count, heldOut.Count, filtered, truncated), started.Elapsed, measurements);
    }

    internal sealed record EncodedPair(PreferencePair Row, EncodedText Chosen, EncodedText Rejected);

    internal static int LengthOf(EncodedPair pair) => Math.Max(pair.Chosen.Ids.Length, pair.Rejected.Ids.Length);

    internal static List<EncodedPair> Encode(DialogueEncoder encoder, IReadOnlyList<PreferencePair> rows) =>
        [.. rows.Select(row => encoder.Pair(row) is { } pair ? new EncodedPair(row, pair.Chosen, pair.Rejected) : null).OfType<EncodedPair>()];

    /// <summary>Rewards of both sides of some pairs in one forward pass, [B] each, and the real tokens read.</summary>
    internal static (Tensor Chosen, Tensor Rejected, int Tokens) Rewards(IRewardModel model, int padId, IReadOnlyList<EncodedPair> pairs)
    {
        using var batch = PaddedBatch.Of([.. pairs.Select(pair => pair.Chosen), .. pairs.Select(pair => pair.Rejected)], padId, model.Device);
        var rewards = model.Rewards(batch.Ids, batch.LastPositions);
        return (rewards.narrow(0, 0, pairs.Count), rewards.narrow(0, pairs.Count, pairs.Count), batch.Tokens);
    }

    /// <summary>Share of pairs whose chosen answer scores higher; equal scores count half.</summary>
    private static double Share(IReadOnlyList<double> differences) =>
        differences.Sum(difference => difference > 0 ? 1 : difference == 0 ? 0.5 : 0) / differences.Count;

    /// <summary>Chosen minus rejected reward of each held-out pair.</summary>
    private static double[] Differences(TrainedReward trained, ITokenizer tokenizer, IReadOnlyList<EncodedPair> pairs, RecipeContext context)
    {
        trained.Module.eval();
        var differences = Margins(trained.Model, tokenizer, pairs, context);
        trained.Module.train();
        return differences;
    }

    /// <summary>Chosen minus rejected reward of each pair, by a model as it is.</summary>
    internal static double[] Margins(IRewardModel model, ITokenizer tokenizer, IReadOnlyList<EncodedPair> pairs, RecipeContext context)
    {
        using var noGrad = no_grad();
        var margins = new double[pairs.Count];
        foreach (var batch in BatchOrder.ByLength([.. pairs.Select(LengthOf)], 64))
        {
            context.ThrowIfStopped();
            using var scope = NewDisposeScope();
            var (chosen, rejected, _) = Rewards(model, tokenizer.PadId, [.. batch.Select(i => pairs[i])]);
            var values = chosen.sub(rejected).ToFloats();
            for (var row = 0; row < batch.Length; row++)
                margins[batch[row]] = values[row];
        }
        return margins;
    }
}
