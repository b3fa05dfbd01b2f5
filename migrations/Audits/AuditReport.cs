using System.Text.Json;
using System.Text.Json.Serialization;

namespace Portal.Data.Audits;

/// <summary>
/// What an audit found, as its page shows it and its exports carry it: <c>report.json</c> of the report's folder. Numbers only; texts stand in <c>texts.jsonl</c> and are named by id.
/// </summary>
/// <remarks>
/// Beside it lie <c>prompts.jsonl</c> (<see cref="AuditPrompt"/>), <c>texts.jsonl</c> (<see cref="AuditText"/>), <c>scores.jsonl</c> (<see cref="TextScores"/>), <c>rewards.json</c> (<see cref="RecoveredRewardsFile"/>)
/// and <c>manifest.json</c> (<see cref="AuditManifest"/>, the hash of each). It holds no clock and no path: the same inputs and seed give the same bytes.
/// The portal keeps no file with texts: there they are rows, and the folder is <see cref="AuditFolder"/>.
/// </remarks>
public sealed record AuditReport
{
    /// <summary>Version of the shape; raised with every change that an older reader would misread. A block that is added and may be absent is none: older readers pass over it.</summary>
    public const int CurrentSchema = 1;

    public const string FileName = "report.json";

    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web)
    {
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.CamelCase) }, RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true,
    };

    public required int SchemaVersion { get; init; }
    public required AuditProvenance Provenance { get; init; }
    public required AuditCensus Census { get; init; }
    public required AuditVerdictStrip Verdict { get; init; }

    /// <summary>Why nothing was fitted, in one sentence; null where something was.</summary>
    public string? WhyNotFitted { get; init; }

    /// <summary>The method whose rewards the verdict, points, failures and test pairs are of.</summary>
    public required string Method { get; init; }

    /// <summary>All methods and controls, those that could not run too. Empty where nothing was fitted.</summary>
    public required IReadOnlyList<AuditedMethod> Methods { get; init; }

    /// <summary>Every pair of the audit.</summary>
    public required IReadOnlyList<AuditPair> Pairs { get; init; }

    /// <summary>"readable", and "sae" where there is one. Empty where nothing could be compared.</summary>
    public required IReadOnlyList<AuditIncentives> Incentives { get; init; }

    /// <summary>What the readable table could have found; null where it was not simulated.</summary>
    public AuditPower? Power { get; init; }

    /// <summary>Counterfactual twins; null where nothing was fitted, and in audits that were made before there were such checks.</summary>
    public AuditSpuriousChecks? Spurious { get; init; }

    /// <summary>Training pairs that the recovered reward gets wrong or hardly tells apart, clear ones first.</summary>
    public required IReadOnlyList<AuditFailure> Failures { get; init; }

    /// <summary>Test pairs, how sure the runs are of each.</summary>
    public required IReadOnlyList<AuditTestPair> TestPairs { get; init; }

    /// <summary>Candidates of test prompts: recovered against trained reward.</summary>
    public required IReadOnlyList<AuditPoint> Points { get; init; }

    /// <summary>The report as JSON.</summary>
    public byte[] ToJson() => JsonSerializer.SerializeToUtf8Bytes(this, Json);

    /// <summary>Reads a report.</summary>
    /// <exception cref="FormatException">It is no report, or of a version that this program does not know; the message says which.</exception>
    public static AuditReport FromJson(ReadOnlySpan<byte> json)
    {
        try
        {
            var reader = new Utf8JsonReader(json);
            using var document = JsonDocument.ParseValue(ref reader);
            if (document.RootElement.ValueKind is not JsonValueKind.Object || !document.RootElement.TryGetProperty("schemaVersion", out var version) || !version.TryGetInt32(out var number))
                throw new FormatException("The audit report has no schemaVersion.");
            if (number != CurrentSchema)
                throw new FormatException($"The audit report has schemaVersion {number}; this program reads {CurrentSchema}. Audit again, or open it with the version that wrote it.");
            return document.RootElement.Deserialize<AuditReport>(Json) ?? throw new FormatException("The audit report is empty.");
        }
        catch (JsonException e)
        {
            throw new FormatException($"The audit report cannot be read: {e.Message}", e);
        }
    }
}

/// <summary>A number with its interval.</summary>
/// <param name="Level">Coverage, e.g. 0.95.</param>
/// <param name="Count">What the interval was drawn over: prompts, or pairs where there are no others.</param>
public sealed record AuditInterval(double Estimate, double Low, double High, double Level, int Count);

/// <summary>Files of a report's folder.</summary>
/// <param name="Files">Name to SHA-256, hexadecimal.</param>
public sealed record AuditManifest(int SchemaVersion, IReadOnlyDictionary<string, string> Files)
{
    public const string FileName = "manifest.json";
}

/// <summary>A policy as an audit names it.</summary>
/// <param name="Name">For people.</param>
/// <param name="Source">"model", "file" or "endpoint".</param>
/// <param name="Hash">Of the weights, the file, or what is known of an endpoint.</param>
/// <param name="TokenizerHash">Null where it shows no tokens.</param>
public sealed record AuditedPolicy(string Name, string Source, string Hash, string? TokenizerHash);

/// <summary>Where the numbers come from.</summary>
public sealed record AuditProvenance
{
    public required AuditedPolicy Audited { get; init; }
    public required AuditedPolicy Base { get; init; }

    /// <summary>The whole spec as JSON: seed, sampling, shares, features, methods.</summary>
    public required string Spec { get; init; }

    /// <summary>Hash of all that decides the texts.</summary>
    public required string TextsFingerprint { get; init; }

    /// <summary>The model whose states are the features, and its tokenizer.</summary>
    public required string ReaderHash { get; init; }
    public required string ReaderTokenizerHash { get; init; }
    public string? SaeHash { get; init; }
    public string? ReferenceName { get; init; }
    public string? ReferenceHash { get; init; }
    public string? LexiconName { get; init; }
    public string? LexiconHash { get; init; }
    public required string PhrasesHash { get; init; }

    /// <summary>What the rewards read: "hiddenStates", "saeCodes" or "readable".</summary>
    public required string Features { get; init; }
    public required int FeatureCount { get; init; }

    /// <summary>Of them, those that are the same in all training texts.</summary>
    public required int ConstantFeatures { get; init; }

    /// <summary>Readable features that were left out, each with its reason.</summary>
    public required IReadOnlyList<string> LeftOutFeatures { get; init; }

    /// <summary>Prompts by part: train, hold-out, test.</summary>
    public required int PromptsTrain { get; init; }
    public required int PromptsHoldout { get; init; }
    public required int PromptsTest { get; init; }

    /// <summary>Prompts of the file with the text of an earlier one, left out.</summary>
    public required int DuplicatePrompts { get; init; }

    /// <summary>Fewest candidates of a test prompt, both policies together; 0: there are none to compare.</summary>
    public required int CandidatesMin { get; init; }

    /// <summary>Pairs with log-probabilities of both texts under both policies.</summary>
    public required int LogRatios { get; init; }

    public required int Seeds { get; init; }
    public required int Bootstraps { get; init; }

    /// <summary>What chose anything: "hold-out loss". Never a true reward.</summary>
    public required string ChosenBy { get; init; }
}

/// <summary>What was asked for and what came, by policy.</summary>
public sealed record CompletionCounts(AuditSide Side, int Asked, int Written, int Empty, int Refused, int Failed, int Missing, int Unfinished);

/// <summary>Pairs by whether base and audited completion are bad (T) or not (N), read base to audited.</summary>
/// <param name="By">"lexicon" or "labels".</param>
/// <param name="BadToGood">T -> N, the informative ones of a detoxified policy.</param>
public sealed record CensusCells(string By, int BadToGood, int GoodToGood, int BadToBad, int GoodToBad)
{
    public int Pairs => BadToGood + GoodToGood + BadToBad + GoodToBad;

    /// <summary>A count as a share of all; 0 where there are no pairs.</summary>
    public double Share(int count) => Pairs == 0 ? 0 : count / (double)Pairs;
}

/// <summary>The census of an audit's texts.</summary>
/// <param name="Prompts">Asked.</param>
/// <param name="Pairs">Prompts with a text of both policies.</param>
/// <param name="PromptsWithoutPair">The rest, all in the denominators above.</param>
/// <param name="ExactTies">Pairs of the same text.</param>
/// <param name="Unlabelled">Pairs that the cells leave out, because one of their texts has no label.</param>
/// <param name="Cells">Null where there is neither a lexicon nor a label.</param>
public sealed record AuditCensus(int Prompts, int Pairs, int PromptsWithoutPair, int ExactTies, int Unlabelled, IReadOnlyList<CompletionCounts> Completions, CensusCells? Cells)
{
    /// <summary>Exact ties as a share of pairs; 0 where there are none.</summary>
    public double TieShare => Pairs == 0 ? 0 : ExactTies / (double)Pairs;
}

/// <summary>What a light says.</summary>
public enum AuditLightState { Yes, No, NotEnoughEvidence }

/// <summary>One light and the sentence beside it.</summary>
public sealed record AuditLight(AuditLightState State, string Sentence);

/// <summary>Why nothing may be judged.</summary>
/// <param name="Kind">A stable word, e.g. "TooFewPairs".</param>
/// <param name="Sentence">What was seen, what is needed, what to do.</param>
public sealed record AuditReason(string Kind, string Sentence);

/// <summary>The three lights. Where there are reasons all are grey.</summary>
public sealed record AuditVerdictStrip(IReadOnlyList<AuditReason> Reasons, AuditLight Identifiable, AuditLight Faithful, AuditLight Spurious);
