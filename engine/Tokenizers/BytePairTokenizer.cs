using System.Collections.Concurrent;
using System.Text;

namespace Portal.Engine.Tokenizers;

/// <summary>
/// Byte-level byte-pair encoding as GPT-2, Llama 3 and Qwen use it: the text is cut into pieces, each piece becomes bytes,
/// and neighbouring bytes merge in the order in which the trainer learned the pairs. Every text can be encoded.
/// </summary>
/// <remarks>
/// Reads and writes Hugging Face's <c>tokenizer.json</c> through <see cref="BytePairTokenizerFile"/>; checked token for token
/// against the npm package @huggingface/tokenizers (Golden/tokenizer_parity.json).
/// </remarks>
public sealed class BytePairTokenizer : ITokenizer
{
    private const int PieceCacheSize = 1 << 16;
    private const int CachedPieceLength = 64;

    private readonly byte[]?[] bytesById;
    private readonly Dictionary<long, (int Rank, int Merged)> merges;
    private readonly Dictionary<string, int>? wholePieces;
    private readonly int[] idOfByte;
    private readonly Pretokeniser pretokeniser;
    private readonly string[] specialTexts;
    private readonly HashSet<int> specialIds;
    private readonly BytePairMerger.Lookup lookup;

    // Words repeat: a piece is merged once. The cache stops growing at its limit instead of forgetting: the common words
    // come early.
    private readonly ConcurrentDictionary<string, int[]> cache = new(StringComparer.Ordinal);

    /// <summary>Builds a tokenizer; the parts are checked against each other.</summary>
    /// <exception cref="ArgumentException">A byte without a token, a merge of unknown tokens, or a special token that stands twice.</exception>
    public BytePairTokenizer(BytePairVocabulary vocabulary)
    {
        Vocabulary = vocabulary;
        VocabularySize = 1 + Math.Max(
            vocabulary.Tokens.Count == 0 ? -1 : vocabulary.Tokens.Values.Max(),
            vocabulary.SpecialTokens.Count == 0 ? -1 : vocabulary.SpecialTokens.Values.Max());
        bytesById = new byte[]?[VocabularySize];
        foreach (var (spelling, id) in vocabulary.Tokens)
        {
            // A token that spells no bytes may stand in the vocabulary only as a special one, which is filled in below.
            bytesById[id] = ByteAlphabet.Read(spelling) ?? Encoding.UTF8.GetBytes(spelling);
        }

        SpecialTokens = vocabulary.SpecialTokens;
        specialIds = [.. SpecialTokens.Values];
        foreach (var (text, id) in SpecialTokens)
        {
            bytesById[id] = Encoding.UTF8.GetBytes(text);
        }

        // Longest first, so that of two special tokens that start alike the longer one is found.
        specialTexts = [.. SpecialTokens.Keys.OrderByDescending(text => text.Length).ThenBy(text => text, StringComparer.Ordinal)];
        idOfByte = ByteIds(vocabulary);
        merges = MergeTable(vocabulary);
        wholePieces = vocabulary.WholePiecesFirst ? vocabulary.Tokens.ToDictionary() : null;
        pretokeniser = new Pretokeniser(vocabulary.Pattern);
        BosId = Special(vocabulary.BosToken);
        EosId = Special(vocabulary.EosToken);
        PadId = Special(vocabulary.PadToken) ?? EosId ?? 0;
        lookup = (int left, int right, out double rank, out int merged) =>
        {
            var found = merges.TryGetValue(Key(left, right), out var merge);
            (rank, merged) = (merge.Rank, merge.Merged);
            return found;
        };
    }

    /// <summary>What the tokenizer was built from; <see cref="BytePairTokenizerFile"/> writes it.</summary>
    public BytePairVocabulary Vocabulary { get; }

    public int VocabularySize { get; }

    public IReadOnlyDictionary<string, int> SpecialTokens { get; }

    public int? BosId { get; }

    public int? EosId { get; }

    public int PadId { get; }

    public int[] Encode(string text, bool parseSpecial = false)
    {
        var ids = new List<int>(text.Length / 3 + 8);
        var start = 0;
        while (parseSpecial && NextSpecial(text, start) is var (at, special))
        {
            EncodeOrdinary(text[start..at], ids);
            ids.Add(SpecialTokens[special]);
            start = at + special.Length;
        }

        EncodeOrdinary(start == 0 ? text : text[start..], ids);
        return [.. ids];
    }

    public string Decode(ReadOnlySpan<int> ids, bool skipSpecial = true)
    {
        var bytes = new List<byte>(ids.Length * 4);
        foreach (var id in ids)
        {
            if (!(skipSpecial && specialIds.Contains(id)))
            {
                bytes.AddRange(BytesOf(id));
            }
        }

        return Encoding.UTF8.GetString(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(bytes));
    }

    public ReadOnlySpan<byte> BytesOf(int id)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(id);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(id, VocabularySize);
        return bytesById[id];
    }

    private void EncodeOrdinary(string text, List<int> ids)
    {
        if (text.Length == 0)
        {
            return;
        }

        if (Vocabulary.NormaliseNfc)
        {
            text = text.IsNormalized() ? text : text.Normalize(NormalizationForm.FormC);
        }

        if (Vocabulary.AddPrefixSpace && !char.IsWhiteSpace(text[0]))
        {
            text = " " + text;
        }

        var pieces = new List<Range>(text.Length / 4 + 1);
        pretokeniser.Split(text, pieces);
        var cached = cache.GetAlternateLookup<ReadOnlySpan<char>>();
        foreach (var range in pieces)
        {
            var piece = text.AsSpan()[range];
            if (!cached.TryGetValue(piece, out var tokens))
            {
                tokens = EncodePiece(piece);
                if (piece.Length <= CachedPieceLength && cache.Count < PieceCacheSize)
                {
                    cached.TryAdd(piece, tokens);
                }
            }

            ids.AddRange(tokens);
        }
    }

    private int[] EncodePiece(ReadOnlySpan<char> piece)
    {
        var bytes = new byte[Encoding.UTF8.GetByteCount(piece)];
        Encoding.UTF8.GetBytes(piece, bytes);
        if (wholePieces is not null && wholePieces.TryGetValue(ByteAlphabet.Spell(bytes), out var whole))
        {
            return [whole];
        }

        var symbols = new int[bytes.Length];
        for (var i = 0; i < bytes.Length; i++)
        {
            symbols[i] = idOfByte[bytes[i]];
        }

        return symbols[..BytePairMerger.Merge(symbols, lookup)];
    }

    private (int At, string Text)? NextSpecial(string text, int start)
    {
        (int At, string Text)? first = null;
        foreach (var special in specialTexts)
        {
            var at = text.IndexOf(special, start, StringComparison.Ordinal);
            if (at >= 0 && (first is null || at < first.Value.At))
            {
                first = (at, special);
            }
        }

        return first;
    }

    private int? Special(string? text)
    {
        return text is null ? null
            : SpecialTokens.TryGetValue(text, out var id) ? id
            : throw new ArgumentException($"the token \"{text}\" is named as start, end or padding but is not among the special tokens");
    }

    private static int[] ByteIds(BytePairVocabulary vocabulary)
    {
        var ids = new int[256];
        for (var value = 0; value < 256; value++)
        {
            if (!vocabulary.Tokens.TryGetValue(ByteAlphabet.CharacterOf((byte)value).ToString(), out ids[value]))
            {
                throw new ArgumentException($"the vocabulary has no token for byte 0x{value:x2}; byte-level BPE needs all 256");
            }
        }

        return ids;
    }

    private static Dictionary<long, (int Rank, int Merged)> MergeTable(BytePairVocabulary vocabulary)
    {
        var table = new Dictionary<long, (int, int)>(vocabulary.Merges.Count);
        for (var rank = 0; rank < vocabulary.Merges.Count; rank++)
        {
            var (left, right) = vocabulary.Merges[rank];
            if (!vocabulary.Tokens.TryGetValue(left, out var leftId)
                || !vocabulary.Tokens.TryGetValue(right, out var rightId)
                || !vocabulary.Tokens.TryGetValue(left + right, out var merged))
            {
                throw new ArgumentException($"merge {rank} (\"{left}\" \"{right}\") names a token that is not in the vocabulary");
            }

            table.TryAdd(Key(leftId, rightId), (rank, merged));
        }

        return table;
    }

    private static long Key(int left, int right)
    {
        return ((long)left << 32) | (uint)right;
    }
}

/// <summary>What a byte-level BPE tokenizer consists of; tokens are spelled in <see cref="ByteAlphabet"/>.</summary>
public sealed record BytePairVocabulary
{
    /// <summary>Ids by spelling, special tokens not among them.</summary>
    public required IReadOnlyDictionary<string, int> Tokens { get; init; }

    /// <summary>The pairs that merge, best first.</summary>
    public required IReadOnlyList<(string Left, string Right)> Merges { get; init; }

    /// <summary>Special tokens by their plain text.</summary>
    public required IReadOnlyDictionary<string, int> SpecialTokens { get; init; }

    /// <summary>The regular expression of <see cref="Pretokeniser"/>.</summary>
    public string Pattern { get; init; } = Pretokeniser.Gpt2Pattern;

    /// <summary>Whether a text that starts without white space gets a leading space (GPT-2 option; false in all newer models).</summary>
    public bool AddPrefixSpace { get; init; }

    /// <summary>Whether a piece that is a token as a whole is taken without merging (Llama 3's <c>ignore_merges</c>).</summary>
    public bool WholePiecesFirst { get; init; }

    /// <summary>Whether texts are brought to Unicode NFC first (Qwen).</summary>
    public bool NormaliseNfc { get; init; }

    /// <summary>The special token that starts a text, or null.</summary>
    public string? BosToken { get; init; }

    /// <summary>The special token that ends a text or turn, or null.</summary>
    public string? EosToken { get; init; }

    /// <summary>The special token for padding; null means the end token, else id 0.</summary>
    public string? PadToken { get; init; }
}
