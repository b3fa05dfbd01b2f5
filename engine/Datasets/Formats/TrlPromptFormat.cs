namespace Portal.Engine.Datasets.Formats;

/// <summary>TRL's prompt-only rows: <c>{"prompt"}</c>, a text or a list of messages that ends with the user's turn.</summary>
internal static class TrlPromptFormat
{
    public static ParsedRow? Parse(RowFields fields)
    {
        IReadOnlyList<Message>? prompt = TrlPreferenceFormat.Prompt(fields);
        return fields.Failed ? null : RowBuilder.Prompt(fields, prompt!); // not null: refused otherwise
    }
}
