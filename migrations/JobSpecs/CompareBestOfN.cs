namespace Portal.Data.JobSpecs;

/// <summary>
/// Asks a policy for n answers to each of some held-out prompts, and compares which of them two reward models pick: what a changed reward model does to a policy, without training one.
/// </summary>
public sealed record CompareBestOfN : JobSpec
{
    /// <summary>The policy that answers; null means the project's current one.</summary>
    public ModelVersionId? PolicyId { get; init; }

    /// <summary>The reward model before; null means the project's current one.</summary>
    public ModelVersionId? BeforeId { get; init; }

    /// <summary>The reward model that is compared with it, a toggled one say.</summary>
    public ModelVersionId? AfterId { get; init; }

    /// <summary>Held-out prompts, at most so many, drawn by the seed.</summary>
    public int Prompts { get; init; } = 200;

    /// <summary>n, 2 to 64.</summary>
    public int Answers { get; init; } = 8;

    public SamplingSpec Sampling { get; init; } = new();

    /// <summary>Which prompts are held out; judgements play no part.</summary>
    public DatasetRules Rules { get; init; } = new();
}
