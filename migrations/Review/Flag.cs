namespace Portal.Data.Review;

/// <summary>Somebody says that a response must be looked at.</summary>
public sealed class Flag
{
    public const int NoteLengthMax = 4_000;

    public required FlagId Id { get; init; }
    public required ProjectId ProjectId { get; init; }
    public required ResponseId ResponseId { get; init; }

    /// <summary>Who flagged, by pseudonym.</summary>
    public required AnnotatorId AnnotatorId { get; init; }

    public required FlagReason Reason { get; init; }

    /// <summary>The words beside the reason; null when none were given.</summary>
    public ContentId? NoteId { get; init; }

    /// <summary>The page it was flagged on: "annotate", "results", "review".</summary>
    public required string Place { get; init; }

    public required DateTimeOffset At { get; init; }
    public FlagState State { get; private set; } = FlagState.Open;
    public Guid? ClosedBy { get; private set; }
    public DateTimeOffset? ClosedAt { get; private set; }

    /// <summary>A reviewer has decided.</summary>
    public void Close(FlagState state, Guid by, DateTimeOffset at)
    {
        if (state is FlagState.Open)
            throw new ArgumentException("Closing a flag needs a decision.", nameof(state));
        (State, ClosedBy, ClosedAt) = (state, by, at);
    }
}

/// <summary>Why a response was flagged.</summary>
public enum FlagReason { Insult = 1, Unsafe = 2, WrongFacts = 3, Private = 4, Nonsense = 5, Other = 6 }

/// <summary>Where a flag stands.</summary>
public enum FlagState { Open = 1, Confirmed = 2, Dismissed = 3 }
