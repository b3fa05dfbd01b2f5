namespace Portal.Data.JobSpecs;

/// <summary>Trains a Bradley-Terry reward model on pairwise judgements.</summary>
public sealed record TrainRewardModel : JobSpec
{
    /// <summary>The language model whose body it starts from; null means the project's base policy.</summary>
    public ModelVersionId? BackboneId { get; init; }

    public DatasetRules Rules { get; init; } = new();

    /// <summary>Ask a larger margin of stronger votes (1/3, 2/3, 1).</summary>
    public bool UseMargins { get; init; }

    /// <summary>Pulls rewards of a pair towards mean 0 (Eisenstein et al. 2023); 0 for off, 0.01 is usual.</summary>
    public double CenteringCoefficient { get; init; }

    public int LengthMax { get; init; } = 192;
    public Overlong Overlong { get; init; } = Overlong.Filter;

    public OptimizationSpec Optimization { get; init; } = new()
    {
        LearningRate = 1e-3, HeadLearningRate = 1e-2, BatchSize = 64, Epochs = 2, Schedule = Schedule.Linear, EvaluateEverySteps = 20,
    };
}
