namespace Portal.Data.JobSpecs;

/// <summary>
/// Asks whether a recovered reward leads to the policy it was recovered from: a fresh copy of the audit's base is trained with it until it is as far from the base as the audited policy, and both are compared. The
/// trained copy is measured and thrown away: it never becomes a version.
/// </summary>
public sealed record CheckReRl : JobSpec
{
    /// <summary>The audit whose reward is checked, by its job.</summary>
    public JobId? AuditId { get; init; }

    /// <summary>Name of the method whose reward it is; null means the one that the audit's verdict is of.</summary>
    public string? Method { get; init; }

    /// <summary>Divergence from the base at which training ends, nats per answer; null means the audited policy's own, as measured.</summary>
    public double? KlBudgetNats { get; init; }

    /// <summary>Where training ends if it has not got there.</summary>
    public int StepsMax { get; init; } = 240;

    /// <summary>What a nat of divergence costs while it is trained, in deviations of the reward among answers to one prompt.</summary>
    public double Beta { get; init; } = 0.05;

    public double LearningRate { get; init; } = 5e-4;

    /// <summary>Test prompts of the audit that are answered, at most.</summary>
    public int Prompts { get; init; } = 200;

    /// <summary>Answers of each policy to each of them.</summary>
    public int AnswersPerPrompt { get; init; } = 4;

    /// <summary>Of sampling in training and in the comparison, and of every log-probability; above 0. Nothing is cut from the distribution: divergences need it whole.</summary>
    public double Temperature { get; init; } = 0.8;

    /// <summary>Longest answer.</summary>
    public int TokensMax { get; init; } = 160;
}
