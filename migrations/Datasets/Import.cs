namespace Portal.Data.Datasets;

/// <summary>
/// One file brought into a project. Its rows are staged in batches and become visible by one change of <see cref="State"/>, so that a
/// half-read file is never seen.
/// </summary>
public sealed class Import
{
    public required ImportId Id { get; init; }
    public required ProjectId ProjectId { get; init; }
    public required string FileName { get; init; }
    public required string Format { get; init; }
    public required bool AllOrNothing { get; init; }
    public required Guid By { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
    public ImportState State { get; private set; } = ImportState.Staging;
    public int RowsRead { get; private set; }
    public int RowsAccepted { get; private set; }
    public int RowsRejected { get; private set; }
    public int RowsDuplicate { get; private set; }

    /// <summary>Why the import failed; null otherwise.</summary>
    public string? FailReason { get; private set; }

    public DateTimeOffset? FinishedAt { get; private set; }

    public void Count(int read, int accepted, int rejected, int duplicate) =>
        (RowsRead, RowsAccepted, RowsRejected, RowsDuplicate) = (read, accepted, rejected, duplicate);

    /// <summary>The flip: all rows of this import are shown from now on.</summary>
    public void MakeVisible(DateTimeOffset at) => (State, FinishedAt) = (ImportState.Visible, at);

    /// <summary>Nothing of this import will be shown; its staged rows are removed.</summary>
    public void Fail(string reason, DateTimeOffset at) => (State, FailReason, FinishedAt) = (ImportState.Failed, reason, at);
}

/// <summary>Where an import stands.</summary>
public enum ImportState { Staging = 1, Visible = 2, Failed = 3 }

/// <summary>One row that was not taken, and why.</summary>
public sealed class ImportProblem
{
    public long Id { get; init; }
    public required ImportId ImportId { get; init; }
    public required int Row { get; init; }
    public required string Field { get; init; }
    public required string Reason { get; init; }
}
