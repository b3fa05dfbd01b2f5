using Portal.Data.JobSpecs;

namespace Portal.Data.Audits;

/// <summary>
/// An audit of a policy that ended: who was compared with whom, where the report lies, and what lists show of it. Made by a job, whose id it has. Its texts are rows
/// (<see cref="AuditTextRow"/>), because texts can be erased; its numbers are files (<see cref="AuditFolder"/>).
/// </summary>
/// <remarks>
/// Names are kept as they were, and no foreign key holds the models: an audit stays readable when a model is retired or gone. It is never changed; auditing again makes another one.
/// </remarks>
public sealed class PolicyAudit
{
    public const int NameLengthMax = 200;
    public const int SentenceLengthMax = 2_000;

    /// <summary>The job that made it, and its address: /audits/JOB.</summary>
    public required JobId JobId { get; init; }

    public required ProjectId ProjectId { get; init; }

    /// <summary>1, 2, 3 ... in the project: "Audit 9".</summary>
    public required int Number { get; init; }

    /// <summary>The audited policy; null where an endpoint stands for it.</summary>
    public required ModelVersionId? AuditedId { get; init; }

    /// <summary>The policy it was compared with, whose states are the features where hidden states are; it reads them also where an endpoint answered in its place.</summary>
    public required ModelVersionId BaseId { get; init; }

    public required PolicyEndpointId? AuditedEndpointId { get; init; }
    public required PolicyEndpointId? BaseEndpointId { get; init; }

    /// <summary>As people called it when it was audited: "policy v3", or the endpoint's name.</summary>
    public required string AuditedName { get; init; }
    public required string BaseName { get; init; }

    /// <summary>The trained reward model it was compared with; null: none.</summary>
    public required ModelVersionId? ReferenceId { get; init; }
    public required ModelVersionId? SaeId { get; init; }

    /// <summary>With the data as they were, the audit can be made again from it.</summary>
    public required long Seed { get; init; }

    public required AuditPromptSource PromptSource { get; init; }

    /// <summary>Asked prompts.</summary>
    public required int Prompts { get; init; }

    /// <summary>Of them, those in the part that the project's models are trained on.</summary>
    public required int PromptsOfTraining { get; init; }

    /// <summary>Prompts with a text of both policies.</summary>
    public required int Pairs { get; init; }

    /// <summary>Folder below the data directory's audits folder; chosen by the engine, never by a person.</summary>
    public required string Folder { get; init; }

    /// <summary>SHA-256 of the folder's manifest, hexadecimal.</summary>
    public required string ManifestSha256 { get; init; }

    public required AuditLightState Identifiable { get; init; }
    public required AuditLightState Faithful { get; init; }
    public required AuditLightState Spurious { get; init; }

    /// <summary>The verdict in one sentence: the first reason where it is grey, else what matters most of the lights.</summary>
    public required string Sentence { get; init; }

    /// <summary>The method the next numbers are of.</summary>
    public required string Method { get; init; }

    /// <summary>Share of test pairs whose audited text scores higher, with its interval; null where nothing was fitted, as are the next ones.</summary>
    public required double? Accuracy { get; init; }
    public required double? AccuracyLow { get; init; }
    public required double? AccuracyHigh { get; init; }

    /// <summary>A_undet: share of test pairs that the runs leave undecided.</summary>
    public required double? Undetermined { get; init; }

    /// <summary>d_STARC to the trained reward model; null without one.</summary>
    public required double? Distance { get; init; }
    public required double? DistanceLow { get; init; }
    public required double? DistanceHigh { get; init; }

    /// <summary>Readable features that are paid for or punished.</summary>
    public required int IncentivesFound { get; init; }

    /// <summary>True when simulated judgements or the demo world took part in either policy.</summary>
    public required bool IsSynthetic { get; init; }

    /// <summary>Who asked for it; null when the system did.</summary>
    public required Guid? CreatedBy { get; init; }

    public required DateTimeOffset At { get; init; }

    /// <summary>What people call it.</summary>
    public string Label => $"Audit {Number}";

    /// <summary>Nothing may be said: all lights are grey.</summary>
    public bool IsGrey => (Identifiable, Faithful, Spurious) is (AuditLightState.NotEnoughEvidence, AuditLightState.NotEnoughEvidence, AuditLightState.NotEnoughEvidence);
}

/// <summary>One completion that an audit asked for. The text is the response's, the prompt's turns are the prompt's, and both can be erased.</summary>
public sealed class AuditTextRow
{
    /// <summary>The audit's job; shown once its <see cref="PolicyAudit"/> is there.</summary>
    public required JobId JobId { get; init; }

    /// <summary>With policy and ordinal it is the id that the report names texts by (<see cref="TextId"/>).</summary>
    public required PromptId PromptId { get; init; }

    public required AuditSide Side { get; init; }

    /// <summary>0 to k − 1 within prompt and policy.</summary>
    public required int Ordinal { get; init; }

    public required AuditPart Part { get; init; }
    public required CompletionStatus Status { get; init; }

    /// <summary>The text; null unless <see cref="CompletionStatus.Written"/>.</summary>
    public required ResponseId? ResponseId { get; init; }

    /// <summary>It ended by itself, before the limit.</summary>
    public required bool Finished { get; init; }

    /// <summary>log π(o|x) under the audited policy, nats; null where not known.</summary>
    public required double? LogProbAudited { get; init; }
    public required double? LogProbBase { get; init; }

    /// <summary>Why there is no text, for people; null where there is one.</summary>
    public required string? Problem { get; init; }

    public const int ProblemLengthMax = 500;

    /// <summary>As <see cref="AuditText.Id"/> in the report.</summary>
    public AuditTextId TextId => new(PromptId, Side, Ordinal);
}

/// <summary>A text's id in a report of the portal: "PROMPT/audited/0".</summary>
public readonly record struct AuditTextId(PromptId PromptId, AuditSide Side, int Ordinal)
{
    /// <inheritdoc/>
    public override string ToString() => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{PromptId}/{(Side is AuditSide.Audited ? "audited" : "base")}/{Ordinal}");

    /// <summary>Reads an id; null when it is none.</summary>
    public static AuditTextId? Parse(string? text) =>
        text?.Split('/') is [var prompt, "audited" or "base", var ordinal] parts && Guid.TryParse(prompt, out var id)
        && int.TryParse(ordinal, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out var number)
            ? new AuditTextId(new PromptId(id), parts[1] == "audited" ? AuditSide.Audited : AuditSide.Base, number)
            : null;
}
