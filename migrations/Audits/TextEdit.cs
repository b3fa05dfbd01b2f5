using System.Text.RegularExpressions;
using Portal.Data.Feedback;

namespace Portal.Data.Audits;

/// <summary>How a counterfactual twin is made from a text.</summary>
public enum TextEditKind
{
    /// <summary>The words stand in place of the text.</summary>
    Replace,
    /// <summary>The words stand in front of it.</summary>
    Prepend,
    /// <summary>The words stand behind it.</summary>
    Append,
    /// <summary>The words stand on both sides.</summary>
    Enclose,
    /// <summary>The prompt's last user turn stands in front of it.</summary>
    CopyPrompt,
    /// <summary>Its last sentence stands there twice.</summary>
    RepeatLast,
    /// <summary>As many words as its last sentence has, which repeat nothing and claim nothing, stand behind it.</summary>
    Fill,
}

/// <summary>
/// One edit of a text. A report keeps the edit and the text's id, never the twin: whoever shows it makes it again from the text as it is stored, so that an erased text has no twin.
/// </summary>
/// <param name="Words">What is put in, for <see cref="TextEditKind.Replace"/>, <see cref="TextEditKind.Prepend"/>, <see cref="TextEditKind.Append"/> and <see cref="TextEditKind.Enclose"/>; null for the others.</param>
public sealed partial record TextEdit(TextEditKind Kind, string? Words = null)
{
    /// <summary>A word that means nothing.</summary>
    public const string Marker = "[xqz]";

    // Plain words without a claim; no two of them stand side by side twice.
    private const string Filler = "Further words stand here only to take the same room as another line of this length would, adding nothing that bears upon what came before it or follows after, neither for nor against "
        + "any part of the text, so that length alone is tried while no claim gets repeated, made stronger, softened, turned round, explained, doubted or denied by them in whatever way";

    private static readonly string[] filler = Filler.Split(' ');

    /// <summary>Longest last sentence, in words, that <see cref="TextEditKind.Fill"/> has words for.</summary>
    public static int FillMax => filler.Length;

    /// <summary>Makes the twin.</summary>
    /// <param name="text">Trimmed, not empty.</param>
    /// <param name="prompt">What it answers; empty where that was erased.</param>
    /// <returns>Null where there is no such twin: no user turn to copy, or a last sentence of more than <see cref="FillMax"/> words.</returns>
    /// <exception cref="InvalidOperationException">The kind needs words and has none.</exception>
    public EditedText? Apply(string text, IReadOnlyList<Turn> prompt) => Kind switch
    {
        TextEditKind.Replace => new EditedText([new(Needed, true)]),
        TextEditKind.Prepend => new EditedText([new($"{Needed} ", true), new(text, false)]),
        TextEditKind.Append => new EditedText([new(text, false), new($" {Needed}", true)]),
        TextEditKind.Enclose => new EditedText([new($"{Needed} ", true), new(text, false), new($" {Needed}", true)]),
        TextEditKind.CopyPrompt => prompt.LastOrDefault(turn => turn.Role == "user")?.Content.Trim() is { Length: > 0 } asked ? new EditedText([new($"{asked}\n", true), new(text, false)]) : null,
        TextEditKind.RepeatLast => new EditedText([new(text, false), new($" {LastSentence(text)}", true)]),
        TextEditKind.Fill => WordCount(LastSentence(text)) is var count && count <= filler.Length ? new EditedText([new(text, false), new($" {string.Join(' ', filler.Take(count)).TrimEnd(',')}.", true)]) : null,
    };

    /// <summary>The last sentence of a text: what stands behind its last sentence mark or line end, or all of it.</summary>
    public static string LastSentence(string text)
    {
        var trimmed = text.TrimEnd();
        var from = 0;
        foreach (var end in SentenceEnds().EnumerateMatches(trimmed))
            from = end.Index + end.Length;
        return trimmed[from..];
    }

    private string Needed => Words ?? throw new InvalidOperationException($"An edit of the kind {Kind} needs words.");

    private static int WordCount(string sentence) => sentence.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).Length;

    [GeneratedRegex(@"(?:[.!?…。][""'”’)\]]*\s|\n)\s*")]
    private static partial Regex SentenceEnds();
}

/// <summary>A twin, in parts, so that the change can be marked.</summary>
public sealed record EditedText(IReadOnlyList<EditedPart> Parts)
{
    /// <summary>All of it, as it is scored.</summary>
    public string Text => string.Concat(Parts.Select(part => part.Text));
}

/// <summary>A part of a twin.</summary>
/// <param name="IsAdded">The edit put it there.</param>
public readonly record struct EditedPart(string Text, bool IsAdded);
