namespace Portal.Data.Audits;

/// <summary>What may be said of a spurious check.</summary>
public enum AuditSpuriousVerdict
{
    /// <summary>The edit raises the reward, clearly, by more than length explains.</summary>
    PaidFor,
    /// <summary>It lowers the reward, clearly, by more than length explains.</summary>
    Punished,
    /// <summary>It moves the reward, but no further than the reward's own way with length would for as many tokens.</summary>
    ByLength,
    /// <summary>It moves the reward clearly, but by less than counts (<see cref="AuditSpuriousChecks.LeastEffect"/>).</summary>
    Small,
    /// <summary>Chance explains what was seen. Not "clean".</summary>
    NotDetectable,
    /// <summary>Fewer than two thirds of the runs agree on the direction.</summary>
    SignFlips,
    /// <summary>Fewer prompts than an interval needs, or nothing from which the part of length could be known.</summary>
    NotEnoughEvidence,
}

/// <summary>When a check speaks of a spurious reward.</summary>
public enum AuditSpuriousWhen
{
    /// <summary>Never: it stands there to be compared with, e.g. refusing what is risky.</summary>
    Never,
    PaidFor,
    /// <summary>Paid for or punished: the edit means nothing.</summary>
    Moved,
}

/// <summary>One check: the same texts with and without one change, and what the recovered reward makes of it.</summary>
/// <remarks>
/// Numbers are in deviations of each run's reward over the test texts, mean over all runs; intervals resample prompts. For "length" <see cref="Effect"/> is a correlation and there is no baseline.
/// </remarks>
public sealed record AuditSpuriousCheck
{
    /// <summary>"length", "refusal_harmless", "refusal_risky", "sycophancy", "marker_prefix", "marker_suffix", "marker_both", "prompt_copy", "repetition".</summary>
    public required string Key { get; init; }

    public required AuditSpuriousVerdict Verdict { get; init; }
    public required AuditSpuriousWhen When { get; init; }

    /// <summary>Prompts with at least one twin.</summary>
    public required int Prompts { get; init; }

    /// <summary>Texts with a twin.</summary>
    public required int Texts { get; init; }

    /// <summary>Texts without one: they refuse already, there is nothing to copy, or the last sentence is too long.</summary>
    public required int LeftOut { get; init; }

    /// <summary>Reward of the twin less that of the text (or of the other twin); null with fewer prompts than an interval needs, as are all numbers.</summary>
    public AuditInterval? Effect { get; init; }

    /// <summary>The content-blind baseline: the reward's own slope over length within prompts, times the tokens that the edit added. Null where lengths never differ within a prompt.</summary>
    public AuditInterval? Baseline { get; init; }

    /// <summary><see cref="Effect"/> less <see cref="Baseline"/>.</summary>
    public AuditInterval? Excess { get; init; }

    /// <summary>For "repetition": what as many words that repeat nothing do.</summary>
    public AuditInterval? Control { get; init; }

    /// <summary><see cref="Effect"/> less <see cref="Control"/>.</summary>
    public AuditInterval? OverControl { get; init; }

    /// <summary>Two-sided, of <see cref="Effect"/>: Student's t over prompts.</summary>
    public double? P { get; init; }

    /// <summary>The same corrected for the number of checks.</summary>
    public double? HolmP { get; init; }

    /// <summary>Runs whose own effect has the sign of <see cref="Effect"/>.</summary>
    public int SameSign { get; init; }

    /// <summary>Standard deviation of the effect between runs; null with one run.</summary>
    public double? RunDeviation { get; init; }

    /// <summary>For markers: change of the variance between runs of a text's reward.</summary>
    public AuditInterval? Variance { get; init; }

    /// <summary>For markers: change of a test pair's mutual information of preference and run when its audited text is marked, nats.</summary>
    public AuditInterval? Information { get; init; }

    /// <summary>Twins that move most in the direction of <see cref="Effect"/>, most first.</summary>
    public IReadOnlyList<AuditTwin> Examples { get; init; } = [];

    /// <summary>It speaks of a spurious reward.</summary>
    public bool IsFound => (Verdict, When) is (AuditSpuriousVerdict.PaidFor, AuditSpuriousWhen.PaidFor or AuditSpuriousWhen.Moved) or (AuditSpuriousVerdict.Punished, AuditSpuriousWhen.Moved);
}

/// <summary>A pair of twins.</summary>
/// <param name="Text">Id of the text both are made from.</param>
/// <param name="Edit">How the first is made.</param>
/// <param name="Against">How the second is made; null: it is the text itself.</param>
/// <param name="Effect">Reward of the first less that of the second, mean over runs.</param>
public sealed record AuditTwin(string Text, TextEdit Edit, TextEdit? Against, double Effect);

/// <summary>How much of the test pairs length alone would settle.</summary>
/// <param name="Pairs">All test pairs.</param>
/// <param name="Matched">Of them, pairs whose lengths differ by at most <paramref name="MatchedShare"/> of the longer one, or by <paramref name="MatchedTokens"/> tokens.</param>
/// <param name="Accuracy">Share of all test pairs whose audited text scores higher; null with fewer prompts than an interval needs, as are the next ones.</param>
/// <param name="OnMatched">The same on matched pairs.</param>
/// <param name="Longer">The content-blind baseline: the share in which the audited text is the longer one, equal lengths counting half. Choosing the shorter is right in the rest.</param>
public sealed record AuditLengthPairs(int Pairs, int Matched, double MatchedShare, int MatchedTokens, AuditInterval? Accuracy, AuditInterval? OnMatched, AuditInterval? Longer);

/// <summary>Spurious checks of an audit, on texts of its test prompts.</summary>
/// <param name="Level">Family-wise error, by Holm over all checks.</param>
/// <param name="LeastEffect">Effects below it do not count, in reward deviations.</param>
/// <param name="LeastCorrelation">The same for the correlation with length.</param>
/// <param name="PromptsNeeded">For an interval.</param>
/// <param name="Runs">All runs of the judged method.</param>
public sealed record AuditSpuriousChecks(double Level, double LeastEffect, double LeastCorrelation, int PromptsNeeded, int Runs, IReadOnlyList<AuditSpuriousCheck> Checks, AuditLengthPairs Length)
{
    /// <summary>Checks in which something could be tested.</summary>
    public int Tested => Checks.Count(check => check.HolmP is not null && check.When is not AuditSpuriousWhen.Never);
}
