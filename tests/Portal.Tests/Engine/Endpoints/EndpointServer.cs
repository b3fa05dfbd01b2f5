using System.Collections.Concurrent;
using System.Net;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Portal.Data;
using Portal.Data.Endpoints;
using Portal.Data.Feedback;
using Portal.Engine.Endpoints;

namespace Portal.Tests.Engine.Endpoints;

/// <summary>A server on this machine that speaks OpenAI's API as a test tells it to, and remembers what it was asked.</summary>
internal sealed class EndpointServer : IAsyncDisposable
{
    public const string Key = "sk-test-0123456789abcdefghijklmnop";

    private readonly WebApplication app;
    private int asked, now, most;

    private EndpointServer(WebApplication app) => this.app = app;

    /// <summary>A request: where, with which Authorization header, and what.</summary>
    public sealed record Request(string Path, string Authorization, JsonNode Body, IHeaderDictionary Headers);

    /// <summary>Everything it was asked, in order of arrival.</summary>
    public ConcurrentQueue<Request> Asked { get; } = new();

    /// <summary>What it does with a request; the number counts them from 0.</summary>
    public Func<HttpContext, Request, int, Task> Answer { get; set; } = (http, request, _) => Json(http, Choices(request));

    /// <summary>The most requests that were under way at once.</summary>
    public int MostAtOnce => most;

    public int Port { get; private set; }

    public static async Task<EndpointServer> Start()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.Listen(IPAddress.Loopback, 0);
            kestrel.Limits.MinResponseDataRate = null;
        });
        var app = builder.Build();
        var server = new EndpointServer(app);
        app.Run(server.Handle);
        await app.StartAsync();
        server.Port = new Uri(app.Urls.Single()).Port;
        return server;
    }

    public async ValueTask DisposeAsync()
    {
        using var soon = new CancellationTokenSource(TimeSpan.FromSeconds(2)); // some answers never end
        await app.StopAsync(soon.Token);
        await app.DisposeAsync();
    }

    /// <summary>An endpoint of this server; its settings may be changed before.</summary>
    public PolicyEndpoint Endpoint(Func<EndpointSettings, EndpointSettings>? change = null, bool consent = true, string? url = null)
    {
        var endpoint = new PolicyEndpoint { Id = new(Guid.NewGuid()), ProjectId = new(Guid.NewGuid()), CreatedBy = Guid.NewGuid(), CreatedAt = DateTimeOffset.UtcNow };
        var settings = new EndpointSettings { Name = "Test", BaseUrl = url ?? $"http://127.0.0.1:{Port}/v1", Model = "small", Retries = 0, TimeoutSeconds = 20 };
        endpoint.Change(change?.Invoke(settings) ?? settings);
        if (consent)
            endpoint.GiveConsent(Guid.NewGuid(), DateTimeOffset.UtcNow);
        return endpoint;
    }

    /// <summary>A client of such an endpoint, allowed to reach this server, with short waits.</summary>
    public EndpointPolicy Policy(PolicyEndpoint? endpoint = null, EndpointLimits? limits = null, AddressGuard? guard = null, EndpointNetwork? network = null, string? key = Key) =>
        new(endpoint ?? Endpoint(), key is null ? null : new EndpointKey(key), guard ?? new AddressGuard([$"127.0.0.1:{Port}"]), network ?? new EndpointNetwork(),
            limits ?? new EndpointLimits { BackoffSeconds = 0.01 }, TimeProvider.System);

    public static IReadOnlyList<IReadOnlyList<Turn>> Prompts(int count) => [.. Enumerable.Range(0, count).Select(i => (IReadOnlyList<Turn>)[new Turn("user", $"Question {i}?")])];

    public static Task Json(HttpContext http, object body, int status = 200)
    {
        http.Response.StatusCode = status;
        return Raw(http, JsonSerializer.Serialize(body));
    }

    public static Task Raw(HttpContext http, string body)
    {
        http.Response.ContentType = "application/json";
        return http.Response.WriteAsync(body);
    }

    /// <summary>As many choices as were asked for, of the shape that was asked for, each with its number.</summary>
    public static object Choices(Request request) => new
    {
        choices = Enumerable.Range(0, (int?)request.Body["n"] ?? 1).Select(i => (object)(request.Path.EndsWith("/chat/completions", StringComparison.Ordinal)
            ? new { index = i, message = new { role = "assistant", content = $"Answer {i}." }, finish_reason = "stop" }
            : new { index = i, text = $"Answer {i}.", finish_reason = "length" })),
    };

    private async Task Handle(HttpContext http)
    {
        var count = Interlocked.Increment(ref now);
        for (int seen; (seen = Volatile.Read(ref most)) < count && Interlocked.CompareExchange(ref most, count, seen) != seen;) { }
        try
        {
            var request = new Request(http.Request.Path, http.Request.Headers.Authorization.ToString(), (await JsonNode.ParseAsync(http.Request.Body))!, http.Request.Headers); // the client sends JSON
            Asked.Enqueue(request);
            await Answer(http, request, Interlocked.Increment(ref asked) - 1);
        }
        catch (Exception e) when (e is OperationCanceledException or IOException)
        {
            // The client went away, as it should where a test says so.
        }
        finally
        {
            Interlocked.Decrement(ref now);
        }
    }
}
