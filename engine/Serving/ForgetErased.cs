using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Portal.Engine.Serving;

/// <summary>Looks once a minute whether an erasure has touched what the doors keep open, and has them forget it: nobody may ask again for a long time, and memory would keep texts and features until then.</summary>
public sealed class ForgetErased(RemovalPreviews removals, TogglePreviews toggles, TimeProvider time, ILogger<ForgetErased> log) : BackgroundService
{
    private static readonly TimeSpan Every = TimeSpan.FromMinutes(1);

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested)
        {
            await Task.Delay(Every, time, stoppingToken);
            try
            {
                await removals.CloseErased(stoppingToken);
                await toggles.CloseErased(stoppingToken);
            }
            catch (System.Data.Common.DbException e)
            {
                log.LogWarning("Whether something was erased could not be asked, which is tried again in a minute: {Message}", e.Message);
            }
        }
    }
}
