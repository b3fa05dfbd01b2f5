using System.Buffers;

namespace Portal.Data.SaeFeatures;

/// <summary>
/// Phrases by which a target or a label is recognised in a text, written "one phrase|another". A text has a phrase where it stands as whole words, in any case: "no" is not in "know", "no!" is in "Oh no!".
/// </summary>
public sealed class Phrases
{
    private readonly SearchValues<string> search;

    private Phrases(IReadOnlyList<string> all) => (All, search) = (all, SearchValues.Create([.. all], StringComparison.OrdinalIgnoreCase));

    /// <summary>The phrases, at least one, none empty.</summary>
    public IReadOnlyList<string> All { get; }

    /// <summary>Reads a pattern; null where it holds no phrase.</summary>
    public static Phrases? Parse(string? pattern)
    {
        string[] all = [.. (pattern ?? "").Split('|', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Distinct(StringComparer.OrdinalIgnoreCase)];
        return all.Length == 0 ? null : new Phrases(all);
    }

    /// <summary>Whether a text has one of them.</summary>
    public bool Match(ReadOnlySpan<char> text) => Find(text, out _) >= 0;

    /// <summary>How many stand in a text, from left to right and none within another.</summary>
    public int Count(ReadOnlySpan<char> text)
    {
        var count = 0;
        for (var from = 0; from <= text.Length && Find(text, out var length, from) is >= 0 and var at; from = at + length)
            count++;
        return count;
    }

    /// <summary>Where the first of them stands; −1 where none does.</summary>
    /// <param name="length">Of the phrase found.</param>
    /// <param name="from">Where to begin looking, 0 to the text's length.</param>
    public int Find(ReadOnlySpan<char> text, out int length, int from = 0)
    {
        // The fast search says where something stands; whether it stands as whole words, a closer look.
        for (; text[from..].IndexOfAny(search) is >= 0 and var at; from += at + 1)
            foreach (var phrase in All)
            {
                var (start, end) = (from + at, from + at + phrase.Length);
                if (end <= text.Length && text[start..end].Equals(phrase, StringComparison.OrdinalIgnoreCase) && IsEdge(text, start) && IsEdge(text, end))
                {
                    length = phrase.Length;
                    return start;
                }
            }
        length = 0;
        return -1;
    }

    /// <summary>No word goes on across this place.</summary>
    private static bool IsEdge(ReadOnlySpan<char> text, int at) => at == 0 || at == text.Length || !char.IsLetterOrDigit(text[at - 1]) || !char.IsLetterOrDigit(text[at]);
}
