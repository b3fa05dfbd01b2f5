using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Threading.RateLimiting;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.RateLimiting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Portal.Data.Serving;
using Portal.Data.Storage;

namespace Portal.Engine.Serving;

/// <summary>
/// The engine's HTTP door: what the portal asks for and waits for (chat, scores, previews). OpenAI's shapes, so that other programs can be
/// pointed at it through the portal.
/// </summary>
/// <remarks>
/// It listens on a Unix socket in the data directory that only this user can open (mode 0600), wants the directory's random token as bearer,
/// answers to no other host name than its own (a web page cannot make a browser talk to it), reads at most <see cref="BodyBytesMax"/>, and
/// serves <see cref="AtOnce"/> requests while <see cref="WaitingMax"/> wait; more are told to come back.
/// </remarks>
public static class EngineHttp
{
    public const int BodyBytesMax = 2 * 1024 * 1024;
    public const int AtOnce = 4;
    public const int WaitingMax = 32;

    /// <summary>The only names it answers to.</summary>
    public static readonly IReadOnlyList<string> Hosts = ["engine", "localhost"];

    // sockaddr_un holds 108 bytes, the last of them 0.
    private const int SocketPathBytesMax = 107;

    /// <summary>Lets the host listen on the data directory's socket.</summary>
    /// <exception cref="InvalidOperationException">The path is too long for a socket.</exception>
    public static void AddTo(WebApplicationBuilder builder, DataDirectory directory)
    {
        var socket = directory.EngineSocket;
        var length = Encoding.UTF8.GetByteCount(socket);
        if (length > SocketPathBytesMax)
            throw new InvalidOperationException(
                $"The data directory's path is too long: {socket} has {length} bytes, a socket's name at most {SocketPathBytesMax}. Choose a shorter --data.");
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = BodyBytesMax;
            kestrel.Limits.MaxConcurrentConnections = AtOnce + WaitingMax + 16;
            kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(10);
            kestrel.ListenUnixSocket(socket, listen => listen.Protocols = HttpProtocols.Http1);
        });
        builder.Services.AddRateLimiter(limits =>
        {
            limits.GlobalLimiter = PartitionedRateLimiter.Create<HttpContext, int>(_ => RateLimitPartition.GetConcurrencyLimiter(0, _ => new()
            {
                PermitLimit = AtOnce,
                QueueLimit = WaitingMax,
                QueueProcessingOrder = QueueProcessingOrder.OldestFirst,
            }));
            limits.OnRejected = (rejected, _) =>
            {
                rejected.HttpContext.Response.Headers.RetryAfter = "2";
                return new ValueTask(Refuse(rejected.HttpContext, StatusCodes.Status429TooManyRequests,
                    "The engine is busy: too many requests wait already. Try again in a few seconds."));
            };
        });
    }

    /// <summary>Removes a socket that an engine which was killed has left. Call it before the host starts.</summary>
    /// <exception cref="InvalidOperationException">Another engine is listening on it.</exception>
    public static void ClearSocket(DataDirectory directory)
    {
        if (!File.Exists(directory.EngineSocket))
            return;
        using var probe = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            probe.Connect(new UnixDomainSocketEndPoint(directory.EngineSocket));
        }
        catch (SocketException)
        {
            File.Delete(directory.EngineSocket);
            return;
        }
        throw new InvalidOperationException($"Another engine is listening on {directory.EngineSocket}.");
    }

    /// <summary>The pipeline and the doors.</summary>
    public static void Map(WebApplication app, DataDirectory directory)
    {
        // The folder around it is closed to others already; the socket itself is from here on.
        app.Lifetime.ApplicationStarted.Register(() =>
            File.SetUnixFileMode(directory.EngineSocket, UnixFileMode.UserRead | UnixFileMode.UserWrite));
        var token = Encoding.ASCII.GetBytes($"Bearer {directory.ReadEngineToken()}");
        app.Use(AnswerRefusals);
        app.Use((http, next) => Hosts.Contains(http.Request.Host.Host, StringComparer.OrdinalIgnoreCase)
            ? next(http)
            : Refuse(http, StatusCodes.Status400BadRequest, $"The engine answers to the host names {string.Join(" and ", Hosts)} only."));
        app.Use((http, next) => CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(http.Request.Headers.Authorization.ToString()), token)
            ? next(http)
            : Refuse(http, StatusCodes.Status401Unauthorized, "The token of the data directory is missing or wrong.", type: "authentication_error"));
        app.Use(async (http, next) =>
        {
            await next(http);
            if (http.Response is { StatusCode: StatusCodes.Status404NotFound or StatusCodes.Status405MethodNotAllowed, HasStarted: false } answer)
                await Refuse(http, answer.StatusCode, $"There is no {http.Request.Method} {http.Request.Path} here.");
        });
        app.UseRouting();
        app.UseRateLimiter();
        app.MapGet(ModelList.Route, ListModels.Handle);
        app.MapPost(CompletionRequest.Route, Completions.Complete);
        app.MapPost(ChatCompletionRequest.Route, Completions.Chat);
        app.MapPost(ScoreRequest.Route, Scores.Handle);
        app.MapPost(FeatureXrayRequest.Route, Xrays.Handle);
        app.MapPost(TogglePreviewRequest.Route, PreviewToggles.Handle);
        app.MapPost(RemovalPreviewRequest.Route, PreviewRemoval.Handle);
        app.MapPost(FeatureEffectsRequest.Route, ShowEffects.Handle);
        app.MapPost(FeatureRollUpRequest.Route, RollUpFeatures.Handle);
        app.MapPost(LabelScoreRequest.Route, ScoreLabel.Handle);
        app.MapPost(ImportPreviewRequest.Route, PreviewImport.Handle);
        app.MapPost(AuditScoreRequest.Route, ScoreByAudit.Handle);
        app.MapPost(AuditPowerRequest.Route, EstimatePower.Handle);
        app.MapPost(EndpointTrialRequest.Route, TryEndpoint.Handle);
    }

    /// <summary>Reads a request's body.</summary>
    /// <exception cref="DoorRefusal">It is too large or no such JSON; the message names the member.</exception>
    internal static async Task<T> Read<T>(HttpContext http, CancellationToken stop)
    {
        try
        {
            return await JsonSerializer.DeserializeAsync<T>(http.Request.Body, ServingJson.Options, stop)
                ?? throw new DoorRefusal(StatusCodes.Status400BadRequest, "The body is empty (JSON null).");
        }
        catch (JsonException e)
        {
            throw new DoorRefusal(StatusCodes.Status400BadRequest, $"The body cannot be read: {e.Message}", e.Path?.TrimStart('$', '.'));
        }
    }

    /// <summary>The part of the engine that serves a door.</summary>
    /// <exception cref="DoorRefusal">This engine has none (503).</exception>
    internal static T Part<T>(HttpContext http, string does) where T : class =>
        http.RequestServices.GetService<T>()
        ?? throw new DoorRefusal(StatusCodes.Status503ServiceUnavailable, $"This engine was started without the part that {does}.");

    /// <summary>Writes an answer.</summary>
    internal static Task Answer<T>(HttpContext http, T answer) => http.Response.WriteAsJsonAsync(answer, ServingJson.Options, http.RequestAborted);

    private static async Task AnswerRefusals(HttpContext http, RequestDelegate next)
    {
        try
        {
            await next(http);
        }
        catch (DoorRefusal refusal)
        {
            await Refuse(http, refusal.Status, refusal.Message, refusal.Field,
                refusal.Status == StatusCodes.Status503ServiceUnavailable ? "unavailable_error" : "invalid_request_error");
        }
        catch (Microsoft.AspNetCore.Http.BadHttpRequestException e)
        {
            await Refuse(http, e.StatusCode, e.StatusCode == StatusCodes.Status413PayloadTooLarge
                ? $"The body is larger than {BodyBytesMax / 1024 / 1024} MiB."
                : e.Message);
        }
        catch (OperationCanceledException) when (http.RequestAborted.IsCancellationRequested)
        {
            // Nobody is waiting for the answer any more.
        }
    }

    private static Task Refuse(HttpContext http, int status, string message, string? field = null, string? type = null)
    {
        http.Response.StatusCode = status;
        return Answer(http, new ServingError(new(message, type ?? (status == StatusCodes.Status429TooManyRequests ? "overloaded_error" : "invalid_request_error"), field)));
    }
}
