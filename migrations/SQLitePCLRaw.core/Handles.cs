using System.Runtime.InteropServices;

namespace SQLitePCL;

/// <summary>
/// A connection (<c>sqlite3*</c>). Closed once, by Dispose or the finalizer, with <c>sqlite3_close_v2</c>: SQLite itself
/// waits for statements, blobs and source sides of backups that are still open, so the order of closing does not matter.
/// </summary>
public sealed class sqlite3 : SafeHandle
{
    private GCHandle rollbackHook;

    internal sqlite3(nint pointer)
        : base(0, ownsHandle: true)
    {
        SetHandle(pointer);
        Failure = new CallbackFailure(pointer);
    }

    /// <inheritdoc/>
    public override bool IsInvalid => handle == 0;

    internal CallbackFailure Failure { get; }

    /// <inheritdoc/>
    protected override bool ReleaseHandle()
    {
        // Before closing: a connection that lives on until its last statement ends would still call the hook.
        _ = Native.sqlite3_rollback_hook_raw(handle, 0, 0);
        FreeRollbackHook();
        // Functions and collations are freed by SQLite through their destructors.
        return Native.sqlite3_close_v2(handle) == raw.SQLITE_OK;
    }

    /// <summary>Takes over the hook's state; the previous one is freed, now or when the connection closes.</summary>
    internal void KeepRollbackHook(GCHandle state)
    {
        FreeRollbackHook();
        rollbackHook = state;
    }

    private void FreeRollbackHook()
    {
        if (rollbackHook.IsAllocated)
        {
            rollbackHook.Free();
        }
    }
}

/// <summary>
/// What a collation or hook of a connection threw. SQLite has no error for those, so it is kept here, the running statement
/// is interrupted, and the call that ran the statement throws it.
/// </summary>
/// <remarks>Apart from the connection, because registrations refer to it from native memory and must not keep the connection itself alive.</remarks>
internal sealed class CallbackFailure(nint connection)
{
    private Exception? first;

    /// <summary>Called inside a callback, so the connection is open.</summary>
    public void Remember(Exception failure)
    {
        first ??= failure;
        Native.sqlite3_interrupt_raw(connection);
    }

    /// <summary>Throws what was remembered, once.</summary>
    /// <exception cref="InvalidOperationException">A collation or hook threw; its exception is the inner one.</exception>
    public void Throw()
    {
        if (first is { } failure)
        {
            first = null;
            throw new InvalidOperationException($"A collation or hook of this SQLite connection failed: {failure.Message}", failure);
        }
    }
}

/// <summary>A compiled statement (<c>sqlite3_stmt*</c>). Invalid where the SQL held none (white space, a comment). Ended by <c>sqlite3_finalize</c>.</summary>
public sealed class sqlite3_stmt : SafeHandle
{
    internal sqlite3_stmt(nint pointer, sqlite3 connection)
        : base(0, ownsHandle: true)
    {
        SetHandle(pointer);
        Connection = connection;
    }

    /// <inheritdoc/>
    public override bool IsInvalid => handle == 0;

    internal sqlite3 Connection { get; }

    /// <inheritdoc/>
    protected override bool ReleaseHandle()
    {
        // Its result repeats the last step's error, which was reported then.
        _ = Native.sqlite3_finalize(handle);
        return true;
    }
}

/// <summary>An open blob of one row (<c>sqlite3_blob*</c>). Ended by <c>sqlite3_blob_close</c>.</summary>
public sealed class sqlite3_blob : SafeHandle
{
    internal sqlite3_blob(nint pointer)
        : base(0, ownsHandle: true)
    {
        SetHandle(pointer);
    }

    /// <inheritdoc/>
    public override bool IsInvalid => handle == 0;

    /// <inheritdoc/>
    protected override bool ReleaseHandle()
    {
        // As with statements, the result repeats an error already reported.
        _ = Native.sqlite3_blob_close(handle);
        return true;
    }
}

/// <summary>A running online backup (<c>sqlite3_backup*</c>). Ended by <c>sqlite3_backup_finish</c>.</summary>
/// <remarks>SQLite does not protect the destination from being closed under a backup, so this holds both connections open.</remarks>
public sealed class sqlite3_backup : SafeHandle
{
    private readonly sqlite3 destination;
    private readonly sqlite3 source;

    internal sqlite3_backup(nint pointer, sqlite3 destination, sqlite3 source)
        : base(0, ownsHandle: true)
    {
        this.destination = destination;
        this.source = source;
        if (pointer == 0)
        {
            return;
        }
        var held = false;
        destination.DangerousAddRef(ref held);
        source.DangerousAddRef(ref held);
        SetHandle(pointer);
    }

    /// <inheritdoc/>
    public override bool IsInvalid => handle == 0;

    /// <inheritdoc/>
    protected override bool ReleaseHandle()
    {
        _ = Native.sqlite3_backup_finish(handle);
        source.DangerousRelease();
        destination.DangerousRelease();
        return true;
    }
}
