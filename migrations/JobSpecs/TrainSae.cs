namespace Portal.Data.JobSpecs;

/// <summary>Trains a sparse autoencoder on the states of a model at the ends of sentences and responses.</summary>
public sealed record TrainSae : JobSpec
{
    /// <summary>The model whose states are read, a policy or a reward model; null means the project's base policy.</summary>
    public ModelVersionId? ModelId { get; init; }

    /// <summary>Blocks run before the state is read; null means half of them.</summary>
    public int? Layer { get; init; }

    /// <summary>Latents as a multiple of the state's width: 4 to 16 are usual.</summary>
    public int Expansion { get; init; } = 8;

    /// <summary>Latents that stay for a vector.</summary>
    public int K { get; init; } = 16;

    public SaeSelection Selection { get; init; } = SaeSelection.TopK;

    /// <summary>Negative values among the selected become 0; false as in the authors' code.</summary>
    public bool UseRelu { get; init; } = true;

    /// <summary>A centre of its own for each kind of position, instead of one for all.</summary>
    public bool CentresPositions { get; init; }

    /// <summary>Share of the training vectors read at the end of a response, where a reward is; 0 is the authors' way (ends of sentences only).</summary>
    public double EndShare { get; init; } = 0.3;

    /// <summary>Weight of the auxiliary loss that revives dead latents; 0 is the authors' way.</summary>
    public double AuxiliaryCoefficient { get; init; } = 1.0 / 32;

    /// <summary>A latent is dead after so many vectors without it.</summary>
    public long DeadAfterVectors { get; init; } = 50_000;

    /// <summary>Vectors of one step.</summary>
    public int BatchVectors { get; init; } = 512;

    public int Steps { get; init; } = 2_000;

    /// <summary>Highest learning rate: it warms up over the first twentieth of the steps and falls over the last fifth.</summary>
    public double LearningRate { get; init; } = 5e-4;

    public int CheckpointEverySteps { get; init; } = 500;

    /// <summary>Longest text in tokens; longer ones lose their beginning.</summary>
    public int LengthMax { get; init; } = 192;

    /// <summary>Which prompts are held out for the report; judgements play no part.</summary>
    public DatasetRules Rules { get; init; } = new();
}

/// <summary>Which latents of a vector stay.</summary>
public enum SaeSelection
{
    /// <summary>The k largest of each vector.</summary>
    TopK,

    /// <summary>While training the k·B largest of a batch of B vectors; afterwards whatever exceeds a threshold.</summary>
    BatchTopK,
}
