namespace Portal.Data.JobSpecs;

/// <summary>Brings an uploaded file into a project.</summary>
public sealed record ImportData : JobSpec
{
    public required ImportId ImportId { get; init; }

    /// <summary>Name of the staged upload below the data directory, chosen by the portal.</summary>
    public required string Upload { get; init; }

    /// <summary>The name the person's file had, for messages.</summary>
    public required string FileName { get; init; }

    /// <summary>Format as detected or chosen on the preview ("auto", "trl-preference", "hh-rlhf", "columns", ...).</summary>
    public required string Format { get; init; }

    /// <summary>Our field to the file's column, for CSV and unusual JSON; empty where the format's own names hold.</summary>
    public IReadOnlyDictionary<string, string> Columns { get; init; } = new Dictionary<string, string>();

    /// <summary>True: one bad row and nothing is taken. False: bad rows are skipped and listed.</summary>
    public bool AllOrNothing { get; init; }
}

/// <summary>Writes a project's judgements to a file for download.</summary>
public sealed record ExportData : JobSpec
{
    /// <summary>"portal" (lossless), "trl-preference", "trl-unpaired" or "csv".</summary>
    public required string Format { get; init; }
}
