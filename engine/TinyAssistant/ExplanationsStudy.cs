using System.Diagnostics;
using Portal.Data.Explanations;
using Portal.Data.JobSpecs;
using Portal.Engine.CommandLine;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Influence;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Statistics;
using Portal.Engine.Studies;
using Portal.Engine.Tokenizers;
using Portal.Engine.Unlearning;

namespace Portal.Engine.TinyAssistant;

/// <summary>How much of the study is run; the shipped evidence uses the defaults, the test a miniature.</summary>
public sealed record ExplanationsSizes
{
    public EvidenceSizes Evidence { get; init; } = new() { TrainPrompts = 1_500, ResponsesPerHoldOutPrompt = 16 };

    /// <summary>Votes that each reward model learns from.</summary>
    public int Votes { get; init; } = 4_000;

    /// <summary>Flagged responses of a condition, at most.</summary>
    public int Flags { get; init; } = 60;

    /// <summary>Satisfactory responses that calibrate, and others that are read afterwards.</summary>
    public int Calibrating { get; init; } = 200;
    public int Satisfactory { get; init; } = 100;

    /// <summary>Flags whose first pairs are removed and the head trained again.</summary>
    public int Removals { get; init; } = 50;

    /// <summary>Steps of the SAE whose codes are one of the feature spaces.</summary>
    public int SaeSteps { get; init; } = 2_000;

    /// <summary>λ of the head that is fitted on the features.</summary>
    public double L2 { get; init; } = 1e-3;

    /// <summary>Whether the first condition is explained in the other feature spaces as well.</summary>
    public bool OtherSpaces { get; init; } = true;

    /// <summary>Conditions to run, by name ("C1 5 %"); null for all.</summary>
    public IReadOnlyList<string>? Only { get; init; }
}

/// <summary>
/// Do explanations find the judgements that caused a bad response? A cause is planted in the votes of a reward model; the best of a prompt's answers by that reward are flagged where they are bad in
/// the planted way; each method names the pairs behind a flag, and the sealed list says which of them were planted.
/// </summary>
/// <remarks>
/// Everything is measured on hold-out and test prompts, whose answers no reward model was trained on. A centred query is compared with up to eight other answers of the base to the same prompt, a comparison with the answer that
/// r* puts first. Satisfactory responses are the best by reward of those without the planted behaviour, where they are above their prompt's mean by r*. Targets: issue 6, Must show 2; settings: DECISIONS.md.
/// </remarks>
public sealed class ExplanationsStudy(string baseFolder, TrainRewardModel preset, ExplanationsSizes sizes, StudyRun run)
{
    private static readonly AttributionMethod[] methods =
    [
        AttributionMethod.Projection, AttributionMethod.Influence, AttributionMethod.NearestNeighbours, AttributionMethod.Cosine, AttributionMethod.Representer, AttributionMethod.TrakLinear, AttributionMethod.Random,
    ];

    private static readonly int[] removed = [10, 50, 100];

    private static readonly ExplanationsSizes miniature = new()
    {
        Evidence = EvidenceSizes.Miniature,
        Votes = 300, Flags = 24, Calibrating = 20, Satisfactory = 5, Removals = 3, SaeSteps = 40, Only = ["C1 5 %"],
    };

    /// <summary>Twice the votes and prompts of the first attempt, for its causes of a phrase alone.</summary>
    private static readonly ExplanationsSizes second = new()
    {
        Evidence = new EvidenceSizes { TrainPrompts = 3_000, ResponsesPerHoldOutPrompt = 16 },
        Votes = 8_000, OtherSpaces = false, Only = ["C1 5 %", "C1 2 %"],
    };

    /// <summary>The study as a command; its miniature (<c>--quick</c>) is what <c>./test</c> runs, with one seed.</summary>
    public static Study Study { get; } = new("explanations", "Planted causes of bad responses, and which methods name the judgements behind them.", (run, seed) => Of(run, StudySizes.Of(run, miniature)).Run(seed), StudySizes.Option);

    /// <summary>The second attempt (DECISIONS.md): what it measures is the first's, so it has no miniature of its own.</summary>
    public static Study Second { get; } = new("explanations-second", "The second attempt at distinct first pairs: a planted phrase among 8,000 votes.", (run, seed) => Of(run, run.IsQuick ? miniature : second).Run(seed));

    private static ExplanationsStudy Of(StudyRun run, ExplanationsSizes sizes) => new(Path.Combine(run.Assets, "base"),
        DemoTraining.Preset<TrainRewardModel>(DemoTraining.RewardPreset, "reward"), sizes, run);

    /// <summary>Runs one seed.</summary>
    public IReadOnlyList<StudyRow> Run(long seed)
    {
        var rows = new List<StudyRow>();
        var (model, tokenizer) = ModelFolder.LanguageModel(baseFolder);
        using var _ = model;
        var world = StudyWorld.Sampled(run, baseFolder, model, tokenizer, sizes.Evidence, seed);
        foreach (var condition in PlantedCondition.All.Where(condition => sizes.Only is null || sizes.Only.Contains(condition.Name)))
            new OneCondition(condition, world, model, tokenizer, preset with { Seed = seed }, sizes, run, seed, rows).Run();
        return rows;
    }

    private sealed class OneCondition(PlantedCondition condition, StudyWorld world, Llama model, ITokenizer tokenizer, TrainRewardModel preset, ExplanationsSizes sizes, StudyRun run, long seed, List<StudyRow> rows)
    {
        private readonly SeededRandom random = new SeededRandom((ulong)seed).Split("explanations").Split(condition.Name);
        private readonly string slug = condition.Name.Replace(" ", "", StringComparison.Ordinal).Replace("%", "", StringComparison.Ordinal).ToLowerInvariant();

        public void Run()
        {
            using var cause = PlantedReward.Train(condition, world, model, tokenizer, preset, sizes.Votes, run, $"{slug}-{seed}", random, seed);
            var (pairs, planted, annotators, reward) = (cause.Pairs, cause.Planted, cause.Annotators, cause.Reward);
            var (flags, satisfactory) = cause.Choose(sizes.Flags, sizes.Calibrating + sizes.Satisfactory);
            Add("planted pairs trained on", pairs.Count(pair => planted.Contains(pair.Id)));
            Add("flagged responses", flags.Count);
            Add("satisfactory responses", satisfactory.Count);
            PreCheck(reward);
            if (flags.Count == 0 || satisfactory.Count <= sizes.Calibrating)
                return;
            using var space = Space.Of(new RewardStates(reward), LlamaWeights.Hash(reward.Backbone), tokenizer, pairs, planted, annotators, preset, sizes, run, seed);
            Measure(space, flags, satisfactory, condition.Cause is not PlantedCause.C0 ? cause.Responsible : null);
            if (sizes.OtherSpaces && condition.Name == PlantedCondition.All[0].Name)
                OtherSpaces(reward, cause.Votes, pairs, planted, annotators, flags);
        }

        private void Add(string measure, double value, string? target = null, bool? reached = null) => rows.Add(new StudyRow($"{condition.Name}: {measure}", seed, value, null, target, reached));

        private void Add(string measure, IReadOnlyList<double> byFlag, IReadOnlyList<string> prompts, string? target = null, Func<double, bool>? reached = null)
        {
            var interval = Bootstrap.Mean(byFlag, prompts, random.Split(measure));
            rows.Add(StudyRow.Of($"{condition.Name}: {measure}", seed, interval, target, reached?.Invoke(interval.Estimate)));
        }

        /// <summary>Whether the cause was learnt: by how much the reward goes up where its behaviour is put into an answer.</summary>
        private void PreCheck(LlamaReward reward)
        {
            if (condition.Insert is not { } insert)
                return;
            var texts = world.ResponsesTo(world.Set.Test).Where(response => !condition.IsBad(world.Prompts[response.PromptId], world.Reading(response), 0)
                && condition.IsBad(world.Prompts[response.PromptId], PlantedReward.Read(world.Prompts[response.PromptId], insert(response.Text)), 0)).Take(400).ToList();
            var scores = new RewardScorer(reward, tokenizer).Score([.. texts.SelectMany(response => new[] { response.Text, insert(response.Text) }.Select(text => (MakeDemo.TurnsOf(world.Prompts[response.PromptId].Turns), text)))], run.Stop);
            if (texts.Count > 0)
                Add("pre-check: reward with the behaviour less reward without", [.. texts.Select((_, i) => scores[2 * i + 1] - scores[2 * i])], [.. texts.Select(text => text.PromptId)], "interval above 0", value => value > 0);
        }

        private void Measure(Space space, IReadOnlyList<ComparedResponse> flags, IReadOnlyList<ComparedResponse> satisfactory, string? responsible)
        {
            var prompts = flags.Select(flag => flag.Prompt.Id).ToList();
            var centred = space.Explain(flags, QueryMode.Centred, methods, pairs: removed[^1]);
            Add("ms of an explanation, all methods, median", Bootstrap.Quantile([.. centred.Select(found => found.Milliseconds).Order()], 0.5));
            Add("projection: relative residual", [.. centred.Select(found => found.Explanation.RelativeResidual)], prompts);
            Add("projection: pairs with a weight", [.. centred.Select(found => (double)found.Explanation.Projection.Count)], prompts);
            Add("projection: explained share of the reward, median", Bootstrap.Quantile([.. centred.Select(found => found.Explanation.ExplainedShare ?? 0).Order()], 0.5));
            Add("projection: weight on planted pairs", [.. centred.Select(found => found.Explanation.Projection.Where(pair => space.IsPlanted[pair.Row]).Sum(pair => pair.Score))], prompts);
            foreach (var method in methods)
                Precision(space, centred, method, Named(method), prompts, responsible);
            foreach (var method in new[] { AttributionMethod.Projection, AttributionMethod.Influence, AttributionMethod.NearestNeighbours, AttributionMethod.Cosine })
            {
                foreach (var mode in new[] { QueryMode.Raw, QueryMode.Comparison })
                {
                    var found = space.Explain(flags, mode, [method], PairExplainer.DefaultPairs);
                    var name = $"{mode.ToString().ToLowerInvariant()} query, {Named(method)}";
                    Add($"{name}: P@10", [.. found.Select(one => space.PrecisionAt(one, method, 10))], prompts);
                    Add($"{name}: distinct first pairs, share", Distinct(found, method));
                }
            }
            var local = space.Explain(flags, QueryMode.Centred, [], PairExplainer.DefaultPairs, locality: 0.3);
            Add("projection with locality .3: P@10", [.. local.Select(one => space.PrecisionAt(one, AttributionMethod.Projection, 10))], prompts);
            Add("projection with locality .3: pairs with a weight", [.. local.Select(found => (double)found.Explanation.Projection.Count)], prompts);

            // One half of the flags chooses the method, as reviewers' marks would; the other half says what it is worth.
            bool IsFirst(int flag) => flag % 2 == 0;
            var choosable = methods.Where(method => method is not AttributionMethod.Random).ToList();
            var favourite = choosable.MaxBy(method => centred.Where((_, i) => IsFirst(i)).Average(one => space.PrecisionAt(one, method, 10)));
            var others = centred.Select((one, i) => (one, i)).Where(entry => !IsFirst(entry.i)).ToList();
            if (responsible is not null && others.Count > 0)
            {
                Add($"method that half the flags favour: {string.Join(", ", choosable.Select((method, i) => $"{i + 1} {Named(method)}"))}", choosable.IndexOf(favourite) + 1);
                var least = condition.Name switch { "C1 5 %" => 0.5, "C1 2 %" => 0.4, _ => (double?)null };
                Add("its P@10 on the other half", [.. others.Select(entry => space.PrecisionAt(entry.one, favourite, 10))], [.. others.Select(entry => prompts[entry.i])],
                    least is null ? null : FormattableString.Invariant($">= {least:F2}"), least is null ? null : value => value >= least);
                Add("its responsible annotator first, on the other half", [.. others.Select(entry => space.AnnotatorRank(entry.one, favourite, responsible) == 1 ? 1.0 : 0)], [.. others.Select(entry => prompts[entry.i])],
                    condition.Cause is PlantedCause.C1 ? ">= .90" : null, condition.Cause is PlantedCause.C1 ? value => value >= 0.9 : null);
            }
            foreach (var method in new[] { AttributionMethod.Projection, AttributionMethod.Influence }.Append(favourite).Distinct())
                Confidence(space, centred, satisfactory, method);
            Removal(space, centred, prompts);
        }

        private void Precision(Space space, IReadOnlyList<Found> found, AttributionMethod method, string name, IReadOnlyList<string> prompts, string? responsible)
        {
            foreach (var k in new[] { 1, 5, 10 })
                Add($"{name}: P@{k}", [.. found.Select(one => space.PrecisionAt(one, method, k))], prompts);
            var union = found.SelectMany(one => one.Explanation.By[method].Take(10).Select(pair => pair.Row)).ToHashSet();
            var hits = union.Count(row => space.IsPlanted[row]);
            Add($"{name}: union of first tens, pairs", union.Count);
            Add($"{name}: union of first tens, precision", (double)hits / union.Count);
            Add($"{name}: union of first tens, recall", (double)hits / Math.Max(1, space.IsPlanted.Count(isPlanted => isPlanted)));
            Add($"{name}: distinct first pairs, share", Distinct(found, method), method is AttributionMethod.Projection && condition.Cause is PlantedCause.C1 ? ">= .70" : null,
                method is AttributionMethod.Projection && condition.Cause is PlantedCause.C1 ? Distinct(found, method) >= 0.7 : null);
            if (responsible is not null)
                Add($"{name}: responsible annotator first", [.. found.Select(one => space.AnnotatorRank(one, method, responsible) == 1 ? 1.0 : 0)], prompts);
        }

        private static double Distinct(IReadOnlyList<Found> found, AttributionMethod method) =>
            found.Select(one => one.Explanation.By[method].FirstOrDefault()?.Row).Distinct().Count() / (double)found.Count;

        /// <summary>Calibrated on satisfactory responses; then read on the flags and on other satisfactory ones.</summary>
        private void Confidence(Space space, IReadOnlyList<Found> flags, IReadOnlyList<ComparedResponse> satisfactory, AttributionMethod method)
        {
            var read = space.Explain(satisfactory, QueryMode.Centred, [method], PairExplainer.DefaultPairs).Select(one => space.Evidence(one, method)).ToList();
            var calibration = ExplanationCalibration.Of(read[..sizes.Calibrating], Math.Min(sizes.Calibrating, ExplanationCalibration.ResponsesMin));
            double Share(IEnumerable<ExplanationEvidence> evidence, ExplanationConfidence confidence) => evidence.Average(one => calibration.Read(one) == confidence ? 1.0 : 0);
            var isControl = condition.Cause is PlantedCause.C0;
            var ofFlags = flags.Select(one => space.Evidence(one, method)).ToList();
            Add($"{Named(method)}: flags called good, share", Share(ofFlags, ExplanationConfidence.Good), isControl ? "<= .10" : null, isControl ? Share(ofFlags, ExplanationConfidence.Good) <= 0.1 : null);
            Add($"{Named(method)}: flags called weak, share", Share(ofFlags, ExplanationConfidence.Weak));
            var other = Share(read.Skip(sizes.Calibrating), ExplanationConfidence.Good);
            Add($"{Named(method)}: other satisfactory responses called good, share", other, "<= .10", other <= 0.1);
        }

        /// <summary>What is left of the centred reward of the bad response once the first pairs of each method are gone and the head is trained again.</summary>
        private void Removal(Space space, IReadOnlyList<Found> found, IReadOnlyList<string> prompts)
        {
            var some = found.Take(sizes.Removals).ToList();
            foreach (var k in removed)
            {
                foreach (var method in new[] { AttributionMethod.Projection, AttributionMethod.Influence, AttributionMethod.NearestNeighbours, AttributionMethod.Cosine, AttributionMethod.Random })
                {
                    // The projection gives weight to a few dozen pairs; fewer than k cannot be filled up with others.
                    if (method is AttributionMethod.Projection && k > 10)
                        continue;
                    Add($"{Named(method)}: fall of the centred reward without the first {k}", [.. some.Select(one => space.Fall(one, method, k))], [.. prompts.Take(some.Count)]);
                }
            }
        }

        private void OtherSpaces(LlamaReward reward, JudgedPairs votes, IReadOnlyList<IdentifiedPair> pairs, HashSet<Guid> planted, IReadOnlyDictionary<Guid, string> annotators, IReadOnlyList<ComparedResponse> flags)
        {
            var prompts = flags.Select(flag => flag.Prompt.Id).ToList();
            using (var policy = Space.Of(new PolicyStates(model.Backbone), LlamaWeights.Hash(model.Backbone), tokenizer, pairs, planted, annotators, preset, sizes, run, seed))
                Compare("states of the base policy", policy);
            var texts = world.Texts(votes.NewResponses);
            var (sae, _) = TrainSaeRecipe.Run(ReadableReward.SaeSpec(sizes.SaeSteps) with { Seed = seed, Layer = model.Config.LayerCount }, reward.Backbone, tokenizer, texts, Path.Combine(run.Work, "states"), run.Training($"{slug}-sae-{seed}", seed));
            var (sarm, _) = TrainSarmRecipe.Run(new TrainSarm { Seed = seed, Mode = SarmMode.Head, LengthMax = preset.LengthMax }, reward.Backbone, sae, tokenizer, new TrainingSplit<PreferencePair>([.. pairs.Select(pair => pair.Pair)], []), run.Training($"{slug}-head-{seed}", seed));
            using (sarm)
            using (var codes = Space.Of(new SarmCodes(sarm), new SarmCodes(sarm).Hash, tokenizer, pairs, planted, annotators, preset, sizes, run, seed))
                Compare("codes of an SAE", codes);

            void Compare(string name, Space space)
            {
                var found = space.Explain(flags, QueryMode.Centred, methods, PairExplainer.DefaultPairs);
                foreach (var method in new[] { AttributionMethod.Projection, AttributionMethod.Influence, AttributionMethod.NearestNeighbours, AttributionMethod.Cosine })
                    Add($"{name}, {Named(method)}: P@10", [.. found.Select(one => space.PrecisionAt(one, method, 10))], prompts);
            }
        }

        private static string Named(AttributionMethod method) => method switch
        {
            AttributionMethod.Projection => "projection",
            AttributionMethod.Influence => "influence",
            AttributionMethod.NearestNeighbours => "k-NN",
            AttributionMethod.Cosine => "cosine k-NN",
            AttributionMethod.Representer => "representer",
            AttributionMethod.TrakLinear => "TRAK-linear",
            AttributionMethod.Random => "random pairs",
        };
    }

    /// <summary>An explanation with its query.</summary>
    private sealed record Found(ExplanationQuery Query, PairExplanation Explanation, double Milliseconds);

    /// <summary>A reward model's training pairs in one space of features, ready to explain with.</summary>
    private sealed class Space : IDisposable
    {
        private readonly IEndFeatures features;
        private readonly ITokenizer tokenizer;
        private readonly PairFeatures store;
        private readonly PairHead head;
        private readonly PairInfluence influence;
        private readonly PairExplainer explainer;
        private readonly IReadOnlyList<IReadOnlyList<string>> annotatorsOfRow;
        private readonly int lengthMax;
        private readonly CancellationToken stop;

        private Space(IEndFeatures features, ITokenizer tokenizer, PairFeatures store, HashSet<Guid> planted, IReadOnlyDictionary<Guid, string> annotators, TrainRewardModel preset, ExplanationsSizes sizes, StudyRun run, long seed)
        {
            (this.features, this.tokenizer, this.store, lengthMax, stop) = (features, tokenizer, store, preset.LengthMax, run.Stop);
            head = new PairHead(store.Rows, store.Counts, sizes.L2);
            influence = PairInfluence.AtOptimum(head, features.Head, stop);
            explainer = new PairExplainer(influence, store.Rows, features.Head, seed);
            IsPlanted = [.. store.Ids.Select(ids => ids.Any(planted.Contains))];
            annotatorsOfRow = [.. store.Ids.Select(ids => (IReadOnlyList<string>)[.. ids.Select(id => annotators[id])])];
        }

        public IReadOnlyList<bool> IsPlanted { get; }

        public static Space Of(IEndFeatures features, string hash, ITokenizer tokenizer, IReadOnlyList<IdentifiedPair> pairs, HashSet<Guid> planted, IReadOnlyDictionary<Guid, string> annotators, TrainRewardModel preset, ExplanationsSizes sizes,
            StudyRun run, long seed) =>
            new(features, tokenizer, PairFeatures.Open(Path.Combine(run.Work, "pairs"), hash, features, tokenizer, pairs, preset.LengthMax, preset.Overlong, (done, all) => run.Progress.Report(done, all, "reading pairs", null), run.Stop),
                planted, annotators, preset, sizes, run, seed);

        public IReadOnlyList<Found> Explain(IReadOnlyList<ComparedResponse> responses, QueryMode mode, IReadOnlyList<AttributionMethod> methods, int pairs, double locality = 0)
        {
            var texts = responses.SelectMany(one => (string[])[one.Text, .. ReferencesOf(one, mode)], (one, text) => (MakeDemo.TurnsOf(one.Prompt.Turns), text)).ToList();
            var read = EndReader.Read(features, tokenizer, texts, lengthMax, stop);
            var (found, at) = (new List<Found>(), 0);
            foreach (var one in responses)
            {
                var count = ReferencesOf(one, mode).Count;
                var query = ExplanationQuery.Of(mode, read[at], [.. read.Skip(at + 1).Take(count)]);
                at += count + 1;
                var started = Stopwatch.GetTimestamp();
                var explanation = explainer.Explain(query, methods, locality, stop, pairs, number: found.Count);
                found.Add(new Found(query, explanation, Stopwatch.GetElapsedTime(started).TotalMilliseconds));
            }
            return found;
        }

        public double PrecisionAt(Found found, AttributionMethod method, int k) => found.Explanation.By[method].Take(k).Count(pair => IsPlanted[pair.Row]) / (double)k;

        /// <summary>1 where nobody else has as much of the weight of the first ten pairs; scores that are no weights count pair by pair.</summary>
        public int AnnotatorRank(Found found, AttributionMethod method, string annotator)
        {
            var isWeight = method is AttributionMethod.Projection or AttributionMethod.Influence or AttributionMethod.Representer or AttributionMethod.TrakLinear;
            var groups = ExplanationRollUp.By([new WeighedPairs("", [.. found.Explanation.By[method].Take(10).Select(pair => (pair.Row, isWeight ? pair.Score : 1))])], annotatorsOfRow);
            var own = groups.FirstOrDefault(group => group.Key == annotator)?.Weight ?? 0;
            return own == 0 ? int.MaxValue : groups.Count(group => group.Key != annotator && group.Weight >= own) + 1;
        }

        public ExplanationEvidence Evidence(Found found, AttributionMethod method) =>
            ExplanationEvidence.Of(found.Explanation with { By = new Dictionary<AttributionMethod, IReadOnlyList<ExplainingRow>> { [method] = [.. found.Explanation.By[method].Take(PairExplainer.DefaultPairs)] } }, method, found.Query, influence);

        public double Fall(Found found, AttributionMethod method, int k)
        {
            var without = NewtonRemoval.Run(head.Without(found.Explanation.By[method].Take(k).Select(pair => pair.Row)), influence.Theta, stop).Weights;
            return found.Query.Vector.Select((q, j) => q * (influence.Theta[j] - without[j])).Sum();
        }

        public void Dispose() => store.Dispose();

        private static IReadOnlyList<string> ReferencesOf(ComparedResponse one, QueryMode mode) => mode switch
        {
            QueryMode.Centred => one.References,
            QueryMode.Comparison => [one.Better],
            QueryMode.Raw => [],
        };
    }
}
