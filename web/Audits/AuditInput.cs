using Portal.Data;
using Portal.Data.JobSpecs;

namespace Portal.Web.Audits;

/// <summary>The wizard's form. Mutable: inputs are bound to it. What it does not ask keeps the spec's own default.</summary>
public sealed class AuditInput
{
    private static readonly AuditReward Usual = new();

    /// <summary>Names of the methods, as the engine offers them (a test compares); the first always runs.</summary>
    public static IReadOnlyList<string> Methods { get; } =
    [
        "failure-aware-reweight", "max-entropy", "max-margin", "bayesian-laplace", "log-ratio-ridge", "failure-aware-screened", "failure-aware-paper-reading",
    ];

    /// <summary>A version's id, or "e:" and an endpoint's; empty: not chosen yet.</summary>
    public string Audited { get; set; } = "";

    /// <summary>The same; empty means the version the audited one was trained from.</summary>
    public string Base { get; set; } = "";

    /// <summary>The version whose states are the features where an endpoint is the base; empty means the one the project began with.</summary>
    public string Reader { get; set; } = "";

    public Guid? ReferenceId { get; set; }
    public Guid? SaeId { get; set; }
    public string Lexicon { get; set; } = "";
    public AuditPromptSource PromptSource { get; set; } = AuditPromptSource.HeldOut;
    public int PromptsMax { get; set; } = Usual.PromptsMax;
    public int CompletionsOnTest { get; set; } = Usual.CompletionsOnTest;
    public int Repeats { get; set; } = Usual.Repeats;
    public double HoldoutPercent { get; set; } = 100 * Usual.HoldoutShare;
    public double TestPercent { get; set; } = 100 * Usual.TestShare;

    /// <summary>Log-probabilities are those at 1, so that is where policies are asked unless somebody says otherwise.</summary>
    public double Temperature { get; set; } = 1;
    public int TokensMax { get; set; } = Usual.Sampling.TokensMax;
    public AuditFeatures Features { get; set; } = Usual.Features;
    public AuditReading Reading { get; set; } = Usual.Reading;
    public int Seeds { get; set; } = Usual.Seeds;
    public int Bootstraps { get; set; } = Usual.Bootstraps;
    public int PowerRepeats { get; set; } = Usual.PowerRepeats;
    public long Seed { get; set; } = 1;

    /// <summary>Methods that are left out.</summary>
    public HashSet<string> Without { get; } = [];

    /// <summary>An endpoint answers in place of a version.</summary>
    public static PolicyEndpointId? EndpointOf(string choice) => choice.StartsWith("e:", StringComparison.Ordinal) && PolicyEndpointId.TryParse(choice[2..], null, out var id) ? id : null;

    public static ModelVersionId? VersionOf(string choice) => ModelVersionId.TryParse(choice, null, out var id) ? id : null;

    /// <summary>How a form names an endpoint.</summary>
    public static string Choice(PolicyEndpointId id) => $"e:{id}";

    public AuditReward Spec() => Usual with
    {
        AuditedId = VersionOf(Audited), AuditedEndpointId = EndpointOf(Audited), BaseEndpointId = EndpointOf(Base), BaseId = EndpointOf(Base) is null ? VersionOf(Base) : VersionOf(Reader),
        ReferenceId = ReferenceId is { } reference ? new ModelVersionId(reference) : null, SaeId = SaeId is { } sae ? new ModelVersionId(sae) : null, Lexicon = Lexicon.Length == 0 ? null : Lexicon,
        PromptSource = PromptSource, PromptsMax = PromptsMax, CompletionsOnTest = CompletionsOnTest, Repeats = Repeats, HoldoutShare = HoldoutPercent / 100, TestShare = TestPercent / 100,
        Sampling = Usual.Sampling with { Temperature = Temperature, TokensMax = TokensMax }, Features = Features, Reading = Reading, Seeds = Seeds, Bootstraps = Bootstraps, PowerRepeats = PowerRepeats, Seed = Seed,
        Methods = Without.Count == 0 ? null : [.. Methods.Where(method => !Without.Contains(method))],
    };
}

/// <summary>How much an audit has to do.</summary>
/// <param name="Completions">Of both policies together.</param>
public sealed record AuditWork(int Prompts, int Completions)
{
    /// <summary>
    /// Seconds a completion takes, everything that follows included, where no audit of the project has run: <c>engine audit</c> of the demo's policy against its base, 120 prompts with the usual settings, 492 completions
    /// in 32 s on two busy cores.
    /// </summary>
    public const double UsualSeconds = 0.065;

    /// <param name="available">Prompts there are.</param>
    public static AuditWork Of(AuditReward spec, int available)
    {
        var prompts = Math.Clamp(available, 0, Math.Max(0, spec.PromptsMax));
        var (holdout, test) = ((int)Math.Round(prompts * spec.HoldoutShare), (int)Math.Round(prompts * spec.TestShare));
        var train = Math.Max(0, prompts - holdout - test);
        return new AuditWork(prompts, 2 * ((train * (1 + spec.Repeats)) + holdout + (test * spec.CompletionsOnTest)));
    }

    /// <summary>Minutes, at least 1.</summary>
    /// <param name="secondsEach">As an earlier audit took; null: none has run.</param>
    public int Minutes(double? secondsEach) => Math.Max(1, (int)Math.Ceiling(Completions * (secondsEach ?? UsualSeconds) / 60));
}
