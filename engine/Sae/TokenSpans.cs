using System.Globalization;
using System.Text;
using Portal.Engine.Tokenizers;

namespace Portal.Engine.Sae;

/// <summary>Where tokens lie in the text they were made of.</summary>
/// <remarks>
/// Tokens are bytes, texts are UTF-16: one token may be half a character, and some tokenizers put a space before the text or bring it to Unicode's form C. What a token
/// stands for is therefore matched against the text in these forms; a character counts as read with the token that completes it.
/// </remarks>
public static class TokenSpans
{
    /// <summary>For each token the UTF-16 offset in the text after the last character it touches: never decreasing, the last one the text's length.</summary>
    /// <param name="ids">The tokens of exactly this text. Where their bytes spell something else, every token counts as reaching to the text's end.</param>
    public static int[] Ends(string text, ITokenizer tokenizer, ReadOnlySpan<int> ids)
    {
        var bytes = new List<byte>(ids.Length * 4);
        var ends = new int[ids.Length];
        for (var i = 0; i < ids.Length; i++)
        {
            bytes.AddRange(tokenizer.BytesOf(ids[i]));
            ends[i] = bytes.Count;
        }
        if ((Match(bytes, Runes(text), 0) ?? Match(bytes, Runes(text), 1) ?? Match(bytes, FormC(text), 0) ?? Match(bytes, FormC(text), 1)) is not { } offsets)
        {
            Array.Fill(ends, text.Length);
            return ends;
        }
        for (var i = 0; i < ends.Length; i++)
            ends[i] = offsets[ends[i]];
        return ends;
    }

    /// <summary>A piece of a text: its length in the text, and the bytes a tokenizer makes of it.</summary>
    private readonly record struct Piece(int Length, byte[] Bytes);

    /// <returns>For each count of bytes the offset after the piece that the last of them belongs to; null where the bytes are others.</returns>
    private static int[]? Match(List<byte> bytes, IEnumerable<Piece> pieces, int spaces)
    {
        var offsets = new int[bytes.Count + 1];
        var (at, offset) = (0, 0);
        for (; at < spaces; at++)
        {
            if (at >= bytes.Count || bytes[at] != (byte)' ')
                return null;
        }
        foreach (var piece in pieces)
        {
            offset += piece.Length;
            foreach (var value in piece.Bytes)
            {
                if (at >= bytes.Count || bytes[at] != value)
                    return null;
                offsets[++at] = offset;
            }
        }
        return at == bytes.Count ? offsets : null;
    }

    private static IEnumerable<Piece> Runes(string text)
    {
        foreach (var rune in text.EnumerateRunes()) // half a surrogate pair comes as U+FFFD, as tokenizers take it
            yield return new Piece(rune.Utf16SequenceLength, Encoding.UTF8.GetBytes(rune.ToString()));
    }

    private static IEnumerable<Piece> FormC(string text)
    {
        for (var at = 0; at < text.Length;)
        {
            var length = StringInfo.GetNextTextElementLength(text.AsSpan(at));
            var element = text.Substring(at, length);
            var isWhole = element.EnumerateRunes().All(rune => rune != Rune.ReplacementChar);
            yield return new Piece(length, Encoding.UTF8.GetBytes(isWhole ? element.Normalize(NormalizationForm.FormC) : element));
            at += length;
        }
    }
}
