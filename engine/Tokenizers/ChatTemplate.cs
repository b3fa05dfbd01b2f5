namespace Portal.Engine.Tokenizers;

/// <summary>Who speaks a turn.</summary>
public enum ChatRole
{
    System,
    User,
    Assistant,
}

/// <summary>One turn of a dialogue.</summary>
public sealed record ChatMessage(ChatRole Role, string Content);

/// <summary>A dialogue as ids, and for each id whether the assistant said it (what a model is trained on).</summary>
/// <param name="Ids">Token ids. [T].</param>
/// <param name="AssistantMask">True on the assistant's text and the mark that ends its turn. [T].</param>
public sealed record RenderedChat(IReadOnlyList<int> Ids, IReadOnlyList<bool> AssistantMask);

/// <summary>
/// How a dialogue becomes one sequence of tokens: a mark before each turn, and one after it.
/// <code>&lt;|user|&gt;What is 2 + 2?&lt;|end|&gt;&lt;|assistant|&gt;Four.&lt;|end|&gt;</code>
/// </summary>
/// <remarks>
/// Marks are encoded with special tokens, contents without: a person who types "&lt;|assistant|&gt;" writes letters and cannot
/// speak as the assistant. The model's answer begins directly after the assistant's mark.
/// </remarks>
public sealed record ChatTemplate
{
    /// <summary>Marks of the Tiny Assistant and of every vocabulary that our trainer makes.</summary>
    public static ChatTemplate SpecialMarks { get; } = new()
    {
        SystemMark = "<|system|>",
        UserMark = "<|user|>",
        AssistantMark = "<|assistant|>",
        EndMark = "<|end|>",
    };

    /// <summary>
    /// Marks made of plain text, as in the transcripts of HH-RLHF, for vocabularies without marks of their own
    /// (stories260K). The end of a turn is the vocabulary's end token, where it has one.
    /// </summary>
    public static ChatTemplate Transcript { get; } = new()
    {
        SystemMark = "\n\nSystem: ",
        UserMark = "\n\nHuman: ",
        AssistantMark = "\n\nAssistant: ",
        EndMark = "",
    };

    /// <summary>The special tokens a vocabulary for <see cref="SpecialMarks"/> needs, in their usual order.</summary>
    public static IReadOnlyList<string> SpecialMarkTokens { get; } = ["<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|pad|>"];

    public required string SystemMark { get; init; }

    public required string UserMark { get; init; }

    public required string AssistantMark { get; init; }

    /// <summary>Ends each turn; empty where only the assistant's turn ends, with the tokenizer's end token.</summary>
    public required string EndMark { get; init; }

    /// <summary>The template that fits a vocabulary: special marks where it has them, else the plain transcript.</summary>
    public static ChatTemplate For(ITokenizer tokenizer)
    {
        var hasMarks = new[] { SpecialMarks.UserMark, SpecialMarks.AssistantMark, SpecialMarks.EndMark }.All(tokenizer.SpecialTokens.ContainsKey);
        return hasMarks ? SpecialMarks : Transcript;
    }

    /// <summary>The ids that end an assistant's turn: generation stops at them.</summary>
    public IReadOnlyList<int> StopIds(ITokenizer tokenizer)
    {
        var ids = new List<int>();
        if (tokenizer.SpecialTokens.TryGetValue(EndMark, out var end))
        {
            ids.Add(end);
        }

        if (tokenizer.EosId is { } eos && !ids.Contains(eos))
        {
            ids.Add(eos);
        }

        return ids;
    }

    /// <summary>Renders a dialogue.</summary>
    /// <param name="tokenizer">Has the special tokens of this template (see <see cref="For"/>).</param>
    /// <param name="messages">The turns in order; at least one.</param>
    /// <param name="openAssistantTurn">True to end with the assistant's mark, so that a model continues with the answer.</param>
    /// <exception cref="ArgumentException">No message, or a system turn where the vocabulary has no mark for one.</exception>
    public RenderedChat Render(ITokenizer tokenizer, IReadOnlyList<ChatMessage> messages, bool openAssistantTurn)
    {
        if (messages.Count == 0)
        {
            throw new ArgumentException("a dialogue needs at least one message");
        }

        var ids = new List<int>();
        var mask = new List<bool>();
        if (EndMark.Length == 0 && tokenizer.BosId is { } bos)
        {
            Add([bos], assistant: false);
        }

        foreach (var message in messages)
        {
            var isAssistant = message.Role == ChatRole.Assistant;
            Add(tokenizer.Encode(Mark(tokenizer, message.Role), parseSpecial: true), assistant: false);
            Add(tokenizer.Encode(message.Content), isAssistant);
            Add(EndOfTurn(tokenizer, isAssistant), isAssistant);
        }

        if (openAssistantTurn)
        {
            Add(tokenizer.Encode(AssistantMark, parseSpecial: true), assistant: false);
        }

        return new RenderedChat(ids, mask);

        void Add(int[] tokens, bool assistant)
        {
            ids.AddRange(tokens);
            mask.AddRange(Enumerable.Repeat(assistant, tokens.Length));
        }
    }

    private int[] EndOfTurn(ITokenizer tokenizer, bool isAssistant)
    {
        return EndMark.Length > 0 ? tokenizer.Encode(EndMark, parseSpecial: true)
            : isAssistant && tokenizer.EosId is { } eos ? [eos]
            : [];
    }

    private string Mark(ITokenizer tokenizer, ChatRole role)
    {
        var mark = role switch
        {
            ChatRole.System => SystemMark,
            ChatRole.User => UserMark,
            ChatRole.Assistant => AssistantMark,
        };
        if (mark.StartsWith("<|", StringComparison.Ordinal) && !tokenizer.SpecialTokens.ContainsKey(mark))
        {
            throw new ArgumentException($"the vocabulary has no special token {mark}, so a {role.ToString().ToLowerInvariant()} turn cannot be written");
        }

        return mark;
    }
}
