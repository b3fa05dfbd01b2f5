namespace Portal.Data.SaeFeatures;

/// <summary>What somebody, or a rule, says a feature means. Append-only: a changed label is the next version of it.</summary>
public sealed class FeatureLabel
{
    public const int TextLengthMax = 200;
    public const int PatternLengthMax = 500;

    /// <summary>Held-out contexts where a feature fires, and as many where it does not, below which a label is not scored.</summary>
    public const int ContextsEachMin = 10;

    public required FeatureLabelId Id { get; init; }
    public required ProjectId ProjectId { get; init; }

    /// <summary>The reward model whose feature it is. Versions made of it by toggles share its features and its labels.</summary>
    public required ModelVersionId ModelVersionId { get; init; }

    public required int Latent { get; init; }

    /// <summary>1, 2, 3 ... within model and latent; the highest one holds.</summary>
    public required int Version { get; init; }

    /// <summary>The label; empty withdraws the one before.</summary>
    public required string Text { get; init; }

    /// <summary>Phrases, separated by "|", of which a text that fires should have one: what makes the label testable without a language model. Null: it cannot be scored.</summary>
    public required string? Pattern { get; init; }

    public required LabelSource Source { get; init; }

    /// <summary>Who wrote it; null for rules.</summary>
    public required Guid? Author { get; init; }

    public required DateTimeOffset At { get; init; }

    /// <summary>Detection: balanced accuracy of "the context has the pattern" for "the feature fires" on held-out contexts with hard negatives, 0 to 1; null where unscored.</summary>
    public required double? Detection { get; init; }

    /// <summary>95 % interval of <see cref="Detection"/>.</summary>
    public required double? DetectionLow { get; init; }

    /// <inheritdoc cref="DetectionLow"/>
    public required double? DetectionHigh { get; init; }

    /// <summary>Fuzzing: balanced accuracy of telling the stretches where the feature is strong from others of the same texts by the pattern, 0 to 1; null where unscored.</summary>
    public required double? Fuzzing { get; init; }

    /// <summary>Contexts that the scores rest on; where it is unscored those there were, 0 where none was looked at.</summary>
    public required int ScoredOn { get; init; }

    /// <summary>Why it is unscored; null where it is scored, or withdraws.</summary>
    public WhyUnscored? Unscored => Detection is not null || Text.Length == 0 ? null : Pattern is null ? WhyUnscored.NoPattern : ScoredOn > 0 ? WhyUnscored.FewContexts : WhyUnscored.NotTested;
}

/// <summary>Reasons why a label has no score.</summary>
public enum WhyUnscored
{
    /// <summary>It has no pattern, which is what is tested.</summary>
    NoPattern = 1,

    /// <summary>Fewer than <see cref="FeatureLabel.ContextsEachMin"/> held-out contexts of either kind.</summary>
    FewContexts = 2,

    /// <summary>When it was written the engine did not answer, or no context was held out at all.</summary>
    NotTested = 3,
}

/// <summary>Where a label comes from.</summary>
public enum LabelSource
{
    /// <summary>A reviewer or admin wrote it.</summary>
    Person = 1,

    /// <summary>The phrase that tells firing texts best from others.</summary>
    Keyword = 2,

    /// <summary>A list of words weighted by a logistic regression on texts that fire and texts that do not.</summary>
    Probe = 3,
}
