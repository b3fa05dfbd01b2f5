using System.Data.Common;
using Microsoft.EntityFrameworkCore.Diagnostics;

namespace Portal.Data.Storage;

/// <summary>
/// What every SQLite connection of the portal is set to, whoever opens it: a commit survives a power cut (synchronous=FULL), a busy
/// database is waited for by SQLite itself for 10 s (without it Microsoft.Data.Sqlite polls every 150 ms), foreign keys hold (the
/// system's library has them off), and deleted texts are overwritten (secure_delete).
/// </summary>
/// <remarks>The journal is a property of the file, not of the connection: EF creates the file in WAL mode when it migrates.</remarks>
public sealed class SqlitePragmas : DbConnectionInterceptor
{
    private const string Pragmas = "PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA secure_delete=ON; PRAGMA busy_timeout=10000";

    /// <summary>The interceptor keeps nothing, so one serves all.</summary>
    public static SqlitePragmas Instance { get; } = new();

    /// <inheritdoc/>
    public override void ConnectionOpened(DbConnection connection, ConnectionEndEventData eventData)
    {
        using var command = connection.CreateCommand();
        command.CommandText = Pragmas;
        // Read to the end: what fails after the first row would otherwise be swallowed when the reader closes.
        using var reader = command.ExecuteReader();
        while (reader.NextResult())
        {
        }
    }

    /// <inheritdoc/>
    public override Task ConnectionOpenedAsync(DbConnection connection, ConnectionEndEventData eventData, CancellationToken cancellationToken = default)
    {
        ConnectionOpened(connection, eventData); // SQLite has nothing to wait for asynchronously.
        return Task.CompletedTask;
    }
}
