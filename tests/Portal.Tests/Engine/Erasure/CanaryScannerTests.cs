using System.IO.Compression;
using System.Text;
using System.Text.Json;
using Microsoft.Data.Sqlite;
using Portal.Data.Storage;
using Portal.Engine.Erasure;
using Portal.Tests.Engine.Recipes;
using Xunit;

namespace Portal.Tests.Engine.Erasure;

/// <summary>
/// The scanner's negative control: each text is planted in each coding, packed in each way and in each store, and each is found there; a scanner that finds nothing would be content with everything. And it finds nothing where nothing is.
/// </summary>
public sealed class CanaryScannerTests : IDisposable
{
    private const string Plain = "the violet mongoose of aisle 4411 sells \"umbrellas\"\nby the dozen, and nobody asks why";
    private const string Accents = "Zoë füttert früh 17 Käuze über dem Übungsplatz – ganz öffentlich";

    private readonly DataDirectory directory = new(Directory.CreateTempSubdirectory("canaries-").FullName);

    public CanaryScannerTests() => directory.Create();

    public void Dispose() => Directory.Delete(directory.Root, recursive: true);

    public static TheoryData<CanaryCoding> Codings => [.. Enum.GetValues<CanaryCoding>()];

    [Theory]
    [MemberData(nameof(Codings))]
    public void Every_coding_is_found_in_every_store_and_packed_in_every_way(CanaryCoding coding)
    {
        string[] stores = ["models", "features", "audits", "checkpoints", "uploads", "exports", "backups", "logs", "keys", "lexicons"];
        foreach (var store in stores)
            Plant(Path.Combine(directory.Root, store, "some", "file"), Surrounded(Coded(Accents, coding)));
        Plant(Path.Combine(directory.Root, "portal.db-wal"), Surrounded(Coded(Accents, coding)));
        foreach (var (name, packed) in Packings(Surrounded(Coded(Accents, coding))))
            Plant(Path.Combine(directory.Exports, name), packed);
        Plant(Path.Combine(directory.Exports, "zip in gzip"), Gzip(Zip(Surrounded(Coded(Accents, coding)))));

        var report = Scan(Accents);

        Assert.All([.. stores, "database"], store => Assert.Contains(report.Findings, one => one.Store == store && one.Coding == coding && one.Inside == "" && one.Whole > 0));
        Assert.All(["gzip", "zlib", "deflate", "brotli", "zip", "zip in gzip"], inside => Assert.Contains(report.Findings, one => one.Inside == inside && one.Coding == coding && one.Whole > 0));
        Assert.DoesNotContain(report.Findings, one => one.Coding != coding && one.Whole > 0);
        Assert.Empty(report.Unread);
    }

    /// <summary>JSON as other programs write it, and JSON in JSON.</summary>
    [Fact]
    public void Other_ways_of_writing_json_are_found()
    {
        foreach (var (name, json) in new[]
        {
            ("small digits", JsonSerializer.Serialize(Plain).Replace("\\u0022", "\\\"", StringComparison.Ordinal)), ("each character", string.Concat(Accents.Select(c => $"\\u{(int)c:x4}"))), ("within", JsonSerializer.Serialize(JsonSerializer.Serialize(Accents))),
        })
            Plant(Path.Combine(directory.Logs, name), Encoding.UTF8.GetBytes($"{{\"a\": {json}}}"));

        var report = Scan(Plain, Accents);

        Assert.Equal([0, 1], report.Findings.Where(one => one.Coding is CanaryCoding.Json && one.Whole > 0).Select(one => one.Text).Distinct());
        Assert.Equal(3, report.Findings.Where(one => one.Coding is CanaryCoding.Json).Sum(one => one.Whole));
    }

    /// <summary>A text of three pages of SQLite lies in pieces with page numbers between; deleted without overwriting, it is on free pages; half of it overwritten, half of it is there.</summary>
    [Fact]
    public void A_text_in_pieces_is_found_on_live_and_on_free_pages_of_sqlite()
    {
        var text = string.Concat(Enumerable.Range(0, 700).Select(i => $"{i * 7919 % 9973:D4} swans, "));
        var path = Path.Combine(directory.Root, "portal.db");
        Write("CREATE TABLE t (x TEXT)", "INSERT INTO t VALUES ($text)");
        var live = Scan(text);
        Write("PRAGMA secure_delete=OFF", "DELETE FROM t");
        var free = Scan(text);
        Write("PRAGMA secure_delete=ON", "VACUUM");
        var gone = Scan(text);
        Plant(Path.Combine(directory.Root, "portal.db"), Encoding.UTF8.GetBytes(text)[3_000..3_100]);

        Assert.Contains(live.Findings, one => one is { Store: "database", Coding: CanaryCoding.Utf8, Parts: > 300 });
        Assert.Contains(free.Findings, one => one is { Store: "database", Coding: CanaryCoding.Utf8, Parts: > 300 });
        Assert.Empty(gone.Findings);
        Assert.InRange(Assert.Single(Scan(text).Findings).Parts, 3, 5);

        void Write(params string[] statements)
        {
            using var connection = new SqliteConnection($"Data Source={path};Pooling=False");
            connection.Open();
            foreach (var sql in statements)
            {
                using var command = connection.CreateCommand();
                command.CommandText = sql;
                command.Parameters.AddWithValue("$text", text);
                command.ExecuteNonQuery();
            }
        }
    }

    [Fact]
    public void A_text_across_the_edges_of_windows_is_counted_once_and_in_the_names_of_files_it_is_found()
    {
        var bytes = new byte[9_000_000];
        var random = new Random(5);
        random.NextBytes(bytes);
        var canary = Encoding.UTF8.GetBytes(Plain);
        foreach (var at in new[] { 0, 4 * 1024 * 1024 - 30, 4 * 1024 * 1024 + 200, 8 * 1024 * 1024 - 5, bytes.Length - canary.Length })
            canary.CopyTo(bytes, at);
        Plant(Path.Combine(directory.Features, "large"), bytes);
        Plant(Path.Combine(directory.Uploads, "mongoose-of-aisle-4411.jsonl"), [1]);

        var report = Scan(Plain, "mongoose-of-aisle-4411");

        Assert.Equal(5, report.Findings.Single(one => one is { Store: "features", Text: 0 }).Whole);
        Assert.Equal(("names of files", 1, 1), (report.Findings[^1].Store, report.Findings[^1].Whole, report.Findings[^1].Text));
        Assert.Equal(0, report.CutOff);
    }

    [Fact]
    public void Nothing_is_found_where_nothing_is_and_a_damaged_member_is_looked_at_as_far_as_it_goes()
    {
        Plant(Path.Combine(directory.Models, "a"), Encoding.UTF8.GetBytes("the violet mongoose"));
        foreach (var (name, packed) in Packings(Encoding.UTF8.GetBytes("nothing of interest, many times over. nothing of interest.")))
            Plant(Path.Combine(directory.Exports, name), packed);
        Assert.Empty(Scan(Plain, Accents).Findings);

        var noise = new byte[50_000];
        new Random(1).NextBytes(noise);
        var damaged = Gzip([.. Encoding.UTF8.GetBytes(Accents), .. noise]);
        Plant(Path.Combine(directory.Exports, "cut"), damaged[..20_000]);
        Assert.Equal("gzip", Assert.Single(Scan(Accents).Findings).Inside);
    }

    [Fact]
    public void Lists_of_texts_are_read_line_by_line_and_mistakes_name_the_line_never_the_text()
    {
        Assert.Equal(["a text of its own", "two\nlines of text"], CanaryTexts.Read(new StringReader("a text of its own\n\n\"two\\nlines of text\"\n")));
        foreach (var (list, said) in new[] { ("long enough text\ntoo short", "line 2"), ("\"no end of this string", "Line 1"), ("\n\n", "no text") })
        {
            var refused = Assert.Throws<FormatException>(() => CanaryTexts.Read(new StringReader(list)));
            Assert.Contains(said, refused.Message, StringComparison.Ordinal);
            Assert.DoesNotContain("too short", refused.Message.Replace("too short a", "", StringComparison.Ordinal), StringComparison.Ordinal);
        }
    }

    private CanaryReport Scan(params string[] texts)
    {
        var scanner = new CanaryScanner(texts, [ToyWorld.Tokenizer]);
        scanner.Files(directory.Root, store: null, except: null, CancellationToken.None);
        return scanner.Report();
    }

    private static void Plant(string path, byte[] bytes)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllBytes(path, bytes);
    }

    private static byte[] Surrounded(byte[] bytes)
    {
        var noise = new byte[700];
        new Random(3).NextBytes(noise);
        return [.. noise, .. bytes, .. noise];
    }

    /// <summary>By other means than the scanner's.</summary>
    private static byte[] Coded(string text, CanaryCoding coding)
    {
        var ids = ToyWorld.Tokenizer.Encode(text);
        return coding switch
        {
            CanaryCoding.Utf8 => new UTF8Encoding(false).GetBytes(text),
            CanaryCoding.Utf16LittleEndian => new UnicodeEncoding(bigEndian: false, byteOrderMark: false).GetBytes(text),
            CanaryCoding.Utf16BigEndian => new UnicodeEncoding(bigEndian: true, byteOrderMark: false).GetBytes(text),
            CanaryCoding.Json => JsonSerializer.SerializeToUtf8Bytes(text),
            CanaryCoding.Tokens16 => [.. ids.SelectMany(id => BitConverter.GetBytes((ushort)id))],
            CanaryCoding.Tokens32 => [.. ids.SelectMany(BitConverter.GetBytes)],
            CanaryCoding.Tokens64 => [.. ids.SelectMany(id => BitConverter.GetBytes((long)id))],
            CanaryCoding.TokensVarint => Varint(ids),
        };

        static byte[] Varint(int[] ids)
        {
            using var memory = new MemoryStream();
            using (var writer = new BinaryWriter(memory))
            {
                foreach (var id in ids)
                    writer.Write7BitEncodedInt(id);
            }
            return memory.ToArray();
        }
    }

    private static IEnumerable<(string Name, byte[] Packed)> Packings(byte[] bytes)
    {
        yield return ("a.gz", Gzip(bytes));
        yield return ("a.zlib", Packed(bytes, to => new ZLibStream(to, CompressionLevel.SmallestSize)));
        yield return ("a.deflate", Packed(bytes, to => new DeflateStream(to, CompressionLevel.Optimal)));
        yield return ("a.br", Packed(bytes, to => new BrotliStream(to, CompressionLevel.Optimal)));
        yield return ("a.zip", Zip(bytes));
    }

    private static byte[] Gzip(byte[] bytes) => Packed(bytes, to => new GZipStream(to, CompressionLevel.Fastest));

    private static byte[] Zip(byte[] bytes)
    {
        using var memory = new MemoryStream();
        using (var zip = new ZipArchive(memory, ZipArchiveMode.Create, leaveOpen: true))
        {
            zip.CreateEntry("first.txt").Open().Dispose();
            using var entry = zip.CreateEntry("folder/second.bin", CompressionLevel.Optimal).Open();
            entry.Write(bytes);
        }
        return memory.ToArray();
    }

    private static byte[] Packed(byte[] bytes, Func<Stream, Stream> pack)
    {
        using var memory = new MemoryStream();
        using (var packing = pack(memory))
            packing.Write(bytes);
        return memory.ToArray();
    }
}
