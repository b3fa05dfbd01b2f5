using System.Text.Json;
using System.Text.Json.Serialization;

namespace Portal.Data.JobSpecs;

/// <summary>
/// What a person asks of the engine. The form in the browser, the command line's presets and the queue all hold the same JSON.
/// </summary>
/// <remarks>
/// Ids of models and data are null in presets for the command line, which names folders and files instead. The name of a spec is the stem
/// of everything around it: <see cref="TrainRewardModel"/> is run by <c>TrainRewardModelRecipe</c> and asked for on its form.
/// </remarks>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "kind")]
[JsonDerivedType(typeof(TrainSft), nameof(TrainSft))]
[JsonDerivedType(typeof(TrainRewardModel), nameof(TrainRewardModel))]
[JsonDerivedType(typeof(TrainPreferencePolicy), nameof(TrainPreferencePolicy))]
[JsonDerivedType(typeof(TrainRlooPolicy), nameof(TrainRlooPolicy))]
[JsonDerivedType(typeof(TrainSae), nameof(TrainSae))]
[JsonDerivedType(typeof(TrainSarm), nameof(TrainSarm))]
[JsonDerivedType(typeof(DescribeFeatures), nameof(DescribeFeatures))]
[JsonDerivedType(typeof(PublishToggles), nameof(PublishToggles))]
[JsonDerivedType(typeof(CompareBestOfN), nameof(CompareBestOfN))]
[JsonDerivedType(typeof(AuditReward), nameof(AuditReward))]
[JsonDerivedType(typeof(CheckReRl), nameof(CheckReRl))]
[JsonDerivedType(typeof(MeasureDrift), nameof(MeasureDrift))]
[JsonDerivedType(typeof(ExplainResponses), nameof(ExplainResponses))]
[JsonDerivedType(typeof(UnlearnPairs), nameof(UnlearnPairs))]
[JsonDerivedType(typeof(EraseData), nameof(EraseData))]
[JsonDerivedType(typeof(SampleResponses), nameof(SampleResponses))]
[JsonDerivedType(typeof(ImportData), nameof(ImportData))]
[JsonDerivedType(typeof(ExportData), nameof(ExportData))]
public abstract record JobSpec
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web)
    {
        Converters = { new JsonStringEnumConverter() },
        ReadCommentHandling = JsonCommentHandling.Skip,
        AllowTrailingCommas = true,
        AllowOutOfOrderMetadataProperties = true,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        WriteIndented = false,
    };

    /// <summary>Seeds everything random in the job; the same spec on the same data gives the same result.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>The stem of this spec, as stored in <see cref="Jobs.Job.Kind"/>.</summary>
    [JsonIgnore]
    public string Kind => GetType().Name;

    /// <summary>The kinds that train: counted against a project's quota of the day.</summary>
    public static IReadOnlyList<string> TrainingKinds { get; } = [nameof(TrainSft), nameof(TrainRewardModel), nameof(TrainPreferencePolicy), nameof(TrainRlooPolicy), nameof(TrainSae), nameof(TrainSarm), nameof(CheckReRl), nameof(UnlearnPairs)];

    /// <summary>True for jobs that train: one at a time, in a process of their own, counted against the day's quota.</summary>
    [JsonIgnore]
    public bool IsTraining => TrainingKinds.Contains(Kind);

    /// <summary>
    /// True for jobs that would slow a training one down, or be slowed down by it: they wait for each other. The rest may run beside.
    /// </summary>
    [JsonIgnore]
    public bool IsHeavy => IsTraining || this is DescribeFeatures or CompareBestOfN or AuditReward or MeasureDrift or ExplainResponses || this is SampleResponses { Prompts: var prompts, ResponsesPerPrompt: var each } && prompts * each > 400;

    /// <summary>True for jobs that no other job may run beside: what one reads while another erases would outlive the erasure in its files.</summary>
    [JsonIgnore]
    public bool RunsAlone => this is EraseData;

    /// <summary>The JSON that is stored, with the kind first.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, Json);

    /// <summary>Reads a stored spec or a preset (comments and trailing commas allowed).</summary>
    /// <exception cref="FormatException">Not a spec; the message names the property or the line.</exception>
    public static JobSpec FromJson(string json)
    {
        try
        {
            return JsonSerializer.Deserialize<JobSpec>(json, Json) ?? throw new FormatException("The spec is empty (JSON null).");
        }
        catch (JsonException e)
        {
            throw new FormatException($"The spec cannot be read: {e.Message}", e);
        }
        catch (NotSupportedException e)
        {
            throw new FormatException($"The spec has no known \"kind\": {e.Message}", e);
        }
    }
}

/// <summary>How weights are moved: optimiser, schedule, batches, and when to look and stop.</summary>
public sealed record OptimizationSpec
{
    /// <summary>Highest learning rate, after warm-up.</summary>
    public double LearningRate { get; init; } = 1e-3;

    /// <summary>For a fresh head; null means the same as the body's.</summary>
    public double? HeadLearningRate { get; init; }

    /// <summary>Examples (pairs, dialogues) of one micro-batch.</summary>
    public int BatchSize { get; init; } = 32;

    /// <summary>Micro-batches per step. Offline preference losses average the means, SFT divides by all tokens of the step.</summary>
    public int AccumulationSteps { get; init; } = 1;

    public int Epochs { get; init; } = 1;

    /// <summary>Stops after this many steps even within an epoch; null for no limit.</summary>
    public int? StepsMax { get; init; }

    public int WarmupSteps { get; init; }

    public Schedule Schedule { get; init; } = Schedule.Linear;

    /// <summary>Where the schedule ends, as a share of the highest rate.</summary>
    public double EndShare { get; init; }

    public double WeightDecay { get; init; }
    public double Beta1 { get; init; } = 0.9;
    public double Beta2 { get; init; } = 0.999;
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>Gradients are scaled down to this L2 norm; 0 for no clipping.</summary>
    public double GradientNormMax { get; init; } = 1.0;

    /// <summary>Held-out evaluation every so many steps; 0 for only at the end.</summary>
    public int EvaluateEverySteps { get; init; }

    /// <summary>Stops when so many evaluations in a row brought nothing better; null for never.</summary>
    public int? Patience { get; init; }

    /// <summary>A checkpoint every so many steps; 0 for none.</summary>
    public int CheckpointEverySteps { get; init; } = 50;
}

/// <summary>Shapes of the learning rate after warm-up.</summary>
public enum Schedule { Constant, Linear, Cosine }

/// <summary>What to do with examples longer than the context.</summary>
public enum Overlong
{
    /// <summary>Leave them out and count them (TRL's way).</summary>
    Filter,
    /// <summary>Cut the beginning off, so that the end of the response stays.</summary>
    TruncateLeft,
}

/// <summary>Which judgements become rows of a dataset version, and how.</summary>
public sealed record DatasetRules
{
    /// <summary>Judgements of simulated annotators take part.</summary>
    public bool IncludeSimulated { get; init; } = true;

    /// <summary>Judgements that came with an import take part.</summary>
    public bool IncludeImported { get; init; } = true;

    /// <summary>Share of prompts held out, 0.02 to 0.5.</summary>
    public double HeldOutShare { get; init; } = 0.2;

    /// <summary>Changes which prompts are held out.</summary>
    public long SplitSeed { get; init; } = 1;

    /// <summary>Only judgements of these topics; null for all.</summary>
    public IReadOnlyList<string>? Topics { get; init; }

    /// <summary>Only judgements submitted before this moment; null for all up to now.</summary>
    public DateTimeOffset? Before { get; init; }
}

/// <summary>How responses are drawn.</summary>
public sealed record SamplingSpec
{
    /// <summary>0 is greedy; the demo uses 0.8.</summary>
    public double Temperature { get; init; } = 0.8;

    /// <summary>Only the so many likeliest tokens; 0 for all.</summary>
    public int TopK { get; init; }

    /// <summary>Only the smallest set of tokens with this much probability; 1 for all.</summary>
    public double TopP { get; init; } = 1.0;

    public int TokensMax { get; init; } = 160;
    public long Seed { get; init; } = 1;
}
