namespace Portal.Data;

/// <summary>What a second person's decision must be, whatever it is about.</summary>
internal static class FourEyes
{
    /// <summary>What is wrong with deciding; null when nothing is.</summary>
    /// <param name="isWaiting">Nobody decided yet.</param>
    /// <param name="note">Their words.</param>
    /// <param name="noteLengthMax">How many characters of them are kept.</param>
    public static Problem? Check(bool isWaiting, Guid requestedBy, Guid by, string? note, int noteLengthMax)
    {
        if (!isWaiting)
            return new Problem("", "Somebody decided about this request already.", ProblemKind.Conflict);
        if (by == requestedBy)
            return new Problem("", "A second person decides about what you asked for.", ProblemKind.Forbidden);
        return note?.Length > noteLengthMax ? new Problem("note", $"The note has {note.Length} characters, at most {noteLengthMax} are kept.") : null;
    }

    /// <summary>A note without spaces around it; null for none.</summary>
    public static string? Words(string? note) => note?.Trim() is { Length: > 0 } words ? words : null;

    /// <summary>A refusal has words.</summary>
    public static Problem Wordless { get; } = new("note", "Say in a few words why you refuse it, so that whoever asked knows.");
}
