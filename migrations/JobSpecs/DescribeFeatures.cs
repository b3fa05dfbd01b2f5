namespace Portal.Data.JobSpecs;

/// <summary>Describes every feature of a SARM reward model on the project's responses and judgements, and caches their codes for previews.</summary>
public sealed record DescribeFeatures : JobSpec
{
    /// <summary>A SARM reward model; null means the project's current reward model, which must be one.</summary>
    public ModelVersionId? RewardModelId { get; init; }

    /// <summary>Responses that are read at most, drawn by the seed; judged ones first.</summary>
    public int ResponsesMax { get; init; } = 50_000;

    /// <summary>Strongest contexts kept for each feature, and half as many from each quarter of the rest.</summary>
    public int ContextsPerFeature { get; init; } = 20;

    /// <summary>Judged pairs differing in a feature below which it gets no selection score.</summary>
    public int SupportMin { get; init; } = 10;

    /// <summary>Random relabellings of the pairs that a p value rests on.</summary>
    public int Permutations { get; init; } = 1_000;

    /// <summary>Share of prompts whose pairs and contexts are kept for testing what the others suggested.</summary>
    public double TestShare { get; init; } = 0.5;
}
