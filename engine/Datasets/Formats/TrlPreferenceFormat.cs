namespace Portal.Engine.Datasets.Formats;

/// <summary>
/// TRL's preference rows: <c>{"prompt", "chosen", "rejected"}</c>, or without the prompt where both begin with it; each value a text or a list of
/// messages. Extra columns that the portal writes: see <see cref="RowBuilder.Pair"/>.
/// </summary>
/// <remarks>
/// Without a prompt it is the longest common beginning: whole messages, or characters, where for texts one space before the difference
/// goes to the responses (TRL's rule, docs/source/dataset_formats.md and data_utils.py extract_prompt). Departures: where one text is the beginning of the
/// other, the shorter response would be empty and the row is refused; TRL moves one character over.
/// A response is one assistant message: the portal compares answers, not continuations of several turns.
/// </remarks>
internal static class TrlPreferenceFormat
{
    public static ParsedRow? Parse(RowFields fields) => fields.IsList("chosen") || fields.IsList("rejected") ? Conversational(fields) : Standard(fields);

    private static ParsedRow? Standard(RowFields fields)
    {
        IReadOnlyList<Message>? prompt = fields.Has("prompt") ? Prompt(fields) : null;
        bool isImplicit = !fields.Has("prompt");
        string? chosen = fields.Text("chosen"), rejected = fields.Text("rejected");
        if (chosen is null || rejected is null || fields.Failed) return null;
        if (isImplicit)
        {
            if (HhTranscriptFormat.LooksLike(chosen) && HhTranscriptFormat.LooksLike(rejected)) return HhTranscriptFormat.Split(fields, chosen, rejected);
            int cut = CommonLength(chosen, rejected);
            if (cut > 0 && cut < chosen.Length && cut < rejected.Length && chosen[cut - 1] == ' ') cut--;
            if (string.IsNullOrWhiteSpace(chosen[..cut]))
            {
                fields.Refuse("prompt", "is missing, and `chosen` and `rejected` share no beginning that could be it.");
                return null;
            }

            prompt = [new Message(MessageRole.User, chosen[..cut])];
            (chosen, rejected) = (chosen[cut..], rejected[cut..]);
            if (string.IsNullOrWhiteSpace(chosen)) fields.Refuse("chosen", "is nothing but the beginning that it shares with `rejected`: no response is left.");
            if (string.IsNullOrWhiteSpace(rejected)) fields.Refuse("rejected", "is nothing but the beginning that it shares with `chosen`: no response is left.");
            if (fields.Failed) return null;
        }

        return RowBuilder.Pair(fields, prompt!, chosen, rejected, PairVerdict.FirstBetter, "chosen", "rejected"); // not null: given or cut out above
    }

    private static ParsedRow? Conversational(RowFields fields)
    {
        IReadOnlyList<Message>? chosen = fields.Messages("chosen"), rejected = fields.Messages("rejected");
        IReadOnlyList<Message>? prompt = fields.Has("prompt") ? Prompt(fields) : null;
        if (chosen is null || rejected is null || fields.Failed) return null;

        // Some files (UltraFeedback, binarised) give the prompt as a text and again as the first messages of both sides; then these messages are the prompt.
        if (chosen.Count > 1 && rejected.Count > 1)
        {
            int shared = 0;
            while (shared < Math.Min(chosen.Count, rejected.Count) && chosen[shared] == rejected[shared]) shared++;
            if (shared > 0)
            {
                IReadOnlyList<Message> common = [.. chosen.Take(shared)];
                if (prompt is not null && fields.IsList("prompt") && !prompt.SequenceEqual(common))
                {
                    fields.Refuse("prompt", "differs from the messages that `chosen` and `rejected` both begin with.");
                    return null;
                }

                prompt = common;
                (chosen, rejected) = ([.. chosen.Skip(shared)], [.. rejected.Skip(shared)]);
            }
        }

        string? first = OneResponse(fields, "chosen", chosen), second = OneResponse(fields, "rejected", rejected);
        if (prompt is null && !fields.Failed) fields.Refuse("prompt", "is missing, and `chosen` and `rejected` share no first message that could be it.");
        if (fields.Failed || !Conversation.CheckPrompt(fields, "prompt", prompt!)) return null; // not null: refused just above
        return RowBuilder.Pair(fields, prompt!, first!, second!, PairVerdict.FirstBetter, "chosen", "rejected"); // not null: OneResponse refuses otherwise
    }

    /// <summary>The field `prompt` as turns: a list of messages in order, or a text as one user turn (a transcript is split).</summary>
    public static IReadOnlyList<Message>? Prompt(RowFields fields, string name = "prompt")
    {
        if (fields.IsList(name)) return fields.Messages(name) is { } messages && Conversation.CheckPrompt(fields, name, messages) ? messages : null;
        string? text = fields.Text(name);
        if (text is null) return null;
        return HhTranscriptFormat.LooksLike(text) ? HhTranscriptFormat.Prompt(fields, name, text) : [new Message(MessageRole.User, text)];
    }

    /// <summary>The text of the only assistant message; null and a problem where there are more or others.</summary>
    public static string? OneResponse(RowFields fields, string name, IReadOnlyList<Message> messages)
    {
        if (messages.Count == 1 && messages[0].Role == MessageRole.Assistant) return messages[0].Text;
        fields.Refuse(name, messages.Count == 0 ? "holds nothing beyond the shared beginning: no response is left."
            : messages.Count > 1 ? $"holds {messages.Count} messages where one assistant message is wanted; a pair must differ in its last response only."
            : $"is {Conversation.Word(messages[0].Role)}'s message where the assistant's is wanted.");
        return null;
    }

    /// <summary>Length of the longest common beginning; never cuts a surrogate pair in two.</summary>
    public static int CommonLength(string a, string b)
    {
        int length = a.AsSpan().CommonPrefixLength(b);
        return length > 0 && char.IsHighSurrogate(a[length - 1]) ? length - 1 : length;
    }
}
