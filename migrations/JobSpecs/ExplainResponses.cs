using Portal.Data.Explanations;

namespace Portal.Data.JobSpecs;

/// <summary>Asks which of the pairs a reward model was trained on make it like some responses: flagged ones, or any.</summary>
public sealed record ExplainResponses : JobSpec
{
    /// <summary>Responses of one job, at most.</summary>
    public const int ResponsesMax = 500;

    /// <summary>Flags whose responses are explained.</summary>
    public IReadOnlyList<FlagId> FlagIds { get; init; } = [];

    /// <summary>Other responses.</summary>
    public IReadOnlyList<ResponseId> ResponseIds { get; init; } = [];

    /// <summary>Null means the one that serves, or else the newest candidate.</summary>
    public ModelVersionId? RewardModelId { get; init; }

    public QueryMode Mode { get; init; } = QueryMode.Centred;

    public FeatureSpace Space { get; init; } = FeatureSpace.RewardState;

    /// <summary>μ ≥ 0: the larger, the fewer and the nearer the pairs.</summary>
    public double Locality { get; init; }

    /// <summary>Answers of the base policy to the same prompt that a centred query is compared with.</summary>
    public int References { get; init; } = 8;

    /// <summary>How they are drawn.</summary>
    public SamplingSpec Sampling { get; init; } = new();
}
