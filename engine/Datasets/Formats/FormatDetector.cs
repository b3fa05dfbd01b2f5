namespace Portal.Engine.Datasets.Formats;

/// <summary>Tells the format from a row's fields, and where none fits, suggests which column could mean what.</summary>
internal static class FormatDetector
{
    private static readonly string[] PromptNames = ["prompt", "instruction", "question", "query", "user_input", "text", "input"];
    private static readonly string[] FirstNames = ["response_a", "response_1", "response1", "answer_a", "answer_1", "completion_a", "output_a", "output_1", "result_x", "model_a_response", "a"];
    private static readonly string[] SecondNames = ["response_b", "response_2", "response2", "answer_b", "answer_2", "completion_b", "output_b", "output_2", "result_y", "model_b_response", "b"];
    private static readonly string[] BetterNames = ["chosen", "preferred", "better", "win"];
    private static readonly string[] WorseNames = ["rejected", "non_preferred", "worse", "lose"];
    private static readonly string[] VerdictNames = ["verdict", "winner", "preference", "preferred_response", "choice"];
    private static readonly string[] CompletionNames = ["completion", "response", "answer", "output"];
    private static readonly string[] LabelNames = ["label", "good", "is_good", "thumbs", "rating", "verdict"];

    /// <summary>The format of a row with these fields and the reason in one sentence; no format where the fields fit none.</summary>
    public static (ImportFormat? Format, string Why) Detect(RowFields fields)
    {
        bool Has(params string[] names) => names.All(name => fields.Names.Contains(name, fields.IsCsv ? StringComparer.OrdinalIgnoreCase : StringComparer.Ordinal));
        if (!fields.IsCsv && Has("type", "version")) return (ImportFormat.PortalJsonl, "each line has `type` and `version`, as the portal's own JSONL does.");
        if (Has("conversations", "chosen", "rejected")) return (ImportFormat.ShareGptPreference, "it has `conversations`, `chosen` and `rejected`, as LLaMA-Factory's ShareGPT preference sets do.");
        if ((Has("messages") && Has("label")) || (Has("conversations") && (Has("kto_tag") || Has("label"))))
            return (ImportFormat.MessagesWithLabel, "it has whole conversations with a label.");
        if (Has("prompt", "completion", "label")) return (ImportFormat.TrlUnpaired, "it has `prompt`, `completion` and `label`, as TRL's unpaired preference sets do.");
        if (Has("chosen", "rejected"))
        {
            return !fields.Has("prompt") && LooksLikeTranscript(fields, "chosen") && LooksLikeTranscript(fields, "rejected")
                ? (ImportFormat.HhTranscripts, "`chosen` and `rejected` are whole Human/Assistant transcripts, as in HH-RLHF.")
                : (ImportFormat.TrlPreference, $"it has `chosen` and `rejected`{(Has("prompt") ? " and `prompt`" : "")}, as TRL's preference sets do.");
        }

        if (Has("prompt", "response_a", "response_b")) return (ImportFormat.UnlabelledPairs, "it has `prompt`, `response_a` and `response_b`.");
        bool responses = new[] { FirstNames, BetterNames, CompletionNames, VerdictNames, LabelNames }.Any(names => names.Any(name => Has(name)));
        if (Has("prompt") && !responses && (fields.IsText("prompt") || fields.IsList("prompt"))) return (ImportFormat.TrlPromptOnly, "it has `prompt` and no response.");
        return (null, "its columns fit no known format.");
    }

    /// <summary>A mapping that these columns make likely, or null where not even a prompt can be guessed.</summary>
    public static ColumnMapping? Suggest(RowFields fields)
    {
        var left = fields.Names.ToHashSet(StringComparer.Ordinal);
        string? Take(string[] names, bool mustBeText = true)
        {
            foreach (string name in names)
            {
                string? column = left.FirstOrDefault(candidate => string.Equals(candidate, name, StringComparison.OrdinalIgnoreCase));
                if (column is null || (mustBeText && !fields.IsText(column) && !fields.IsList(column))) continue;
                left.Remove(column);
                return column;
            }

            return null;
        }

        string? prompt = Take(PromptNames);
        if (prompt is null) return null;
        string? context = string.Equals(prompt, "instruction", StringComparison.OrdinalIgnoreCase) ? Take(["input"]) : null;
        string? system = Take(["system", "system_prompt"]), annotator = Take(["annotator", "worker", "user_id", "rater"], mustBeText: false), source = Take(["source"]);
        var mapping = new ColumnMapping { Kind = RowKind.Prompt, Prompt = prompt, PromptContext = context, System = system, Annotator = annotator, Source = source };
        string? better = Take(BetterNames), worse = Take(WorseNames);
        if (better is not null && worse is not null)
            return mapping with { Kind = RowKind.Preference, First = better, Second = worse, Strength = Take(["strength"], false), Margin = Take(["margin"], false) };
        string? first = Take(FirstNames), second = Take(SecondNames);
        if (first is not null && second is not null)
        {
            string? verdict = Take(VerdictNames, mustBeText: false);
            return mapping with { Kind = verdict is null ? RowKind.UnlabelledPair : RowKind.Preference, First = first, Second = second, Verdict = verdict, Strength = Take(["strength"], false) };
        }

        string? completion = Take(CompletionNames), label = Take(LabelNames, mustBeText: false);
        return completion is not null && label is not null ? mapping with { Kind = RowKind.Binary, Completion = completion, Label = label } : mapping;
    }

    /// <summary>Column names for a message: `a`, `b`, `c`; at most twelve.</summary>
    public static string List(IReadOnlyCollection<string> columns) => columns.Count == 0 ? "none"
        : string.Join(", ", columns.Take(12).Select(name => $"`{RowFields.Shorten(name)}`")) + (columns.Count > 12 ? $" and {columns.Count - 12} more" : "");

    private static bool LooksLikeTranscript(RowFields fields, string name) =>
        fields.IsText(name) && fields.Peek(name) is { } text && HhTranscriptFormat.LooksLike(text);
}
