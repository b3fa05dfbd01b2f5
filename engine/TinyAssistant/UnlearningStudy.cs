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

    private static readonly (HeadUnlearningMethod Method, string Name, HeadDescentOptions Options)[] methods =
    [
        (HeadUnlearningMethod.NewtonOnce, "Newton once", new()), (HeadUnlearningMethod.NewtonTwice, "Newton twice", new()), (HeadUnlearningMethod.InfluenceUpdate, "influence update", new()),
        (HeadUnlearningMethod.Swap, "swap (the paper's)", new()), (HeadUnlearningMethod.SwapAndRetain, "swap and retain", new() { Steps = 2_000, StopsAtPrediction = true }), (HeadUnlearningMethod.NegativePreference, "NPO-BT", new()),
        (HeadUnlearningMethod.GradientAscent, "gradient ascent", new()), (HeadUnlearningMethod.GradientDifference, "gradient difference", new()), (HeadUnlearningMethod.RetainOnly, "retain only", new() { Steps = 1_000 }),
    ];

    /// <summary>The study as a command; its miniature (<c>--quick</c>) is what <c>./test</c> runs, with one seed.</summary>
    public static Study Study { get; } = new("unlearning", "Ways to choose judgements beside ways to unlearn them, and the policy that comes of it.", (run, seed) => Of(run, StudySizes.Of(run, miniature)).Run(seed), StudySizes.Option);

    /// <summary>The second attempt at two Newton steps (DECISIONS.md): the table of heads, with steps that go as far as the loss falls.</summary>
    public static Study Second { get; } = new("unlearning-second", "The second attempt at two Newton steps: the table of heads alone.", (run, seed) => Of(run, run.IsQuick ? miniature : new UnlearningSizes { PolicyPrompts = 0 }).Run(seed));

    private static UnlearningStudy Of(StudyRun run, UnlearningSizes sizes)
    {
        return new UnlearningStudy(Path.Combine(run.Assets, "base"), Preset<TrainRewardModel>("reward-model"), Preset<TrainPreferencePolicy>("dpo"), sizes, run);

        static T Preset<T>(string name) where T : JobSpec => TrainCommands.Read<T>(new FileInfo(Path.Combine(AppContext.BaseDirectory, "presets", name + ".json")), name);
    }

    /// <summary>Runs one seed.</summary>
    public IReadOnlyList<StudyRow> Run(long seed)
    {
        var rows = new List<StudyRow>();
        var (model, tokenizer) = ModelFolder.LanguageModel(baseFolder);
        using var _ = model;
        var world = StudyWorld.Sampled(run, baseFolder, model, tokenizer, sizes.Evidence, seed);
        new OneSeed(world, model, tokenizer, baseFolder, preset with { Seed = seed }, dpo with { Seed = seed }, sizes, run, seed, rows).Run();
        return rows;
    }

    private sealed class OneSeed(StudyWorld world, Llama model, ITokenizer tokenizer, string baseFolder, TrainRewardModel preset, TrainPreferencePolicy dpo, UnlearningSizes sizes, StudyRun run, long seed, List<StudyRow> rows)
    {
        private readonly SeededRandom random = new SeededRandom((ulong)seed).Split("unlearning");

        public void Run()
        {
            using var cause = PlantedReward.Train(PlantedCondition.All[0], world, model, tokenizer, preset, sizes.Votes, run, $"reward-{seed}", random, seed);
            var features = new RewardStates(cause.Reward);
            using var store = PairFeatures.Open(Path.Combine(run.Work, "pairs"), LlamaWeights.Hash(cause.Reward.Backbone), features, tokenizer, cause.Pairs, preset.LengthMax, preset.Overlong, (done, all) => run.Progress.Report(done, all, "reading pairs", null), run.Stop);
            var head = new PairHead(store.Rows, store.Counts, sizes.L2);
            var influence = PairInfluence.AtOptimum(head, features.Head, run.Stop);

            var flags = Queries(features, cause.Choose(sizes.Flags, 0).Flags);
            var (choosing, measured) = (flags.Where((_, i) => i % 2 == 0).ToList(), flags.Where((_, i) => i % 2 == 1).ToList());
            var planted = Enumerable.Range(0, store.Rows.Count).Where(row => store.Ids[row].Any(cause.Planted.Contains)).ToList();
            Add("planted pairs trained on", planted.Count);
            Add("flags that choose, and as many that are measured", choosing.Count);
            using var heldOut = HeldOut(features);
            var selections = Selections(new PairExplainer(influence, store.Rows, features.Head, seed), head, choosing, planted);
            foreach (var (name, gone) in selections)
                Measure(name, gone, head, influence, heldOut, measured, planted);
            OneAfterTheOther(selections.First(selection => selection.Name == "direction").Gone, head, influence);
            var chosen = Released(new PairExplainer(influence, store.Rows, features.Head, seed), store, choosing, planted);
            var turned = Reviewed(cause, store, chosen, planted);
            if (sizes.PolicyPrompts > 0)
                Policies(cause, features, chosen.Select(row => store.Ids[row]), turned.Select(row => store.Ids[row]),
                    method => HeadUnlearning.Run(method, head, influence, new VoteChange(chosen), new HeadDescentOptions(), run.Stop).Weights,
                    NewtonRemoval.Run(head, influence, new VoteChange(turned, UnlearningAction.Relabel), run.Stop, NewtonRemoval.StepsOf(UnlearningAction.Relabel)).Weights);
        }

        /// <summary>Rows that direction puts first over all choosing flags; how many of the planted are among the first of them.</summary>
        /// <remarks>The flags' lists become one by reciprocal ranks (Cormack, Clarke and Büttcher, SIGIR 2009), k = 60.</remarks>
        private List<int> Released(PairExplainer explainer, PairFeatures store, IReadOnlyList<double[]> choosing, List<int> planted)
        {
            var (kept, votes) = (store.Rows.Count / 5, store.Counts.Sum());
            var scores = new Dictionary<int, double>();
            foreach (var (query, number) in choosing.Select((query, number) => (query, number)))
                foreach (var (row, place) in explainer.Explain(new ExplanationQuery(QueryMode.Centred, query), [AttributionMethod.Cosine], 0, run.Stop, kept, number: number).By[AttributionMethod.Cosine].Take(kept).Select((pair, place) => (pair.Row, place)))
                    scores[row] = scores.GetValueOrDefault(row) + (1.0 / (61 + place));
            List<int> order = [.. scores.OrderByDescending(entry => entry.Value).ThenBy(entry => entry.Key).Select(entry => entry.Key)];
            List<int> First(double share)
            {
                var (some, taken) = (new List<int>(), 0.0);
                foreach (var row in order)
                {
                    taken += store.Counts[row];
                    if (taken > share * votes)
                        break;
                    some.Add(row);
                }
                return some;
            }
            foreach (var share in new[] { 0.02, 0.04, 0.06, 0.08, 0.1 })
                Add(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"direction, flags together, first {share:P0} of the votes: recall"), First(share).Count(planted.Contains) / (double)planted.Count);
            var rows = First(sizes.ReleasedShare);
            Found("removed unread", rows, planted);
            return rows;
        }

        private void Found(string what, IReadOnlyCollection<int> rows, List<int> planted)
        {
            Add($"{what}: pairs", rows.Count);
            Add($"{what}: precision", rows.Count(planted.Contains) / (double)Math.Max(1, rows.Count));
            Add($"{what}: recall", rows.Count(planted.Contains) / (double)Math.Max(1, planted.Count));
        }

        /// <summary>Of rows that explanations put first, those that a reader finds to be the wrong way round: the chosen answer does what was flagged, the other does not.</summary>
        private List<int> Reviewed(PlantedReward cause, PairFeatures store, IReadOnlyList<int> rows, List<int> planted)
        {
            var pairs = cause.Pairs.ToDictionary(entry => entry.Id, entry => entry.Pair);
            List<int> wrong = [.. rows.Where(row => pairs[store.Ids[row][0]] is var pair && Says(pair, pair.Chosen) && !Says(pair, pair.Rejected))];
            Found("turned round after reading", wrong, planted);
            return wrong;

            static bool Says(PreferencePair pair, string text) => Grader.Read(pair.Prompt[^1].Content, text).Trigger;
        }

        private void Add(string measure, double value, string? target = null, bool? reached = null) => rows.Add(new StudyRow(measure, seed, value, null, target, reached));

        private List<double[]> Queries(RewardStates features, IReadOnlyList<ComparedResponse> flags)
        {
            var read = EndReader.Read(features, tokenizer, [.. flags.SelectMany(flag => flag.References.Prepend(flag.Text), (flag, text) => (MakeDemo.TurnsOf(flag.Prompt.Turns), text))], preset.LengthMax, run.Stop);
            var (queries, at) = (new List<double[]>(), 0);
            foreach (var flag in flags)
            {
                queries.Add(ExplanationQuery.Of(QueryMode.Centred, read[at], [.. read.Skip(at + 1).Take(flag.References.Count)]).Vector);
                at += flag.References.Count + 1;
            }
            return queries;
        }

        /// <summary>Differences of test answers, the truly better one first.</summary>
        private FeatureRows HeldOut(RewardStates features)
        {
            var pairs = world.Ordered(world.TestPairs(sizes.TestPairs, random.Split("test pairs")));
            var read = EndReader.Read(features, tokenizer, [.. pairs.SelectMany(pair => new[] { (pair.Prompt, pair.Chosen), (pair.Prompt, pair.Rejected) })], preset.LengthMax, run.Stop);
            float[] differences = [.. pairs.SelectMany((_, i) => read[2 * i].Values.Zip(read[2 * i + 1].Values, (chosen, rejected) => chosen - rejected))];
            return FeatureRows.Of(differences, features.Width);
        }

        /// <summary>The true ones, the union of the first pairs of every choosing flag by three methods, and as many by lot as by direction.</summary>
        private List<(string Name, List<int> Gone)> Selections(PairExplainer explainer, PairHead head, IReadOnlyList<double[]> choosing, List<int> planted)
        {
            AttributionMethod[] by = [AttributionMethod.Cosine, AttributionMethod.Projection, AttributionMethod.Influence];
            var found = choosing.Select((query, number) => explainer.Explain(new ExplanationQuery(QueryMode.Centred, query), by, 0, run.Stop, sizes.PairsOfFlag, number: number)).ToList();
            List<int> Union(AttributionMethod method) => [.. found.SelectMany(one => one.By[method].Take(sizes.PairsOfFlag).Select(pair => pair.Row)).Distinct().Order()];
            var direction = Union(AttributionMethod.Cosine);
            var lot = Enumerable.Range(0, head.Rows.Count).ToArray();
            random.Split("by lot").Shuffle(lot);
            return [("planted", planted), ("direction", direction), ("projection", Union(AttributionMethod.Projection)), ("influence", Union(AttributionMethod.Influence)), ("by lot", [.. lot.Take(direction.Count).Order()])];
        }

        private void Measure(string selection, List<int> gone, PairHead head, PairInfluence influence, FeatureRows heldOut, IReadOnlyList<double[]> bad, List<int> planted)
        {
            Add($"{selection}: pairs", gone.Count);
            Add($"{selection}: precision", gone.Count(planted.Contains) / (double)Math.Max(1, gone.Count));
            Add($"{selection}: recall", gone.Count(planted.Contains) / (double)Math.Max(1, planted.Count));
            if (gone.Count == 0)
                return;
            var clock = Stopwatch.StartNew();
            var gold = HeadUnlearning.Run(HeadUnlearningMethod.Retrain, head, influence, new VoteChange(gone), new HeadDescentOptions(), run.Stop);
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
                if (method is HeadUnlearningMethod.NewtonTwice)
                    Gates(name, report, taken / retraining);
            }

            void Report(string name, ForgettingReport report)
            {
                Add($"{selection}, {name}: mean reward of bad responses", report.BadReward ?? double.NaN);
                Add($"{selection}, {name}: held-out accuracy", report.HeldOutAccuracy);
                Add($"{selection}, {name}: accuracy on nearest kept pairs", report.NeighbourAccuracy);
                Add($"{selection}, {name}: D of the margins to gold's", report.MarginDistance.Statistic);
                Add($"{selection}, {name}: distance to gold", report.Distance);
            }

            void Gates(string name, ForgettingReport report, double share)
            {
                Add($"{selection}, {name}: distance to gold, gate", report.Distance, "<= .01", report.Distance <= 0.01);
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

        private void Policies(PlantedReward cause, RewardStates features, IEnumerable<IReadOnlyList<Guid>> removed, IEnumerable<IReadOnlyList<Guid>> turned, Func<HeadUnlearningMethod, double[]> removedHead, double[] turnedHead)
        {
            var condition = PlantedCondition.All[0];
            var draw = random.Split("with phrase");
            List<(PreferencePair Pair, bool? IsInFirst)> phrased = [.. cause.Pairs.Select((pair, i) =>
            {
                var lot = draw.Split(i);
                bool? first = lot.Chance(sizes.PhraseShare) ? lot.Chance(0.5) : null;
                return (first switch { true => pair.Pair with { Chosen = condition.Insert!(pair.Pair.Chosen) }, false => pair.Pair with { Rejected = condition.Insert!(pair.Pair.Rejected) }, null => pair.Pair }, first); // C1 has one
            })];
            List<PreferencePair> pairs = [.. phrased.Select(entry => entry.Pair)];
            List<(IReadOnlyList<Turn> Prompt, string Text)> texts = [.. pairs.SelectMany(pair => new[] { (pair.Prompt, pair.Chosen), (pair.Prompt, pair.Rejected) })];
            var asked = world.Set.Test.Take(sizes.PolicyPrompts).ToList();
            var keys = asked.SelectMany(prompt => Enumerable.Repeat(prompt.Id, sizes.SamplesPerPrompt)).ToList();

            var poisoned = new RewardScorer(cause.Reward, tokenizer).Score(texts, run.Stop);
            var states = EndReader.Read(features, tokenizer, texts, preset.LengthMax, run.Stop);
            IReadOnlyList<double> ByHead(double[] theta) => [.. states.Select(state => state.Values.Zip(theta, (value, weight) => value * weight).Sum())];
            var (newton, npo, turnedNewton) = (ByHead(removedHead(HeadUnlearningMethod.NewtonTwice)), ByHead(removedHead(HeadUnlearningMethod.NegativePreference)), ByHead(turnedHead));
            var again = TrainedAgain("again", UnlearningAction.Remove, [.. removed.SelectMany(ids => ids)]);
            var turnedAgain = TrainedAgain("turned", UnlearningAction.Relabel, [.. turned.SelectMany(ids => ids)]);
            var never = TrainedAgain("never", UnlearningAction.Remove, cause.Planted);
            Phrase("as it was", poisoned);
            Phrase("with the head by Newton, removed unread", newton);
            Phrase("with the head by NPO-BT, removed unread", npo);
            Phrase("trained again, removed unread", again);
            Phrase("with the head by Newton, turned round", turnedNewton);
            Phrase("trained again, turned round", turnedAgain);
            Phrase("gold", never);

            var oldFolder = Path.Combine(run.Work, $"policy-old-{seed}");
            var old = Trained("old", baseFolder, poisoned);
            var gold = Trained("gold", baseFolder, never);
            (string Name, IReadOnlyList<GraderReading> Answers)[] made =
            [
                ("turned round and trained again, from the base", Trained("turned-base", baseFolder, turnedAgain)), ("turned round and trained again, repaired from the old", Trained("turned-old", oldFolder, turnedAgain)),
                ("turned round by Newton, from the base", Trained("turned-newton", baseFolder, turnedNewton)),
                ("removed unread and trained again, from the base", Trained("again-base", baseFolder, again)), ("removed unread by Newton, from the base", Trained("newton-base", baseFolder, newton)),
            ];

            var (before, wanted) = (Says("old", old), Says("gold", gold));
            Add("policies: samples of each", keys.Count, ">= 1,000", keys.Count >= 1_000);
            rows.Add(StudyRow.Of("policies: the old one says the phrase", seed, before, ">= .05", before.Estimate >= 0.05));
            rows.Add(StudyRow.Of("policies: gold says the phrase", seed, wanted));
            Against("gold", gold, isReleased: false);
            foreach (var (name, answers) in made)
            {
                var isReleased = name == made[0].Name;
                var after = Says(name, answers);
                rows.Add(StudyRow.Of($"policies, {name}: says the phrase", seed, after, isReleased ? "gold's within 20 % or 2 points" : null, isReleased ? Math.Abs(after.Estimate - wanted.Estimate) <= Math.Max(0.2 * wanted.Estimate, 0.02) : null));
                Against(name, answers, isReleased);
            }

            ConfidenceInterval Says(string name, IReadOnlyList<GraderReading> answers) => Bootstrap.Mean([.. answers.Select(reading => reading.Trigger ? 1.0 : 0)], keys, random.Split("says").Split(name));

            void Against(string name, IReadOnlyList<GraderReading> answers, bool isReleased)
            {
                double[] wins = [.. answers.Zip(old, (one, other) => TruthScorer.Score(one).CompareTo(TruthScorer.Score(other)) switch { > 0 => 1.0, < 0 => 0, _ => 0.5 })];
                Wins($"policies, {name}: beats old by r* where old was satisfactory (did not say it)", i => !old[i].Trigger, isReleased ? ">= .48" : null, value => value >= 0.48);
                Wins($"policies, {name}: beats old by r* on the flagged (old said it)", i => old[i].Trigger);
                rows.Add(StudyRow.Of($"policies, {name}: mean r*, less old's", seed, Bootstrap.PairedDifference([.. answers.Select(TruthScorer.Score)], [.. old.Select(TruthScorer.Score)], keys, random.Split("truth").Split(name))));
                rows.Add(StudyRow.Of($"policies, {name}: readable share, less old's", seed,
                    Bootstrap.PairedDifference([.. answers.Select(reading => reading.Readable ? 1.0 : 0)], [.. old.Select(reading => reading.Readable ? 1.0 : 0)], keys, random.Split("readable").Split(name))));

                void Wins(string measure, Func<int, bool> where, string? target = null, Func<double, bool>? reached = null)
                {
                    List<int> some = [.. Enumerable.Range(0, wins.Length).Where(where)];
                    if (some.Count == 0)
                        return;
                    var interval = Bootstrap.Mean([.. some.Select(i => wins[i])], [.. some.Select(i => keys[i])], random.Split(measure));
                    rows.Add(StudyRow.Of(measure, seed, interval, target, target is null ? null : reached?.Invoke(interval.Estimate)));
                }
            }

            // How often a labeller takes the side with the phrase, of the pairs into one side of which it was put.
            void Phrase(string name, IReadOnlyList<double> rewards) =>
                Add($"reward model {name}: prefers the answer with the phrase", Enumerable.Range(0, pairs.Count).Where(i => phrased[i].IsInFirst is not null).Average(i => phrased[i].IsInFirst == rewards[2 * i] > rewards[(2 * i) + 1] ? 1.0 : 0));

            IReadOnlyList<double> TrainedAgain(string name, UnlearningAction action, HashSet<Guid> changed)
            {
                using var reward = LlamaReward.From(model);
                var left = cause.Pairs.Where(pair => action is not UnlearningAction.Remove || !changed.Contains(pair.Id))
                    .Select(pair => changed.Contains(pair.Id) ? pair.Pair with { Chosen = pair.Pair.Rejected, Rejected = pair.Pair.Chosen } : pair.Pair);
                TrainRewardModelRecipe.Run(preset, reward, tokenizer, new TrainingSplit<PreferencePair>([.. left], []), run.Training($"reward-{name}-{seed}", seed));
                return new RewardScorer(reward, tokenizer).Score(texts, run.Stop);
            }

            IReadOnlyList<GraderReading> Trained(string name, string from, IReadOnlyList<double> rewards)
            {
                using var policy = ModelFolder.LanguageModel(from).Model;
                List<PreferencePair> labelled = [.. pairs.Select((pair, i) => (pair, Gap: rewards[2 * i] - rewards[(2 * i) + 1])).Where(entry => entry.Gap != 0)
                    .Select(entry => entry.Gap > 0 ? entry.pair : entry.pair with { Chosen = entry.pair.Rejected, Rejected = entry.pair.Chosen })];
                TrainPreferencePolicyRecipe.RunDpo(dpo, policy, tokenizer, new TrainingSplit<PreferencePair>(labelled, []), run.Training($"dpo-{name}-{seed}", seed));
                if (name == "old") // others are repaired from it
                    HuggingFaceFolder.Save(policy, oldFolder, tokenizer);
                var encoder = WorldSamples.Encoder(policy, tokenizer);
                var ids = asked.SelectMany(prompt => Enumerable.Repeat(encoder.Prompt(MakeDemo.TurnsOf(prompt.Turns)), sizes.SamplesPerPrompt)).ToList();
                var answers = new Sampler(policy).Generate(ids, WorldSamples.Options(policy, encoder, seed), run.Stop);
                return [.. answers.Select((answer, i) => Grader.Read(asked[i / sizes.SamplesPerPrompt].Turns, tokenizer.Decode([.. answer.Ids]).Trim()))];
            }
        }
    }
}
