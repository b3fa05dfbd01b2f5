using System.Security.Cryptography;
using System.Text;

namespace Portal.Data.Storage;

/// <summary>
/// Keyed hashes of texts: HMAC-SHA-256 under a key that belongs to this installation. Manifests and audit rows hold these instead of
/// texts: equal texts can be recognised, but without the key nobody can test a guess.
/// </summary>
public sealed class ContentHasher(byte[] key)
{
    private readonly byte[] _key = key.Length >= 32
        ? key
        : throw new ArgumentException($"The content key has {key.Length} bytes, at least 32 are needed.", nameof(key));

    /// <summary>64 lower-case hex digits.</summary>
    public string Hash(string text) => Convert.ToHexStringLower(HMACSHA256.HashData(_key, Encoding.UTF8.GetBytes(text)));

    /// <summary>The hash of several hashes or ids in order; no two different lists give the same.</summary>
    public string HashList(params ReadOnlySpan<string> parts)
    {
        var text = new StringBuilder();
        foreach (var part in parts)
            text.Append(part.Length).Append(':').Append(part).Append(';');
        return Hash(text.ToString());
    }
}
