using System.IO.Compression;
using System.Security.Cryptography;

namespace Portal.Engine.Datasets.Formats;

/// <summary>
/// The bytes of an uploaded file, decompressed where they are gzip (known by its magic, not by the name), and counted: past the
/// absolute limit, past a plausible compression ratio, or where the gzip data ends early, reading stops with a
/// <see cref="CannotImportException"/>. Nothing is held but one buffer.
/// </summary>
/// <remarks>
/// .NET's GZipStream reports a gzip file that was cut short as a normal end of file. So a member of our own (random bytes) is appended to the
/// compressed data: only if every real member ended properly do exactly these bytes come out last. They are held back from the reader.
/// This also works for files of several members, where comparing the last length field would not.
/// </remarks>
internal sealed class SafeInput : ForwardStream
{
    private const int SealLength = 16;
    private readonly string file;
    private readonly ImportOptions options;
    private readonly Stream bytes;
    private readonly CountingStream? compressed;
    private readonly byte[] seal = [];
    private readonly byte[] held = new byte[SealLength];
    private int heldCount;
    private byte[] scratch = [];
    private bool ended;

    private SafeInput(Stream source, string file, ImportOptions options)
    {
        this.file = file;
        this.options = options;
        var magic = new byte[4];
        int read = source.ReadAtLeast(magic, magic.Length, throwOnEndOfStream: false);
        var whole = new ConcatenatedStream(new MemoryStream(magic, 0, read), source);
        if (read >= 2 && magic[0] == 0x1F && magic[1] == 0x8B)
        {
            seal = RandomNumberGenerator.GetBytes(SealLength);
            compressed = new CountingStream(whole);
            bytes = new GZipStream(new ConcatenatedStream(compressed, new MemoryStream(Gzip(seal))), CompressionMode.Decompress);
            return;
        }

        bytes = whole;
        if (read >= 4 && magic[0] == 'P' && magic[1] == 'K' && magic[2] == 3 && magic[3] == 4)
            throw Refuse("is a zip archive; unpack it first, or compress the single file with gzip.");
        if (read >= 2 && ((magic[0] == 0xFF && magic[1] == 0xFE) || (magic[0] == 0xFE && magic[1] == 0xFF)))
            throw Refuse("is UTF-16; save it as UTF-8.");
    }

    /// <summary>Decompressed bytes handed out so far.</summary>
    public long BytesRead { get; private set; }

    /// <summary>Opens the stream from its current position; reads four bytes to see what it is. Does not own or close it.</summary>
    public static SafeInput Open(Stream source, string file, ImportOptions options) => new(source, file, options);

    public override int Read(Span<byte> buffer)
    {
        if (buffer.IsEmpty) return 0;
        int count = compressed is null ? bytes.Read(buffer) : ReadHoldingBack(buffer);
        BytesRead += count;
        if (BytesRead > options.MaxFileBytes)
            throw Refuse($"is larger than {options.MaxFileBytes:N0} bytes{(compressed is null ? "" : " when decompressed")}; split it.");
        if (compressed is not null && BytesRead > options.RatioGraceBytes && BytesRead / options.MaxCompressionRatio > compressed.Count)
            throw Refuse($"decompresses to more than {options.MaxCompressionRatio} times its size ({BytesRead:N0} bytes from {compressed.Count:N0}), "
                + "as a zip bomb does; if it is genuine, import it uncompressed.");
        return count;
    }

    // Gives out all but the last SealLength bytes decompressed so far; at the end these must be the seal.
    private int ReadHoldingBack(Span<byte> buffer)
    {
        if (ended) return 0;
        if (scratch.Length < buffer.Length) scratch = new byte[buffer.Length];
        Span<byte> fresh = scratch.AsSpan(0, buffer.Length);
        while (true)
        {
            int count;
            try
            {
                count = bytes.Read(fresh);
            }
            catch (InvalidDataException problem)
            {
                throw Refuse($"is damaged or cut short: the gzip data cannot be read beyond about byte {BytesRead:N0} of its content.", problem);
            }

            if (count == 0)
            {
                ended = true;
                if (heldCount == SealLength && held.AsSpan().SequenceEqual(seal)) return 0;
                throw Refuse($"is cut short, or has other bytes behind its gzip data: its content ends after about byte {BytesRead:N0}.");
            }

            int ready = heldCount + count - SealLength;
            if (ready <= 0)
            {
                fresh[..count].CopyTo(held.AsSpan(heldCount));
                heldCount += count;
                continue;
            }

            // ready <= count <= buffer.Length, because at most SealLength bytes were held: everything ready fits.
            int fromHeld = Math.Min(heldCount, ready);
            held.AsSpan(0, fromHeld).CopyTo(buffer);
            fresh[..(ready - fromHeld)].CopyTo(buffer[fromHeld..]);
            var rest = new byte[SealLength]; // the ranges overlap, so the new tail is built apart
            held.AsSpan(fromHeld, heldCount - fromHeld).CopyTo(rest);
            fresh[(ready - fromHeld)..count].CopyTo(rest.AsSpan(heldCount - fromHeld));
            rest.CopyTo(held, 0);
            heldCount = SealLength;
            return ready;
        }
    }

    private CannotImportException Refuse(string reason, Exception? inner = null) => new(new RowProblem(file, 0, null, reason), inner);

    private static byte[] Gzip(byte[] content)
    {
        var target = new MemoryStream();
        using (var gzip = new GZipStream(target, CompressionLevel.Fastest, leaveOpen: true)) gzip.Write(content);
        return target.ToArray();
    }

    private sealed class CountingStream(Stream inner) : ForwardStream
    {
        public long Count { get; private set; }

        public override int Read(Span<byte> buffer)
        {
            int count = inner.Read(buffer);
            Count += count;
            return count;
        }
    }

    private sealed class ConcatenatedStream(Stream first, Stream second) : ForwardStream
    {
        private bool firstEnded;

        public override int Read(Span<byte> buffer)
        {
            if (buffer.IsEmpty) return 0;
            if (!firstEnded)
            {
                int count = first.Read(buffer);
                if (count > 0) return count;
                firstEnded = true;
            }

            return second.Read(buffer);
        }
    }
}
