using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Portal.Data.Serving;
using Portal.Data.Storage;
using Portal.Engine.Datasets.Formats;

namespace Portal.Engine.Serving;

/// <summary>The door that looks at an uploaded file before it is imported. Needs no model.</summary>
internal static class PreviewImport
{
    public static async Task Handle(HttpContext http)
    {
        var request = await EngineHttp.Read<ImportPreviewRequest>(http, http.RequestAborted);
        var path = Path.Combine(http.RequestServices.GetRequiredService<DataDirectory>().Uploads, request.Upload ?? "");
        if (string.IsNullOrEmpty(request.Upload) || Path.GetFileName(request.Upload) != request.Upload || !File.Exists(path))
            throw new DoorRefusal(StatusCodes.Status404NotFound, "There is no such upload. Upload the file again.", "upload");
        ImportOptions options;
        try
        {
            options = new ImportOptions { Format = FormatNames.Parse(request.Format ?? ""), Mapping = FormatNames.Mapping(request.Columns ?? new Dictionary<string, string>()) };
            if (options is { Format: ImportFormat.MappedColumns, Mapping: null })
                throw new FormatException("The format \"columns\" needs a mapping of columns.");
        }
        catch (FormatException e)
        {
            throw new DoorRefusal(StatusCodes.Status400BadRequest, e.Message, "format");
        }
        await using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 16);
        var preview = ImportReader.Preview(file, request.FileName ?? request.Upload, options, http.RequestAborted);
        await EngineHttp.Answer(http, new ImportPreviewResponse(
            preview.Format is { } format ? FormatNames.Of(format) : null, preview.Why, preview.Container is { } container ? Snake($"{container}") : null,
            preview.Columns, preview.ExtraColumns, preview.SuggestedMapping is { } mapping ? FormatNames.Columns(mapping) : null,
            [.. preview.Rows.Select(RowOf), .. preview.Records.Select((r, i) => RecordOf(i + 1, r))],
            [.. preview.Problems.Select(ProblemOf)], preview.RowsSeen, preview.Refused, preview.Duplicates, preview.Complete,
            preview.Failure is { } failure ? ProblemOf(failure) : null, FormatNames.All));
    }

    private static PreviewRow RowOf(ParsedRow row) => new(row.RowNumber,
        row.Kind switch { RowKind.Prompt => "prompt", RowKind.UnlabelledPair => "pair", RowKind.Preference => "preference", RowKind.Binary => "binary" },
        Cut(string.Join("\n\n", row.Prompt.Select(m => row.Prompt.Count == 1 ? m.Text : $"{m.Role}: {m.Text}"))), [.. row.Responses.Select(Cut)],
        row.Pair is { } pair ? Snake($"{pair}") : row.Binary is { } binary ? Snake($"{binary}") : null, row.Strength, row.Annotator);

    private static PreviewRow RecordOf(long row, PortalRecord record) => record switch
    {
        PromptRecord prompt => new(row, "prompt", Cut(string.Join("\n\n", prompt.Messages.Select(m => m.Text))), [], null, null, null),
        ResponseRecord response => new(row, "response", "", [Cut(response.Text)], null, null, null),
        PairwiseRecord judgement => new(row, "pairwise", "", [], Snake($"{judgement.Verdict}"), judgement.Strength, judgement.Annotator),
        BinaryRecord judgement => new(row, "binary", "", [], Snake($"{judgement.Verdict}"), null, judgement.Annotator),
        _ => new(row, record.Type, "", [], null, null, null),
    };

    private static PreviewProblem ProblemOf(RowProblem problem) => new(problem.Row, problem.Field, problem.Reason);

    private static string Snake(string word) => JsonNamingPolicy.SnakeCaseLower.ConvertName(word);

    private static string Cut(string text)
    {
        if (text.Length <= PreviewRow.TextLengthMax)
            return text;
        // Not between the halves of a surrogate pair.
        var length = char.IsHighSurrogate(text[PreviewRow.TextLengthMax - 1]) ? PreviewRow.TextLengthMax - 1 : PreviewRow.TextLengthMax;
        return text[..length] + " ...";
    }
}
