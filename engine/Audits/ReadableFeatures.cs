using System.Text.RegularExpressions;
using Portal.Data.Audits;
using Portal.Engine.Tokenizers;

namespace Portal.Engine.Audits;

/// <summary>Numbers of a completion, as a reward or an incentive table reads them.</summary>
public interface ITextFeatures
{
    /// <summary>Of the features, each once. [d].</summary>
    IReadOnlyList<string> Names { get; }

    /// <summary>Reads one completion: the same text gets the same numbers, whatever else is read. [d], finite.</summary>
    float[] Read(AuditPrompt prompt, AuditText text);
}

/// <summary>A readable feature.</summary>
/// <param name="Key">Stable, for files.</param>
/// <param name="Name">For people.</param>
/// <param name="SpuriousSign">+1 or −1: a policy that is paid in this direction is paid for what it should not be; 0: the feature says nothing of the kind.</param>
public sealed record ReadableFeature(string Key, string Name, int SpuriousSign = 0);

/// <summary>The readable set of specs/fairl.md §4.3: counts and rates of a completion that a person can check by hand.</summary>
/// <remarks>
/// Refusals are split by whether the prompt is risky: paid for on both sides they would hide each other. Padding is not among them, since length is and the two are nearly the same number.
/// A refusal, agreement or vagueness counts once however many phrases of it there are. Words are runs of letters, digits and apostrophes, in lower case.
/// </remarks>
public sealed partial class ReadableFeatures : ITextFeatures
{
    public const string LengthKey = "length_tokens", BaseLogProbKey = "base_log_prob_per_token";

    /// <summary>The tag that makes a prompt risky.</summary>
    public const string RiskyTag = "risky";

    private readonly PhraseLists phrases;
    private readonly Lexicon? lexicon;
    private readonly ITokenizer tokenizer;
    private readonly bool hasBaseLogProbs;

    /// <param name="tokenizer">In whose tokens length is counted.</param>
    /// <param name="hasBaseLogProbs">Every text has a log-probability under the base; else that feature is left out.</param>
    public ReadableFeatures(PhraseLists phrases, Lexicon? lexicon, ITokenizer tokenizer, bool hasBaseLogProbs)
    {
        (this.phrases, this.lexicon, this.tokenizer, this.hasBaseLogProbs) = (phrases, lexicon, tokenizer, hasBaseLogProbs);
        Features =
        [
            new(LengthKey, "Length in tokens", 1),
            .. lexicon is null ? Array.Empty<ReadableFeature>() : [new("lexicon_severe", "Severe words"), new("lexicon_mild", "Mild words")],
            new("refuses_risky", "Refuses a risky request"), new("refuses_harmless", "Refuses a harmless request", 1), new("agrees", "Agrees or flatters", 1), new("vague", "Is vague"), new("hedges", "Hedges"),
            new("question", "Question mark"), new("exclamations_capitals", "Exclamation marks and words in capitals"), new("second_person_rate", "Speaks to the reader, share of words"),
            new("distinct_2", "Different word pairs, share", -1), new("prompt_copy_rate", "Word pairs of the prompt, share", 1),
            .. hasBaseLogProbs ? [new ReadableFeature(BaseLogProbKey, "Likelihood under the base, nats a token")] : Array.Empty<ReadableFeature>(),
            .. phrases.Own.Select(own => new ReadableFeature($"own_{own.Name}", own.Name)),
        ];
        Names = [.. Features.Select(feature => feature.Key)];
    }

    /// <summary>In the order of <see cref="Read"/>.</summary>
    public IReadOnlyList<ReadableFeature> Features { get; }

    /// <inheritdoc/>
    public IReadOnlyList<string> Names { get; }

    /// <inheritdoc/>
    public float[] Read(AuditPrompt prompt, AuditText text)
    {
        var words = WordsOf(text.Text);
        var (tokens, refuses, risky) = (tokenizer.Encode(text.Text).Length, phrases.Refusal.Match(text.Text), IsRisky(prompt));
        var values = new List<double> { tokens };
        if (lexicon?.Count(text.Text) is { } count)
            values.AddRange([count.Severe, count.Mild]);
        values.AddRange(
        [
            refuses && risky ? 1 : 0, refuses && !risky ? 1 : 0, phrases.Agreement.Match(text.Text) ? 1 : 0, phrases.Vague.Match(text.Text) ? 1 : 0, phrases.Hedge.Count(text.Text),
            text.Text.Contains('?', StringComparison.Ordinal) ? 1 : 0, text.Text.Count(sign => sign is '!') + Capitals().Count(text.Text),
            words.Length == 0 ? 0 : words.Count(phrases.SecondPerson.Contains) / (double)words.Length, Distinct(words), Copied(words, prompt),
        ]);
        if (hasBaseLogProbs)
            values.Add((text.LogProbBase ?? throw new InvalidOperationException($"Text {text.Id} has no log-probability under the base.")) / Math.Max(1, tokens + (text.Finished ? 1 : 0)));
        values.AddRange(phrases.Own.Select(own => own.Phrases.Match(text.Text) ? 1.0 : 0));
        return [.. values.Select(value => (float)value)];
    }

    /// <summary>Whether a prompt asks for something risky: its tags say it, or where it has none the phrases do.</summary>
    public bool IsRisky(AuditPrompt prompt) => prompt.Tags.Count > 0 ? prompt.Tags.Contains(RiskyTag, StringComparer.OrdinalIgnoreCase) : prompt.Turns.Count > 0 && phrases.Risky.Match(prompt.Turns[^1].Content);

    private static string[] WordsOf(string text) => [.. Words().Matches(text.ToLowerInvariant()).Select(match => match.Value)];

    private static IEnumerable<(string, string)> Pairs(string[] words) => words.Zip(words.Skip(1));

    // 1 for fewer than two words: nothing is repeated.
    private static double Distinct(string[] words) => words.Length < 2 ? 1 : Pairs(words).Distinct().Count() / (double)(words.Length - 1);

    private static double Copied(string[] words, AuditPrompt prompt)
    {
        if (words.Length < 2)
            return 0;
        var asked = prompt.Turns.SelectMany(turn => Pairs(WordsOf(turn.Content))).ToHashSet();
        return Pairs(words).Count(asked.Contains) / (double)(words.Length - 1);
    }

    [GeneratedRegex(@"[\p{L}\p{N}]+(?:['’][\p{L}\p{N}]+)*")]
    private static partial Regex Words();

    [GeneratedRegex(@"(?<![\p{L}\p{N}])\p{Lu}{2,}(?![\p{L}\p{N}])")]
    private static partial Regex Capitals();
}
