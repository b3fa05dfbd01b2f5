using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text.Json;
using Portal.Data;
using Portal.Data.Serving;
using Portal.Data.Storage;

namespace Portal.Web.Shell;

/// <summary>
/// The portal's end of the engine's door: asks over the Unix socket of the data directory and waits for the answer. The only way from web
/// to engine besides job rows. Permission is the calling handler's business.
/// </summary>
public sealed class EngineClient : IDisposable
{
    /// <summary>Writing a long answer on a busy machine takes its time.</summary>
    private static readonly TimeSpan Generating = TimeSpan.FromSeconds(120);

    private static readonly TimeSpan Asking = TimeSpan.FromSeconds(20);

    private static readonly TimeSpan Glancing = TimeSpan.FromSeconds(5);

    private readonly HttpClient http;

    public EngineClient(DataDirectory directory)
    {
        var token = new Lazy<string>(directory.ReadEngineToken);
        http = new HttpClient(new SocketsHttpHandler
        {
            ConnectTimeout = TimeSpan.FromSeconds(2),
            PooledConnectionIdleTimeout = TimeSpan.FromSeconds(30),
            UseProxy = false,
            ConnectCallback = async (_, stop) =>
            {
                var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                try
                {
                    await socket.ConnectAsync(new UnixDomainSocketEndPoint(directory.EngineSocket), stop);
                    return new NetworkStream(socket, ownsSocket: true);
                }
                catch
                {
                    socket.Dispose();
                    throw;
                }
            },
        })
        {
            BaseAddress = new Uri("http://engine/"),
            Timeout = Timeout.InfiniteTimeSpan, // each call has its own
        };
        Token = () => token.Value;
    }

    private Func<string> Token { get; }

    /// <summary>The models that can be asked.</summary>
    public Task<Outcome<ModelList>> Models(CancellationToken stop) => Send<ModelList>(HttpMethod.Get, ModelList.Route, null, Asking, stop);

    /// <summary>Goes on with a text.</summary>
    public Task<Outcome<CompletionResponse>> Complete(CompletionRequest request, CancellationToken stop) =>
        Send<CompletionResponse>(HttpMethod.Post, CompletionRequest.Route, request, Generating, stop);

    /// <summary>Answers in a conversation.</summary>
    public Task<Outcome<ChatCompletionResponse>> Chat(ChatCompletionRequest request, CancellationToken stop) =>
        Send<ChatCompletionResponse>(HttpMethod.Post, ChatCompletionRequest.Route, request, Generating, stop);

    /// <summary>Scores responses.</summary>
    public Task<Outcome<ScoreResponse>> Score(ScoreRequest request, CancellationToken stop) =>
        Send<ScoreResponse>(HttpMethod.Post, ScoreRequest.Route, request, Generating, stop);

    /// <summary>Takes the rewards of responses apart, feature by feature.</summary>
    public Task<Outcome<FeatureXrayResponse>> Xray(FeatureXrayRequest request, CancellationToken stop) =>
        Send<FeatureXrayResponse>(HttpMethod.Post, FeatureXrayRequest.Route, request, Generating, stop);

    /// <summary>Tests how well a pattern tells where a feature fires.</summary>
    public Task<Outcome<LabelScoreResponse>> ScoreLabel(LabelScoreRequest request, CancellationToken stop) =>
        Send<LabelScoreResponse>(HttpMethod.Post, LabelScoreRequest.Route, request, Generating, stop);

    /// <summary>Says what toggles would change, on the cached codes of the judged pairs.</summary>
    public Task<Outcome<TogglePreviewResponse>> PreviewToggles(TogglePreviewRequest request, CancellationToken stop) =>
        Send<TogglePreviewResponse>(HttpMethod.Post, TogglePreviewRequest.Route, request, Asking, stop);

    /// <summary>Says what a reward model would do without some judgements. The first time it reads the pairs of the model, which takes a while.</summary>
    public Task<Outcome<RemovalPreviewResponse>> PreviewRemoval(RemovalPreviewRequest request, CancellationToken stop) =>
        Send<RemovalPreviewResponse>(HttpMethod.Post, RemovalPreviewRequest.Route, request, Generating, stop);

    /// <summary>Says how sure the means of some features' contributions are. Pages show the means without it too, so it is not waited for as long as other answers.</summary>
    public Task<Outcome<FeatureEffectsResponse>> Effects(FeatureEffectsRequest request, CancellationToken stop) =>
        Send<FeatureEffectsResponse>(HttpMethod.Post, FeatureEffectsRequest.Route, request, Glancing, stop);

    /// <summary>Adds the explanations of a reward model up by feature. What people, sources and topics say stands without it, so it is not waited for as long as other answers.</summary>
    public Task<Outcome<FeatureRollUpResponse>> RollUpFeatures(FeatureRollUpRequest request, CancellationToken stop) =>
        Send<FeatureRollUpResponse>(HttpMethod.Post, FeatureRollUpRequest.Route, request, Glancing, stop);

    /// <summary>Scores typed texts under every reward that an audit recovered.</summary>
    public Task<Outcome<AuditScoreResponse>> ScoreByAudit(AuditScoreRequest request, CancellationToken stop) =>
        Send<AuditScoreResponse>(HttpMethod.Post, AuditScoreRequest.Route, request, Generating, stop);

    /// <summary>Says what an audit that has not run could find.</summary>
    public Task<Outcome<AuditPowerResponse>> AuditPower(AuditPowerRequest request, CancellationToken stop) =>
        Send<AuditPowerResponse>(HttpMethod.Post, AuditPowerRequest.Route, request, Generating, stop);

    /// <summary>Looks at an uploaded file.</summary>
    public Task<Outcome<ImportPreviewResponse>> PreviewImport(ImportPreviewRequest request, CancellationToken stop) =>
        Send<ImportPreviewResponse>(HttpMethod.Post, ImportPreviewRequest.Route, request, Asking, stop);

    /// <summary>Lets the engine ask an endpoint once to say hello.</summary>
    public Task<Outcome<EndpointTrialResponse>> TryEndpoint(EndpointTrialRequest request, CancellationToken stop) =>
        Send<EndpointTrialResponse>(HttpMethod.Post, EndpointTrialRequest.Route, request, Generating, stop);

    public void Dispose() => http.Dispose();

    private async Task<Outcome<T>> Send<T>(HttpMethod method, string route, object? body, TimeSpan patience, CancellationToken stop)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(stop);
        limit.CancelAfter(patience);
        try
        {
            using var request = new HttpRequestMessage(method, route);
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", Token());
            if (body is not null)
                request.Content = JsonContent.Create(body, body.GetType(), options: ServingJson.Options);
            using var response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, limit.Token);
            if (response.IsSuccessStatusCode)
                return await response.Content.ReadFromJsonAsync<T>(ServingJson.Options, limit.Token) is { } answer
                    ? answer
                    : new Problem("", "The engine's answer was empty.", ProblemKind.Conflict);
            return await ProblemOf(response, limit.Token);
        }
        catch (OperationCanceledException) when (!stop.IsCancellationRequested)
        {
            return new Problem("", $"The engine did not answer within {patience.TotalSeconds:F0} s. It may be busy; try again.", ProblemKind.Conflict);
        }
        catch (HttpRequestException)
        {
            return new Problem("", "The engine is not running. Votes and pages work without it; ask an admin to start it.", ProblemKind.Conflict);
        }
        catch (JsonException)
        {
            return new Problem("", "The engine's answer could not be read; portal and engine may be of different versions.", ProblemKind.Conflict);
        }
    }

    private static async Task<Problem> ProblemOf(HttpResponseMessage response, CancellationToken stop)
    {
        ServingError? error = null;
        try
        {
            error = await response.Content.ReadFromJsonAsync<ServingError>(ServingJson.Options, stop);
        }
        catch (JsonException)
        {
            // Not in the door's words: the status has to do.
        }
        var message = error?.Error.Message ?? $"The engine refused ({(int)response.StatusCode}).";
        return new Problem(error?.Error.Param ?? "", message, response.StatusCode switch
        {
            HttpStatusCode.NotFound => ProblemKind.NotFound,
            HttpStatusCode.TooManyRequests or HttpStatusCode.RequestEntityTooLarge => ProblemKind.TooMuch,
            HttpStatusCode.BadRequest => ProblemKind.Invalid,
            _ => ProblemKind.Conflict,
        });
    }
}
