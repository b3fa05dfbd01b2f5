namespace Portal.Engine.Datasets.Formats;

/// <summary>
/// Anthropic's HH-RLHF rows: <c>{"chosen", "rejected"}</c>, each a whole transcript "\n\nHuman: …\n\nAssistant: …" that differs in the last
/// reply only.
/// </summary>
/// <remarks>
/// The prompt is the common beginning of both, cut back to the last "\n\nAssistant: " in it. Looking for the first difference must stop at the end of the shorter
/// text (TRL's converter examples/datasets/hh-rlhf-helpful-base.py pairs them strictly and fails there).
/// A row is refused where the transcripts part earlier than in the last reply (one goes on with more turns), where a reply is empty, or where the turns do not
/// alternate. Of the 2,312 rows of harmless-base/test, 13 are refused so.
/// </remarks>
internal static class HhTranscriptFormat
{
    private const string Human = "\n\nHuman:", Assistant = "\n\nAssistant:";

    /// <summary>Whether a text is a transcript: it begins with a human's turn (leading line breaks may be missing).</summary>
    public static bool LooksLike(string text)
    {
        ReadOnlySpan<char> start = text.AsSpan().TrimStart('\n');
        return start.StartsWith("Human:", StringComparison.Ordinal) && text.Contains(Assistant, StringComparison.Ordinal);
    }

    public static ParsedRow? Parse(RowFields fields)
    {
        string? chosen = fields.Text("chosen"), rejected = fields.Text("rejected");
        if (chosen is null || rejected is null) return null;
        foreach ((string name, string text) in new[] { ("chosen", chosen), ("rejected", rejected) })
            if (!LooksLike(text)) fields.Refuse(name, "is no transcript: it must begin with \"Human:\" and hold an \"Assistant:\" turn.");
        return fields.Failed ? null : Split(fields, chosen, rejected);
    }

    /// <summary>Splits two transcripts into their common prompt and the two last replies.</summary>
    public static ParsedRow? Split(RowFields fields, string chosen, string rejected)
    {
        (chosen, rejected) = (Normalise(chosen), Normalise(rejected));
        if (chosen == rejected)
        {
            fields.Refuse("rejected", "is the same transcript as `chosen`: there is nothing to prefer.");
            return null;
        }

        // The marker's colon may be the last common character: one reply may follow without a space, or be missing altogether.
        int common = TrlPreferenceFormat.CommonLength(chosen, rejected);
        int marker = chosen.LastIndexOf(Assistant, common - 1, common, StringComparison.Ordinal);
        if (marker < 0)
        {
            fields.Refuse("rejected", "shares no beginning with `chosen` up to an \"Assistant:\" turn, so the two answer different prompts.");
            return null;
        }

        IReadOnlyList<Message>? prompt = Turns(fields, "prompt", chosen[..marker]);
        string first = Reply(fields, "chosen", chosen[(marker + Assistant.Length)..]), second = Reply(fields, "rejected", rejected[(marker + Assistant.Length)..]);
        if (fields.Failed) return null;
        return RowBuilder.Pair(fields, prompt!, first, second, PairVerdict.FirstBetter, "chosen", "rejected"); // not null: Turns refuses otherwise
    }

    /// <summary>A prompt written as a transcript, with or without the "Assistant:" that invites the reply.</summary>
    public static IReadOnlyList<Message>? Prompt(RowFields fields, string name, string text)
    {
        string transcript = Normalise(text);
        string trimmed = transcript.TrimEnd();
        if (trimmed.EndsWith(Assistant, StringComparison.Ordinal)) transcript = trimmed[..^Assistant.Length];
        return Turns(fields, name, transcript);
    }

    private static string Reply(RowFields fields, string name, string text)
    {
        string reply = WithoutSpace(text);
        if (string.IsNullOrWhiteSpace(reply)) fields.Refuse(name, "ends with an empty reply.");
        else if (reply.Contains(Human, StringComparison.Ordinal) || reply.Contains(Assistant, StringComparison.Ordinal))
            fields.Refuse(name, "goes on with more turns after the reply in which the two transcripts part; they must differ in the last reply only.");
        return reply;
    }

    private static List<Message>? Turns(RowFields fields, string name, string transcript)
    {
        var turns = new List<Message>();
        int at = 0;
        while (at < transcript.Length)
        {
            bool human = transcript.AsSpan(at).StartsWith(Human, StringComparison.Ordinal);
            int start = at + (human ? Human.Length : Assistant.Length); // each cut below lies before one of the two markers
            int next = Next(transcript, start);
            string text = WithoutSpace(transcript[start..next]);
            if (string.IsNullOrWhiteSpace(text))
            {
                fields.Refuse(name, $"has an empty turn: message {turns.Count + 1}, {(human ? "Human" : "Assistant")}'s.");
                return null;
            }

            turns.Add(new Message(human ? MessageRole.User : MessageRole.Assistant, text));
            at = next;
        }

        return Conversation.CheckPrompt(fields, name, turns) ? turns : null;
    }

    private static int Next(string transcript, int from)
    {
        int human = transcript.IndexOf(Human, from, StringComparison.Ordinal), assistant = transcript.IndexOf(Assistant, from, StringComparison.Ordinal);
        return Math.Min(human < 0 ? transcript.Length : human, assistant < 0 ? transcript.Length : assistant);
    }

    // The data set writes exactly one space behind the colon; it is part of the marker, further spaces are part of the words.
    private static string WithoutSpace(string text) => text.StartsWith(' ') ? text[1..] : text;

    private static string Normalise(string text) => "\n\n" + text.TrimStart('\n');
}
