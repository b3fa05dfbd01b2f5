using System.Text.RegularExpressions;
using Portal.Data.Feedback;

namespace Portal.Engine.Datasets;

/// <summary>How like a prompt others are: by the words they share, a rare word more than a frequent one.</summary>
/// <remarks>The cosine of inverse document frequencies of words, letter case aside, but for the prompt's own length, which is the same for all. All prompts are counted first, then asked about.</remarks>
public sealed partial class PromptLikeness(IReadOnlyList<Turn> prompt)
{
    private readonly HashSet<string> words = Words(prompt);
    private readonly Dictionary<string, int> frequency = new(StringComparer.Ordinal);
    private int documents;

    /// <summary>Takes a prompt into account for how rare words are.</summary>
    public void Count(IReadOnlyList<Turn> turns)
    {
        documents++;
        foreach (var word in Words(turns))
            frequency[word] = frequency.GetValueOrDefault(word) + 1;
    }

    /// <returns>0 where it shares no word with the prompt, or only such as every prompt has.</returns>
    public double Of(IReadOnlyList<Turn> turns)
    {
        var theirs = Words(turns);
        var shared = theirs.Where(words.Contains).Sum(Square);
        return shared > 0 ? shared / Math.Sqrt(theirs.Sum(Square)) : 0;
    }

    private double Square(string word) => Math.Pow(Math.Log((1.0 + documents) / (1 + frequency.GetValueOrDefault(word))), 2);

    private static HashSet<string> Words(IReadOnlyList<Turn> turns) => [.. turns.SelectMany(turn => WordPattern().Matches(turn.Content)).Select(match => match.Value.ToUpperInvariant())];

    [GeneratedRegex(@"\w+")]
    private static partial Regex WordPattern();
}
