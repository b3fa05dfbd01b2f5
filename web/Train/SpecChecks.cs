using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;

namespace Portal.Web.Train;

/// <summary>
/// What is wrong with the numbers of a job spec, field by field, before a job is made of it: a typo in a form must not become an hour of
/// training. Bounds are what the recipes can do anything sensible with.
/// </summary>
public static class SpecChecks
{
    /// <summary>Every problem, with the field's path in the spec's JSON; empty when nothing is wrong.</summary>
    public static IReadOnlyList<Problem> Of(JobSpec spec) => spec switch
    {
        TrainSft sft => [.. Length(sft.LengthMax), .. Optimization(sft.Optimization)],
        TrainRewardModel reward =>
        [
            .. Between("centeringCoefficient", reward.CenteringCoefficient, 0, 1), .. Length(reward.LengthMax), .. Rules(reward.Rules),
            .. Optimization(reward.Optimization),
        ],
        TrainPreferencePolicy policy =>
        [
            .. Between("beta", policy.Beta, 0.001, 100), .. Between("labelSmoothing", policy.LabelSmoothing, 0, 0.49),
            .. Between("desirableWeight", policy.DesirableWeight, 0, 100), .. Between("undesirableWeight", policy.UndesirableWeight, 0, 100),
            .. Length(policy.LengthMax), .. Rules(policy.Rules), .. Optimization(policy.Optimization),
            .. Between("evaluation.prompts", policy.Evaluation.Prompts, 0, 5_000),
            .. Between("evaluation.samplesPerPrompt", policy.Evaluation.SamplesPerPrompt, 1, 64), .. Sampling("evaluation.sampling", policy.Evaluation.Sampling),
            .. policy is { RelabelledById: not null, Method: not PreferenceMethod.Dpo } ? [new Problem("relabelledById", "Only pairs can be labelled anew by a reward model: choose DPO, or leave it out.")] : Array.Empty<Problem>(),
        ],
        TrainRlooPolicy rloo =>
        [
            .. Between("samplesPerPrompt", rloo.SamplesPerPrompt, rloo.Baseline is AdvantageBaseline.Greedy ? 1 : 2, 64), .. Between("temperature", rloo.Temperature, 0.05, 10), .. Between("tokensMax", rloo.TokensMax, 1, 4_096),
            .. Between("beta", rloo.Beta, 0, 100), .. Between("unfinishedPenalty", rloo.UnfinishedPenalty, 0, 1_000), .. Between("rewardLimit", rloo.RewardLimit ?? 1, 1e-6, 1e6),
            .. Between("clipLow", rloo.ClipLow, 0.001, 0.999), .. Between("clipHigh", rloo.ClipHigh, 0.001, 100), .. Between("updatesPerStep", rloo.UpdatesPerStep, 1, 64),
            .. Between("klBudgetNats", rloo.KlBudgetNats ?? 1, 1e-3, 10_000), .. Between("klBudgetSteps", rloo.KlBudgetSteps, 1, 1_000), .. Between("klHorizon", rloo.KlHorizon, 1, 1e9), .. Between("heldOutPrompts", rloo.HeldOutPrompts, 0, 5_000),
            .. Between("like", rloo.Like, 0, 5_000), .. Between("advantageLimit", rloo.AdvantageLimit ?? 1, 1e-6, 1e6), .. Between("retainWeight", rloo.RetainWeight, 0, 1e6), .. Between("retainPrompts", rloo.RetainPrompts, 1, 1_024),
            .. rloo is { RetainWeight: > 0, LikeId: null } ? [new Problem("retainWeight", "Without a prompt that shall get better (likeId) all are learnt on, and none is left to hold on to.")] : Array.Empty<Problem>(),
            .. Rules(rloo.Rules), .. Optimization(rloo.Optimization), .. Between("evaluation.prompts", rloo.Evaluation.Prompts, 0, 5_000),
            .. Between("evaluation.samplesPerPrompt", rloo.Evaluation.SamplesPerPrompt, 1, 64), .. Sampling("evaluation.sampling", rloo.Evaluation.Sampling),
        ],
        CompareBestOfN compare =>
        [
            .. Between("prompts", compare.Prompts, 1, 5_000), .. Between("answers", compare.Answers, 2, 64), .. Rules(compare.Rules), .. Sampling("sampling", compare.Sampling),
            .. compare.Sampling.Temperature == 0 ? [new Problem("sampling.temperature", "At 0 all answers to a prompt are the same, so there is nothing to choose from.")] : Array.Empty<Problem>(),
            .. compare.AfterId is null ? [new Problem("afterId", "Name the reward model that is compared with the one before.")] : Array.Empty<Problem>(),
            .. compare.AfterId is not null && compare.AfterId == compare.BeforeId ? [new Problem("afterId", "A reward model compared with itself picks the same answers.")] : Array.Empty<Problem>(),
        ],
        SampleResponses sample =>
        [
            .. Between("prompts", sample.Prompts, 1, 5_000), .. Between("responsesPerPrompt", sample.ResponsesPerPrompt, 2, 16),
            .. Between("pairsPerPrompt", sample.PairsPerPrompt, 1, 16), .. Between("nearTieShare", sample.NearTieShare, 0, 1),
            .. Sampling("sampling", sample.Sampling),
            .. sample.Tasks is TaskKinds.None ? [new Problem("tasks", "Choose at least one kind of task.")] : Array.Empty<Problem>(),
        ],
        TrainSae sae =>
        [
            .. Between("layer", sae.Layer ?? 1, 1, 1_024), .. Between("expansion", sae.Expansion, 1, 64), .. Between("k", sae.K, 1, 4_096), .. Between("endShare", sae.EndShare, 0, 1),
            .. Between("auxiliaryCoefficient", sae.AuxiliaryCoefficient, 0, 1), .. Between("deadAfterVectors", sae.DeadAfterVectors, 1, 1e12), .. Between("batchVectors", sae.BatchVectors, 8, 65_536),
            .. Between("steps", sae.Steps, 1, 10_000_000), .. Between("learningRate", sae.LearningRate, 1e-8, 1), .. Between("checkpointEverySteps", sae.CheckpointEverySteps, 0, 1_000_000),
            .. Length(sae.LengthMax), .. Rules(sae.Rules),
        ],
        TrainSarm sarm =>
        [
            .. sarm.SaeId is null ? [new Problem("saeId", "Choose the SAE that the reward model reads with; train one first where there is none.")] : Array.Empty<Problem>(),
            .. sarm.Mode is SarmMode.Head ? Between("headL2", sarm.HeadL2, 1e-9, 1_000) : Optimization(sarm.Optimization), .. Length(sarm.LengthMax), .. Rules(sarm.Rules),
        ],
        DescribeFeatures describe =>
        [
            .. Between("responsesMax", describe.ResponsesMax, 10, 200_000), .. Between("contextsPerFeature", describe.ContextsPerFeature, 1, 100),
            .. Between("supportMin", describe.SupportMin, 1, 1_000_000), .. Between("permutations", describe.Permutations, 99, 100_000), .. Between("testShare", describe.TestShare, 0.1, 0.9),
        ],
        CheckReRl check =>
        [
            .. check.AuditId is null ? [new Problem("auditId", "Name the audit whose reward is checked.")] : Array.Empty<Problem>(),
            .. Between("klBudgetNats", check.KlBudgetNats ?? 1, 1e-3, 10_000), .. Between("stepsMax", check.StepsMax, 1, 10_000), .. Between("beta", check.Beta, 0, 100), .. Between("learningRate", check.LearningRate, 1e-8, 1),
            .. Between("prompts", check.Prompts, 1, 5_000), .. Between("answersPerPrompt", check.AnswersPerPrompt, 1, 64), .. Between("temperature", check.Temperature, 0.05, 10), .. Between("tokensMax", check.TokensMax, 1, 4_096),
        ],
        ExplainResponses explain =>
        [
            .. explain.FlagIds.Count + explain.ResponseIds.Count is >= 1 and <= ExplainResponses.ResponsesMax ? Array.Empty<Problem>() : [new Problem("responseIds", $"Name 1 to {ExplainResponses.ResponsesMax} responses or flags.")],
            .. Between("locality", explain.Locality, 0, 1e6), .. Between("references", explain.References, 1, 64), .. Sampling("sampling", explain.Sampling),
            .. Enum.IsDefined(explain.Mode) ? Array.Empty<Problem>() : [new Problem("mode", "There is no such way to compare a response.")],
            .. Enum.IsDefined(explain.Space) ? Array.Empty<Problem>() : [new Problem("space", "There are no such features.")],
            .. explain.Mode is Data.Explanations.QueryMode.Centred && explain.Sampling.Temperature == 0 ? [new Problem("sampling.temperature", "At 0 all other answers are the same one.")] : Array.Empty<Problem>(),
        ],
        MeasureDrift drift => drift.AuditIds.Count is >= MeasureDrift.VersionsMin and <= MeasureDrift.VersionsMax && drift.AuditIds.Distinct().Count() == drift.AuditIds.Count ? []
            : [new Problem("auditIds", $"Choose {MeasureDrift.VersionsMin} to {MeasureDrift.VersionsMax} different audits, one a version.")],
        AuditReward audit =>
        [
            .. audit.AuditedId is null && audit.AuditedEndpointId is null ? [new Problem("auditedId", "Choose the policy to audit, or an endpoint.")] : Array.Empty<Problem>(),
            .. audit.AuditedId is not null && audit.AuditedEndpointId is not null ? [new Problem("auditedId", "Audit a version or an endpoint, not both at once.")] : Array.Empty<Problem>(),
            .. IsAgainstItself(audit) ? [new Problem("baseId", "A policy compared with itself differs by nothing but chance: choose another one.")] : Array.Empty<Problem>(),
            .. Between("promptsMax", audit.PromptsMax, 10, 20_000), .. Between("holdoutShare", audit.HoldoutShare, 0.05, 0.4), .. Between("testShare", audit.TestShare, 0.05, 0.5),
            .. Between("completionsOnTest", audit.CompletionsOnTest, 1, 64), .. Between("repeats", audit.Repeats, 0, 32), .. Between("seeds", audit.Seeds, 1, 20), .. Between("bootstraps", audit.Bootstraps, 1, 20),
            .. Between("powerRepeats", audit.PowerRepeats, 0, 1_000), .. Sampling("sampling", audit.Sampling), .. audit.Rules is { } rules ? Rules(rules) : [],
            .. audit is { Features: AuditFeatures.SaeCodes, SaeId: null } ? [new Problem("saeId", "Choose the SAE whose features the rewards read.")] : Array.Empty<Problem>(),
            .. audit.Lexicon is not null && !AuditReward.IsLexiconName(audit.Lexicon) ? [new Problem("lexicon", "The name of a list of words has letters, digits, - and _ only.")] : Array.Empty<Problem>(),
            .. (audit.AuditedEndpointId ?? audit.BaseEndpointId) is not null && audit.Sampling.TopK > 0 ? [new Problem("sampling.topK", "An endpoint has no top-k; leave it at 0, so that both policies are asked alike.")] : Array.Empty<Problem>(),
        ],
        _ => [],
    };

    private static bool IsAgainstItself(AuditReward audit) =>
        (audit.AuditedId is { } version && audit.BaseEndpointId is null && audit.BaseId == version) || (audit.AuditedEndpointId is { } endpoint && audit.BaseEndpointId == endpoint);

    private static IEnumerable<Problem> Length(int lengthMax) => Between("lengthMax", lengthMax, 8, 8_192);

    private static IEnumerable<Problem> Rules(DatasetRules rules) => Between("rules.heldOutShare", rules.HeldOutShare, 0.02, 0.5);

    private static IEnumerable<Problem> Sampling(string path, SamplingSpec sampling) =>
    [
        .. Between($"{path}.temperature", sampling.Temperature, 0, 2), .. Between($"{path}.topP", sampling.TopP, 0.01, 1),
        .. Between($"{path}.topK", sampling.TopK, 0, 100_000), .. Between($"{path}.tokensMax", sampling.TokensMax, 1, 4_096),
    ];

    private static IEnumerable<Problem> Optimization(OptimizationSpec o) =>
    [
        .. Between("optimization.learningRate", o.LearningRate, 1e-8, 1), .. Between("optimization.headLearningRate", o.HeadLearningRate ?? o.LearningRate, 1e-8, 1),
        .. Between("optimization.batchSize", o.BatchSize, 1, 4_096), .. Between("optimization.accumulationSteps", o.AccumulationSteps, 1, 1_024),
        .. Between("optimization.epochs", o.Epochs, 1, 1_000), .. Between("optimization.stepsMax", o.StepsMax ?? 1, 1, 10_000_000),
        .. Between("optimization.warmupSteps", o.WarmupSteps, 0, 1_000_000), .. Between("optimization.endShare", o.EndShare, 0, 1),
        .. Between("optimization.weightDecay", o.WeightDecay, 0, 10), .. Between("optimization.beta1", o.Beta1, 0, 0.99999),
        .. Between("optimization.beta2", o.Beta2, 0, 0.999999), .. Between("optimization.epsilon", o.Epsilon, 1e-16, 1e-2),
        .. Between("optimization.gradientNormMax", o.GradientNormMax, 0, 1e6), .. Between("optimization.evaluateEverySteps", o.EvaluateEverySteps, 0, 1_000_000),
        .. Between("optimization.patience", o.Patience ?? 1, 1, 1_000_000), .. Between("optimization.checkpointEverySteps", o.CheckpointEverySteps, 0, 1_000_000),
    ];

    // Written so that NaN is refused too.
    private static IEnumerable<Problem> Between(string field, double value, double low, double high) =>
        value >= low && value <= high ? [] : [new Problem(field, string.Create(System.Globalization.CultureInfo.InvariantCulture, $"This is {value}; it must be between {low} and {high}."))];
}
