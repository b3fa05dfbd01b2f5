using System.Globalization;
using System.Text;
using CsvHelper;
using Portal.Data;

namespace Portal.Engine.Datasets.Formats;

/// <summary>
/// Writes rows as CSV for people and spreadsheets: <c>id, kind, prompt, response_a, response_b, verdict, strength, annotator, source</c>.
/// </summary>
/// <remarks>
/// A spreadsheet runs a cell that begins with = + - @ or a tab as a formula, and the texts are strangers': such cells get a leading apostrophe. So this format is
/// not lossless; the report counts the cells that were changed. Prompts of several turns are written as a transcript.
/// </remarks>
public static class CsvExport
{
    private static readonly string[] Header = ["id", "kind", "prompt", "response_a", "response_b", "verdict", "strength", "annotator", "source"];

    /// <summary>Writes a header and one record a row. Does not own the stream.</summary>
    public static ExportReport Write(Stream target, IEnumerable<ExportRow> rows, CancellationToken stop)
    {
        var counter = new ExportCounter();
        using var csv = CsvWriter.Create(target, new CsvWriterOptions { HasHeader = false, NewLine = "\n", Injection = CsvInjection.None }, leaveOpen: true);
        foreach (string name in Header) csv.WriteField(name);
        csv.EndRecord();
        foreach (ExportRow given in rows)
        {
            stop.ThrowIfCancellationRequested();
            counter.Given();
            if (ExportCounter.NeverExported(given) is { } reason)
            {
                counter.Drop(given.Id, reason);
                continue;
            }

            ParsedRow row = given.Row;
            foreach (string cell in Cells(given))
            {
                string safe = SpreadsheetCell.Guard(cell);
                if (safe.Length != cell.Length) counter.NotCarried("leading = + - @ or control sign (apostrophe put before it)");
                csv.WriteField(JsonText.WellFormed("cell of row " + given.Id, safe));
            }

            csv.EndRecord();
            if (row.Extra.Count > 0) counter.NotCarried("extra columns");
            if (row.Margin is not null) counter.NotCarried("margin");
            if (row.FirstShownLeft is not null) counter.NotCarried("presented_left");
            counter.Written(1);
        }

        csv.Flush();
        return counter.Report();
    }

    private static string[] Cells(ExportRow given)
    {
        ParsedRow row = given.Row;
        string verdict = row.Pair is { } pair ? PortalWords.Of(pair) : row.Binary is { } binary ? PortalWords.Of(binary) : "";
        return
        [
            given.Id, Kind(row.Kind), PromptText(row.Prompt), row.Responses.Count > 0 ? row.Responses[0] : "", row.Responses.Count > 1 ? row.Responses[1] : "",
            verdict, row.Strength?.ToString(CultureInfo.InvariantCulture) ?? "", row.Annotator ?? "", row.Source ?? "",
        ];
    }

    private static string Kind(RowKind kind) => kind switch
    {
        RowKind.Prompt => "prompt",
        RowKind.UnlabelledPair => "pair",
        RowKind.Preference => "pairwise",
        RowKind.Binary => "binary",
    };

    private static string PromptText(IReadOnlyList<Message> prompt)
    {
        if (prompt.Count == 1) return prompt[0].Text;
        var text = new StringBuilder();
        foreach (Message message in prompt)
            text.Append("\n\n").Append(message.Role switch { MessageRole.User => "Human", MessageRole.Assistant => "Assistant", MessageRole.System => "System", MessageRole.Tool => "Tool" }).Append(": ").Append(message.Text);
        return text.ToString();
    }
}
