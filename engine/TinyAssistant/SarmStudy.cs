using System.CommandLine;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Engine.CommandLine;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Sae;
using Portal.Engine.Statistics;
using Portal.Engine.Studies;
using Portal.Engine.Tokenizers;
using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Engine.TinyAssistant;

/// <summary>How much of the study is run; the shipped evidence uses the defaults, the test a miniature.</summary>
public sealed record SarmSizes
{
    public EvidenceSizes Evidence { get; init; } = new();

    /// <summary>Votes that every model learns from.</summary>
    public int Votes { get; init; } = 3_000;

    /// <summary>Test pairs that the truth tells apart, at most so many.</summary>
    public int TestPairs { get; init; } = 4_000;

    /// <summary>Steps of each SAE.</summary>
    public int SaeSteps { get; init; } = 2_000;
}

/// <summary>
/// Does a reward model that reads sparse features keep what a conventional one knows? SARM's order (an SAE of the base, then the reward model through it) and ours (the
/// reward model first, then an SAE of it), with every control that could explain a result away, on the same votes and the same test pairs.
/// </summary>
/// <remarks>
/// Targets (issue 4, Must show 2): mode 1 at least 5 points above mode 0 and within 6 of a linear head of equal depth; SAE after the reward model within 2 points of
/// the full model. The linear head reads the same normalised state through no SAE: it says what sparsity costs. The random encoder was never
/// trained: what it reaches, an SAE's training did not bring.
/// </remarks>
public sealed class SarmStudy(string baseFolder, TrainRewardModel preset, SarmSizes sizes, StudyRun run)
{
    /// <summary>Blocks below the SAE of SARM's order: half of them, the paper's rule.</summary>
    private const int HalfDepth = 2;

    private static readonly SarmSizes miniature = new()
    {
        Evidence = EvidenceSizes.Miniature,
        Votes = 128, TestPairs = 160, SaeSteps = 80,
    };

    /// <summary>The study as a command; its miniature (<c>--quick</c>) is what <c>./test</c> runs, with one seed.</summary>
    public static Study Study { get; } = new("sarm", "Reward models on sparse features beside their controls.", (run, seed) => Of(run).Run(seed), StudySizes.Option);

    private static SarmStudy Of(StudyRun run)
    {
        return new SarmStudy(Path.Combine(run.Assets, "base"), DemoTraining.Preset<TrainRewardModel>(DemoTraining.RewardPreset, "reward"), StudySizes.Of(run, miniature), run);
    }

    /// <summary>Runs one seed.</summary>
    public IReadOnlyList<StudyRow> Run(long seed)
    {
        var rows = new List<StudyRow>();
        var random = new SeededRandom((ulong)seed).Split("sarm");
        var (model, tokenizer) = ModelFolder.LanguageModel(baseFolder);
        var world = StudyWorld.Sampled(run, baseFolder, model, tokenizer, sizes.Evidence, seed);
        var pairs = world.TestPairs(sizes.TestPairs, random.Split("test pairs"));
        var training = world.Preferences(world.Set.JudgeByCrowd(sizes.Votes));
        var texts = world.Texts();
        var measured = new Dictionary<string, PairwiseAccuracyResult>(StringComparer.Ordinal);

        using var full = LlamaReward.From(model);
        TrainRewardModelRecipe.Run(preset with { Seed = seed }, full, tokenizer, new TrainingSplit<PreferencePair>(training, []), run.Training($"full-{seed}", seed));
        Add("full depth, linear head", full);

        var (sae, saeReport) = TrainSaeRecipe.Run(SaeSpec(seed) with { Layer = HalfDepth }, model.Backbone, tokenizer, texts, Cache, run.Training($"sae-{seed}", seed));
        using var unchanged = sae; // models take copies and dispose of them
        Report("SAE of the base", saeReport);
        Sarm("mode-0", "mode 0: head on the base's features", Copy(sae), model.Backbone, SarmMode.Head);
        Sarm("mode-1", "mode 1: body and head through the base's features", Copy(sae), model.Backbone, SarmMode.Body);
        Sarm("random", "control: mode 1, random frozen TopK encoder", RandomEncoder(sae, seed), model.Backbone, SarmMode.Body);
        Sarm("linear", "control: mode 1 without an SAE (linear head, equal depth)", Identity(sae.Config), model.Backbone, SarmMode.Body);

        var (after, afterReport) = TrainSaeRecipe.Run(SaeSpec(seed) with { Layer = model.Config.LayerCount, Expansion = 4, CentresPositions = true }, full.Backbone, tokenizer, texts, Cache, run.Training($"sae-after-{seed}", seed));
        Report("SAE after the reward model", afterReport);
        Sarm("after", "SAE after the reward model, head on its features", after, full.Backbone, SarmMode.Head);

        using (var aspects = AspectReward.Train(world, training, model, tokenizer, preset with { Seed = seed }, run))
            Add("multi-aspect (graders' readings), full depth", aspects);
        var baselines = world.Baselines(training, pairs, random, run.Stop);
        Row("bag of words", baselines.BagOfWords);
        Row("length only", baselines.Length);

        Difference("mode 1 minus mode 0", "mode 1: body and head through the base's features", "mode 0: head on the base's features", 0.05);
        Difference("mode 1 minus linear head of equal depth", "mode 1: body and head through the base's features", "control: mode 1 without an SAE (linear head, equal depth)", -0.06);
        Difference("mode 1 minus random frozen encoder", "mode 1: body and head through the base's features", "control: mode 1, random frozen TopK encoder", null);
        Difference("SAE after the reward model minus full depth", "SAE after the reward model, head on its features", "full depth, linear head", -0.02);
        Difference("SAE after the reward model minus mode 1", "SAE after the reward model, head on its features", "mode 1: body and head through the base's features", null);
        Difference("SAE after the reward model minus bag of words", "SAE after the reward model, head on its features", "bag of words", null);
        model.Dispose();
        return rows;

        void Sarm(string folder, string name, TopKSae encoder, LlamaBackbone body, SarmMode mode)
        {
            var spec = new TrainSarm { Seed = seed, Mode = mode, LengthMax = preset.LengthMax, Optimization = preset.Optimization with { LearningRate = 3e-4, HeadLearningRate = 1e-2 } };
            var (sarm, report) = TrainSarmRecipe.Run(spec, body, encoder, tokenizer, new TrainingSplit<PreferencePair>(training, []), run.Training($"{folder}-{seed}", seed));
            using (sarm)
            {
                Add(name, sarm);
                foreach (var (label, metric) in new[] { ("FVU at the ends, before", MetricNames.BeforePrefix + MetricNames.SaeFvu), ("FVU at the ends, after", MetricNames.SaeFvu), ("live latents at the ends", MetricNames.SarmLiveLatents), ("top contexts kept", MetricNames.SarmContextOverlap) })
                    if (report.Measurements.FirstOrDefault(one => one.Name == metric && one.Part == "ends") is { } one)
                        rows.Add(new StudyRow($"{name}: {label}", seed, one.Value, null, null, null));
            }
        }

        void Add(string name, IRewardModel reward) => Row(name, StudyWorld.Accuracy(pairs, world.Differences(reward, tokenizer, pairs, run.Stop), random));

        void Row(string name, PairwiseAccuracyResult? accuracy)
        {
            if (accuracy is null)
                return;
            measured[name] = accuracy;
            rows.Add(StudyRow.Of(name, seed, accuracy.ByPrompt));
        }

        void Difference(string name, string first, string second, double? target)
        {
            if (!measured.TryGetValue(first, out var one) || !measured.TryGetValue(second, out var other))
                return;
            var difference = PairwiseAccuracy.Difference(one, other, random);
            rows.Add(StudyRow.Of(name, seed, difference, target is { } least ? FormattableString.Invariant($">= {least:F3}") : null, target is null ? null : difference.Estimate >= target));
        }

        void Report(string name, TrainingReport report)
        {
            rows.Add(new StudyRow($"{name}: FVU, held-out", seed, report.Find(MetricNames.SaeFvu).Value, null, null, null));
            rows.Add(new StudyRow($"{name}: FVU of as many principal components", seed, report.Find(MetricNames.PrincipalComponentsBaseline).Value, null, null, null));
            rows.Add(new StudyRow($"{name}: FVU of a random encoder", seed, report.Find(MetricNames.RandomEncoderBaseline).Value, null, null, null));
            rows.Add(new StudyRow($"{name}: dead share", seed, report.Find(MetricNames.SaeDeadShare, "all").Value, null, null, null));
            rows.Add(new StudyRow($"{name}: dead share at the ends", seed, report.Find(MetricNames.SaeDeadShare, "all/response-end").Value, null, null, null));
        }
    }

    private string Cache => Path.Combine(run.Work, "states");

    private TrainSae SaeSpec(long seed) => new() { Seed = seed, Steps = sizes.SaeSteps };

    private static TopKSae Copy(TopKSae sae) => TopKSae.Of(sae.Config, sae.EncoderWeight, sae.LatentBias, sae.DecoderWeight, sae.PreBias);

    /// <summary>The same shape, normaliser and centre; an encoder that was never trained.</summary>
    private static TopKSae RandomEncoder(TopKSae sae, long seed)
    {
        using var fresh = TopKSae.Fresh(sae.Config, seed + 1_000);
        return TopKSae.Of(sae.Config, fresh.EncoderWeight, fresh.LatentBias, fresh.DecoderWeight, sae.PreBias);
    }

    /// <summary>A "code" that is the normalised state itself: the head on it is linear.</summary>
    private static TopKSae Identity(SaeConfig config)
    {
        using var scope = NewDisposeScope();
        var whole = config with { Latents = config.Width, K = config.Width, UseRelu = false };
        return TopKSae.Of(whole, eye(config.Width), zeros(config.Width), eye(config.Width), zeros(1, config.Width));
    }
}
