namespace Portal.Data.Serving;

/// <summary>POST /v1/endpoints/trial: asks an endpoint to say hello, once, with words that no person of the portal wrote.</summary>
/// <param name="Endpoint">The endpoint's id.</param>
public sealed record EndpointTrialRequest(string? Endpoint)
{
    public const string Route = "/v1/endpoints/trial";

    /// <summary>What the endpoint is asked.</summary>
    public const string Prompt = "Say hello.";
}

/// <summary>What became of it.</summary>
/// <param name="Text">What came back, as it came; null where nothing did.</param>
/// <param name="FinishReason">"stop", "length", "content_filter" or "other"; null where nothing came back.</param>
/// <param name="Milliseconds">From asking to the whole answer.</param>
/// <param name="GivesLogProbs">The answer had log-probabilities of its tokens; null where they were not asked for or nothing came back.</param>
/// <param name="ScoresGivenTexts">The log-probability of a given answer came back; null likewise, and where the kind of API has none.</param>
/// <param name="Problem">Why there is no answer; null where there is one. It never holds the key.</param>
/// <param name="ScoringProblem">Why a given answer could not be scored; null where it could, or was not tried.</param>
public sealed record EndpointTrialResponse(string? Text, string? FinishReason, int Milliseconds, bool? GivesLogProbs, bool? ScoresGivenTexts, string? Problem, string? ScoringProblem);
