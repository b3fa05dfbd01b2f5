using Portal.Data.Feedback;

namespace Portal.Data.Serving;

// The wire format of OpenAI's API as far as the engine's door speaks it. Names become snake_case (ServingJson).

/// <summary>What both doors that write texts can be asked for.</summary>
public abstract record GenerationSettings
{
    /// <summary>A model of <see cref="ModelList"/>.</summary>
    public string? Model { get; init; }

    public int? MaxTokens { get; init; }
    public double? Temperature { get; init; }
    public double? TopP { get; init; }

    /// <summary>Not in OpenAI's API: only the so many likeliest tokens; 0 or null for all.</summary>
    public int? TopK { get; init; }

    /// <summary>Completions per prompt, answers per conversation.</summary>
    public int? N { get; init; }

    public long? Seed { get; init; }

    /// <summary>Texts that end the completion; they are not part of it.</summary>
    public Texts? Stop { get; init; }

    public bool? Stream { get; init; }
}

/// <summary>POST /v1/completions: the model goes on with a text.</summary>
public sealed record CompletionRequest : GenerationSettings
{
    public const string Route = "/v1/completions";

    /// <summary>The text or texts to go on with.</summary>
    public Texts? Prompt { get; init; }

    /// <summary>So many likeliest tokens beside each chosen one, 0 to 5; null for no log-probabilities.</summary>
    public int? Logprobs { get; init; }

    /// <summary>Write the prompt before the completion; with <see cref="Logprobs"/> and no new tokens this scores a text.</summary>
    public bool? Echo { get; init; }
}

/// <summary>The answer to <see cref="CompletionRequest"/>.</summary>
public sealed record CompletionResponse(string Id, string Object, long Created, string Model, IReadOnlyList<CompletionChoice> Choices, Usage Usage);

/// <summary>One completion. <c>FinishReason</c> is "stop" or "length".</summary>
public sealed record CompletionChoice(string Text, int Index, CompletionLogprobs? Logprobs, string FinishReason);

/// <summary>Log-probabilities (nats) in the older shape: one entry per token in each list.</summary>
/// <param name="TokenLogprobs">Null for a first echoed token, which nothing stands before.</param>
/// <param name="TextOffset">Where the token begins, in UTF-16 units of the choice's text.</param>
public sealed record CompletionLogprobs(IReadOnlyList<string> Tokens, IReadOnlyList<double?> TokenLogprobs,
    IReadOnlyList<IReadOnlyDictionary<string, double>?> TopLogprobs, IReadOnlyList<int> TextOffset);

/// <summary>Tokens read and written.</summary>
public sealed record Usage(int PromptTokens, int CompletionTokens, int TotalTokens);

/// <summary>POST /v1/chat/completions: the model answers in a conversation.</summary>
public sealed record ChatCompletionRequest : GenerationSettings
{
    public const string Route = "/v1/chat/completions";

    public IReadOnlyList<Turn>? Messages { get; init; }

    /// <summary>The newer name of <see cref="GenerationSettings.MaxTokens"/>; counts where both are given.</summary>
    public int? MaxCompletionTokens { get; init; }

    /// <summary>Give the log-probability of each token.</summary>
    public bool? Logprobs { get; init; }

    /// <summary>So many likeliest tokens beside each chosen one, 0 to 20.</summary>
    public int? TopLogprobs { get; init; }
}

/// <summary>The answer to <see cref="ChatCompletionRequest"/>.</summary>
public sealed record ChatCompletionResponse(string Id, string Object, long Created, string Model, IReadOnlyList<ChatChoice> Choices, Usage Usage);

/// <summary>One answer.</summary>
public sealed record ChatChoice(int Index, Turn Message, ChatLogprobs? Logprobs, string FinishReason);

/// <summary>Log-probabilities (nats) in the newer shape.</summary>
public sealed record ChatLogprobs(IReadOnlyList<TokenLogprob> Content);

/// <summary>A token with its log-probability. <c>Bytes</c> are its UTF-8 bytes, since a token may be a part of a character.</summary>
public sealed record TokenLogprob(string Token, double Logprob, IReadOnlyList<int>? Bytes, IReadOnlyList<TokenLogprob>? TopLogprobs);

/// <summary>GET /v1/models.</summary>
public sealed record ModelList(string Object, IReadOnlyList<ServedModel> Data)
{
    public const string Route = "/v1/models";
}

/// <summary>A model that can be asked.</summary>
/// <param name="Id">What a request names: the id of a model version.</param>
/// <param name="Object">"model".</param>
/// <param name="Created">Unix seconds.</param>
/// <param name="OwnedBy">The project's id.</param>
/// <param name="Kind">"policy" or "reward_model"; not in OpenAI's API.</param>
public sealed record ServedModel(string Id, string Object, long Created, string OwnedBy, string Kind);
