using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;
using Portal.Data.Feedback;
using Portal.Data.Serving;
using Portal.Engine.Serving;
using Portal.Tests.Engine.Jobs;
using Portal.Web.Shell;
using Xunit;

namespace Portal.Tests.Engine.Serving;

/// <summary>The door of a real engine process: who may come in, what it refuses and how, and the portal's client on the other side.</summary>
[Trait("Speed", "slow")]
public sealed class EngineHttpTests(EngineHttpTests.Running running) : IClassFixture<EngineHttpTests.Running>
{
    private readonly EngineProcess engine = running.Engine;

    public sealed class Running : IAsyncLifetime
    {
        public EngineProcess Engine { get; } = new();

        public async Task InitializeAsync()
        {
            for (var tries = 0; !File.Exists(Engine.Database.Directory.EngineSocket); tries++)
            {
                Assert.True(tries < 1_200, "the engine did not open its door within a minute");
                await Task.Delay(50);
            }
        }

        public Task DisposeAsync()
        {
            Engine.Dispose();
            return Task.CompletedTask;
        }
    }

    [Fact]
    public void Socket_and_token_are_closed_to_other_users()
    {
        const UnixFileMode Others = UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.OtherRead | UnixFileMode.OtherWrite | UnixFileMode.OtherExecute | UnixFileMode.GroupExecute;

        // The mode is set when the host has started, which is an instant after the file is there.
        SpinWait.SpinUntil(() => (File.GetUnixFileMode(engine.Database.Directory.EngineSocket) & Others) == 0, TimeSpan.FromSeconds(10));

        Assert.Equal(UnixFileMode.None, File.GetUnixFileMode(engine.Database.Directory.EngineSocket) & Others);
        Assert.Equal(UnixFileMode.None, File.GetUnixFileMode(engine.Database.Directory.EngineToken) & Others);
    }

    /// <summary>Whatever is asked, and before it is read.</summary>
    [Theory]
    [InlineData(FeatureXrayRequest.Route)]
    [InlineData(FeatureEffectsRequest.Route)]
    [InlineData(FeatureRollUpRequest.Route)]
    [InlineData(TogglePreviewRequest.Route)]
    [InlineData(RemovalPreviewRequest.Route)]
    public async Task Doors_of_features_and_pairs_want_the_token_too(string route)
    {
        using var response = await Send(HttpMethod.Post, route, "{", authorization: "");

        Assert.Equal(HttpStatusCode.Unauthorized, response.StatusCode);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("Bearer 0000000000000000000000000000000000000000000000000000000000000000")]
    [InlineData("Basic YTpi")]
    public async Task A_caller_without_the_token_is_refused(string? authorization)
    {
        using var response = await Send(HttpMethod.Get, ModelList.Route, authorization: authorization ?? "");

        Assert.Equal(HttpStatusCode.Unauthorized, response.StatusCode);
        Assert.Equal("The token of the data directory is missing or wrong.", await Message(response));
    }

    [Theory]
    [InlineData("evil.example")]
    [InlineData("127.0.0.1")]
    public async Task Another_host_name_is_refused_even_with_the_token(string host)
    {
        using var response = await Send(HttpMethod.Get, ModelList.Route, host: host);

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.StartsWith("The engine answers to the host names", await Message(response));
    }

    [Fact]
    public async Task A_body_that_is_too_large_is_refused()
    {
        var body = $$"""{"model":"echo","prompt":"{{new string('x', EngineHttp.BodyBytesMax)}}"}""";

        using var response = await Send(HttpMethod.Post, CompletionRequest.Route, body);

        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, response.StatusCode);
        Assert.Equal("The body is larger than 2 MiB.", await Message(response));
    }

    [Theory]
    [InlineData("{", "")]
    [InlineData("""{"model":"echo"}""", "prompt")]
    [InlineData("""{"prompt":"a"}""", "model")]
    [InlineData("""{"model":"echo","prompt":"a","temperature":3}""", "temperature")]
    [InlineData("""{"model":"echo","prompt":"a","max_tokens":0}""", "max_tokens")]
    [InlineData("""{"model":"echo","prompt":"a","n":17}""", "n")]
    [InlineData("""{"model":"echo","prompt":"a","stop":["",""]}""", "stop")]
    [InlineData("""{"model":"echo","prompt":"a","stream":true}""", "stream")]
    [InlineData("""{"model":"echo","prompt":"a","logprobs":9}""", "logprobs")]
    [InlineData("""{"model":"echo","prompt":"a","seed":"x"}""", "seed")]
    public async Task A_request_that_makes_no_sense_is_refused_by_field(string body, string field)
    {
        using var response = await Send(HttpMethod.Post, CompletionRequest.Route, body);

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Equal(field, (string?)JsonNode.Parse(await response.Content.ReadAsStringAsync())!["error"]!["param"] ?? "");
    }

    [Theory]
    [InlineData("""{"items":[{"prompt":[],"response":"x"}]}""", "model")]
    [InlineData("""{"model":"m","items":[]}""", "items")]
    [InlineData("""{"model":"m","items":[{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}]}""", "items")]
    [InlineData("""{"model":"m","items":[{}],"heat_latents":[]}""", "heat_latents")]
    [InlineData("""{"model":"m","items":[{}],"heat_latents":[1,2,3,4,5,6,7,8,9,10,11,12,13]}""", "heat_latents")]
    [InlineData("""{"model":"m","items":[{}],"heat_latents":["one"]}""", "heat_latents[0]")]
    public async Task An_xray_that_makes_no_sense_is_refused_by_field(string body, string field)
    {
        using var response = await Send(HttpMethod.Post, FeatureXrayRequest.Route, body);

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Equal(field, (string?)JsonNode.Parse(await response.Content.ReadAsStringAsync())!["error"]!["param"] ?? "");
    }

    [Fact]
    public async Task Completions_have_the_shape_that_OpenAIs_clients_read()
    {
        using var response = await Send(HttpMethod.Post, CompletionRequest.Route, """{"model":"echo","prompt":["one two","three"],"n":2,"logprobs":1,"user":"ignored"}""");

        var answer = JsonNode.Parse(await response.Content.ReadAsStringAsync())!;
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal(("text_completion", "echo", 4), ((string)answer["object"]!, (string)answer["model"]!, answer["choices"]!.AsArray().Count));
        var first = answer["choices"]![0]!;
        Assert.Equal(("one two", 0, "stop"), ((string)first["text"]!, (int)first["index"]!, (string)first["finish_reason"]!));
        Assert.Equal("""{"tokens":["one"," two"],"token_logprobs":[-0.5,-1],"top_logprobs":[{"one":-0.5," no":-3},{" two":-1," no":-3}],"text_offset":[0,3]}""",
            first["logprobs"]!.ToJsonString());
        Assert.Equal("""{"prompt_tokens":3,"completion_tokens":6,"total_tokens":9}""", answer["usage"]!.ToJsonString());
    }

    [Fact]
    public async Task Chat_completions_have_the_shape_that_OpenAIs_clients_read()
    {
        using var response = await Send(HttpMethod.Post, ChatCompletionRequest.Route,
            """{"model":"echo","messages":[{"role":"user","content":"hello you"}],"logprobs":true,"top_logprobs":1}""");

        var answer = JsonNode.Parse(await response.Content.ReadAsStringAsync())!;
        Assert.Equal("chat.completion", (string)answer["object"]!);
        var choice = answer["choices"]![0]!;
        Assert.Equal("""{"role":"assistant","content":"hello you"}""", choice["message"]!.ToJsonString());
        Assert.Equal("""{"token":" you","logprob":-1,"bytes":[32,121,111,117],"top_logprobs":[{"token":" you","logprob":-1,"bytes":[32,121,111,117]},{"token":" no","logprob":-3,"bytes":[32,110,111]}]}""",
            choice["logprobs"]!["content"]![1]!.ToJsonString());
    }

    [Fact]
    public async Task A_part_that_is_not_there_answers_503_in_words()
    {
        using var response = await Send(HttpMethod.Post, ScoreRequest.Route, """{"model":"m","items":[{"prompt":[],"response":"x"}]}""");

        Assert.Equal(HttpStatusCode.ServiceUnavailable, response.StatusCode);
        Assert.Equal("This engine was started without the part that scores responses.", await Message(response));
    }

    [Fact]
    public async Task More_than_can_wait_are_told_to_come_back()
    {
        var slow = Enumerable.Range(0, EngineHttp.AtOnce + EngineHttp.WaitingMax + 8)
            .Select(_ => Send(HttpMethod.Post, CompletionRequest.Route, """{"model":"slow","prompt":"a"}""")).ToList();
        var statuses = (await Task.WhenAll(slow)).Select(r => r.StatusCode).ToList();

        Assert.Contains(HttpStatusCode.TooManyRequests, statuses);
        Assert.Equal(EngineHttp.AtOnce + EngineHttp.WaitingMax, statuses.Count(s => s == HttpStatusCode.OK));
    }

    [Fact]
    public async Task What_is_not_there_is_404_in_the_doors_words()
    {
        using var response = await Send(HttpMethod.Get, "/v1/dragons");

        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        Assert.Equal("There is no GET /v1/dragons here.", await Message(response));
    }

    [Fact]
    public async Task The_portals_client_asks_and_understands_refusals()
    {
        using var client = new EngineClient(engine.Database.Directory);
        await File.WriteAllTextAsync(Path.Combine(engine.Database.Directory.Uploads, "u1"),
            """{"prompt":"Name a bird.","chosen":"Heron.","rejected":"Oak.","annotator":"sparrow"}""" + "\n" + """{"prompt":"Name a tree.","chosen":"","rejected":"Oak."}""");

        var models = await client.Models(default);
        var chat = await client.Chat(new ChatCompletionRequest { Model = "echo", Messages = [new Turn("user", "hi")] }, default);
        var unknown = await client.Chat(new ChatCompletionRequest { Model = "dragon", Messages = [new Turn("user", "hi")] }, default);
        var score = await client.Score(new ScoreRequest("m", [new ScoreItem([], "x")]), default);
        var preview = await client.PreviewImport(new ImportPreviewRequest("u1", "birds.jsonl", null, null), default);
        var outside = await client.PreviewImport(new ImportPreviewRequest("../portal.db", "birds.jsonl", null, null), default);

        Assert.Empty(models.Value.Data);
        Assert.Equal("hi", chat.Value.Choices[0].Message.Content);
        Assert.Equal((Portal.Data.ProblemKind.NotFound, "There is no model dragon."), (unknown.Refusal!.Kind, unknown.Refusal.About("model")));
        Assert.Equal("This engine was started without the part that scores responses.", score.Refusal!.ToString());
        Assert.Equal("This engine was started without the part that takes rewards apart.", (await client.Xray(new FeatureXrayRequest("m", [new ScoreItem([], "x")]), default)).Refusal!.ToString());
        Assert.Equal(("trl-preference", 2, 1), (preview.Value.Format, preview.Value.RowsSeen, preview.Value.Refused));
        Assert.Equal(("preference", "first_better", "sparrow"), (preview.Value.Rows[0].Kind, preview.Value.Rows[0].Verdict, preview.Value.Rows[0].Annotator));
        Assert.Equal((2, "chosen"), (preview.Value.Problems[0].Row, preview.Value.Problems[0].Field));
        Assert.Equal(Portal.Data.ProblemKind.NotFound, outside.Refusal!.Kind);
    }

    [Fact]
    public async Task Without_an_engine_the_client_says_so()
    {
        using var nowhere = new EngineProcess(start: false);
        using var client = new EngineClient(nowhere.Database.Directory);

        var models = await client.Models(default);

        Assert.StartsWith("The engine is not running.", models.Refusal!.ToString());
    }

    private async Task<HttpResponseMessage> Send(HttpMethod method, string route, string? body = null, string? authorization = null, string? host = null)
    {
        using var http = new HttpClient(new SocketsHttpHandler
        {
            Expect100ContinueTimeout = TimeSpan.FromSeconds(60),
            ConnectCallback = async (_, stop) =>
            {
                var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                await socket.ConnectAsync(new UnixDomainSocketEndPoint(engine.Database.Directory.EngineSocket), stop);
                return new NetworkStream(socket, ownsSocket: true);
            },
        });
        using var request = new HttpRequestMessage(method, $"http://engine{route}");
        authorization ??= $"Bearer {engine.Database.Directory.ReadEngineToken()}";
        if (authorization.Length > 0)
            request.Headers.Authorization = AuthenticationHeaderValue.Parse(authorization);
        request.Headers.Host = host;
        request.Headers.ExpectContinue = body?.Length > 1_000_000; // the door answers before the body is sent, and then hangs up
        if (body is not null)
            request.Content = new StringContent(body, Encoding.UTF8, "application/json");
        var response = await http.SendAsync(request);
        await response.Content.LoadIntoBufferAsync();
        return response;
    }

    private static async Task<string> Message(HttpResponseMessage response) =>
        (string)JsonNode.Parse(await response.Content.ReadAsStringAsync())!["error"]!["message"]!;
}
