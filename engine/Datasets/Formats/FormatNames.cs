namespace Portal.Engine.Datasets.Formats;

/// <summary>The names by which job specs, the door and people's files call formats, and the columns of a mapping.</summary>
public static class FormatNames
{
    /// <summary>Found out from the content.</summary>
    public const string Automatic = "auto";

    private static readonly Dictionary<string, ImportFormat> ByName = new(StringComparer.Ordinal)
    {
        ["trl-preference"] = ImportFormat.TrlPreference,
        ["trl-unpaired"] = ImportFormat.TrlUnpaired,
        ["prompts"] = ImportFormat.TrlPromptOnly,
        ["hh-rlhf"] = ImportFormat.HhTranscripts,
        ["pairs"] = ImportFormat.UnlabelledPairs,
        ["sharegpt"] = ImportFormat.ShareGptPreference,
        ["messages-label"] = ImportFormat.MessagesWithLabel,
        ["columns"] = ImportFormat.MappedColumns,
        ["portal"] = ImportFormat.PortalJsonl,
    };

    /// <summary>Every name, the automatic choice first.</summary>
    public static IReadOnlyList<string> All { get; } = [Automatic, .. ByName.Keys];

    /// <summary>The name of a format.</summary>
    public static string Of(ImportFormat format) => ByName.First(entry => entry.Value == format).Key;

    /// <summary>The format of a name; null for <see cref="Automatic"/> (and the empty name).</summary>
    /// <exception cref="FormatException">No such name; the message lists them.</exception>
    public static ImportFormat? Parse(string name) => name is "" or Automatic ? null
        : ByName.TryGetValue(name, out var format) ? format
        : throw new FormatException($"There is no import format \"{name}\"; known are {string.Join(", ", All)}.");

    /// <summary>
    /// A mapping from names: "kind" is "prompt", "pair", "preference" or "binary", every other entry names our field and the file's column:
    /// prompt, prompt_context, system, first, second, verdict, completion, label, annotator, strength, margin, source.
    /// </summary>
    /// <returns>Null where nothing is mapped.</returns>
    /// <exception cref="FormatException">An unknown field or kind, or no prompt; the message says which.</exception>
    public static ColumnMapping? Mapping(IReadOnlyDictionary<string, string> columns)
    {
        if (columns.Count == 0)
            return null;
        if (columns.Keys.FirstOrDefault(key => !Fields.Contains(key)) is { } unknown)
            throw new FormatException($"\"{unknown}\" is no field that a column can be mapped to; known are {string.Join(", ", Fields)}.");
        string? Column(string field) => columns.GetValueOrDefault(field) is { Length: > 0 } column ? column : null;
        return new ColumnMapping
        {
            Kind = Column("kind") switch
            {
                "prompt" => RowKind.Prompt,
                "pair" => RowKind.UnlabelledPair,
                "preference" => RowKind.Preference,
                "binary" => RowKind.Binary,
                var kind => throw new FormatException($"\"kind\" is \"{kind}\"; it says what the rows become: prompt, pair, preference or binary."),
            },
            Prompt = Column("prompt") ?? throw new FormatException("No column is mapped to the prompt."),
            PromptContext = Column("prompt_context"), System = Column("system"), First = Column("first"), Second = Column("second"),
            Verdict = Column("verdict"), Completion = Column("completion"), Label = Column("label"), Annotator = Column("annotator"),
            Strength = Column("strength"), Margin = Column("margin"), Source = Column("source"),
        };
    }

    /// <summary>The other way round, for a form that shows a suggestion.</summary>
    public static IReadOnlyDictionary<string, string> Columns(ColumnMapping mapping)
    {
        var columns = new Dictionary<string, string>(StringComparer.Ordinal)
        {
            ["kind"] = mapping.Kind switch
            {
                RowKind.Prompt => "prompt", RowKind.UnlabelledPair => "pair", RowKind.Preference => "preference", RowKind.Binary => "binary",
            },
        };
        foreach (var (field, column) in new (string, string?)[]
                 {
                     ("prompt", mapping.Prompt), ("prompt_context", mapping.PromptContext), ("system", mapping.System), ("first", mapping.First),
                     ("second", mapping.Second), ("verdict", mapping.Verdict), ("completion", mapping.Completion), ("label", mapping.Label),
                     ("annotator", mapping.Annotator), ("strength", mapping.Strength), ("margin", mapping.Margin), ("source", mapping.Source),
                 })
            if (column is not null)
                columns[field] = column;
        return columns;
    }

    private static readonly string[] Fields =
    [
        "kind", "prompt", "prompt_context", "system", "first", "second", "verdict", "completion", "label", "annotator", "strength", "margin", "source",
    ];
}
