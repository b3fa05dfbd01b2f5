namespace Portal.Data.Review;

/// <summary>Somebody, or a judge model, says that a response must be looked at.</summary>
/// <remarks>
/// Open flags on equal texts of a project share <see cref="AlikeKey"/> and stand in the queue as one row. A reviewer may take a flag
/// (<see cref="AssignTo"/>), which keeps others from taking it and from nothing else: any reviewer may decide. A flag that is held
/// (<see cref="Hold"/>) is confirmed by two reviewers; one is enough to dismiss it.
/// </remarks>
public sealed class Flag
{
    public const int NoteLengthMax = 4_000;
    public const int PreferredLengthMax = 8_000;
    public const int AlikeKeyLengthMax = 64;

    /// <summary>For so long a flag stays with whoever took it; then another reviewer may take it over.</summary>
    public static readonly TimeSpan AssignedFor = TimeSpan.FromHours(24);

    public required FlagId Id { get; init; }
    public required ProjectId ProjectId { get; init; }
    public required ResponseId ResponseId { get; init; }

    /// <summary>Who flagged, by pseudonym; of a suggested flag who asked for suggestions.</summary>
    public required AnnotatorId AnnotatorId { get; init; }

    public required FlagReason Reason { get; init; }
    public FlagSeverity Severity { get; init; } = FlagSeverity.Medium;

    /// <summary>The words beside the reason; null when none were given.</summary>
    public ContentId? NoteId { get; init; }

    /// <summary>The answer that the person would have wanted; null when none was given. A comparison may use it as its reference.</summary>
    public ContentId? PreferredId { get; init; }

    /// <summary>The page it was flagged on: "annotate", "results", "review".</summary>
    public required string Place { get; init; }

    /// <summary>The policy that wrote the response; null where that is not known (imported texts, endpoints).</summary>
    public ModelVersionId? ModelVersionId { get; init; }

    public FlagSource Source { get; init; } = FlagSource.Person;

    /// <summary>The reward model that judged the response; null for flags of people.</summary>
    public ModelVersionId? SuggestedById { get; init; }

    /// <summary>Equal for flags on texts that read alike (<see cref="AlikeText"/>); the response's id where none is given, which makes flags on one response alike.</summary>
    public string AlikeKey { get => field ?? ResponseId.ToString(); init; }

    public required DateTimeOffset At { get; init; }
    public FlagState State { get; private set; } = FlagState.Open;

    /// <summary>The reviewer who took it; null while nobody has.</summary>
    public Guid? AssignedTo { get; private set; }
    public DateTimeOffset? AssignedAt { get; private set; }

    /// <summary>When a reviewer first opened, took or decided it; null before.</summary>
    public DateTimeOffset? FirstLookAt { get; private set; }

    /// <summary>Why two reviewers must confirm it; none for most.</summary>
    public FlagHold Held { get; private set; }

    /// <summary>The first of the two reviewers who must confirm a held flag; null before, and for all others.</summary>
    public Guid? ConfirmedFirstBy { get; private set; }

    public Guid? ClosedBy { get; private set; }
    public DateTimeOffset? ClosedAt { get; private set; }

    /// <summary>Guards against two reviewers at once.</summary>
    public int RowVersion { get; private set; }

    /// <summary>A reviewer looks at it; only the first look is kept.</summary>
    public void Look(DateTimeOffset at)
    {
        if (FirstLookAt is not null)
            return;
        FirstLookAt = at;
        RowVersion++;
    }

    /// <summary>A reviewer takes it; taking it again renews the time.</summary>
    /// <returns>Why not; null when it is theirs now.</returns>
    public Problem? AssignTo(Guid reviewer, DateTimeOffset at)
    {
        if (State is not FlagState.Open)
            return new Problem("flag", "This flag is decided; there is nothing left to take.", ProblemKind.Conflict);
        if (AssignedTo is { } other && other != reviewer && at < AssignedAt + AssignedFor)
            return new Problem("flag", "Another reviewer took this flag while you looked. You may still decide it; to take it, ask them to release it.", ProblemKind.Conflict);
        FirstLookAt ??= at;
        (AssignedTo, AssignedAt) = (reviewer, at);
        RowVersion++;
        return null;
    }

    /// <summary>Whoever took it gives it back.</summary>
    /// <returns>Why not; null when nobody has it now.</returns>
    public Problem? Release(Guid reviewer)
    {
        if (AssignedTo is { } other && other != reviewer)
            return new Problem("flag", "This flag is with another reviewer now; only they can release it.", ProblemKind.Conflict);
        (AssignedTo, AssignedAt) = (null, null);
        RowVersion++;
        return null;
    }

    /// <summary>From now on two reviewers must confirm it. A reason once given stays.</summary>
    public void Hold(FlagHold why)
    {
        if (Held is not FlagHold.None || State is not FlagState.Open)
            return;
        Held = why;
        RowVersion++;
    }

    /// <summary>A reviewer decides. Deciding the same again changes nothing.</summary>
    /// <returns>True when it is closed; false when it was held and waits for a second reviewer now; or why it cannot be decided so.</returns>
    public Outcome<bool> Decide(FlagState decision, Guid by, DateTimeOffset at)
    {
        if (decision is FlagState.Open)
            throw new ArgumentException("Closing a flag needs a decision.", nameof(decision));
        if (State == decision)
            return true;
        if (State is not FlagState.Open)
            return new Problem("flag", "Somebody else decided otherwise in the meantime. Reload to see what.", ProblemKind.Conflict);
        if (decision is FlagState.Confirmed && Held is not FlagHold.None)
        {
            if (ConfirmedFirstBy == by)
                return new Problem("flag", "This flag is held: you have confirmed it, and a second reviewer must confirm it too.", ProblemKind.Conflict);
            if (ConfirmedFirstBy is null)
            {
                FirstLookAt ??= at;
                ConfirmedFirstBy = by;
                RowVersion++;
                return false;
            }
        }
        Close(decision, by, at);
        return true;
    }

    /// <summary>A decision, whoever it needed: for imports and <see cref="Decide"/>.</summary>
    public void Close(FlagState state, Guid by, DateTimeOffset at)
    {
        if (state is FlagState.Open)
            throw new ArgumentException("Closing a flag needs a decision.", nameof(state));
        FirstLookAt ??= at;
        (State, ClosedBy, ClosedAt) = (state, by, at);
        RowVersion++;
    }
}

/// <summary>Why a response was flagged. Numbers are stored: new reasons go behind.</summary>
public enum FlagReason { Insult = 1, Unsafe = 2, WrongFacts = 3, Private = 4, Nonsense = 5, Other = 6, RefusesForNoReason = 7, Flattery = 8, Slogan = 9 }

/// <summary>How bad it is.</summary>
public enum FlagSeverity { Low = 1, Medium = 2, High = 3 }

/// <summary>Who flagged: a person, or a judge model whose suggestion a reviewer must confirm.</summary>
public enum FlagSource { Person = 1, Suggested = 2 }

/// <summary>Why a flag is held: four and more by one person within minutes, or of one reason within a day by a person whose flags are seldom confirmed.</summary>
public enum FlagHold { None = 0, Burst = 1, Pattern = 2 }

/// <summary>Where a flag stands.</summary>
public enum FlagState { Open = 1, Confirmed = 2, Dismissed = 3 }
