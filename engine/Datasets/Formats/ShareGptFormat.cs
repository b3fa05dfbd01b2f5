namespace Portal.Engine.Datasets.Formats;

/// <summary>
/// LLaMA-Factory's ShareGPT rows: preference <c>{"conversations": […], "chosen": {…}, "rejected": {…}}</c>, and whole conversations with a verdict on the last turn,
/// <c>{"messages": […], "label": bool}</c> or <c>{"conversations": […], "kto_tag": bool}</c>. A field <c>system</c> goes before the turns.
/// </summary>
internal static class ShareGptFormat
{
    public static ParsedRow? ParsePreference(RowFields fields)
    {
        IReadOnlyList<Message>? prompt = WithSystem(fields, fields.Messages("conversations"));
        Message? chosen = fields.SingleMessage("chosen"), rejected = fields.SingleMessage("rejected");
        if (fields.Failed || !Conversation.CheckPrompt(fields, "conversations", prompt!)) return null; // not null: Messages refuses otherwise
        string? first = TrlPreferenceFormat.OneResponse(fields, "chosen", [chosen!]), second = TrlPreferenceFormat.OneResponse(fields, "rejected", [rejected!]);
        return fields.Failed ? null : RowBuilder.Pair(fields, prompt!, first!, second!, PairVerdict.FirstBetter, "chosen", "rejected"); // not null: refused otherwise
    }

    public static ParsedRow? ParseLabelled(RowFields fields)
    {
        string list = fields.Has("messages") ? "messages" : "conversations", label = fields.Has("kto_tag") ? "kto_tag" : "label";
        IReadOnlyList<Message>? all = WithSystem(fields, fields.Messages(list));
        BinaryVerdict? verdict = RowBuilder.BinaryVerdictOf(fields, label, lenient: false);
        if (fields.Failed) return null;
        if (all![^1].Role != MessageRole.Assistant) // not null, not empty: Messages refuses otherwise
        {
            fields.Refuse(list, $"must end with the assistant's turn that `{label}` judges, not {Conversation.Word(all[^1].Role)}'s.");
            return null;
        }

        IReadOnlyList<Message> prompt = [.. all.SkipLast(1)];
        return Conversation.CheckPrompt(fields, list, prompt) ? RowBuilder.Binary(fields, prompt, all[^1].Text, verdict!.Value) : null; // not null: refused otherwise
    }

    private static IReadOnlyList<Message>? WithSystem(RowFields fields, IReadOnlyList<Message>? turns)
    {
        string? system = fields.OptionalText("system");
        return turns is null || string.IsNullOrWhiteSpace(system) ? turns : [new Message(MessageRole.System, system), .. turns];
    }
}
