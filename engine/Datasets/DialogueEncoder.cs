using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Engine.Tokenizers;

namespace Portal.Engine.Datasets;

/// <summary>A text as token ids, and which of them are learned (SFT) or judged (preference losses).</summary>
/// <param name="Ids">Token ids, at least 2.</param>
/// <param name="Mask">True on the tokens that count, at the token's own position; as long as <paramref name="Ids"/>.</param>
public sealed record EncodedText(int[] Ids, bool[] Mask)
{
    /// <summary>How many tokens count.</summary>
    public int CompletionLength => Mask.Count(counts => counts);
}

/// <summary>Turns dialogues into token ids with a model's own chat template, and keeps count of those that do not fit.</summary>
/// <param name="lengthMax">Longest text in tokens; at most the model's context.</param>
/// <param name="overlong">What becomes of longer ones.</param>
public sealed class DialogueEncoder(ITokenizer tokenizer, int lengthMax, Overlong overlong)
{
    private readonly ChatTemplate template = ChatTemplate.For(tokenizer);

    /// <summary>Texts left out because they are too long.</summary>
    public int Filtered { get; private set; }

    /// <summary>Texts whose beginning was cut off.</summary>
    public int Truncated { get; private set; }

    /// <summary>Texts encoded, the filtered ones not counted.</summary>
    public int Encoded { get; private set; }

    /// <summary>A prompt and one answer; the answer's tokens and the mark that ends it count.</summary>
    /// <returns>Null when it is too long and filtered.</returns>
    public EncodedText? Answer(IReadOnlyList<Turn> prompt, string answer)
    {
        var messages = prompt.Select(MessageOf).ToList();
        var opened = template.Render(tokenizer, messages, openAssistantTurn: true).Ids.Count;
        var whole = template.Render(tokenizer, [.. messages, new ChatMessage(ChatRole.Assistant, answer)], openAssistantTurn: false);
        var mask = new bool[whole.Ids.Count];
        Array.Fill(mask, true, opened, mask.Length - opened);
        return Fit([.. whole.Ids], mask);
    }

    /// <summary>A pair; null when either side is too long and filtered, so that a pair is whole or absent.</summary>
    public (EncodedText Chosen, EncodedText Rejected)? Pair(PreferencePair pair)
    {
        var before = (Filtered, Truncated, Encoded);
        if (Answer(pair.Prompt, pair.Chosen) is { } chosen && Answer(pair.Prompt, pair.Rejected) is { } rejected)
            return (chosen, rejected);
        // Count pairs, not halves: a pair with one long side is one pair left out.
        (Filtered, Truncated, Encoded) = (before.Filtered + 1, before.Truncated, before.Encoded);
        return null;
    }

    /// <summary>A whole dialogue; all assistant turns count.</summary>
    public EncodedText? Dialogue(IReadOnlyList<Turn> turns)
    {
        var rendered = template.Render(tokenizer, [.. turns.Select(MessageOf)], openAssistantTurn: false);
        return Fit([.. rendered.Ids], [.. rendered.AssistantMask]);
    }

    /// <summary>A prompt ready to be continued by the model.</summary>
    /// <exception cref="ArgumentException">Longer than a text may be.</exception>
    public int[] Prompt(IReadOnlyList<Turn> turns) =>
        [.. template.Render(tokenizer, [.. turns.Select(MessageOf)], openAssistantTurn: true).Ids];

    /// <summary>Ids that end an answer.</summary>
    public IReadOnlyList<int> StopIds => template.StopIds(tokenizer);

    private EncodedText? Fit(int[] ids, bool[] mask)
    {
        if (ids.Length > lengthMax)
        {
            if (overlong is Overlong.Filter)
            {
                Filtered++;
                return null;
            }
            Truncated++;
            (ids, mask) = (ids[^lengthMax..], mask[^lengthMax..]);
        }
        Encoded++;
        return new EncodedText(ids, mask);
    }

    private static ChatMessage MessageOf(Turn turn) => new(turn.Role switch
    {
        "system" => ChatRole.System,
        "user" => ChatRole.User,
        "assistant" => ChatRole.Assistant,
        _ => throw new ArgumentException($"The role \"{turn.Role}\" is none of system, user, assistant."),
    }, turn.Content);
}
