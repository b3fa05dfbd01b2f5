using System.Text;
using System.Text.Json;
using Portal.Data.Endpoints;
using Portal.Data.Feedback;
using Portal.Data.Serving;

namespace Portal.Engine.Endpoints;

/// <summary>
/// A model behind an endpoint as a policy: it writes completions, and says how likely it finds given answers where its API does. What is asked of it side by side
/// never exceeds the endpoint's limit, and everything that was asked for is accounted for (<see cref="EndpointCounts"/>).
/// </summary>
/// <remarks>
/// <para>A single failure is a result (a completion that did not come, with the reason). What makes going on senseless is a <see cref="CannotTrain"/>: no consent, an address
/// that may not be asked, too many failures in a row. Safe to use from several threads; dispose of it when the job ends.</para>
/// <para>Log-probabilities are as the server gives them. Most give those of the model before temperature and top-p (the engine's own door does); where a server does
/// otherwise, they are comparable at temperature 1 and top-p 1 only.</para>
/// </remarks>
public sealed class EndpointPolicy : IDisposable
{
    /// <summary>Completions asked for in one request; servers refuse more (the engine's own door takes 16).</summary>
    public const int CompletionsPerRequestMax = 16;

    /// <summary>Completions of one prompt.</summary>
    public const int CompletionsMax = 256;

    private readonly PolicyEndpoint endpoint;
    private readonly EndpointKey? key;
    private readonly EndpointCalls calls;

    /// <param name="endpoint">As stored, in use.</param>
    /// <param name="key">Its key; null where it has none.</param>
    /// <exception cref="CannotTrain">Its key would go over the wire in the clear.</exception>
    public EndpointPolicy(PolicyEndpoint endpoint, EndpointKey? key, AddressGuard guard, EndpointNetwork network, EndpointLimits limits, TimeProvider time)
    {
        (this.endpoint, this.key) = (endpoint, key);
        try
        {
            calls = new EndpointCalls(endpoint, key, guard, network, limits, time);
        }
        catch (EndpointRefused refused)
        {
            throw new CannotTrain(refused.Message, refused);
        }
    }

    private bool IsChat => endpoint.Api is EndpointApi.ChatCompletions;
    private string Door => IsChat ? "chat/completions" : "completions";

    /// <summary>Writes completions of each prompt.</summary>
    /// <param name="prompts">Turns of each; a completions endpoint goes on with one text, so there a prompt is one turn, sent as it is.</param>
    /// <param name="progress">Told how many prompts are done, from several threads; null for nobody.</param>
    /// <returns>One result a prompt, in order.</returns>
    /// <exception cref="CannotTrain">No consent, an address that may not be asked, or too many failures in a row.</exception>
    public Task<EndpointBatch<EndpointCompletions>> Complete(IReadOnlyList<IReadOnlyList<Turn>> prompts, EndpointSampling sampling, TextOrigin origin, Action<int>? progress, CancellationToken stop)
    {
        if (sampling.Completions is < 1 or > CompletionsMax)
            throw new ArgumentException($"{sampling.Completions} completions of a prompt; 1 to {CompletionsMax} can be asked for.", nameof(sampling));
        if (sampling.TokensMax < 1 || sampling.Temperature is not (>= 0 and <= 2) || sampling.TopP is not (> 0 and <= 1))
            throw new ArgumentException($"At least 1 token, temperature 0 to 2, top-p above 0 and at most 1; not {sampling.TokensMax}, {sampling.Temperature} and {sampling.TopP}.", nameof(sampling));
        return Each(prompts, origin, (prompt, token) => CompleteOne(prompt, sampling, token), (results, sent) =>
        {
            var all = results.SelectMany(result => result.Completions).ToList();
            var answered = all.Where(completion => completion.Result is EndpointResult.Answered).ToList();
            return new EndpointCounts(results.Count * sampling.Completions, answered.Count, all.Count(c => c.Result is EndpointResult.Empty), all.Count(c => c.Result is EndpointResult.Refused),
                results.Sum(result => result.Failed), answered.Count(c => c.Finish is EndpointFinish.Length), sampling.LogProbs ? answered.Count(c => c.LogProb is null) : 0, sent.Requests, sent.Retries);
        }, progress, stop);
    }

    /// <summary>How likely the model finds given answers: the log-probability of each after its prompt, through the echo of the completions door.</summary>
    /// <param name="pairs">A prompt of one turn, and the answer that follows it without anything between.</param>
    /// <param name="progress">As for <see cref="Complete"/>.</param>
    /// <returns>One score a pair, in order; without a number and with the reason where the endpoint gives none.</returns>
    /// <exception cref="CannotTrain">As for <see cref="Complete"/>.</exception>
    public Task<EndpointBatch<EndpointScore>> Score(IReadOnlyList<(IReadOnlyList<Turn> Prompt, string Answer)> pairs, TextOrigin origin, Action<int>? progress, CancellationToken stop) =>
        Each(pairs, origin, (pair, token) => ScoreOne(pair.Prompt, pair.Answer, token), (results, sent) =>
        {
            var answered = results.Count(result => result.LogProb is not null);
            return new EndpointCounts(results.Count, answered, 0, 0, results.Count - answered, 0, 0, sent.Requests, sent.Retries);
        }, progress, stop);

    public void Dispose() => calls.Dispose();

    private async Task<EndpointBatch<TResult>> Each<TItem, TResult>(IReadOnlyList<TItem> items, TextOrigin origin, Func<TItem, CancellationToken, Task<TResult>> ask,
        Func<IReadOnlyList<TResult>, (int Requests, int Retries), EndpointCounts> count, Action<int>? progress, CancellationToken stop)
    {
        if (endpoint.RetiredAt is not null)
            throw new CannotTrain($"The endpoint \"{endpoint.Name}\" is retired; choose another one.");
        if (origin is TextOrigin.People && !endpoint.HasConsent)
            throw new CannotTrain($"Nobody has agreed that texts of annotators may be sent to the endpoint \"{endpoint.Name}\" ({endpoint.BaseUrl}), so nothing was sent. An admin gives consent on the endpoint's page.");
        var before = calls.Sent;
        var results = new TResult[items.Count];
        var done = 0;
        try
        {
            await Parallel.ForEachAsync(Enumerable.Range(0, items.Count), new ParallelOptions { MaxDegreeOfParallelism = endpoint.ParallelRequests, CancellationToken = stop }, async (at, token) =>
            {
                results[at] = await ask(items[at], token);
                var count = Interlocked.Increment(ref done); // counted whether somebody listens or not
                progress?.Invoke(count);
            });
        }
        catch (Exception e) when (calls.Stopped is { } reason && !stop.IsCancellationRequested && e is CannotTrain or OperationCanceledException)
        {
            throw new CannotTrain(items.Count == 1 ? reason : $"{reason} {Volatile.Read(ref done)} of {items.Count} were done.", e); // the first failure cancels the rest
        }
        var after = calls.Sent;
        return new EndpointBatch<TResult>(results, count(results, (after.Requests - before.Requests, after.Retries - before.Retries)));
    }

    private async Task<EndpointCompletions> CompleteOne(IReadOnlyList<Turn> prompt, EndpointSampling sampling, CancellationToken stop)
    {
        if (PromptProblem(prompt) is { } wrong)
            return new EndpointCompletions([], sampling.Completions, wrong);
        var came = new List<EndpointCompletion>();
        // Some servers take n, some give one completion however many are asked for: ask for the rest until it is there.
        while (came.Count < sampling.Completions)
        {
            var wanted = Math.Min(sampling.Completions - came.Count, CompletionsPerRequestMax);
            var (choices, problem) = await calls.Ask<IReadOnlyList<EndpointReader.Choice>>(Door, Body(prompt, sampling, wanted, came.Count), root => ChoicesOf(root, wanted), stop);
            if (choices is null)
                return new EndpointCompletions(came, sampling.Completions - came.Count, problem);
            came.AddRange(choices.Select(choice => choice.Completion));
        }
        return new EndpointCompletions(came, 0, null);
    }

    private (IReadOnlyList<EndpointReader.Choice>? Answer, string? Problem) ChoicesOf(JsonElement root, int wanted)
    {
        var choices = EndpointReader.Choices(root, IsChat, wanted);
        if (choices is not { Count: > 0 })
            return (null, choices is null ? "Its answer has no list of choices." : "Its answer has an empty list of choices.");
        // A server may send back what it was sent. Such a text would be stored and shown.
        return key is not null && choices.Any(choice => key.IsIn(choice.Completion.Text) || (choice.Completion.Tokens ?? []).Any(token => key.IsIn(token.Text)))
            ? (null, "Its answer holds the key itself, so it was not kept. Replace the key, and ask who runs the endpoint.")
            : (choices, null);
    }

    private GenerationSettings Body(IReadOnlyList<Turn> prompt, EndpointSampling sampling, int wanted, int already)
    {
        var stopAt = sampling.StopAt.Count == 0 ? null : new Texts(sampling.StopAt);
        var seed = sampling.Seed + already;
        return IsChat
            ? new ChatCompletionRequest
            {
                Model = endpoint.Model, Messages = prompt, MaxTokens = sampling.TokensMax, Temperature = sampling.Temperature, TopP = sampling.TopP, N = wanted, Seed = seed, Stop = stopAt,
                Logprobs = sampling.LogProbs ? true : null,
            }
            : new CompletionRequest
            {
                Model = endpoint.Model, Prompt = prompt[0].Content, MaxTokens = sampling.TokensMax, Temperature = sampling.Temperature, TopP = sampling.TopP, N = wanted, Seed = seed, Stop = stopAt,
                Logprobs = sampling.LogProbs ? 1 : null,
            };
    }

    private string? PromptProblem(IReadOnlyList<Turn> prompt) =>
        prompt.Count == 0 ? "The prompt has no turn."
        : !IsChat && prompt.Count > 1 ? $"The prompt has {prompt.Count} turns, and a completions endpoint goes on with one text. Use an endpoint for chat completions."
        : null;

    private async Task<EndpointScore> ScoreOne(IReadOnlyList<Turn> prompt, string answer, CancellationToken stop)
    {
        if (IsChat)
            return new EndpointScore(null, 0, "Chat completions cannot say how likely a given answer is; only a completions endpoint with echo can.");
        if (PromptProblem(prompt) is { } wrong)
            return new EndpointScore(null, 0, wrong);
        if (answer.Length == 0)
            return new EndpointScore(0, 0, null); // nothing is certain
        var body = new CompletionRequest { Model = endpoint.Model, Prompt = prompt[0].Content + answer, MaxTokens = 0, Temperature = 1, Echo = true, Logprobs = 1 };
        var (score, problem) = await calls.Ask<EndpointScore>(Door, body, root => ScoreOf(root, prompt[0].Content, answer), stop);
        return score ?? new EndpointScore(null, 0, problem);
    }

    private (EndpointScore? Answer, string? Problem) ScoreOf(JsonElement root, string prompt, string answer)
    {
        var (choices, problem) = ChoicesOf(root, 1);
        return choices is null ? (null, problem) : (EchoedAnswer.Score(choices[0], prompt, answer), null);
    }
}

/// <summary>The answer's part of an echoed text and its tokens.</summary>
internal static class EchoedAnswer
{
    /// <summary>Sums the tokens that stand between the prompt's end and the answer's.</summary>
    /// <remarks>
    /// Servers say where a token begins in characters of their own: UTF-16 units (the engine's door) or code points (those in Python). The two differ where a text has signs beyond the basic plane;
    /// then the unit is the one in which the last token ends where the text does. A number that would need a guess is not given.
    /// </remarks>
    public static EndpointScore Score(EndpointReader.Choice choice, string prompt, string answer)
    {
        var text = choice.Completion.Text;
        if (!text.StartsWith(prompt + answer, StringComparison.Ordinal))
            return Unknown("It did not write the given text back (echo), so it cannot say how likely it is.");
        if (choice is not { Completion.Tokens: { Count: > 0 } tokens, Offsets: { } offsets })
            return Unknown("It gave no log-probabilities of the given text, or not where each token begins.");
        if (UnitOf(text, prompt, tokens[^1], offsets[^1]) is not { } lengthOf)
            return Unknown("Where its tokens begin cannot be told from what it says.");
        var (from, to) = (lengthOf(prompt), lengthOf(prompt + answer));
        var first = offsets.TakeWhile(at => at < from).Count();
        var last = offsets.TakeWhile(at => at < to).Count();
        if (first == last)
            return Unknown("It gave no token of the answer.");
        if (offsets[first] != from || (last < offsets.Count && offsets[last] != to))
            return Unknown("One of its tokens spans the prompt's end or the answer's, so the answer has no log-probability of its own. End the prompt with a mark or a line break.");
        var own = tokens.Skip(first).Take(last - first).ToList();
        return own.Any(token => token.LogProb is null)
            ? Unknown("It gave no log-probability of the answer's first token.")
            : new EndpointScore(own.Sum(token => token.LogProb!.Value), own.Count, null); // checked just before
    }

    private static Func<string, int>? UnitOf(string text, string prompt, EndpointToken last, int lastOffset)
    {
        if (!text.Any(char.IsSurrogate))
            return Units;
        return (lastOffset + Units(last.Text) == Units(text), lastOffset + CodePoints(last.Text) == CodePoints(text)) switch
        {
            (true, false) => Units,
            (false, true) => CodePoints,
            _ => prompt.Any(char.IsSurrogate) ? null : Units, // before the prompt's end both count alike
        };
    }

    private static int Units(string text) => text.Length;

    private static int CodePoints(string text) => text.EnumerateRunes().Count();

    private static EndpointScore Unknown(string why) => new(null, 0, why);
}
