namespace Portal.Data.JobSpecs;

/// <summary>Trains a policy directly on judgements: DPO on pairs, KTO on single verdicts.</summary>
public sealed record TrainPreferencePolicy : JobSpec
{
    public PreferenceMethod Method { get; init; } = PreferenceMethod.Dpo;

    /// <summary>The policy to start from, which is also the reference; null means the project's base policy.</summary>
    public ModelVersionId? ParentId { get; init; }

    /// <summary>The reward model that scores before and after; null means the project's current one, none where there is none.</summary>
    public ModelVersionId? RewardModelId { get; init; }

    public DatasetRules Rules { get; init; } = new();

    /// <summary>
    /// DPO: a reward model whose order replaces people's in every pair, so that the policy learns what this model prefers (a toggled one, say); null keeps people's.
    /// Pairs it finds equal are left out and counted.
    /// </summary>
    public ModelVersionId? RelabelledById { get; init; }

    /// <summary>How closely the policy stays to the reference: higher is more cautious.</summary>
    public double Beta { get; init; } = 0.1;

    /// <summary>DPO: the share of votes assumed to be wrong (conservative DPO); 0 for none.</summary>
    public double LabelSmoothing { get; init; }

    /// <summary>KTO: weights of good and bad examples.</summary>
    public double DesirableWeight { get; init; } = 1.0;
    public double UndesirableWeight { get; init; } = 1.0;

    public int LengthMax { get; init; } = 192;
    public Overlong Overlong { get; init; } = Overlong.Filter;

    public OptimizationSpec Optimization { get; init; } = new()
    {
        LearningRate = 3e-4, BatchSize = 32, Epochs = 1, Schedule = Schedule.Linear, EvaluateEverySteps = 20,
    };

    /// <summary>How the before/after comparison is sampled.</summary>
    public EvaluationSpec Evaluation { get; init; } = new();
}

/// <summary>Methods that train a policy on judgements without a reward model in the loop.</summary>
public enum PreferenceMethod { Dpo, Kto }

/// <summary>How a policy is compared with the one before it, on the same held-out prompts and seeds.</summary>
public sealed record EvaluationSpec
{
    /// <summary>Held-out prompts, at most so many.</summary>
    public int Prompts { get; init; } = 300;

    /// <summary>Samples per prompt and policy.</summary>
    public int SamplesPerPrompt { get; init; } = 4;

    public SamplingSpec Sampling { get; init; } = new();

    /// <summary>A prompt that is asked as well, held out or not, with those most like it; null for none. For readers: no figure counts them.</summary>
    public PromptId? LikeId { get; init; }

    /// <summary>How many are asked besides it.</summary>
    public int Like { get; init; } = 20;
}
