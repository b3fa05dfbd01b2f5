namespace Portal.Data.JobSpecs;

/// <summary>Makes the reward-model version that a proposed toggle set stands for: the same files with w' = m ∘ w. It becomes a candidate; releasing it is a person's decision.</summary>
public sealed record PublishToggles : JobSpec
{
    public required ToggleSetId ToggleSetId { get; init; }
}
