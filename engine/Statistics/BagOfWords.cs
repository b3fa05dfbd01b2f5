using System.Text;

namespace Portal.Engine.Statistics;

/// <summary>Counts words: the features of the simplest baseline that reads the text at all.</summary>
/// <remarks>
/// A word is a run of letters, digits and apostrophes, in lower case; every other sign that is no white space is a word of its own (so question marks and brackets can tell). A feature
/// is ln(1 + count). The vocabulary is taken from training texts only: words in at least <c>minTexts</c> of them, the most frequent first, ties in alphabetical order.
/// </remarks>
public sealed class BagOfWords
{
    private readonly Dictionary<string, int> index;

    private BagOfWords(IReadOnlyList<string> words)
    {
        Words = words;
        index = words.Index().ToDictionary(entry => entry.Item, entry => entry.Index, StringComparer.Ordinal);
    }

    /// <summary>The vocabulary; its order is the order of features.</summary>
    public IReadOnlyList<string> Words { get; }

    /// <summary>Makes the vocabulary from training texts.</summary>
    /// <param name="texts">Only those of the training split, or the baseline has seen the test.</param>
    /// <param name="minTexts">Fewest texts that hold a word.</param>
    /// <param name="maxWords">Largest vocabulary.</param>
    public static BagOfWords Learn(IEnumerable<string> texts, int minTexts = 2, int maxWords = 20_000)
    {
        var seen = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (string text in texts)
            foreach (string word in Split(text).ToHashSet(StringComparer.Ordinal)) seen[word] = seen.GetValueOrDefault(word) + 1;
        return new BagOfWords([.. seen.Where(entry => entry.Value >= minTexts).OrderByDescending(entry => entry.Value).ThenBy(entry => entry.Key, StringComparer.Ordinal).Take(maxWords).Select(entry => entry.Key)]);
    }

    /// <summary>ln(1 + count) of each known word.</summary>
    public SparseVector Features(string text)
    {
        var counts = new SortedDictionary<int, double>();
        foreach (string word in Split(text))
            if (index.TryGetValue(word, out int at)) counts[at] = counts.GetValueOrDefault(at) + 1;
        return new SparseVector([.. counts.Keys], [.. counts.Values.Select(double.LogP1)]);
    }

    /// <summary>Features of a pair of texts: first − second.</summary>
    public SparseVector Difference(string first, string second) => Features(first).Minus(Features(second));

    /// <summary>The words of a text, in order.</summary>
    public static IEnumerable<string> Split(string text)
    {
        var word = new StringBuilder();
        foreach (Rune rune in text.EnumerateRunes())
        {
            if (Rune.IsLetterOrDigit(rune) || rune.Value is '\'' or '’')
            {
                word.Append(Rune.ToLowerInvariant(rune).ToString());
                continue;
            }

            if (word.Length > 0) yield return word.ToString();
            word.Clear();
            if (!Rune.IsWhiteSpace(rune)) yield return rune.ToString();
        }

        if (word.Length > 0) yield return word.ToString();
    }
}
