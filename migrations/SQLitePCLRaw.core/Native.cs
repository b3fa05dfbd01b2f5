using System.Runtime.InteropServices;

namespace SQLitePCL;

/// <summary>
/// The C functions, one for one (https://www.sqlite.org/c3ref/funclist.html). Handles go in as SafeHandles, so a handle
/// cannot be closed under a running call; texts go in as UTF-8 with a closing zero and come out as pointers SQLite owns.
/// </summary>
internal static unsafe partial class Native
{
    /// <summary>Debian's libsqlite3-0 and its kin; the distribution keeps it current.</summary>
    public const string Library = "libsqlite3.so.0";

    // Library
    [LibraryImport(Library)] public static partial byte* sqlite3_libversion();
    [LibraryImport(Library)] public static partial int sqlite3_libversion_number();
    [LibraryImport(Library)] public static partial byte* sqlite3_errstr(int rc);
    [LibraryImport(Library)] public static partial int sqlite3_keyword_count();
    [LibraryImport(Library)] public static partial int sqlite3_keyword_name(int index, out byte* name, out int length);
    [LibraryImport(Library)] public static partial void sqlite3_free(void* memory);

    // Connections
    [LibraryImport(Library)] public static partial int sqlite3_open_v2(byte* filename, out nint db, int flags, byte* vfs);
    [LibraryImport(Library)] public static partial int sqlite3_close_v2(nint db);
    [LibraryImport(Library)] public static partial int sqlite3_errcode(SafeHandle db);
    [LibraryImport(Library)] public static partial int sqlite3_extended_errcode(SafeHandle db);
    [LibraryImport(Library)] public static partial byte* sqlite3_errmsg(SafeHandle db);
    [LibraryImport(Library)] public static partial int sqlite3_changes(SafeHandle db);
    [LibraryImport(Library)] public static partial void sqlite3_interrupt(SafeHandle db);
    [LibraryImport(Library, EntryPoint = "sqlite3_interrupt")] public static partial void sqlite3_interrupt_raw(nint db);
    [LibraryImport(Library)] public static partial int sqlite3_enable_load_extension(SafeHandle db, int onoff);
    [LibraryImport(Library)] public static partial int sqlite3_load_extension(SafeHandle db, byte* file, byte* entryPoint, out byte* error);
    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)] public static partial byte* sqlite3_db_filename(SafeHandle db, string? database);

    // Variadic in C. On Linux x64 and arm64 integers and pointers of a variadic call travel as those of a plain one.
    [LibraryImport(Library)] public static partial int sqlite3_db_config(SafeHandle db, int option, int value, out int result);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int sqlite3_exec(SafeHandle db, string sql, nint callback, nint state, nint error);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int sqlite3_table_column_metadata(
        SafeHandle db, string? database, string table, string? column,
        out byte* dataType, out byte* collation, out int notNull, out int primaryKey, out int autoIncrement);

    // Statements
    [LibraryImport(Library)] public static partial int sqlite3_prepare_v2(SafeHandle db, byte* sql, int length, out nint statement, out byte* tail);
    [LibraryImport(Library)] public static partial int sqlite3_finalize(nint statement);
    [LibraryImport(Library)] public static partial int sqlite3_step(SafeHandle statement);
    [LibraryImport(Library)] public static partial int sqlite3_reset(SafeHandle statement);
    [LibraryImport(Library)] public static partial int sqlite3_stmt_readonly(SafeHandle statement);
    [LibraryImport(Library)] public static partial int sqlite3_stmt_isexplain(SafeHandle statement);
    [LibraryImport(Library)] public static partial int sqlite3_bind_parameter_count(SafeHandle statement);
    [LibraryImport(Library)] public static partial byte* sqlite3_bind_parameter_name(SafeHandle statement, int index);
    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)] public static partial int sqlite3_bind_parameter_index(SafeHandle statement, string name);
    [LibraryImport(Library)] public static partial int sqlite3_bind_null(SafeHandle statement, int index);
    [LibraryImport(Library)] public static partial int sqlite3_bind_int64(SafeHandle statement, int index, long value);
    [LibraryImport(Library)] public static partial int sqlite3_bind_double(SafeHandle statement, int index, double value);
    [LibraryImport(Library)] public static partial int sqlite3_bind_text(SafeHandle statement, int index, byte* text, int length, nint destructor);
    [LibraryImport(Library)] public static partial int sqlite3_bind_blob(SafeHandle statement, int index, byte* bytes, int length, nint destructor);

    // Columns
    [LibraryImport(Library)] public static partial int sqlite3_column_count(SafeHandle statement);
    [LibraryImport(Library)] public static partial int sqlite3_data_count(SafeHandle statement);
    [LibraryImport(Library)] public static partial byte* sqlite3_column_name(SafeHandle statement, int index);
    [LibraryImport(Library)] public static partial byte* sqlite3_column_database_name(SafeHandle statement, int index);
    [LibraryImport(Library)] public static partial byte* sqlite3_column_table_name(SafeHandle statement, int index);
    [LibraryImport(Library)] public static partial byte* sqlite3_column_origin_name(SafeHandle statement, int index);
    [LibraryImport(Library)] public static partial byte* sqlite3_column_decltype(SafeHandle statement, int index);
    [LibraryImport(Library)] public static partial int sqlite3_column_type(SafeHandle statement, int index);
    [LibraryImport(Library)] public static partial long sqlite3_column_int64(SafeHandle statement, int index);
    [LibraryImport(Library)] public static partial double sqlite3_column_double(SafeHandle statement, int index);
    [LibraryImport(Library)] public static partial byte* sqlite3_column_text(SafeHandle statement, int index);
    [LibraryImport(Library)] public static partial byte* sqlite3_column_blob(SafeHandle statement, int index);
    [LibraryImport(Library)] public static partial int sqlite3_column_bytes(SafeHandle statement, int index);

    // Blobs and backups
    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int sqlite3_blob_open(SafeHandle db, string database, string table, string column, long rowid, int flags, out nint blob);

    [LibraryImport(Library)] public static partial int sqlite3_blob_bytes(SafeHandle blob);
    [LibraryImport(Library)] public static partial int sqlite3_blob_read(SafeHandle blob, byte* bytes, int count, int offset);
    [LibraryImport(Library)] public static partial int sqlite3_blob_write(SafeHandle blob, byte* bytes, int count, int offset);
    [LibraryImport(Library)] public static partial int sqlite3_blob_close(nint blob);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    public static partial nint sqlite3_backup_init(SafeHandle destination, string destinationName, SafeHandle source, string sourceName);

    [LibraryImport(Library)] public static partial int sqlite3_backup_step(SafeHandle backup, int pages);
    [LibraryImport(Library)] public static partial int sqlite3_backup_finish(nint backup);

    // Functions, collations, hooks
    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int sqlite3_create_function_v2(
        SafeHandle db, string name, int argumentCount, int flags, nint state,
        delegate* unmanaged[Cdecl]<nint, int, nint*, void> function,
        delegate* unmanaged[Cdecl]<nint, int, nint*, void> step,
        delegate* unmanaged[Cdecl]<nint, void> final,
        delegate* unmanaged[Cdecl]<nint, void> destroy);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int sqlite3_create_collation_v2(
        SafeHandle db, string name, int encoding, nint state,
        delegate* unmanaged[Cdecl]<nint, int, byte*, int, byte*, int> compare,
        delegate* unmanaged[Cdecl]<nint, void> destroy);

    [LibraryImport(Library)] public static partial nint sqlite3_rollback_hook(SafeHandle db, delegate* unmanaged[Cdecl]<nint, void> hook, nint state);
    [LibraryImport(Library, EntryPoint = "sqlite3_rollback_hook")] public static partial nint sqlite3_rollback_hook_raw(nint db, nint hook, nint state);

    // Inside a user function
    [LibraryImport(Library)] public static partial nint sqlite3_user_data(nint context);
    [LibraryImport(Library)] public static partial void* sqlite3_aggregate_context(nint context, int bytes);
    [LibraryImport(Library)] public static partial int sqlite3_value_type(nint value);
    [LibraryImport(Library)] public static partial long sqlite3_value_int64(nint value);
    [LibraryImport(Library)] public static partial double sqlite3_value_double(nint value);
    [LibraryImport(Library)] public static partial byte* sqlite3_value_text(nint value);
    [LibraryImport(Library)] public static partial byte* sqlite3_value_blob(nint value);
    [LibraryImport(Library)] public static partial int sqlite3_value_bytes(nint value);
    [LibraryImport(Library)] public static partial void sqlite3_result_null(nint context);
    [LibraryImport(Library)] public static partial void sqlite3_result_int64(nint context, long value);
    [LibraryImport(Library)] public static partial void sqlite3_result_double(nint context, double value);
    [LibraryImport(Library)] public static partial void sqlite3_result_text(nint context, byte* text, int length, nint destructor);
    [LibraryImport(Library)] public static partial void sqlite3_result_blob(nint context, byte* bytes, int length, nint destructor);
    [LibraryImport(Library)] public static partial void sqlite3_result_error(nint context, byte* message, int length);
    [LibraryImport(Library)] public static partial void sqlite3_result_error_code(nint context, int rc);
    [LibraryImport(Library)] public static partial void sqlite3_result_error_nomem(nint context);
}
