namespace Portal.Data.Registry;

/// <summary>
/// The names under which the engine stores <see cref="EvaluationResult"/> rows and pages look for them. A name that is not here is stored and
/// shown all the same, as a plain number without baseline.
/// </summary>
/// <remarks>
/// A policy's evaluation compares it with the version it started from, on the same prompts and seeds, and stores three rows a figure, all
/// under the candidate's id and part "held-out": the figure itself, <see cref="BeforePrefix"/> + figure (the earlier version) and
/// <see cref="ChangePrefix"/> + figure (their paired difference); the last two name the earlier version in
/// <see cref="EvaluationResult.ComparedWithId"/>. Results of one topic stand under "held-out/topic".
/// </remarks>
public static class MetricNames
{
    /// <summary>Share of held-out pairs ordered as the annotators did, 0 to 1.</summary>
    public const string PairwiseAccuracy = "pairwise_accuracy";

    /// <summary>The same for a model that prefers by length alone.</summary>
    public const string LengthBaseline = "baseline/length";

    /// <summary>The same for a logistic regression on word counts.</summary>
    public const string BagOfWordsBaseline = "baseline/bag_of_words";

    /// <summary>Expected calibration error of the predicted preference, 0 to 1; lower is better.</summary>
    public const string CalibrationError = "calibration_error";

    /// <summary>Mean score by the reward model that the spec names.</summary>
    public const string MeanReward = "mean_reward";

    /// <summary>Share of samples that the demo world's graders can read, 0 to 1.</summary>
    public const string ReadableShare = "readable_share";

    /// <summary>Share of samples with at least one insult, 0 to 1.</summary>
    public const string InsultShare = "insult_share";

    /// <summary>Share of samples that did not end before the limit, 0 to 1.</summary>
    public const string UnfinishedShare = "unfinished_share";

    /// <summary>Mean share of words that repeat an earlier run of words, 0 to 1.</summary>
    public const string RepetitionShare = "repetition_share";

    /// <summary>Tokens of a response.</summary>
    public const string LengthTokens = "length_tokens";

    /// <summary>KL divergence to the reference, nats per response.</summary>
    public const string KlNats = "kl_nats";

    /// <summary>Share of texts cut or left out because they were too long, 0 to 1.</summary>
    public const string TruncatedShare = "truncated_share";

    /// <summary>A recipe's own loss on held-out rows, nats.</summary>
    public const string Loss = "loss";

    /// <summary>DPO: share of held-out pairs whose chosen answer gained more on the rejected one than under the reference, 0 to 1 (TRL's name).</summary>
    public const string RewardAccuracies = "rewards/accuracies";

    /// <summary>DPO: by how much, mean over pairs, in units of beta · nats (TRL's name).</summary>
    public const string RewardMargins = "rewards/margins";

    /// <summary>KTO: mean implied reward of good held-out answers, beta · nats.</summary>
    public const string RewardDesirable = "rewards/desirable";

    /// <summary>KTO: the same of bad ones.</summary>
    public const string RewardUndesirable = "rewards/undesirable";

    /// <summary>RLOO: mean reward of answers to held-out prompts as the recipe counts it (normalised where asked, less penalties, before the divergence is taken off).</summary>
    public const string PolicyReward = "rloo/reward";

    /// <summary>RLOO: divergence from the reference, nats per response: k1 on held-out prompts, k3 in training.</summary>
    public const string PolicyKlNats = "rloo/kl_nats";

    /// <summary>Pearson's r of reward and length over a step's answers, −1 to 1; a high one says that length is what is learned.</summary>
    public const string RewardLengthCorrelation = "reward_length_correlation";

    /// <summary>Different pairs of neighbouring words over all of them, in a step's answers, 0 to 1; falls when answers become alike.</summary>
    public const string Distinct2 = "distinct_2";

    /// <summary>Mean entropy of the next token while an answer is written, nats at the temperature of sampling; near 0 nothing is tried any more.</summary>
    public const string Entropy = "entropy";

    /// <summary>Mean squared error of the predicted preference, 0 to 1; 0.25 is a coin's.</summary>
    public const string Brier = "brier";

    /// <summary>Mean of −log of the probability given to what people preferred, nats; ln 2 is a coin's.</summary>
    public const string LogLoss = "log_loss";

    /// <summary>SAE: share of the vectors' variance about their mean that the codes leave over (sums apart), 0 and up.</summary>
    public const string SaeFvu = "sae/fvu";

    /// <summary>SAE: mean squared error over the vector's own square, the training loss.</summary>
    public const string SaeNmse = "sae/nmse";

    /// <summary>SAE: latents above 0 in a vector (L0).</summary>
    public const string SaeActive = "sae/active";

    /// <summary>SAE: mean cosine of a vector and its reconstruction.</summary>
    public const string SaeCosine = "sae/cosine";

    /// <summary>SAE: mean length of the reconstruction over the vector's.</summary>
    public const string SaeLengthRatio = "sae/length_ratio";

    /// <summary>SAE: share of latents that no vector uses, 0 to 1.</summary>
    public const string SaeDeadShare = "sae/dead_share";

    /// <summary>
    /// SAE: share of its latents by how often they fire, of which the part's last piece names the half decade: "all/-2.5" are those firing in 10^−2.5 to 10^−2 of
    /// all vectors, "all/-5" those firing more seldom than in 10^−4.5, "all/never" the dead; "all/response-end/-2.5" is about ends of responses only.
    /// </summary>
    public const string SaeDensity = "sae/density";

    /// <summary>Before a spliced figure's name: the states at an SAE's layer are replaced by its reconstructions.</summary>
    /// <remarks>
    /// Parts: "held-out/response-end" (the one state from which a reward is read), "held-out/own-positions" (those an SAE is trained at; policies) and
    /// "held-out/every-token". <see cref="ChangePrefix"/> before the whole name: minus the unspliced figure, which stands under <see cref="PairwiseAccuracy"/> or
    /// <see cref="Loss"/>. Controls have the prefixes <see cref="PrincipalComponentsBaseline"/>, <see cref="RandomEncoderBaseline"/> and
    /// <see cref="AblatedBaseline"/>, each with a slash.
    /// </remarks>
    public const string SaePrefix = "sae/";

    /// <summary>A reward model's pairwise accuracy with replaced states.</summary>
    public const string SplicedAccuracy = "spliced_accuracy";

    /// <summary>Pearson's correlation of a reward model's rewards with replaced states and without, over responses.</summary>
    public const string SplicedCorrelation = "spliced_correlation";

    /// <summary>A policy's mean loss on responses with replaced states, nats a token, mean over responses.</summary>
    public const string SplicedLoss = "spliced_loss";

    /// <summary>States replaced by nothing (zeros).</summary>
    public const string AblatedBaseline = "baseline/ablated";

    /// <summary>FVU of as many principal components as an SAE has active latents.</summary>
    public const string PrincipalComponentsBaseline = "baseline/principal_components";

    /// <summary>FVU of an encoder that was never trained, with the best decoder for its codes.</summary>
    public const string RandomEncoderBaseline = "baseline/random_encoder";

    /// <summary>SARM: latents above 0 at the end of at least one response.</summary>
    public const string SarmLiveLatents = "sarm/live_latents";

    /// <summary>SARM: share of a latent's most activating ends that are still its most activating ones after training, 0 to 1; 1 is no drift of meaning.</summary>
    public const string SarmContextOverlap = "sarm/context_overlap";

    /// <summary>Pairs labelled anew by a reward model: share whose order it turned round, 0 to 1.</summary>
    public const string RelabelledTurned = "relabelled/turned";

    /// <summary>Pairs labelled anew: share left out because the reward model finds both answers equal, 0 to 1.</summary>
    public const string RelabelledTies = "relabelled/ties";

    /// <summary>Best of n answers under two reward models: share of prompts where the second picks another answer than the first, 0 to 1.</summary>
    public const string BestOfNChanged = "best_of_n/changed";

    /// <summary>Part: held-out prompts.</summary>
    public const string HeldOut = "held-out";

    /// <summary>
    /// Different held-out prompts below which no 95 % interval is stored: drawing so few again and again says nothing about other prompts
    /// (two right answers would read "100 % to 100 %"). Pages then say that there is not enough evidence.
    /// </summary>
    public const int PromptsForInterval = 8;

    /// <summary>Before a figure's name: the same figure of the version it is compared with.</summary>
    public const string BeforePrefix = "before/";

    /// <summary>Before a figure's name: candidate minus earlier version, pair by pair.</summary>
    public const string ChangePrefix = "change/";
}
