using System.Diagnostics;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Models;
using Portal.Engine.Sae;
using Portal.Engine.Statistics;
using Portal.Engine.Tokenizers;
using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Engine.Recipes;

/// <summary>
/// Trains a reward model on sparse features: the head alone on codes that do not move, or blocks and head with the reward model's own recipe. The SAE is
/// frozen in both, and what the training does to its meanings is measured before and after.
/// </summary>
/// <remarks>Stage 2 of SARM (specs/sarm.md §1.4, §1.5 modes 0 and 1); Bradley-Terry, no margin, no centring; the head has no bias and starts at zero.</remarks>
public static class TrainSarmRecipe
{
    /// <summary>Contexts that activate a latent most: how many are compared before and after.</summary>
    private const int TopContexts = 16;

    /// <summary>A latent takes part in that comparison when it fires in at least so many ends, before and after.</summary>
    private const int SupportMin = 10;

    /// <param name="model">The decoder the SAE was trained on; not changed, its first blocks are copied.</param>
    /// <param name="sae">Frozen; belongs to the result.</param>
    /// <param name="rows">Pairs split by prompt.</param>
    /// <returns>The model, and what was measured; both are in the context's artefact folder.</returns>
    /// <exception cref="CannotTrain">The SAE is of another model, no pair can be used, or the loss diverged.</exception>
    public static (SarmReward Model, TrainingReport Report) Run(TrainSarm spec, LlamaBackbone model, TopKSae sae, ITokenizer tokenizer, TrainingSplit<PreferencePair> rows, RecipeContext context)
    {
        if (sae.Config.ProblemWith(model.Config.HiddenSize, model.Config.LayerCount, LlamaWeights.Hash(model), TokenizerFolder.Hash(tokenizer)) is { } problem)
            throw new CannotTrain(problem);
        var sarm = new SarmReward(LlamaWeights.Truncated(model, sae.Config.Layer), sae);
        var texts = Ends(spec, sarm, tokenizer, rows);
        var before = EndUse.Of(sarm, tokenizer, texts, context.Stop);
        var report = spec.Mode is SarmMode.Head
            ? FitHead(spec, sarm, tokenizer, rows, context)
            : TrainRewardModelRecipe.Run(new TrainRewardModel { Seed = spec.Seed, Rules = spec.Rules, LengthMax = spec.LengthMax, Overlong = spec.Overlong, Optimization = spec.Optimization },
                Trained(sarm, tokenizer), tokenizer, rows, context);
        var after = spec.Mode is SarmMode.Head ? before : EndUse.Of(sarm, tokenizer, texts, context.Stop);
        report = report with { Recipe = nameof(TrainSarm), Spec = spec.ToJson(), Measurements = [.. report.Measurements, .. Drift(before, after)] };
        report.Write(context.ArtefactFolder);
        return (sarm, report);
    }

    /// <summary>What <see cref="TrainRewardModelRecipe"/> trains: embedding, blocks and head.</summary>
    internal static TrainRewardModelRecipe.TrainedReward Trained(SarmReward model, ITokenizer tokenizer)
    {
        // The final norm is not applied, so nothing pulls at it.
        var body = model.Backbone.named_parameters().Where(weight => !weight.name.StartsWith("norm.", StringComparison.Ordinal)).Select(weight => weight.parameter);
        return new(model, model, [.. body], [model.HeadWeight], folder => SarmFolder.Save(model, folder, tokenizer));
    }

    private static TrainingReport FitHead(TrainSarm spec, SarmReward sarm, ITokenizer tokenizer, TrainingSplit<PreferencePair> rows, RecipeContext context)
    {
        if (!(spec.HeadL2 > 0) || !double.IsFinite(spec.HeadL2))
            throw new CannotTrain($"headL2 is {spec.HeadL2}; it must be above 0, or pairs that can be told apart have no best head.");
        var started = Stopwatch.StartNew();
        var encoder = new DialogueEncoder(tokenizer, Math.Min(spec.LengthMax, sarm.ContextLength), spec.Overlong);
        var train = TrainRewardModelRecipe.Encode(encoder, rows.Train);
        var (filtered, truncated) = (encoder.Filtered, encoder.Truncated);
        var heldOut = TrainRewardModelRecipe.Encode(encoder, rows.HeldOut);
        if (train.Count == 0)
            throw new CannotTrain($"No pair can be trained on: {rows.Train.Count} were given, {filtered} have a side longer than {spec.LengthMax} tokens.");
        context.Report(0, 1, "reading codes");
        var chosen = Codes(sarm, tokenizer, [.. train.Select(pair => pair.Chosen)], context.Stop);
        var rejected = Codes(sarm, tokenizer, [.. train.Select(pair => pair.Rejected)], context.Stop);
        context.Report(0, 1, "training");
        var head = SarmHead.Fit(chosen, rejected, sarm.Sae.Config.Latents, spec.HeadL2, context.Stop);
        using (no_grad())
        using (NewDisposeScope())
            sarm.HeadWeight.copy_(tensor(head.Weights.Select(weight => (float)weight).ToArray()).view(1, -1));
        context.Log($"The head was fitted in {head.Iterations} steps; the largest component of the gradient left is {head.GradientNorm:E1}.");
        context.Metric("loss", 1, head.Objective);
        context.Report(1, 1, "training");
        var measurements = new List<Measurement>();
        if (heldOut.Count > 0)
        {
            var better = Codes(sarm, tokenizer, [.. heldOut.Select(pair => pair.Chosen)], context.Stop);
            var worse = Codes(sarm, tokenizer, [.. heldOut.Select(pair => pair.Rejected)], context.Stop);
            double[] differences = [.. better.Zip(worse, (one, other) => head.Score(one) - head.Score(other))];
            measurements.AddRange(RewardModelReport.Measure(differences, [.. heldOut.Select(pair => pair.Row)], [.. train.Select(pair => pair.Row)], spec.Seed, context.Stop));
        }
        SarmFolder.Save(sarm, context.ArtefactFolder, tokenizer);
        return new TrainingReport
        {
            Recipe = nameof(TrainSarm), Spec = spec.ToJson(), Fingerprint = Checkpoint.Fingerprint([spec.ToJson(), .. train.Select(pair => string.Join(' ', pair.Chosen.Ids))]), Steps = head.Iterations, KeptStep = head.Iterations,
            ExamplesTrain = train.Count, ExamplesHeldOut = heldOut.Count, Filtered = filtered, Truncated = truncated, Seconds = started.Elapsed.TotalSeconds, Losses = [head.Objective], Measurements = measurements,
        };
    }

    /// <summary>Codes at the ends of texts, in their order.</summary>
    internal static IReadOnlyList<SparseVector> Codes(SarmReward model, ITokenizer tokenizer, IReadOnlyList<EncodedText> texts, CancellationToken stop)
    {
        using var noGrad = no_grad();
        var codes = new SparseVector[texts.Count];
        foreach (var batch in BatchOrder.ByLength([.. texts.Select(text => text.Ids.Length)], 64))
        {
            stop.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            using var padded = PaddedBatch.Of([.. batch.Select(i => texts[i])], tokenizer.PadId, model.Device);
            foreach (var (row, i) in SarmHead.Rows(model.Codes(padded.Ids, padded.LastPositions)).Zip(batch))
                codes[i] = row;
        }
        return codes;
    }

    /// <summary>The texts that drift is measured on: both sides of the held-out pairs, of the training ones where there are none.</summary>
    private static List<EncodedText> Ends(TrainSarm spec, SarmReward sarm, ITokenizer tokenizer, TrainingSplit<PreferencePair> rows)
    {
        var encoder = new DialogueEncoder(tokenizer, Math.Min(spec.LengthMax, sarm.ContextLength), Overlong.TruncateLeft);
        var pairs = rows.HeldOut.Count > 0 ? rows.HeldOut : rows.Train;
        return [.. pairs.SelectMany(pair => new[] { encoder.Answer(pair.Prompt, pair.Chosen)!, encoder.Answer(pair.Prompt, pair.Rejected)! })]; // cut, never filtered
    }

    private static IEnumerable<Measurement> Drift(EndUse before, EndUse after)
    {
        var part = "ends";
        yield return new Measurement(MetricNames.SaeFvu, part, after.Fit.Fvu, null, null, after.Fit.Count);
        yield return new Measurement(MetricNames.BeforePrefix + MetricNames.SaeFvu, part, before.Fit.Fvu, null, null, before.Fit.Count);
        yield return new Measurement(MetricNames.SarmLiveLatents, part, after.Live, null, null, after.Fit.Count);
        yield return new Measurement(MetricNames.BeforePrefix + MetricNames.SarmLiveLatents, part, before.Live, null, null, before.Fit.Count);
        if (EndUse.Overlap(before, after) is ({ } overlap, var latents))
            yield return new Measurement(MetricNames.SarmContextOverlap, part, overlap, null, null, latents);
    }

    /// <summary>How an SAE stands to the states at the ends of some texts.</summary>
    /// <param name="Top">For each latent that fires in enough texts the texts that activate it most.</param>
    private sealed record EndUse(SaeFit Fit, int Live, IReadOnlyDictionary<int, IReadOnlySet<int>> Top)
    {
        public static EndUse Of(SarmReward model, ITokenizer tokenizer, IReadOnlyList<EncodedText> texts, CancellationToken stop)
        {
            using var noGrad = no_grad();
            var sums = new SaeFitSums(model.Sae.Config.Width);
            var firing = new Dictionary<int, List<(int Text, double Value)>>();
            foreach (var batch in BatchOrder.ByLength([.. texts.Select(text => text.Ids.Length)], 64))
            {
                stop.ThrowIfCancellationRequested();
                using var scope = NewDisposeScope();
                using var padded = PaddedBatch.Of([.. batch.Select(i => texts[i])], tokenizer.PadId, model.Device);
                var x = model.Sae.Normalise(model.States(padded.Ids, padded.LastPositions)).X;
                var centre = model.Sae.CentreOf(SaePosition.ResponseEnd);
                var codes = model.Sae.Select(model.Sae.PreActivations(x, centre));
                sums.Add(x, model.Sae.Decode(codes, centre), codes.Values);
                foreach (var (row, text) in SarmHead.Rows(codes).Zip(batch))
                {
                    for (var i = 0; i < row.Indices.Length; i++)
                        (firing.TryGetValue(row.Indices[i], out var seen) ? seen : firing[row.Indices[i]] = []).Add((text, row.Values[i]));
                }
            }
            return new EndUse(sums.Result ?? throw new CannotTrain("There is no text to measure on."), firing.Count, firing.Where(entry => entry.Value.Count >= SupportMin)
                .ToDictionary(entry => entry.Key, entry => (IReadOnlySet<int>)entry.Value.OrderByDescending(seen => seen.Value).ThenBy(seen => seen.Text).Take(TopContexts).Select(seen => seen.Text).ToHashSet()));
        }

        /// <summary>Mean share of a latent's top contexts that are still among its top contexts, and over how many latents; null where none fires often enough in both.</summary>
        public static (double? Overlap, int Latents) Overlap(EndUse before, EndUse after)
        {
            var shares = before.Top.Where(entry => after.Top.ContainsKey(entry.Key))
                .Select(entry => entry.Value.Count(after.Top[entry.Key].Contains) / (double)Math.Max(entry.Value.Count, after.Top[entry.Key].Count)).ToList();
            return (shares.Count == 0 ? null : shares.Average(), shares.Count);
        }
    }
}
