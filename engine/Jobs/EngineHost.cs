using System.Runtime.InteropServices;
using Microsoft.AspNetCore.Builder;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Portal.Data;
using Portal.Data.Storage;
using Portal.Engine.Erasure;
using Portal.Engine.Serving;

namespace Portal.Engine.Jobs;

/// <summary>What an engine is made of besides queue and door; Program names the parts, tests name others.</summary>
public sealed record EngineParts
{
    /// <summary>Who runs which kind of job.</summary>
    public required JobRunners Runners { get; init; }

    /// <summary>Adds what stands behind the doors that need models (<see cref="ITextGenerator"/>, <see cref="IScorer"/>); null for none.</summary>
    public Action<IServiceCollection>? AddServing { get; init; }

    /// <summary>Fills a fresh installation with the demo project from the folder given as --demo; null where this engine cannot.</summary>
    public Func<IServiceProvider, DirectoryInfo, CancellationToken, Task>? SeedDemo { get; init; }
}

/// <summary>The engine as a process that stays: the queue and the door (`Portal.Engine worker`).</summary>
public static class EngineHost
{
    private static readonly TimeSpan Ending = TimeSpan.FromSeconds(25);

    /// <summary>Runs until it is asked to end (Ctrl-C, SIGTERM). Running jobs are then put back, for the next start.</summary>
    /// <param name="demo">The folder of the demo's artefacts; null for no demo.</param>
    /// <param name="meanwhile">What to do while queue and door are up; the engine ends when it has. Null: stay until asked to end.</param>
    /// <exception cref="InvalidOperationException">Another engine has this data directory, or its path does not fit.</exception>
    public static async Task Run(PortalDataOptions data, JobQueueOptions options, EngineParts parts, DirectoryInfo? demo,
        Func<IServiceProvider, CancellationToken, Task>? meanwhile = null)
    {
        data.Directory.Create();
        using var mine = data.UsesPostgres ? null : LockDirectory(data.Directory);
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders().AddSimpleConsole(console =>
        {
            console.SingleLine = true;
            console.UseUtcTimestamp = true;
            console.TimestampFormat = "yyyy-MM-dd HH:mm:ss ";
        });
        builder.Logging.AddFilter("Microsoft", LogLevel.Warning).AddFilter("Quartz", LogLevel.Warning);
        if (meanwhile is not null)
            builder.Logging.SetMinimumLevel(LogLevel.Error); // its own account of what happens is what people read
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = Ending);
        builder.Services.AddPortalData(data);
        EngineHttp.ClearSocket(data.Directory);
        EngineHttp.AddTo(builder, data.Directory);
        JobQueue.AddTo(builder.Services, data, parts.Runners, options);
        builder.Services.AddHostedService<RemoveOldBackups>();
        parts.AddServing?.Invoke(builder.Services);

        await using var app = builder.Build();
        var log = app.Services.GetRequiredService<ILoggerFactory>().CreateLogger("Portal.Engine");
        using var ending = new CancellationTokenSource();
        using (var early = new EarlySignals(ending))
        {
            if (!await WaitForDatabase(app.Services, data, log, ending.Token))
                return;
            if (demo is not null && parts.SeedDemo is { } seed)
                await seed(app.Services, demo, ending.Token);
        }
        EngineHttp.Map(app, data.Directory);
        await app.StartAsync(ending.Token);
        log.LogInformation("The engine is ready: queue and door in {Directory}", data.Directory.Root);
        if (meanwhile is not null)
        {
            try
            {
                await meanwhile(app.Services, app.Lifetime.ApplicationStopping);
            }
            finally
            {
                await app.StopAsync(CancellationToken.None);
            }
            return;
        }
        await app.WaitForShutdownAsync(CancellationToken.None);
        log.LogInformation("The engine has ended.");
    }

    /// <summary>The portal makes and migrates the database; an engine that starts first waits for it.</summary>
    /// <returns>False when it was asked to end meanwhile.</returns>
    private static async Task<bool> WaitForDatabase(IServiceProvider services, PortalDataOptions data, ILogger log, CancellationToken stop)
    {
        var contexts = services.GetRequiredService<IDbContextFactory<PortalDbContext>>();
        for (var look = 0; !stop.IsCancellationRequested; look++)
        {
            // SQLite would make an empty file by looking.
            if (data.UsesPostgres || File.Exists(data.Directory.Database))
            {
                try
                {
                    await using var db = await contexts.CreateDbContextAsync(CancellationToken.None);
                    if (!(await db.Database.GetPendingMigrationsAsync(CancellationToken.None)).Any())
                        return true;
                }
                catch (System.Data.Common.DbException e)
                {
                    log.LogDebug("The database is not ready: {Message}", e.Message);
                }
            }
            if (look == 20)
                log.LogInformation("Waiting for the portal to make or update the database in {Directory}", data.Directory.Root);
            await Task.Delay(250, CancellationToken.None);
        }
        return false;
    }

    private static FileStream LockDirectory(DataDirectory directory)
    {
        try
        {
            return new FileStream(Path.Combine(directory.Root, "engine.lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException)
        {
            throw new InvalidOperationException($"Another engine is running on {directory.Root}; end it first, or choose another --data.");
        }
    }

    /// <summary>Ctrl-C and SIGTERM while nothing runs yet; the host listens by itself once it has started.</summary>
    private sealed class EarlySignals : IDisposable
    {
        private readonly IReadOnlyList<PosixSignalRegistration> registrations;

        public EarlySignals(CancellationTokenSource ending) =>
            registrations = [.. new[] { PosixSignal.SIGINT, PosixSignal.SIGTERM }
                .Select(signal => PosixSignalRegistration.Create(signal, context =>
                {
                    context.Cancel = true;
                    ending.Cancel();
                }))];

        public void Dispose()
        {
            foreach (var registration in registrations)
                registration.Dispose();
        }
    }
}
