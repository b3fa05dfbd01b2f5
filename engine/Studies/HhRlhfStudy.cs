using System.CommandLine;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Engine.Datasets;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Statistics;
using Portal.Engine.Tokenizers;

namespace Portal.Engine.Studies;

/// <summary>
/// Real preferences end to end: the 2,312 pairs of hh-rlhf's harmless test set, a reward model on stories260K, and its baselines beside it. The
/// model has read children's stories only, so chance is an honest result.
/// </summary>
/// <remarks>
/// Micro-batches of four pairs were the fastest of 2, 4, 8 and 16 at 512 tokens on two cores; the gradient is the mean of the step's 32 pairs
/// either way. The seed draws the split by prompt too, so the spread over seeds holds that of the split.
/// </remarks>
public static class HhRlhfStudy
{
    private const string Pairs = "data/preferences/hh-rlhf_harmless-base_test.jsonl.gz";
    private const string Backbone = "data/models/stories260K";

    /// <summary>What the miniature trains on and is measured on.</summary>
    private const int QuickTrained = 32, QuickHeldOut = 24;

    private static readonly TrainRewardModel spec = new()
    {
        LengthMax = 512, Overlong = Overlong.TruncateLeft,
        Optimization = new OptimizationSpec { LearningRate = 5e-4, HeadLearningRate = 5e-3, BatchSize = 4, AccumulationSteps = 8, Epochs = 1 },
    };

    private static readonly Option<DirectoryInfo?> Shared = new("--shared")
    {
        Description = $"The folder of reference data that holds {Pairs}. Default: PORTAL_SHARED.",
        DefaultValueFactory = _ => Environment.GetEnvironmentVariable("PORTAL_SHARED") is { Length: > 0 } folder ? new DirectoryInfo(folder) : null,
    };

    public static Study Study { get; } = new("hh-rlhf", "A reward model on real preferences, beside its baselines.", Run, Shared);

    private static IReadOnlyList<StudyRow> Run(StudyRun run, long seed)
    {
        var shared = run.Arguments.GetValue(Shared)?.FullName ?? throw new CannotTrain("--shared: name the folder of reference data, or set PORTAL_SHARED.");
        var file = DatasetFile.Read(Found(Pairs), run.Stop);
        foreach (var problem in file.Problems)
            run.Progress.Log(JobEventLevel.Warning, problem.ToString());
        var refused = file.Problems.Select(problem => problem.Row).Distinct().Count();
        var rows = file.Pairs(heldOutShare: 0.2, splitSeed: seed, new Dictionary<string, int>());
        if (run.IsQuick)
            rows = new TrainingSplit<PreferencePair>([.. rows.Train.Take(QuickTrained)], [.. rows.HeldOut.Take(QuickHeldOut)]);
        using var model = Llama2cFile.Load(Found($"{Backbone}/stories260K.bin"));
        using var reward = LlamaReward.From(model);
        var report = TrainRewardModelRecipe.Run(spec with { Seed = seed }, reward, Llama2cTokenizer.Load(Found($"{Backbone}/tok512.bin")), rows, run.Training($"reward-{seed}", seed));

        return
        [
            Count("pairs in the file", file.Rows.Count + refused),
            Count("pairs refused, each with row, field and reason", refused),
            Count("pairs trained on", report.ExamplesTrain),
            Count("share of texts that lost their beginning to fit 512 tokens", report.Truncated / (2.0 * report.ExamplesTrain)),
            Measured("reward model, held-out accuracy", MetricNames.PairwiseAccuracy),
            Measured("length only", MetricNames.LengthBaseline),
            Measured("bag of words", MetricNames.BagOfWordsBaseline),
        ];

        string Found(string relative)
        {
            var path = Path.Combine(shared, relative);
            return File.Exists(path) ? path : throw new CannotTrain($"--shared: {path} is not there.");
        }

        StudyRow Count(string measure, double value) => new(measure, seed, value, null, null, null);

        StudyRow Measured(string measure, string metric)
        {
            var row = report.Measurements.Single(row => row.Name == metric && row.Part == MetricNames.HeldOut);
            return new StudyRow(measure, seed, row.Value, row is { Low: { } low, High: { } high } ? new ConfidenceInterval(row.Value, low, high, 0.95, row.Count) : null, null, null);
        }
    }
}
