namespace Portal.Data.JobSpecs;

using Portal.Data.Feedback;

/// <summary>Draws responses from a policy and makes annotation tasks of them.</summary>
public sealed record SampleResponses : JobSpec
{
    /// <summary>The policy to sample; null means the project's current one.</summary>
    public ModelVersionId? PolicyId { get; init; }

    /// <summary>How many prompts; those with the fewest responses of this policy come first.</summary>
    public int Prompts { get; init; } = 50;

    /// <summary>Responses per prompt, 2 to 16.</summary>
    public int ResponsesPerPrompt { get; init; } = 4;

    public SamplingSpec Sampling { get; init; } = new();
    public TaskKinds Tasks { get; init; } = TaskKinds.Pairwise;

    /// <summary>Pairs per prompt: those the reward model finds nearest to a tie first, the rest at random.</summary>
    public int PairsPerPrompt { get; init; } = 1;

    /// <summary>Share of pairs picked as near ties, 0 to 1; the rest are random. Without a reward model all are random.</summary>
    public double NearTieShare { get; init; } = 0.5;

    /// <summary>Set for "vote on blind old/new pairs": the candidate against the project's current policy, one pair a prompt.</summary>
    public ModelVersionId? CandidateId { get; init; }
}
