using System.Collections.Concurrent;
using System.Diagnostics;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Annotators;
using Portal.Data.Storage;
using Portal.Tests.Data.Sqlite;
using Xunit;

namespace Portal.Tests.Data.Storage;

/// <summary>The write queue on SQLite: one thread, batches of one transaction.</summary>
public sealed class WriteQueueOnSqliteTests() : WriteQueueTests(null)
{
    [Fact]
    public async Task Operations_that_wait_share_a_transaction_of_at_most_64()
    {
        var transactions = new ConcurrentQueue<Guid>();
        List<Task> writes;
        using (Hold())
        {
            writes = [.. Enumerable.Range(0, 100).Select(i => Writes.WriteAsync(
                db =>
                {
                    transactions.Enqueue(db.Database.CurrentTransaction!.TransactionId); // The queue's own.
                    Assert.Empty(db.ChangeTracker.Entries());
                    Add(db, $"w{i:D3}");
                },
                CancellationToken.None))];
        }

        await Task.WhenAll(writes).WaitAsync(Patience);

        Assert.Equal([64, 36], transactions.GroupBy(t => t).Select(g => g.Count()));
    }

    [Fact]
    public async Task A_batch_that_breaks_as_a_whole_is_done_one_by_one()
    {
        List<Task> writes;
        using (Hold())
        {
            // SQLite ends the whole transaction by itself on some errors (disk full); a ROLLBACK does the same.
            writes = [.. Enumerable.Range(0, 10).Select(i => Writes.WriteAsync(
                db =>
                {
                    Add(db, $"w{i}");
                    if (i == 4)
                    {
                        db.Database.ExecuteSqlRaw("ROLLBACK");
                    }
                },
                CancellationToken.None))];
        }

        await Task.WhenAny(Task.WhenAll(writes), Task.Delay(Patience));

        Assert.True(writes[4].IsFaulted);
        Assert.All(writes.Where((_, i) => i != 4), w => Assert.True(w.IsCompletedSuccessfully));
        Assert.Equal(["w0", "w1", "w2", "w3", "w5", "w6", "w7", "w8", "w9"], Stored());
    }

    [Fact]
    public async Task A_writer_of_another_process_is_waited_for()
    {
        using var other = new SqliteConnection($"Data Source={Database.Directory.Database};Pooling=False");
        other.Open();
        using var transaction = other.BeginTransaction();
        other.Execute("INSERT INTO Annotators(Id, Pseudonym, IsSimulated, CreatedAt) VALUES('1', 'other', 0, 0)");

        var write = Writes.WriteAsync(db => Add(db, "ours"), CancellationToken.None);
        Assert.NotSame(write, await Task.WhenAny(write, Task.Delay(200)));
        transaction.Commit();

        await write.WaitAsync(Patience);
        Assert.Equal(["ours", "other"], Database.Open().Annotators.OrderByDescending(a => a.CreatedAt).Select(a => a.Pseudonym).ToList().Order(StringComparer.Ordinal).Reverse());
    }

    /// <summary>
    /// The files as a crash would leave them: copied while the queue writes, nothing closed or checkpointed. Every operation answered
    /// before the copy began must be in it.
    /// </summary>
    [Fact]
    public async Task Every_answered_operation_is_in_the_files_at_any_instant()
    {
        using var keepLog = Database.Open();
        await keepLog.Database.OpenConnectionAsync(); // The last connection to close would fold the log into the file.
        var answered = new ConcurrentQueue<string>();
        var writes = Enumerable.Range(0, 100).Select(i => Task.Run(async () =>
        {
            var name = $"w{i:D3}";
            await Writes.WriteAsync(db => Add(db, name), CancellationToken.None);
            answered.Enqueue(name);
        })).ToList();

        var copies = Path.Combine(Database.Directory.Backups, "crash");
        Directory.CreateDirectory(copies);
        var rounds = 0;
        for (var last = false; !last; rounds++)
        {
            last = writes.All(w => w.IsCompleted);
            var promised = answered.ToList();
            var copy = Path.Combine(copies, $"{rounds}.db");
            File.Copy(Database.Directory.Database, copy);
            File.Copy(Database.Directory.Database + "-wal", copy + "-wal");

            using var db = new SqliteConnection($"Data Source={copy};Pooling=False");
            db.Open();
            Assert.Equal("ok", db.Scalar("PRAGMA integrity_check"));
            Assert.Empty(promised.Except(db.Column<string>("SELECT Pseudonym FROM Annotators")));
        }

        await Task.WhenAll(writes);
        Assert.True(rounds > 1);
        Assert.Equal(100, answered.Count);
    }

    /// <summary>Figures for the reader, of one run on a shared machine; no assertion on speed.</summary>
    [Fact]
    public async Task Throughput_beside_contexts_that_compete()
    {
        Func<string, Task> queued = name => Writes.WriteAsync(db => Add(db, name), CancellationToken.None);
        Func<string, Task> competing = name => Task.Factory.StartNew(
            () =>
            {
                using var db = Database.Open();
                Add(db, name);
                db.SaveChanges();
            },
            TaskCreationOptions.LongRunning);
        var warmUp = (await Measure(queued)).Count + (await Measure(competing)).Count; // Compiling takes most of a first second.

        var queue = await Measure(queued);
        var naive = await Measure(competing);

        var text = $"write queue, SQLite synchronous=FULL, 32 callers: {queue}; a context each: {naive}";
        Notes.Write(text);
        Assert.Equal(warmUp + queue.Count + naive.Count, Stored().Count);
    }

    private static async Task<Figures> Measure(Func<string, Task> write)
    {
        var milliseconds = new ConcurrentBag<double>();
        var clock = Stopwatch.StartNew();
        await Task.WhenAll(Enumerable.Range(0, 32).Select(_ => Task.Run(async () =>
        {
            while (clock.ElapsedMilliseconds < 1000)
            {
                var start = clock.Elapsed;
                await write(Guid.NewGuid().ToString());
                milliseconds.Add((clock.Elapsed - start).TotalMilliseconds);
            }
        })));
        var seconds = clock.Elapsed.TotalSeconds;
        var sorted = milliseconds.Order().ToList();
        return new Figures(sorted.Count, sorted.Count / seconds, sorted[sorted.Count / 2], sorted[sorted.Count * 99 / 100], sorted[^1]);
    }

    private sealed record Figures(int Count, double PerSecond, double P50, double P99, double Max)
    {
        public override string ToString() => FormattableString.Invariant($"{PerSecond:F0}/s, p50 {P50:F1} ms, p99 {P99:F1} ms, max {Max:F0} ms");
    }
}
