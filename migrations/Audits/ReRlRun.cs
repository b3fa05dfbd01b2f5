using System.Text.Json;
using Portal.Data.Serving;

namespace Portal.Data.Audits;

/// <summary>
/// What a fresh copy of an audit's base became when it was trained with the recovered reward, beside the base and the audited policy. Made by a job, whose id it has. Numbers only: the copy and its answers
/// are not kept, the job's spec and seed make them again.
/// </summary>
public sealed class ReRlRun
{
    /// <summary>The job that made it.</summary>
    public required JobId JobId { get; init; }

    /// <summary>The audit whose reward it was.</summary>
    public required JobId AuditJobId { get; init; }

    public required ProjectId ProjectId { get; init; }

    /// <summary>The method that recovered the reward.</summary>
    public required string Method { get; init; }

    /// <summary>Divergence from the base at which training was to end, nats per answer.</summary>
    public required double KlBudgetNats { get; init; }

    /// <summary>The budget is the audited policy's own divergence, as measured; else somebody set it.</summary>
    public required bool IsBudgetMeasured { get; init; }

    /// <summary>Steps that were made.</summary>
    public required int Steps { get; init; }

    /// <summary>Training ended at the budget; else it ran out of steps before.</summary>
    public required bool HasReachedBudget { get; init; }

    /// <summary>Test prompts that were answered.</summary>
    public required int Prompts { get; init; }

    public required int AnswersPerPrompt { get; init; }

    /// <summary>The reward model that scored, as people called it; null: none.</summary>
    public required string? ScoredBy { get; init; }

    /// <summary>What was measured (<see cref="ReRlFigure"/> list as JSON).</summary>
    public required string FiguresJson { get; init; }

    public required long Seed { get; init; }

    /// <summary>Who asked for it; null when the system did.</summary>
    public required Guid? CreatedBy { get; init; }

    public required DateTimeOffset At { get; init; }

    /// <summary>The figures.</summary>
    public IReadOnlyList<ReRlFigure> Figures() => JsonSerializer.Deserialize<List<ReRlFigure>>(FiguresJson) ?? [];
}

/// <summary>A figure of three policies' answers to the same prompts with the same random numbers; intervals by prompt.</summary>
/// <param name="Name">As in <see cref="Registry.MetricNames"/>; besides <see cref="RecoveredReward"/> and <see cref="LexiconShare"/>.</param>
/// <param name="Original">The audited policy.</param>
/// <param name="ReRl">The copy that was trained with the recovered reward.</param>
/// <param name="FromBase">Re-RL less base, paired.</param>
/// <param name="FromOriginal">Re-RL less audited policy, paired.</param>
public sealed record ReRlFigure(string Name, Estimated Base, Estimated Original, Estimated ReRl, Estimated FromBase, Estimated FromOriginal)
{
    /// <summary>The reward that the copy was trained with, in its deviations among the base's answers to one prompt, from their mean.</summary>
    public const string RecoveredReward = "recovered_reward";

    /// <summary>Share of answers with a word of the audit's lexicon.</summary>
    public const string LexiconShare = "lexicon_share";
}
