using Portal.Data.JobSpecs;
using Portal.Data.Unlearning;
using Portal.Engine.CommandLine;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Statistics;
using Portal.Engine.Studies;
using Portal.Engine.Tokenizers;

namespace Portal.Engine.TinyAssistant;

/// <summary>
/// What repairs a policy that learned a planted cause, once the reward model forgot it: DPO from the base, or ReMax from the policy as it is, on more or fewer flagged prompts, held more or less on others.
/// </summary>
/// <remarks>
/// The world of <see cref="UnlearningStudy"/>; all arms have the reward model that was trained again with the pairs that a reader turned round, but for the control, whose reward is the poisoned one. Flags are on the old
/// policy's own answers to hold-out prompts, one each: those that say the phrase. Learnt on are the first flag's prompt and those of the training part most like it, as the portal offers it, or sixty flagged ones; held are the
/// other training prompts, as the portal holds them, or hold-out prompts whose answer was read and did not say it. Measured is on test prompts, which are none of these.
/// Source: specs/xrlhf.md §2.2 C, §2.4; settings: DECISIONS.md.
/// </remarks>
public sealed class RepairStudy(StudyRun run, UnlearningSizes sizes)
{
    private static readonly UnlearningSizes miniature = new() { Evidence = EvidenceSizes.Miniature, Votes = 300, Flags = 24, TestPairs = 100, PolicyPrompts = 16, SamplesPerPrompt = 2 };

    /// <summary>Flagged prompts of a batch.</summary>
    private const int FlagsMax = 60;

    /// <summary>The study as a command; its miniature is <c>--quick</c>.</summary>
    public static Study Study { get; } = new("unlearning-repair", "What repairs a policy once the reward model forgot: DPO from the base, or ReMax from the policy as it is.", (run, seed) => new RepairStudy(run, StudySizes.Of(run, miniature)).Run(seed), StudySizes.Option);

    /// <summary>Runs one seed.</summary>
    public IReadOnlyList<StudyRow> Run(long seed)
    {
        var baseFolder = Path.Combine(run.Assets, "base");
        var (model, tokenizer) = ModelFolder.LanguageModel(baseFolder);
        using var _ = model;
        var world = StudyWorld.Sampled(run, baseFolder, model, tokenizer, sizes.Evidence, seed);
        using var cause = new PlantedUnlearning(world, model, tokenizer, DemoTraining.Preset<TrainRewardModel>(DemoTraining.RewardPreset, "reward") with { Seed = seed }, sizes, run, seed);
        return new OneSeed(cause, world, tokenizer, baseFolder, sizes, run, seed).Run();
    }

    private sealed class OneSeed(PlantedUnlearning cause, StudyWorld world, ITokenizer tokenizer, string baseFolder, UnlearningSizes sizes, StudyRun run, long seed)
    {
        private readonly List<StudyRow> rows = [];
        private readonly PlantedPolicies policies = new(cause, world, tokenizer, DemoTraining.Preset<TrainPreferencePolicy>(DemoTraining.DpoPreset, "dpo") with { Seed = seed }, sizes, run, seed);

        public IReadOnlyList<StudyRow> Run()
        {
            using var turned = cause.TrainedAgain("turned", UnlearningAction.Relabel, cause.Ids(cause.Read(cause.First(cause.Ordered(), sizes.ReleasedShare))));
            var poisoned = Score(cause.Cause.Reward);
            using var old = policies.Trained("old", baseFolder, poisoned);
            var oldFolder = Path.Combine(run.Work, $"policy-old-{seed}");
            HuggingFaceFolder.Save(old, oldFolder, tokenizer);
            using var gold = Gold();
            var ofOld = policies.Answers(old);
            Report("old", old, ofOld, old, gold, ofOld);
            Report("gold", gold, policies.Answers(gold), old, gold, ofOld);
            using (var fromBase = policies.Trained("from-base", baseFolder, Score(turned)))
                Report("DPO from the base", fromBase, policies.Answers(fromBase), old, gold, ofOld);

            var (flagged, satisfactory) = Read(old);
            Add("hold-out prompts whose answer was flagged", flagged.Count);
            Add("of them taken as a batch", Math.Min(flagged.Count, FlagsMax));
            if (flagged.Count == 0)
                return rows;
            IReadOnlyList<AskedPrompt> batch = [.. flagged.Take(FlagsMax)], training = [.. world.Set.Train.Select(DemoPolicies.AskedOf)];
            var like = Like(flagged[0], training);
            IReadOnlyList<AskedPrompt> others = [.. training.Where(prompt => !like.Contains(prompt))];
            (string Name, IReadOnlyList<AskedPrompt> Learnt, IReadOnlyList<AskedPrompt> Held, bool IsControl)[] arms =
            [
                ("ReMax, one flag and prompts like it, others held", like, others, false), ("ReMax, a batch of flags, others held", batch, training, false), ("ReMax, a batch of flags, satisfactory ones held", batch, satisfactory, false),
                ("ReMax, a batch of flags, none held", batch, [], false), ("control: ReMax by the reward as it was, a batch of flags, others held", batch, training, true),
            ];
            var saidByOld = new Dictionary<IReadOnlyList<AskedPrompt>, double>(ReferenceEqualityComparer.Instance); // most arms learn on the same ones
            foreach (var (number, (name, learnt, held, isControl)) in arms.Index())
            {
                var (policy, _) = ModelFolder.LanguageModel(oldFolder);
                using var repaired = policy;
                var source = new RewardModelSource(new RewardScorer(isControl ? cause.Cause.Reward : turned, tokenizer), isControl ? "poisoned" : "turned");
                var spec = TrainRlooPolicy.Repair with { Seed = seed, RetainWeight = held.Count > 0 ? TrainRlooPolicy.Repair.RetainWeight : 0 };
                var report = TrainRlooPolicyRecipe.Run(spec, repaired, tokenizer, new TrainingSplit<AskedPrompt>(learnt, []), [new RewardTerm(source)], run.Training($"remax-{number}-{seed}", seed), held);
                Add($"policies, {name}: steps", report.Steps);
                if (!saidByOld.TryGetValue(learnt, out var before))
                    saidByOld.Add(learnt, before = Said(old, learnt));
                Add($"policies, {name}: says the phrase on the prompts it learned on, less old's", Said(repaired, learnt) - before);
                Report(name, repaired, policies.Answers(repaired), old, gold, ofOld);
            }
            return rows;
        }

        private void Add(string measure, double value) => rows.Add(new StudyRow(measure, seed, value, null, null, null));

        private IReadOnlyList<double> Score(LlamaReward reward) => new RewardScorer(reward, tokenizer).Score(policies.Texts, run.Stop);

        private Llama Gold()
        {
            using var never = cause.TrainedAgain("never", UnlearningAction.Remove, cause.Cause.Planted);
            return policies.Trained("gold", baseFolder, Score(never));
        }

        private void Report(string name, Llama policy, IReadOnlyList<GraderReading> answers, Llama old, Llama gold, IReadOnlyList<GraderReading> ofOld)
        {
            rows.Add(StudyRow.Of($"policies, {name}: says the phrase", seed, policies.Says(name, answers)));
            if (!ReferenceEquals(policy, old))
            {
                rows.AddRange(policies.Against(name, answers, ofOld, isReleased: false));
                rows.AddRange(policies.Divergence(name, policy, "old", old, ofOld));
            }
            if (!ReferenceEquals(policy, gold))
                rows.AddRange(policies.Divergence(name, policy, "gold", gold, ofOld));
        }

        /// <summary>Hold-out prompts by what the policy answers them once: flagged where it says the phrase.</summary>
        private (IReadOnlyList<AskedPrompt> Flagged, IReadOnlyList<AskedPrompt> Satisfactory) Read(Llama old)
        {
            var says = Says(old, [.. world.Set.HoldOut.Select(DemoPolicies.AskedOf)]);
            return ([.. says.Where(entry => entry.Says).Select(entry => entry.Prompt)], [.. says.Where(entry => !entry.Says).Select(entry => entry.Prompt)]);
        }

        private double Said(Llama policy, IReadOnlyList<AskedPrompt> prompts) => Says(policy, prompts).Average(entry => entry.Says ? 1.0 : 0);

        private IReadOnlyList<(AskedPrompt Prompt, bool Says)> Says(Llama policy, IReadOnlyList<AskedPrompt> prompts)
        {
            var texts = PolicySamples.Texts(policy, tokenizer, prompts, 1, policies.Sampling(policy), run.Stop);
            return [.. prompts.Zip(texts, (prompt, written) => (prompt, PlantedReward.Read(world.Prompts[prompt.Key], written[0]).Trigger))];
        }

        /// <summary>A flagged prompt and the training prompts most like it.</summary>
        private static IReadOnlyList<AskedPrompt> Like(AskedPrompt flagged, IReadOnlyList<AskedPrompt> training)
        {
            var likeness = new PromptLikeness(flagged.Turns);
            foreach (var prompt in training)
                likeness.Count(prompt.Turns);
            return [flagged, .. training.Select(prompt => (prompt, Like: likeness.Of(prompt.Turns))).Where(entry => entry.Like > 0).OrderByDescending(entry => entry.Like).ThenBy(entry => entry.prompt.Key, StringComparer.Ordinal)
                .Take(TrainRlooPolicy.Repair.Like).Select(entry => entry.prompt)];
        }
    }
}
