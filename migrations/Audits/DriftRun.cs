using System.Text.Json;

namespace Portal.Data.Audits;

/// <summary>How several versions differ, by their audits. Made by a job, whose id it has. Numbers only.</summary>
public sealed class DriftRun
{
    /// <summary>The job that made it.</summary>
    public required JobId JobId { get; init; }

    public required ProjectId ProjectId { get; init; }

    /// <summary>The method whose rewards are compared.</summary>
    public required string Method { get; init; }

    public required int Versions { get; init; }

    /// <summary>Test prompts with a text of every version.</summary>
    public required int Prompts { get; init; }

    /// <summary>What was measured (<see cref="DriftReport"/> as JSON).</summary>
    public required string ReportJson { get; init; }

    public required long Seed { get; init; }

    /// <summary>Who asked for it; null when the system did.</summary>
    public required Guid? CreatedBy { get; init; }

    public required DateTimeOffset At { get; init; }

    /// <summary>The report.</summary>
    public DriftReport Report() => JsonSerializer.Deserialize<DriftReport>(ReportJson) ?? throw new FormatException($"The drift measured by job {JobId} is stored as nothing.");
}

/// <summary>Versions, how far their rewards are apart, and how their answers move.</summary>
/// <param name="Versions">v1 to vk.</param>
/// <param name="Distances">d_STARC between the rewards of two versions, on all texts of the common test prompts: the base's and every version's. [k][k]; null where it is undefined.</param>
/// <param name="Level">Family-wise error of the marks: Holm over all steps of all trajectories.</param>
public sealed record DriftReport(IReadOnlyList<DriftVersion> Versions, IReadOnlyList<IReadOnlyList<AuditInterval?>> Distances, IReadOnlyList<DriftTrajectory> Trajectories, double Level);

/// <summary>A version and the audit that speaks for it.</summary>
/// <param name="Audit">"Audit 3".</param>
/// <param name="Audited">As it was called when it was audited.</param>
public sealed record DriftVersion(JobId AuditJobId, string Audit, string Audited);

/// <summary>One number version by version; means of the prompts' means, with intervals over prompts.</summary>
/// <param name="Name">One of the constants here.</param>
/// <param name="Values">[k]; null where it is not known.</param>
/// <param name="Steps">From each version to the next, [k − 1]; empty where versions are measured in units of their own; null where one of the two is not known.</param>
public sealed record DriftTrajectory(string Name, IReadOnlyList<AuditInterval?> Values, IReadOnlyList<DriftStep?> Steps)
{
    /// <summary>The version's texts under the reward of v1. Unit of both rewards: deviations among the base's answers to a prompt, from their mean.</summary>
    public const string FixedReward = "fixed_reward";

    /// <summary>The version's texts under its own reward.</summary>
    public const string OwnReward = "own_reward";

    public const string LengthTokens = "length_tokens";

    /// <summary>Share of its texts that refuse, by phrases.</summary>
    public const string RefusalShare = "refusal_share";

    /// <summary>log π(text) − log π_base(text) of its own texts, nats at temperature 1: the divergence from the base where sampling was at 1 too, else near it.</summary>
    public const string KlNats = "kl_nats";
}

/// <summary>From one version to the next.</summary>
/// <param name="Difference">Later less earlier, paired by prompt.</param>
/// <param name="P">Of a paired t test over prompts.</param>
/// <param name="IsChange">The Holm-corrected p is below the report's level.</param>
public sealed record DriftStep(AuditInterval Difference, double P, double HolmP, bool IsChange);
