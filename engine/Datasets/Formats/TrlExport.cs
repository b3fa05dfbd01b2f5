using System.Text.Json;

namespace Portal.Engine.Datasets.Formats;

/// <summary>How TRL files are written.</summary>
public sealed record TrlExportOptions
{
    /// <summary>Messages (the default; every prompt fits) or plain text (only prompts of one user turn do).</summary>
    public bool Conversational { get; init; } = true;

    /// <summary>Write <c>annotator, strength, margin, presented_left, source</c> and the row's own extra columns beside TRL's; TRL ignores them. Default on.</summary>
    public bool ExtraColumns { get; init; } = true;

    /// <summary>Unpaired only: a pair becomes two lines, chosen true and rejected false, as TRL does it itself. Default off.</summary>
    public bool SplitPairs { get; init; }
}

/// <summary>Writes TRL's preference and unpaired JSONL from judgements, and reports what these formats cannot carry.</summary>
/// <remarks>
/// Ties, both good, both bad, cannot judge, superseded and withdrawn rows have no place in either; unsure has none in unpaired. In text form, prompts of several turns
/// have none. Every dropped row is counted under its reason. Importing a preference file again gives the same prompts, pairs and strengths.
/// </remarks>
public static class TrlExport
{
    /// <summary>Writes <c>{"prompt","chosen","rejected", …}</c> lines. Does not own the stream.</summary>
    /// <exception cref="ArgumentException">A text holds half a surrogate pair; the message names the row's id.</exception>
    public static ExportReport WritePreference(Stream target, IEnumerable<ExportRow> rows, TrlExportOptions options, CancellationToken stop)
    {
        var counter = new ExportCounter();
        foreach (ExportRow given in rows)
        {
            stop.ThrowIfCancellationRequested();
            counter.Given();
            ParsedRow row = given.Row;
            string? reason = ExportCounter.NeverExported(given)
                ?? (row.Kind is RowKind.Preference or RowKind.UnlabelledPair ? ExportCounter.NoPreference(row.Pair) : row.Kind == RowKind.Binary ? "judgement of one response, not a pair" : "prompt without responses")
                ?? Unwritable(row, options);
            if (reason is not null)
            {
                counter.Drop(given.Id, reason);
                continue;
            }

            WriteLine(target, given.Id, json =>
            {
                WritePrompt(json, row, options);
                WriteResponse(json, "chosen", row.Chosen!, options); // not null: NoPreference
                WriteResponse(json, "rejected", row.Rejected!, options); // likewise
                if (!options.ExtraColumns) return;
                WriteExtras(json, row, ["prompt", "chosen", "rejected", "tie"]);
                bool firstChosen = row.Pair == PairVerdict.FirstBetter;
                if (row.FirstShownLeft is bool firstLeft) json.WriteString("presented_left", firstLeft == firstChosen ? "chosen" : "rejected");
            });
            CountLeftOut(counter, row, options);
            counter.Written(1);
        }

        target.Flush();
        return counter.Report();
    }

    /// <summary>Writes <c>{"prompt","completion","label", …}</c> lines. Does not own the stream.</summary>
    /// <exception cref="ArgumentException">A text holds half a surrogate pair; the message names the row's id.</exception>
    public static ExportReport WriteUnpaired(Stream target, IEnumerable<ExportRow> rows, TrlExportOptions options, CancellationToken stop)
    {
        var counter = new ExportCounter();
        foreach (ExportRow given in rows)
        {
            stop.ThrowIfCancellationRequested();
            counter.Given();
            ParsedRow row = given.Row;
            string? reason = ExportCounter.NeverExported(given) ?? row.Kind switch
            {
                RowKind.Binary => row.Binary == BinaryVerdict.Unsure ? "unsure" : null,
                RowKind.Preference when options.SplitPairs => ExportCounter.NoPreference(row.Pair),
                RowKind.Preference => "judgement of a pair, not of one response",
                RowKind.UnlabelledPair => "not judged yet",
                RowKind.Prompt => "prompt without responses",
            } ?? Unwritable(row, options);
            if (reason is not null)
            {
                counter.Drop(given.Id, reason);
                continue;
            }

            (string Text, bool Good)[] lines = row.Kind == RowKind.Binary
                ? [(row.Responses[0], row.Binary == BinaryVerdict.Good)]
                : [(row.Chosen!, true), (row.Rejected!, false)]; // not null: NoPreference
            foreach ((string text, bool good) in lines)
            {
                WriteLine(target, given.Id, json =>
                {
                    WritePrompt(json, row, options);
                    WriteResponse(json, "completion", text, options);
                    json.WriteBoolean("label", good);
                    if (options.ExtraColumns) WriteExtras(json, row, ["prompt", "completion", "label", "tie"]);
                });
            }

            CountLeftOut(counter, row, options);
            if (options.ExtraColumns && row.FirstShownLeft is not null) counter.NotCarried("presented_left"); // a line of one response has no sides
            counter.Written(lines.Length);
        }

        target.Flush();
        return counter.Report();
    }

    private static string? Unwritable(ParsedRow row, TrlExportOptions options) =>
        options.Conversational || (row.Prompt.Count == 1 && row.Prompt[0].Role == MessageRole.User) ? null : "prompt of several turns, in plain text";

    private static void CountLeftOut(ExportCounter counter, ParsedRow row, TrlExportOptions options)
    {
        if (options.ExtraColumns) return;
        if (row.Annotator is not null) counter.NotCarried("annotator");
        if (row.Strength is not null) counter.NotCarried("strength");
        if (row.Margin is not null) counter.NotCarried("margin");
        if (row.FirstShownLeft is not null) counter.NotCarried("presented_left");
        if (row.Source is not null) counter.NotCarried("source");
        if (row.Extra.Count > 0) counter.NotCarried("extra columns");
    }

    private static void WriteLine(Stream target, string id, Action<Utf8JsonWriter> fill)
    {
        // A line is built apart, so that one that cannot be written leaves no half line behind.
        var line = new MemoryStream();
        try
        {
            using var json = new Utf8JsonWriter(line, PortalJsonlWriter.LineOptions);
            json.WriteStartObject();
            fill(json);
            json.WriteEndObject();
        }
        catch (ArgumentException problem)
        {
            throw new ArgumentException($"Row {id}: {problem.Message}", problem);
        }

        line.WriteByte((byte)'\n');
        line.WriteTo(target);
    }

    private static void WritePrompt(Utf8JsonWriter json, ParsedRow row, TrlExportOptions options)
    {
        if (options.Conversational) JsonText.WriteMessages(json, "prompt", row.Prompt);
        else json.WriteString("prompt", JsonText.WellFormed("prompt", row.Prompt[0].Text));
    }

    private static void WriteResponse(Utf8JsonWriter json, string name, string text, TrlExportOptions options)
    {
        if (options.Conversational) JsonText.WriteMessages(json, name, [new Message(MessageRole.Assistant, text)]);
        else json.WriteString(name, JsonText.WellFormed(name, text));
    }

    private static readonly string[] PortalColumns = ["annotator", "strength", "margin", "presented_left", "source"];

    private static void WriteExtras(Utf8JsonWriter json, ParsedRow row, string[] taken)
    {
        if (row.Annotator is not null) json.WriteString("annotator", JsonText.WellFormed("annotator", row.Annotator));
        if (row.Strength is int strength) json.WriteNumber("strength", strength);
        if (row.Margin is double margin) json.WriteNumber("margin", margin);
        if (row.Source is not null) json.WriteString("source", JsonText.WellFormed("source", row.Source));
        foreach ((string name, string value) in row.Extra)
            if (!taken.Contains(name) && !PortalColumns.Contains(name)) json.WriteString(JsonText.WellFormed("extra", name), JsonText.WellFormed(name, value));
    }
}
