using System.Runtime.CompilerServices;
using Microsoft.Data.Sqlite;
using Xunit;

namespace Portal.Tests.Data.Sqlite;

/// <summary>Managed functions, aggregates, collations and hooks inside SQLite: results, exceptions, lifetimes.</summary>
public sealed class SqliteFunctionsTests : IDisposable
{
    private readonly SqliteConnection db = SqliteFile.OpenMemory();

    public void Dispose() => db.Dispose();

    [Fact]
    public void A_scalar_function_reads_and_answers_every_type()
    {
        db.CreateFunction("twice", (long x) => 2 * x);
        db.CreateFunction("half", (double x) => x / 2);
        db.CreateFunction("shout", (string? s) => s?.ToUpperInvariant());
        db.CreateFunction("reverse", (byte[] b) => b.Reverse().ToArray());
        db.CreateFunction("no_text", () => (string?)null);
        db.CreateFunction("count_args", (object?[] all) => all.Length);

        Assert.Equal(84L, db.Scalar("SELECT twice(42)"));
        Assert.Equal(0.75, db.Scalar("SELECT half(1.5)"));
        Assert.Equal("A\0Ü🦉", db.Scalar("SELECT shout($s)", ("$s", "a\0ü🦉")));
        Assert.Equal("", db.Scalar("SELECT shout('')"));
        Assert.Equal(DBNull.Value, db.Scalar("SELECT shout(NULL)"));
        Assert.Equal(new byte[] { 3, 2, 1 }, db.Scalar("SELECT reverse(x'010203')"));
        Assert.Equal("blob", db.Scalar("SELECT typeof(reverse(x''))"));
        Assert.Equal(DBNull.Value, db.Scalar("SELECT no_text()"));
        Assert.Equal(3L, db.Scalar("SELECT count_args(1, 'b', NULL)"));
    }

    [Fact]
    public void A_throwing_function_fails_its_statement_only()
    {
        db.CreateFunction("fail", (long x) => x == 2 ? throw new InvalidOperationException("not two") : x);

        var error = Assert.Throws<SqliteException>(() => db.Column<long>("SELECT fail(value) FROM (SELECT 1 AS value UNION ALL SELECT 2)"));

        Assert.Equal(1, error.SqliteErrorCode);
        Assert.Contains("not two", error.Message, StringComparison.Ordinal);
        Assert.Equal(3L, db.Scalar("SELECT fail(3)"));
    }

    [Fact]
    public void A_function_may_choose_the_error_code()
    {
        db.CreateFunction("refuse", long () => throw new SqliteException("no room", 13));

        var error = Assert.Throws<SqliteException>(() => db.Scalar("SELECT refuse()"));

        Assert.Equal(13, error.SqliteErrorCode);
        Assert.Contains("no room", error.Message, StringComparison.Ordinal);
    }

    /// <summary>Microsoft.Data.Sqlite catches what its users' functions throw; the stand-in must not let through what is thrown to it directly either.</summary>
    [Fact]
    public void An_exception_never_crosses_into_SQLite()
    {
        Assert.Equal(0, SQLitePCL.raw.sqlite3_open(":memory:", out var handle));
        using var connection = handle;
        Assert.Equal(0, SQLitePCL.raw.sqlite3_create_function(handle, "bad", 0, null, (_, _, _) => throw new FormatException("scalar")));
        Assert.Equal(0, SQLitePCL.raw.sqlite3_create_function(handle, "bad_step", 1, null, (_, _, _) => throw new FormatException("step"), (_, _) => { }));
        Assert.Equal(0, SQLitePCL.raw.sqlite3_create_function(handle, "bad_final", 1, null, (_, _, _) => { }, (_, _) => throw new FormatException("final")));

        foreach (var (sql, message) in new[] { ("SELECT bad()", "scalar"), ("SELECT bad_step(1)", "step"), ("SELECT bad_final(1)", "final") })
        {
            Assert.Equal(1, SQLitePCL.raw.sqlite3_exec(handle, sql));
            Assert.Equal(message, SQLitePCL.raw.sqlite3_errmsg(handle).utf8_to_string());
        }
    }

    [Fact]
    public void A_context_or_argument_kept_beyond_its_call_is_refused()
    {
        Assert.Equal(0, SQLitePCL.raw.sqlite3_open(":memory:", out var handle));
        using var connection = handle;
        SQLitePCL.sqlite3_context? context = null;
        SQLitePCL.sqlite3_value? value = null;
        SQLitePCL.raw.sqlite3_create_function(handle, "keep", 1, null, (c, _, args) => (context, value) = (c, args[0]));
        SQLitePCL.raw.sqlite3_exec(handle, "SELECT keep('text')");

        Assert.Throws<InvalidOperationException>(() => SQLitePCL.raw.sqlite3_result_int64(context!, 1));
        Assert.Throws<InvalidOperationException>(() => SQLitePCL.raw.sqlite3_value_text(value!).utf8_to_string());
    }

    [Fact]
    public void An_aggregate_keeps_one_state_per_group()
    {
        db.CreateAggregate("product", 1L, (long product, long x) => product * x);
        db.Execute("CREATE TABLE t(g, v); INSERT INTO t VALUES('a',2),('b',5),('a',3),('b',7),('a',4)");

        Assert.Equal([24L, 35L], db.Column<long>("SELECT product(v) FROM t GROUP BY g ORDER BY g"));
        Assert.Equal(1L, db.Scalar("SELECT product(v) FROM t WHERE 0")); // No row, no step: the seed.
        Assert.Equal(6L * 4 * 35, db.Scalar("SELECT product(v) FROM t"));
    }

    [Fact]
    public void A_throwing_aggregate_fails_its_statement()
    {
        db.CreateAggregate("strict", 0L, (long sum, long x) => x < 0 ? throw new ArgumentException("negative") : sum + x);
        db.CreateAggregate("bad_end", 0L, (long sum, long x) => sum + x, long (sum) => throw new ArgumentException($"ended at {sum}"));

        Assert.Contains("negative", Assert.Throws<SqliteException>(() => db.Scalar("SELECT strict(v) FROM (SELECT 1 v UNION ALL SELECT -1)")).Message, StringComparison.Ordinal);
        Assert.Contains("ended at 3", Assert.Throws<SqliteException>(() => db.Scalar("SELECT bad_end(v) FROM (SELECT 1 v UNION ALL SELECT 2)")).Message, StringComparison.Ordinal);
        Assert.Equal(3L, db.Scalar("SELECT strict(v) FROM (SELECT 1 v UNION ALL SELECT 2)"));
    }

    [Fact]
    public void A_function_can_be_redefined_and_removed()
    {
        db.CreateFunction("f", () => 1L);
        db.CreateFunction("f", () => 2L);
        Assert.Equal(2L, db.Scalar("SELECT f()"));

        db.CreateFunction("f", (Func<long>?)null);

        Assert.Contains("no such function", Assert.Throws<SqliteException>(() => db.Scalar("SELECT f()")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Only_a_deterministic_function_may_build_an_index()
    {
        db.Execute("CREATE TABLE t(v)");
        db.CreateFunction("stable", (long x) => -x, isDeterministic: true);
        db.CreateFunction("moody", (long x) => -x);

        db.Execute("CREATE INDEX i ON t(stable(v))");

        Assert.Contains("non-deterministic", Assert.Throws<SqliteException>(() => db.Execute("CREATE INDEX j ON t(moody(v))")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Functions_survive_garbage_collection_and_end_with_their_connection()
    {
        var (holder, states) = Register();
        Collect();
        Use(holder, states);
        Collect();

        Assert.All(states, s => Assert.False(s.IsAlive));
    }

    // Three methods that are not inlined, because the locals of one would keep connection and states alive in the others.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static (SqliteConnection?[] Holder, WeakReference[] States) Register()
    {
        var connection = new SqliteConnection("Data Source=:memory:;Pooling=False");
        connection.Open();
        object seven = 7L, backwards = -1, replaced = new();
        connection.CreateFunction("scalar_of_state", replaced, state => state.GetHashCode());
        connection.CreateFunction("scalar_of_state", seven, state => (long)state);
        connection.CreateCollation("backwards", backwards, (state, a, b) => (int)state * string.CompareOrdinal(a, b));
        connection.CreateAggregate("aggregate_of_state", 0L, (long sum, long x) => sum + x, sum => sum + (long)seven);
        return ([connection], [new(seven), new(backwards), new(replaced)]);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Use(SqliteConnection?[] holder, WeakReference[] states)
    {
        var connection = holder[0]!; // Set by Register.
        Assert.Equal(7L, connection.Scalar("SELECT scalar_of_state()"));
        Assert.Equal([2L, 1L], connection.Column<long>("SELECT v FROM (SELECT 1 v UNION ALL SELECT 2) ORDER BY CAST(v AS TEXT) COLLATE backwards"));
        Assert.Equal(8L, connection.Scalar("SELECT aggregate_of_state(1)"));
        Assert.Equal([true, true, false], states.Select(s => s.IsAlive));
        connection.Dispose();
        holder[0] = null;
    }

    private static void Collect()
    {
        for (var i = 0; i < 2; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }
    }

    [Fact]
    public void A_collation_sorts_and_groups()
    {
        db.CreateCollation("by_length", (a, b) => a.Length.CompareTo(b.Length));
        db.Execute("CREATE TABLE t(v TEXT COLLATE by_length); INSERT INTO t VALUES('ccc'),('a'),('bb'),('zz')");

        Assert.Equal(["a", "bb", "zz", "ccc"], db.Column<string>("SELECT v FROM t ORDER BY v, rowid"));
        Assert.Equal(3L, db.Scalar("SELECT count(DISTINCT v) FROM t"));
        Assert.Equal(2L, db.Scalar("SELECT count(*) FROM t WHERE v = 'xy'"));
    }

    [Fact]
    public void A_throwing_collation_stops_the_statement_and_tells_why()
    {
        db.Execute("CREATE TABLE t(v); INSERT INTO t VALUES('a'),('b'),('c')");
        db.CreateCollation("picky", (a, b) => throw new FormatException("cannot compare"));

        var error = Assert.Throws<InvalidOperationException>(() => db.Column<string>("SELECT v FROM t ORDER BY v COLLATE picky"));

        Assert.Equal("cannot compare", Assert.IsType<FormatException>(error.InnerException).Message);
        Assert.Equal(3L, db.Scalar("SELECT count(*) FROM t")); // The connection goes on.
    }

    [Fact]
    public void A_removed_collation_is_unknown()
    {
        db.CreateCollation("c", string.CompareOrdinal);
        db.CreateCollation("c", null);

        Assert.Contains("no such collation", Assert.Throws<SqliteException>(() => db.Scalar("SELECT 'a' < 'b' COLLATE c")).Message, StringComparison.Ordinal);
    }
}
