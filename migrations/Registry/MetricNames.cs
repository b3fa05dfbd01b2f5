namespace Portal.Data.Registry;

/// <summary>
/// The names under which recipes store <see cref="EvaluationResult"/> rows and pages look for them. A name that is not here is stored and
/// shown all the same, as a plain number without baseline.
/// </summary>
/// <remarks>
/// A policy's evaluation compares it with the version it started from, on the same prompts and seeds, and stores three rows a metric, all
/// under the candidate's id: the candidate (<see cref="HeldOut"/>), the earlier version (<see cref="HeldOutBefore"/>, with
/// <see cref="EvaluationResult.ComparedWithId"/> set) and their paired difference (<see cref="HeldOutChange"/>, likewise). Results of one
/// topic stand under "held-out/topic".
/// </remarks>
public static class MetricNames
{
    /// <summary>Share of held-out pairs ordered as the annotators did, 0 to 1.</summary>
    public const string PairwiseAccuracy = "pairwise_accuracy";

    /// <summary>The same for a model that prefers the longer response.</summary>
    public const string PairwiseAccuracyLengthOnly = "pairwise_accuracy_length_only";

    /// <summary>The same for a logistic regression on word counts.</summary>
    public const string PairwiseAccuracyBagOfWords = "pairwise_accuracy_bag_of_words";

    /// <summary>Expected calibration error of the predicted preference, 0 to 1; lower is better.</summary>
    public const string CalibrationError = "calibration_error";

    /// <summary>Mean score by the reward model that the spec names.</summary>
    public const string MeanReward = "mean_reward";

    /// <summary>Share of samples that the graders of the demo world can read, 0 to 1.</summary>
    public const string ReadableShare = "readable_share";

    /// <summary>Share of samples with at least one insult, 0 to 1.</summary>
    public const string InsultShare = "insult_share";

    /// <summary>Share of samples that end by themselves, 0 to 1.</summary>
    public const string FinishedShare = "finished_share";

    /// <summary>Tokens of a response.</summary>
    public const string LengthTokens = "length_tokens";

    /// <summary>KL divergence to the reference, nats per response.</summary>
    public const string KlNats = "kl_nats";

    /// <summary>Share of rows cut or left out because they were too long, 0 to 1.</summary>
    public const string TruncatedShare = "truncated_share";

    /// <summary>Parts: the version itself on held-out prompts.</summary>
    public const string HeldOut = "held-out";

    /// <summary>The version it is compared with, on the same prompts and seeds.</summary>
    public const string HeldOutBefore = "held-out/before";

    /// <summary>The paired difference, candidate minus earlier version.</summary>
    public const string HeldOutChange = "held-out/change";
}
