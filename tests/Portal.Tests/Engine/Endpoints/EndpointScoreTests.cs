using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Portal.Data;
using Portal.Data.Endpoints;
using Portal.Data.Feedback;
using Portal.Data.Registry;
using Portal.Engine.Endpoints;
using Portal.Engine.Generation;
using Portal.Engine.Jobs;
using Portal.Engine.Models;
using Portal.Tests.Data;
using Portal.Tests.Engine.Recipes;
using Portal.Tests.Engine.Serving;
using Xunit;

namespace Portal.Tests.Engine.Endpoints;

/// <summary>Log-probabilities of given answers. The number comes from elsewhere: a pass over the model itself (<see cref="AnswerLogProbs"/>), or sums by hand.</summary>
public sealed class EndpointScoreTests
{
    private static readonly (string Prompt, string Answer)[] Pairs =
    [
        (ToyWorld.Prompts[0], " Yes please take the apple."), (ToyWorld.Prompts[0], " No, never take the apple."), (ToyWorld.Prompts[9], " \u00e4\u00f6 \ud83d\ude00!"), ("\ud83d\ude00 May I?", " Oh please."), ("A", " the"),
    ];

    [Fact]
    public async Task Through_the_engines_own_door_they_are_those_of_the_model()
    {
        using var database = new PortalDatabase();
        var id = AddPolicy(database);
        await using var door = await InProcessDoor.Open(database.Directory);
        var endpoint = new PolicyEndpoint { Id = new(Guid.NewGuid()), ProjectId = new(Guid.NewGuid()), CreatedBy = Guid.NewGuid(), CreatedAt = DateTimeOffset.UtcNow };
        endpoint.Change(new EndpointSettings { Name = "Own door", BaseUrl = "http://localhost/v1", Model = $"{id}", Api = EndpointApi.Completions, AsksLogProbs = true, Retries = 0 });
        var network = new EndpointNetwork { Resolve = (_, _) => Task.FromResult(new[] { IPAddress.Loopback }), Connect = (_, stop) => Through(database.Directory.EngineSocket, stop) };
        using var policy = new EndpointPolicy(endpoint, new EndpointKey(database.Directory.ReadEngineToken()), new AddressGuard(["localhost:80"]), network, new EndpointLimits(), TimeProvider.System);
        using var model = ToyWorld.Base();
        var tokenizer = ToyWorld.Tokenizer;
        Assert.All(Pairs, pair => Assert.Equal(tokenizer.Encode(pair.Prompt + pair.Answer), tokenizer.Encode(pair.Prompt).Concat(tokenizer.Encode(pair.Answer)))); // else the two would score other tokens
        IReadOnlyList<int> begin = tokenizer.BosId is { } bos ? [bos] : [];
        var expected = AnswerLogProbs.Of(model, [.. Pairs.Select(pair => (IReadOnlyList<int>)[.. begin, .. tokenizer.Encode(pair.Prompt)])],
            [.. Pairs.Select(pair => new Continuation([.. tokenizer.Encode(pair.Answer)], [], false))], tokenizer.PadId, default);

        var batch = await policy.Score([.. Pairs.Select(pair => ((IReadOnlyList<Turn>)[new Turn("user", pair.Prompt)], pair.Answer))], TextOrigin.Program, null, default);

        Assert.All(batch.Results, result => Assert.Null(result.Problem));
        Assert.All(batch.Results.Zip(expected), pair => Assert.Equal(pair.Second, pair.First.LogProb!.Value, 1e-4)); // no problem, so a number
        Assert.Equal(Pairs.Select(pair => tokenizer.Encode(pair.Answer).Length), batch.Results.Select(result => result.Tokens));
        Assert.Equal((Pairs.Length, Pairs.Length), (batch.Counts.Wanted, batch.Counts.Answered));
        Assert.NotEqual(expected[0], expected[1], 1e-2); // a score that tells nothing apart would pass else

        // What it writes has the log-probabilities of what it writes.
        var written = (await policy.Complete([[new Turn("user", Pairs[0].Prompt)]], new EndpointSampling { Completions = 3, TokensMax = 8, Seed = 5, LogProbs = true }, TextOrigin.Program, null, default)).Results[0];
        Assert.Equal(3, written.Completions.Count);
        Assert.All(written.Completions.Where(c => c.Result is EndpointResult.Answered), completion => Assert.True(completion.LogProb < 0));
    }

    /// <summary>A server in Python counts code points, the engine's door UTF-16 units; both are read rightly, and a prompt's smile moves nothing.</summary>
    [Theory]
    [InlineData("[0,2,6,10]")]
    [InlineData("[0,1,5,9]")]
    public async Task Offsets_are_read_in_the_servers_unit(string offsets) =>
        Assert.Equal(new EndpointScore(-0.75, 2, null), await Score("\ud83d\ude00 May", " you go", $$$"""{"choices":[{"text":"\ud83d\ude00 May you go","logprobs":{"tokens":["\ud83d\ude00"," May"," you"," go"],"token_logprobs":[null,-4,-0.5,-0.25],"text_offset":{{{offsets}}}}}]}"""));

    [Theory]
    [InlineData("""{"choices":[{"text":"Hi you go","logprobs":{"tokens":["Hi"," you"," go"],"token_logprobs":[null,-0.5,-0.25],"text_offset":[0,2,6]}}]}""", -0.75, null)]
    [InlineData("""{"choices":[{"text":"Hi you go on","logprobs":{"tokens":["Hi"," you"," go"," on"],"token_logprobs":[null,-0.5,-0.25,-9],"text_offset":[0,2,6,9]}}]}""", -0.75, null)]
    [InlineData("""{"choices":[{"text":" and so on","logprobs":{"tokens":[" and"],"token_logprobs":[-1],"text_offset":[0]}}]}""", null, "did not write the given text back")]
    [InlineData("""{"choices":[{"text":"Hi you go"}]}""", null, "gave no log-probabilities")]
    [InlineData("""{"choices":[{"text":"Hi you go","logprobs":{"tokens":["Hi"," you"," go"],"token_logprobs":[null,-0.5,-0.25]}}]}""", null, "not where each token begins")]
    [InlineData("""{"choices":[{"text":"Hi you go","logprobs":{"tokens":["Hi y","ou"," go"],"token_logprobs":[null,-0.5,-0.25],"text_offset":[0,4,6]}}]}""", null, "spans the prompt's end")]
    [InlineData("""{"choices":[{"text":"Hi you going now","logprobs":{"tokens":["Hi"," you"," going"," now"],"token_logprobs":[null,-0.5,-0.25,-1],"text_offset":[0,2,6,12]}}]}""", null, "or the answer's")]
    [InlineData("""{"choices":[{"text":"Hi you go","logprobs":{"tokens":["Hi you go"],"token_logprobs":[null],"text_offset":[0]}}]}""", null, "no token of the answer")]
    public async Task The_answers_own_tokens_are_summed_or_nothing_is(string answer, double? expected, string? problem)
    {
        var score = await Score("Hi", " you go", answer);

        Assert.Equal(expected, score.LogProb);
        Assert.Equal(problem is null, score.Problem is null);
        if (problem is not null)
            Assert.Contains(problem, score.Problem, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Chat_completions_say_that_they_cannot_and_nothing_is_sent()
    {
        await using var server = await EndpointServer.Start();
        using var policy = server.Policy();

        var batch = await policy.Score([([new Turn("user", "Hi")], " you")], TextOrigin.Program, null, default);

        Assert.Equal((1, 0), (batch.Counts.Failed, server.Asked.Count));
        Assert.Contains("Chat completions cannot", batch.Results[0].Problem, StringComparison.Ordinal);
    }

    private static async Task<EndpointScore> Score(string prompt, string answer, string response)
    {
        await using var server = await EndpointServer.Start();
        server.Answer = (http, _, _) => EndpointServer.Raw(http, response);
        using var policy = server.Policy(server.Endpoint(s => s with { Api = EndpointApi.Completions }));
        var score = (await policy.Score([([new Turn("user", prompt)], answer)], TextOrigin.Program, null, default)).Results[0];
        var body = server.Asked.Single().Body;
        Assert.Equal((prompt + answer, 0, true), ((string?)body["prompt"], (int?)body["max_tokens"], (bool?)body["echo"]));
        return score;
    }

    private static async Task<Stream> Through(string path, CancellationToken stop)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), stop);
        return new NetworkStream(socket, ownsSocket: true);
    }

    private static ModelVersionId AddPolicy(PortalDatabase database)
    {
        var ids = database.Services.GetRequiredService<IdFactory>();
        var store = new ModelStore(database.Contexts, database.Writes, database.Directory, ids, TimeProvider.System);
        var (id, project) = (ids.New<ModelVersionId>(), ids.New<ProjectId>());
        var folder = id.Value.ToString("N");
        using (var model = ToyWorld.Base())
            HuggingFaceFolder.Save(model, Path.Combine(database.Directory.Models, folder), ToyWorld.Tokenizer);
        using var db = database.Open();
        db.Projects.Add(new Project { Id = project, Name = "Door", CreatedAt = DateTimeOffset.UtcNow });
        db.ModelVersions.Add(new ModelVersion
        {
            Id = id, ProjectId = project, Kind = ModelKind.Policy, Number = 1, Method = ModelStore.BaseMethod, ParentId = null, DatasetVersionId = null, JobId = null, SpecJson = "{}",
            Seed = 1, Commit = "unknown", Folder = folder, FilesJson = store.FilesJson(folder), IsSynthetic = true, CreatedAt = DateTimeOffset.UtcNow,
        });
        db.SaveChanges();
        return id;
    }
}
