using System.Runtime.InteropServices;
using System.Text;

namespace SQLitePCL;

/// <summary>
/// A text of SQLite: UTF-8 bytes followed by a zero byte, or absent. It points at memory it does not own, so it lives on
/// the stack only and must be read before the statement moves on.
/// </summary>
/// <remarks>SQLite's texts may hold zero bytes inside; those that come from columns and values keep them.</remarks>
public readonly ref struct utf8z
{
    // Includes the closing zero. Empty means absent: a present empty text still has its zero.
    private readonly ReadOnlySpan<byte> terminated;

    private utf8z(ReadOnlySpan<byte> terminated) => this.terminated = terminated;

    /// <summary>A copy of <paramref name="s"/> that native code can read; absent for null.</summary>
    public static utf8z FromString(string? s) => new(Terminated(s));

    /// <summary>The text as a string, zero bytes inside included, or null when it is absent. Broken UTF-8 becomes U+FFFD.</summary>
    public string? utf8_to_string() => terminated.IsEmpty ? null : Encoding.UTF8.GetString(terminated[..^1]);

    /// <summary>For passing to native code with <c>fixed</c>; a null pointer when absent.</summary>
    public ref readonly byte GetPinnableReference() => ref terminated.GetPinnableReference();

    /// <summary>A text that ends at its first zero byte (most of SQLite's own texts).</summary>
    internal static unsafe utf8z FromPointer(byte* text) =>
        text == null ? default : new(new ReadOnlySpan<byte>(text, MemoryMarshal.CreateReadOnlySpanFromNullTerminated(text).Length + 1));

    /// <summary>A text of known length (columns and values). SQLite promises the zero after it.</summary>
    internal static unsafe utf8z FromPointer(byte* text, int lengthBytes) =>
        text == null ? default : new(new ReadOnlySpan<byte>(text, lengthBytes + 1));

    /// <summary>UTF-8 with a closing zero, as C wants it; null stays null. Lone surrogates become U+FFFD.</summary>
    internal static byte[]? Terminated(string? s)
    {
        if (s is null)
        {
            return null;
        }
        var bytes = new byte[Encoding.UTF8.GetByteCount(s) + 1];
        Encoding.UTF8.GetBytes(s, bytes);
        return bytes;
    }
}
