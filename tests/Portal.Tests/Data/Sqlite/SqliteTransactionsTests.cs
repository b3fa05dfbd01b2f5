using System.Diagnostics;
using Microsoft.Data.Sqlite;
using Xunit;

namespace Portal.Tests.Data.Sqlite;

/// <summary>Transactions, connections beside each other, backup, interrupt and error codes.</summary>
public sealed class SqliteTransactionsTests : IDisposable
{
    private readonly SqliteFile file = new();

    public void Dispose() => file.Dispose();

    [Fact]
    public void Savepoints_roll_back_a_part()
    {
        using var db = file.Open();
        db.Execute("CREATE TABLE t(v)");

        using (var transaction = db.BeginTransaction())
        {
            db.Execute("INSERT INTO t VALUES(1)");
            transaction.Save("s");
            db.Execute("INSERT INTO t VALUES(2)");
            transaction.Rollback("s");
            db.Execute("INSERT INTO t VALUES(3)");
            transaction.Release("s");
            transaction.Commit();
        }

        Assert.Equal([1L, 3L], db.Column<long>("SELECT v FROM t"));
    }

    [Fact]
    public void A_rollback_leaves_nothing()
    {
        using var db = file.Open();
        db.Execute("CREATE TABLE t(v)");

        using (var transaction = db.BeginTransaction())
        {
            db.Execute("INSERT INTO t VALUES(1)");
        }

        Assert.Equal(0L, db.Scalar("SELECT count(*) FROM t"));
    }

    /// <summary>Microsoft.Data.Sqlite learns of a rollback inside SQL by the rollback hook.</summary>
    [Fact]
    public void A_rollback_by_a_statement_ends_the_transaction_object()
    {
        using var db = file.Open();
        db.Execute("CREATE TABLE t(v)");
        var transaction = db.BeginTransaction();
        db.Execute("INSERT INTO t VALUES(1)");

        db.Execute("ROLLBACK");

        Assert.Throws<InvalidOperationException>(transaction.Commit); // Untold, it would send COMMIT and get a SqliteException.
        transaction.Dispose();
        using var next = db.BeginTransaction();
        next.Commit();
    }

    [Fact]
    public void Error_codes_are_SQLites()
    {
        using var db = file.Open();
        db.Execute("CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE t(v UNIQUE, n NOT NULL, f REFERENCES p); INSERT INTO t VALUES(1, 1, NULL)");

        Assert.Equal((19, 2067), Codes(() => db.Execute("INSERT INTO t VALUES(1, 1, NULL)")));
        Assert.Equal((19, 1299), Codes(() => db.Execute("INSERT INTO t VALUES(2, NULL, NULL)")));
        Assert.Equal((19, 787), Codes(() => db.Execute("PRAGMA foreign_keys=ON; INSERT INTO t VALUES(3, 1, 9)")));
        Assert.Equal((1, 1), Codes(() => db.Execute("SELEC 1")));
        using var readOnly = file.Open("Mode=ReadOnly");
        Assert.Equal((8, 8), Codes(() => readOnly.Execute("INSERT INTO t VALUES(4, 1, NULL)")));
        Assert.Equal(14, Codes(() => new SqliteConnection($"Data Source={file.Path}/missing/x.db").Open()).Item1);
    }

    [Fact]
    public void A_busy_database_is_error_5_after_the_busy_timeout()
    {
        using var holder = file.Open();
        holder.Execute("CREATE TABLE t(v)");
        using var transaction = holder.BeginTransaction();
        holder.Execute("INSERT INTO t VALUES(1)");
        // The command's own timeout of 1 s retries after SQLite's: the pragma alone is measured with it.
        using var db = file.Open("Default Timeout=1");
        db.Execute("PRAGMA busy_timeout=300");

        var clock = Stopwatch.StartNew();
        var codes = Codes(() => db.Execute("INSERT INTO t VALUES(2)"));

        Assert.Equal((5, 5), codes);
        Assert.True(clock.ElapsedMilliseconds >= 300, $"gave up after {clock.ElapsedMilliseconds} ms");
    }

    [Fact]
    public void A_busy_database_is_waited_for()
    {
        using var holder = file.Open();
        holder.Execute("CREATE TABLE t(v)");
        using var db = file.Open();
        db.Execute("PRAGMA busy_timeout=20000");
        var transaction = holder.BeginTransaction();
        holder.Execute("INSERT INTO t VALUES(1)");
        var started = new ManualResetEventSlim();

        var writer = Task.Run(() =>
        {
            started.Set();
            db.Execute("INSERT INTO t VALUES(2)");
        });
        started.Wait();
        Assert.False(writer.IsCompleted);
        transaction.Commit();
        transaction.Dispose();
        writer.Wait(TimeSpan.FromSeconds(30));

        Assert.Equal([1L, 2L], holder.Column<long>("SELECT v FROM t"));
    }

    [Fact]
    public void Under_WAL_readers_see_the_last_commit_while_a_writer_writes()
    {
        using var writer = file.Open();
        Assert.Equal("wal", writer.Scalar("PRAGMA journal_mode=WAL"));
        writer.Execute("CREATE TABLE t(v); INSERT INTO t VALUES(1)");
        using var transaction = writer.BeginTransaction();
        writer.Execute("INSERT INTO t VALUES(2)");

        var counts = Enumerable.Range(0, 4).AsParallel().WithDegreeOfParallelism(4).Select(_ =>
        {
            using var reader = file.Open("Mode=ReadOnly");
            return (long)reader.Scalar("SELECT count(*) FROM t")!;
        }).ToList();

        Assert.Equal([1L, 1L, 1L, 1L], counts);
        transaction.Commit();
        using var after = file.Open();
        Assert.Equal(2L, after.Scalar("SELECT count(*) FROM t"));
    }

    [Fact]
    public void A_reader_keeps_its_snapshot_under_WAL()
    {
        using var writer = file.Open();
        writer.Execute("PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES(1)");
        using var reader = file.Open();
        using var snapshot = reader.BeginTransaction(deferred: true);
        Assert.Equal(1L, reader.Scalar("SELECT count(*) FROM t"));

        writer.Execute("INSERT INTO t VALUES(2)");

        Assert.Equal(1L, reader.Scalar("SELECT count(*) FROM t"));
        reader.Execute("PRAGMA busy_timeout=1");
        reader.DefaultTimeout = 1;
        Assert.Equal((5, 517), Codes(() => reader.Execute("INSERT INTO t VALUES(3)"))); // SQLITE_BUSY_SNAPSHOT: waiting would not help.
    }

    [Fact]
    public void A_backup_copies_a_live_database()
    {
        using var source = file.Open();
        source.Execute("PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES('kept')");
        using var copy = SqliteFile.OpenMemory();

        source.BackupDatabase(copy);
        source.Execute("DELETE FROM t");

        Assert.Equal("kept", copy.Scalar("SELECT v FROM t"));
    }

    [Fact]
    public void A_backup_onto_itself_is_refused_with_a_message()
    {
        using var db = file.Open();

        var error = Assert.Throws<SqliteException>(() => db.BackupDatabase(db));

        Assert.Contains("distinct", error.Message, StringComparison.Ordinal);
    }

    /// <summary>SQLite leaves a destination closed under a backup to crash; the stand-in keeps it open until the backup ends.</summary>
    [Fact]
    public void A_backup_holds_its_connections()
    {
        Assert.Equal(0, SQLitePCL.raw.sqlite3_open(":memory:", out var source));
        Assert.Equal(0, SQLitePCL.raw.sqlite3_open(":memory:", out var destination));
        Assert.Equal(0, SQLitePCL.raw.sqlite3_exec(source, "CREATE TABLE t(v); INSERT INTO t VALUES(zeroblob(100000))"));
        var backup = SQLitePCL.raw.sqlite3_backup_init(destination, "main", source, "main");
        Assert.Equal(0, SQLitePCL.raw.sqlite3_backup_step(backup, 1));

        destination.Dispose();
        source.Dispose();
        Assert.Equal(101, SQLitePCL.raw.sqlite3_backup_step(backup, -1));
        backup.Dispose();
        backup.Dispose(); // Once is enough, twice does no harm.

        Assert.Throws<ObjectDisposedException>(() => SQLitePCL.raw.sqlite3_exec(source, "SELECT 1"));
        Assert.Throws<ObjectDisposedException>(() => SQLitePCL.raw.sqlite3_backup_step(backup, 1));
    }

    [Fact]
    public void A_connection_may_close_before_its_statements_and_blobs()
    {
        Assert.Equal(0, SQLitePCL.raw.sqlite3_open(":memory:", out var db));
        Assert.Equal(0, SQLitePCL.raw.sqlite3_exec(db, "CREATE TABLE t(v); INSERT INTO t VALUES(x'0a0b')"));
        Assert.Equal(0, SQLitePCL.raw.sqlite3_prepare_v2(db, "SELECT v FROM t", out var statement));
        Assert.Equal(0, SQLitePCL.raw.sqlite3_blob_open(db, "main", "t", "v", 1, 0, out var blob));

        db.Dispose();

        Assert.Equal(100, SQLitePCL.raw.sqlite3_step(statement));
        Assert.Equal([0x0a, 0x0b], SQLitePCL.raw.sqlite3_column_blob(statement, 0).ToArray());
        Assert.Equal(2, SQLitePCL.raw.sqlite3_blob_bytes(blob));
        statement.Dispose();
        blob.Dispose();
    }

    [Fact]
    public void An_interrupt_stops_a_running_statement()
    {
        using var db = SqliteFile.OpenMemory();
        using var running = new ManualResetEventSlim();
        db.CreateFunction("signal", (long x) =>
        {
            running.Set();
            return x;
        });
        var endless = Task.Run(() => Codes(() =>
            db.Scalar("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(signal(i)) FROM n")));
        Assert.True(running.Wait(TimeSpan.FromSeconds(30)));

        // The property's type is ours to the runtime, but to the compiler it is the signed package's.
        var handle = (SQLitePCL.sqlite3)typeof(SqliteConnection).GetProperty("Handle")!.GetValue(db)!;
        SQLitePCL.raw.sqlite3_interrupt(handle);

        Assert.True(endless.Wait(TimeSpan.FromSeconds(30)));
        Assert.Equal((9, 9), endless.Result);
        Assert.Equal(1L, db.Scalar("SELECT 1"));
    }

    [Fact]
    public void A_shared_memory_database_lives_as_long_as_a_connection()
    {
        var name = $"Data Source=shared{Guid.NewGuid():N};Mode=Memory;Cache=Shared;Pooling=False";
        var first = new SqliteConnection(name);
        first.Open();
        first.Execute("CREATE TABLE t(v); INSERT INTO t VALUES(1)");
        using (var second = new SqliteConnection(name))
        {
            second.Open();
            Assert.Equal(1L, second.Scalar("SELECT v FROM t"));
        }

        first.Dispose();

        using var later = new SqliteConnection(name);
        later.Open();
        Assert.Equal(0L, later.Scalar("SELECT count(*) FROM sqlite_master"));
    }

    [Fact]
    public void A_missing_extension_is_named()
    {
        using var db = SqliteFile.OpenMemory();
        db.EnableExtensions();

        var error = Assert.Throws<SqliteException>(() => db.LoadExtension("no_such_extension"));

        Assert.Contains("no_such_extension", error.Message, StringComparison.Ordinal);
        Assert.Contains("cannot open shared object file", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Extensions_from_SQL_are_forbidden_by_default()
    {
        using var db = SqliteFile.OpenMemory();

        var error = Assert.Throws<SqliteException>(() => db.Scalar("SELECT load_extension('x')"));

        Assert.Contains("not authorized", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Secure_delete_overwrites_what_is_deleted()
    {
        var secret = "the-secret-" + new string('s', 60);
        foreach (var (secure, found) in new[] { ("OFF", true), ("ON", false) })
        {
            using (var db = file.Open())
            {
                db.Execute($"PRAGMA journal_mode=DELETE; PRAGMA secure_delete={secure}; DROP TABLE IF EXISTS t; CREATE TABLE t(v)");
                Assert.Equal(secure == "ON" ? 1L : 0L, db.Scalar("PRAGMA secure_delete"));
                db.Execute("INSERT INTO t VALUES($s)", ("$s", secret));
                db.Execute("DELETE FROM t");
            }
            Assert.Equal(found, File.ReadAllBytes(file.Path).AsSpan().IndexOf("the-secret-"u8) >= 0);
        }
    }

    private static (int, int) Codes<T>(Func<T> act)
    {
        var error = Assert.Throws<SqliteException>(() => { act(); });
        return (error.SqliteErrorCode, error.SqliteExtendedErrorCode);
    }

    private static (int, int) Codes(Action act) => Codes<object?>(() =>
    {
        act();
        return null;
    });
}
