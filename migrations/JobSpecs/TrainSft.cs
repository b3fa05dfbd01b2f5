namespace Portal.Data.JobSpecs;

/// <summary>Supervised fine-tuning: the model learns to write the given responses.</summary>
public sealed record TrainSft : JobSpec
{
    /// <summary>The version to start from; null starts from fresh weights (command line: the folder given there).</summary>
    public ModelVersionId? ParentId { get; init; }

    public SftLoss Loss { get; init; } = SftLoss.Nll;

    /// <summary>Longest dialogue in tokens.</summary>
    public int LengthMax { get; init; } = 192;

    /// <summary>Learn the dialogues in the order given (a curriculum) instead of at random; those of like length still share a batch.</summary>
    public bool KeepOrder { get; init; }

    public OptimizationSpec Optimization { get; init; } = new();
}

/// <summary>Token losses of SFT (specs §1.1).</summary>
public enum SftLoss
{
    /// <summary>Negative log-likelihood.</summary>
    Nll,
    /// <summary>Dynamic fine-tuning: each token's loss weighted by its own (detached) probability.</summary>
    Dft,
}
