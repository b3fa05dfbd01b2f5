using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Portal.Data;
using Portal.Data.Storage;

namespace Portal.Engine.Erasure;

/// <summary>Removes copies of the database that hold what was erased, on the date that the erasure's proof promises.</summary>
public sealed class RemoveOldBackups(IDbContextFactory<PortalDbContext> contexts, DataDirectory directory, TimeProvider time, ILogger<RemoveOldBackups> log) : BackgroundService
{
    private static readonly TimeSpan Every = TimeSpan.FromHours(1);

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                await using var db = await contexts.CreateDbContextAsync(stoppingToken);
                if (BackupRetention.RemoveDue(db, directory, time.GetUtcNow()) is { Count: > 0 } removed)
                    log.LogInformation("{Count} backups were past their date after an erasure and are removed", removed.Count);
            }
            catch (Exception e) when (e is System.Data.Common.DbException or IOException or UnauthorizedAccessException)
            {
                log.LogWarning("Old backups could not be removed, which is tried again in an hour: {Message}", e.Message);
            }
            await Task.Delay(Every, time, stoppingToken);
        }
    }
}
