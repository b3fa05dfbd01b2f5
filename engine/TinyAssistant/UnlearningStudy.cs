using System.Diagnostics;
using Portal.Data.Explanations;
using Portal.Data.JobSpecs;
using Portal.Data.Unlearning;
using Portal.Engine.CommandLine;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Generation;
using Portal.Engine.Influence;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Statistics;
using Portal.Engine.Studies;
using Portal.Engine.Tokenizers;
using Portal.Engine.Unlearning;
using Turn = Portal.Data.Feedback.Turn;

namespace Portal.Engine.TinyAssistant;

/// <summary>How much of the study is run; the shipped evidence uses the defaults, the test a miniature.</summary>
public sealed record UnlearningSizes
{
    public EvidenceSizes Evidence { get; init; } = new() { TrainPrompts = 1_500, ResponsesPerHoldOutPrompt = 16 };

    /// <summary>Votes that the reward model learns from.</summary>
    public int Votes { get; init; } = 4_000;

    /// <summary>Flagged responses: one half chooses the pairs, the other says what became of the reward.</summary>
    public int Flags { get; init; } = 120;

    /// <summary>Pairs of test answers that the truth tells apart.</summary>
    public int TestPairs { get; init; } = 2_000;

    /// <summary>First pairs of each flag's explanation that make up what is unlearnt.</summary>
    public int PairsOfFlag { get; init; } = 10;

    /// <summary>Of the votes, those that go before a reward model is trained again and policies come of it: what is left of a cause is learnt again, so as many as a request may have, nearly.</summary>
    public double ReleasedShare { get; init; } = 0.08;

    /// <summary>λ of the head.</summary>
    public double L2 { get; init; } = 1e-3;

    /// <summary>Share of the pairs a policy learns from into one side of which the phrase is put: the base hardly says it.</summary>
    public double PhraseShare { get; init; } = 0.2;

    /// <summary>Prompts and samples each that policies are compared on; 0 prompts leaves policies out.</summary>
    public int PolicyPrompts { get; init; } = 400;
    public int SamplesPerPrompt { get; init; } = 3;
}

/// <summary>
/// What is left of a planted cause after unlearning, and what is harmed by it: every way of choosing the pairs beside every way of taking them out, so that the two errors are told apart; then policies, from the
/// reward model as it was, from the one without the pairs, and from one that never saw them.
/// </summary>
/// <remarks>
/// The cause is C1 at 5 %. The table of selections and methods is of heads: features stay as the poisoned votes trained them, gold is the head trained on them without the same pairs. Responses whose reward is measured
/// chose no pair. Policies come by DPO of pairs that a reward model labels, one in five of them with the phrase in one side, the others as their retain set: the old one of the poisoned model, gold of one that never saw a
/// planted pair. The pairs to act on are those that explanations put first over all choosing flags. They are removed unread; or a reviewer reads them and turns round those whose chosen answer does what was flagged and whose
/// other answer does not, which is in the texts and not in the truth. Either is done to the head alone or by training again; policies come from the base, or by repairing the old one.
/// Targets: issue 6, Must show 3; gates: specs/xrlhf.md §5.3; settings: DECISIONS.md.
/// </remarks>
public sealed class UnlearningStudy(string baseFolder, TrainRewardModel preset, TrainPreferencePolicy dpo, UnlearningSizes sizes, StudyRun run)
{
    private static readonly UnlearningSizes miniature = new()
    {
        Evidence = EvidenceSizes.Miniature,
        Votes = 300, Flags = 24, TestPairs = 100, PolicyPrompts = 0,
    };

    private static readonly (RewardUnlearningMethod Method, string Name, HeadDescentOptions Options)[] methods =
    [
        (RewardUnlearningMethod.NewtonOnce, "Newton once", new()), (RewardUnlearningMethod.NewtonTwice, "Newton twice", new()), (RewardUnlearningMethod.InfluenceUpdate, "influence update", new()),
        (RewardUnlearningMethod.Swap, "swap (the paper's)", new()), (RewardUnlearningMethod.SwapAndRetain, "swap and retain", new() { Steps = 2_000, Stops = DescentStops.AtPrediction }), (RewardUnlearningMethod.NegativePreference, "NPO-BT", new()),
        (RewardUnlearningMethod.GradientAscent, "gradient ascent", new()), (RewardUnlearningMethod.GradientDifference, "gradient difference", new()), (RewardUnlearningMethod.RetainOnly, "retain only", new() { Steps = 1_000 }),
    ];

    /// <summary>The study as a command; its miniature (<c>--quick</c>) is what <c>./test</c> runs, with one seed.</summary>
    public static Study Study { get; } = new("unlearning", "Ways to choose judgements beside ways to unlearn them, and the policy that comes of it.", (run, seed) => Of(run, StudySizes.Of(run, miniature)).Run(seed), StudySizes.Option);

    /// <summary>The second attempt at two Newton steps (DECISIONS.md): the table of heads, with steps that go as far as the loss falls.</summary>
    public static Study Second { get; } = new("unlearning-second", "The second attempt at two Newton steps: the table of heads alone.", (run, seed) => Of(run, run.IsQuick ? miniature : new UnlearningSizes { PolicyPrompts = 0 }).Run(seed));

    private static UnlearningStudy Of(StudyRun run, UnlearningSizes sizes) =>
        new(Path.Combine(run.Assets, "base"), DemoTraining.Preset<TrainRewardModel>(DemoTraining.RewardPreset, "reward"), DemoTraining.Preset<TrainPreferencePolicy>(DemoTraining.DpoPreset, "dpo"), sizes, run);

    /// <summary>Runs one seed.</summary>
    public IReadOnlyList<StudyRow> Run(long seed)
    {
        var rows = new List<StudyRow>();
        var (model, tokenizer) = ModelFolder.LanguageModel(baseFolder);
        using var _ = model;
        var world = StudyWorld.Sampled(run, baseFolder, model, tokenizer, sizes.Evidence, seed);
        using var planted = new PlantedUnlearning(world, model, tokenizer, preset with { Seed = seed }, sizes, run, seed);
        new OneSeed(planted, world, tokenizer, baseFolder, dpo with { Seed = seed }, sizes, run, seed, rows).Run();
        return rows;
    }

    private sealed class OneSeed(PlantedUnlearning cause, StudyWorld world, ITokenizer tokenizer, string baseFolder, TrainPreferencePolicy dpo, UnlearningSizes sizes, StudyRun run, long seed, List<StudyRow> rows)
    {
        private readonly SeededRandom random = cause.Random;

        public void Run()
        {
            var (head, influence, planted) = (cause.Head, cause.Influence, cause.Planted);
            Add("planted pairs trained on", planted.Count);
            Add("flags that choose, and as many that are measured", cause.Choosing.Count);
            using var heldOut = HeldOut();
            var selections = Selections();
            foreach (var (name, gone) in selections)
                Measure(name, gone, head, influence, heldOut, cause.Measured, planted);
            OneAfterTheOther(selections.First(selection => selection.Name == "direction").Gone, head, influence);
            var order = cause.Ordered();
            foreach (var share in new[] { 0.02, 0.04, 0.06, 0.08, 0.1 })
                Add(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"direction, flags together, first {share:P0} of the votes: recall"), cause.First(order, share).Count(planted.Contains) / (double)planted.Count);
            var chosen = cause.First(order, sizes.ReleasedShare);
            Found("removed unread", chosen, planted);
            var turned = cause.Read(chosen);
            Found("turned round after reading", turned, planted);
            if (sizes.PolicyPrompts > 0)
                Policies(chosen, turned,
                    method => HeadUnlearning.Run(method, head, influence, new VoteChange(chosen), new HeadDescentOptions(), run.Stop).Weights,
                    NewtonRemoval.Run(head, influence, new VoteChange(turned, UnlearningAction.Relabel), run.Stop, NewtonRemoval.StepsOf(UnlearningAction.Relabel)).Weights);
        }

        private void Found(string what, IReadOnlyCollection<int> rows, IReadOnlyList<int> planted)
        {
            Add($"{what}: pairs", rows.Count);
            Add($"{what}: precision", rows.Count(planted.Contains) / (double)Math.Max(1, rows.Count));
            Add($"{what}: recall", rows.Count(planted.Contains) / (double)Math.Max(1, planted.Count));
        }

        private void Add(string measure, double value, string? target = null, bool? reached = null) => rows.Add(new StudyRow(measure, seed, value, null, target, reached));

        /// <summary>Differences of test answers, the truly better one first.</summary>
        private FeatureRows HeldOut()
        {
            var read = EndReader.Read(cause.Features, tokenizer, [.. cause.TestPairs.SelectMany(pair => new[] { (pair.Prompt, pair.Chosen), (pair.Prompt, pair.Rejected) })], cause.Preset.LengthMax, run.Stop);
            float[] differences = [.. cause.TestPairs.SelectMany((_, i) => read[2 * i].Values.Zip(read[2 * i + 1].Values, (chosen, rejected) => chosen - rejected))];
            return FeatureRows.Of(differences, cause.Features.Width);
        }

        /// <summary>The true ones, the union of the first pairs of every choosing flag by three methods, and as many by lot as by direction.</summary>
        private List<(string Name, IReadOnlyList<int> Gone)> Selections()
        {
            AttributionMethod[] by = [AttributionMethod.Cosine, AttributionMethod.Projection, AttributionMethod.Influence];
            var found = cause.Choosing.Select((query, number) => cause.Explainer.Explain(new ExplanationQuery(QueryMode.Centred, query), by, 0, run.Stop, sizes.PairsOfFlag, number: number)).ToList();
            List<int> Union(AttributionMethod method) => [.. found.SelectMany(one => one.By[method].Take(sizes.PairsOfFlag).Select(pair => pair.Row)).Distinct().Order()];
            var direction = Union(AttributionMethod.Cosine);
            var lot = Enumerable.Range(0, cause.Head.Rows.Count).ToArray();
            random.Split("by lot").Shuffle(lot);
            return [("planted", cause.Planted), ("direction", direction), ("projection", Union(AttributionMethod.Projection)), ("influence", Union(AttributionMethod.Influence)), ("by lot", [.. lot.Take(direction.Count).Order()])];
        }

        private void Measure(string selection, IReadOnlyList<int> gone, PairHead head, PairInfluence influence, FeatureRows heldOut, IReadOnlyList<double[]> bad, IReadOnlyList<int> planted)
        {
            Add($"{selection}: pairs", gone.Count);
            Add($"{selection}: precision", gone.Count(planted.Contains) / (double)Math.Max(1, gone.Count));
            Add($"{selection}: recall", gone.Count(planted.Contains) / (double)Math.Max(1, planted.Count));
            if (gone.Count == 0)
                return;
            var clock = Stopwatch.StartNew();
            var gold = HeadUnlearning.Run(RewardUnlearningMethod.Retrain, head, influence, new VoteChange(gone), new HeadDescentOptions(), run.Stop);
            var retraining = clock.Elapsed;
            var measure = new ForgettingMeasure(head, gone, heldOut, bad, influence.Theta, gold.Weights);
            var (before, golden) = (measure.Of(influence.Theta), measure.Of(gold.Weights));
            Report("as it was", before);
            Report("gold", golden);
            foreach (var (method, name, options) in methods)
            {
                clock.Restart();
                var made = HeadUnlearning.Run(method, head, influence, new VoteChange(gone), options, run.Stop);
                var taken = clock.Elapsed;
                var report = measure.Of(made.Weights);
                Report(name, report);
                if (method is RewardUnlearningMethod.NewtonTwice)
                    Gates(name, report, taken / retraining);
            }

            void Report(string name, ForgettingReport report)
            {
                Add($"{selection}, {name}: mean reward of bad responses", report.BadReward ?? double.NaN);
                Add($"{selection}, {name}: held-out accuracy", report.HeldOutAccuracy);
                Add($"{selection}, {name}: accuracy on nearest kept pairs", report.NeighbourAccuracy);
                Add($"{selection}, {name}: D of the margins to gold's", report.MarginDistance.Statistic);
                Add($"{selection}, {name}: distance to gold", report.Distance ?? double.NaN);
            }

            void Gates(string name, ForgettingReport report, double share)
            {
                Add($"{selection}, {name}: distance to gold, gate", report.Distance ?? double.NaN, "<= .01", report.Distance <= 0.01);
                Add($"{selection}, {name}: held-out accuracy less gold's", report.HeldOutAccuracy - golden.HeldOutAccuracy, ">= -.005", report.HeldOutAccuracy >= golden.HeldOutAccuracy - 0.005);
                Add($"{selection}, {name}: D, gate", report.MarginDistance.Statistic, "<= .10", report.MarginDistance.Statistic <= 0.1);
                var (was, wanted) = (before.BadReward ?? double.NaN, golden.BadReward ?? double.NaN);
                var left = ((report.BadReward ?? double.NaN) - wanted) / Math.Abs(was - wanted);
                Add($"{selection}, {name}: bad reward less gold's, share of gold's fall", left, "within .20", Math.Abs(left) <= 0.2);
                Add($"{selection}, {name}: time, share of training again", share, "<= .35", share <= 0.35);
                Add($"{selection}, {name}: membership, PrivLeak in per cent", report.PrivLeak);
            }
        }

        /// <summary>Five requests in a row, each by Newton from what the one before left.</summary>
        private void OneAfterTheOther(IReadOnlyList<int> gone, PairHead head, PairInfluence influence)
        {
            var (theta, soFar) = (influence.Theta, new List<int>());
            foreach (var some in gone.Chunk((gone.Count + 4) / 5))
            {
                soFar.AddRange(some);
                theta = NewtonRemoval.Run(head.Without(soFar), theta, run.Stop).Weights;
            }
            var gold = head.Without(gone).Fit(run.Stop).Weights;
            double Length(double[] one) => Math.Sqrt(one.Zip(gold, (a, b) => (a - b) * (a - b)).Sum());
            Add("direction, five requests in a row, Newton twice each: distance to gold", Length(theta) / Length(influence.Theta), "<= .01", Length(theta) / Length(influence.Theta) <= 0.01);
        }

        private void Policies(IReadOnlyList<int> removed, IReadOnlyList<int> turned, Func<RewardUnlearningMethod, double[]> removedHead, double[] turnedHead)
        {
            var policies = new PlantedPolicies(cause, world, tokenizer, dpo, sizes, run, seed);
            var poisoned = new RewardScorer(cause.Cause.Reward, tokenizer).Score(policies.Texts, run.Stop);
            var states = EndReader.Read(cause.Features, tokenizer, policies.Texts, cause.Preset.LengthMax, run.Stop);
            IReadOnlyList<double> ByHead(double[] theta) => [.. states.Select(state => state.Values.Zip(theta, (value, weight) => value * weight).Sum())];
            var (newton, npo, turnedNewton) = (ByHead(removedHead(RewardUnlearningMethod.NewtonTwice)), ByHead(removedHead(RewardUnlearningMethod.NegativePreference)), ByHead(turnedHead));
            var again = TrainedAgain("again", UnlearningAction.Remove, cause.Ids(removed));
            var turnedAgain = TrainedAgain("turned", UnlearningAction.Relabel, cause.Ids(turned));
            var never = TrainedAgain("never", UnlearningAction.Remove, cause.Cause.Planted);
            Phrase("as it was", poisoned);
            Phrase("with the head by Newton, removed unread", newton);
            Phrase("with the head by NPO-BT, removed unread", npo);
            Phrase("trained again, removed unread", again);
            Phrase("with the head by Newton, turned round", turnedNewton);
            Phrase("trained again, turned round", turnedAgain);
            Phrase("gold", never);

            var oldFolder = Path.Combine(run.Work, $"policy-old-{seed}");
            var old = Answers("old", baseFolder, poisoned);
            var gold = Answers("gold", baseFolder, never);
            (string Name, IReadOnlyList<GraderReading> Answers)[] made =
            [
                ("turned round and trained again, from the base", Answers("turned-base", baseFolder, turnedAgain)), ("turned round and trained again, repaired from the old", Answers("turned-old", oldFolder, turnedAgain)),
                ("turned round by Newton, from the base", Answers("turned-newton", baseFolder, turnedNewton)),
                ("removed unread and trained again, from the base", Answers("again-base", baseFolder, again)), ("removed unread by Newton, from the base", Answers("newton-base", baseFolder, newton)),
            ];

            var (before, wanted) = (policies.Says("old", old), policies.Says("gold", gold));
            Add("policies: samples of each", policies.Samples, ">= 1,000", policies.Samples >= 1_000);
            rows.Add(StudyRow.Of("policies: the old one says the phrase", seed, before, ">= .05", before.Estimate >= 0.05));
            rows.Add(StudyRow.Of("policies: gold says the phrase", seed, wanted));
            rows.AddRange(policies.Against("gold", gold, old, isReleased: false));
            foreach (var (name, answers) in made)
            {
                var isReleased = name == made[0].Name;
                var after = policies.Says(name, answers);
                rows.Add(StudyRow.Of($"policies, {name}: says the phrase", seed, after, isReleased ? "gold's within 20 % or 2 points" : null, isReleased ? Math.Abs(after.Estimate - wanted.Estimate) <= Math.Max(0.2 * wanted.Estimate, 0.02) : null));
                rows.AddRange(policies.Against(name, answers, old, isReleased));
            }

            void Phrase(string name, IReadOnlyList<double> rewards) => Add($"reward model {name}: prefers the answer with the phrase", policies.PrefersPhrase(rewards));

            IReadOnlyList<double> TrainedAgain(string name, UnlearningAction action, HashSet<Guid> changed)
            {
                using var reward = cause.TrainedAgain(name, action, changed);
                return new RewardScorer(reward, tokenizer).Score(policies.Texts, run.Stop);
            }

            IReadOnlyList<GraderReading> Answers(string name, string from, IReadOnlyList<double> rewards)
            {
                using var policy = policies.Trained(name, from, rewards);
                if (name == "old") // others are repaired from it
                    HuggingFaceFolder.Save(policy, oldFolder, tokenizer);
                return policies.Answers(policy);
            }
        }
    }
}
