using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Portal.Engine.Tokenizers;

namespace Portal.Engine.Erasure;

/// <summary>How a text may be written down.</summary>
public enum CanaryCoding
{
    Utf8 = 1,
    Utf16LittleEndian = 2,
    Utf16BigEndian = 3,
    /// <summary>In JSON, with characters as \u sequences or quotes escaped; where nothing has to be escaped it is <see cref="Utf8"/>.</summary>
    Json = 4,
    /// <summary>As token ids of a tokenizer of this installation: little-endian numbers of 2, 4 or 8 bytes, or 7 bits a byte.</summary>
    Tokens16 = 5,
    Tokens32 = 6,
    Tokens64 = 7,
    TokensVarint = 8,
}

/// <summary>A text in one coding, as bytes.</summary>
/// <param name="Text">0-based: which one.</param>
/// <param name="FragmentBytes">A stretch of so many bytes is found by itself: a text may lie in pieces (pages of a database), or only partly overwritten.</param>
internal sealed record CanaryPattern(int Text, CanaryCoding Coding, byte[] Bytes, int FragmentBytes);

/// <summary>Texts that must not be found, in every coding they could be in.</summary>
public static class CanaryTexts
{
    /// <summary>Shorter texts stand everywhere by chance.</summary>
    public const int BytesMin = 12;

    /// <summary>Characters of a fragment.</summary>
    private const int FragmentCharacters = 24;

    /// <summary>Tokens of a fragment, and those a text must have beside its ends: how its first and last token are cut depends on what stands beside it.</summary>
    private const int FragmentTokens = 8, TokensMin = 4;

    /// <summary>Reads texts, one a line; a line that begins with a quote is a JSON string, so that a text may have lines. Empty lines are skipped.</summary>
    /// <exception cref="FormatException">A text is too short, or a line is no JSON string; the message names the line and never the text.</exception>
    public static IReadOnlyList<string> Read(TextReader reader)
    {
        var texts = new List<string>();
        for (var line = 1; reader.ReadLine() is { } text; line++)
        {
            if (text.StartsWith('"'))
            {
                try
                {
                    text = JsonSerializer.Deserialize<string>(text) ?? "";
                }
                catch (JsonException)
                {
                    throw new FormatException($"Line {line} begins with a quote and is no JSON string.");
                }
            }
            if (text.Length == 0)
                continue;
            if (Encoding.UTF8.GetByteCount(text) < BytesMin)
                throw new FormatException($"The text of line {line} has fewer than {BytesMin} bytes: so short a text stands anywhere by chance. Give more of it.");
            texts.Add(text);
        }
        return texts.Count > 0 ? texts : throw new FormatException("There is no text to look for: give one a line.");
    }

    /// <summary>Every coding of every text, each sequence of bytes once a text.</summary>
    internal static IReadOnlyList<CanaryPattern> Patterns(IReadOnlyList<string> texts, IReadOnlyList<ITokenizer> tokenizers)
    {
        var patterns = new List<CanaryPattern>();
        for (var i = 0; i < texts.Count; i++)
        {
            var known = new HashSet<string>();
            foreach (var (coding, bytes, fragment) in Codings(texts[i]).Concat(tokenizers.SelectMany(tokenizer => Tokens(texts[i], tokenizer))))
            {
                if (known.Add(Convert.ToHexString(bytes)))
                    patterns.Add(new CanaryPattern(i, coding, bytes, fragment));
            }
        }
        return patterns;
    }

    private static IEnumerable<(CanaryCoding, byte[], int)> Codings(string text)
    {
        yield return (CanaryCoding.Utf8, Encoding.UTF8.GetBytes(text), FragmentCharacters);
        yield return (CanaryCoding.Utf16LittleEndian, Encoding.Unicode.GetBytes(text), 2 * FragmentCharacters);
        yield return (CanaryCoding.Utf16BigEndian, Encoding.BigEndianUnicode.GetBytes(text), 2 * FragmentCharacters);
        var plain = JsonSerializer.Serialize(text, Relaxed)[1..^1];
        var escaped = JsonSerializer.Serialize(text)[1..^1];
        // As others write JSON (small digits), and JSON within JSON.
        foreach (var json in new[] { plain, escaped, Escaped(text, "x4", all: false), Escaped(text, "x4", all: true), Escaped(text, "X4", all: true), JsonSerializer.Serialize(plain, Relaxed)[1..^1], JsonSerializer.Serialize(escaped)[1..^1] })
            yield return (CanaryCoding.Json, Encoding.UTF8.GetBytes(json), FragmentCharacters);
    }

    private static readonly JsonSerializerOptions Relaxed = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private static string Escaped(string text, string digits, bool all) =>
        string.Concat(text.Select(c => all || c > 126 ? $"\\u{((int)c).ToString(digits, System.Globalization.CultureInfo.InvariantCulture)}" : JsonSerializer.Serialize($"{c}", Relaxed)[1..^1]));

    private static IEnumerable<(CanaryCoding, byte[], int)> Tokens(string text, ITokenizer tokenizer)
    {
        var ids = tokenizer.Encode(text);
        if (ids.Length < TokensMin + 2)
            yield break;
        ids = ids[1..^1];
        if (tokenizer.VocabularySize <= ushort.MaxValue + 1)
            yield return (CanaryCoding.Tokens16, MemoryMarshal.AsBytes<ushort>([.. ids.Select(id => (ushort)id)]).ToArray(), 2 * FragmentTokens);
        yield return (CanaryCoding.Tokens32, MemoryMarshal.AsBytes<int>(ids).ToArray(), 4 * FragmentTokens);
        yield return (CanaryCoding.Tokens64, MemoryMarshal.AsBytes<long>([.. ids.Select(id => (long)id)]).ToArray(), 8 * FragmentTokens);
        byte[] varint = [.. ids.SelectMany(Varint)];
        // Token for token a byte or two: a few tokens would be a handful of bytes, which stand anywhere.
        if (varint.Length >= BytesMin)
            yield return (CanaryCoding.TokensVarint, varint, 2 * FragmentTokens);
    }

    private static IEnumerable<byte> Varint(int id)
    {
        var left = (uint)id;
        for (; left >= 0x80; left >>= 7)
            yield return (byte)(left | 0x80);
        yield return (byte)left;
    }
}

/// <summary>Finds many patterns, and fragments of them, in one pass over bytes.</summary>
internal sealed class CanarySearch
{
    private readonly bool[] begins = new bool[1 << 16];
    private readonly Dictionary<ulong, List<(CanaryPattern Pattern, int Offset, int Length, bool TellsParts)>> fragments = [];

    public CanarySearch(IReadOnlyList<CanaryPattern> patterns)
    {
        var plain = patterns.Where(pattern => pattern.Coding is CanaryCoding.Utf8).ToDictionary(pattern => pattern.Text);
        var known = new HashSet<(int Text, string Bytes)>();
        foreach (var pattern in patterns)
        {
            LengthMax = Math.Max(LengthMax, pattern.Bytes.Length);
            for (var offset = 0; offset < pattern.Bytes.Length; offset += pattern.FragmentBytes)
            {
                // The last one is moved back, so that it is no shorter than the others.
                var (start, length) = pattern.Bytes.Length <= pattern.FragmentBytes ? (0, pattern.Bytes.Length) : (Math.Min(offset, pattern.Bytes.Length - pattern.FragmentBytes), pattern.FragmentBytes);
                if (length < sizeof(ulong))
                    continue;
                var bytes = pattern.Bytes.AsSpan(start, length);
                // JSON of a text is that text but for a few characters: a stretch that both have is told as the text's.
                var tellsParts = known.Add((pattern.Text, Convert.ToHexString(bytes))) && !(pattern.Coding is CanaryCoding.Json && plain[pattern.Text].Bytes.AsSpan().IndexOf(bytes) >= 0);
                if (start > 0 && !tellsParts)
                    continue;
                begins[Slot(BinaryPrimitives.ReadUInt32LittleEndian(bytes))] = true;
                var key = BinaryPrimitives.ReadUInt64LittleEndian(bytes);
                if (!fragments.TryGetValue(key, out var same))
                    fragments.Add(key, same = []);
                same.Add((pattern, start, length, tellsParts));
            }
        }
    }

    /// <summary>Bytes of the longest pattern.</summary>
    public int LengthMax { get; }

    /// <summary>Tells each place that begins in [from, to): a whole pattern, or a fragment outside of one.</summary>
    /// <param name="bytes">What is known around it: a whole pattern that begins before <paramref name="from"/> is not told again by its fragments.</param>
    public void Run(ReadOnlySpan<byte> bytes, int from, int to, Action<CanaryPattern, bool> found)
    {
        to = Math.Min(to, bytes.Length - sizeof(ulong) + 1);
        for (var at = from; at < to; at++)
        {
            if (!begins[Slot(BinaryPrimitives.ReadUInt32LittleEndian(bytes[at..]))] || !fragments.TryGetValue(BinaryPrimitives.ReadUInt64LittleEndian(bytes[at..]), out var here))
                continue;
            foreach (var (pattern, offset, length, tellsParts) in here)
            {
                if (!bytes[at..].StartsWith(pattern.Bytes.AsSpan(offset, length)))
                    continue;
                var isWhole = at >= offset && bytes[(at - offset)..].StartsWith(pattern.Bytes);
                if (isWhole ? offset == 0 : tellsParts)
                    found(pattern, isWhole);
            }
        }
    }

    private static int Slot(uint four) => (int)((four * 2_654_435_761u) >> 16);
}
