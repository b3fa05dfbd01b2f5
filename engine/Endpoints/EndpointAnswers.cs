using Portal.Data.Endpoints;

namespace Portal.Engine.Endpoints;

/// <summary>Where the texts come from that are about to leave this machine.</summary>
public enum TextOrigin
{
    /// <summary>People wrote or chose them: needs somebody's consent on the endpoint.</summary>
    People = 1,

    /// <summary>A program made them: the trial's words, a synthetic world.</summary>
    Program = 2,
}

/// <summary>What to ask for with each prompt.</summary>
public sealed record EndpointSampling
{
    /// <summary>Completions a prompt, 1 to 256.</summary>
    public required int Completions { get; init; }

    /// <summary>New tokens at most, 1 or more.</summary>
    public int TokensMax { get; init; } = 160;

    /// <summary>0 to 2.</summary>
    public double Temperature { get; init; } = 1;

    /// <summary>Above 0, at most 1.</summary>
    public double TopP { get; init; } = 1;

    /// <summary>Sent as it is; a prompt that takes several requests adds what it has already, so that they differ. Null: none is sent. An endpoint need not heed it.</summary>
    public long? Seed { get; init; }

    /// <summary>Texts that end a completion and are not part of it.</summary>
    public IReadOnlyList<string> StopAt { get; init; } = [];

    /// <summary>Ask for the log-probability of each token.</summary>
    public bool LogProbs { get; init; }
}

/// <summary>Why a completion ended, as far as the endpoint says.</summary>
public enum EndpointFinish
{
    /// <summary>The model ended it, or a stop text did.</summary>
    Stop = 1,

    /// <summary>It reached the longest length.</summary>
    Length = 2,

    /// <summary>The endpoint's own filter held it back, or the model declined.</summary>
    ContentFilter = 3,

    /// <summary>Another reason, or none given.</summary>
    Other = 4,
}

/// <summary>What a completion is worth to who counts.</summary>
public enum EndpointResult
{
    /// <summary>A text.</summary>
    Answered = 1,

    /// <summary>Nothing, or white space only.</summary>
    Empty = 2,

    /// <summary>Held back by a filter, or declined in the API's own field for it.</summary>
    Refused = 3,
}

/// <summary>One token of a completion.</summary>
/// <param name="Text">As the endpoint writes it; a part of a character may look broken.</param>
/// <param name="LogProb">Natural logarithm; null for a first token that nothing stands before.</param>
public sealed record EndpointToken(string Text, double? LogProb);

/// <summary>One completion, as it came. The text is hostile and stays text: nothing is removed from it.</summary>
/// <param name="Tokens">With log-probabilities; null where the endpoint gave none, or none that fit.</param>
public sealed record EndpointCompletion(string Text, EndpointResult Result, EndpointFinish Finish, IReadOnlyList<EndpointToken>? Tokens)
{
    /// <summary>Log-probability of the completion, nats: the sum over its tokens; null where one is missing. Whether the mark that ends an answer is among them differs between servers.</summary>
    public double? LogProb => Tokens is { Count: > 0 } && Tokens.All(token => token.LogProb is not null) ? Tokens.Sum(token => token.LogProb) : null;
}

/// <summary>What came for one prompt.</summary>
/// <param name="Completions">All that came, refused and empty ones included; fewer than asked for where some failed.</param>
/// <param name="Failed">Completions that did not come.</param>
/// <param name="Problem">Why; null where none failed. Never holds the key.</param>
public sealed record EndpointCompletions(IReadOnlyList<EndpointCompletion> Completions, int Failed, string? Problem);

/// <summary>How likely an endpoint finds a given answer.</summary>
/// <param name="LogProb">Natural logarithm of the answer's tokens after the prompt, without a mark that ends it; null where it is not known.</param>
/// <param name="Tokens">The answer's tokens; 0 where it is not known.</param>
/// <param name="Problem">Why it is not known; null where it is.</param>
public sealed record EndpointScore(double? LogProb, int Tokens, string? Problem);

/// <summary>What became of everything that was asked for; nothing is left out, so wanted = answered + empty + refused + failed.</summary>
/// <param name="Wanted">Completions or scores asked for.</param>
/// <param name="Answered">Texts (scores) that came.</param>
/// <param name="Failed">Did not come: an error, a time limit, an answer that could not be read.</param>
/// <param name="Cut">Of those answered, ended by the longest length.</param>
/// <param name="WithoutLogProbs">Of those answered, without the log-probabilities that were asked for.</param>
/// <param name="Requests">HTTP requests sent, retries included.</param>
/// <param name="Retries">Of those, second and later tries.</param>
public sealed record EndpointCounts(int Wanted, int Answered, int Empty, int Refused, int Failed, int Cut, int WithoutLogProbs, int Requests, int Retries)
{
    /// <inheritdoc/>
    public override string ToString() =>
        $"{Answered} of {Wanted} answered, {Empty} empty, {Refused} refused, {Failed} failed; {Requests} requests, {Retries} of them retries";
}

/// <summary>Results in the order of what was asked, and what became of all of it.</summary>
public sealed record EndpointBatch<T>(IReadOnlyList<T> Results, EndpointCounts Counts);

/// <summary>How patient a client is. What an admin sets stands in <see cref="PolicyEndpoint"/>; these are the bounds around it.</summary>
public sealed record EndpointLimits
{
    /// <summary>Tries after the first; null: as the endpoint says.</summary>
    public int? Retries { get; init; }

    /// <summary>Seconds for one request at most; null: as the endpoint says.</summary>
    public double? TimeoutSeconds { get; init; }

    /// <summary>The first wait before trying again; each further one is about twice as long, with jitter, at most 30 s.</summary>
    public double BackoffSeconds { get; init; } = 0.5;

    /// <summary>A Retry-After beyond this is not waited for: the request fails and says so.</summary>
    public double RetryAfterSecondsMax { get; init; } = 60;

    /// <summary>A body beyond this is not read on: 8 MiB hold 256 completions of 4,096 tokens.</summary>
    public int ResponseBytesMax { get; init; } = 8 * 1024 * 1024;

    /// <summary>So many requests that failed one after the other, each with all its retries, stop everything.</summary>
    public int ConsecutiveFailuresMax { get; init; } = 8;
}
