namespace Portal.Engine.Datasets.Formats;

/// <summary>
/// Two responses to compare: <c>prompt, response_a, response_b</c>. With a column <c>verdict</c> (a, b, tie, both_good, both_bad, cannot_judge) that is filled in,
/// the row is a judgement; where it is empty, a pair still to be judged.
/// </summary>
internal static class UnlabelledPairFormat
{
    public static ParsedRow? Parse(RowFields fields)
    {
        IReadOnlyList<Message>? prompt = TrlPreferenceFormat.Prompt(fields);
        string? first = Response(fields, "response_a"), second = Response(fields, "response_b");
        PairVerdict? verdict = fields.OptionalWord("verdict") is { Length: > 0 } word ? RowBuilder.PairVerdictOf(fields, "verdict", word) : null;
        return fields.Failed ? null : RowBuilder.Pair(fields, prompt!, first!, second!, verdict, "response_a", "response_b"); // not null: each refuses otherwise
    }

    private static string? Response(RowFields fields, string name) => fields.IsList(name)
        ? fields.Messages(name) is { } messages ? TrlPreferenceFormat.OneResponse(fields, name, messages) : null
        : fields.Text(name);
}
