using System.Collections.Concurrent;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Annotators;
using Portal.Data.Storage;
using Xunit;

namespace Portal.Tests.Data.Storage;

/// <summary>What the write queue promises on either provider. Operations that must meet in the queue are held behind a gate.</summary>
public abstract class WriteQueueTests(PostgresFixture? postgres) : IDisposable
{
    protected static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    protected PortalDatabase Database { get; } = new(postgres);

    protected WriteQueue Writes => Database.Writes;

    public void Dispose()
    {
        Database.Dispose();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task Two_hundred_concurrent_operations_are_each_committed_once()
    {
        var names = Enumerable.Range(0, 200).Select(i => $"a{i:D3}").ToList();

        var ids = await Task.WhenAll(names.Select(name => Task.Run(() => Writes.WriteAsync(db => Add(db, name), CancellationToken.None))));

        Assert.Equal(names, Stored());
        Assert.Equal(200, ids.Distinct().Count());
    }

    [Fact]
    public async Task A_unique_violation_reaches_its_caller_only()
    {
        await Writes.WriteAsync(db => Add(db, "taken"), CancellationToken.None);
        List<Task> writes;
        using (Hold())
        {
            writes = [.. Enumerable.Range(0, 20).Select(i => (Task)Writes.WriteAsync(db => Add(db, i == 7 ? "taken" : $"free{i:D2}"), CancellationToken.None))];
        }

        await Task.WhenAny(Task.WhenAll(writes), Task.Delay(Patience));

        Assert.IsType<DbUpdateException>(writes[7].Exception!.InnerException);
        Assert.All(writes.Where((_, i) => i != 7), w => Assert.True(w.IsCompletedSuccessfully));
        Assert.Equal([.. Enumerable.Range(0, 20).Where(i => i != 7).Select(i => $"free{i:D2}"), "taken"], Stored());
    }

    [Fact]
    public async Task What_a_throwing_operation_saved_before_is_undone()
    {
        Task good, bad, after;
        using (Hold())
        {
            good = Writes.WriteAsync(db => Add(db, "good"), CancellationToken.None);
            bad = Writes.WriteAsync(
                db =>
                {
                    Add(db, "half");
                    db.SaveChanges();
                    Add(db, "unsaved");
                    throw new FormatException("no");
                },
                CancellationToken.None);
            after = Writes.WriteAsync(db => Add(db, "later"), CancellationToken.None);
        }

        await good.WaitAsync(Patience);
        await after.WaitAsync(Patience);
        await Assert.ThrowsAsync<FormatException>(() => bad.WaitAsync(Patience));
        Assert.Equal(["good", "later"], Stored());
    }

    /// <summary>Under either overload: C# prefers the plain one where the outcome is named as the result.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task What_a_refused_request_changed_is_undone(bool outcomeIsNamed)
    {
        async Task<Outcome<AnnotatorId>> Write(string name, Problem? problem)
        {
            return outcomeIsNamed
                ? await Writes.WriteAsync<Outcome<AnnotatorId>>(Work, CancellationToken.None)
                : await Writes.WriteAsync<AnnotatorId>(Work, CancellationToken.None);

            Outcome<AnnotatorId> Work(PortalDbContext db)
            {
                var id = Add(db, name);
                db.SaveChanges();
                return problem is null ? id : problem;
            }
        }

        var refused = await Write("changed", new Problem("name", "No."));
        var done = await Write("kept", null);

        Assert.Equal("No.", refused.Refusal?.ToString());
        Assert.Null(done.Refusal);
        Assert.Equal(["kept"], Stored());
    }

    [Fact]
    public async Task An_operation_can_be_taken_back_until_it_starts()
    {
        using var takenBack = new CancellationTokenSource();
        using var tooLate = new CancellationTokenSource();
        Task waiting, next;
        using (Hold())
        {
            waiting = Writes.WriteAsync(db => Add(db, "never"), takenBack.Token);
            next = Writes.WriteAsync(
                db =>
                {
                    tooLate.Cancel();
                    Add(db, "next");
                },
                tooLate.Token);
            takenBack.Cancel();
            // At once, although the queue is still held.
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting.WaitAsync(Patience));
        }

        await next.WaitAsync(Patience);
        Assert.Equal(["next"], Stored());
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Writes.WriteAsync(db => Add(db, "late"), takenBack.Token));
        Assert.Equal(["next"], Stored());
    }

    [Fact]
    public async Task An_answer_comes_after_the_commit_and_on_another_thread()
    {
        var queueThread = 0;
        for (var i = 0; i < 20; i++)
        {
            var name = $"n{i:D2}";
            await Writes.WriteAsync(
                db =>
                {
                    queueThread = Environment.CurrentManagedThreadId;
                    Add(db, name);
                },
                CancellationToken.None);
            Assert.NotEqual(queueThread, Environment.CurrentManagedThreadId);
            Assert.Contains(name, Stored()); // Another connection sees committed rows only.
        }
    }

    [Fact]
    public async Task Disposing_finishes_what_waits_and_takes_no_more()
    {
        List<Task<AnnotatorId>> waiting;
        Task closed;
        using (Hold())
        {
            waiting = [.. Enumerable.Range(0, 100).Select(i => Writes.WriteAsync(db => Add(db, $"w{i:D3}"), CancellationToken.None))];
            closed = Writes.DisposeAsync().AsTask();
            await Assert.ThrowsAsync<ObjectDisposedException>(() => Writes.WriteAsync(db => Add(db, "late"), CancellationToken.None));
            Assert.False(closed.IsCompleted);
        }

        await closed.WaitAsync(Patience);

        await Task.WhenAll(waiting).WaitAsync(Patience);
        Assert.Equal(100, Stored().Count);
    }

    [Fact]
    public async Task A_full_queue_makes_callers_wait()
    {
        List<Task<AnnotatorId>> writes;
        using (Hold())
        {
            writes = [.. Enumerable.Range(0, WriteQueue.WaitingMax + 100).Select(i => Writes.WriteAsync(db => Add(db, $"w{i:D4}"), CancellationToken.None))];
            Assert.Equal(WriteQueue.WaitingMax, Writes.Waiting);
        }

        await Task.WhenAll(writes).WaitAsync(Patience);

        Assert.Equal(WriteQueue.WaitingMax + 100, Stored().Count);
    }

    [Fact]
    public async Task Work_that_is_asynchronous_or_waits_for_the_queue_is_refused()
    {
        await Assert.ThrowsAsync<ArgumentException>(() => Writes.WriteAsync(db => db.SaveChangesAsync(), CancellationToken.None));
        await Assert.ThrowsAsync<InvalidOperationException>(() => Writes.WriteAsync(
            db =>
            {
                Writes.WriteAsync(inner => Add(inner, "inner"), CancellationToken.None).GetAwaiter().GetResult();
            },
            CancellationToken.None));
        Assert.Empty(Stored());
    }

    protected static AnnotatorId Add(PortalDbContext db, string pseudonym)
    {
        var annotator = new Annotator { Id = new AnnotatorId(Guid.CreateVersion7()), Pseudonym = pseudonym, CreatedAt = DateTimeOffset.UnixEpoch };
        db.Annotators.Add(annotator);
        return annotator.Id;
    }

    /// <summary>All pseudonyms, in ordinal order.</summary>
    protected List<string> Stored()
    {
        using var db = Database.Open();
        return [.. db.Annotators.Select(a => a.Pseudonym).ToList().Order(StringComparer.Ordinal)];
    }

    /// <summary>Keeps all threads of the queue busy until disposed, so that what is written meanwhile waits.</summary>
    protected IDisposable Hold() => new Gate(Writes, threads: postgres is null ? 1 : 8);

    private sealed class Gate : IDisposable
    {
        private readonly ManualResetEventSlim open = new();

        public Gate(WriteQueue writes, int threads)
        {
            using var arrived = new CountdownEvent(threads);
            var once = new ConcurrentDictionary<int, bool>();
            for (var i = 0; i < threads; i++)
            {
                var which = i;
                _ = writes.WriteAsync(
                    db =>
                    {
                        if (once.TryAdd(which, true))
                        {
                            arrived.Signal();
                        }
                        open.Wait(Patience);
                    },
                    CancellationToken.None);
            }
            Assert.True(arrived.Wait(Patience), "The queue did not take up the gate.");
        }

        public void Dispose() => open.Set(); // Left to the finalizer: threads may still be leaving the wait.
    }
}
