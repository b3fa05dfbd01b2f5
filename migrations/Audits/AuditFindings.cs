namespace Portal.Data.Audits;

/// <summary>What a method's runs amount to. Measured on test prompts.</summary>
public sealed record AuditedMethod
{
    public required string Name { get; init; }

    /// <summary>It shows what nothing learnt looks like; it is not offered as an answer.</summary>
    public required bool IsControl { get; init; }

    /// <summary>Why it could not run; null where it did. Then there are no numbers.</summary>
    public string? WhyNot { get; init; }

    /// <summary>Why this method's result may not be judged; empty: it may.</summary>
    public required IReadOnlyList<AuditReason> Reasons { get; init; }

    /// <summary>Share of test pairs whose audited completion scores higher, over the runs' mean probabilities.</summary>
    public AuditInterval? Accuracy { get; init; }

    /// <summary>Of the runs' mean probabilities: in 15 quantile bins.</summary>
    public double? CalibrationError { get; init; }
    public double? Brier { get; init; }
    public double? LogLoss { get; init; }
    public IReadOnlyList<AuditBin> Bins { get; init; } = [];

    /// <summary>A_ens.</summary>
    public AuditInterval? Ambiguity { get; init; }

    /// <summary>A_undet.</summary>
    public AuditInterval? Undetermined { get; init; }

    /// <summary>A_post, nats, where the method has a posterior.</summary>
    public double? MedianInformation { get; init; }

    /// <summary>A_ens after each round, where the method has rounds; null in it: undefined.</summary>
    public IReadOnlyList<AuditInterval?> AmbiguityByRound { get; init; } = [];

    /// <summary>d_STARC between runs, [M][M]; empty where undefined.</summary>
    public IReadOnlyList<double[]> Distances { get; init; } = [];

    /// <summary>Share of test pairs that two runs order differently, [M][M].</summary>
    public IReadOnlyList<double[]> Disagreement { get; init; } = [];

    /// <summary>Every run; none was chosen as best.</summary>
    public IReadOnlyList<AuditRun> Runs { get; init; } = [];

    /// <summary>Against the trained reward model; null without one.</summary>
    public AuditReference? Reference { get; init; }

    /// <summary>How it sorts bad texts from good ones; null where nobody says which are bad, where candidates are all of one kind, and in audits that were made before this was measured.</summary>
    public AuditKinds? Kinds { get; init; }
}

/// <summary>How a method's mean reward sorts candidates of test prompts by kind. Nothing was trained or chosen by the kinds.</summary>
/// <param name="By">What says which are bad: "labels" or "lexicon".</param>
/// <param name="Texts">Candidates with a kind.</param>
/// <param name="Bad">Of them.</param>
/// <param name="Area">Area under the curve: how often a bad text has the lower reward, equal ones counting half; null where bad or good texts come from fewer prompts than an interval needs.</param>
/// <param name="F1">Of the bad kind, 0 to 1: the threshold lies half-way between the means of both kinds on every other prompt and is judged on the rest, both ways round; null where a half lacks a kind.</param>
/// <param name="F1Macro">Mean of both kinds' F1.</param>
public sealed record AuditKinds(string By, int Texts, int Bad, AuditInterval? Area, double? F1, double? F1Macro);

/// <summary>One bar of a reliability diagram.</summary>
public sealed record AuditBin(double From, double To, int Count, double? MeanPredicted, AuditInterval? Observed);

/// <summary>One run of a method.</summary>
/// <param name="Accuracy">Against the policy label, on test pairs.</param>
/// <param name="HoldoutNll">By which it was stopped, nats.</param>
/// <param name="Curve">Hold-out loss after each epoch.</param>
/// <param name="TrainLoss">The method's own loss, epoch by epoch; null before the first.</param>
/// <param name="Distance">d_STARC to the reference; null without one.</param>
public sealed record AuditRun(int Seed, int Bootstrap, double Accuracy, double HoldoutNll, IReadOnlyList<double> Curve, IReadOnlyList<double?> TrainLoss, int BestEpoch, bool HasConverged, double? Ridge, double? Distance,
    IReadOnlyList<AuditRound> Rounds);

/// <summary>One round of a failure-aware run.</summary>
public sealed record AuditRound(int Round, int Misclassified, int NearTies, int ScreenedOut, int Admitted, double HoldoutNll, bool IsAccepted);

/// <summary>A method's rewards against a trained reward model's, on the candidates of test prompts.</summary>
/// <param name="Distance">d_STARC within prompts.</param>
/// <param name="Global">The variant over all texts.</param>
/// <param name="PairAccuracy">Test pairs that both order alike, of those the reference tells apart.</param>
public sealed record AuditReference(AuditInterval? Distance, AuditInterval? Global, AuditInterval? Regret, AuditInterval? Pearson, AuditInterval? Spearman, AuditInterval? Kendall, AuditInterval? WithinPrompt,
    AuditInterval? PairAccuracy);

/// <summary>What may be said of a feature.</summary>
public enum AuditIncentiveVerdict { PaidFor, Punished, NotDetectable, SignFlips, Constant }

/// <summary>An incentive table.</summary>
/// <param name="Name">"readable" or "sae".</param>
/// <param name="Test">"Joint" (all others held) or "LengthHeld".</param>
/// <param name="RewardDeviation">Divide an effect by it for reward deviations; null where features are not fitted jointly.</param>
/// <param name="Pairs">n.</param>
/// <param name="Runs">Resamples behind <see cref="AuditIncentive.SameSign"/>.</param>
public sealed record AuditIncentives(string Name, string Test, double Level, double? RewardDeviation, int Pairs, int Runs, IReadOnlyList<AuditIncentive> Rows);

/// <summary>One feature. Effects are logits per deviation of the feature; null where it is constant.</summary>
/// <param name="Key">A stable name, e.g. "length_tokens", "latent_12_max".</param>
/// <param name="Name">For people, in English.</param>
/// <param name="IsSpurious">Paid for in the direction of <paramref name="SpuriousSign"/>, it counts for the third light.</param>
/// <param name="Effect">The effect that is tested.</param>
/// <param name="ExamplePairs">Ids of pairs in which it speaks most for the audited completion, most first.</param>
/// <param name="SpuriousSign">+1: more of it is what should not be paid for; −1: less of it; 0: neither, or an audit that did not keep it.</param>
public sealed record AuditIncentive(string Key, string Name, AuditIncentiveVerdict Verdict, bool IsSpurious, AuditInterval? Effect, AuditInterval? Alone, AuditInterval? LengthHeld, double? P, double? HolmP, int SameSign, double? Vif,
    double? MarginShare, double? LeastDetectable, IReadOnlyList<string> ExamplePairs, int SpuriousSign = 0);

/// <summary>What a readable table could have found.</summary>
/// <param name="Seed">It can be made again with it.</param>
public sealed record AuditPower(int Repeats, double Level, long Seed, IReadOnlyList<AuditPowerCell> Cells);

/// <summary>How often a planted effect is found.</summary>
/// <param name="Effect">Logits per feature deviation; 0: false alarms.</param>
public sealed record AuditPowerCell(string Key, int Pairs, double Effect, AuditInterval Found);

/// <summary>What the recovered reward makes of a training pair.</summary>
public enum AuditFailureKind { NearTie, Misclassified }

/// <summary>A training pair that the mean of the runs gets wrong or hardly tells apart. Margins are in units of the run's median margin, mean over runs.</summary>
/// <param name="MarginStart">Before any round; the same as <paramref name="Margin"/> for methods without rounds.</param>
/// <param name="BaseMargin">Of the linear path alone.</param>
/// <param name="RunsWrong">Runs in which it is misclassified, of <paramref name="Runs"/>.</param>
/// <param name="RunsScreened">Runs of the screened method that kept it from teaching; null where that method did not run.</param>
/// <param name="Screen">The reason most of them had; null: none had.</param>
/// <param name="LogRatio">dl, nats; null where not known.</param>
/// <param name="ReferenceMargin">The trained reward model's r(audited) − r(base); null without one.</param>
public sealed record AuditFailure(string Pair, AuditFailureKind Kind, double Margin, double BaseMargin, double MarginStart, int RunsWrong, int Runs, int? RunsScreened, string? Screen, double? LogRatio, double? ReferenceMargin);

/// <summary>How sure the runs are of a test pair. Entropies in nats.</summary>
/// <param name="Probability">Mean over runs that the audited completion is preferred.</param>
/// <param name="Epistemic">What more data could settle.</param>
public sealed record AuditTestPair(string Pair, double Probability, double Total, double Aleatoric, double Epistemic, bool IsUndetermined);

/// <summary>A candidate's reward, z-scored over all candidates.</summary>
/// <param name="Z">Of the runs' mean.</param>
/// <param name="Deviation">Between runs, in the same unit.</param>
/// <param name="Reference">The trained reward model's score, z-scored; null without one.</param>
public sealed record AuditPoint(string Text, double Z, double Deviation, double? Reference);

/// <summary>Scores of one candidate. One line of <c>scores.jsonl</c>.</summary>
/// <param name="Text">Id.</param>
/// <param name="Methods">By method: the score under each run, at the common scale of <see cref="RecoveredRun.Factor"/>.</param>
public sealed record TextScores(string Text, IReadOnlyDictionary<string, double[]> Methods, double? Reference = null);

/// <summary>All recovered rewards of an audit, so that a new text can be scored under each: <c>rewards.json</c>.</summary>
/// <param name="Features">What they read, as in <see cref="AuditProvenance.Features"/>.</param>
/// <param name="Names">Of the features, in order. [d].</param>
/// <param name="Mean">Taken off each feature. [d].</param>
/// <param name="Deviation">Then divided by; 0: the feature is constant and counts as 0. [d].</param>
public sealed record RecoveredRewardsFile(int SchemaVersion, string Features, string Reading, string ReaderHash, IReadOnlyList<string> Names, double[] Mean, double[] Deviation, IReadOnlyList<RecoveredMethod> Methods,
    string? SaeHash = null)
{
    public const string FileName = "rewards.json";
}

/// <summary>A method's rewards.</summary>
public sealed record RecoveredMethod(string Name, IReadOnlyList<RecoveredRun> Runs);

/// <summary>One run's reward: score = factor · (θ·z + λ v·tanh(W z + b)).</summary>
/// <param name="Factor">Brings runs to a common scale.</param>
/// <param name="Centre">Mean score of all candidates: a score less it, over <paramref name="Spread"/>, is a z-score.</param>
/// <param name="Spread">Their deviation; 0 where the reward tells none apart.</param>
/// <param name="CorrectionInput">W, row by row; null without a correction, as are the next two.</param>
public sealed record RecoveredRun(int Seed, int Bootstrap, double Factor, double Centre, double Spread, double[] Theta, double Lambda, double[]? CorrectionInput = null, double[]? CorrectionOffset = null,
    double[]? CorrectionOutput = null);
