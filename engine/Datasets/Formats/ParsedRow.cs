using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Portal.Engine.Datasets.Formats;

/// <summary>Who speaks in one turn of a conversation.</summary>
public enum MessageRole { System, User, Assistant, Tool }

/// <summary>One turn: who speaks, and the words exactly as the file held them (never trimmed, never normalised).</summary>
public sealed record Message(MessageRole Role, string Text);

/// <summary>What a row of an imported file is, whatever format carried it.</summary>
public enum RowKind
{
    /// <summary>A prompt alone: responses are still to be sampled.</summary>
    Prompt,

    /// <summary>A prompt with two responses that nobody has compared yet.</summary>
    UnlabelledPair,

    /// <summary>A prompt with two responses and somebody's verdict on them.</summary>
    Preference,

    /// <summary>A prompt with one response and somebody's verdict on it.</summary>
    Binary,
}

/// <summary>A verdict on two responses; First and Second are positions in <see cref="ParsedRow.Responses"/>, never sides of a screen.</summary>
public enum PairVerdict { FirstBetter, SecondBetter, Tie, BothGood, BothBad, CannotJudge }

/// <summary>A verdict on one response.</summary>
public enum BinaryVerdict { Good, Bad, Unsure }

/// <summary>
/// One row of a file in the project's neutral form. Every format's parser ends here, and every export begins here.
/// </summary>
public sealed record ParsedRow
{
    /// <summary>Where the row stood: the 1-based line of a JSONL file, element of a JSON array, record of a CSV (its header is 1).</summary>
    public required long RowNumber { get; init; }

    /// <summary>What the row is; decides which of the fields below are set.</summary>
    public required RowKind Kind { get; init; }

    /// <summary>The conversation up to the point where a response is wanted: never empty, last turn is a user's (or a tool's).</summary>
    public required IReadOnlyList<Message> Prompt { get; init; }

    /// <summary>None for a Prompt, two for UnlabelledPair and Preference (in the order of the file; chosen before rejected), one for Binary.</summary>
    public IReadOnlyList<string> Responses { get; init; } = [];

    /// <summary>Set exactly when <see cref="Kind"/> is Preference.</summary>
    public PairVerdict? Pair { get; init; }

    /// <summary>Set exactly when <see cref="Kind"/> is Binary.</summary>
    public BinaryVerdict? Binary { get; init; }

    /// <summary>1 slightly, 2 better, 3 much better; null where the file does not say, or the verdict prefers neither.</summary>
    public int? Strength { get; init; }

    /// <summary>The file's own margin column (finite, its scale is the file's); null where absent.</summary>
    public double? Margin { get; init; }

    /// <summary>Pseudonym of who judged; null where the file does not say.</summary>
    public string? Annotator { get; init; }

    /// <summary>Whether Responses[0] was shown on the left; null where the file does not say.</summary>
    public bool? FirstShownLeft { get; init; }

    /// <summary>Where the row says it comes from; null where it does not.</summary>
    public string? Source { get; init; }

    /// <summary>Columns that no part of the format claims, by name: text as it is, anything else as its JSON.</summary>
    public IReadOnlyDictionary<string, string> Extra { get; init; } = NoExtra;

    /// <summary>The preferred response, or null where the verdict prefers neither (or there is none).</summary>
    public string? Chosen => Pair switch
    {
        PairVerdict.FirstBetter => Responses[0],
        PairVerdict.SecondBetter => Responses[1],
        PairVerdict.Tie or PairVerdict.BothGood or PairVerdict.BothBad or PairVerdict.CannotJudge or null => null,
    };

    /// <summary>The response that was not preferred, or null where the verdict prefers neither (or there is none).</summary>
    public string? Rejected => Pair switch
    {
        PairVerdict.FirstBetter => Responses[1],
        PairVerdict.SecondBetter => Responses[0],
        PairVerdict.Tie or PairVerdict.BothGood or PairVerdict.BothBad or PairVerdict.CannotJudge or null => null,
    };

    private static readonly IReadOnlyDictionary<string, string> NoExtra = new Dictionary<string, string>();

    /// <summary>
    /// SHA-256 over what the row says: kind, prompt, responses, verdict, strength, annotator. Two rows with the same hash are
    /// duplicates. Row number, source, order shown and extra columns do not take part; two people's verdicts on one pair differ.
    /// </summary>
    public byte[] ContentHash()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Append(hash, $"row/1/{Kind}/{Pair}/{Binary}/{Strength}");
        AppendPrompt(hash, Prompt);
        foreach (string response in Responses) Append(hash, response);
        Append(hash, Annotator ?? "");
        return hash.GetHashAndReset();
    }

    /// <summary>SHA-256 over the prompt's turns alone, so that rows of one prompt can be recognised.</summary>
    public byte[] PromptHash()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Append(hash, "prompt/1");
        AppendPrompt(hash, Prompt);
        return hash.GetHashAndReset();
    }

    private static void AppendPrompt(IncrementalHash hash, IReadOnlyList<Message> prompt)
    {
        Append(hash, prompt.Count.ToString(System.Globalization.CultureInfo.InvariantCulture));
        foreach (Message message in prompt)
        {
            Append(hash, message.Role.ToString());
            Append(hash, message.Text);
        }
    }

    // Each part goes in with its length, so that ("ab", "c") and ("a", "bc") differ.
    private static void Append(IncrementalHash hash, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        Span<byte> length = stackalloc byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(length, bytes.Length);
        hash.AppendData(length);
        hash.AppendData(bytes);
    }
}
