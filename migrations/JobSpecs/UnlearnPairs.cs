namespace Portal.Data.JobSpecs;

/// <summary>Makes the reward model that an approved request asks for: one that has not learned from its judgements. It becomes a candidate; releasing it is a person's decision.</summary>
public sealed record UnlearnPairs : JobSpec
{
    public required UnlearningRequestId RequestId { get; init; }
}
