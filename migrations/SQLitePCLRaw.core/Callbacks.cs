using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace SQLitePCL;

// How managed functions run inside SQLite. Native code gets the address of a static method and one pointer, a GCHandle to
// the registration (delegate and user data), so nothing can be collected under it. SQLite calls Destroy exactly once for a
// registration, when it is redefined, removed or its connection closes. No exception crosses into native code: those of
// functions become SQLite errors; collations and hooks have no error to return, see CallbackFailure.

/// <summary>A scalar SQL function: reads <paramref name="args"/>, answers through <c>raw.sqlite3_result_*</c>.</summary>
public delegate void delegate_function_scalar(sqlite3_context ctx, object? user_data, sqlite3_value[] args);

/// <summary>Called for each row of a group; keeps what it needs in <see cref="sqlite3_context.state"/>.</summary>
public delegate void delegate_function_aggregate_step(sqlite3_context ctx, object? user_data, sqlite3_value[] args);

/// <summary>Called once for each group, also for an empty or abandoned one; answers through <c>raw.sqlite3_result_*</c>.</summary>
public delegate void delegate_function_aggregate_final(sqlite3_context ctx, object? user_data);

/// <summary>A collation: negative, zero or positive, as <paramref name="s1"/> sorts before, with or after <paramref name="s2"/>.</summary>
public delegate int strdelegate_collation(object? user_data, string s1, string s2);

/// <summary>Told that a transaction of the connection is rolled back.</summary>
public delegate void delegate_rollback(object? user_data);

/// <summary>The call of a user function that is running (<c>sqlite3_context*</c>); for an aggregate the same object for all rows of a group.</summary>
public sealed class sqlite3_context
{
    /// <summary>What an aggregate carries from row to row; null at the start of a group.</summary>
    public object? state;

    /// <summary>Zero outside the call, when using it is refused instead of reading freed memory.</summary>
    internal nint Pointer { get; set; }

    internal nint Running => Pointer != 0 ? Pointer : throw new InvalidOperationException("This SQLite function call has ended; its context cannot be used any more.");
}

/// <summary>An argument of a user function (<c>sqlite3_value*</c>); may be read only during the call.</summary>
public sealed class sqlite3_value
{
    internal nint Pointer { get; set; }

    internal nint Running => Pointer != 0 ? Pointer : throw new InvalidOperationException("This SQLite function call has ended; its arguments cannot be read any more.");
}

/// <summary>The entry points native code calls.</summary>
internal static unsafe class Callbacks
{
    private sealed record Scalar(delegate_function_scalar Function, object? UserData);

    private sealed record Aggregate(delegate_function_aggregate_step Step, delegate_function_aggregate_final Final, object? UserData);

    private sealed record Collation(CallbackFailure Failure, strdelegate_collation Compare, object? UserData);

    private sealed record RollbackHook(CallbackFailure Failure, delegate_rollback Hook, object? UserData);

    /// <summary>Registers, replaces or (function null) removes a scalar function.</summary>
    public static int CreateScalar(sqlite3 db, string name, int argumentCount, int flags, object? userData, delegate_function_scalar? function) =>
        function is null
            ? Native.sqlite3_create_function_v2(db, name, argumentCount, flags, 0, null, null, null, null)
            : Native.sqlite3_create_function_v2(
                db, name, argumentCount, flags, Keep(new Scalar(function, userData)), &RunScalar, null, null, &Destroy);

    /// <summary>Registers, replaces or (both functions null) removes an aggregate.</summary>
    public static int CreateAggregate(
        sqlite3 db, string name, int argumentCount, int flags, object? userData, delegate_function_aggregate_step? step, delegate_function_aggregate_final? final) =>
        step is null || final is null
            ? Native.sqlite3_create_function_v2(db, name, argumentCount, flags, 0, null, null, null, null)
            : Native.sqlite3_create_function_v2(
                db, name, argumentCount, flags, Keep(new Aggregate(step, final, userData)), null, &RunStep, &RunFinal, &Destroy);

    /// <summary>Registers, replaces or (compare null) removes a collation.</summary>
    public static int CreateCollation(sqlite3 db, string name, object? userData, strdelegate_collation? compare)
    {
        if (compare is null)
        {
            return Native.sqlite3_create_collation_v2(db, name, raw.SQLITE_UTF8, 0, null, null);
        }
        var state = Keep(new Collation(db.Failure, compare, userData));
        var rc = Native.sqlite3_create_collation_v2(db, name, raw.SQLITE_UTF8, state, &Compare, &Destroy);
        if (rc != raw.SQLITE_OK)
        {
            // Unlike sqlite3_create_function_v2, this one does not call the destructor when it fails.
            GCHandle.FromIntPtr(state).Free();
        }
        return rc;
    }

    /// <summary>Sets, replaces or (hook null) removes the rollback hook.</summary>
    public static void SetRollbackHook(sqlite3 db, delegate_rollback? hook, object? userData)
    {
        var state = hook is null ? default : GCHandle.Alloc(new RollbackHook(db.Failure, hook, userData));
        _ = Native.sqlite3_rollback_hook(db, hook is null ? null : &RolledBack, hook is null ? 0 : GCHandle.ToIntPtr(state));
        db.KeepRollbackHook(state);
    }

    private static nint Keep(object registration) => GCHandle.ToIntPtr(GCHandle.Alloc(registration));

    private static T Registration<T>(nint state)
        where T : class => Unsafe.As<T>(GCHandle.FromIntPtr(state).Target!); // Kept alive by its handle until Destroy.

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void Destroy(nint state) => GCHandle.FromIntPtr(state).Free();

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void RunScalar(nint context, int count, nint* values)
    {
        var call = new sqlite3_context { Pointer = context };
        var arguments = Arguments(count, values);
        try
        {
            var scalar = Registration<Scalar>(Native.sqlite3_user_data(context));
            scalar.Function(call, scalar.UserData, arguments);
        }
        catch (Exception e)
        {
            Fail(context, e);
        }
        finally
        {
            End(call, arguments);
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void RunStep(nint context, int count, nint* values)
    {
        var slot = (nint*)Native.sqlite3_aggregate_context(context, sizeof(nint));
        if (slot == null)
        {
            Native.sqlite3_result_error_nomem(context);
            return;
        }
        if (*slot == 0)
        {
            *slot = Keep(new sqlite3_context()); // Freed in RunFinal, which SQLite calls for abandoned groups too.
        }
        var group = Registration<sqlite3_context>(*slot);
        group.Pointer = context;
        var arguments = Arguments(count, values);
        try
        {
            var aggregate = Registration<Aggregate>(Native.sqlite3_user_data(context));
            aggregate.Step(group, aggregate.UserData, arguments);
        }
        catch (Exception e)
        {
            Fail(context, e);
        }
        finally
        {
            End(group, arguments);
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void RunFinal(nint context)
    {
        var slot = (nint*)Native.sqlite3_aggregate_context(context, 0); // Null for a group without rows.
        var group = slot == null || *slot == 0 ? new sqlite3_context() : Registration<sqlite3_context>(*slot);
        group.Pointer = context;
        try
        {
            var aggregate = Registration<Aggregate>(Native.sqlite3_user_data(context));
            aggregate.Final(group, aggregate.UserData);
        }
        catch (Exception e)
        {
            Fail(context, e);
        }
        finally
        {
            End(group, []);
            if (slot != null && *slot != 0)
            {
                GCHandle.FromIntPtr(*slot).Free();
                *slot = 0;
            }
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int Compare(nint state, int leftLength, byte* left, int rightLength, byte* right)
    {
        var collation = Registration<Collation>(state);
        var leftBytes = new ReadOnlySpan<byte>(left, leftLength);
        var rightBytes = new ReadOnlySpan<byte>(right, rightLength);
        try
        {
            return collation.Compare(collation.UserData, Encoding.UTF8.GetString(leftBytes), Encoding.UTF8.GetString(rightBytes));
        }
        catch (Exception e)
        {
            collation.Failure.Remember(e);
            return leftBytes.SequenceCompareTo(rightBytes); // A consistent order, until the interrupt is noticed.
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void RolledBack(nint state)
    {
        var registration = Registration<RollbackHook>(state);
        try
        {
            registration.Hook(registration.UserData);
        }
        catch (Exception e)
        {
            registration.Failure.Remember(e);
        }
    }

    private static sqlite3_value[] Arguments(int count, nint* values)
    {
        var arguments = count == 0 ? [] : new sqlite3_value[count];
        for (var i = 0; i < count; i++)
        {
            arguments[i] = new sqlite3_value { Pointer = values[i] };
        }
        return arguments;
    }

    private static void End(sqlite3_context call, sqlite3_value[] arguments)
    {
        call.Pointer = 0;
        foreach (var argument in arguments)
        {
            argument.Pointer = 0;
        }
    }

    private static void Fail(nint context, Exception e)
    {
        var message = Encoding.UTF8.GetBytes(e.Message);
        fixed (byte* text = message)
        {
            Native.sqlite3_result_error(context, text, message.Length);
        }
    }
}
