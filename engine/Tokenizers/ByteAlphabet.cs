using System.Text;

namespace Portal.Engine.Tokenizers;

/// <summary>
/// GPT-2's printable spelling of bytes: each of the 256 bytes is one visible character, so that a vocabulary of byte strings
/// can stand in a JSON file. Printable Latin-1 bytes stand for themselves, the others for U+0100 onwards in order.
/// </summary>
public static class ByteAlphabet
{
    private static readonly char[] Characters = MakeCharacters();
    private static readonly Dictionary<char, byte> Bytes = Enumerable.Range(0, 256).ToDictionary(b => Characters[b], b => (byte)b);

    /// <summary>The character that spells a byte, for instance Ġ (U+0120) for a space.</summary>
    public static char CharacterOf(byte value)
    {
        return Characters[value];
    }

    /// <summary>The spelling of some bytes.</summary>
    public static string Spell(ReadOnlySpan<byte> bytes)
    {
        var text = new StringBuilder(bytes.Length);
        foreach (var value in bytes)
        {
            text.Append(Characters[value]);
        }

        return text.ToString();
    }

    /// <summary>The bytes of a spelling, or null where a character spells none.</summary>
    public static byte[]? Read(string spelling)
    {
        var bytes = new byte[spelling.Length];
        for (var i = 0; i < spelling.Length; i++)
        {
            if (!Bytes.TryGetValue(spelling[i], out bytes[i]))
            {
                return null;
            }
        }

        return bytes;
    }

    private static char[] MakeCharacters()
    {
        var characters = new char[256];
        var extra = 0;
        for (var value = 0; value < 256; value++)
        {
            var printable = value is (>= '!' and <= '~') or (>= 0xa1 and <= 0xac) or (>= 0xae and <= 0xff);
            characters[value] = printable ? (char)value : (char)(256 + extra++);
        }

        return characters;
    }
}
