using System.Security.Cryptography;
using System.Text;
using Portal.Data.Storage;

namespace Portal.Data.Endpoints;

/// <summary>
/// Encrypts the keys of endpoints: the portal seals, the engine opens. AES-256-GCM under a random key that lies in the data directory's folder of keys
/// (<c>keys/endpoint-keys</c>, mode 0600), made when the first key is sealed.
/// </summary>
/// <remarks>
/// <para>Both processes reach that folder and nobody else does; it stands beside the database, not in it, so that a copy of the database alone opens nothing.</para>
/// <para>A sealed key is bound to its endpoint and address (associated data): copied into another row, or after the address was changed in the database, it does not open.</para>
/// <para>Layout: 1 byte version, 8 bytes fingerprint of the key file, 12 bytes nonce, 16 bytes tag, ciphertext. The fingerprint tells a wrong key file from a damaged row.</para>
/// </remarks>
public sealed class EndpointSecrets(DataDirectory directory)
{
    public const int KeyLengthMax = 1_000;

    /// <summary>The file's name in the folder of keys.</summary>
    public const string FileName = "endpoint-keys";

    private const byte Version = 1;
    private const int KeyBytes = 32, FingerprintBytes = 8, NonceBytes = 12, TagBytes = 16, HeaderBytes = 1 + FingerprintBytes + NonceBytes + TagBytes;

    private string Path => System.IO.Path.Combine(directory.Keys, FileName);

    /// <summary>What is wrong with a key as typed; null when nothing is. The message never repeats it.</summary>
    public static Problem? Check(string? key) =>
        string.IsNullOrWhiteSpace(key) ? new Problem("key", "Type the key.")
        : key.Trim().Length > KeyLengthMax ? new Problem("key", $"The key has {key.Trim().Length} characters; at most {KeyLengthMax} are kept.")
        : key.Trim().Any(c => c is < '!' or > '~') ? new Problem("key", "A key is one word of plain letters, digits and signs; this one holds a space, a line break or another character.")
        : null;

    /// <summary>Seals a key for an endpoint at its present address.</summary>
    /// <exception cref="ArgumentException">The key was not checked; the message does not repeat it.</exception>
    public Outcome<byte[]> Seal(PolicyEndpoint endpoint, string key)
    {
        if (Check(key) is { } wrong)
            throw new ArgumentException(wrong.Message, nameof(key));
        directory.Secret(FileName); // made on first use
        if (Read() is not { } master)
            return Damaged();
        var plain = Encoding.ASCII.GetBytes(key.Trim());
        try
        {
            var box = new byte[HeaderBytes + plain.Length];
            box[0] = Version;
            Fingerprint(master).CopyTo(box.AsSpan(1));
            var nonce = box.AsSpan(1 + FingerprintBytes, NonceBytes);
            RandomNumberGenerator.Fill(nonce);
            using var aes = new AesGcm(master, TagBytes);
            aes.Encrypt(nonce, plain, box.AsSpan(HeaderBytes), box.AsSpan(1 + FingerprintBytes + NonceBytes, TagBytes), BoundTo(endpoint));
            return box;
        }
        finally
        {
            CryptographicOperations.ZeroMemory(plain);
            CryptographicOperations.ZeroMemory(master);
        }
    }

    /// <summary>Opens an endpoint's key.</summary>
    /// <returns>The key, null where the endpoint has none, or why it cannot be opened and what to do.</returns>
    public Outcome<EndpointKey?> Open(PolicyEndpoint endpoint)
    {
        if (endpoint.SealedKey is not { } box)
            return new Outcome<EndpointKey?>.Done(null);
        if (!File.Exists(Path))
            return new Problem("key", $"The key of \"{endpoint.Name}\" cannot be opened: the file keys/{FileName} of the data folder is missing. Put it back from the backup, or type the key again on the endpoint's page.", ProblemKind.Conflict);
        if (Read() is not { } master)
            return Damaged();
        try
        {
            if (box.Length <= HeaderBytes || box[0] != Version)
                return Unreadable(endpoint);
            if (!Fingerprint(master).AsSpan().SequenceEqual(box.AsSpan(1, FingerprintBytes)))
                return new Problem("key", $"The key of \"{endpoint.Name}\" was sealed with another file keys/{FileName} than the one that lies in the data folder now. Put that one back, or type the key again on the endpoint's page.", ProblemKind.Conflict);
            var plain = new byte[box.Length - HeaderBytes];
            using var aes = new AesGcm(master, TagBytes);
            aes.Decrypt(box.AsSpan(1 + FingerprintBytes, NonceBytes), box.AsSpan(HeaderBytes), box.AsSpan(1 + FingerprintBytes + NonceBytes, TagBytes), plain, BoundTo(endpoint));
            return new EndpointKey(Encoding.ASCII.GetString(plain));
        }
        catch (AuthenticationTagMismatchException)
        {
            return Unreadable(endpoint);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(master);
        }
    }

    /// <summary>Null where the file is no key.</summary>
    private byte[]? Read() => File.ReadAllBytes(Path) is { Length: KeyBytes } master ? master : null;

    private static byte[] Fingerprint(byte[] master) => HMACSHA256.HashData(master, "portal endpoint keys"u8)[..FingerprintBytes];

    private static byte[] BoundTo(PolicyEndpoint endpoint) => Encoding.UTF8.GetBytes($"{endpoint.Id.Value:N} {endpoint.BaseUrl}");

    private static Problem Damaged() =>
        new("key", $"The file keys/{FileName} of the data folder is damaged: it does not have {KeyBytes} bytes. Put it back from the backup; or remove it and type the keys of all endpoints again.", ProblemKind.Conflict);

    private static Problem Unreadable(PolicyEndpoint endpoint) =>
        new("key", $"The stored key of \"{endpoint.Name}\" does not belong to this endpoint at this address, or was changed in the database. Type it again on the endpoint's page.", ProblemKind.Conflict);
}

/// <summary>A key in the clear, in the hands of who sends it. It shows itself to nobody else: not in text, logs or JSON.</summary>
public sealed class EndpointKey(string value)
{
    /// <summary>The key.</summary>
    public string Reveal() => value;

    /// <summary>The text without the key, should it hold it: servers like to repeat what they were sent.</summary>
    public string Cover(string text) => text.Replace(value, "[key]", StringComparison.Ordinal);

    /// <summary>True where the text holds the key.</summary>
    public bool IsIn(string text) => text.Contains(value, StringComparison.Ordinal);

    /// <inheritdoc/>
    public override string ToString() => "[key]";
}
