using Portal.Data.Feedback;

namespace Portal.Data.Serving;

/// <summary>POST /v1/audits/score: what all rewards that an audit recovered think of texts that somebody types.</summary>
/// <param name="Audit">The job's id of an audit that ended.</param>
/// <param name="Prompt">Turns, the last one the user's.</param>
/// <param name="Responses">1 to <see cref="ResponsesMax"/>.</param>
public sealed record AuditScoreRequest(string? Audit, IReadOnlyList<Turn>? Prompt, IReadOnlyList<string>? Responses)
{
    public const string Route = "/v1/audits/score";
    public const int ResponsesMax = 8;

    /// <summary>Characters of one text; features are read at the length of the model's context anyway.</summary>
    public const int LengthMax = 20_000;
}

/// <summary>The scores, in the order of the responses.</summary>
/// <param name="Features">What the rewards read: "hiddenStates", "saeCodes" or "readable".</param>
/// <param name="Method">The one the audit's verdict is of.</param>
public sealed record AuditScoreResponse(string Audit, string Features, string Method, IReadOnlyList<AuditScoredText> Texts);

/// <summary>A text under every run of every method and control.</summary>
public sealed record AuditScoredText(IReadOnlyList<AuditRunScore> Scores);

/// <summary>A text under one run.</summary>
/// <param name="Score">At the common scale of the audit's runs; only differences between answers to one prompt mean something.</param>
/// <param name="Z">In deviations from the mean of the audit's candidates; 0 for a reward that tells none apart.</param>
public sealed record AuditRunScore(string Method, int Seed, int Bootstrap, double Score, double Z);

/// <summary>POST /v1/audits/power: what an audit that has not run could find, from texts that are there already.</summary>
/// <param name="Project">The project's id.</param>
/// <param name="Audited">The policy to audit; null where an endpoint stands for it.</param>
/// <param name="Base">The policy it is compared with; null: the one the project began with.</param>
/// <param name="Pairs">n, 1 to <see cref="PairsMax"/>: prompts that both would answer.</param>
public sealed record AuditPowerRequest(string? Project, string? Audited, string? Base, int Pairs)
{
    public const string Route = "/v1/audits/power";
    public const int PairsMax = 20_000;
}

/// <summary>What the features of the estimate were read from.</summary>
public enum AuditPowerBasis
{
    /// <summary>Answers of these two policies to the same prompts that the project has already.</summary>
    BothPolicies,

    /// <summary>Other answers of the project: two to each prompt, whoever wrote them.</summary>
    ProjectTexts,

    /// <summary>No texts: normal features of unit variance, of which the length goes along with another (correlation .5), as in the table of specs/fairl.md §4.3.</summary>
    NoTexts,
}

/// <summary>The estimate.</summary>
/// <param name="TextPairs">Pairs of texts it rests on; 0 without texts.</param>
/// <param name="Pairs">n.</param>
/// <param name="Level">Family-wise error.</param>
/// <param name="Power">The chance for which the least effects are given.</param>
/// <param name="Features">Those that the verdict's third light looks at.</param>
/// <param name="Found">How often a planted effect on the length is found, in simulated audits; empty where there are too many pairs to simulate while somebody waits.</param>
/// <param name="Repeats">Simulated audits a cell; 0 where there are none.</param>
/// <param name="PromptsHeldOut">Prompts the project could ask that no model is trained on, by the split of the audited policy.</param>
/// <param name="PromptsAll">All it could ask.</param>
public sealed record AuditPowerResponse(AuditPowerBasis Basis, int TextPairs, int Pairs, double Level, double Power, IReadOnlyList<AuditPowerFeature> Features, IReadOnlyList<AuditPowerShare> Found, int Repeats, int PromptsHeldOut, int PromptsAll)
{
    /// <summary>The least effect that would be found for every one of the features; null where there is none that varies.</summary>
    public double? LeastForAll => Features.Count == 0 ? null : Features.Max(feature => feature.Least);
}

/// <summary>One feature.</summary>
/// <param name="Key">As in incentive tables.</param>
/// <param name="Least">Least effect found with the given chance, logits per deviation of the feature.</param>
public sealed record AuditPowerFeature(string Key, string Name, double Least);

/// <summary>How often an effect is found.</summary>
/// <param name="Effect">Logits per deviation of the feature.</param>
public sealed record AuditPowerShare(double Effect, double Share, double Low, double High);
