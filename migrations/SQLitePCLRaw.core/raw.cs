using System.Buffers;
using System.Text;

namespace SQLitePCL;

/// <summary>
/// The part of SQLitePCLRaw's <c>raw</c> class that Microsoft.Data.Sqlite calls, with its names and signatures, on the
/// system's SQLite. Each method is the C function of the same name; results are SQLite's result codes. A test resolves
/// every reference of Microsoft.Data.Sqlite against this assembly, so an upgrade cannot miss a member silently.
/// </summary>
/// <remarks>A closed handle gives ObjectDisposedException. Indexes of columns count from 0, of parameters from 1, as in C.</remarks>
public static unsafe class raw
{
    internal const int SQLITE_OK = 0;
    internal const int SQLITE_ERROR = 1;
    internal const int SQLITE_UTF8 = 1;
    private const int SQLITE_OPEN_READWRITE = 2;
    private const int SQLITE_OPEN_CREATE = 4;
    private const nint SQLITE_TRANSIENT = -1; // SQLite copies before the call returns.

    // ---- The library ----

    /// <summary>The file name of the library that is bound.</summary>
    public static string GetNativeLibraryName() => Native.Library;

    /// <summary>SQLite's version as text, such as 3.40.1.</summary>
    public static utf8z sqlite3_libversion() => utf8z.FromPointer(Native.sqlite3_libversion());

    /// <summary>SQLite's version as a number, such as 3040001.</summary>
    public static int sqlite3_libversion_number() => Native.sqlite3_libversion_number();

    /// <summary>English words for a result code.</summary>
    public static utf8z sqlite3_errstr(int rc) => utf8z.FromPointer(Native.sqlite3_errstr(rc));

    /// <summary>How many keywords SQL has.</summary>
    public static int sqlite3_keyword_count() => Native.sqlite3_keyword_count();

    /// <summary>The keyword at <paramref name="i"/>, from 0; SQLITE_ERROR and an empty name outside the range.</summary>
    public static int sqlite3_keyword_name(int i, out string name)
    {
        var rc = Native.sqlite3_keyword_name(i, out var text, out var length);
        // Not terminated in C: SQLite keeps all keywords in one overlapping text.
        name = rc == SQLITE_OK ? Encoding.UTF8.GetString(text, length) : "";
        return rc;
    }

    /// <summary>Exists in Windows builds of SQLite only: SQLITE_ERROR.</summary>
    public static int sqlite3_win32_set_directory(int typ, string path) => SQLITE_ERROR;

    // ---- Connections ----

    /// <summary>Opens or creates a database for reading and writing. <paramref name="db"/> carries the error message also on failure; dispose it.</summary>
    public static int sqlite3_open(string filename, out sqlite3 db) =>
        sqlite3_open_v2(filename, out db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, null);

    /// <summary>Opens a database with SQLITE_OPEN_* flags; <paramref name="vfs"/> null is the default one.</summary>
    public static int sqlite3_open_v2(string filename, out sqlite3 db, int flags, string? vfs)
    {
        fixed (byte* name = utf8z.Terminated(filename), system = utf8z.Terminated(vfs))
        {
            var rc = Native.sqlite3_open_v2(name, out var pointer, flags, system);
            db = new sqlite3(pointer);
            return rc;
        }
    }

    /// <summary>The result code of the connection's last failed call, without its extension.</summary>
    public static int sqlite3_errcode(sqlite3 db) => Native.sqlite3_errcode(db);

    /// <summary>The extended result code of the connection's last failed call, such as 2067 for a unique constraint.</summary>
    public static int sqlite3_extended_errcode(sqlite3 db) => Native.sqlite3_extended_errcode(db);

    /// <summary>English words for the connection's last error; valid until its next call.</summary>
    public static utf8z sqlite3_errmsg(sqlite3 db) => utf8z.FromPointer(Native.sqlite3_errmsg(db));

    /// <summary>Rows changed by the last INSERT, UPDATE or DELETE.</summary>
    public static int sqlite3_changes(sqlite3 db) => Native.sqlite3_changes(db);

    /// <summary>Asks the statements running on this connection to stop with SQLITE_INTERRUPT; may be called from any thread.</summary>
    public static void sqlite3_interrupt(sqlite3 db) => Native.sqlite3_interrupt(db);

    /// <summary>The file of a database of the connection ("main", "temp", an attached name); empty in memory, absent when unknown.</summary>
    public static utf8z sqlite3_db_filename(sqlite3 db, string att) => utf8z.FromPointer(Native.sqlite3_db_filename(db, att));

    /// <summary>Sets an on/off option (SQLITE_DBCONFIG_*); <paramref name="val"/> below 0 only asks. <paramref name="result"/> is the value now.</summary>
    public static int sqlite3_db_config(sqlite3 db, int op, int val, out int result) => Native.sqlite3_db_config(db, op, val, out result);

    /// <summary>Runs statements whose rows nobody wants.</summary>
    /// <exception cref="InvalidOperationException">A collation or hook threw.</exception>
    public static int sqlite3_exec(sqlite3 db, string sql)
    {
        var rc = Native.sqlite3_exec(db, sql, 0, 0, 0);
        db.Failure.Throw();
        return rc;
    }

    /// <summary>Allows (1) or forbids (0) loading extensions.</summary>
    public static int sqlite3_enable_load_extension(sqlite3 db, int enable) => Native.sqlite3_enable_load_extension(db, enable);

    /// <summary>Loads an extension; <paramref name="pzErrMsg"/> says why it failed, absent otherwise.</summary>
    public static int sqlite3_load_extension(sqlite3 db, utf8z zFile, utf8z zProc, out utf8z pzErrMsg)
    {
        fixed (byte* file = zFile, entryPoint = zProc)
        {
            var rc = Native.sqlite3_load_extension(db, file, entryPoint, out var error);
            // A copy of ours, because the message is SQLite's memory that the caller has no way to give back.
            pzErrMsg = utf8z.FromString(utf8z.FromPointer(error).utf8_to_string());
            Native.sqlite3_free(error);
            return rc;
        }
    }

    /// <summary>What is declared of a column: type, collation, NOT NULL, part of the primary key, AUTOINCREMENT.</summary>
    public static int sqlite3_table_column_metadata(
        sqlite3 db, string dbName, string tblName, string colName,
        out string? dataType, out string? collSeq, out int notNull, out int primaryKey, out int autoInc)
    {
        var rc = Native.sqlite3_table_column_metadata(
            db, dbName, tblName, colName, out var type, out var collation, out notNull, out primaryKey, out autoInc);
        dataType = utf8z.FromPointer(type).utf8_to_string();
        collSeq = utf8z.FromPointer(collation).utf8_to_string();
        return rc;
    }

    // ---- Functions, collations, hooks: see Callbacks ----

    /// <summary>Registers a scalar function; a null <paramref name="func"/> removes it. −1 arguments means any number.</summary>
    public static int sqlite3_create_function(sqlite3 db, string name, int nArg, object? v, delegate_function_scalar? func) =>
        sqlite3_create_function(db, name, nArg, 0, v, func);

    /// <summary>The same with flags, such as SQLITE_DETERMINISTIC.</summary>
    public static int sqlite3_create_function(sqlite3 db, string name, int nArg, int flags, object? v, delegate_function_scalar? func) =>
        Callbacks.CreateScalar(db, name, nArg, flags | SQLITE_UTF8, v, func);

    /// <summary>Registers an aggregate; null functions remove it.</summary>
    public static int sqlite3_create_function(
        sqlite3 db, string name, int nArg, object? v, delegate_function_aggregate_step? func_step, delegate_function_aggregate_final? func_final) =>
        sqlite3_create_function(db, name, nArg, 0, v, func_step, func_final);

    /// <summary>The same with flags.</summary>
    public static int sqlite3_create_function(
        sqlite3 db, string name, int nArg, int flags, object? v, delegate_function_aggregate_step? func_step, delegate_function_aggregate_final? func_final) =>
        Callbacks.CreateAggregate(db, name, nArg, flags | SQLITE_UTF8, v, func_step, func_final);

    /// <summary>Registers a collation; a null <paramref name="f"/> removes it.</summary>
    public static int sqlite3_create_collation(sqlite3 db, string name, object? v, strdelegate_collation? f) =>
        Callbacks.CreateCollation(db, name, v, f);

    /// <summary>Sets what is told of rollbacks, in place of the previous hook; null removes it.</summary>
    public static void sqlite3_rollback_hook(sqlite3 db, delegate_rollback? f, object? v) => Callbacks.SetRollbackHook(db, f, v);

    /// <summary>The storage class of an argument: 1 integer, 2 float, 3 text, 4 blob, 5 null.</summary>
    public static int sqlite3_value_type(sqlite3_value val) => Native.sqlite3_value_type(val.Running);

    /// <summary>An argument as an integer.</summary>
    public static long sqlite3_value_int64(sqlite3_value val) => Native.sqlite3_value_int64(val.Running);

    /// <summary>An argument as a floating-point number.</summary>
    public static double sqlite3_value_double(sqlite3_value val) => Native.sqlite3_value_double(val.Running);

    /// <summary>An argument as text; absent for NULL.</summary>
    public static utf8z sqlite3_value_text(sqlite3_value val)
    {
        // Text first: it may convert the value, and the length is that of the converted one.
        var text = Native.sqlite3_value_text(val.Running);
        return utf8z.FromPointer(text, Native.sqlite3_value_bytes(val.Running));
    }

    /// <summary>An argument's bytes; empty for NULL. They are SQLite's memory: copy what must outlive the call.</summary>
    public static ReadOnlySpan<byte> sqlite3_value_blob(sqlite3_value val)
    {
        var bytes = Native.sqlite3_value_blob(val.Running);
        return new ReadOnlySpan<byte>(bytes, Native.sqlite3_value_bytes(val.Running));
    }

    /// <summary>The function answers NULL.</summary>
    public static void sqlite3_result_null(sqlite3_context context) => Native.sqlite3_result_null(context.Running);

    /// <summary>The function answers an integer.</summary>
    public static void sqlite3_result_int64(sqlite3_context context, long val) => Native.sqlite3_result_int64(context.Running, val);

    /// <summary>The function answers a floating-point number.</summary>
    public static void sqlite3_result_double(sqlite3_context context, double val) => Native.sqlite3_result_double(context.Running, val);

    /// <summary>The function answers text; NULL for null.</summary>
    public static void sqlite3_result_text(sqlite3_context context, string? val)
    {
        fixed (byte* text = utf8z.Terminated(val))
        {
            // A null pointer is NULL to SQLite, whatever the length.
            Native.sqlite3_result_text(context.Running, text, val is null ? 0 : Encoding.UTF8.GetByteCount(val), SQLITE_TRANSIENT);
        }
    }

    /// <summary>The function answers a blob, which may be empty.</summary>
    public static void sqlite3_result_blob(sqlite3_context context, ReadOnlySpan<byte> val)
    {
        fixed (byte* bytes = NotNull(val))
        {
            Native.sqlite3_result_blob(context.Running, bytes, val.Length, SQLITE_TRANSIENT);
        }
    }

    /// <summary>The function fails with this message.</summary>
    public static void sqlite3_result_error(sqlite3_context context, string val)
    {
        fixed (byte* message = utf8z.Terminated(val))
        {
            Native.sqlite3_result_error(context.Running, message, -1);
        }
    }

    /// <summary>The function fails with this result code; after <see cref="sqlite3_result_error"/> its message stays.</summary>
    public static void sqlite3_result_error_code(sqlite3_context context, int val) => Native.sqlite3_result_error_code(context.Running, val);

    // ---- Statements ----

    /// <summary>Compiles the first statement of <paramref name="sql"/>.</summary>
    public static int sqlite3_prepare_v2(sqlite3 db, string sql, out sqlite3_stmt stmt) =>
        sqlite3_prepare_v2(db, Encoding.UTF8.GetBytes(sql), out stmt, out _);

    /// <summary>
    /// Compiles the first statement of UTF-8 <paramref name="sql"/>, up to its end or its first zero byte; <paramref name="tail"/> is
    /// what comes after it. <paramref name="stmt"/> is invalid when there is none or on failure.
    /// </summary>
    public static int sqlite3_prepare_v2(sqlite3 db, ReadOnlySpan<byte> sql, out sqlite3_stmt stmt, out ReadOnlySpan<byte> tail)
    {
        fixed (byte* text = NotNull(sql))
        {
            var rc = Native.sqlite3_prepare_v2(db, text, sql.Length, out var pointer, out var rest);
            stmt = new sqlite3_stmt(pointer, db);
            tail = rest == null ? [] : sql[(int)(rest - text)..];
            return rc;
        }
    }

    /// <summary>Runs to the next row (SQLITE_ROW, 100) or the end (SQLITE_DONE, 101).</summary>
    /// <exception cref="InvalidOperationException">A collation or hook threw; reset the statement as after an error.</exception>
    public static int sqlite3_step(sqlite3_stmt stmt)
    {
        var rc = Native.sqlite3_step(stmt);
        stmt.Connection.Failure.Throw();
        return rc;
    }

    /// <summary>Back to the start, parameters kept; repeats the last step's error.</summary>
    public static int sqlite3_reset(sqlite3_stmt stmt) => Native.sqlite3_reset(stmt);

    /// <summary>1 when the statement does not write directly, else 0.</summary>
    public static int sqlite3_stmt_readonly(sqlite3_stmt stmt) => Native.sqlite3_stmt_readonly(stmt);

    /// <summary>1 for EXPLAIN, 2 for EXPLAIN QUERY PLAN, else 0.</summary>
    public static int sqlite3_stmt_isexplain(sqlite3_stmt stmt) => Native.sqlite3_stmt_isexplain(stmt);

    /// <summary>The largest parameter index.</summary>
    public static int sqlite3_bind_parameter_count(sqlite3_stmt stmt) => Native.sqlite3_bind_parameter_count(stmt);

    /// <summary>A parameter's name with its sign ($, @ or :); absent for a nameless one.</summary>
    public static utf8z sqlite3_bind_parameter_name(sqlite3_stmt stmt, int index) => utf8z.FromPointer(Native.sqlite3_bind_parameter_name(stmt, index));

    /// <summary>A parameter's index by its name with its sign; 0 when there is none.</summary>
    public static int sqlite3_bind_parameter_index(sqlite3_stmt stmt, string strName) => Native.sqlite3_bind_parameter_index(stmt, strName);

    /// <summary>Gives a parameter NULL.</summary>
    public static int sqlite3_bind_null(sqlite3_stmt stmt, int index) => Native.sqlite3_bind_null(stmt, index);

    /// <summary>Gives a parameter an integer.</summary>
    public static int sqlite3_bind_int64(sqlite3_stmt stmt, int index, long val) => Native.sqlite3_bind_int64(stmt, index, val);

    /// <summary>Gives a parameter a floating-point number. SQLite stores NaN as NULL.</summary>
    public static int sqlite3_bind_double(sqlite3_stmt stmt, int index, double val) => Native.sqlite3_bind_double(stmt, index, val);

    /// <summary>Gives a parameter a text, zero bytes inside included, or NULL for null.</summary>
    public static int sqlite3_bind_text(sqlite3_stmt stmt, int index, string? val)
    {
        if (val is null)
        {
            return Native.sqlite3_bind_null(stmt, index);
        }
        const int StackBytes = 512;
        var rented = Encoding.UTF8.GetMaxByteCount(val.Length) <= StackBytes ? null : ArrayPool<byte>.Shared.Rent(Encoding.UTF8.GetByteCount(val));
        var buffer = rented is null ? stackalloc byte[StackBytes] : rented;
        var length = Encoding.UTF8.GetBytes(val, buffer);
        int rc;
        fixed (byte* text = buffer)
        {
            rc = Native.sqlite3_bind_text(stmt, index, text, length, SQLITE_TRANSIENT);
        }
        if (rented is not null)
        {
            ArrayPool<byte>.Shared.Return(rented, clearArray: true); // Texts of people do not linger in shared memory.
        }
        return rc;
    }

    /// <summary>Gives a parameter a blob, which may be empty.</summary>
    public static int sqlite3_bind_blob(sqlite3_stmt stmt, int index, ReadOnlySpan<byte> blob)
    {
        fixed (byte* bytes = NotNull(blob))
        {
            return Native.sqlite3_bind_blob(stmt, index, bytes, blob.Length, SQLITE_TRANSIENT);
        }
    }

    /// <summary>How many columns the statement answers with; 0 when it has no rows to give.</summary>
    public static int sqlite3_column_count(sqlite3_stmt stmt) => Native.sqlite3_column_count(stmt);

    /// <summary>How many columns the current row has; 0 when there is no row.</summary>
    public static int sqlite3_data_count(sqlite3_stmt stmt) => Native.sqlite3_data_count(stmt);

    /// <summary>A column's name or alias.</summary>
    public static utf8z sqlite3_column_name(sqlite3_stmt stmt, int index) => utf8z.FromPointer(Native.sqlite3_column_name(stmt, index));

    /// <summary>The database a column comes from; absent for an expression.</summary>
    public static utf8z sqlite3_column_database_name(sqlite3_stmt stmt, int index) => utf8z.FromPointer(Native.sqlite3_column_database_name(stmt, index));

    /// <summary>The table a column comes from; absent for an expression.</summary>
    public static utf8z sqlite3_column_table_name(sqlite3_stmt stmt, int index) => utf8z.FromPointer(Native.sqlite3_column_table_name(stmt, index));

    /// <summary>The column's name in its table; absent for an expression.</summary>
    public static utf8z sqlite3_column_origin_name(sqlite3_stmt stmt, int index) => utf8z.FromPointer(Native.sqlite3_column_origin_name(stmt, index));

    /// <summary>The type a column was declared with; absent for an expression.</summary>
    public static utf8z sqlite3_column_decltype(sqlite3_stmt stmt, int index) => utf8z.FromPointer(Native.sqlite3_column_decltype(stmt, index));

    /// <summary>The storage class of a cell: 1 integer, 2 float, 3 text, 4 blob, 5 null.</summary>
    public static int sqlite3_column_type(sqlite3_stmt stmt, int index) => Native.sqlite3_column_type(stmt, index);

    /// <summary>A cell as an integer.</summary>
    public static long sqlite3_column_int64(sqlite3_stmt stmt, int index) => Native.sqlite3_column_int64(stmt, index);

    /// <summary>A cell as a floating-point number.</summary>
    public static double sqlite3_column_double(sqlite3_stmt stmt, int index) => Native.sqlite3_column_double(stmt, index);

    /// <summary>A cell as text, absent for NULL; valid until the statement moves on.</summary>
    public static utf8z sqlite3_column_text(sqlite3_stmt stmt, int index)
    {
        var text = Native.sqlite3_column_text(stmt, index); // First, as in sqlite3_value_text.
        return utf8z.FromPointer(text, Native.sqlite3_column_bytes(stmt, index));
    }

    /// <summary>A cell's bytes, empty for NULL; SQLite's memory, valid until the statement moves on.</summary>
    public static ReadOnlySpan<byte> sqlite3_column_blob(sqlite3_stmt stmt, int index)
    {
        var bytes = Native.sqlite3_column_blob(stmt, index);
        return new ReadOnlySpan<byte>(bytes, Native.sqlite3_column_bytes(stmt, index));
    }

    // ---- Blobs and backups ----

    /// <summary>Opens one cell for reading (flags 0) or writing in place; <paramref name="blob"/> is invalid on failure.</summary>
    public static int sqlite3_blob_open(sqlite3 db, string sdb, string table, string col, long rowid, int flags, out sqlite3_blob blob)
    {
        var rc = Native.sqlite3_blob_open(db, sdb, table, col, rowid, flags, out var pointer);
        blob = new sqlite3_blob(rc == SQLITE_OK ? pointer : 0);
        return rc;
    }

    /// <summary>The blob's length in bytes, which never changes while it is open.</summary>
    public static int sqlite3_blob_bytes(sqlite3_blob blob) => Native.sqlite3_blob_bytes(blob);

    /// <summary>Fills <paramref name="b"/> from <paramref name="offset"/>; an error when the blob ends before.</summary>
    public static int sqlite3_blob_read(sqlite3_blob blob, Span<byte> b, int offset)
    {
        fixed (byte* bytes = b)
        {
            return Native.sqlite3_blob_read(blob, bytes, b.Length, offset);
        }
    }

    /// <summary>Overwrites from <paramref name="offset"/>; an error when the blob would have to grow.</summary>
    public static int sqlite3_blob_write(sqlite3_blob blob, ReadOnlySpan<byte> b, int offset)
    {
        fixed (byte* bytes = b)
        {
            return Native.sqlite3_blob_write(blob, bytes, b.Length, offset);
        }
    }

    /// <summary>Starts copying a database over another; invalid on failure, when the destination connection holds the error.</summary>
    public static sqlite3_backup sqlite3_backup_init(sqlite3 destDb, string destName, sqlite3 sourceDb, string sourceName) =>
        new(Native.sqlite3_backup_init(destDb, destName, sourceDb, sourceName), destDb, sourceDb);

    /// <summary>Copies up to <paramref name="nPage"/> pages, all that are left when negative; SQLITE_DONE at the end.</summary>
    public static int sqlite3_backup_step(sqlite3_backup backup, int nPage) => Native.sqlite3_backup_step(backup, nPage);

    // SQLite takes a null pointer for NULL or for misuse even where the length is 0, so an empty span needs an address.
    private static ReadOnlySpan<byte> NotNull(ReadOnlySpan<byte> bytes) => bytes.IsEmpty ? "\0"u8[..1] : bytes;
}
