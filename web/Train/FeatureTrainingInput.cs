using Portal.Data;
using Portal.Data.JobSpecs;

namespace Portal.Web.Train;

/// <summary>The form of an SAE's training. Mutable: inputs are bound to it. What it does not ask keeps the spec's own default.</summary>
public sealed class SaeInput
{
    private static readonly TrainSae Usual = new();

    /// <summary>The model whose states are read; null for the project's base policy.</summary>
    public Guid? ModelId { get; set; }

    /// <summary>Blocks run before; null for half of them.</summary>
    public int? Layer { get; set; }
    public int Expansion { get; set; } = Usual.Expansion;
    public int K { get; set; } = Usual.K;
    public SaeSelection Selection { get; set; } = Usual.Selection;
    public bool UseRelu { get; set; } = Usual.UseRelu;
    public bool CentresPositions { get; set; } = Usual.CentresPositions;

    /// <summary>Per cent of the vectors read where a response ends.</summary>
    public double EndPercent { get; set; } = 100 * Usual.EndShare;
    public bool RevivesDead { get; set; } = true;
    public int Steps { get; set; } = Usual.Steps;
    public int BatchVectors { get; set; } = Usual.BatchVectors;
    public double LearningRate { get; set; } = Usual.LearningRate;
    public long Seed { get; set; } = 1;

    public TrainSae Spec() => Usual with
    {
        ModelId = ModelId is { } id ? new ModelVersionId(id) : null, Layer = Layer, Expansion = Expansion, K = K, Selection = Selection, UseRelu = UseRelu, CentresPositions = CentresPositions,
        EndShare = EndPercent / 100, AuxiliaryCoefficient = RevivesDead ? Usual.AuxiliaryCoefficient : 0, Steps = Steps, BatchVectors = BatchVectors, LearningRate = LearningRate, Seed = Seed,
    };
}

/// <summary>The form of a reward model that reads an SAE.</summary>
public sealed class SarmInput
{
    private static readonly TrainSarm Usual = new();

    public Guid? SaeId { get; set; }
    public SarmMode Mode { get; set; } = Usual.Mode;
    public double HeadL2 { get; set; } = Usual.HeadL2;
    public double LearningRate { get; set; } = Usual.Optimization.LearningRate;
    public double HeadLearningRate { get; set; } = Usual.Optimization.HeadLearningRate ?? Usual.Optimization.LearningRate;
    public int Epochs { get; set; } = Usual.Optimization.Epochs;
    public int Batch { get; set; } = Usual.Optimization.BatchSize;
    public bool IncludeSimulated { get; set; } = true;
    public bool IncludeImported { get; set; } = true;
    public long Seed { get; set; } = 1;

    public TrainSarm Spec() => Usual with
    {
        SaeId = SaeId is { } id ? new ModelVersionId(id) : null, Mode = Mode, HeadL2 = HeadL2, Seed = Seed,
        Rules = new DatasetRules { IncludeSimulated = IncludeSimulated, IncludeImported = IncludeImported },
        Optimization = Usual.Optimization with { LearningRate = LearningRate, HeadLearningRate = HeadLearningRate, Epochs = Epochs, BatchSize = Batch },
    };
}

/// <summary>The form of a description of features.</summary>
public sealed class DescribeInput
{
    private static readonly DescribeFeatures Usual = new();

    /// <summary>The reward model; null for the one that serves.</summary>
    public Guid? RewardModelId { get; set; }
    public int ResponsesMax { get; set; } = Usual.ResponsesMax;
    public int ContextsPerFeature { get; set; } = Usual.ContextsPerFeature;
    public int SupportMin { get; set; } = Usual.SupportMin;
    public int Permutations { get; set; } = Usual.Permutations;

    /// <summary>Per cent of prompts that test what the others suggested.</summary>
    public double TestPercent { get; set; } = 100 * Usual.TestShare;
    public long Seed { get; set; } = 1;

    public DescribeFeatures Spec() => Usual with
    {
        RewardModelId = RewardModelId is { } id ? new ModelVersionId(id) : null, ResponsesMax = ResponsesMax, ContextsPerFeature = ContextsPerFeature, SupportMin = SupportMin,
        Permutations = Permutations, TestShare = TestPercent / 100, Seed = Seed,
    };
}
