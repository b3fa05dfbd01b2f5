using System.Runtime.InteropServices;
using Portal.Data.SaeFeatures;
using Portal.Engine.Statistics;

namespace Portal.Engine.Sae;

/// <summary>A label that a rule made, with its pattern.</summary>
/// <param name="Separation">Balanced accuracy on the contexts it was made from, which flatters it.</param>
public sealed record RuleLabel(LabelSource Source, string Text, string Pattern, double Separation);

/// <summary>Labels without a language model, from contexts of discovery prompts: the best phrase, and the words a logistic regression weighs most.</summary>
/// <remarks>
/// They say which words go with a feature, not what it means; their scores on held-out contexts tell whether even that holds. A feature that fires rarely gets none: with a
/// handful of contexts some phrase always fits. Words that stand in most contexts anyway ("the", "of") make no label by themselves: they are told by the contexts in which the feature does
/// not fire, not by a list of a language, and not by all contexts, where the very word that a frequent feature fires on would be one of them.
/// </remarks>
public static class FeatureLabelling
{
    /// <summary>Discovery contexts with different texts in which a feature must fire, and as many in which it must not.</summary>
    public const int DiscoveryMin = 20;

    /// <summary>Separation below which a rule has nothing to say.</summary>
    public const double SeparationMin = 0.6;

    /// <summary>A word that stands in more than this share of the contexts where a feature does not fire says nothing about it.</summary>
    public const double CommonShare = 0.5;

    private const int PhraseWordsMax = 4;

    /// <summary>Firing contexts that must have a phrase.</summary>
    private const int SupportMin = 3;

    private const int ProbeWordsMax = 6;

    /// <summary>The rules' labels of one feature; empty where it fires too rarely, or where no words go with it.</summary>
    public static IReadOnlyList<RuleLabel> Label(LabelContexts discovery, WordTexts texts, CancellationToken stop)
    {
        var firing = discovery.Contexts.Where(context => context.Fires).ToList();
        var silent = discovery.Contexts.Where(context => !context.Fires).ToList();
        if (firing.Count < DiscoveryMin || silent.Count < DiscoveryMin)
            return [];
        return [.. new[] { Keyword(firing, silent, texts), Probe(firing, silent, texts, stop) }.OfType<RuleLabel>().Where(label => label.Separation >= SeparationMin)];
    }

    /// <summary>The phrase of 1 to 4 words that tells best where a feature fires; of equal ones the longest, which says most. Null where none stands in enough contexts, or all are of common words only.</summary>
    public static RuleLabel? Keyword(IReadOnlyList<LabelContext> firing, IReadOnlyList<LabelContext> silent, WordTexts texts)
    {
        var isWord = new Dictionary<int, bool>();
        var counts = new Dictionary<ulong, (int Firing, int Silent, LabelContext Where, int At, int Length)>();
        foreach (var context in firing)
        {
            foreach (var (hash, at, length) in PhrasesOf(texts, context, isWord))
            {
                ref var count = ref CollectionsMarshal.GetValueRefOrAddDefault(counts, hash, out var isKnown);
                count = isKnown ? count with { Firing = count.Firing + 1 } : (1, 0, context, at, length);
            }
        }
        foreach (var context in silent)
        {
            foreach (var (hash, _, _) in PhrasesOf(texts, context, isWord))
            {
                ref var count = ref CollectionsMarshal.GetValueRefOrNullRef(counts, hash);
                if (!System.Runtime.CompilerServices.Unsafe.IsNullRef(ref count))
                    count.Silent++;
            }
        }
        double Separation((int Firing, int Silent, LabelContext, int, int) count) => ((double)count.Firing / firing.Count + (double)(silent.Count - count.Silent) / silent.Count) / 2;
        string TextOf((int, int, LabelContext Where, int At, int Length) count) =>
            string.Join(' ', texts.In(count.Where.Response, count.Where.Start, count.Where.Length).Slice(count.At, count.Length).ToArray().Select(texts.Word));
        var common = Common(silent, texts);
        bool IsTelling((int, int, LabelContext Where, int At, int Length) count) =>
            texts.In(count.Where.Response, count.Where.Start, count.Where.Length).Slice(count.At, count.Length).ToArray().Any(word => !common.Contains(word));
        var enough = counts.Values.Where(count => count.Firing >= SupportMin && IsTelling(count)).ToList();
        if (enough.Count == 0)
            return null;
        var highest = enough.Max(Separation);
        var best = enough.Where(count => Separation(count) == highest).OrderByDescending(count => count.Length).ThenBy(TextOf, StringComparer.Ordinal).First();
        var phrase = TextOf(best);
        return phrase.Length > FeatureLabel.TextLengthMax - 2 ? null : new RuleLabel(LabelSource.Keyword, $"\"{phrase}\"", phrase, highest);
    }

    /// <summary>The words that a logistic regression weighs most for firing, as many as tell best together. Common words are weighed too, and not named. Null where none speaks for it.</summary>
    public static RuleLabel? Probe(IReadOnlyList<LabelContext> firing, IReadOnlyList<LabelContext> silent, WordTexts texts, CancellationToken stop)
    {
        var contexts = firing.Concat(silent).ToList();
        var seen = new Dictionary<int, int>();
        foreach (var context in contexts)
        {
            foreach (var word in texts.In(context.Response, context.Start, context.Length).ToArray().Distinct())
                seen[word] = seen.GetValueOrDefault(word) + 1;
        }
        int[] vocabulary = [.. seen.Where(entry => entry.Value >= 2 && IsWord(texts.Word(entry.Key))).Select(entry => entry.Key).Order()];
        if (vocabulary.Length == 0)
            return null;
        var column = vocabulary.Index().ToDictionary(entry => entry.Item, entry => entry.Index);
        var rows = contexts.Select(context => Row(texts.In(context.Response, context.Start, context.Length), column)).ToList();
        var model = LogisticRegression.Fit(rows, [.. contexts.Select(context => context.Fires)], vocabulary.Length, l2: 1e-2, intercept: true, stop, maxIterations: 60, tolerance: 1e-4);
        var common = Common(silent, texts);
        var heavy = Enumerable.Range(0, vocabulary.Length).Where(i => model.Weights[i] > 0 && !common.Contains(vocabulary[i])).OrderByDescending(i => model.Weights[i]).ThenBy(i => i).Take(ProbeWordsMax).ToList();
        if (heavy.Count == 0 || model.Weights[heavy[0]] < 1e-3)
            return null;
        // Words one after the other for as long as they help on the contexts they were found on.
        var (best, words) = (0.0, 0);
        for (var count = 1; count <= heavy.Count; count++)
        {
            var chosen = heavy.Take(count).ToHashSet();
            bool Has(SparseVector row) => row.Indices.Any(chosen.Contains);
            var hits = rows.Zip(contexts).Count(row => row.Second.Fires && Has(row.First));
            var rejections = rows.Zip(contexts).Count(row => !row.Second.Fires && !Has(row.First));
            var separation = ((double)hits / firing.Count + (double)rejections / silent.Count) / 2;
            if (separation > best)
                (best, words) = (separation, count);
        }
        var list = heavy.Take(words).Select(i => texts.Word(vocabulary[i])).ToList();
        var text = string.Join(", ", list);
        return text.Length > FeatureLabel.TextLengthMax ? null : new RuleLabel(LabelSource.Probe, text, string.Join('|', list), best);
    }

    /// <summary>Words of more than <see cref="CommonShare"/> of the contexts where the feature does not fire.</summary>
    private static HashSet<int> Common(IReadOnlyList<LabelContext> silent, WordTexts texts)
    {
        var seen = new Dictionary<int, int>();
        foreach (var context in silent)
        {
            foreach (var word in texts.In(context.Response, context.Start, context.Length).ToArray().Distinct())
                seen[word] = seen.GetValueOrDefault(word) + 1;
        }
        return [.. seen.Where(entry => entry.Value > CommonShare * silent.Count).Select(entry => entry.Key)];
    }

    private static SparseVector Row(ReadOnlySpan<int> words, Dictionary<int, int> column)
    {
        var counts = new SortedDictionary<int, double>();
        foreach (var word in words)
        {
            if (column.TryGetValue(word, out var at))
                counts[at] = counts.GetValueOrDefault(at) + 1;
        }
        return new SparseVector([.. counts.Keys], [.. counts.Values.Select(double.LogP1)]);
    }

    /// <summary>The different phrases of a context, hashed, each with its first place: words with nothing but a space between them, as <see cref="Phrases"/> finds them again.</summary>
    private static List<(ulong Hash, int At, int Length)> PhrasesOf(WordTexts texts, LabelContext context, Dictionary<int, bool> isWord)
    {
        var words = texts.In(context.Response, context.Start, context.Length);
        var follows = texts.FollowsIn(context.Response, context.Start, context.Length);
        var (phrases, seen) = (new List<(ulong, int, int)>(), new HashSet<ulong>());
        for (var at = 0; at < words.Length; at++)
        {
            if (!Is(words[at]))
                continue;
            var hash = 0xCBF29CE484222325UL;
            for (var length = 1; length <= Math.Min(PhraseWordsMax, words.Length - at); length++)
            {
                var word = words[at + length - 1];
                if (!Is(word) || length > 1 && !follows[at + length - 1])
                    break;
                hash = new SeededRandom(hash ^ (uint)word).NextBits();
                if (seen.Add(hash))
                    phrases.Add((hash, at, length));
            }
        }
        return phrases;

        bool Is(int word) => isWord.TryGetValue(word, out var known) ? known : isWord[word] = IsWord(texts.Word(word));
    }

    private static bool IsWord(string word) => word.Any(char.IsLetterOrDigit);
}
