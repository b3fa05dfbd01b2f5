namespace Portal.Data.JobSpecs;

/// <summary>
/// Asks how the rewards and answers of several versions differ: audits with the same base, prompts, sampling and seed, one a version, in the order of the versions. All texts of their test prompts are scored under
/// all their rewards.
/// </summary>
public sealed record MeasureDrift : JobSpec
{
    /// <summary>Least and most versions.</summary>
    public const int VersionsMin = 2, VersionsMax = 12;

    /// <summary>The audits, by their jobs: v1 first.</summary>
    public IReadOnlyList<JobId> AuditIds { get; init; } = [];

    /// <summary>Name of the method whose rewards are compared; null means that of the first audit's verdict.</summary>
    public string? Method { get; init; }
}
