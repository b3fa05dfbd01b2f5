using System.Buffers.Binary;
using System.Text;

namespace Portal.Engine.Tokenizers;

/// <summary>
/// The tokenizer of llama2.c (<c>tokenizer.bin</c>, <c>tok512.bin</c>): SentencePiece BPE in which the pair with the best score
/// merges first, a text gets a leading space, and characters without a token fall back to bytes.
/// </summary>
/// <remarks>
/// The leading space means that Encode(a + b) is not Encode(a) followed by Encode(b): encode whole texts. Decode drops the
/// leading space after the start token only, so that a continuation keeps its own.
/// Source: karpathy/llama2.c, run.c (encode, decode). Checked on Golden/stories260K_golden.json.
/// </remarks>
public sealed class Llama2cTokenizer : ITokenizer
{
    private const int Bos = 1;
    private const int Eos = 2;
    private const int FirstByte = 3;

    private readonly byte[][] pieces;
    private readonly float[] scores;
    private readonly Dictionary<string, int> idByLatin1;
    private readonly BytePairMerger.Lookup lookup;
    private readonly uint maxTokenLength;

    private Llama2cTokenizer(byte[][] pieces, float[] scores, uint maxTokenLength)
    {
        this.pieces = pieces;
        this.scores = scores;
        this.maxTokenLength = maxTokenLength;

        // Bytes as Latin-1 strings: a dictionary key without an own comparer. The first of two equal pieces wins.
        idByLatin1 = new Dictionary<string, int>(pieces.Length, StringComparer.Ordinal);
        for (var id = FirstByte + 256; id < pieces.Length; id++)
        {
            idByLatin1.TryAdd(Encoding.Latin1.GetString(pieces[id]), id);
        }

        SpecialTokens = new Dictionary<string, int> { ["<unk>"] = 0, ["<s>"] = Bos, ["</s>"] = Eos };
        lookup = Pair;
    }

    public int VocabularySize => pieces.Length;

    public IReadOnlyDictionary<string, int> SpecialTokens { get; }

    public int? BosId => Bos;

    public int? EosId => Eos;

    public int PadId => Eos;

    /// <summary>Reads the binary file: longest token, then score, length and bytes of each token.</summary>
    /// <exception cref="InvalidDataException">The file ends early, or a length is impossible; the message names the token.</exception>
    public static Llama2cTokenizer Load(string path)
    {
        var file = File.ReadAllBytes(path).AsSpan();
        if (file.Length < 4)
        {
            throw new InvalidDataException($"{path}: not a llama2.c tokenizer, the file has {file.Length} bytes");
        }

        var longest = BinaryPrimitives.ReadUInt32LittleEndian(file);
        var (pieces, scores, at) = (new List<byte[]>(), new List<float>(), 4);
        while (at < file.Length)
        {
            var length = file.Length - at < 8 ? -1 : BinaryPrimitives.ReadInt32LittleEndian(file[(at + 4)..]);
            if (length < 0 || length > longest || length > file.Length - at - 8)
            {
                throw new InvalidDataException($"{path}: token {pieces.Count} at byte {at} is cut off or has an impossible length; not a llama2.c tokenizer");
            }

            scores.Add(BinaryPrimitives.ReadSingleLittleEndian(file[at..]));
            pieces.Add(file.Slice(at + 8, length).ToArray());
            at += 8 + length;
        }

        if (pieces.Count < FirstByte + 256)
        {
            throw new InvalidDataException($"{path}: {pieces.Count} tokens; a llama2.c vocabulary starts with 3 control and 256 byte tokens");
        }

        for (var value = 0; value < 256; value++)
        {
            pieces[FirstByte + value] = [(byte)value];
        }

        return new Llama2cTokenizer([.. pieces], [.. scores], longest);
    }

    /// <summary>Writes the same file format; what <see cref="Load"/> read comes out byte for byte.</summary>
    public void Save(string path)
    {
        ArtefactFile.Write(path, stream =>
        {
            using var writer = new BinaryWriter(stream, Encoding.UTF8, leaveOpen: true);
            writer.Write(maxTokenLength);
            for (var id = 0; id < pieces.Length; id++)
            {
                var isByte = id is >= FirstByte and < FirstByte + 256;
                var bytes = isByte ? Encoding.ASCII.GetBytes($"<0x{id - FirstByte:X2}>") : pieces[id];
                writer.Write(scores[id]);
                writer.Write(bytes.Length);
                writer.Write(bytes);
            }
        });
    }

    /// <summary>Ids of a text, without start token. <paramref name="parseSpecial"/> knows &lt;s&gt; and &lt;/s&gt;.</summary>
    public int[] Encode(string text, bool parseSpecial = false)
    {
        var ids = new List<int>();
        var start = 0;
        while (parseSpecial && NextSpecial(text, start) is var (at, token, id))
        {
            EncodeOrdinary(text[start..at], ids);
            ids.Add(id);
            start = at + token;
        }

        EncodeOrdinary(text[start..], ids);
        return [.. ids];
    }

    public string Decode(ReadOnlySpan<int> ids, bool skipSpecial = true)
    {
        var bytes = new List<byte>(ids.Length * 4);
        for (var i = 0; i < ids.Length; i++)
        {
            if (skipSpecial && ids[i] < FirstByte && ids[i] >= 0)
            {
                continue;
            }

            var piece = BytesOf(ids[i]);
            var dropSpace = i > 0 && ids[i - 1] == Bos && piece.Length > 0 && piece[0] == (byte)' ';
            bytes.AddRange(dropSpace ? piece[1..] : piece);
        }

        return Encoding.UTF8.GetString(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(bytes));
    }

    public ReadOnlySpan<byte> BytesOf(int id)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(id);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(id, pieces.Length);
        return id switch
        {
            0 => "<unk>"u8,
            Bos => "<s>"u8,
            Eos => "</s>"u8,
            _ => pieces[id],
        };
    }

    private void EncodeOrdinary(string text, List<int> ids)
    {
        if (text.Length == 0)
        {
            return;
        }

        var symbols = new List<int>(text.Length + 1);
        Span<byte> utf8 = stackalloc byte[4];
        foreach (var rune in (" " + text).EnumerateRunes())
        {
            var bytes = utf8[..rune.EncodeToUtf8(utf8)];
            if (idByLatin1.TryGetValue(Encoding.Latin1.GetString(bytes), out var id))
            {
                symbols.Add(id);
                continue;
            }

            foreach (var value in bytes)
            {
                symbols.Add(value + FirstByte);
            }
        }

        var merged = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(symbols);
        ids.AddRange(merged[..BytePairMerger.Merge(merged, lookup)]);
    }

    private bool Pair(int left, int right, out double rank, out int merged)
    {
        (rank, merged) = (0, -1);
        var length = pieces[left].Length + pieces[right].Length;
        if (length > maxTokenLength || length > 256)
        {
            return false;
        }

        Span<char> joined = stackalloc char[length];
        Encoding.Latin1.GetChars(pieces[left], joined);
        Encoding.Latin1.GetChars(pieces[right], joined[pieces[left].Length..]);
        if (!idByLatin1.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(joined, out merged))
        {
            return false;
        }

        // The merger takes the lowest rank first; here the best score is the highest.
        rank = -scores[merged];
        return true;
    }

    private static (int At, int Length, int Id)? NextSpecial(string text, int start)
    {
        var bos = text.IndexOf("<s>", start, StringComparison.Ordinal);
        var eos = text.IndexOf("</s>", start, StringComparison.Ordinal);
        return bos >= 0 && (eos < 0 || bos < eos) ? (bos, 3, Bos)
            : eos >= 0 ? (eos, 4, Eos)
            : null;
    }
}
