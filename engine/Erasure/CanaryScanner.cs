using System.IO.Compression;
using System.Text;
using Microsoft.EntityFrameworkCore;
using Npgsql;
using Portal.Data;
using Portal.Data.Storage;
using Portal.Engine.Tokenizers;

namespace Portal.Engine.Erasure;

/// <summary>Where a text was found.</summary>
/// <param name="Text">0-based: which one. The text itself is never told.</param>
/// <param name="Store">The folder of the data directory, "database", "queue", "names of files", or a part of a PostgreSQL server.</param>
/// <param name="Inside">What it was packed in: "" for nothing, else "gzip", "zip", "zlib", "deflate", "brotli", and two of them for one in another.</param>
/// <param name="Whole">Places where it stands whole.</param>
/// <param name="Parts">Places where a stretch of it stands by itself.</param>
public sealed record CanaryFinding(int Text, string Store, CanaryCoding Coding, string Inside, int Whole, int Parts);

/// <summary>What a scan saw.</summary>
/// <param name="Files">Read to their ends.</param>
/// <param name="Unread">Files that could not be read, and why: what is in them nobody knows.</param>
/// <param name="CutOff">Packed members that were larger than <see cref="CanaryScanner.UnpackedMax"/>, and of which only so much was looked at.</param>
public sealed record CanaryReport(IReadOnlyList<CanaryFinding> Findings, int Files, long Bytes, IReadOnlyList<string> Unread, int CutOff);

/// <summary>
/// Looks for texts in everything an installation keeps: each file below its data directory, whatever it is, and the tables of a PostgreSQL database, in every coding of <see cref="CanaryCoding"/>, also inside gzip, zlib, deflate, brotli and zip
/// (one in another once), and in stretches of 24 characters, so that a text in several pages of a database, or half overwritten, is found as well.
/// </summary>
/// <remarks>
/// It reads bytes and knows no format but those of compression: free pages and logs of SQLite are looked at like all the rest. What it cannot see: texts that were encrypted, that PostgreSQL compressed in old pages of its own, that stand on a disk
/// beneath the file system, or that somebody wrote in other words. That it finds what it should is tested by planting (CanaryScannerTests).
/// </remarks>
public sealed class CanaryScanner
{
    /// <summary>Bytes of one packed member that are looked at.</summary>
    public const int UnpackedMax = 256 * 1024 * 1024;

    private const int WindowBytes = 4 * 1024 * 1024, NestedMax = 2;

    private readonly CanarySearch search;
    private readonly Dictionary<(int Text, string Store, CanaryCoding Coding, string Inside), (int Whole, int Parts)> found = [];
    private readonly List<string> unread = [];
    private int files, cutOff;
    private long bytes;

    /// <param name="texts">What must not be found, each at least <see cref="CanaryTexts.BytesMin"/> bytes.</param>
    /// <param name="tokenizers">By which texts may have become token ids.</param>
    public CanaryScanner(IReadOnlyList<string> texts, IReadOnlyList<ITokenizer> tokenizers) => search = new CanarySearch(CanaryTexts.Patterns(texts, tokenizers));

    /// <summary>The tokenizers of the models in a data directory, each once.</summary>
    public static IReadOnlyList<ITokenizer> TokenizersOf(DataDirectory directory)
    {
        var known = new Dictionary<string, ITokenizer>();
        foreach (var folder in Directory.Exists(directory.Models) ? Directory.EnumerateDirectories(directory.Models) : [])
        {
            try
            {
                var tokenizer = TokenizerFolder.Load(folder);
                known.TryAdd(TokenizerFolder.Hash(tokenizer), tokenizer);
            }
            catch (Exception e) when (e is IOException or InvalidDataException or FormatException or CannotTrain)
            {
                // An SAE, or a folder that a job is writing: it has none.
            }
        }
        return [.. known.Values];
    }

    /// <summary>What was found so far.</summary>
    public CanaryReport Report() => new([.. found.OrderBy(f => f.Key.Text).ThenBy(f => f.Key.Store, StringComparer.Ordinal).ThenBy(f => f.Key.Coding).ThenBy(f => f.Key.Inside, StringComparer.Ordinal)
        .Select(f => new CanaryFinding(f.Key.Text, f.Key.Store, f.Key.Coding, f.Key.Inside, f.Value.Whole, f.Value.Parts))], files, bytes, unread, cutOff);

    /// <summary>Looks at every file below a folder.</summary>
    /// <param name="store">The store all of them are in; null: the name of the first folder, as in a data directory.</param>
    /// <param name="except">A file that is left out: the list of texts itself.</param>
    public void Files(string root, string? store, string? except, CancellationToken stop)
    {
        foreach (var path in Directory.EnumerateFiles(root, "*", new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.ReparsePoint }).Where(path => path != except).Order(StringComparer.Ordinal))
        {
            stop.ThrowIfCancellationRequested();
            var relative = Path.GetRelativePath(root, path);
            var name = Encoding.UTF8.GetBytes(relative);
            search.Run(name, 0, name.Length, (pattern, whole) => Note(pattern, "names of files", "", whole));
            if (new FileInfo(path) is not { Exists: true, Length: > 0 })
                continue;
            try
            {
                Source(store ?? StoreOf(relative), "", () => new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, 1 << 16), 0, stop);
                files++;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                unread.Add($"{store ?? StoreOf(relative)}: {e.GetType().Name}"); // not the path, which may hold a text
            }
        }
    }

    /// <summary>Looks at every column of every table of a PostgreSQL database as the server sends them, and at the files of the server where this machine and user can read them.</summary>
    /// <returns>What was not looked at, in words; null when all of it was.</returns>
    public async Task<string?> Postgres(string connection, CancellationToken stop)
    {
        await using var open = new NpgsqlConnection(connection);
        await open.OpenAsync(stop);
        foreach (var table in await Column(open, "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')", stop))
        {
            await using var rows = await open.BeginRawBinaryCopyAsync($"COPY {table} TO STDOUT (FORMAT BINARY)", stop);
            bytes += Windows(rows, WindowBytes, "database (tables)", "", packed: null, stop); // values as they are; none of our columns holds anything packed
        }
        List<string> folders;
        try
        {
            folders = await Column(open, "SELECT current_setting('data_directory') || '/base/' || oid FROM pg_database WHERE datname = current_database()", stop);
        }
        catch (PostgresException e) when (e.SqlState == PostgresErrorCodes.InsufficientPrivilege)
        {
            return "the server's files: this database user may not know where they are";
        }
        try
        {
            Files(folders[0], "database (server's files)", null, stop);
            Files(Path.GetFullPath(Path.Combine(folders[0], "../../pg_wal")), "database (server's own log)", null, stop);
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "the server's files: they are on another machine, or not for this user to read";
        }
    }

    private static async Task<List<string>> Column(NpgsqlConnection open, string sql, CancellationToken stop)
    {
        await using var command = new NpgsqlCommand(sql, open);
        await using var reader = await command.ExecuteReaderAsync(stop);
        var values = new List<string>();
        while (await reader.ReadAsync(stop))
            values.Add(reader.GetString(0));
        return values;
    }

    private static string StoreOf(string relative) =>
        relative.Split('/') is [var folder, _, ..] ? folder
        : relative.StartsWith("portal.db", StringComparison.Ordinal) ? "database"
        : relative.StartsWith("queue.db", StringComparison.Ordinal) ? "queue"
        : "data directory";

    private void Note(CanaryPattern pattern, string store, string inside, bool whole)
    {
        var key = (pattern.Text, store, pattern.Coding, inside);
        var before = found.GetValueOrDefault(key);
        found[key] = whole ? (before.Whole + 1, before.Parts) : (before.Whole, before.Parts + 1);
    }

    /// <summary>Looks at a stream, and at what is packed in it.</summary>
    /// <param name="open">Opens it anew, at its beginning; it can be positioned.</param>
    /// <param name="depth">How many packings it is inside of.</param>
    private void Source(string store, string inside, Func<Stream> open, int depth, CancellationToken stop)
    {
        var packed = new List<(long At, string How, int Skip)>();
        if (depth < NestedMax)
            packed.AddRange([(0, "brotli", 0), (0, "deflate", 0)]); // these have no mark of their own
        using (var stream = open())
        {
            var read = Windows(stream, (int)Math.Min(stream.Length, WindowBytes), store, inside, depth < NestedMax ? packed : null, stop);
            bytes += depth == 0 ? read : 0;
        }
        foreach (var (at, how, skip) in packed)
        {
            stop.ThrowIfCancellationRequested();
            using var stream = open();
            stream.Position = at + skip;
            if (Unpack(stream, how) is { Length: >= CanaryTexts.BytesMin } member)
                Source(store, inside.Length == 0 ? how : $"{how} in {inside}", () => new MemoryStream(member.GetBuffer(), 0, (int)member.Length), depth + 1, stop);
        }
    }

    /// <summary>Looks at a stream from where it is to its end, in windows that overlap.</summary>
    /// <param name="size">Bytes to read at a time, at least 1.</param>
    /// <param name="packed">Where packed members begin is added here; null where nobody asks.</param>
    /// <returns>Bytes read.</returns>
    private long Windows(Stream stream, int size, string store, string inside, List<(long At, string How, int Skip)>? packed, CancellationToken stop)
    {
        // A window keeps a pattern's length of what was before it and waits for as much behind it, so that no place is at an edge.
        var around = Math.Max(search.LengthMax, 64); // a header of a zip file has 30
        var window = new byte[size + 2 * around];
        var (held, looked, start) = (0, 0, 0L); // bytes in the window, of which those before `looked` are told; where the window begins
        while (true)
        {
            stop.ThrowIfCancellationRequested();
            var read = stream.Read(window, held, window.Length - held);
            held += read;
            var to = read == 0 ? held : Math.Max(looked, held - around);
            search.Run(window.AsSpan(0, held), looked, to, (pattern, whole) => Note(pattern, store, inside, whole));
            if (packed is not null)
                Marks(window.AsSpan(0, held), looked, to, start, packed);
            if (read == 0)
                return start + held;
            looked = to;
            if (looked > around)
            {
                var gone = looked - around;
                window.AsSpan(gone, held - gone).CopyTo(window);
                (held, looked, start) = (held - gone, looked - gone, start + gone);
            }
        }
    }

    /// <summary>Where a packed member may begin.</summary>
    private static void Marks(ReadOnlySpan<byte> window, int from, int to, long start, List<(long At, string How, int Skip)> packed)
    {
        for (var at = from; at < to - 1; at++)
        {
            switch (window[at], window[at + 1])
            {
                case (0x1F, 0x8B) when at + 2 < window.Length && window[at + 2] == 8:
                    packed.Add((start + at, "gzip", 0));
                    break;
                case (0x78, 0x01 or 0x5E or 0x9C or 0xDA):
                    packed.Add((start + at, "zlib", 0));
                    break;
                // A local header of a zip file: method 8 at 8, the lengths of name and extra field at 26 and 28, the data behind them.
                case ((byte)'P', (byte)'K') when at + 30 <= window.Length && window[at + 2] == 3 && window[at + 3] == 4 && window[at + 8] == 8:
                    packed.Add((start + at, "zip", 30 + window[at + 26] + (window[at + 27] << 8) + window[at + 28] + (window[at + 29] << 8)));
                    break;
            }
        }
    }

    /// <summary>What comes out until it ends or is damaged; null where nothing does.</summary>
    private MemoryStream? Unpack(Stream stream, string how)
    {
        using Stream unpacking = how switch
        {
            "gzip" => new GZipStream(stream, CompressionMode.Decompress),
            "zlib" => new ZLibStream(stream, CompressionMode.Decompress),
            "brotli" => new BrotliStream(stream, CompressionMode.Decompress),
            _ => new DeflateStream(stream, CompressionMode.Decompress),
        };
        var unpacked = new MemoryStream();
        var buffer = new byte[1 << 16];
        try
        {
            for (int read; (read = unpacking.Read(buffer)) > 0;)
            {
                if (unpacked.Length + read > UnpackedMax)
                {
                    cutOff++;
                    break;
                }
                unpacked.Write(buffer, 0, read);
            }
        }
        catch (Exception e) when (e is InvalidDataException or IOException or InvalidOperationException)
        {
            // No member, or one that is cut: what came before is looked at.
        }
        return unpacked.Length == 0 ? null : unpacked;
    }
}
