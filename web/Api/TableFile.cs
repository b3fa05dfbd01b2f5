using System.Globalization;
using System.Text;
using System.Text.Json;
using Portal.Data;

namespace Portal.Web.Api;

/// <summary>A table as a file.</summary>
/// <param name="Name">Of the file, without extension.</param>
/// <param name="Columns">Names of the columns, "snake_case".</param>
/// <param name="Rows">Cells in the order of the columns: text, whole numbers, numbers, truth values, or null.</param>
public sealed record TableFile(string Name, IReadOnlyList<string> Columns, IAsyncEnumerable<IReadOnlyList<object?>> Rows)
{
    /// <summary>A table that is at hand.</summary>
    public static TableFile Of(string name, IReadOnlyList<string> columns, IEnumerable<IReadOnlyList<object?>> rows) => new(name, columns, rows.ToAsyncEnumerable());
}

/// <summary>Writes tables as CSV (RFC 4180, UTF-8) or as a JSON array of objects, row by row: the whole table is never in memory.</summary>
public static class TableFiles
{
    /// <summary>The file, or the refusal as JSON.</summary>
    /// <param name="format">"csv" or "json"; routes allow no other.</param>
    public static IResult ToFile(this Outcome<TableFile> outcome, string format) => outcome.Refusal is not null ? outcome.ToResult()
        : format == "json" ? Results.Stream(stream => WriteJson(outcome.Value, stream), "application/json", outcome.Value.Name + ".json")
        : Results.Stream(stream => WriteCsv(outcome.Value, stream), "text/csv; charset=utf-8", outcome.Value.Name + ".csv");

    internal static async Task WriteCsv(TableFile table, Stream stream)
    {
        await using var writer = new StreamWriter(stream, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false), 16_384, leaveOpen: true) { NewLine = "\r\n" };
        await writer.WriteLineAsync(string.Join(',', table.Columns));
        await foreach (var row in table.Rows)
            await writer.WriteLineAsync(string.Join(',', row.Select(Cell)));
    }

    internal static async Task WriteJson(TableFile table, Stream stream)
    {
        await using var writer = new Utf8JsonWriter(stream);
        writer.WriteStartArray();
        await foreach (var row in table.Rows)
        {
            writer.WriteStartObject();
            for (var index = 0; index < table.Columns.Count; index++)
            {
                writer.WritePropertyName(table.Columns[index]);
                Write(writer, row[index]);
            }
            writer.WriteEndObject();
            if (writer.BytesPending > 65_536)
                await writer.FlushAsync();
        }
        writer.WriteEndArray();
    }

    /// <summary>By hand: the serializer would flush after each cell, in a way that a response does not allow. What is no finite number is null, for JSON has no word for it.</summary>
    private static void Write(Utf8JsonWriter writer, object? cell)
    {
        switch (cell)
        {
            case string text:
                writer.WriteStringValue(text);
                break;
            case bool truth:
                writer.WriteBooleanValue(truth);
                break;
            case int number:
                writer.WriteNumberValue(number);
                break;
            case long number:
                writer.WriteNumberValue(number);
                break;
            case double number when double.IsFinite(number):
                writer.WriteNumberValue(number);
                break;
            case null or double:
                writer.WriteNullValue();
                break;
            default:
                throw new ArgumentException($"A cell holds a {cell.GetType().Name}; files hold texts, numbers and truth values.", nameof(cell));
        }
    }

    /// <summary>Numbers as they are; texts quoted where they must be, and never such that a spreadsheet takes them for a formula.</summary>
    private static string Cell(object? value)
    {
        if (value is not string text)
            return value is null ? "" : value is bool truth ? truth ? "true" : "false" : Convert.ToString(value, CultureInfo.InvariantCulture) ?? "";
        text = SpreadsheetCell.Guard(text);
        return text.AsSpan().IndexOfAny(",\"\r\n") >= 0 ? $"\"{text.Replace("\"", "\"\"", StringComparison.Ordinal)}\"" : text;
    }
}
