using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Losses;
using Portal.Engine.Models;
using Portal.Engine.Sae;
using Portal.Engine.Statistics;
using Portal.Engine.Tokenizers;
using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Engine.Recipes;

/// <summary>A whole model, into which the reconstructions of its SAE are spliced to see what it can still do.</summary>
/// <param name="Backbone">Its decoder, whose states are read.</param>
/// <param name="Rewards">Rewards of a batch, [B]; null for a policy.</param>
/// <param name="Policy">Null for a reward model.</param>
/// <param name="Pairs">What a reward model is asked: pairs that neither it nor the SAE was trained on.</param>
public sealed record SplicedModel(LlamaBackbone Backbone, Func<PaddedBatch, LlamaRun, Tensor>? Rewards, Llama? Policy, IReadOnlyList<PreferencePair> Pairs)
{
    /// <summary>A policy: asked for the likelihood of held-out responses.</summary>
    public static SplicedModel Of(Llama policy) => new(policy.Backbone, null, policy, []);

    /// <summary>A reward model: asked to put pairs in order.</summary>
    public static SplicedModel Of(IRewardModel reward, IReadOnlyList<PreferencePair> pairs) => reward switch
    {
        LlamaReward linear => new(linear.Backbone, (batch, run) => linear.Rewards(batch.Ids, batch.LastPositions, run), null, pairs),
        SarmReward sparse => new(sparse.Backbone, (batch, run) => sparse.Rewards(batch.Ids, batch.LastPositions, run), null, pairs),
        _ => throw new ArgumentException($"a reward model of the kind {reward.GetType().Name} has no decoder to splice into"),
    };
}

/// <summary>
/// What a model can still do when its states go through the bottleneck of a code: a reward model's order of pairs and its rewards, a policy's
/// likelihood; beside what is left with as many principal components, an encoder that was never trained, and nothing.
/// </summary>
/// <remarks>
/// An SAE may reconstruct nearly all of the variance and lose what the model reads, or the other way round: FVU does not say. "Response end" replaces the one
/// state from which a reward is read (a policy's counterpart are the positions the SAE was trained at), "every token" all of them.
/// </remarks>
internal static class SpliceReport
{
    /// <summary>Pairs, and texts, that are read at most; drawn at random where there are more.</summary>
    private const int PairsMax = 1_000, TextsMax = 500;

    private const int TextsAtOnce = 64;
    private const int CorrelationResamples = 500;

    /// <summary>Parts of the measurements.</summary>
    public const string AtEnd = $"{MetricNames.HeldOut}/response-end", AtOwn = $"{MetricNames.HeldOut}/own-positions", AtEvery = $"{MetricNames.HeldOut}/every-token";

    /// <param name="codes">What takes the place of the states, by the prefix of its metrics.</param>
    /// <param name="heldOut">Responses that the SAE was not trained on; a policy's are measured on them.</param>
    public static IReadOnlyList<Measurement> Measure(SplicedModel model, int layer, IReadOnlyList<(string Prefix, Replacement Replace)> codes, ITokenizer tokenizer, int lengthMax,
        IReadOnlyList<ResponseText> heldOut, long seed, CancellationToken stop)
    {
        using var noGrad = no_grad();
        var random = new SeededRandom((ulong)seed).Split("splice");
        var length = Math.Min(lengthMax, model.Backbone.Config.ContextLength);
        return model.Policy is { } policy ? OfPolicy(policy, layer, codes, tokenizer, length, Drawn(heldOut, TextsMax, random), random, stop)
            : model.Rewards is { } rewards ? OfReward(model, rewards, layer, codes, tokenizer, length, Drawn(model.Pairs, PairsMax, random), random, stop)
            : [];
    }

    private static List<Measurement> OfReward(SplicedModel model, Func<PaddedBatch, LlamaRun, Tensor> rewards, int layer, IReadOnlyList<(string Prefix, Replacement Replace)> codes, ITokenizer tokenizer, int lengthMax,
        IReadOnlyList<PreferencePair> drawn, SeededRandom random, CancellationToken stop)
    {
        var pairs = TrainRewardModelRecipe.Encode(new DialogueEncoder(tokenizer, lengthMax, Overlong.Filter), drawn);
        if (pairs.Count == 0)
            return [];
        List<EncodedText> texts = [.. pairs.Select(pair => pair.Chosen), .. pairs.Select(pair => pair.Rejected)];
        List<string> prompts = [.. pairs.Concat(pairs).Select(pair => pair.Row.PromptKey)];
        var clean = Read(_ => new LlamaRun());
        var accuracy = Accuracy(clean);
        var rows = new List<Measurement> { Measurement.OfPrompts(MetricNames.PairwiseAccuracy, MetricNames.HeldOut, accuracy.ByPrompt, accuracy.Prompts) };
        foreach (var (part, places) in new (string, Func<EncodedText, IReadOnlyList<(int, SaePosition)>>)[] { (AtEnd, Splice.End), (AtEvery, Splice.EveryToken) })
        {
            foreach (var (prefix, replace) in codes)
            {
                var spliced = Read(batch => Splice.Run(layer, replace, batch, places));
                var left = Accuracy(spliced);
                rows.Add(Measurement.OfPrompts(prefix + MetricNames.SplicedAccuracy, part, left.ByPrompt, left.Prompts));
                rows.Add(Measurement.OfPrompts(MetricNames.ChangePrefix + prefix + MetricNames.SplicedAccuracy, part, PairwiseAccuracy.Difference(left, accuracy, random), left.Prompts));
                if (Correlated(clean, spliced, prompts, random) is { } correlation)
                    rows.Add(Measurement.OfPrompts(prefix + MetricNames.SplicedCorrelation, part, correlation, left.Prompts));
            }
        }
        return rows;

        double[] Read(Func<IReadOnlyList<EncodedText>, LlamaRun> run) => Each(texts, tokenizer, model.Backbone, (batch, some) => rewards(batch, run(some)).ToFloats(), stop);

        PairwiseAccuracyResult Accuracy(double[] values) =>
            PairwiseAccuracy.Compute(pairs.Select((pair, i) => new ScoredPair(pair.Row.PromptKey, values[i] - values[pairs.Count + i])), random)!; // there are pairs, and none is a tie
    }

    private static List<Measurement> OfPolicy(Llama policy, int layer, IReadOnlyList<(string Prefix, Replacement Replace)> codes, ITokenizer tokenizer, int lengthMax, IReadOnlyList<ResponseText> drawn,
        SeededRandom random, CancellationToken stop)
    {
        var encoder = new DialogueEncoder(tokenizer, lengthMax, Overlong.Filter);
        var rows = drawn.Select(row => (row.PromptKey, Text: encoder.Answer(row.Prompt, row.Response))).Where(row => row.Text is not null).Select(row => (row.PromptKey, Text: row.Text!)).ToList(); // filtered
        if (rows.Count == 0)
            return [];
        List<EncodedText> texts = [.. rows.Select(row => row.Text)];
        List<string> prompts = [.. rows.Select(row => row.PromptKey)];
        var count = prompts.Distinct(StringComparer.Ordinal).Count();
        var clean = Read(_ => new LlamaRun());
        var measured = new List<Measurement> { Measurement.OfPrompts(MetricNames.Loss, MetricNames.HeldOut, Bootstrap.Mean(clean, prompts, random), count) };
        foreach (var (part, places) in new (string, Func<EncodedText, IReadOnlyList<(int, SaePosition)>>)[] { (AtOwn, text => SaePositions.Of(text, tokenizer)), (AtEvery, Splice.EveryToken) })
        {
            foreach (var (prefix, replace) in codes)
            {
                var spliced = Read(batch => Splice.Run(layer, replace, batch, places));
                measured.Add(Measurement.OfPrompts(prefix + MetricNames.SplicedLoss, part, Bootstrap.Mean(spliced, prompts, random), count));
                measured.Add(Measurement.OfPrompts(MetricNames.ChangePrefix + prefix + MetricNames.SplicedLoss, part, Bootstrap.PairedDifference(spliced, clean, prompts, random), count));
            }
        }
        return measured;

        double[] Read(Func<IReadOnlyList<EncodedText>, LlamaRun> run) => Each(texts, tokenizer, policy.Backbone, (batch, some) =>
        {
            var pick = CompletionTokens.Of(batch.Ids, batch.Mask);
            var logProbs = SequenceLogProb.OfTokens(policy.Logits(pick.Pick(policy.Hidden(batch.Ids, run(some)))), pick.Targets);
            return pick.SumByRow(logProbs).neg().div(pick.CountByRow()).ToFloats();
        }, stop);
    }

    /// <summary>One number of each text, in their order.</summary>
    private static double[] Each(IReadOnlyList<EncodedText> texts, ITokenizer tokenizer, LlamaBackbone model, Func<PaddedBatch, IReadOnlyList<EncodedText>, float[]> read, CancellationToken stop)
    {
        var values = new double[texts.Count];
        foreach (var batch in BatchOrder.ByLength([.. texts.Select(text => text.Ids.Length)], TextsAtOnce))
        {
            stop.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            List<EncodedText> some = [.. batch.Select(i => texts[i])];
            using var padded = PaddedBatch.Of(some, tokenizer.PadId, model.EmbeddingWeight.device);
            foreach (var (value, i) in read(padded, some).Zip(batch))
                values[i] = value;
        }
        return values;
    }

    /// <summary>Pearson's correlation with a percentile interval over whole prompts; null where one side does not vary.</summary>
    private static ConfidenceInterval? Correlated(double[] clean, double[] spliced, List<string> prompts, SeededRandom random)
    {
        if (Correlation.Pearson(clean, spliced) is not { } estimate)
            return null;
        var groups = Enumerable.Range(0, prompts.Count).GroupBy(i => prompts[i]).Select(group => group.ToArray()).ToArray();
        var draws = random.Split("correlation");
        var seen = new List<double>();
        for (var resample = 0; resample < CorrelationResamples; resample++)
        {
            var drawn = Enumerable.Range(0, groups.Length).SelectMany(_ => groups[draws.NextInt(groups.Length)]).ToArray();
            if (Correlation.Pearson([.. drawn.Select(i => clean[i])], [.. drawn.Select(i => spliced[i])]) is { } value)
                seen.Add(value);
        }
        seen.Sort();
        return seen.Count == 0 ? null : new ConfidenceInterval(estimate, Bootstrap.Quantile(seen, 0.025), Bootstrap.Quantile(seen, 0.975), 0.95, groups.Length);
    }

    private static IReadOnlyList<T> Drawn<T>(IReadOnlyList<T> all, int most, SeededRandom random)
    {
        if (all.Count <= most)
            return all;
        var order = Enumerable.Range(0, all.Count).ToArray();
        random.Split("drawn").Shuffle(order);
        return [.. order.Take(most).Order().Select(i => all[i])];
    }
}
