using Portal.Data.Feedback;

namespace Portal.Data.Serving;

/// <summary>POST /v1/score: what a reward model thinks of responses.</summary>
/// <param name="Model">A reward model of <see cref="ModelList"/>.</param>
/// <param name="Items">At most <see cref="ItemsMax"/>.</param>
public sealed record ScoreRequest(string? Model, IReadOnlyList<ScoreItem>? Items)
{
    public const string Route = "/v1/score";
    public const int ItemsMax = 256;
}

/// <summary>A response and the conversation it answers.</summary>
public sealed record ScoreItem(IReadOnlyList<Turn> Prompt, string Response);

/// <summary>The scores, in the order of the items.</summary>
public sealed record ScoreResponse(string Model, IReadOnlyList<ScoredItem> Scores);

/// <summary>One score. Only differences between responses to one prompt mean something.</summary>
/// <param name="LengthTokens">Prompt and response as the model saw them.</param>
/// <param name="IsTruncated">The beginning was cut off to fit the model's context.</param>
public sealed record ScoredItem(double Reward, int LengthTokens, bool IsTruncated);
