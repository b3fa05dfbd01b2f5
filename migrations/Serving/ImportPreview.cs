namespace Portal.Data.Serving;

/// <summary>POST /v1/import-preview: how an uploaded file would arrive, before anybody decides.</summary>
/// <param name="Upload">Name of the staged upload below the data directory's uploads folder.</param>
/// <param name="FileName">The name the person's file had, for messages.</param>
/// <param name="Format">A name of <see cref="ImportPreviewResponse.Formats"/>; null or "auto" finds it out.</param>
/// <param name="Columns">Our field to the file's column; null where nothing is mapped.</param>
public sealed record ImportPreviewRequest(string Upload, string FileName, string? Format, IReadOnlyDictionary<string, string>? Columns)
{
    public const string Route = "/v1/import-preview";
}

/// <summary>What the first rows of the file are taken for.</summary>
/// <param name="Format">The format found or chosen; null where none fits.</param>
/// <param name="Why">Why this format, in one sentence.</param>
/// <param name="Container">"json_lines", "json_array" or "csv"; null where the file could not be read.</param>
/// <param name="Columns">The columns of the rows looked at, in order of appearance.</param>
/// <param name="ExtraColumns">Columns that the format does not claim.</param>
/// <param name="SuggestedColumns">A mapping where no format fits: our field to the file's column; null where there is none.</param>
/// <param name="Rows">The first accepted rows.</param>
/// <param name="Problems">Of the rows looked at, the first hundred.</param>
/// <param name="RowsSeen">Rows looked at.</param>
/// <param name="IsComplete">Whether that is the whole file.</param>
/// <param name="Failure">Why the file as a whole cannot be imported as it is; null where it can.</param>
/// <param name="Formats">Every format name that can be chosen.</param>
public sealed record ImportPreviewResponse(string? Format, string Why, string? Container, IReadOnlyList<string> Columns,
    IReadOnlyList<string> ExtraColumns, IReadOnlyDictionary<string, string>? SuggestedColumns, IReadOnlyList<PreviewRow> Rows,
    IReadOnlyList<PreviewProblem> Problems, long RowsSeen, long Refused, long Duplicates, bool IsComplete, PreviewProblem? Failure,
    IReadOnlyList<string> Formats);

/// <summary>One row as it would arrive; texts are cut to <see cref="TextLengthMax"/> characters.</summary>
/// <param name="Kind">"prompt", "pair", "preference", "binary", or the type of a line of the portal's own format.</param>
/// <param name="Verdict">In words ("first_better", "good"); null where there is none.</param>
public sealed record PreviewRow(long Row, string Kind, string Prompt, IReadOnlyList<string> Responses, string? Verdict, int? Strength, string? Annotator)
{
    public const int TextLengthMax = 1_000;
}

/// <summary>A row that would not be taken.</summary>
public sealed record PreviewProblem(long Row, string? Field, string Reason);
