using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Models;
using Portal.Engine.Sae;
using Portal.Engine.Tokenizers;
using static TorchSharp.torch;

namespace Portal.Engine.Recipes;

/// <summary>
/// Trains a sparse autoencoder on a model's states: reads the states once into a store on disk, trains on them, and says how much of them the codes keep, beside
/// what principal components and an untrained encoder keep.
/// </summary>
/// <remarks>
/// Stage 1 of SARM (specs/sarm.md §1.3), in context: Adam, learning rate 5e-4 with a warm-up over 5 % of the steps and a decay over the last 20 %, decoder rows at
/// norm 1 every ten steps. Ours: ends of responses among the vectors (<see cref="TrainSae.EndShare"/>), centres from the data's mean, an auxiliary loss
/// for dead latents; each can be switched off, which gives the authors' recipe.
/// </remarks>
public static class TrainSaeRecipe
{
    /// <summary>File beside the weights: how often each latent fired.</summary>
    public const string UseFile = "use.json";

    /// <summary>Vectors that the first centres are the mean of, at most.</summary>
    private const int CentreRows = 65_536;

    /// <summary>The firing of latents over all vectors of the store.</summary>
    /// <param name="Vectors">Vectors in all; <paramref name="VectorsAtEnd"/> at ends of responses.</param>
    public sealed record Use(int Vectors, int VectorsAtEnd, IReadOnlyList<int> Firing, IReadOnlyList<int> FiringAtEnd);

    /// <param name="model">The decoder whose states are read; not changed.</param>
    /// <param name="rows">Responses split by prompt.</param>
    /// <param name="cache">Where stores of states are kept from one training to the next.</param>
    /// <param name="into">The whole model, where what splicing does to it is wanted.</param>
    /// <returns>What was measured; the SAE, tokenizer-independent, and its report are in the context's artefact folder.</returns>
    /// <exception cref="CannotTrain">The shape cannot be, no text can be read, or the loss diverged.</exception>
    public static (TopKSae Sae, TrainingReport Report) Run(TrainSae spec, LlamaBackbone model, ITokenizer tokenizer, TrainingSplit<ResponseText> rows, string cache, RecipeContext context,
        SplicedModel? into = null)
    {
        var started = Stopwatch.StartNew();
        var config = Shape(spec, model, tokenizer);
        var encoder = new DialogueEncoder(tokenizer, Math.Min(spec.LengthMax, model.Config.ContextLength), Overlong.TruncateLeft);
        var texts = rows.Train.Concat(rows.HeldOut).Select(row => encoder.Answer(row.Prompt, row.Response)!).ToList(); // cut, never filtered
        if (rows.Train.Count == 0)
            throw new CannotTrain("There is no response to read states of.");
        var dataset = Checkpoint.Fingerprint(texts.Select(text => string.Join(' ', text.Ids)));
        var key = new ActivationKey(config.ModelHash!, config.TokenizerHash!, dataset, config.Layer); // set by Shape
        using var store = ActivationStore.Open(cache, key, model, tokenizer, texts, (done, all) => context.Report(done, all, "reading states"), context.Stop);
        var train = Enumerable.Range(0, store.Places.Count).Where(row => store.Places[row].Text < rows.Train.Count).ToList();
        var heldOut = Enumerable.Range(train.Count, store.Places.Count - train.Count).ToList(); // texts come in order
        var order = new SaeRows(store.Places, train, spec.EndShare, spec.BatchVectors, spec.Seed);

        var sae = TopKSae.Fresh(config, spec.Seed);
        StartCentres(sae, store, train);
        var losses = Train(spec, sae, store, order, Checkpoint.Fingerprint([spec.ToJson(), dataset, config.ModelHash!, config.TokenizerHash!]), context);

        context.Report(spec.Steps, spec.Steps, "measuring");
        var measurements = Measure(spec, sae, store, train, heldOut, into is null ? null : codes => SpliceReport.Measure(into, config.Layer, codes, tokenizer, spec.LengthMax, rows.HeldOut, spec.Seed, context.Stop), context);
        measurements.Add(new Measurement(MetricNames.TruncatedShare, "train", encoder.Truncated / (double)texts.Count, null, null, texts.Count)); // of texts, where examples are vectors
        SaeFolder.Save(sae, context.ArtefactFolder, config.ModelHash![..12]);
        var report = new TrainingReport
        {
            Recipe = nameof(TrainSae), Spec = spec.ToJson(), Fingerprint = dataset, Steps = spec.Steps, KeptStep = spec.Steps, ExamplesTrain = train.Count, ExamplesHeldOut = heldOut.Count,
            Filtered = encoder.Filtered, Truncated = encoder.Truncated, Seconds = started.Elapsed.TotalSeconds, Losses = losses, Measurements = measurements,
        };
        report.Write(context.ArtefactFolder);
        return (sae, report);
    }

    /// <summary>The learning rate of a step, 0-based, as a share of the highest.</summary>
    public static double Rate(int step, int steps)
    {
        var (warmUp, decay) = (0.05 * steps, 0.2 * steps);
        return Math.Min(1, Math.Min((step + 1) / Math.Max(warmUp, 1), (steps - step) / Math.Max(decay, 1)));
    }

    /// <summary>The half decade of a firing rate by the lower end of its log10: "-2.5"; "never" for 0.</summary>
    internal static string DensityBin(int firing, int vectors) => firing == 0 ? "never"
        : Math.Max(-5, Math.Floor(2 * Math.Log10(firing / (double)vectors)) / 2).ToString("0.#", CultureInfo.InvariantCulture);

    private static SaeConfig Shape(TrainSae spec, LlamaBackbone model, ITokenizer tokenizer)
    {
        var config = new SaeConfig
        {
            Width = model.Config.HiddenSize, Latents = model.Config.HiddenSize * spec.Expansion, K = spec.K, Layer = spec.Layer ?? (model.Config.LayerCount + 1) / 2,
            Selection = spec.Selection, UseRelu = spec.UseRelu, CentresPositions = spec.CentresPositions, ModelHash = LlamaWeights.Hash(model), TokenizerHash = TokenizerFolder.Hash(tokenizer),
        };
        if (config.Layer > model.Config.LayerCount)
            throw new CannotTrain($"layer: the model has {model.Config.LayerCount} blocks; {config.Layer} were asked for.");
        if (!(spec.EndShare is >= 0 and <= 1))
            throw new CannotTrain($"endShare is {spec.EndShare}; it must lie between 0 and 1.");
        if (spec.Steps < 1 || spec.BatchVectors < 1)
            throw new CannotTrain($"steps and batchVectors must be at least 1; they are {spec.Steps} and {spec.BatchVectors}.");
        try
        {
            config.Validate();
        }
        catch (ArgumentException e)
        {
            throw new CannotTrain(e.Message, e);
        }
        return config;
    }

    /// <summary>Centres at the mean of what they will be taken off: latents need not explain what all vectors share.</summary>
    private static void StartCentres(TopKSae sae, ActivationStore store, IReadOnlyList<int> train)
    {
        using var noGrad = no_grad();
        foreach (var kind in train.GroupBy(row => sae.Config.CentreOf(store.Places[row].Position)))
        {
            var all = kind.ToList();
            var stride = Math.Max(1, all.Count / CentreRows);
            using var scope = NewDisposeScope();
            var sum = zeros(store.Width);
            var count = 0;
            foreach (var chunk in all.Where((_, i) => i % stride == 0).Chunk(4_096))
            {
                sum.add_(SaeMetrics.Normalised(sae.Config, store, chunk).sum(0L));
                count += chunk.Length;
            }
            sae.PreBias[kind.Key].copy_(sum.div(count));
        }
    }

    private static List<double> Train(TrainSae spec, TopKSae sae, ActivationStore store, SaeRows order, string fingerprint, RecipeContext context)
    {
        using var trainer = new SaeTrainer(sae, new SaeTrainerOptions { AuxiliaryCoefficient = spec.AuxiliaryCoefficient, DeadAfterVectors = spec.DeadAfterVectors });
        var checkpoint = new Checkpoint(context.CheckpointFolder, fingerprint, sae);
        var state = checkpoint.Resume(trainer.Load) ?? new RunState(0);
        if (state.Step > 0)
            context.Log($"Resumed at step {state.Step} of {spec.Steps}.");
        List<double> losses = [.. state.Losses];
        var (vectors, positions) = (new float[spec.BatchVectors * store.Width], new SaePosition[spec.BatchVectors]);
        var watch = Stopwatch.StartNew();
        for (var step = state.Step; step < spec.Steps; step++)
        {
            context.ThrowIfStopped();
            var rows = order.Of(step);
            for (var i = 0; i < rows.Count; i++)
            {
                ZScore.Apply(sae.Config, store[rows[i]], vectors.AsSpan(i * store.Width, store.Width));
                positions[i] = store.Places[rows[i]].Position;
            }
            var seen = trainer.Step(vectors, positions, spec.LearningRate * Rate(step, spec.Steps));
            losses.Add(seen.Nmse);
            var done = step + 1;
            context.Metric("loss", done, seen.Nmse);
            context.Metric("auxiliary_loss", done, seen.AuxiliaryLoss);
            context.Metric("active", done, seen.Active);
            context.Metric("dead_share", done, trainer.Dead / (double)sae.Config.Latents);
            context.Metric("grad_norm", done, seen.GradientNorm);
            context.Metric("vectors_per_second", done, (done - state.Step) * (double)spec.BatchVectors / watch.Elapsed.TotalSeconds);
            context.Report(done, spec.Steps, "training");
            if (spec.CheckpointEverySteps > 0 && done % spec.CheckpointEverySteps == 0 && done < spec.Steps)
                checkpoint.Save(trainer.Save, new RunState(done) { Losses = losses });
        }
        trainer.Finish();
        return losses;
    }

    private static List<Measurement> Measure(TrainSae spec, TopKSae sae, ActivationStore store, List<int> train, List<int> heldOut,
        Func<IReadOnlyList<(string Prefix, Replacement Replace)>, IReadOnlyList<Measurement>>? splice, RecipeContext context)
    {
        var measured = heldOut.Count > 0 ? heldOut : train;
        var part = heldOut.Count > 0 ? MetricNames.HeldOut : "train";
        var use = SaeMetrics.Measure(sae, store, measured, context.Stop);
        var everywhere = SaeMetrics.Measure(sae, store, [.. train, .. heldOut], context.Stop);
        var rows = new List<Measurement>();
        Add("", use.All);
        Add("/response-end", use.End);
        Add("/sentence-end", use.Sentence);
        rows.Add(new Measurement(MetricNames.SaeDeadShare, "all", everywhere.DeadShare, null, null, everywhere.All.Count));
        if (everywhere.End is { } end)
            rows.Add(new Measurement(MetricNames.SaeDeadShare, "all/response-end", everywhere.DeadShareAtEnd, null, null, end.Count));
        using var components = LinearCode.Fit(sae.Config, store, train, context.Stop);
        rows.Add(new Measurement(MetricNames.PrincipalComponentsBaseline, part, components.Fvu(sae.Config, store, measured, context.Stop), null, null, measured.Count));
        using var random = SaeMetrics.RandomFrozen(sae, store, train, spec.Seed, context.Stop);
        rows.Add(new Measurement(MetricNames.RandomEncoderBaseline, part, SaeMetrics.Measure(random, store, measured, context.Stop).All.Fvu, null, null, measured.Count));
        AddDensity("all", everywhere.Firing, everywhere.All.Count);
        AddDensity("all/response-end", everywhere.FiringAtEnd, everywhere.End?.Count ?? 0);
        if (splice is not null)
        {
            context.Report(spec.Steps, spec.Steps, "splicing");
            rows.AddRange(splice(
            [
                (MetricNames.SaePrefix, sae.Reconstruct), ($"{MetricNames.PrincipalComponentsBaseline}/", components.Replacing(sae)), ($"{MetricNames.RandomEncoderBaseline}/", random.Reconstruct),
                ($"{MetricNames.AblatedBaseline}/", (hidden, _) => zeros_like(hidden)),
            ]));
        }
        ArtefactFile.Write(Path.Combine(context.ArtefactFolder, UseFile), stream => JsonSerializer.Serialize(stream,
            new Use(everywhere.All.Count, everywhere.End?.Count ?? 0, everywhere.Firing, everywhere.FiringAtEnd), JsonSerializerOptions.Web));
        return rows;

        void AddDensity(string where, IReadOnlyList<int> firing, int vectors)
        {
            foreach (var bin in firing.GroupBy(count => DensityBin(count, vectors)).OrderBy(bin => bin.Key, StringComparer.Ordinal))
                rows.Add(new Measurement(MetricNames.SaeDensity, $"{where}/{bin.Key}", bin.Count() / (double)firing.Count, null, null, vectors));
        }

        void Add(string where, SaeFit? fit)
        {
            if (fit is null)
                return;
            foreach (var (name, value) in new[] { (MetricNames.SaeFvu, fit.Fvu), (MetricNames.SaeNmse, fit.Nmse), (MetricNames.SaeActive, fit.Active), (MetricNames.SaeCosine, fit.Cosine), (MetricNames.SaeLengthRatio, fit.LengthRatio) })
                rows.Add(new Measurement(name, part + where, value, null, null, fit.Count));
        }
    }
}
