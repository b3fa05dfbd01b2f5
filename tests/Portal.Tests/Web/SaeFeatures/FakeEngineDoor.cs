using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Portal.Data.Feedback;
using Portal.Data.Serving;
using Portal.Data.Storage;

namespace Portal.Tests.Web.SaeFeatures;

/// <summary>
/// Stands in for the engine's door on the socket of a data directory, for as long as it lives: answers X-rays, scores and tests of labels by a rule that a
/// reader can follow. A SARM model of words: feature i is active once for each time its word stands in the response.
/// </summary>
internal sealed class FakeEngineDoor : IAsyncDisposable
{
    /// <summary>Word and weight of each feature. Weights have few binary digits, so that sums are exact.</summary>
    public static readonly (string Word, double Weight)[] Features = [("mill", 0.75), ("friend", 0.5), ("clod", -1.25), ("go", 0.125), ("north", -0.25), ("river", 0.25), ("goose", 0)];

    private readonly WebApplication app;

    private FakeEngineDoor(WebApplication app) => this.app = app;

    /// <summary>What was asked, in order: routes and bodies' models.</summary>
    public List<string> Asked { get; } = [];

    /// <summary>Answers label tests; by default a detection of .9 from 40 contexts.</summary>
    public Func<LabelScoreRequest, LabelScoreResponse> Score { get; set; } = _ => new LabelScoreResponse(new Estimated(.9, .82, .96), .8, 40, null);

    /// <summary>Answers previews of toggles; by default <see cref="FakePreview.Of"/>.</summary>
    public Func<TogglePreviewRequest, TogglePreviewResponse> Preview { get; set; } = FakePreview.Of;

    /// <summary>Answers how sure means are; by default 0.04 either way, of odd features in too few prompts to say.</summary>
    public Func<FeatureEffectsRequest, FeatureEffectsResponse> Effects { get; set; } = request => new FeatureEffectsResponse(request.Model!, 120, 400, [.. request.Latents!.Select(latent =>
    {
        var (gap, contribution) = (.2 * Math.Sin(latent), .1 * Math.Cos(latent)); // as the admin pages' rows are seeded
        return latent % 2 == 0 ? new FeatureEffect(latent, new(gap, gap - .04, gap + .04), 40, new(contribution, contribution - .04, contribution + .04), 60) : new FeatureEffect(latent, new(gap, null, null), 3, new(contribution, null, null), 5);
    })]);

    /// <summary>Answers explanations together by feature; by default from five of twelve judgements: the first feature in chosen answers, the third in rejected ones, of which there are too few.</summary>
    public Func<FeatureRollUpRequest, FeatureRollUpResponse> RollUp { get; set; } = request =>
        new FeatureRollUpResponse(request.Model!, 2, 5, 1, 12, 2, 34, [new(0, PairSide.Chosen, .8, .5, 5, 2, 1e-6), new(2, PairSide.Rejected, .3, .1, 1, 1, .02)]);

    /// <summary>Answers trials of endpoints; by default a hello without log-probabilities.</summary>
    public Func<EndpointTrialRequest, EndpointTrialResponse> Trial { get; set; } = _ => new EndpointTrialResponse("Hello.", "stop", 30, false, null, null, null);

    /// <summary>Answers in a conversation; by default with what was asked and the seed.</summary>
    public Func<ChatCompletionRequest, string> Chat { get; set; } = request => $"You asked: {request.Messages![^1].Content} ({request.Seed})"; // the portal sends both

    /// <summary>Answers estimates of an audit's power; by default from no texts, of a project with 80 held-out prompts of 400.</summary>
    public Func<AuditPowerRequest, AuditPowerResponse> Power { get; set; } = request =>
        new AuditPowerResponse(AuditPowerBasis.NoTexts, 0, request.Pairs, 0.05, 0.8, [new("length_tokens", "Length in tokens", 0.31)], [new(0.1, 0.03, 0.01, 0.08), new(0.2, 0.2, 0.13, 0.29), new(0.5, 0.99, 0.95, 1)], 100, 80, 400);

    /// <summary>Scores typed texts under an audit's rewards: two runs of the audit's own method, a word of the response is 1 and 2; one of a control, always 0.</summary>
    public Func<AuditScoreRequest, AuditScoreResponse> AuditScores { get; set; } = request => new AuditScoreResponse(request.Audit!, "hiddenStates", "failure-aware-reweight", [.. request.Responses!.Select(text => // always asked for both
    {
        var words = text.Split(' ').Length;
        return new AuditScoredText([new("failure-aware-reweight", 0, 0, words, words), new("random-head", 0, 0, 0, 0), new("failure-aware-reweight", 0, 1, 2 * words, 2 * words)]);
    })]);

    /// <summary>Answers previews of unlearning; by default every pair's margin halves and the nearest pairs lose one in a hundred.</summary>
    public Func<RemovalPreviewRequest, RemovalPreviewResponse> Removal { get; set; } = request =>
        new RemovalPreviewResponse(request.Model!, request.Judgements!.Count, 12, 0, new(1.5, 0.75), new(0.9, 0.89), new(0.91, 0.91), 9, [], 3);

    public static async Task<FakeEngineDoor> Open(DataDirectory directory)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.ListenUnixSocket(directory.EngineSocket));
        var app = builder.Build();
        var door = new FakeEngineDoor(app);
        var token = $"Bearer {directory.ReadEngineToken()}";
        app.MapPost(FeatureXrayRequest.Route, http => door.Answer<FeatureXrayRequest>(http, token, request => new FeatureXrayResponse(request.Model!, Features.Length, [.. request.Items!.Select(item => Take(item, request.HeatLatents))])));
        app.MapPost(ScoreRequest.Route, http => door.Answer<ScoreRequest>(http, token, request => new ScoreResponse(request.Model!, [.. request.Items!.Select(item => new ScoredItem(Take(item, null).Reward, 9, false))])));
        app.MapPost(LabelScoreRequest.Route, http => door.Answer<LabelScoreRequest>(http, token, request => door.Score(request)));
        app.MapPost(TogglePreviewRequest.Route, http => door.Answer<TogglePreviewRequest>(http, token, request => door.Preview(request)));
        app.MapPost(RemovalPreviewRequest.Route, http => door.Answer<RemovalPreviewRequest>(http, token, request => door.Removal(request)));
        app.MapPost(FeatureEffectsRequest.Route, http => door.Answer<FeatureEffectsRequest>(http, token, request => door.Effects(request)));
        app.MapPost(FeatureRollUpRequest.Route, http => door.Answer<FeatureRollUpRequest>(http, token, request => door.RollUp(request)));
        app.MapPost(AuditPowerRequest.Route, http => door.Answer<AuditPowerRequest>(http, token, request => door.Power(request)));
        app.MapPost(AuditScoreRequest.Route, http => door.Answer<AuditScoreRequest>(http, token, request => door.AuditScores(request)));
        app.MapPost(EndpointTrialRequest.Route, http => door.Answer<EndpointTrialRequest>(http, token, request => door.Trial(request)));
        app.MapPost(ChatCompletionRequest.Route, http => door.Answer<ChatCompletionRequest>(http, token, request =>
            new ChatCompletionResponse("chatcmpl-1", "chat.completion", 0, request.Model!, [new ChatChoice(0, new Turn("assistant", door.Chat(request)), null, "stop")], new Usage(9, 9, 18)))); // always named
        await app.StartAsync();
        return door;
    }

    public async ValueTask DisposeAsync()
    {
        await app.StopAsync();
        await app.DisposeAsync();
    }

    /// <summary>The rule, for tests that compare.</summary>
    public static FeatureXray Take(ScoreItem item, IReadOnlyList<int>? heat)
    {
        // Tokens keep their white space, so that together they are the response.
        var tokens = System.Text.RegularExpressions.Regex.Matches(item.Response, @"\s*\S+|\s+$").Select(match => match.Value).ToList();
        double[] At(string word) => [.. tokens.Select(token => token.Contains(word, StringComparison.OrdinalIgnoreCase) ? 1.0 + token.Trim().Length / 8.0 : 0)];
        var active = Features.Select((feature, latent) => (Latent: latent, feature.Weight, Z: At(feature.Word).Sum())).Where(f => f.Z > 0)
            .Select(f => new ActiveFeature(f.Latent, f.Z, f.Weight, f.Weight * f.Z)).OrderByDescending(f => Math.Abs(f.Contribution)).ThenBy(f => f.Latent).ToList();
        var shown = heat ?? [.. active.Take(FeatureXrayRequest.HeatMax).Select(f => f.Latent)];
        return new FeatureXray(active.Sum(f => f.Contribution), active, tokens, [.. shown.Select(latent => new TokenHeat(latent, At(Features[latent].Word)))], false);
    }

    private async Task Answer<T>(HttpContext http, string token, Func<T, object> answer) where T : class
    {
        if (http.Request.Headers.Authorization != token)
        {
            http.Response.StatusCode = StatusCodes.Status401Unauthorized;
            return;
        }
        var request = await http.Request.ReadFromJsonAsync<T>(ServingJson.Options);
        lock (Asked)
            Asked.Add(http.Request.Path);
        try
        {
            var result = answer(request!); // the portal sends no null
            await http.Response.WriteAsJsonAsync(result, result.GetType(), ServingJson.Options);
        }
        catch (BadHttpRequestException refused)
        {
            http.Response.StatusCode = refused.StatusCode;
            await http.Response.WriteAsJsonAsync(new ServingError(new ServingError.Detail(refused.Message, "invalid_request_error", "pattern")), ServingJson.Options);
        }
    }
}
