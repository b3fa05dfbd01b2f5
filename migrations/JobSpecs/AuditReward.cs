namespace Portal.Data.JobSpecs;

/// <summary>Asks what reward would explain how one policy differs from another: both answer the same prompts, and every method of inverse reinforcement learning reads the pairs.</summary>
public sealed record AuditReward : JobSpec
{
    /// <summary>The policy that is audited; null where an endpoint or a file stands for it.</summary>
    public ModelVersionId? AuditedId { get; init; }

    /// <summary>The policy it is compared with; null means the one it was trained from.</summary>
    public ModelVersionId? BaseId { get; init; }

    /// <summary>An outside model as the audited policy.</summary>
    public PolicyEndpointId? AuditedEndpointId { get; init; }

    /// <summary>An outside model as the base; the features are then read by <see cref="BaseId"/>.</summary>
    public PolicyEndpointId? BaseEndpointId { get; init; }

    /// <summary>Which prompts of the project are asked.</summary>
    public AuditPromptSource PromptSource { get; init; } = AuditPromptSource.HeldOut;

    /// <summary>The split that says which prompts are held out; null means the one the audited policy was trained by, or else the usual one.</summary>
    public DatasetRules? Rules { get; init; }

    /// <summary>Prompts at most; a random choice where there are more.</summary>
    public int PromptsMax { get; init; } = 2_800;

    public double HoldoutShare { get; init; } = 0.15;
    public double TestShare { get; init; } = 0.15;

    /// <summary>Completions of each policy on a test prompt. Below 2 rewards cannot be compared, below 8 distances are not judged.</summary>
    public int CompletionsOnTest { get; init; } = 8;

    /// <summary>Further completions of each policy on training prompts, for the screen by repeated sampling (3 and more are useful); 0: none.</summary>
    public int Repeats { get; init; }

    public SamplingSpec Sampling { get; init; } = new();

    /// <summary>What the rewards read.</summary>
    public AuditFeatures Features { get; init; } = AuditFeatures.HiddenStates;

    /// <summary>What hidden states are pooled over.</summary>
    public AuditReading Reading { get; init; } = AuditReading.CompletionInContext;

    /// <summary>The SAE whose latents become rows of a second incentive table; null: none.</summary>
    public ModelVersionId? SaeId { get; init; }

    /// <summary>Names of methods; null means all that are offered. The controls and the method of the verdict always run.</summary>
    public IReadOnlyList<string>? Methods { get; init; }

    /// <summary>Each with resamples of its own.</summary>
    public int Seeds { get; init; } = 5;

    /// <summary>Resamples of the training prompts by each seed.</summary>
    public int Bootstraps { get; init; } = 3;

    /// <summary>A trained reward model to compare with; null: none.</summary>
    public ModelVersionId? ReferenceId { get; init; }

    /// <summary>Name of the lexicon of bad words, a file of the data directory's lexicons folder without its ending; null: none.</summary>
    public string? Lexicon { get; init; }

    /// <summary>Whether a text can be a lexicon's name: letters, digits, - and _, so that it stays within its folder.</summary>
    public static bool IsLexiconName(string? name) => name is { Length: > 0 and <= 80 } && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_');

    /// <summary>Simulated audits for each cell of the power table; 0 for no table.</summary>
    public int PowerRepeats { get; init; } = 100;
}

/// <summary>Which of a project's prompts an audit asks.</summary>
public enum AuditPromptSource
{
    /// <summary>Those that no model of the project is trained on.</summary>
    HeldOut,

    /// <summary>All, also those of the training part: more pairs, but a policy may have learnt its answers to them by heart.</summary>
    All,
}

/// <summary>What a recovered reward reads.</summary>
public enum AuditFeatures
{
    /// <summary>The mean of the reader's last hidden states.</summary>
    HiddenStates,

    /// <summary>Each latent of an SAE: mean and largest over the places where it reads.</summary>
    SaeCodes,

    /// <summary>Counts and rates that a person can check by hand.</summary>
    Readable,
}

/// <summary>What the reader sees, and which of its states are pooled.</summary>
public enum AuditReading
{
    /// <summary>It reads prompt and completion; states of the completion are pooled.</summary>
    CompletionInContext,

    /// <summary>It reads prompt and completion; all states are pooled.</summary>
    PromptAndCompletion,

    /// <summary>It reads the completion only: a reward of the text, whatever was asked.</summary>
    CompletionAlone,
}
