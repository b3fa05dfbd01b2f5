using System.Collections.Concurrent;
using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Portal.Data;
using Portal.Data.Endpoints;
using Portal.Data.Feedback;
using Portal.Data.Serving;
using Portal.Engine.Endpoints;
using Portal.Tests.Data;
using Portal.Tests.Engine.Serving;
using Xunit;

namespace Portal.Tests.Engine.Endpoints;

/// <summary>The engine's door that tries an endpoint, with everything behind it: stored row, sealed key, guard, server. And nothing of it writes the key anywhere.</summary>
public sealed class EndpointTrialTests : IAsyncLifetime
{
    private readonly PortalDatabase database = new();
    private readonly SeenLogs logs = new();
    private EndpointServer server = default!; // set before each test
    private InProcessDoor door = default!; // likewise

    public async Task InitializeAsync()
    {
        server = await EndpointServer.Start();
        door = await InProcessDoor.Open(database.Directory, builder =>
        {
            builder.Logging.AddProvider(logs).AddFilter<SeenLogs>(null, LogLevel.Trace); // whatever settings lie beside the tests
            builder.Services.AddSingleton(new AddressGuard([$"127.0.0.1:{server.Port}"]));
        });
    }

    public async Task DisposeAsync()
    {
        await door.DisposeAsync();
        await server.DisposeAsync();
        database.Dispose();
        logs.Dispose();
    }

    [Fact]
    public async Task It_says_what_came_back_and_what_the_endpoint_can()
    {
        server.Answer = (http, request, _) => EndpointServer.Raw(http, (bool?)request.Body["echo"] == true
            ? """{"choices":[{"text":"Say hello.\nHello.","logprobs":{"tokens":["Say hello.","\n","Hello."],"token_logprobs":[null,-1,-2],"text_offset":[0,10,11]}}]}"""
            : """{"choices":[{"text":" <b>Hello</b>","finish_reason":"length","logprobs":{"tokens":[" <b>","Hello","</b>"],"token_logprobs":[-1,-1,-1]}}]}""");
        var id = Store(s => s with { Api = EndpointApi.Completions, AsksLogProbs = true });

        var trial = (await door.Client.TryEndpoint(new EndpointTrialRequest($"{id}"), default)).Value;

        Assert.Equal(trial with { Text = " <b>Hello</b>", FinishReason = "length", GivesLogProbs = true, ScoresGivenTexts = true, Problem = null, ScoringProblem = null }, trial);
        Assert.Equal(2, server.Asked.Count);
        Assert.All(server.Asked, request => Assert.StartsWith(EndpointTrialRequest.Prompt, (string?)request.Body["prompt"], StringComparison.Ordinal)); // no words of people: nobody agreed here
        Assert.All(server.Asked, request => Assert.Equal($"Bearer {EndpointServer.Key}", request.Authorization));
    }

    [Fact]
    public async Task Without_log_probabilities_it_says_so_and_chat_is_not_asked_to_score()
    {
        var completions = Store(s => s with { Api = EndpointApi.Completions, AsksLogProbs = true });
        var chat = Store(s => s with { AsksLogProbs = true });
        var unasked = Store(s => s);

        var first = (await door.Client.TryEndpoint(new EndpointTrialRequest($"{completions}"), default)).Value;
        Assert.Equal((false, false), (first.GivesLogProbs, first.ScoresGivenTexts));
        Assert.Contains("did not write the given text back", first.ScoringProblem, StringComparison.Ordinal);
        var second = (await door.Client.TryEndpoint(new EndpointTrialRequest($"{chat}"), default)).Value;
        Assert.Equal((false, null, null), (second.GivesLogProbs, second.ScoresGivenTexts, second.ScoringProblem));
        var third = (await door.Client.TryEndpoint(new EndpointTrialRequest($"{unasked}"), default)).Value;
        Assert.Equal((null, null, "Answer 0."), (third.GivesLogProbs, third.ScoresGivenTexts, third.Text));
        Assert.Equal(4, server.Asked.Count);
    }

    [Fact]
    public async Task An_endpoint_that_fails_is_an_answer_with_its_reason()
    {
        server.Answer = (http, _, _) => EndpointServer.Json(http, new { error = new { message = "Wrong key." } }, 401);

        var failed = (await door.Client.TryEndpoint(new EndpointTrialRequest($"{Store(s => s with { Retries = 8 })}"), default)).Value;
        Assert.Equal((null, "It refused the key (401). It says: Wrong key."), (failed.Text, failed.Problem));
        Assert.Single(server.Asked);

        var inside = (await door.Client.TryEndpoint(new EndpointTrialRequest($"{Store(s => s with { BaseUrl = "https://169.254.169.254/latest" })}"), default)).Value;
        Assert.Contains("not on the public internet", inside.Problem, StringComparison.Ordinal);

        var id = Store(s => s);
        File.Delete(Path.Combine(database.Directory.Keys, EndpointSecrets.FileName));
        Assert.Contains("is missing", (await door.Client.TryEndpoint(new EndpointTrialRequest($"{id}"), default)).Value.Problem, StringComparison.Ordinal);
        Assert.Single(server.Asked);
    }

    [Fact]
    public async Task A_name_for_no_endpoint_is_refused()
    {
        Assert.Equal(ProblemKind.NotFound, (await door.Client.TryEndpoint(new EndpointTrialRequest($"{Guid.NewGuid()}"), default)).Refusal?.Kind);
        Assert.NotNull((await door.Client.TryEndpoint(new EndpointTrialRequest("small"), default)).Refusal?.About("endpoint"));
    }

    /// <summary>Everything that is logged, at the finest level, while an endpoint answers, refuses, repeats its key and breaks off.</summary>
    [Fact]
    public async Task Nothing_logs_the_key()
    {
        server.Answer = (http, request, number) =>
        {
            if (number == 2)
                http.Abort();
            return number switch
            {
                0 => EndpointServer.Json(http, EndpointServer.Choices(request)),
                1 => EndpointServer.Json(http, new { error = $"Bad {request.Authorization}" }, 401),
                _ => Task.CompletedTask,
            };
        };
        var id = Store(s => s);
        var answers = new List<EndpointTrialResponse>();
        for (var i = 0; i < 3; i++)
            answers.Add((await door.Client.TryEndpoint(new EndpointTrialRequest($"{id}"), default)).Value);

        Assert.Equal([true, false, false], answers.Select(answer => answer.Problem is null));
        var whole = string.Join('\n', logs.Lines) + JsonSerializer.Serialize(answers, ServingJson.Options);
        Assert.DoesNotContain(EndpointServer.Key, whole, StringComparison.Ordinal);
        door.Part<ILoggerFactory>().CreateLogger("control").LogTrace("The key is {Key}", EndpointServer.Key); // the control: the scanner would see it
        Assert.Contains(EndpointServer.Key, string.Join('\n', logs.Lines), StringComparison.Ordinal);
        Assert.Contains(logs.Lines, line => line.Contains(EndpointTrialRequest.Route, StringComparison.Ordinal)); // and the door does log
    }

    private PolicyEndpointId Store(Func<EndpointSettings, EndpointSettings> change)
    {
        using var db = database.Open();
        var project = new Project { Id = new(Guid.NewGuid()), Name = $"{Guid.NewGuid()}", CreatedAt = DateTimeOffset.UtcNow };
        var endpoint = new PolicyEndpoint { Id = new(Guid.NewGuid()), ProjectId = project.Id, CreatedBy = Guid.NewGuid(), CreatedAt = DateTimeOffset.UtcNow };
        endpoint.Change(change(new EndpointSettings { Name = "Trial", BaseUrl = $"http://127.0.0.1:{server.Port}/v1", Model = "small" }));
        endpoint.SetKey(new EndpointSecrets(database.Directory).Seal(endpoint, EndpointServer.Key).Value);
        db.AddRange(project, endpoint);
        db.SaveChanges();
        return endpoint.Id;
    }

    /// <summary>Keeps every line that anything in the process' host logs.</summary>
    private sealed class SeenLogs : ILoggerProvider, ILogger
    {
        public ConcurrentQueue<string> Lines { get; } = new();

        public ILogger CreateLogger(string categoryName) => this;

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) => Lines.Enqueue($"{formatter(state, exception)} {exception}");

        public void Dispose() { }
    }
}
