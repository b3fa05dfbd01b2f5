using System.Globalization;
using System.Text;

namespace Portal.Engine.TinyAssistant.Story;

/// <summary>One row of the story's table.</summary>
/// <param name="Report">Null for a station that was not reached.</param>
/// <param name="Seconds">How long the station took.</param>
public sealed record StoryRow(string Part, string Station, StationReport? Report, double Seconds)
{
    /// <summary>The station did its work.</summary>
    public bool IsDone => Report is { Problem: null };
}

/// <summary>Writes the rows as one Markdown table.</summary>
public static class StoryTable
{
    /// <summary>The table and a last line that says how it went.</summary>
    /// <param name="command">The command that makes this table again.</param>
    public static string Markdown(string command, IReadOnlyList<StoryRow> rows)
    {
        var text = new StringBuilder("| station | what happened | number | 95 % interval | n | seconds | from |\n|---|---|---|---|---|---|---|\n");
        foreach (var row in rows)
        {
            var number = row.Report?.Number;
            var interval = number is { Low: { } low, High: { } high } ? $"{Number(low)} to {Number(high)}" : "–";
            text.Append(CultureInfo.InvariantCulture, $"| {row.Station} | {Happened(row)} | {(number is null ? "–" : $"{number.Name} {Value(number)}")} | {interval} ")
                .Append(CultureInfo.InvariantCulture, $"| {(number is null ? "–" : number.Count.ToString("N0", CultureInfo.InvariantCulture))} | {row.Seconds:F1} | {string.Join(" · ", row.Report?.From ?? [])} |\n");
        }
        var done = rows.Count(row => row.IsDone);
        text.Append(CultureInfo.InvariantCulture, $"\n{done} of {rows.Count} stations did their work in {TimeSpan.FromSeconds(Math.Round(rows.Sum(row => row.Seconds))):m\\:ss} minutes. Command: `{command}`\n");
        return text.ToString();
    }

    private static string Happened(StoryRow row) => row.Report switch
    {
        null => "not reached",
        { Problem: { } problem } report => $"**FAILED: {problem}** {report.Happened}".TrimEnd(),
        { } report => report.Happened,
    };

    /// <summary>What is counted is whole, what is measured has three places.</summary>
    private static string Value(StationNumber number) =>
        number.Low is null && number.Value == Math.Floor(number.Value) ? number.Value.ToString("N0", CultureInfo.InvariantCulture) : Number(number.Value);

    private static string Number(double value) => value.ToString("F3", CultureInfo.InvariantCulture);
}
