using Portal.Data.Audits;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Engine.Audits;
using Portal.Engine.CommandLine;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Irl;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Statistics;
using Portal.Engine.Studies;
using Portal.Engine.Tokenizers;

namespace Portal.Engine.TinyAssistant;

/// <summary>How much of the study is run; the shipped evidence uses the defaults, the test a miniature.</summary>
public sealed record ReRlSizes
{
    /// <summary>Its prompts. Nobody votes here.</summary>
    public EvidenceSizes Evidence { get; init; } = new();

    /// <summary>Answers of each policy to a test prompt that rewards are compared on.</summary>
    public int CandidatesPerPolicy { get; init; } = 8;

    /// <summary>Runs of each method.</summary>
    public int Seeds { get; init; } = 5;
    public int Bootstraps { get; init; } = 3;

    /// <summary>Divergence from the base at which every arm ends, nats per answer; null: P0's, as measured on the hold-out prompts.</summary>
    public double? KlBudgetNats { get; init; }

    /// <summary>Hold-out prompts on which an arm's divergence is looked at, and after how many steps each time.</summary>
    public int KlPrompts { get; init; } = 100;
    public int KlEverySteps { get; init; } = 2;

    /// <summary>Steps within which an arm must get there.</summary>
    public int StepsMax { get; init; } = 240;

    /// <summary>Micro-batches of a step, 4 prompts with 4 answers each.</summary>
    public int MicroBatches { get; init; } = 4;

    /// <summary>Null: the preset's.</summary>
    public double? LearningRate { get; init; }

    /// <summary>Train prompts whose answers by the base give each reward its scale.</summary>
    public int ScalePrompts { get; init; } = 128;

    /// <summary>Answers to each test prompt that are graded.</summary>
    public int TestAnswers { get; init; } = 4;

    /// <summary>Steps of a stand-in for P0, made here; null: the P0 that ships.</summary>
    public int? StandInSteps { get; init; }
}

/// <summary>
/// Would a policy that is trained anew with a recovered reward become as good as the one the reward was recovered from? The base is trained with the rewards of three methods, with the true reward and with a
/// random one, each until it is equally far from the base, and what it then writes is graded by r*.
/// </summary>
/// <remarks>
/// The methods get texts and log-probabilities of base and P0 and nothing else, through the recipe that every audit takes (specs/fairl.md §4.2.6). All arms share spec, prompts, seed, scale (deviation 1 within a
/// prompt, on the base's answers) and budget; only the reward differs. The budget is P0's own divergence on hold-out prompts, and an arm keeps the weights that were nearest to it there: what it reached is measured
/// on test prompts and stands in the table. No arm trains on, or is stopped by, a test prompt. Seeds vary prompts, samples, fits and trainings; P0 is one policy, the shipped one.
/// </remarks>
public sealed class ReRlStudy(string baseFolder, string originalFolder, TrainRlooPolicy preset, ReRlSizes sizes, StudyRun run)
{
    /// <summary>An arm whose divergence on test prompts is further from P0's than this share of it does not count as matched.</summary>
    public const double KlTolerance = 0.25;

    private static readonly ReRlSizes miniature = new()
    {
        Evidence = new EvidenceSizes { TrainPrompts = 48, HoldOutPrompts = 12, TestPrompts = 12 },
        CandidatesPerPolicy = 2, Seeds = 1, Bootstraps = 2, KlBudgetNats = 0.3, KlPrompts = 12, KlEverySteps = 1, StepsMax = 5, MicroBatches = 1, LearningRate = 1e-3, ScalePrompts = 8, TestAnswers = 2, StandInSteps = 5,
    };

    // What an arm is called in the table, and whose reward it gets.
    private static readonly (string Arm, string Method)[] recovered = [("failure-aware", IrlMethods.Default.Name), ("max-entropy", "max-entropy"), ("log-ratio ridge", "log-ratio-ridge"), ("control: random head", "random-head")];

    /// <summary>The study as a command; its miniature (<c>--quick</c>) is what <c>./test</c> runs, with one seed.</summary>
    public static Study Study { get; } = new("re-rl", "A fresh copy of the base trained with recovered rewards, at matched divergence, graded by the sealed truth.", (run, seed) => Of(run).Run(seed), StudySizes.Option);

    private static ReRlStudy Of(StudyRun run) => new(Path.Combine(run.Assets, "base"), Path.Combine(run.Assets, DemoPolicies.Folder, DemoPolicies.NameOf(KnownPolicy.P0)),
        DemoTraining.Preset<TrainRlooPolicy>(DemoPolicies.PresetFile, "rloo"), StudySizes.Of(run, miniature), run);

    /// <summary>Runs one seed.</summary>
    /// <exception cref="CannotTrain">P0 is not there, or nothing could be recovered.</exception>
    public IReadOnlyList<StudyRow> Run(long seed)
    {
        var (@base, tokenizer) = ModelFolder.LanguageModel(baseFolder);
        using var ofBase = @base;
        var prompts = EvidenceSet.DrawPrompts((ulong)seed, sizes.Evidence);
        IReadOnlyList<AskedPrompt> train = [.. prompts.Train.Select(DemoPolicies.AskedOf)];
        using var original = Original(train, seed);
        var reader = AuditReader.Of(@base.Backbone, tokenizer);
        var (rewards, accepted) = Audit(seed, prompts, original, @base, tokenizer, reader);
        var features = new PooledStates(reader, rewards.Reading);
        var scale = PolicySamples.Write(@base, @base, tokenizer, [.. train.Take(sizes.ScalePrompts)], preset.SamplesPerPrompt, Sampling(seed), null, run.Stop);

        var measured = new Dictionary<string, IReadOnlyList<Answer>>(StringComparer.Ordinal);
        IReadOnlyList<AskedPrompt> holdOut = [.. prompts.HoldOut.Select(DemoPolicies.AskedOf)];
        var budget = sizes.KlBudgetNats ?? PolicySamples.Write(original, @base, tokenizer, holdOut, sizes.TestAnswers, Sampling(seed), null, run.Stop).Average(answer => answer.KlNats);
        var table = new Table(seed);
        table.Rows.Add(new StudyRow("budget: P0's KL to the base on hold-out prompts, nats", seed, budget, null, null, null));
        // Where it is none, the failure-aware reward is the one before its first round, and the same as max-entropy's.
        table.Rows.Add(new StudyRow($"failure-aware: runs of which the guard accepted a round, of {sizes.Seeds * sizes.Bootstraps}", seed, accepted, null, null, null));
        foreach (var (name, policy) in new[] { ("base", @base), ("P0", original) })
            table.Add(name, measured[name] = Answers(policy, @base, tokenizer, prompts.Test, seed));
        (string Arm, IRewardSource Source)[] arms = [.. recovered.Take(3).Select(Recovered), ("true reward", DemoPolicies.RewardOf(KnownPolicy.P0)), Recovered(recovered[3])];
        foreach (var (arm, source) in arms)
        {
            var scaled = ScaledReward.On(scale, source, run.Stop);
            var spec = Spec(seed) with { KlBudgetNats = budget, KlControl = KlControl.Match, HeldOutPrompts = sizes.KlPrompts };
            var (policy, steps, kept) = Train(arm, new TrainingSplit<AskedPrompt>(train, holdOut), scaled.Term, spec with { Optimization = spec.Optimization with { EvaluateEverySteps = sizes.KlEverySteps, Patience = null } }, seed);
            using (policy)
                table.Add(arm, measured[arm] = Answers(policy, @base, tokenizer, prompts.Test, seed));
            table.AddTraining(arm, steps, kept, sizes.StepsMax, scaled.Of(Sampled(arm), run.Stop), scaled.Of(Sampled("base"), run.Stop));
        }
        foreach (var other in new[] { "max-entropy", "log-ratio ridge", "true reward", "control: random head" })
            table.AddDifference("failure-aware", other);
        return table.Rows;

        SampledAnswer[] Sampled(string arm) => [.. measured[arm].Select(answer => answer.Sampled)];

        (string, IRewardSource) Recovered((string Arm, string Method) arm) => (arm.Arm, new RecoveredRewardSource(rewards, arm.Method, features));
    }

    private Llama Original(IReadOnlyList<AskedPrompt> train, long seed)
    {
        if (sizes.StandInSteps is { } steps)
            return Train("stand-in for P0", new TrainingSplit<AskedPrompt>(train, []), new RewardTerm(DemoPolicies.RewardOf(KnownPolicy.P0)), Spec(seed) with { Optimization = Spec(seed).Optimization with { StepsMax = steps } }, seed).Policy;
        return Directory.Exists(originalFolder) ? ModelFolder.LanguageModel(originalFolder).Model
            : throw new CannotTrain($"{originalFolder} is not there: the study asks what P0 was rewarded for. Make it with ./run make-demo --only-policies, or give --sizes '{{\"standInSteps\": 120}}' to train a stand-in here (not evidence).");
    }

    private TrainRlooPolicy Spec(long seed) => preset with { Seed = seed, Optimization = preset.Optimization with { StepsMax = sizes.StepsMax, AccumulationSteps = sizes.MicroBatches, LearningRate = sizes.LearningRate ?? preset.Optimization.LearningRate } };

    private SamplingSpec Sampling(long seed) => new() { Temperature = preset.Temperature, TokensMax = preset.TokensMax, Seed = seed };

    private (Llama Policy, int Steps, int Kept) Train(string name, TrainingSplit<AskedPrompt> prompts, RewardTerm reward, TrainRlooPolicy spec, long seed)
    {
        var (policy, tokenizer) = ModelFolder.LanguageModel(baseFolder);
        var report = TrainRlooPolicyRecipe.Run(spec, policy, tokenizer, prompts, [reward], run.Training($"{name.Replace(": ", "-", StringComparison.Ordinal).Replace(' ', '-')}-{seed}", seed));
        return (policy, report.Steps, report.KeptStep);
    }

    private (RecoveredRewards Rewards, int Accepted) Audit(long seed, (IReadOnlyList<WorldPrompt> Train, IReadOnlyList<WorldPrompt> HoldOut, IReadOnlyList<WorldPrompt> Test) prompts, Llama original, Llama @base, ITokenizer tokenizer, AuditReader reader)
    {
        var spec = new AuditReward
        {
            Seed = seed, CompletionsOnTest = sizes.CandidatesPerPolicy, Seeds = sizes.Seeds, Bootstraps = sizes.Bootstraps, PowerRepeats = 0, Sampling = Sampling(seed), Methods = [.. recovered.Take(3).Select(arm => arm.Method)],
        };
        var asked = WorldAudit.Prompts(prompts.Train, prompts.HoldOut, prompts.Test);
        var context = run.Training($"audit-{seed}", seed);
        var report = AuditRewardRecipe.Run(spec, new AuditInputs(asked, new ModelTexts(original, tokenizer, "P0"), new ModelTexts(@base, tokenizer, "base"), reader), context).GetAwaiter().GetResult(); // both policies are at hand: nothing is waited for
        if (report.WhyNotFitted is { } whyNot)
            throw new CannotTrain($"No reward could be recovered from P0's answers: {whyNot}");
        if (report.Methods.FirstOrDefault(method => method.WhyNot is not null) is { } failed)
            throw new CannotTrain($"{failed.Name} could not run: {failed.WhyNot}");
        return (RecoveredRewards.Load(context.ArtefactFolder), report.Methods.Single(method => method.Name == IrlMethods.Default.Name).Runs.Count(fitted => fitted.Rounds.Any(round => round is { Round: > 0, IsAccepted: true })));
    }

    private IReadOnlyList<Answer> Answers(Llama policy, Llama @base, ITokenizer tokenizer, IReadOnlyList<WorldPrompt> test, long seed)
    {
        var byId = test.ToDictionary(prompt => prompt.Id, StringComparer.Ordinal);
        var written = PolicySamples.Write(policy, @base, tokenizer, [.. test.Select(DemoPolicies.AskedOf)], sizes.TestAnswers, Sampling(seed), null, run.Stop, done => run.Progress.Report(done, test.Count, "answering test prompts", null));
        return [.. written.Select(answer => new Answer(answer, Grader.Read(byId[answer.PromptKey].Turns, answer.Text)))];
    }

    private sealed record Answer(SampledAnswer Sampled, GraderReading Reading)
    {
        public double Truth => TruthScorer.Score(Reading);
        public double KlNats => Sampled.KlNats;
    }

    /// <summary>The rows of a seed. All arms answer the same prompts with the same random numbers, so differences are paired, and intervals are by prompt.</summary>
    private sealed class Table(long seed)
    {
        private readonly Dictionary<string, IReadOnlyList<Answer>> arms = new(StringComparer.Ordinal);
        private readonly SeededRandom random = new SeededRandom((ulong)seed).Split("re-rl");

        public List<StudyRow> Rows { get; } = [];

        public void Add(string arm, IReadOnlyList<Answer> answers)
        {
            arms.Add(arm, answers);
            Row($"{arm}: r*", answer => answer.Truth);
            if (arm != "base")
                Difference($"{arm}: r* less the base's", arm, "base", answer => answer.Truth);
            Row($"{arm}: answers with an insult, share", answer => answer.Reading.Insults > 0 ? 1 : 0);
            Row($"{arm}: length, words and marks", answer => answer.Reading.LengthTokens);
            Row($"{arm}: readable, share", answer => answer.Reading.Readable ? 1 : 0);
            if (arm is "base")
                return;
            var kl = Interval(answers, answer => answer.KlNats);
            var wanted = arms["P0"].Average(answer => answer.KlNats); // it is the first one
            Rows.Add(arm is "P0" ? StudyRow.Of($"{arm}: KL to the base, nats", seed, kl)
                : StudyRow.Of($"{arm}: KL to the base, nats", seed, kl, $"P0's within {KlTolerance:P0}", Math.Abs(kl.Estimate - wanted) <= KlTolerance * wanted));

            void Row(string measure, Func<Answer, double> of) => Rows.Add(StudyRow.Of(measure, seed, Interval(answers, of)));
        }

        public void AddTraining(string arm, int steps, int kept, int most, double[] own, double[] ofBase)
        {
            Rows.Add(StudyRow.Of($"{arm}: the reward it was trained with, less the base's, deviations within a prompt", seed, Bootstrap.PairedDifference(own, ofBase, Prompts(arm), random)));
            Rows.Add(new StudyRow($"{arm}: steps to the budget", seed, steps, null, $"fewer than {most}", steps < most));
            Rows.Add(new StudyRow($"{arm}: step whose weights are nearest to it", seed, kept, null, null, null));
        }

        public void AddDifference(string arm, string other)
        {
            Difference($"{arm} less {other}: r*", arm, other, answer => answer.Truth);
            Difference($"{arm} less {other}: KL to the base, nats", arm, other, answer => answer.KlNats);
        }

        private void Difference(string measure, string arm, string other, Func<Answer, double> of) =>
            Rows.Add(StudyRow.Of(measure, seed, Bootstrap.PairedDifference([.. arms[arm].Select(of)], [.. arms[other].Select(of)], Prompts(arm), random)));

        private ConfidenceInterval Interval(IReadOnlyList<Answer> answers, Func<Answer, double> of) => Bootstrap.Mean([.. answers.Select(of)], [.. answers.Select(answer => answer.Sampled.PromptKey)], random);

        private string[] Prompts(string arm) => [.. arms[arm].Select(answer => answer.Sampled.PromptKey)];
    }
}
