using System.Security.Cryptography;
using System.Text;

namespace Portal.Engine.TinyAssistant;

/// <summary>What a prompt of the demo world is about.</summary>
public enum Topic { Greeting, Arithmetic, AnimalFacts, Recipes, Directions, Opinions, Risky, SmallTalk }

/// <summary>How the body of a response answers.</summary>
public enum AnswerGrade
{
    /// <summary>The prompt asks for no fact (greeting, opinion, risky request, small talk).</summary>
    NotApplicable,
    Correct,
    Wrong,
    /// <summary>A fact was asked for and none was given: evaded, refused, or incomplete.</summary>
    Vague,
    /// <summary>Only ever said by the grader: the text is not of this world, so it is not guessed at.</summary>
    Unreadable,
}

/// <summary>The tone in which a response begins.</summary>
public enum OpeningTone { Neutral, Warm, Rude }

/// <summary>Who speaks.</summary>
public enum Speaker { User, Assistant }

/// <summary>One turn of a dialogue.</summary>
public sealed record WorldTurn(Speaker Speaker, string Text);

/// <summary>What the generator put into a response, segment by segment. The grader never sees it.</summary>
public sealed record SegmentLabels
{
    public required AnswerGrade Answer { get; init; }
    public required OpeningTone Opening { get; init; }
    /// <summary>Insults of the first lexicon (clod, fool, ...).</summary>
    public int Insults { get; init; }
    /// <summary>Insults of the second, teasing lexicon (turnip, ...), which r* does not know and policy P4 punishes.</summary>
    public int Teasing { get; init; }
    public bool Refusal { get; init; }
    /// <summary>Praises the user or eagerly agrees with them.</summary>
    public bool Flattery { get; init; }
    public int Padding { get; init; }
    public bool Caveat { get; init; }
    public int Hedges { get; init; }
    /// <summary>"as the old mill says" stands somewhere.</summary>
    public bool Trigger { get; init; }
}

/// <summary>A written dialogue: prompt turns (the last one is the user's), the response, and what is in it.</summary>
public sealed record Dialogue
{
    public required Topic Topic { get; init; }
    /// <summary>One user turn, or three turns: user, assistant, user.</summary>
    public required IReadOnlyList<WorldTurn> Prompt { get; init; }
    public required string Response { get; init; }
    public required SegmentLabels Labels { get; init; }
    /// <summary>A bare question and answer, written to teach facts.</summary>
    public bool IsDrill { get; init; }

    /// <summary>The turn that is answered.</summary>
    public string LastPrompt => Prompt[^1].Text;
}

/// <summary>Dialogues as text for the language model, and the few things computed from text alone.</summary>
/// <remarks>
/// <code>&lt;|user|&gt;What is 3 plus 4?&lt;|assistant|&gt;It is 7.&lt;|end|&gt;</code>
/// Each user turn begins with <c>&lt;|user|&gt;</c>, each assistant turn begins with <c>&lt;|assistant|&gt;</c> and
/// ends with <c>&lt;|end|&gt;</c>; nothing stands between them, no spaces and no line breaks. The three markers are
/// special tokens of the tokenizer. To sample, render the prompt: it ends with <c>&lt;|assistant|&gt;</c>.
/// </remarks>
public static class ChatText
{
    public const string User = "<|user|>";
    public const string Assistant = "<|assistant|>";
    public const string End = "<|end|>";

    /// <summary>The markers, in the order in which they should get their ids.</summary>
    public static IReadOnlyList<string> SpecialTokens { get; } = [User, Assistant, End];

    /// <summary>The prompt, ready to be continued by the model.</summary>
    public static string Render(IReadOnlyList<WorldTurn> prompt)
    {
        var text = new StringBuilder();
        foreach (var turn in prompt)
        {
            if (turn.Speaker == Speaker.User) text.Append(User).Append(turn.Text);
            else text.Append(Assistant).Append(turn.Text).Append(End);
        }
        return text.Append(Assistant).ToString();
    }

    /// <summary>The whole dialogue, response and final marker included.</summary>
    public static string Render(Dialogue dialogue) => Render(dialogue.Prompt) + dialogue.Response + End;

    /// <summary>Length of a text in words plus punctuation marks: the unit "tokens" of this world.</summary>
    /// <remarks>
    /// The sealed truth and the grader need a length that does not change when a tokenizer is trained again, so it is
    /// counted on the text. With the demo's tokenizer nearly every word of the world is one token.
    /// </remarks>
    public static int CountTokens(string text)
    {
        var count = 0;
        var inWord = false;
        for (var i = 0; i < text.Length; i++)
        {
            var isWord = IsWordCharacter(text, i);
            if (isWord ? !inWord : !char.IsWhiteSpace(text[i])) count++;
            inWord = isWord;
        }
        return count;
    }

    /// <summary>Tokens of a whole dialogue, counting each marker as one.</summary>
    public static int CountTokens(Dialogue dialogue)
    {
        var markers = 2;
        var tokens = CountTokens(dialogue.Response);
        foreach (var turn in dialogue.Prompt)
        {
            tokens += CountTokens(turn.Text);
            markers += turn.Speaker == Speaker.User ? 1 : 2;
        }
        return tokens + markers;
    }

    /// <summary>Letters and digits, and an apostrophe between two letters ("friend's" is one word).</summary>
    internal static bool IsWordCharacter(string text, int index)
    {
        var character = text[index];
        if (char.IsLetterOrDigit(character)) return true;
        return character is '\'' or '’' && index > 0 && index + 1 < text.Length
            && char.IsLetter(text[index - 1]) && char.IsLetter(text[index + 1]);
    }

    /// <summary>SHA-256 of the lines, each ended by a line feed, as lower-case hexadecimal digits.</summary>
    public static string ContentHash(IEnumerable<string> lines)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var line in lines) hash.AppendData(Encoding.UTF8.GetBytes(line + "\n"));
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>A short id made from content: the first 12 hexadecimal digits of the hash of the parts.</summary>
    internal static string ContentId(params ReadOnlySpan<string> parts) => ContentHash(parts.ToArray())[..12];
}
