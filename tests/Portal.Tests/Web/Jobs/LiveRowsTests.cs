using System.Collections.Concurrent;
using System.Net;
using System.Net.Http.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.SignalR;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Portal.Data;
using Portal.Data.Jobs;
using Portal.Data.Serving;
using Portal.Engine.Jobs;
using Portal.Tests.Data;
using Portal.Web.Shell;
using Xunit;

namespace Portal.Tests.Web.Jobs;

/// <summary>Who is told that rows have changed, how soon and how often.</summary>
public sealed class LiveRowsTests : IAsyncLifetime, IDisposable
{
    private readonly PortalDatabase database = new();
    private readonly Sent sent = new();
    private readonly LiveRows rows;
    private readonly JobId job = new(Guid.CreateVersion7());

    public LiveRowsTests() => rows = new LiveRows(database.Contexts, sent, TimeProvider.System, NullLogger<LiveRows>.Instance);

    public Task InitializeAsync()
    {
        using var db = database.Open();
        var row = new Job { Id = job, Number = 1, ProjectId = new ProjectId(Guid.CreateVersion7()), Kind = "TrainSft", SpecJson = "{}", CreatedBy = null, CreatedAt = DateTimeOffset.UtcNow };
        row.Start(DateTimeOffset.UtcNow);
        db.Jobs.Add(row);
        db.SaveChanges();
        return rows.StartAsync(default);
    }

    public Task DisposeAsync() => rows.StopAsync(default);

    public void Dispose()
    {
        rows.Dispose();
        database.Dispose();
    }

    [Fact]
    public async Task Many_notices_are_one_message_a_second()
    {
        var looks = new ConcurrentQueue<DateTimeOffset>();
        using var watch = rows.Watch(id =>
        {
            if (id == job)
                looks.Enqueue(DateTimeOffset.UtcNow);
            return Task.CompletedTask;
        });

        for (var i = 0; i < 50; i++)
        {
            rows.Notice(job);
            await Task.Delay(50);
        }
        await Until(() => looks.Count >= 2);

        var times = looks.ToList();
        Assert.All(times.Zip(times.Skip(1)), pair => Assert.True(pair.Second - pair.First > TimeSpan.FromMilliseconds(900), $"{(pair.Second - pair.First).TotalMilliseconds} ms apart"));
        Assert.Contains($"{job}", sent.Messages);
    }

    [Fact]
    public async Task Without_notices_a_changed_row_is_seen_by_looking()
    {
        var looks = 0;
        using var watch = rows.Watch(_ =>
        {
            Interlocked.Increment(ref looks);
            return Task.CompletedTask;
        });
        await Until(() => looks == 1); // the first look at an open job is news
        await Task.Delay(2_500);
        Assert.Equal(1, looks); // and an unchanged one is not

        await database.Writes.WriteAsync(db => db.Jobs.Single(j => j.Id == job).Succeed("/models/x", DateTimeOffset.UtcNow), default);

        await Until(() => looks == 2);
    }

    [Fact]
    public async Task A_watcher_that_throws_does_not_keep_others_from_being_told()
    {
        var told = false;
        using var bad = rows.Watch(_ => throw new InvalidOperationException("the page is gone"));
        using var good = rows.Watch(_ =>
        {
            told = true;
            return Task.CompletedTask;
        });

        rows.Notice(job);

        await Until(() => told);
    }

    [Fact]
    public async Task The_engines_notice_needs_the_token_and_reaches_the_watchers()
    {
        var builder = WebApplication.CreateBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Services.AddSingleton(rows);
        await using var app = builder.Build();
        NoticeEndpoint.Map(app, database.Directory);
        await app.StartAsync();
        var address = new Uri(app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First());
        var told = new ConcurrentQueue<JobId>();
        using var watch = rows.Watch(id =>
        {
            told.Enqueue(id);
            return Task.CompletedTask;
        });
        var other = new JobId(Guid.CreateVersion7());

        using var http = new HttpClient { BaseAddress = address };
        using var refused = await http.PostAsJsonAsync(EngineNotice.Route, new EngineNotice(other));
        using (var notice = new PortalNotice(address, "wrong"))
            await notice.Send(other, default);
        await Task.Delay(600);
        Assert.Equal(HttpStatusCode.Unauthorized, refused.StatusCode);
        Assert.DoesNotContain(other, told);

        using (var notice = new PortalNotice(address, database.Directory.ReadEngineToken()))
            await notice.Send(other, default);
        await Until(() => told.Contains(other));
    }

    [Fact]
    public async Task A_notice_without_a_portal_harms_nobody()
    {
        using var nobody = new PortalNotice(new Uri("http://127.0.0.1:9"), "token");
        using var none = new PortalNotice(null, "token");

        await nobody.Send(job, default);
        await none.Send(job, default);
    }

    private static async Task Until(Func<bool> wanted)
    {
        for (var tries = 0; !wanted(); tries++)
        {
            Assert.True(tries < 1_000, "waited 20 s in vain");
            await Task.Delay(20);
        }
    }

    /// <summary>What the hub would have sent.</summary>
    private sealed class Sent : IHubContext<JobsHub>, IHubClients, IClientProxy
    {
        public ConcurrentQueue<string> Messages { get; } = [];

        public IHubClients Clients => this;
        public IGroupManager Groups => throw new NotSupportedException("Nobody is put into groups.");
        public IClientProxy All => this;
        public IClientProxy AllExcept(IReadOnlyList<string> excludedConnectionIds) => this;
        public IClientProxy Client(string connectionId) => this;
        IClientProxy IHubClients<IClientProxy>.Clients(IReadOnlyList<string> connectionIds) => this;
        public IClientProxy Group(string groupName) => this;
        public IClientProxy GroupExcept(string groupName, IReadOnlyList<string> excludedConnectionIds) => this;
        IClientProxy IHubClients<IClientProxy>.Groups(IReadOnlyList<string> groupNames) => this;
        public IClientProxy User(string userId) => this;
        public IClientProxy Users(IReadOnlyList<string> userIds) => this;

        public Task SendCoreAsync(string method, object?[] args, CancellationToken cancellationToken = default)
        {
            Assert.Equal(JobsHub.Look, method);
            Messages.Enqueue((string)args[0]!);
            return Task.CompletedTask;
        }
    }
}
