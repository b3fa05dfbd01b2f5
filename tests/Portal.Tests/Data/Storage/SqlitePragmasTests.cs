using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Xunit;

namespace Portal.Tests.Data.Storage;

/// <summary>The settings every SQLite connection of the portal must have, read back from SQLite.</summary>
public sealed class SqlitePragmasTests : IDisposable
{
    private readonly PortalDatabase database = new();

    public void Dispose() => database.Dispose();

    [Theory]
    [InlineData("synchronous", 2L)] // FULL
    [InlineData("foreign_keys", 1L)]
    [InlineData("secure_delete", 1L)]
    [InlineData("busy_timeout", 10_000L)]
    [InlineData("journal_mode", "wal")]
    public async Task Every_connection_has_them(string pragma, object expected)
    {
        using var first = database.Open();
        await first.Database.OpenConnectionAsync();
        using var second = database.Open();
        second.Database.OpenConnection();

        Assert.Equal(expected, Read(first));
        Assert.Equal(expected, Read(second));

        object? Read(PortalDbContext db)
        {
            using var command = db.Database.GetDbConnection().CreateCommand();
            command.CommandText = $"PRAGMA {pragma}";
            return command.ExecuteScalar();
        }
    }

    [Fact]
    public void A_connection_without_them_differs()
    {
        using var bare = new SqliteConnection($"Data Source={database.Directory.Database};Pooling=False");
        bare.Open();
        using var command = bare.CreateCommand();
        command.CommandText = "PRAGMA busy_timeout";

        Assert.Equal(0L, command.ExecuteScalar());
    }
}
