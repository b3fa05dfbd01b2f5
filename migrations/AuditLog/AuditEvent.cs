namespace Portal.Data.AuditLog;

/// <summary>
/// Who did what. Each row's hash covers the row and the hash of the one before it, so that a changed, removed or inserted row breaks the
/// chain; `./run audit-verify` walks it.
/// </summary>
public sealed class AuditEvent
{
    /// <summary>1, 2, 3 ... without gaps.</summary>
    public required long Sequence { get; init; }

    public required DateTimeOffset At { get; init; }

    /// <summary>The account that acted; null when the system did.</summary>
    public required Guid? Actor { get; init; }

    /// <summary>What was done, as "noun.verb": "model.release", "account.disable", "import.finish".</summary>
    public required string Action { get; init; }

    /// <summary>The kind and id of what it was done to.</summary>
    public required string EntityKind { get; init; }
    public required string EntityId { get; init; }

    /// <summary>What else matters, as JSON: ids, counts, keyed hashes; never a text that may have to be erased.</summary>
    public required string PayloadJson { get; init; }

    /// <summary>Hash of the row before, hex; 64 zeros for the first.</summary>
    public required string PreviousHash { get; init; }

    /// <summary>SHA-256 over all fields above, hex.</summary>
    public required string Hash { get; init; }
}
