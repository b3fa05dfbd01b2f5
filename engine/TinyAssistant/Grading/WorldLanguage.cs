using Portal.Engine.Statistics;
using Portal.Engine.TinyAssistant.Topics;

namespace Portal.Engine.TinyAssistant.Grading;

/// <summary>Tells the language of this world from noise: its words, and which word may follow which.</summary>
/// <remarks>
/// A small model at a high temperature writes words that do not exist and puts words side by side that never meet.
/// Both are counted. This is a judgement of form only: whether an answer is right, kind or long-winded is read by
/// other rules. The word list and the pairs are collected once per process from 20,000 responses of a fixed seed
/// (about a quarter of a second); names and numbers count as one word each.
/// </remarks>
internal static class WorldLanguage
{
    private const int SampleCount = 20_000;
    private static readonly HashSet<string> names = [.. GreetingWriter.Names.Select(name => name.ToLowerInvariant())];
    private static readonly Lazy<(HashSet<string> Words, HashSet<(string, string)> Pairs)> language = new(Collect);

    public static bool Knows(string word) => language.Value.Words.Contains(Kind(word));

    /// <summary>Whether a response is in this language: no unknown word, and hardly a pair of words that never meet.</summary>
    /// <remarks>One odd pair is forgiven (two from 20 words on, and so on); in a text of fewer than four words none is.</remarks>
    public static bool IsReadable(IReadOnlyList<Sentence> sentences)
    {
        var (words, odd) = (0, 0);
        foreach (var sentence in sentences)
        {
            for (var i = 0; i < sentence.Words.Count; i++)
            {
                words++;
                var word = Kind(sentence.Words[i]);
                if (!language.Value.Words.Contains(word)) return false;
                if (i > 0 && !sentence.PauseBefore[i] && !language.Value.Pairs.Contains((Kind(sentence.Words[i - 1]), word))) odd++;
            }
        }
        return words > 0 && odd <= (words < 4 ? 0 : 1 + words / 20);
    }

    private static string Kind(string word) => PromptReader.NumberOf(word) >= 0 ? "#" : names.Contains(word) ? "@" : word;

    private static (HashSet<string>, HashSet<(string, string)>) Collect()
    {
        var random = new SeededRandom(20_250_101);
        HashSet<string> words = ["#", "@"];
        HashSet<(string, string)> pairs = [];
        for (var i = 0; i < SampleCount; i++)
        {
            var draw = random.Split(i);
            var prompt = World.WritePrompt(draw, (Topic)(i % TopicWriter.All.Count), earlierTurns: false);
            foreach (var sentence in TextReader.Read(prompt.LastText)) words.UnionWith(sentence.Words.Select(Kind));
            foreach (var sentence in TextReader.Read(World.WriteResponse(prompt.Question!, draw).Text)) // just written, so it has its question
            {
                words.UnionWith(sentence.Words.Select(Kind));
                for (var j = 1; j < sentence.Words.Count; j++)
                    if (!sentence.PauseBefore[j]) pairs.Add((Kind(sentence.Words[j - 1]), Kind(sentence.Words[j])));
            }
        }
        return (words, pairs);
    }
}
