using System.Runtime.InteropServices;
using System.Text;

namespace Portal.Engine.Sae;

/// <summary>Texts as numbers of words with their places, so that the words of a stretch, and phrases in it, are found without the text.</summary>
/// <remarks>Words are those of <see cref="Statistics.BagOfWords.Split"/>: lower case, each sign that is neither letter nor digit nor white space a word of its own. 9 bytes a word.</remarks>
public sealed class WordTexts
{
    private readonly Dictionary<string, int> numbers = new(StringComparer.Ordinal);
    private readonly List<string> vocabulary = [];
    private readonly List<int[]> words = [], starts = [];
    private readonly List<bool[]> follows = [];

    /// <summary>Texts added.</summary>
    public int Count => words.Count;

    /// <summary>Adds the next text.</summary>
    public void Add(string text)
    {
        var (ids, at, after) = (new List<int>(), new List<int>(), new List<bool>());
        var end = -1;
        foreach (var (word, start) in Split(text))
        {
            ref var number = ref CollectionsMarshal.GetValueRefOrAddDefault(numbers, word, out var isKnown);
            if (!isKnown)
            {
                number = vocabulary.Count;
                vocabulary.Add(word);
            }
            ids.Add(number);
            at.Add(start);
            after.Add(start == end + 1 && end >= 0 && text[end] == ' ');
            end = start + word.Length; // lower case has as many letters, in all but a few alphabets' corners: there no phrase is seen
        }
        words.Add([.. ids]);
        starts.Add([.. at]);
        follows.Add([.. after]);
    }

    /// <summary>The words that begin within a stretch of a text.</summary>
    public ReadOnlySpan<int> In(int text, int start, int length)
    {
        var (from, to) = (First(starts[text], start), First(starts[text], start + length));
        return words[text].AsSpan(from..to);
    }

    /// <summary>For each of these words whether one space lies between it and the one before: such words stand in the text as a phrase is written.</summary>
    public ReadOnlySpan<bool> FollowsIn(int text, int start, int length)
    {
        var (from, to) = (First(starts[text], start), First(starts[text], start + length));
        return follows[text].AsSpan(from..to);
    }

    /// <summary>A word by number.</summary>
    public string Word(int number) => vocabulary[number];

    /// <summary>The words of a text, and where each begins (UTF-16).</summary>
    public static IEnumerable<(string Word, int Start)> Split(string text)
    {
        var word = new StringBuilder();
        var (at, begin) = (0, 0);
        foreach (var rune in text.EnumerateRunes())
        {
            if (Rune.IsLetterOrDigit(rune) || rune.Value is '\'' or '’')
            {
                if (word.Length == 0)
                    begin = at;
                word.Append(Rune.ToLowerInvariant(rune).ToString());
            }
            else
            {
                if (word.Length > 0)
                    yield return (word.ToString(), begin);
                word.Clear();
                if (!Rune.IsWhiteSpace(rune))
                    yield return (rune.ToString(), at);
            }
            at += rune.Utf16SequenceLength;
        }
        if (word.Length > 0)
            yield return (word.ToString(), begin);
    }

    private static int First(int[] sorted, int value)
    {
        var found = Array.BinarySearch(sorted, value);
        return found >= 0 ? found : ~found;
    }
}
