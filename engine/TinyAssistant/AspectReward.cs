using Portal.Data.JobSpecs;
using Portal.Engine.Datasets;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Statistics;
using Portal.Engine.Studies;
using Portal.Engine.Tokenizers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Portal.Engine.TinyAssistant;

/// <summary>
/// A multi-aspect reward model, the readable alternative to sparse features: one head for each thing the graders know, taught by the graders' readings, and one
/// weight an aspect, taught by the votes.
/// </summary>
/// <remarks>
/// As ArmoRM without its gate: regression on aspects first, then Bradley-Terry on the frozen predictions. The graders' readings are readable features, not the
/// sealed truth; a crowd has no such graders, so this is a control that is told more than the others.
/// </remarks>
internal sealed class AspectReward : nn.Module, IRewardModel
{
    private readonly LlamaBackbone backbone;
    private readonly Parameter heads;
    private readonly double[] weights;

    private AspectReward(LlamaBackbone backbone, int aspects)
        : base("aspect reward")
    {
        this.backbone = backbone;
        heads = new Parameter(zeros(aspects, backbone.Config.HiddenSize));
        weights = new double[aspects];
        register_module("model", backbone);
        register_parameter("aspects", heads);
    }

    public Device Device => heads.device;

    public int ContextLength => backbone.Config.ContextLength;

    /// <inheritdoc/>
    public Tensor Rewards(Tensor ids, Tensor lastPositions)
    {
        using var scope = NewDisposeScope();
        return scope.MoveToOuter(Aspects(ids, lastPositions).mv(tensor(weights.Select(weight => (float)weight).ToArray(), device: Device)));
    }

    /// <summary>Trains both stages on the responses of some votes.</summary>
    public static AspectReward Train(StudyWorld world, IReadOnlyList<PreferencePair> votes, Llama model, ITokenizer tokenizer, TrainRewardModel preset, StudyRun run)
    {
        var encoder = new DialogueEncoder(tokenizer, Math.Min(preset.LengthMax, model.Config.ContextLength), Overlong.TruncateLeft);
        var texts = votes.SelectMany(pair => new[] { (pair.PromptKey, Text: pair.Chosen), (pair.PromptKey, Text: pair.Rejected) }).Distinct().ToList();
        var encoded = texts.Select(text => encoder.Answer(MakeDemo.TurnsOf(world.Prompts[text.PromptKey].Turns), text.Text)!).ToList(); // cut, never filtered
        var readings = Standardised([.. texts.Select(text => Grader.Read(world.Prompts[text.PromptKey].Turns, text.Text).ToVector())]);
        var reward = new AspectReward(LlamaWeights.Truncated(model.Backbone, model.Config.LayerCount), readings[0].Length);
        var lengths = encoded.Select(text => text.Ids.Length).ToList();
        using var steps = new TrainingSteps(run.Training($"aspects-{preset.Seed}", preset.Seed), preset, preset.Optimization, reward, reward.backbone.parameters(), [reward.heads], lengths,
            Checkpoint.Fingerprint([preset.ToJson(), .. texts.Select(text => text.Text)]));
        foreach (var (step, batches) in steps.Rest())
        {
            var (loss, tokens) = (0.0, 0L);
            foreach (var batch in batches)
            {
                using var scope = NewDisposeScope();
                using var padded = PaddedBatch.Of([.. batch.Select(i => encoded[i])], tokenizer.PadId, reward.Device);
                var wanted = tensor(batch.SelectMany(i => readings[i]).ToArray(), [batch.Length, readings[0].Length], device: reward.Device);
                loss += steps.Accumulate(reward.Aspects(padded.Ids, padded.LastPositions).sub(wanted).square().mean(), 1.0 / batches.Count, step) / batches.Count;
                tokens += padded.Tokens;
            }
            if (!steps.Finish(step, loss, tokens, evaluate: null))
                break;
        }
        reward.FitWeights(votes, texts, encoded, tokenizer, run.Stop);
        return reward;
    }

    /// <summary>Predicted readings, standardised. [B, aspects].</summary>
    private Tensor Aspects(Tensor ids, Tensor lastPositions)
    {
        using var scope = NewDisposeScope();
        return scope.MoveToOuter(nn.functional.linear(LlamaReward.AtLast(backbone.Hidden(ids), lastPositions), heads));
    }

    private void FitWeights(IReadOnlyList<PreferencePair> votes, IReadOnlyList<(string PromptKey, string Text)> texts, IReadOnlyList<EncodedText> encoded, ITokenizer tokenizer, CancellationToken stop)
    {
        using var noGrad = no_grad();
        eval();
        var aspects = new Dictionary<(string, string), double[]>();
        foreach (var batch in BatchOrder.ByLength([.. encoded.Select(text => text.Ids.Length)], 64))
        {
            stop.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            using var padded = PaddedBatch.Of([.. batch.Select(i => encoded[i])], tokenizer.PadId, Device);
            var values = Aspects(padded.Ids, padded.LastPositions).ToFloats();
            for (var row = 0; row < batch.Length; row++)
                aspects[texts[batch[row]]] = [.. values.Skip(row * weights.Length).Take(weights.Length).Select(value => (double)value)];
        }
        int[] all = [.. Enumerable.Range(0, weights.Length)];
        var fitted = LogisticRegression.Fit([.. votes.Select(pair => new SparseVector(all, [.. aspects[(pair.PromptKey, pair.Chosen)].Zip(aspects[(pair.PromptKey, pair.Rejected)], (one, other) => one - other)]))],
            [.. votes.Select(_ => true)], weights.Length, l2: 1e-3, intercept: false, stop);
        fitted.Weights.CopyTo(weights, 0);
    }

    /// <summary>Each reading less its mean, over its deviation; one that never varies is 0.</summary>
    private static List<float[]> Standardised(IReadOnlyList<double[]> readings)
    {
        var count = readings[0].Length;
        var means = Enumerable.Range(0, count).Select(i => readings.Average(reading => reading[i])).ToArray();
        var deviations = Enumerable.Range(0, count).Select(i => Math.Sqrt(readings.Average(reading => Math.Pow(reading[i] - means[i], 2)))).ToArray();
        return [.. readings.Select(reading => Enumerable.Range(0, count).Select(i => deviations[i] > 0 ? (float)((reading[i] - means[i]) / deviations[i]) : 0f).ToArray())];
    }
}
