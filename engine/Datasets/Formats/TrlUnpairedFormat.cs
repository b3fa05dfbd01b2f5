namespace Portal.Engine.Datasets.Formats;

/// <summary>TRL's unpaired preference rows, as KTO reads them: <c>{"prompt", "completion", "label": true|false}</c>, text or messages.</summary>
internal static class TrlUnpairedFormat
{
    public static ParsedRow? Parse(RowFields fields)
    {
        IReadOnlyList<Message>? prompt = TrlPreferenceFormat.Prompt(fields);
        string? response;
        if (fields.IsList("completion")) response = fields.Messages("completion") is { } messages ? TrlPreferenceFormat.OneResponse(fields, "completion", messages) : null;
        else response = fields.Text("completion");
        BinaryVerdict? verdict = RowBuilder.BinaryVerdictOf(fields, "label", lenient: false);
        return fields.Failed ? null : RowBuilder.Binary(fields, prompt!, response!, verdict!.Value); // not null: each refuses otherwise
    }
}
