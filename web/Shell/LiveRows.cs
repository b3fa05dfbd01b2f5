using System.Collections.Concurrent;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.SignalR;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Jobs;
using Portal.Data.Serving;
using Portal.Data.Storage;
using Portal.Web.Accounts;

namespace Portal.Web.Shell;

/// <summary>
/// Tells whoever watches that rows of a job have changed: pages on this node through <see cref="Watch"/>, browsers and other programs
/// through the hub /hubs/jobs (message "look" with the job's id). It only says "look": rows are the truth, and each reader checks its own
/// permission when it looks.
/// </summary>
/// <remarks>
/// The engine POSTs a notice after each of its writes. While none comes (no engine near, another node got it) and somebody watches, the rows
/// are looked at each second instead, so a lost notice costs a second and nothing else. A job is told of at most once a second.
/// </remarks>
public sealed class LiveRows(IDbContextFactory<PortalDbContext> contexts, IHubContext<JobsHub> hub, TimeProvider time, ILogger<LiveRows> log) : BackgroundService
{
    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan Spacing = TimeSpan.FromSeconds(1);

    private readonly ConcurrentDictionary<JobId, bool> waiting = [];
    private readonly ConcurrentDictionary<long, Func<JobId, Task>> watchers = [];
    private readonly Dictionary<JobId, DateTimeOffset> told = [];
    private readonly Dictionary<JobId, (JobState, DateTimeOffset?, bool)> seen = [];
    private DateTimeOffset noticedAt = DateTimeOffset.MinValue;
    private DateTimeOffset lookedAt = DateTimeOffset.MinValue;
    private long watcherId;

    /// <summary>Connections of the hub, kept by <see cref="JobsHub"/>.</summary>
    internal int Connections;

    /// <summary>Calls <paramref name="look"/> when a job has changed, until the result is disposed. What it throws is logged and forgotten.</summary>
    public IDisposable Watch(Func<JobId, Task> look)
    {
        var id = Interlocked.Increment(ref watcherId);
        watchers[id] = look;
        return new Watcher(() => watchers.TryRemove(id, out _));
    }

    /// <summary>The engine says that rows of this job have changed.</summary>
    public void Notice(JobId job)
    {
        noticedAt = time.GetUtcNow();
        waiting[job] = true;
    }

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Tick, time);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken))
            {
                try
                {
                    await Look(stoppingToken);
                    await Tell(stoppingToken);
                }
                catch (System.Data.Common.DbException e)
                {
                    log.LogWarning("Jobs could not be looked at: {Message}", e.Message);
                }
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The portal is being stopped.
        }
    }

    /// <summary>Without fresh notices: which open jobs have changed since the last look.</summary>
    private async Task Look(CancellationToken stop)
    {
        var now = time.GetUtcNow();
        if ((watchers.IsEmpty && Connections == 0) || now - noticedAt < Spacing || now - lookedAt < Spacing)
            return;
        lookedAt = now;
        await using var db = await contexts.CreateDbContextAsync(stop);
        var known = seen.Keys.ToList();
        // Over IX_Jobs_State_Number, and the few that were open a second ago by their keys.
        var rows = await db.Jobs.AsNoTracking()
            .Where(j => j.State == JobState.Queued || j.State == JobState.Running || known.Contains(j.Id))
            .Select(j => new { j.Id, j.State, j.HeartbeatAt, Asked = j.CancelAskedAt != null }).ToListAsync(stop);
        foreach (var row in rows)
        {
            var mark = (row.State, row.HeartbeatAt, row.Asked);
            if (!seen.TryGetValue(row.Id, out var before) || before != mark)
                waiting[row.Id] = true;
            if (row.State is JobState.Queued or JobState.Running)
                seen[row.Id] = mark;
            else
                seen.Remove(row.Id);
        }
    }

    private async Task Tell(CancellationToken stop)
    {
        var now = time.GetUtcNow();
        foreach (var job in waiting.Keys)
        {
            if (told.TryGetValue(job, out var last) && now - last < Spacing)
                continue; // its turn comes
            waiting.TryRemove(job, out _);
            told[job] = now;
            foreach (var look in watchers.Values)
            {
                try
                {
                    await look(job);
                }
                catch (Exception e)
                {
                    // A page that has gone in this moment must not keep the others from being told.
                    log.LogDebug(e, "A watcher of jobs failed");
                }
            }
            await hub.Clients.All.SendAsync(JobsHub.Look, $"{job}", stop);
        }
        if (told.Count > 1_000)
            foreach (var old in told.Where(t => now - t.Value > Spacing).Select(t => t.Key).ToList())
                told.Remove(old);
    }

    private sealed class Watcher(Action end) : IDisposable
    {
        public void Dispose() => end();
    }
}

/// <summary>The hub behind /hubs/jobs. Clients only listen; to connect one needs to be allowed to see jobs.</summary>
[Authorize]
public sealed class JobsHub(Access access, LiveRows rows) : Hub
{
    public const string Route = "/hubs/jobs";

    /// <summary>The message that rows of a job have changed; its argument is the job's id.</summary>
    public const string Look = "look";

    private const string Counted = "counted";

    /// <inheritdoc/>
    public override async Task OnConnectedAsync()
    {
        if (Context.User is not { } user || await access.Find(user, Context.ConnectionAborted) is not { } person || !person.May(Permission.Audit))
        {
            Context.Abort();
            return;
        }
        Context.Items[Counted] = true;
        Interlocked.Increment(ref rows.Connections);
        await base.OnConnectedAsync();
    }

    /// <inheritdoc/>
    public override Task OnDisconnectedAsync(Exception? exception)
    {
        if (Context.Items.ContainsKey(Counted))
            Interlocked.Decrement(ref rows.Connections);
        return base.OnDisconnectedAsync(exception);
    }
}

/// <summary>The engine's notice: from this machine only, with the data directory's token.</summary>
public static class NoticeEndpoint
{
    public static void Map(IEndpointRouteBuilder app, DataDirectory directory)
    {
        var expected = Encoding.ASCII.GetBytes($"Bearer {directory.ReadEngineToken()}");
        app.MapPost(EngineNotice.Route, (HttpContext http, EngineNotice notice, LiveRows rows) =>
        {
            rows.Notice(notice.JobId);
            return Results.NoContent();
        })
        .AllowAnonymous() // a program without an account; the token is what it shows
        .AddEndpointFilter(async (context, next) =>
        {
            var http = context.HttpContext;
            if (http.Connection.RemoteIpAddress is not { } from || !IPAddress.IsLoopback(from))
                return Results.StatusCode(StatusCodes.Status403Forbidden);
            return CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(http.Request.Headers.Authorization.ToString()), expected)
                ? await next(context)
                : Results.StatusCode(StatusCodes.Status401Unauthorized);
        });
    }
}
