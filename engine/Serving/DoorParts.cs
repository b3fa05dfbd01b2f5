using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Data.Serving;

namespace Portal.Engine.Serving;

/// <summary>Writes texts with a policy; what stands behind the door's completions.</summary>
public interface ITextGenerator
{
    /// <summary>Writes the asked number of texts.</summary>
    /// <exception cref="DoorRefusal">No such model, or the prompt does not fit it; the message says which.</exception>
    Task<GenerationResult> Generate(GenerationRequest request, CancellationToken stop);
}

/// <summary>Scores responses with a reward model; what stands behind the door's /v1/score.</summary>
public interface IScorer
{
    /// <summary>One score per item, in order.</summary>
    /// <exception cref="DoorRefusal">No such model; the message says so.</exception>
    Task<ScoreResponse> Score(ScoreRequest request, CancellationToken stop);
}

/// <summary>What to write.</summary>
public sealed record GenerationRequest
{
    /// <summary>A model version's id, as listed.</summary>
    public required string Model { get; init; }

    /// <summary>A plain text to go on with; null exactly when <see cref="Messages"/> is given.</summary>
    public string? Text { get; init; }

    /// <summary>A conversation to answer, put into the model's chat template; null exactly when <see cref="Text"/> is given.</summary>
    public IReadOnlyList<Turn>? Messages { get; init; }

    /// <summary>How many texts, 1 to 16, each from its own split of the seed.</summary>
    public required int Count { get; init; }

    public required SamplingSpec Sampling { get; init; }

    /// <summary>Texts that end the writing and are not part of it.</summary>
    public required IReadOnlyList<string> StopAt { get; init; }

    /// <summary>So many likeliest tokens beside each one; null when no log-probabilities are wanted.</summary>
    public int? TopLogProbs { get; init; }

    /// <summary>Give the prompt's tokens too (plain texts only).</summary>
    public bool Echo { get; init; }
}

/// <summary>What was written.</summary>
/// <param name="Model">The version that wrote it.</param>
/// <param name="PromptTokens">Length of the prompt.</param>
public sealed record GenerationResult(string Model, int PromptTokens, IReadOnlyList<GeneratedText> Texts);

/// <summary>One text.</summary>
/// <param name="IsComplete">The model ended it (or a stop text did); false when it reached the longest length.</param>
/// <param name="Tokens">Its tokens with log-probabilities; empty when none were asked for.</param>
/// <param name="LengthTokens">New tokens written.</param>
public sealed record GeneratedText(string Text, bool IsComplete, IReadOnlyList<GeneratedToken> Tokens, int LengthTokens);

/// <summary>One token.</summary>
/// <param name="Bytes">Its bytes; a token may be a part of a character.</param>
/// <param name="LogProb">Natural logarithm under the model, before temperature; null for a first token that nothing stands before.</param>
/// <param name="TextOffset">Where it begins, in UTF-16 units of the text.</param>
/// <param name="Top">The likeliest tokens in its place, likeliest first.</param>
public sealed record GeneratedToken(string Text, byte[] Bytes, double? LogProb, int TextOffset, IReadOnlyList<(string Text, byte[] Bytes, double LogProb)> Top);

/// <summary>A request that came through the door cannot be served; the caller gets the status and the message.</summary>
/// <param name="status">The HTTP status, 4xx or 503.</param>
/// <param name="message">What is wrong and what to do.</param>
/// <param name="field">The request's field; null when it is about the whole.</param>
public sealed class DoorRefusal(int status, string message, string? field = null) : Exception(message)
{
    public int Status { get; } = status;
    public string? Field { get; } = field;
}
