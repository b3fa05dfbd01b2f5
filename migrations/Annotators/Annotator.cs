namespace Portal.Data.Annotators;

/// <summary>Who judges, known by pseudonym only.</summary>
public sealed class Annotator
{
    public required AnnotatorId Id { get; init; }

    /// <summary>Unique, shown to admins and in exports: "heron-12", "sim-07", or the name a file gave.</summary>
    public required string Pseudonym { get; init; }

    /// <summary>True for the demo world's simulated annotators.</summary>
    public bool IsSimulated { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }
}

/// <summary>
/// Which account stands behind which pseudonym. A table of its own: dropping the row makes the judgements anonymous without touching them.
/// </summary>
public sealed class AnnotatorAccount
{
    public required Guid AccountId { get; init; }
    public required AnnotatorId AnnotatorId { get; init; }
}
