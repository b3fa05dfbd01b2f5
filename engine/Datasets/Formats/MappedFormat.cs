namespace Portal.Engine.Datasets.Formats;

/// <summary>Rows whose columns a person has named through a <see cref="ColumnMapping"/>; CSV or JSON alike.</summary>
internal static class MappedFormat
{
    /// <summary>What is missing for this mapping to work on these columns, or null.</summary>
    public static (string? Field, string Reason)? Check(ColumnMapping mapping, IReadOnlyCollection<string> columns)
    {
        var needed = mapping.Kind switch
        {
            RowKind.Prompt => new[] { ("prompt", (string?)mapping.Prompt) },
            RowKind.UnlabelledPair or RowKind.Preference => [("prompt", mapping.Prompt), ("first response", mapping.First), ("second response", mapping.Second)],
            RowKind.Binary => [("prompt", mapping.Prompt), ("response", mapping.Completion), ("label", mapping.Label)],
        };
        foreach ((string what, string? column) in needed)
            if (string.IsNullOrEmpty(column)) return (null, $"the column mapping names no column for the {what}.");
        foreach (string column in mapping.Named())
            if (!columns.Contains(column, StringComparer.Ordinal)) return (column, $"is named by the column mapping, but the file has no such column; it has {FormatDetector.List(columns)}.");
        string? twice = mapping.Named().GroupBy(name => name, StringComparer.Ordinal).FirstOrDefault(group => group.Count() > 1)?.Key;
        return twice is null ? null : (twice, "is named twice by the column mapping.");
    }

    public static ParsedRow? Parse(RowFields fields, ColumnMapping mapping)
    {
        List<Message>? prompt = Prompt(fields, mapping);
        return mapping.Kind switch
        {
            RowKind.Prompt => fields.Failed ? null : RowBuilder.Prompt(fields, prompt!, mapping.Source), // not null: refused otherwise
            RowKind.UnlabelledPair or RowKind.Preference => Pair(fields, mapping, prompt),
            RowKind.Binary => Binary(fields, mapping, prompt),
        };
    }

    private static ParsedRow? Pair(RowFields fields, ColumnMapping mapping, List<Message>? prompt)
    {
        // The mapping's own check has made sure that both are named.
        string? first = Response(fields, mapping.First!), second = Response(fields, mapping.Second!);
        PairVerdict? verdict = mapping.Kind == RowKind.UnlabelledPair ? null
            : mapping.Verdict is null ? PairVerdict.FirstBetter : RowBuilder.PairVerdictOf(fields, mapping.Verdict, fields.OptionalWord(mapping.Verdict));
        if (first is not null && second is not null) RowBuilder.CheckDifferent(fields, first, second, mapping.First!, mapping.Second!);
        Columns columns = Common(fields, mapping);
        int? strength = mapping.Strength is null ? null : fields.OptionalInt(mapping.Strength, 1, 3);
        double? margin = mapping.Margin is null ? null : fields.OptionalNumber(mapping.Margin);
        IReadOnlyDictionary<string, string> extra = fields.Rest();
        if (fields.Failed) return null;
        return new ParsedRow
        {
            RowNumber = fields.Row, Kind = mapping.Kind, Prompt = prompt!, Responses = [first!, second!], Pair = verdict, // not null: refused otherwise
            Strength = verdict is PairVerdict.FirstBetter or PairVerdict.SecondBetter ? strength : null, Margin = margin,
            Annotator = columns.Annotator, Source = columns.Source, Extra = extra,
        };
    }

    private static ParsedRow? Binary(RowFields fields, ColumnMapping mapping, List<Message>? prompt)
    {
        string? response = Response(fields, mapping.Completion!); // not null: Check
        BinaryVerdict? verdict = RowBuilder.BinaryVerdictOf(fields, mapping.Label!, lenient: true);
        Columns columns = Common(fields, mapping);
        IReadOnlyDictionary<string, string> extra = fields.Rest();
        if (fields.Failed) return null;
        return new ParsedRow
        {
            RowNumber = fields.Row, Kind = RowKind.Binary, Prompt = prompt!, Responses = [response!], Binary = verdict, // not null: refused otherwise
            Annotator = columns.Annotator, Source = columns.Source, Extra = extra,
        };
    }

    private static List<Message>? Prompt(RowFields fields, ColumnMapping mapping)
    {
        IReadOnlyList<Message>? turns = TrlPreferenceFormat.Prompt(fields, mapping.Prompt);
        string? context = mapping.PromptContext is null ? null : fields.OptionalText(mapping.PromptContext);
        string? system = mapping.System is null ? null : fields.OptionalText(mapping.System);
        if (turns is null) return null;
        List<Message> prompt = [.. turns];
        if (!string.IsNullOrWhiteSpace(context)) prompt[^1] = prompt[^1] with { Text = prompt[^1].Text + "\n\n" + context };
        if (!string.IsNullOrWhiteSpace(system) && prompt[0].Role != MessageRole.System) prompt.Insert(0, new Message(MessageRole.System, system));
        return prompt;
    }

    private static string? Response(RowFields fields, string name) => fields.IsList(name)
        ? fields.Messages(name) is { } messages ? TrlPreferenceFormat.OneResponse(fields, name, messages) : null
        : fields.IsObject(name) ? fields.SingleMessage(name) is { } message ? TrlPreferenceFormat.OneResponse(fields, name, [message]) : null
        : fields.Text(name);

    private readonly record struct Columns(string? Annotator, string? Source);

    private static Columns Common(RowFields fields, ColumnMapping mapping) => new(
        mapping.Annotator is null ? null : fields.OptionalId(mapping.Annotator), mapping.Source is null ? null : fields.OptionalId(mapping.Source));
}
