namespace Portal.Engine.Sae;

/// <summary>Phrases separated by "|": a text has the pattern when it has one of them, as whole words, whatever the capitals.</summary>
public sealed class PhrasePattern
{
    private readonly string[][] phrases;

    private PhrasePattern(string[][] phrases) => this.phrases = phrases;

    /// <summary>Reads a pattern; null where it has no word at all.</summary>
    public static PhrasePattern? Parse(string? pattern)
    {
        string[][] phrases = [.. (pattern ?? "").Split('|').Select(phrase => WordTexts.Split(phrase).Select(entry => entry.Word).ToArray()).Where(words => words.Length > 0)];
        return phrases.Length == 0 ? null : new PhrasePattern(phrases);
    }

    /// <summary>Whether a text has one of the phrases.</summary>
    public bool Matches(string text)
    {
        string[] words = [.. WordTexts.Split(text).Select(entry => entry.Word)];
        return phrases.Any(phrase => words.AsSpan().IndexOf(phrase) >= 0);
    }

    /// <summary>The same pattern in numbers of words; phrases with a word that no text has are left out, as nothing matches them.</summary>
    public NumberedPattern In(WordTexts texts) =>
        new([.. phrases.Select(phrase => phrase.Select(texts.NumberOf).ToArray()).Where(phrase => phrase.All(number => number is not null)).Select(phrase => phrase.OfType<int>().ToArray())]);
}

/// <summary>A <see cref="PhrasePattern"/> for the words of some <see cref="WordTexts"/>.</summary>
public sealed class NumberedPattern(int[][] phrases)
{
    /// <summary>Whether some words have one of the phrases.</summary>
    public bool Matches(ReadOnlySpan<int> words)
    {
        foreach (var phrase in phrases)
        {
            if (words.IndexOf(phrase) >= 0)
                return true;
        }
        return false;
    }
}
