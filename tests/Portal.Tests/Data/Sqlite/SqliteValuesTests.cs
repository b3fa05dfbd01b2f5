using System.Text;
using Microsoft.Data.Sqlite;
using Xunit;

namespace Portal.Tests.Data.Sqlite;

/// <summary>What goes in comes out: texts, blobs, types, through Microsoft.Data.Sqlite on the stand-in.</summary>
public sealed class SqliteValuesTests : IDisposable
{
    private readonly SqliteConnection db = SqliteFile.OpenMemory();

    public void Dispose() => db.Dispose();

    public static TheoryData<string> Texts => new()
    {
        "",
        "plain",
        "nul\0inside\0",
        "\0",
        "emoji 🦉 and ü",
        new string('x', 511),
        new string('ß', 257), // 514 bytes: past the stack buffer of sqlite3_bind_text
    };

    [Theory]
    [MemberData(nameof(Texts))]
    public void A_text_comes_back_as_it_went_in(string text)
    {
        Assert.Equal(text, db.Scalar("SELECT $v", ("$v", text)));
        Assert.Equal("text", db.Scalar("SELECT typeof($v)", ("$v", text)));
        Assert.Equal((long)Encoding.UTF8.GetByteCount(text), db.Scalar("SELECT length(CAST($v AS BLOB))", ("$v", text)));
    }

    [Fact]
    public void A_text_of_5_MB_comes_back_as_it_went_in()
    {
        var text = string.Concat(Enumerable.Range(0, 1_000_000).Select(i => $"{i % 1000:D3}é")); // 5 bytes each
        Assert.Equal(5_000_000, Encoding.UTF8.GetByteCount(text));
        db.Execute("CREATE TABLE t(v TEXT)");

        db.Execute("INSERT INTO t VALUES($v)", ("$v", text));

        Assert.Equal(text, db.Scalar("SELECT v FROM t"));
    }

    [Fact]
    public void A_lone_surrogate_becomes_the_replacement_character() => Assert.Equal("a\uFFFDb", db.Scalar("SELECT $v", ("$v", "a\uD83Eb")));

    [Fact]
    public void An_empty_blob_is_not_null()
    {
        Assert.Equal("blob", db.Scalar("SELECT typeof($v)", ("$v", Array.Empty<byte>())));
        Assert.Equal(Array.Empty<byte>(), db.Scalar("SELECT $v", ("$v", Array.Empty<byte>())));
        Assert.Equal(DBNull.Value, db.Scalar("SELECT $v", ("$v", null)));
        Assert.Equal("null", db.Scalar("SELECT typeof($v)", ("$v", null)));
    }

    [Fact]
    public void A_blob_comes_back_as_it_went_in()
    {
        var bytes = new byte[300_000];
        new Random(1).NextBytes(bytes);

        Assert.Equal(bytes, db.Scalar("SELECT $v", ("$v", bytes)));
    }

    [Fact]
    public void A_blob_stream_reads_and_writes_in_place()
    {
        db.Execute("CREATE TABLE t(id INTEGER PRIMARY KEY, b BLOB); INSERT INTO t VALUES(7, zeroblob(1000))");

        using (var blob = new SqliteBlob(db, "t", "b", 7))
        {
            Assert.Equal(1000, blob.Length);
            blob.Position = 990;
            blob.Write([1, 2, 3]);
            blob.Position = 989;
            var read = new byte[5];
            Assert.Equal(5, blob.Read(read));
            Assert.Equal([0, 1, 2, 3, 0], read);
            blob.Position = 998;
            Assert.Throws<NotSupportedException>(() => blob.Write([1, 2, 3])); // A blob never grows.
        }

        Assert.Equal("00010203000000000000", db.Scalar("SELECT substr(hex(b), -22, 20) FROM t"));
        using var readOnly = new SqliteBlob(db, "t", "b", 7, readOnly: true);
        Assert.Throws<NotSupportedException>(() => readOnly.Write([1]));
    }

    [Fact]
    public void A_blob_stream_of_a_missing_row_or_column_says_so()
    {
        db.Execute("CREATE TABLE t(id INTEGER PRIMARY KEY, b BLOB)");

        Assert.Contains("no such rowid", Assert.Throws<SqliteException>(() => new SqliteBlob(db, "t", "b", 1)).Message, StringComparison.Ordinal);
        Assert.Contains("no such column", Assert.Throws<SqliteException>(() => new SqliteBlob(db, "t", "c", 1)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_reader_streams_a_blob_column()
    {
        db.Execute("CREATE TABLE t(id INTEGER PRIMARY KEY, b BLOB); INSERT INTO t VALUES(1, x'0102030405')");
        using var command = db.CreateCommand();
        command.CommandText = "SELECT id, b FROM t";
        using var reader = command.ExecuteReader();
        Assert.True(reader.Read());

        using var stream = reader.GetStream(1);

        Assert.IsType<SqliteBlob>(stream);
        var copy = new MemoryStream();
        stream.CopyTo(copy);
        Assert.Equal([1, 2, 3, 4, 5], copy.ToArray());
    }

    public static TheoryData<object, Type> Values => new()
    {
        { long.MinValue, typeof(long) },
        { int.MaxValue, typeof(int) },
        { true, typeof(bool) },
        { double.MaxValue, typeof(double) },
        { double.Epsilon, typeof(double) },
        { double.NegativeInfinity, typeof(double) },
        { 0.1f, typeof(float) },
        { 79228162514264337593543950335m, typeof(decimal) },
        { 'ß', typeof(char) },
        { new Guid("c9f0a4b1-02a1-4b34-8a5e-5d1b5f0f1c11"), typeof(Guid) },
        { new DateTime(2026, 2, 28, 23, 59, 59, 123), typeof(DateTime) },
        { new DateTimeOffset(2026, 2, 28, 23, 59, 59, TimeSpan.FromHours(-9.5)), typeof(DateTimeOffset) },
        { new TimeSpan(3, 4, 5, 6, 7), typeof(TimeSpan) },
        { new DateOnly(1, 1, 1), typeof(DateOnly) },
    };

    [Theory]
    [MemberData(nameof(Values))]
    public void A_typed_value_comes_back_as_it_went_in(object value, Type type)
    {
        using var command = db.CreateCommand();
        command.CommandText = "SELECT $v";
        command.Parameters.AddWithValue("$v", value);
        using var reader = command.ExecuteReader();
        Assert.True(reader.Read());

        var read = typeof(SqliteDataReader).GetMethod(nameof(SqliteDataReader.GetFieldValue))!.MakeGenericMethod(type).Invoke(reader, [0]);

        Assert.Equal(value, read);
    }

    [Fact]
    public void Columns_know_their_table_origin_and_declaration()
    {
        db.Execute("CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, name VARCHAR(20) NOT NULL COLLATE NOCASE UNIQUE, free)");
        using var command = db.CreateCommand();
        command.CommandText = "SELECT id, name AS alias, name, 1 + 1 FROM t";
        using var reader = command.ExecuteReader();

        var rows = reader.GetSchemaTable().Rows;

        Assert.Equal("id", rows[0]["BaseColumnName"]);
        Assert.Equal(true, rows[0]["IsKey"]);
        Assert.Equal(true, rows[0]["IsAutoIncrement"]);
        Assert.Equal(("alias", "name", "t", "main"), (rows[1]["ColumnName"], rows[1]["BaseColumnName"], rows[1]["BaseTableName"], rows[1]["BaseCatalogName"]));
        Assert.Equal("VARCHAR", reader.GetDataTypeName(1)); // Without its length: Microsoft.Data.Sqlite cuts it off.
        Assert.Equal((true, false), (rows[2]["IsUnique"], rows[2]["AllowDBNull"]));
        Assert.Equal(DBNull.Value, rows[3]["BaseColumnName"]);
        Assert.Equal(true, rows[3]["IsExpression"]);
    }

    [Fact]
    public void Parameters_are_found_by_every_kind_of_name()
    {
        Assert.Equal("abc", db.Scalar("SELECT $a || @b || :c", ("$a", "a"), ("@b", "b"), (":c", "c")));
        var missing = Assert.Throws<InvalidOperationException>(() => db.Scalar("SELECT $a, $missing", ("$a", 1)));
        Assert.Contains("$missing", missing.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Several_statements_of_one_command_give_several_results()
    {
        using var command = db.CreateCommand();
        command.CommandText = "-- a comment first\nCREATE TABLE t(v); INSERT INTO t VALUES(1),(2); SELECT v FROM t; ; SELECT 'ü' ; /* the end */ ";
        using var reader = command.ExecuteReader();

        Assert.True(reader.Read() && reader.Read() && !reader.Read());
        Assert.True(reader.NextResult() && reader.Read());
        Assert.Equal("ü", reader.GetString(0));
        Assert.False(reader.NextResult());
        Assert.Equal(2, reader.RecordsAffected);
    }

    [Fact]
    public void Keywords_are_SQLites()
    {
        var words = db.GetSchema("ReservedWords").Rows.Cast<System.Data.DataRow>().Select(r => (string)r[0]).ToList();

        Assert.Contains("SELECT", words);
        Assert.Contains("WITHOUT", words);
        Assert.All(words, w => Assert.Matches("^[A-Z_]+$", w)); // Cut at its own length, not at the next word's end.
    }

    [Fact]
    public void The_version_is_that_of_the_library()
    {
        Assert.Equal(db.Scalar("SELECT sqlite_version()"), db.ServerVersion);
        Assert.Equal("libsqlite3.so.0", SQLitePCL.raw.GetNativeLibraryName());
    }
}
