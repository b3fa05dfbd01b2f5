namespace Portal.Data.JobSpecs;

/// <summary>
/// Trains a policy by reinforcement (RLOO, or ReMax): it writes answers to each prompt, a reward scores them, and those become likelier that did better than their siblings, or than the greedy answer, held
/// close to the policy it starts from.
/// </summary>
public sealed record TrainRlooPolicy : JobSpec
{
    /// <summary>
    /// Repair of a policy that people flagged: ReMax on flagged prompts and those like them, held close to what it is there, and closer on the others. Whoever uses it names policy, reward model and prompt.
    /// </summary>
    /// <remarks>
    /// Rewards are normalised once and advantages are not, so that a reward is worth the same beside the retain term at every step. Without a price on divergence the flagged prompts improve and all others get worse
    /// (specs/xrlhf.md §2.2 C); what other prices did on one seed: DECISIONS.md, 30. The budget mostly ends it before its steps.
    /// </remarks>
    public static TrainRlooPolicy Repair { get; } = new()
    {
        Baseline = AdvantageBaseline.Greedy, RetainWeight = 0.5, NormalizeReward = true, NormalizeAdvantages = false, KlBudgetNats = 3,
        Optimization = new TrainRlooPolicy().Optimization with { StepsMax = 60 },
    };

    /// <summary>The policy to start from, which is also the reference; null means the project's base policy.</summary>
    public ModelVersionId? ParentId { get; init; }

    /// <summary>The reward model that is learned from; null means the project's current one.</summary>
    public ModelVersionId? RewardModelId { get; init; }

    /// <summary>The reward model that scores before and after; null means the one that is learned from, which is no independent witness.</summary>
    public ModelVersionId? ScoredById { get; init; }

    /// <summary>Which prompts are held out; judgements play no part.</summary>
    public DatasetRules Rules { get; init; } = new();

    /// <summary>
    /// The prompt whose answers are to get better: it and those of the training part most like it (by the words they share) are learnt on, and no others. It is learnt on even if the split holds it out; no held-out
    /// figure of this run counts it then. Null for all training prompts.
    /// </summary>
    public PromptId? LikeId { get; init; }

    /// <summary>How many are learnt on besides it, at most; with a retain term at most half of the other training prompts, so that some are left to hold on to.</summary>
    public int Like { get; init; } = 40;

    /// <summary>What an answer's reward is compared with.</summary>
    public AdvantageBaseline Baseline { get; init; } = AdvantageBaseline.Siblings;

    /// <summary>Greedy: how far an answer's reward may count as above or below the greedy one's; null for no limit.</summary>
    public double? AdvantageLimit { get; init; } = 5;

    /// <summary>Answers to each prompt; at least 2 where they are compared with each other.</summary>
    public int SamplesPerPrompt { get; init; } = 4;

    /// <summary>Of sampling, and of every log-probability; above 0.</summary>
    public double Temperature { get; init; } = 0.8;

    /// <summary>Longest answer.</summary>
    public int TokensMax { get; init; } = 160;

    /// <summary>What a nat of divergence from the reference costs, in units of the reward.</summary>
    public double Beta { get; init; } = 0.05;

    /// <summary>
    /// What a nat of divergence from the reference costs on prompts that are not to change, in units of the advantages; 0 for none. Above 0 it needs <see cref="LikeId"/>: held are answers to the other
    /// training prompts of the project, but for those on whose responses an open or confirmed flag stands.
    /// </summary>
    public double RetainWeight { get; init; }

    /// <summary>Such prompts a step, each answered once; drawn by the seed and the step.</summary>
    public int RetainPrompts { get; init; } = 16;

    /// <summary>Brings rewards to mean 0 and deviation 1 on answers of the policy it starts from, so that beta means the same whatever the reward's own scale is.</summary>
    public bool NormalizeReward { get; init; }

    /// <summary>Taken off the reward of an answer that did not end before the limit.</summary>
    public double UnfinishedPenalty { get; init; }

    /// <summary>Rewards are held within ± this before the divergence is taken off; null for no limit.</summary>
    public double? RewardLimit { get; init; }

    /// <summary>Advantages of a step are brought to mean 0 and deviation 1.</summary>
    public bool NormalizeAdvantages { get; init; } = true;

    /// <summary>Over what the loss is a mean.</summary>
    public PolicyLossLevel LossLevel { get; init; } = PolicyLossLevel.Token;

    /// <summary>How far a likelihood ratio may fall below 1 and rise above it before its gradient ends; plays no part with one update a step.</summary>
    public double ClipLow { get; init; } = 0.2;
    public double ClipHigh { get; init; } = 0.2;

    /// <summary>Passes over the answers of a step, each with an update of its own; 1 keeps to what the policy itself would say.</summary>
    public int UpdatesPerStep { get; init; } = 1;

    /// <summary>Divergence from the reference that the policy may have, nats per response; null for no limit.</summary>
    public double? KlBudgetNats { get; init; }

    /// <summary>
    /// Steps, the newest among them, whose mean divergence is held against the budget where the run stops there. The divergence of one step's answers lies mostly in a few of them: one step alone may stop a run far
    /// from its budget, many tell later.
    /// </summary>
    public int KlBudgetSteps { get; init; } = 1;

    /// <summary>What happens at the budget.</summary>
    public KlControl KlControl { get; init; } = KlControl.Stop;

    /// <summary>Adapt: responses after which a constant excess of a fifth or more has raised beta by a fifth.</summary>
    public double KlHorizon { get; init; } = 500;

    /// <summary>Held-out prompts that are answered to see how the run goes, at most so many.</summary>
    public int HeldOutPrompts { get; init; } = 64;

    /// <summary>
    /// A micro-batch is so many prompts with all their answers. Prompts are gone through as often as the steps ask for.
    /// </summary>
    public OptimizationSpec Optimization { get; init; } = new()
    {
        LearningRate = 5e-4, BatchSize = 4, AccumulationSteps = 4, Epochs = 1_000, StepsMax = 120, Schedule = Schedule.Constant, EvaluateEverySteps = 20, CheckpointEverySteps = 20,
    };

    /// <summary>How the before/after comparison is sampled.</summary>
    public EvaluationSpec Evaluation { get; init; } = new();
}

/// <summary>What the reward of an answer is compared with.</summary>
public enum AdvantageBaseline
{
    /// <summary>The mean of the other answers to the same prompt (RLOO).</summary>
    Siblings,

    /// <summary>The reward of the policy's greedy answer to the same prompt (ReMax): one sample a prompt is enough.</summary>
    Greedy,
}

/// <summary>Over what a policy gradient's loss is a mean, and what its clipped ratio is of.</summary>
public enum PolicyLossLevel
{
    /// <summary>All tokens of the step: long answers weigh more.</summary>
    Token,

    /// <summary>Answers, each with one ratio for its whole text (TRL's RLOO).</summary>
    Sequence,
}

/// <summary>What is done when a policy's divergence from its reference reaches the budget.</summary>
public enum KlControl
{
    /// <summary>The run ends there.</summary>
    Stop,

    /// <summary>Beta follows the budget: it rises while the divergence is above, and falls while it is below.</summary>
    Adapt,

    /// <summary>
    /// The run ends where the divergence on held-out prompts, looked at with every evaluation, is above the budget, and keeps the evaluated weights that were nearest to it: for policies that are to be compared at
    /// equal divergence.
    /// </summary>
    Match,
}
