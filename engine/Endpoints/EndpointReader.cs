using System.Text.Json;

namespace Portal.Engine.Endpoints;

/// <summary>Reads what endpoints answer: both of OpenAI's shapes, tolerant of what is left out and strict about what is used.</summary>
internal static class EndpointReader
{
    private const int ErrorLengthMax = 300;

    /// <summary>Deeper JSON is no answer of this API.</summary>
    public static readonly JsonDocumentOptions Options = new() { MaxDepth = 32 };

    /// <summary>A choice of an answer.</summary>
    /// <param name="Offsets">Where each token begins in the text, in the server's unit; null where that is not said.</param>
    public sealed record Choice(EndpointCompletion Completion, IReadOnlyList<int>? Offsets);

    /// <summary>The choices of an answer, at most so many.</summary>
    /// <returns>Null where the answer has no list of choices; else those it has, perhaps none.</returns>
    /// <exception cref="InvalidOperationException">A text is no Unicode (half a surrogate pair).</exception>
    public static IReadOnlyList<Choice>? Choices(JsonElement root, bool isChat, int countMax) =>
        Member(root, "choices") is { ValueKind: JsonValueKind.Array } choices
            ? [.. choices.EnumerateArray().Take(countMax).Select(choice => Read(choice, isChat))]
            : null;

    /// <summary>What a server says went wrong, in one line; null where it says nothing that can be read.</summary>
    /// <param name="cover">Takes the key out; asked before the text is cut, so that no half of it is left.</param>
    public static string? Error(JsonElement root, Func<string, string> cover)
    {
        var error = Member(root, "error");
        var text = Text(error) ?? Text(Member(error, "message")) ?? Text(Member(root, "message")) ?? Text(Member(root, "detail"));
        if (string.IsNullOrWhiteSpace(text))
            return null;
        // Goes into logs and lists: one line, not too long.
        var line = string.Concat(cover(text).Select(c => char.IsControl(c) || c is '\u2028' or '\u2029' ? ' ' : c)).Trim();
        return line.Length <= ErrorLengthMax ? line : line[..ErrorLengthMax] + "...";
    }

    private static Choice Read(JsonElement choice, bool isChat)
    {
        var message = isChat ? Member(choice, "message") : choice;
        var refusal = isChat ? Text(Member(message, "refusal")) : null;
        var text = isChat ? ContentOf(Member(message, "content")) : Text(Member(message, "text")) ?? "";
        var finish = FinishOf(Text(Member(choice, "finish_reason")));
        var isRefused = finish is EndpointFinish.ContentFilter || !string.IsNullOrEmpty(refusal);
        var whole = text.Length == 0 && refusal is not null ? refusal : text;
        var result = isRefused ? EndpointResult.Refused : string.IsNullOrWhiteSpace(whole) ? EndpointResult.Empty : EndpointResult.Answered;
        var (tokens, offsets) = TokensOf(Member(choice, "logprobs"), isChat);
        return new Choice(new EndpointCompletion(whole, result, isRefused ? EndpointFinish.ContentFilter : finish, tokens), offsets);
    }

    /// <summary>A text, or a list of parts of which those that are text count.</summary>
    private static string ContentOf(JsonElement? content) => content switch
    {
        { ValueKind: JsonValueKind.Array } parts => string.Concat(parts.EnumerateArray().Select(part => Text(part) ?? Text(Member(part, "text")))),
        _ => Text(content) ?? "",
    };

    private static EndpointFinish FinishOf(string? reason) => reason switch
    {
        "stop" or "eos" or "eos_token" or "stop_sequence" or "end_turn" => EndpointFinish.Stop,
        "length" or "max_tokens" => EndpointFinish.Length,
        "content_filter" or "safety" or "refusal" => EndpointFinish.ContentFilter,
        _ => EndpointFinish.Other,
    };

    /// <summary>Tokens and where they begin; nothing where lists are missing, of different lengths, or hold what is no log-probability.</summary>
    private static (IReadOnlyList<EndpointToken>? Tokens, IReadOnlyList<int>? Offsets) TokensOf(JsonElement? logprobs, bool isChat)
    {
        if (isChat)
        {
            if (Member(logprobs, "content") is not { ValueKind: JsonValueKind.Array } content)
                return (null, null);
            var read = content.EnumerateArray().Select(token => (Text: Text(Member(token, "token")), LogProb: LogProb(Member(token, "logprob")))).ToList();
            return (read.Any(token => token.Text is null || token.LogProb is not { Value: not null }) ? null : [.. read.Select(token => new EndpointToken(token.Text!, token.LogProb!.Value))], null); // both checked before
        }
        if (Member(logprobs, "tokens") is not { ValueKind: JsonValueKind.Array } texts || Member(logprobs, "token_logprobs") is not { ValueKind: JsonValueKind.Array } values
            || texts.GetArrayLength() != values.GetArrayLength())
            return (null, null);
        var tokens = texts.EnumerateArray().Zip(values.EnumerateArray(), (text, value) => (Text: Text(text), LogProb: LogProb(value))).ToList();
        if (tokens.Where((token, at) => token.Text is null || token.LogProb is null || (token.LogProb.Value is null && at > 0)).Any())
            return (null, null);
        return ([.. tokens.Select(token => new EndpointToken(token.Text!, token.LogProb!.Value))], OffsetsOf(Member(logprobs, "text_offset"), tokens.Count)); // both checked before
    }

    private static IReadOnlyList<int>? OffsetsOf(JsonElement? offsets, int count)
    {
        if (offsets is not { ValueKind: JsonValueKind.Array } list || list.GetArrayLength() != count)
            return null;
        var read = list.EnumerateArray().Select(at => at.ValueKind is JsonValueKind.Number && at.TryGetInt32(out var offset) ? offset : -1).ToList();
        return read.Any(at => at < 0) || read.Zip(read.Skip(1)).Any(pair => pair.Second < pair.First) ? null : read;
    }

    /// <summary>A number that can be a log-probability (rounding above 0 is 0), or JSON null; nothing for the rest.</summary>
    private static Given? LogProb(JsonElement? value) => value switch
    {
        { ValueKind: JsonValueKind.Null } => new(null),
        { ValueKind: JsonValueKind.Number } number when number.TryGetDouble(out var logProb) && double.IsFinite(logProb) && logProb <= 1e-3 => new(Math.Min(logProb, 0)),
        _ => null,
    };

    /// <summary>What stands in a place for a log-probability.</summary>
    private sealed record Given(double? Value);

    private static JsonElement? Member(JsonElement? element, string name) =>
        element is { ValueKind: JsonValueKind.Object } found && found.TryGetProperty(name, out var member) ? member : null;

    private static string? Text(JsonElement? element) => element is { ValueKind: JsonValueKind.String } found ? found.GetString() : null;
}
