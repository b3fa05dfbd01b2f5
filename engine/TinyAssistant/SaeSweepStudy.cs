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

namespace Portal.Engine.TinyAssistant;

/// <summary>How much of the sweep is run; the shipped evidence uses the defaults, the test a miniature.</summary>
public sealed record SaeSweepSizes
{
    public EvidenceSizes Evidence { get; init; } = new();

    /// <summary>Votes that the reward model and every head learn from.</summary>
    public int Votes { get; init; } = 3_000;

    /// <summary>Test pairs that the truth tells apart, at most so many.</summary>
    public int TestPairs { get; init; } = 4_000;

    /// <summary>Steps of each SAE.</summary>
    public int SaeSteps { get; init; } = 2_000;

    /// <summary>Latents that stay for a vector.</summary>
    public IReadOnlyList<int> K { get; init; } = [8, 16, 32];

    /// <summary>Latents as a multiple of the state's width.</summary>
    public IReadOnlyList<int> Expansions { get; init; } = [4, 8, 16];

    /// <summary>Blocks before the states; half of the base's, and all.</summary>
    public IReadOnlyList<int> Layers { get; init; } = [2, 4];
}

/// <summary>
/// Which SAE of a reward model keeps what it knows: every combination of k, expansion and layer, each with a head fitted on its codes, on the same votes and test pairs.
/// </summary>
/// <remarks>
/// One reward model a seed, so that within a seed rows differ in the SAE alone; states of a layer are read once and shared. "Spliced" is the reward model itself with its end
/// state replaced by the reconstruction: where it keeps its accuracy and the head on the codes does not, the code holds it and the head cannot read it.
/// </remarks>
public sealed class SaeSweepStudy(string baseFolder, TrainRewardModel preset, SaeSweepSizes sizes, StudyRun run)
{
    private static readonly Option<int[]> K = new("--k") { Description = "Latents that stay for a vector.", AllowMultipleArgumentsPerToken = true };
    private static readonly Option<int[]> Expansions = new("--expansion") { Description = "Latents as multiples of the state's width.", AllowMultipleArgumentsPerToken = true };
    private static readonly Option<int[]> Layers = new("--layer") { Description = "Blocks before the states.", AllowMultipleArgumentsPerToken = true };

    private static readonly SaeSweepSizes miniature = new()
    {
        Evidence = EvidenceSizes.Miniature,
        Votes = 150, TestPairs = 60, SaeSteps = 10, K = [4, 16], Expansions = [4], Layers = [2, 4],
    };

    /// <summary>The study as a command; its miniature (<c>--quick</c>) is what <c>./test</c> runs, with one seed.</summary>
    public static Study Study { get; } = new("sae-sweep", "SAEs of a reward model over k, expansion and layer.", (run, seed) => Of(run).Run(seed), K, Expansions, Layers);

    private static SaeSweepStudy Of(StudyRun run)
    {
        var sizes = run.IsQuick ? miniature : new SaeSweepSizes();
        return new SaeSweepStudy(Path.Combine(run.Assets, "base"), DemoTraining.Preset<TrainRewardModel>(DemoTraining.RewardPreset, "reward"),
            sizes with { K = Given(K) ?? sizes.K, Expansions = Given(Expansions) ?? sizes.Expansions, Layers = Given(Layers) ?? sizes.Layers }, run);

        int[]? Given(Option<int[]> option) => run.Arguments.GetValue(option) is { Length: > 0 } values ? values : null;
    }

    /// <summary>What a combination is called in the table.</summary>
    public static string NameOf(int layer, int k, int expansion) => $"layer {layer}, k {k}, M {expansion}d";

    /// <summary>Runs one seed.</summary>
    public IReadOnlyList<StudyRow> Run(long seed)
    {
        var rows = new List<StudyRow>();
        var random = new SeededRandom((ulong)seed).Split("sae sweep");
        var (model, tokenizer) = ModelFolder.LanguageModel(baseFolder);
        using var ofModel = model;
        var world = StudyWorld.Sampled(run, baseFolder, model, tokenizer, sizes.Evidence, seed);
        var pairs = world.TestPairs(sizes.TestPairs, random.Split("test pairs"));
        var training = new TrainingSplit<PreferencePair>(world.Preferences(world.Set.JudgeByCrowd(sizes.Votes)), []);
        var texts = world.Texts();
        var ordered = world.Ordered(pairs);

        using var reward = LlamaReward.From(model);
        TrainRewardModelRecipe.Run(preset with { Seed = seed }, reward, tokenizer, training, run.Training($"reward-{seed}", seed));
        var whole = StudyWorld.Accuracy(pairs, world.Differences(reward, tokenizer, pairs, run.Stop), random);
        rows.Add(StudyRow.Of("reward model, full depth", seed, whole.ByPrompt));
        foreach (var layer in sizes.Layers)
            foreach (var k in sizes.K)
                foreach (var expansion in sizes.Expansions)
                    Combination(layer, k, expansion);
        return rows;

        void Combination(int layer, int k, int expansion)
        {
            var name = NameOf(layer, k, expansion);
            var folder = $"{layer}-{k}-{expansion}-{seed}";
            var spec = new TrainSae { Seed = seed, Steps = sizes.SaeSteps, Layer = layer, K = k, Expansion = expansion, CentresPositions = true };
            var (sae, report) = TrainSaeRecipe.Run(spec, reward.Backbone, tokenizer, texts, Path.Combine(run.Work, "states"), run.Training($"sae-{folder}", seed), SplicedModel.Of(reward, ordered));
            var (sarm, _) = TrainSarmRecipe.Run(new TrainSarm { Seed = seed, Mode = SarmMode.Head, LengthMax = preset.LengthMax }, reward.Backbone, sae, tokenizer, training, run.Training($"head-{folder}", seed));
            using var ofSarm = sarm; // and of its SAE
            var accuracy = StudyWorld.Accuracy(pairs, world.Differences(sarm, tokenizer, pairs, run.Stop), random);
            rows.Add(StudyRow.Of($"{name}: head on its codes", seed, accuracy.ByPrompt));
            rows.Add(StudyRow.Of($"{name}: minus the reward model", seed, PairwiseAccuracy.Difference(accuracy, whole, random)));
            Add("spliced", MetricNames.SaePrefix + MetricNames.SplicedAccuracy, SpliceReport.AtEnd);
            Add("FVU, held-out", MetricNames.SaeFvu, MetricNames.HeldOut);
            Add("FVU of as many principal components", MetricNames.PrincipalComponentsBaseline, MetricNames.HeldOut);
            Add("FVU of a random encoder", MetricNames.RandomEncoderBaseline, MetricNames.HeldOut);
            Add("dead share at the ends", MetricNames.SaeDeadShare, "all/response-end");

            void Add(string label, string metric, string part)
            {
                var one = report.Find(metric, part);
                rows.Add(one is { Low: { } low, High: { } high } ? StudyRow.Of($"{name}: {label}", seed, new ConfidenceInterval(one.Value, low, high, 0.95, one.Count)) : new StudyRow($"{name}: {label}", seed, one.Value, null, null, null));
            }
        }
    }
}
