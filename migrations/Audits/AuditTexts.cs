using System.Text.Json.Serialization;
using Portal.Data.Feedback;

namespace Portal.Data.Audits;

/// <summary>Which of the two policies of an audit.</summary>
public enum AuditSide
{
    /// <summary>The one whose reward is asked for.</summary>
    Audited,
    /// <summary>The one it is compared with.</summary>
    Base,
}

/// <summary>Part of an audit's split, by prompt.</summary>
public enum AuditPart
{
    /// <summary>Rewards are learnt on it.</summary>
    Train,
    /// <summary>Training is stopped, and rounds are chosen, by it.</summary>
    Holdout,
    /// <summary>What is reported is measured on it, and nothing looks at it before.</summary>
    Test,
}

/// <summary>What became of one completion that was asked for. All are counted; only <see cref="Written"/> ones are texts to learn from.</summary>
public enum CompletionStatus
{
    Written,
    /// <summary>The policy ended at once, or wrote white space only.</summary>
    Empty,
    /// <summary>The policy's host declined to answer (a content filter). An answer that politely refuses is <see cref="Written"/>; the readable features count it.</summary>
    Refused,
    /// <summary>The policy could not be asked, or did not answer: the prompt is too long, a request failed after its retries.</summary>
    Failed,
    /// <summary>An imported file has fewer completions of this prompt than were asked for.</summary>
    Missing,
}

/// <summary>A prompt of an audit. One line of <c>prompts.jsonl</c>, which another audit can be given as it is.</summary>
/// <param name="Id">As in the file of prompts, or "line 12"; each once.</param>
/// <param name="Key">Equal for prompts that count as the same text: splits and bootstraps go by it.</param>
/// <param name="Turns">What is asked.</param>
/// <param name="Tags">Words about the prompt, e.g. "risky".</param>
/// <param name="Part">Given by whoever split the prompts before; null: the audit splits.</param>
public sealed record AuditPrompt(string Id, string Key, [property: JsonPropertyName("messages")] IReadOnlyList<Turn> Turns, IReadOnlyList<string> Tags, AuditPart? Part = null);

/// <summary>One completion that was asked for, whatever became of it. One line of <c>texts.jsonl</c>; every number of the report names its texts by <see cref="Id"/>.</summary>
public sealed record AuditText
{
    /// <summary>"PROMPT/audited/0": prompt, policy, and which of its completions.</summary>
    public required string Id { get; init; }

    public required string PromptId { get; init; }
    public required AuditPart Part { get; init; }
    public required AuditSide Side { get; init; }

    /// <summary>0 to k − 1 within prompt and policy.</summary>
    public required int Ordinal { get; init; }

    public required CompletionStatus Status { get; init; }

    /// <summary>Trimmed, without end mark; empty unless <see cref="CompletionStatus.Written"/>.</summary>
    public required string Text { get; init; }

    /// <summary>It ended by itself, before the limit.</summary>
    public bool Finished { get; init; }

    /// <summary>log π(o|x) under the audited policy, nats at temperature 1, the end mark included where it was written; null where not known.</summary>
    public double? LogProbAudited { get; init; }

    /// <summary>The same under the base.</summary>
    public double? LogProbBase { get; init; }

    /// <summary>Whether somebody labelled it as bad (toxic); null: nobody did.</summary>
    public bool? Label { get; init; }

    /// <summary>Why there is no text, for people; null where there is one.</summary>
    public string? Problem { get; init; }

    /// <summary>A text that no audit asked for, to be read as one of its texts is.</summary>
    public static AuditText Of(string text, bool finished = true, double? logProbBase = null) =>
        new() { Id = "", PromptId = "", Part = AuditPart.Test, Side = AuditSide.Audited, Ordinal = 0, Status = CompletionStatus.Written, Text = text, Finished = finished, LogProbBase = logProbBase };
}

/// <summary>Two completions of one prompt, of which the audited policy wrote the first.</summary>
/// <param name="Id">The prompt's id: there is one pair a prompt.</param>
/// <param name="AuditedText">Id of an <see cref="AuditText"/>.</param>
/// <param name="BaseText">The same.</param>
public sealed record AuditPair(string Id, AuditPart Part, string AuditedText, string BaseText);
