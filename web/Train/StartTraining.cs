using System.Security.Claims;
using Portal.Data;
using Portal.Data.JobSpecs;
using Portal.Data.Storage;
using Portal.Web.Accounts;

namespace Portal.Web.Train;

/// <summary>What a person trains: a reward model and then a policy, or one of the two.</summary>
public enum TrainingGoal
{
    /// <summary>The usual retraining: the policy starts when the reward model has succeeded, so that the comparison is scored by it.</summary>
    Both,
    RewardModel,
    Policy,
}

/// <summary>How a policy learns.</summary>
public enum PolicyMethod
{
    /// <summary>From pairs.</summary>
    Dpo,

    /// <summary>From single verdicts.</summary>
    Kto,

    /// <summary>From a reward model that is there already, by reinforcement.</summary>
    Rloo,
}

/// <summary>How closely the policy stays to where it started, in words.</summary>
public enum Caution
{
    Cautious,
    Normal,
    Bold,
}

/// <summary>The form of a training. Mutable: the page's inputs are bound to it.</summary>
public sealed class TrainingInput
{
    public TrainingGoal Goal { get; set; } = TrainingGoal.Both;
    public PolicyMethod Method { get; set; } = PolicyMethod.Dpo;
    public Caution Caution { get; set; } = Caution.Normal;
    public bool IncludeSimulated { get; set; } = true;
    public bool IncludeImported { get; set; } = true;

    /// <summary>Per cent of prompts.</summary>
    public double HeldOutPercent { get; set; } = 20;

    public long Seed { get; set; } = 1;
    public bool UseMargins { get; set; }
    public double RewardLearningRate { get; set; } = 1e-3;
    public int RewardEpochs { get; set; } = 2;
    public int RewardBatch { get; set; } = 64;
    public double PolicyLearningRate { get; set; } = 3e-4;
    public int PolicyEpochs { get; set; } = 1;
    public int PolicyBatch { get; set; } = 32;
    public double LabelSmoothing { get; set; }
    public int EvaluationPrompts { get; set; } = 300;
    public double RlooLearningRate { get; set; } = 5e-4;
    public int RlooSteps { get; set; } = 120;

    /// <summary>Nats per response at which a run of reinforcement ends; null for no limit.</summary>
    public double? KlBudgetNats { get; set; } = 8;

    /// <summary>β of a caution: the higher, the closer the policy stays to its reference. By reinforcement it is what a nat costs, in deviations of the reward.</summary>
    public static double BetaOf(Caution caution, PolicyMethod method) => (caution, method is PolicyMethod.Rloo) switch
    {
        (Caution.Cautious, false) => 0.5,
        (Caution.Normal, false) => 0.1,
        (Caution.Bold, false) => 0.03,
        (Caution.Cautious, true) => 0.2,
        (Caution.Normal, true) => 0.05,
        (Caution.Bold, true) => 0.01,
    };

    public DatasetRules Rules => new() { IncludeSimulated = IncludeSimulated, IncludeImported = IncludeImported, HeldOutShare = HeldOutPercent / 100 };

    /// <summary>The reward model's spec; what the form does not ask keeps the spec's own defaults.</summary>
    public TrainRewardModel RewardModel()
    {
        var spec = new TrainRewardModel { Seed = Seed, Rules = Rules, UseMargins = UseMargins };
        return spec with { Optimization = spec.Optimization with { LearningRate = RewardLearningRate, Epochs = RewardEpochs, BatchSize = RewardBatch } };
    }

    /// <summary>The spec of a policy that learns from the reward model that serves when the job starts (the newest where none does), normalised, so that β means the same for each.</summary>
    public TrainRlooPolicy Rloo()
    {
        var spec = new TrainRlooPolicy { Seed = Seed, Rules = Rules, Beta = BetaOf(Caution, PolicyMethod.Rloo), NormalizeReward = true, UnfinishedPenalty = 1, KlBudgetNats = KlBudgetNats };
        return spec with
        {
            Optimization = spec.Optimization with { LearningRate = RlooLearningRate, StepsMax = RlooSteps },
            Evaluation = spec.Evaluation with { Prompts = EvaluationPrompts },
        };
    }

    /// <summary>The policy's spec. The reward model that scores before and after is the one that serves when the job starts.</summary>
    public TrainPreferencePolicy Policy()
    {
        var spec = new TrainPreferencePolicy
        {
            Seed = Seed, Method = Method is PolicyMethod.Kto ? PreferenceMethod.Kto : PreferenceMethod.Dpo, Rules = Rules, Beta = BetaOf(Caution, Method),
            LabelSmoothing = Method is PolicyMethod.Dpo ? LabelSmoothing : 0,
        };
        return spec with
        {
            Optimization = spec.Optimization with { LearningRate = PolicyLearningRate, Epochs = PolicyEpochs, BatchSize = PolicyBatch },
            Evaluation = spec.Evaluation with { Prompts = EvaluationPrompts },
        };
    }
}

/// <summary>Queues a retraining: one job, or two of which the second waits for the first.</summary>
[Needs(Permission.Administer)]
public sealed class StartTraining(WriteQueue writes, StartJob start, ShowTraining training, Access access)
{
    /// <summary>Judgements below which nothing can be held out and learned from.</summary>
    public const int UsableMin = 10;

    /// <returns>The jobs, in the order in which they will run.</returns>
    public async Task<Outcome<IReadOnlyList<StartedJob>>> Handle(ClaimsPrincipal user, ProjectId projectId, TrainingInput input, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var counted = await training.Count(user, projectId, input.Rules, stop);
        if (counted.Refusal is { } uncounted)
            return uncounted;
        var usable = counted.Value;
        if (input is { Goal: TrainingGoal.Both, Method: PolicyMethod.Rloo })
            return new Problem("method", "RLOO learns from a reward model that is there already. Train the reward model first, look at it, and then only a policy.");
        var needsPairs = input.Goal is not TrainingGoal.Policy || input.Method is PolicyMethod.Dpo;
        if (needsPairs && usable.Pairs < UsableMin)
            return TooFew("pairs with a preferred response", usable.Pairs);
        if (input.Goal is not TrainingGoal.RewardModel && input.Method is PolicyMethod.Kto && (usable.Good + usable.Bad < UsableMin || usable.Good == 0 || usable.Bad == 0))
            return new Problem("rules", $"KTO learns from single responses called good or bad; there are {usable.Good} good and {usable.Bad} bad ones. It needs both, {UsableMin} in all.");
        JobSpec[] specs = input.Goal switch
        {
            TrainingGoal.Both => [input.RewardModel(), input.Policy()],
            TrainingGoal.RewardModel => [input.RewardModel()],
            TrainingGoal.Policy => [input.Method is PolicyMethod.Rloo ? input.Rloo() : input.Policy()],
        };
        if (specs.SelectMany(SpecChecks.Of).DistinctBy(p => p.Message).ToList() is { Count: > 0 } problems)
            return new Refusal(problems);
        // One write: either the whole retraining is in the queue or nothing of it.
        return await writes.WriteAsync<IReadOnlyList<StartedJob>>(db =>
        {
            var started = new List<StartedJob>();
            foreach (var spec in specs)
            {
                var outcome = StartedJob.In(db, () => start.Start(db, asked.Value, projectId, spec, started.Count > 0 ? started[^1].Id : null));
                if (outcome.Refusal is { } why)
                    return why;
                started.Add(outcome.Value);
            }
            return new Outcome<IReadOnlyList<StartedJob>>.Done(started);
        }, stop);
    }

    internal static Problem TooFew(string what, int have) =>
        new("rules", $"There are {have} {what}; a training needs at least {UsableMin}. Vote on more pairs, or include more sources.");
}
