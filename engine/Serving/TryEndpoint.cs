using Microsoft.AspNetCore.Http;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Endpoints;
using Portal.Data.Feedback;
using Portal.Data.Serving;
using Portal.Engine.Endpoints;

namespace Portal.Engine.Serving;

/// <summary>POST /v1/endpoints/trial: asks an endpoint once to say hello, through the same guarded client that audits use. An endpoint that fails is an answer, not an error of this door.</summary>
internal static class TryEndpoint
{
    public static async Task Handle(HttpContext http)
    {
        var request = await EngineHttp.Read<EndpointTrialRequest>(http, http.RequestAborted);
        if (!PolicyEndpointId.TryParse(request.Endpoint, null, out var id))
            throw new DoorRefusal(StatusCodes.Status400BadRequest, "Name an endpoint by its id.", "endpoint");
        await EngineHttp.Answer(http, await EngineHttp.Part<EndpointTrials>(http, "asks endpoints").Take(id, http.RequestAborted));
    }
}

/// <summary>Tries endpoints.</summary>
public sealed class EndpointTrials(IDbContextFactory<PortalDbContext> contexts, EndpointPolicies policies, TimeProvider time)
{
    /// <summary>No second try and little patience: a person waits, and wants to see what happens.</summary>
    private static readonly EndpointLimits Limits = new() { Retries = 0, TimeoutSeconds = 45, ConsecutiveFailuresMax = int.MaxValue };

    private const int TokensMax = 24;

    /// <summary>The given answer whose log-probability is asked for.</summary>
    private const string GivenAnswer = "\nHello.";

    /// <summary>Asks once, and where log-probabilities are wanted of a completions endpoint once more for those of a given answer.</summary>
    /// <exception cref="DoorRefusal">There is no such endpoint.</exception>
    public async Task<EndpointTrialResponse> Take(PolicyEndpointId id, CancellationToken stop)
    {
        await using var db = await contexts.CreateDbContextAsync(stop);
        var endpoint = await db.PolicyEndpoints.AsNoTracking().FirstOrDefaultAsync(e => e.Id == id, stop)
            ?? throw new DoorRefusal(StatusCodes.Status404NotFound, "This endpoint is gone.", "endpoint");
        var begin = time.GetTimestamp();
        try
        {
            using var policy = await policies.Open(id, Limits, stop);
            return await Ask(policy, endpoint, begin, stop);
        }
        catch (CannotTrain e)
        {
            return new EndpointTrialResponse(null, null, Since(begin), null, null, e.Message, null);
        }
    }

    private async Task<EndpointTrialResponse> Ask(EndpointPolicy policy, PolicyEndpoint endpoint, long begin, CancellationToken stop)
    {
        IReadOnlyList<Turn> prompt = [new Turn("user", EndpointTrialRequest.Prompt)];
        var sampling = new EndpointSampling { Completions = 1, TokensMax = TokensMax, LogProbs = endpoint.AsksLogProbs };
        var result = (await policy.Complete([prompt], sampling, TextOrigin.Program, null, stop)).Results[0];
        var milliseconds = Since(begin);
        if (result.Completions is not [var completion, ..])
            return new EndpointTrialResponse(null, null, milliseconds, null, null, result.Problem, null);
        bool? gives = endpoint.AsksLogProbs ? completion.LogProb is not null : null;
        EndpointScore? score = null;
        if (endpoint is { AsksLogProbs: true, Api: EndpointApi.Completions })
            score = (await policy.Score([(prompt, GivenAnswer)], TextOrigin.Program, null, stop)).Results[0];
        return new EndpointTrialResponse(completion.Text, FinishOf(completion.Finish), milliseconds, gives, score is null ? null : score.LogProb is not null, null, score?.Problem);
    }

    private static string FinishOf(EndpointFinish finish) => finish switch
    {
        EndpointFinish.Stop => "stop",
        EndpointFinish.Length => "length",
        EndpointFinish.ContentFilter => "content_filter",
        EndpointFinish.Other => "other",
    };

    private int Since(long begin) => (int)time.GetElapsedTime(begin).TotalMilliseconds;
}
