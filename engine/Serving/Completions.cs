using Microsoft.AspNetCore.Http;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Data.Serving;

namespace Portal.Engine.Serving;

/// <summary>The doors that write texts: OpenAI's completions and chat completions, over <see cref="ITextGenerator"/>.</summary>
internal static class Completions
{
    private const int PromptsMax = 32;
    private const int TextsMax = 16;
    private const int TokensMax = 4_096;
    private const int TokensDefault = 160;

    public static async Task Complete(HttpContext http)
    {
        var stop = http.RequestAborted;
        var request = await EngineHttp.Read<CompletionRequest>(http, stop);
        RefuseStream(request.Stream);
        if (request.Prompt is not { All: { Count: > 0 } prompts })
            throw Bad("prompt", "The prompt is missing.");
        if (prompts.Count > PromptsMax)
            throw Bad("prompt", $"{prompts.Count} prompts are too many for one request; at most {PromptsMax}.");
        if (request.Logprobs is < 0 or > 5)
            throw Bad("logprobs", "logprobs is 0 to 5.");
        var generator = EngineHttp.Part<ITextGenerator>(http, "writes texts");
        var echo = request.Echo ?? false;

        var choices = new List<CompletionChoice>();
        int promptTokens = 0, newTokens = 0;
        var model = "";
        foreach (var prompt in prompts)
        {
            var result = await generator.Generate(new GenerationRequest
            {
                Model = ModelOf(request.Model), Text = prompt, Count = CountOf(request.N), StopAt = StopsOf(request.Stop),
                Sampling = SamplingOf(request, request.MaxTokens, allowNone: echo),
                TopLogProbs = request.Logprobs, Echo = echo,
            }, stop);
            (model, promptTokens) = (result.Model, promptTokens + result.PromptTokens);
            foreach (var text in result.Texts)
            {
                newTokens += text.LengthTokens;
                choices.Add(new CompletionChoice(text.Text, choices.Count, request.Logprobs is null ? null : LogprobsOf(text), FinishOf(text)));
            }
        }
        await EngineHttp.Answer(http, new CompletionResponse(IdOf("cmpl"), "text_completion", Now(http), model, choices,
            new Usage(promptTokens, newTokens, promptTokens + newTokens)));
    }

    public static async Task Chat(HttpContext http)
    {
        var stop = http.RequestAborted;
        var request = await EngineHttp.Read<ChatCompletionRequest>(http, stop);
        RefuseStream(request.Stream);
        if (request.Messages is not { Count: > 0 } messages)
            throw Bad("messages", "The messages are missing.");
        for (var i = 0; i < messages.Count; i++)
            if (messages[i] is not { Role: "system" or "user" or "assistant", Content: not null })
                throw Bad($"messages[{i}]", $"Message {i} needs a role (system, user or assistant) and a content.");
        if (request.TopLogprobs is < 0 or > 20)
            throw Bad("top_logprobs", "top_logprobs is 0 to 20.");
        var wantsLogprobs = request.Logprobs ?? false;
        if (request.TopLogprobs is > 0 && !wantsLogprobs)
            throw Bad("top_logprobs", "top_logprobs needs logprobs: true.");
        var generator = EngineHttp.Part<ITextGenerator>(http, "writes texts");

        var result = await generator.Generate(new GenerationRequest
        {
            Model = ModelOf(request.Model), Messages = messages, Count = CountOf(request.N), StopAt = StopsOf(request.Stop),
            Sampling = SamplingOf(request, request.MaxCompletionTokens ?? request.MaxTokens, allowNone: false),
            TopLogProbs = wantsLogprobs ? request.TopLogprobs ?? 0 : null,
        }, stop);
        var choices = result.Texts.Select((text, i) => new ChatChoice(i, new Turn("assistant", text.Text),
            wantsLogprobs ? new ChatLogprobs([.. text.Tokens.Select(LogprobOf)]) : null, FinishOf(text))).ToList();
        var newTokens = result.Texts.Sum(text => text.LengthTokens);
        await EngineHttp.Answer(http, new ChatCompletionResponse(IdOf("chatcmpl"), "chat.completion", Now(http), result.Model, choices,
            new Usage(result.PromptTokens, newTokens, result.PromptTokens + newTokens)));
    }

    private static string ModelOf(string? model) =>
        string.IsNullOrWhiteSpace(model) ? throw Bad("model", $"Name a model; GET {ModelList.Route} lists them.") : model;

    private static int CountOf(int? n) =>
        n is null or (>= 1 and <= TextsMax) ? n ?? 1 : throw Bad("n", $"n is 1 to {TextsMax}.");

    private static IReadOnlyList<string> StopsOf(Texts? stop) => stop?.All switch
    {
        null => [],
        { Count: <= 8 } all when all.All(text => text.Length > 0) => all,
        _ => throw Bad("stop", "stop is at most 8 texts, none of them empty."),
    };

    private static SamplingSpec SamplingOf(GenerationSettings asked, int? tokensMax, bool allowNone)
    {
        var tokens = tokensMax ?? TokensDefault;
        if (tokens < (allowNone ? 0 : 1) || tokens > TokensMax)
            throw Bad("max_tokens", $"max_tokens is 1 to {TokensMax}.");
        if (asked.Temperature is < 0 or > 2)
            throw Bad("temperature", "temperature is 0 to 2.");
        if (asked.TopP is <= 0 or > 1)
            throw Bad("top_p", "top_p is above 0, at most 1.");
        if (asked.TopK is < 0)
            throw Bad("top_k", "top_k is 0 (all tokens) or more.");
        return new SamplingSpec
        {
            Temperature = asked.Temperature ?? 1, TopP = asked.TopP ?? 1, TopK = asked.TopK ?? 0, TokensMax = tokens, Seed = asked.Seed ?? Random.Shared.NextInt64(1L << 53),
        };
    }

    private static void RefuseStream(bool? stream)
    {
        if (stream ?? false)
            throw Bad("stream", "This door answers in one piece; leave stream out.");
    }

    private static string FinishOf(GeneratedText text) => text.IsComplete ? "stop" : "length";

    private static CompletionLogprobs LogprobsOf(GeneratedText text) => new(
        [.. text.Tokens.Select(t => t.Text)], [.. text.Tokens.Select(t => t.LogProb)],
        [.. text.Tokens.Select(t => t.LogProb is null ? null : TopOf(t))], [.. text.Tokens.Select(t => t.TextOffset)]);

    private static IReadOnlyDictionary<string, double> TopOf(GeneratedToken token)
    {
        // Two tokens may read the same (bytes of a character): the likelier one, which comes first, counts.
        var top = new Dictionary<string, double>();
        foreach (var (text, _, logProb) in token.Top)
            top.TryAdd(text, logProb);
        return top;
    }

    private static TokenLogprob LogprobOf(GeneratedToken token) => new(token.Text, token.LogProb ?? 0, BytesOf(token.Bytes),
        [.. token.Top.Select(t => new TokenLogprob(t.Text, t.LogProb, BytesOf(t.Bytes), null))]);

    private static IReadOnlyList<int> BytesOf(byte[] bytes) => [.. bytes.Select(b => (int)b)];

    private static string IdOf(string kind) => $"{kind}-{Guid.CreateVersion7():N}";

    private static long Now(HttpContext http) => ((TimeProvider)http.RequestServices.GetService(typeof(TimeProvider))!).GetUtcNow().ToUnixTimeSeconds();

    private static DoorRefusal Bad(string field, string message) => new(StatusCodes.Status400BadRequest, message, field);
}

/// <summary>The door that scores responses, over <see cref="IScorer"/>.</summary>
internal static class Scores
{
    public static async Task Handle(HttpContext http)
    {
        var request = await EngineHttp.Read<ScoreRequest>(http, http.RequestAborted);
        if (string.IsNullOrWhiteSpace(request.Model))
            throw new DoorRefusal(StatusCodes.Status400BadRequest, $"Name a reward model; GET {ModelList.Route} lists them.", "model");
        if (request.Items is not { Count: > 0 and <= ScoreRequest.ItemsMax })
            throw new DoorRefusal(StatusCodes.Status400BadRequest, $"Give 1 to {ScoreRequest.ItemsMax} items.", "items");
        var scorer = EngineHttp.Part<IScorer>(http, "scores responses");
        await EngineHttp.Answer(http, await scorer.Score(request, http.RequestAborted));
    }

    /// <summary>Refuses an item that cannot be read, by its number.</summary>
    internal static void Check(ScoreItem? item, int number)
    {
        if (item?.Prompt is not { Count: > 0 } turns || turns.Any(turn => turn is not { Role: "system" or "user" or "assistant", Content: not null }) || item.Response is null)
            throw new DoorRefusal(StatusCodes.Status400BadRequest, $"Item {number} needs a prompt of turns (system, user or assistant) and a response.", $"items[{number}]");
    }
}
