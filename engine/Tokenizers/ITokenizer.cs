using System.Text;

namespace Portal.Engine.Tokenizers;

/// <summary>Text to token ids and back. Implementations are immutable and safe to use from several threads.</summary>
public interface ITokenizer
{
    /// <summary>Ids run from 0 to this number minus one; the model's embedding has at least as many rows.</summary>
    int VocabularySize { get; }

    /// <summary>Special tokens by their text, for instance <c>&lt;|end|&gt;</c>. Ordinary text never produces them.</summary>
    IReadOnlyDictionary<string, int> SpecialTokens { get; }

    /// <summary>The token that starts a text, or null where this vocabulary has none.</summary>
    int? BosId { get; }

    /// <summary>The token that ends a text or a turn, or null where this vocabulary has none.</summary>
    int? EosId { get; }

    /// <summary>The token to fill batches with. Always a valid id; attention and losses mask it.</summary>
    int PadId { get; }

    /// <summary>The ids of a text, without a start or end token of the tokenizer's own.</summary>
    /// <param name="text">Any string; lone surrogates become U+FFFD.</param>
    /// <param name="parseSpecial">
    /// False (default): the text is data, and "&lt;|end|&gt;" typed by a person becomes ordinary tokens. True: special tokens
    /// in the text become their ids, as Hugging Face does; only for text that we wrote ourselves.
    /// </param>
    int[] Encode(string text, bool parseSpecial = false);

    /// <summary>The text of some ids. Bytes that are no complete UTF-8 sequence become U+FFFD; it never throws for that.</summary>
    /// <exception cref="ArgumentOutOfRangeException">An id is outside the vocabulary.</exception>
    string Decode(ReadOnlySpan<int> ids, bool skipSpecial = true);

    /// <summary>The bytes one id stands for: UTF-8 of its text, or a part of a character. Special tokens give their own text.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The id is outside the vocabulary.</exception>
    ReadOnlySpan<byte> BytesOf(int id);
}

/// <summary>
/// Turns ids into text one by one, as they are sampled: what comes out is always whole characters, the bytes of an
/// unfinished one wait for the next id.
/// </summary>
public sealed class TokenTextStream(ITokenizer tokenizer)
{
    private readonly Decoder decoder = Encoding.UTF8.GetDecoder();
    private bool isFirst; // nothing but the start token came before

    /// <summary>The characters that this id completes; may be empty. Special tokens give nothing.</summary>
    /// <remarks>Behind a start token that was pushed too, it is the text's beginning: a vocabulary that puts a space before every text takes it off again, as in <see cref="ITokenizer.Decode"/>.</remarks>
    public string Push(int id)
    {
        if (tokenizer.SpecialTokens.Values.Contains(id))
        {
            isFirst = id == tokenizer.BosId;
            return "";
        }
        var bytes = tokenizer.BytesOf(id);
        if (isFirst && tokenizer.BosId is { } bos && bytes is [(byte)' ', ..] && tokenizer.Decode([bos, id]).Length < tokenizer.Decode([id]).Length)
            bytes = bytes[1..];
        isFirst = false;
        return Convert(bytes, flush: false);
    }

    /// <summary>What is left at the end: U+FFFD for an unfinished character, else nothing.</summary>
    public string Finish()
    {
        return Convert([], flush: true);
    }

    private string Convert(ReadOnlySpan<byte> bytes, bool flush)
    {
        var characters = new char[bytes.Length + 4];
        var written = decoder.GetChars(bytes, characters, flush);
        return new string(characters, 0, written);
    }
}
