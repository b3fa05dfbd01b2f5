namespace Portal.Data.Datasets;

using Portal.Data.Feedback;

/// <summary>
/// The judgements a model was trained on, frozen: which rows, under which rules, split by prompt. Changed after it is made by an erasure only, which takes rows out, counts them and seals the rest anew; its proof holds both hashes.
/// </summary>
public sealed class DatasetVersion
{
    public required DatasetVersionId Id { get; init; }
    public required ProjectId ProjectId { get; init; }

    /// <summary>1, 2, 3 ... within the project.</summary>
    public required int Number { get; init; }

    public required TaskKind Kind { get; init; }

    /// <summary>The rules that chose and labelled the rows (<see cref="JobSpecs.DatasetRules"/> as JSON).</summary>
    public required string RulesJson { get; init; }

    /// <summary>SHA-256 over the header and all rows in order, hex. Holds keyed hashes of texts only.</summary>
    public required string ManifestHash { get; init; }

    public required int RowsTrain { get; init; }
    public required int RowsHeldOut { get; init; }
    public required int PromptsTrain { get; init; }
    public required int PromptsHeldOut { get; init; }

    /// <summary>Judgements seen but not used, by reason ("tie": 31, "surplus": 2 ...), as JSON.</summary>
    public required string DroppedJson { get; init; }

    /// <summary>How many of the used judgements were simulated.</summary>
    public required int RowsSimulated { get; init; }

    /// <summary>Rows that erasures took out; the other counts are of those that are left.</summary>
    public int RowsErased { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }
    public required JobId? JobId { get; init; }
}

/// <summary>One row of a manifest.</summary>
public sealed class DatasetRow
{
    public required DatasetVersionId DatasetVersionId { get; init; }
    public required int Ordinal { get; init; }
    public required JudgementId JudgementId { get; init; }
    public required PromptId PromptId { get; init; }
    public required DatasetPart Part { get; init; }

    /// <summary>The better response (pairwise) or the judged one (binary).</summary>
    public required ResponseId ChosenId { get; init; }

    /// <summary>The other response; null for binary rows.</summary>
    public required ResponseId? RejectedId { get; init; }

    /// <summary>Binary rows: whether it was good. Null for pairwise rows.</summary>
    public required bool? Label { get; init; }

    /// <summary>The margin from the strength of the vote; null where none is known.</summary>
    public required double? Margin { get; init; }

    /// <summary>Trust in the vote, 1 by default.</summary>
    public required double Weight { get; init; }

    /// <summary>The released request by which the row is not as it was judged: turned round, or of less weight. Null for nearly all.</summary>
    public UnlearningRequestId? ChangedBy { get; init; }

    /// <summary>Keyed hash of prompt and response hashes, so that a changed text is noticed.</summary>
    public required string ContentHash { get; init; }
}

/// <summary>Parts of a dataset version; a prompt is in one only.</summary>
public enum DatasetPart { Train = 1, HeldOut = 2 }
