using System.Threading.Channels;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Storage;
using Npgsql;

namespace Portal.Data.Storage;

/// <summary>
/// The way every write of a process takes. SQLite has one writer at a time: callers that compete for its lock wait for seconds, while
/// one thread that commits up to 64 of their operations together serves all of them in milliseconds. On Postgres several threads run
/// each operation in a transaction of its own.
/// </summary>
/// <remarks>
/// <para>A caller's task ends when its operation is durable (or has failed), never before the commit.</para>
/// <para>On SQLite a batch is one BEGIN IMMEDIATE transaction and each operation a savepoint in it: one that fails is undone alone.
/// Should the whole batch fail (disk full, say), its operations run again one by one, so each gets its own answer.</para>
/// <para>On Postgres operations run under READ COMMITTED beside each other: take the locks the context offers where that matters. A
/// serialization failure or deadlock (40001, 40P01) is tried again, at most <see cref="AttemptsMax"/> times.</para>
/// <para>So work may run more than once: it must do nothing but read and write its context.</para>
/// <para>The queue holds 1,024 operations; when it is full, callers wait for room. Disposing refuses new work, finishes what waits and
/// returns when all of it is answered.</para>
/// </remarks>
public sealed class WriteQueue : IDisposable, IAsyncDisposable
{
    /// <summary>Operations in one SQLite transaction at most: enough to share the cost of a commit, few enough not to delay anyone.</summary>
    public const int BatchSizeMax = 64;

    /// <summary>Operations that may wait before callers do.</summary>
    public const int WaitingMax = 1024;

    /// <summary>Tries of one operation on Postgres.</summary>
    public const int AttemptsMax = 6;

    private const int PostgresThreads = 8;

    private readonly IDbContextFactory<PortalDbContext> contexts;
    private readonly Channel<Operation> operations = Channel.CreateBounded<Operation>(WaitingMax);
    private readonly Task[] threads;

    // Set on the queue's threads only, to notice an operation that waits for another one behind it.
    [ThreadStatic]
    private static WriteQueue? current;

    /// <summary>Starts the queue's threads.</summary>
    public WriteQueue(IDbContextFactory<PortalDbContext> contexts)
    {
        this.contexts = contexts;
        bool sqlite;
        using (var db = contexts.CreateDbContext())
            sqlite = db is SqlitePortalDbContext;
        // Threads of their own: the work is synchronous (SQLite knows nothing else) and would starve the pool.
        threads = [.. Enumerable.Range(0, sqlite ? 1 : PostgresThreads).Select(_ => Task.Factory.StartNew(
            () => Serve(sqlite), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default))];
    }

    /// <summary>Operations that wait now.</summary>
    public int Waiting => operations.Reader.Count;

    /// <summary>
    /// Runs <paramref name="work"/> in a write transaction, saves what it changed and returns its result once that is committed.
    /// An outcome that refuses is undone instead: a refused request changes nothing.
    /// </summary>
    /// <param name="work">
    /// Synchronous; runs on the queue's thread, perhaps more than once. It need not call SaveChanges, but may, to see generated values. Its
    /// context ends with it: return rows or values, no queries.
    /// </param>
    /// <param name="stop">Takes the operation back as long as it has not started; once started, it is finished.</param>
    /// <exception cref="DbUpdateException">The database refused this operation (a unique index, say); nothing of it is stored. As
    /// anything else that <paramref name="work"/> throws, it reaches this caller only.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="stop"/> came before the operation started; nothing of it is stored.</exception>
    /// <exception cref="ObjectDisposedException">The queue is closing; the operation was not taken.</exception>
    public Task<T> WriteAsync<T>(Func<PortalDbContext, T> work, CancellationToken stop) => Enqueue(work, stop);

    /// <inheritdoc cref="WriteAsync{T}(Func{PortalDbContext, T}, CancellationToken)"/>
    /// <remarks>The same; lets the compiler turn a bare result or problem into an outcome.</remarks>
    public Task<Outcome<T>> WriteAsync<T>(Func<PortalDbContext, Outcome<T>> work, CancellationToken stop) => Enqueue(work, stop);

    /// <summary>The same for work without a result.</summary>
    public Task WriteAsync(Action<PortalDbContext> work, CancellationToken stop) =>
        Enqueue<object?>(
            db =>
            {
                work(db);
                return null;
            },
            stop);

    /// <summary>Refuses new work, finishes what waits, and returns when all of it is answered.</summary>
    public async ValueTask DisposeAsync()
    {
        operations.Writer.TryComplete();
        await Task.WhenAll(threads);
    }

    /// <inheritdoc cref="DisposeAsync"/>
    public void Dispose()
    {
        operations.Writer.TryComplete();
        Task.WaitAll(threads);
    }

    private async Task<T> Enqueue<T>(Func<PortalDbContext, T> work, CancellationToken stop)
    {
        if (typeof(T).IsAssignableTo(typeof(Task)))
            throw new ArgumentException("Work for the write queue is synchronous: it would be committed before its task had ended.", nameof(work));
        if (current == this)
            throw new InvalidOperationException("An operation of the write queue cannot wait for another one: do both in one.");

        using var operation = new Operation<T>(work, stop);
        try
        {
            await operations.Writer.WriteAsync(operation, stop);
        }
        catch (ChannelClosedException)
        {
            throw new ObjectDisposedException(nameof(WriteQueue), "The write queue is closing; the operation was not taken.");
        }
        return await operation.Answer;
    }

    private void Serve(bool sqlite)
    {
        current = this;
        var batch = new List<Operation>(BatchSizeMax);
        // Blocking is right here: the thread has nothing else to do.
        while (operations.Reader.WaitToReadAsync().AsTask().GetAwaiter().GetResult())
        {
            batch.Clear();
            while (batch.Count < (sqlite ? BatchSizeMax : 1) && operations.Reader.TryRead(out var operation))
                if (operation.TryStart())
                    batch.Add(operation);

            if (!sqlite)
                batch.ForEach(RunWithRetries);
            else if (batch.Count > 0)
                RunBatch(batch);
        }
    }

    /// <summary>One transaction for all. When it breaks as a whole, each operation gets one of its own.</summary>
    private void RunBatch(List<Operation> batch)
    {
        var begun = false;
        try
        {
            using var db = contexts.CreateDbContext();
            using var transaction = db.Database.BeginTransaction(); // BEGIN IMMEDIATE: the lock now, not in the middle.
            begun = true;
            foreach (var operation in batch)
                RunInSavepoint(operation, db, transaction);
            transaction.Commit();
            batch.ForEach(operation => operation.Complete());
        }
        catch (Exception) when (begun && batch.Count > 1)
        {
            // Nothing was committed, and nobody answered. Alone, the operation that broke the batch breaks only itself.
            foreach (var operation in batch)
                RunBatch([operation]);
        }
        catch (Exception e)
        {
            batch.ForEach(operation => operation.Fail(operation.Failure ?? e));
        }
    }

    private static void RunInSavepoint(Operation operation, PortalDbContext db, IDbContextTransaction transaction)
    {
        const string Name = "operation";
        transaction.CreateSavepoint(Name);
        var keep = false;
        operation.Failure = null;
        try
        {
            keep = operation.Run(db);
        }
        catch (Exception e)
        {
            operation.Failure = e; // Its answer, when the batch is through.
        }
        db.ChangeTracker.Clear();
        if (!keep)
            transaction.RollbackToSavepoint(Name); // Throws where SQLite itself has ended the transaction (disk full).
        transaction.ReleaseSavepoint(Name);
    }

    /// <summary>One operation in its own transaction, again when Postgres asks for it.</summary>
    private void RunWithRetries(Operation operation)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                using var db = contexts.CreateDbContext();
                using var transaction = db.Database.BeginTransaction();
                if (operation.Run(db))
                    transaction.Commit();
                operation.Complete();
                return;
            }
            catch (Exception e) when (attempt < AttemptsMax && MayTryAgain(e))
            {
                // Those that collided wait for different times, so that they do not collide again.
                Thread.Sleep(Random.Shared.Next(1, 5 << attempt));
            }
            catch (Exception e)
            {
                operation.Fail(e);
                return;
            }
        }
    }

    private static bool MayTryAgain(Exception e) =>
        e is PostgresException { SqlState: PostgresErrorCodes.SerializationFailure or PostgresErrorCodes.DeadlockDetected }
        || (e.InnerException is { } inner && MayTryAgain(inner));

    private abstract class Operation
    {
        private int started;

        /// <summary>What <see cref="Run"/> threw; reported when the batch around it is committed.</summary>
        public Exception? Failure { get; set; }

        /// <summary>True once, for whoever is first: the queue that runs it or the caller that takes it back.</summary>
        public bool TryStart() => Interlocked.Exchange(ref started, 1) == 0;

        /// <summary>Does and saves the work; false when it refused and must be undone.</summary>
        public abstract bool Run(PortalDbContext db);

        /// <summary>Answers with the result, or with <see cref="Failure"/>.</summary>
        public abstract void Complete();

        public abstract void Fail(Exception e);
    }

    private sealed class Operation<T> : Operation, IDisposable
    {
        // Without the option the caller's next lines would run on the queue's thread.
        private readonly TaskCompletionSource<T> answer = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly CancellationTokenRegistration takenBack;
        private readonly Func<PortalDbContext, T> work;
        private T? result;

        public Operation(Func<PortalDbContext, T> work, CancellationToken stop)
        {
            this.work = work;
            takenBack = stop.Register(() =>
            {
                if (TryStart())
                    answer.TrySetCanceled(stop);
            });
        }

        public Task<T> Answer => answer.Task;

        public override bool Run(PortalDbContext db)
        {
            result = work(db);
            if (result is IOutcome { Refusal: not null })
                return false;
            db.SaveChanges();
            return true;
        }

        public override void Complete()
        {
            if (Failure is { } failure)
                Fail(failure);
            else
                answer.TrySetResult(result!); // Set by Run, which did not throw.
        }

        public override void Fail(Exception e) => answer.TrySetException(e);

        public void Dispose() => takenBack.Dispose();
    }
}
