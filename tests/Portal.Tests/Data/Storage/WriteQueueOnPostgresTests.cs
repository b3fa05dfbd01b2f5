using Microsoft.EntityFrameworkCore;
using Npgsql;
using Portal.Data;
using Portal.Data.Annotators;
using Portal.Data.Storage;
using Xunit;

namespace Portal.Tests.Data.Storage;

/// <summary>The write queue on Postgres: several threads, a transaction each, tried again where Postgres asks for it.</summary>
[Collection(PostgresFixture.Collection)]
[Trait("Speed", "slow")]
public sealed class WriteQueueOnPostgresTests(PostgresFixture postgres) : WriteQueueTests(postgres)
{
    [Theory]
    [InlineData("40001")]
    [InlineData("40P01")]
    public async Task A_collision_is_tried_again(string state)
    {
        var attempts = 0;

        await Writes.WriteAsync(
            db =>
            {
                Add(db, $"attempt{++attempts}");
                if (attempts < 3)
                {
                    Raise(db, state);
                }
            },
            CancellationToken.None);

        Assert.Equal(["attempt3"], Stored());
    }

    [Fact]
    public async Task A_collision_that_does_not_end_is_reported()
    {
        var attempts = 0;

        var error = await Assert.ThrowsAsync<PostgresException>(() => Writes.WriteAsync(
            db =>
            {
                attempts++;
                Raise(db, "40001");
            },
            CancellationToken.None));

        Assert.Equal("40001", error.SqlState);
        Assert.Equal(WriteQueue.AttemptsMax, attempts);
    }

    [Fact]
    public async Task Another_error_is_not_tried_again()
    {
        var attempts = 0;

        await Assert.ThrowsAsync<PostgresException>(() => Writes.WriteAsync(
            db =>
            {
                attempts++;
                Raise(db, "22012 division_by_zero");
            },
            CancellationToken.None));

        Assert.Equal(1, attempts);
    }

    [Fact]
    public async Task A_real_deadlock_ends_with_both_operations_done()
    {
        await Writes.WriteAsync(db => (Add(db, "left"), Add(db, "right")), CancellationToken.None);
        using var bothHoldOne = new Barrier(2);
        int firstAttempts = 0, secondAttempts = 0;

        await Task.WhenAll(
            Writes.WriteAsync(db => Lock(db, "left", "right", ++firstAttempts), CancellationToken.None),
            Writes.WriteAsync(db => Lock(db, "right", "left", ++secondAttempts), CancellationToken.None)).WaitAsync(Patience);

        Assert.Equal(3, firstAttempts + secondAttempts); // One of the two was the victim, once.

        void Lock(PortalDbContext db, string one, string other, int attempt)
        {
            db.Annotators.Where(a => a.Pseudonym == one).ExecuteUpdate(set => set.SetProperty(a => a.IsSimulated, true));
            if (attempt == 1)
            {
                bothHoldOne.SignalAndWait(Patience);
            }
            db.Annotators.Where(a => a.Pseudonym == other).ExecuteUpdate(set => set.SetProperty(a => a.IsSimulated, true));
        }
    }

    private static void Raise(PortalDbContext db, string state)
    {
        db.SaveChanges();
        db.Database.ExecuteSqlRaw(state switch
        {
            "40001" => "DO $$ BEGIN RAISE EXCEPTION 'wanted' USING ERRCODE = '40001'; END $$",
            "40P01" => "DO $$ BEGIN RAISE EXCEPTION 'wanted' USING ERRCODE = '40P01'; END $$",
            _ => "SELECT 1 / 0",
        });
    }
}
