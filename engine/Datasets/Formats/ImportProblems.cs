namespace Portal.Engine.Datasets.Formats;

/// <summary>Why one row, or one field of it, could not be taken over.</summary>
/// <param name="File">The file's name as the person gave it.</param>
/// <param name="Row">1-based, counted as <see cref="ParsedRow.RowNumber"/>; 0 where the whole file is meant.</param>
/// <param name="Field">The column, or null where no single column is at fault.</param>
/// <param name="Reason">One sentence: what is wrong, and where it helps, what to do.</param>
public sealed record RowProblem(string File, long Row, string? Field, string Reason)
{
    /// <summary>For people: "votes.jsonl, row 12, `chosen`: is empty."</summary>
    public override string ToString() =>
        File + (Row > 0 ? $", row {Row}" : "") + (Field is null ? "" : $", `{Field}`") + ": " + Reason;
}

/// <summary>
/// What became of one row: exactly one of <see cref="Parsed"/> and <see cref="Record"/> is set, or <see cref="Problems"/> says why none is.
/// </summary>
/// <param name="Row">1-based, counted as <see cref="ParsedRow.RowNumber"/>.</param>
/// <param name="Parsed">The row in neutral form; null for refused rows and for the portal's own JSONL.</param>
/// <param name="Record">A line of the portal's own JSONL; null for every other format.</param>
/// <param name="Problems">Empty exactly when the row was accepted.</param>
/// <param name="DuplicateOf">The earlier row of this file that says the same; null where there is none. The row is still accepted: the caller decides.</param>
public sealed record RowOutcome(long Row, ParsedRow? Parsed, PortalRecord? Record, IReadOnlyList<RowProblem> Problems, long? DuplicateOf)
{
    /// <summary>Whether the row can be stored.</summary>
    public bool Accepted => Problems.Count == 0;
}

/// <summary>
/// The file as a whole cannot be read on from here: not a format we know, cut short, too large. The only exception that reading
/// a file's content throws; rows before it were good, so whoever imports all-or-nothing must undo them.
/// </summary>
public sealed class CannotImportException(RowProblem problem, Exception? inner = null) : Exception(problem.ToString(), inner)
{
    /// <summary>File, row and field of what went wrong.</summary>
    public RowProblem Problem { get; } = problem;
}
