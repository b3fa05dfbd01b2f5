namespace Portal.Data.JobSpecs;

/// <summary>Trains a reward model that reads the features of a sparse autoencoder (SARM).</summary>
/// <remarks>
/// Which model the SAE was trained on decides the order: an SAE of the base policy and a body that learns is the paper's; an SAE of a trained reward model
/// with a head fitted on its codes keeps what that model knows and what its features mean.
/// </remarks>
public sealed record TrainSarm : JobSpec
{
    /// <summary>The SAE; its model is the body to start from.</summary>
    public ModelVersionId? SaeId { get; init; }

    public SarmMode Mode { get; init; } = SarmMode.Body;

    public DatasetRules Rules { get; init; } = new();

    /// <summary>Head alone: λ of (λ/2)‖w‖² beside the mean loss, above 0. In units of the codes, which are near 1.</summary>
    public double HeadL2 { get; init; } = 1e-3;

    public int LengthMax { get; init; } = 192;
    public Overlong Overlong { get; init; } = Overlong.Filter;

    /// <summary>Body: the head's rate is ten to a hundred times the body's, because it starts at 0 (specs/sarm.md §6.1).</summary>
    public OptimizationSpec Optimization { get; init; } = new()
    {
        LearningRate = 3e-4, HeadLearningRate = 1e-2, BatchSize = 32, Epochs = 3, Schedule = Schedule.Cosine, EvaluateEverySteps = 20,
    };
}

/// <summary>What of a SARM model learns; its SAE never does.</summary>
public enum SarmMode
{
    /// <summary>The head only: a convex problem, solved (mode 0).</summary>
    Head,

    /// <summary>The blocks below the SAE and the head (mode 1, the paper's).</summary>
    Body,
}
