using System.Text;

namespace Portal.Engine.Tokenizers;

/// <summary>
/// Learns a byte-level BPE vocabulary from texts: start with the 256 bytes, then again and again make the most frequent pair of
/// neighbours inside a piece one token.
/// </summary>
/// <remarks>
/// Deterministic: the same texts in any order give the same vocabulary, because equal counts are decided by the lowest pair
/// (left id, then right id). Ids: byte b is token b, merges follow in the order learned, special tokens come last.
/// Two pairs may spell the same token (ab + c, a + bc): the second leads to the token that exists.
/// Source: Sennrich et al. 2016 (1508.07909), algorithm 1, on bytes as in GPT-2. Checked against a naive recount in tests.
/// </remarks>
public sealed class BpeTrainer
{
    /// <summary>How many tokens there shall be in all: 256 bytes, merged tokens and special tokens.</summary>
    public required int VocabularySize { get; init; }

    /// <summary>Special tokens, for instance <c>&lt;|user|&gt;</c>; they get the last ids in this order.</summary>
    public IReadOnlyList<string> SpecialTokens { get; init; } = [];

    /// <summary>How texts are cut before merging.</summary>
    public string Pattern { get; init; } = Pretokeniser.Gpt2Pattern;

    /// <summary>A pair seen less often than this is not merged.</summary>
    public int MinimumCount { get; init; } = 2;

    /// <summary>Trains. With too little text the vocabulary is smaller than asked; special tokens still come last.</summary>
    /// <exception cref="ArgumentException">The size leaves no room for bytes and special tokens, or a special token is empty or stands twice.</exception>
    public BytePairVocabulary Train(IEnumerable<string> texts, CancellationToken stop)
    {
        var room = VocabularySize - 256 - SpecialTokens.Count;
        if (room < 0)
        {
            throw new ArgumentException($"a vocabulary of {VocabularySize} cannot hold 256 bytes and {SpecialTokens.Count} special tokens");
        }

        if (SpecialTokens.Contains("") || SpecialTokens.Distinct(StringComparer.Ordinal).Count() != SpecialTokens.Count)
        {
            throw new ArgumentException("special tokens must be different and not empty");
        }

        var pairs = new PairRanking(CountPieces(texts, stop));
        var spellings = Enumerable.Range(0, 256).Select(value => ByteAlphabet.CharacterOf((byte)value).ToString()).ToList();
        var tokens = new Dictionary<string, int>(spellings.Select(KeyValuePair.Create), StringComparer.Ordinal);
        var merges = new List<(string, string)>(room);
        var merged = new HashSet<(int, int)>();
        while (spellings.Count < 256 + room && pairs.TakeBest(MinimumCount) is var (left, right))
        {
            stop.ThrowIfCancellationRequested();
            var spelling = spellings[left] + spellings[right];
            if (!tokens.TryGetValue(spelling, out var id))
            {
                id = spellings.Count;
                spellings.Add(spelling);
                tokens.Add(spelling, id);
            }

            // A pair can come back when a later pair leads to one of its tokens; its place in the order is the first.
            if (merged.Add((left, right)))
            {
                merges.Add((spellings[left], spellings[right]));
            }

            pairs.Merge(left, right, id);
        }

        return new BytePairVocabulary
        {
            Tokens = tokens,
            Merges = merges,
            SpecialTokens = SpecialTokens.Select((text, i) => (text, i)).ToDictionary(token => token.text, token => spellings.Count + token.i, StringComparer.Ordinal),
            Pattern = Pattern,
        };
    }

    private Dictionary<string, long> CountPieces(IEnumerable<string> texts, CancellationToken stop)
    {
        var pretokeniser = new Pretokeniser(Pattern);
        var seen = new Dictionary<string, long>(StringComparer.Ordinal);
        var lookup = seen.GetAlternateLookup<ReadOnlySpan<char>>();
        var ranges = new List<Range>();
        foreach (var text in texts)
        {
            stop.ThrowIfCancellationRequested();
            ranges.Clear();
            pretokeniser.Split(text, ranges);
            foreach (var range in ranges)
            {
                var piece = text.AsSpan()[range];
                lookup[piece] = lookup.TryGetValue(piece, out var count) ? count + 1 : 1;
            }
        }

        return seen;
    }
}

/// <summary>
/// The pieces under training, how often each pair of neighbours stands in them, and the most frequent pair.
/// </summary>
/// <remarks>
/// Equal pieces are held once with their frequency, and a merge visits only the pieces that hold its pair. The heap's entries
/// may be out of date: a count that fell is put back when it surfaces, one that rose is pushed at once.
/// </remarks>
internal sealed class PairRanking
{
    private readonly List<int[]> pieces = [];
    private readonly List<long> frequencies = [];
    private readonly Dictionary<long, long> counts = [];
    private readonly Dictionary<long, List<int>> holders = [];
    private readonly PriorityQueue<(long Pair, long Count), (long MinusCount, long Pair)> heap = new();

    public PairRanking(IReadOnlyDictionary<string, long> frequencyByPiece)
    {
        foreach (var (piece, frequency) in frequencyByPiece)
        {
            pieces.Add(Array.ConvertAll(Encoding.UTF8.GetBytes(piece), value => (int)value));
            frequencies.Add(frequency);
            Count(pieces.Count - 1, +1);
        }

        foreach (var (pair, count) in counts)
        {
            heap.Enqueue((pair, count), (-count, pair));
        }
    }

    /// <summary>The most frequent pair, the lowest among equals; null when none is as frequent as asked.</summary>
    public (int Left, int Right)? TakeBest(int minimumCount)
    {
        while (heap.TryDequeue(out var best, out _))
        {
            var count = counts.GetValueOrDefault(best.Pair);
            if (count == best.Count)
            {
                return count < minimumCount ? null : ((int)(best.Pair >> 32), (int)best.Pair);
            }

            if (count > 0 && count < best.Count)
            {
                heap.Enqueue((best.Pair, count), (-count, best.Pair));
            }
        }

        return null;
    }

    /// <summary>Replaces a pair by a token wherever it stands, from the left.</summary>
    public void Merge(int left, int right, int token)
    {
        if (!holders.Remove(Key(left, right), out var indexes))
        {
            return;
        }

        var before = new Dictionary<long, long>();
        foreach (var index in indexes)
        {
            var symbols = pieces[index];
            var joined = new List<int>(symbols.Length);
            for (var i = 0; i < symbols.Length; i++)
            {
                var match = symbols[i] == left && i + 1 < symbols.Length && symbols[i + 1] == right;
                joined.Add(match ? token : symbols[i]);
                i += match ? 1 : 0;
            }

            // An earlier merge may have taken the pair out of this piece.
            if (joined.Count < symbols.Length)
            {
                Count(index, -1, before);
                pieces[index] = [.. joined];
                Count(index, +1, before);
            }
        }

        foreach (var (pair, old) in before)
        {
            var now = counts[pair];
            if (now > old)
            {
                heap.Enqueue((pair, now), (-now, pair));
            }
        }
    }

    /// <summary>Adds or takes away the pairs of one piece; notes each pair's count as it was first seen in <paramref name="before"/>.</summary>
    private void Count(int index, int sign, Dictionary<long, long>? before = null)
    {
        var symbols = pieces[index];
        for (var i = 0; i + 1 < symbols.Length; i++)
        {
            var pair = Key(symbols[i], symbols[i + 1]);
            var old = counts.GetValueOrDefault(pair);
            before?.TryAdd(pair, old);
            counts[pair] = old + (sign * frequencies[index]);
            if (sign < 0)
            {
                continue;
            }

            if (!holders.TryGetValue(pair, out var indexes))
            {
                holders[pair] = indexes = [];
            }

            // A piece may still stand twice in the list; the second visit finds nothing to merge.
            if (indexes.Count == 0 || indexes[^1] != index)
            {
                indexes.Add(index);
            }
        }
    }

    private static long Key(int left, int right)
    {
        return ((long)left << 32) | (uint)right;
    }
}
