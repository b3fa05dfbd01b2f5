using System.Diagnostics;
using Portal.Data.JobSpecs;
using Portal.Data.Unlearning;
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
using static TorchSharp.torch;
using Turn = Portal.Data.Feedback.Turn;

namespace Portal.Engine.TinyAssistant;

/// <summary>
/// Whole reward models after unlearning: every descent on body and head beside training again and beside two Newton steps of the head, and how quickly each learns the planted cause back from a tenth of its pairs.
/// </summary>
/// <remarks>
/// The world of <see cref="UnlearningStudy"/>. The pairs that go are the planted ones, or those that explanations put first, unread. Gold of each is trained again without the same pairs. Pairs that a reader finds to be the
/// wrong way round are turned: trained again so, or by going on from the model as it is with the pairs turned round and all others kept. Descents have the training's own rates; the paper's swap its single epoch without stops.
/// Targets: none asked; reported as they are. Source: specs/xrlhf.md §2.4, §5.3; settings: DECISIONS.md.
/// </remarks>
public sealed class ModelUnlearningStudy(StudyRun run, UnlearningSizes sizes)
{
    private static readonly UnlearningSizes miniature = new()
    {
        Evidence = EvidenceSizes.Miniature,
        Votes = 300, Flags = 24, TestPairs = 40, PolicyPrompts = 0,
    };

    /// <summary>Pairs with the phrase in one side that the preference for it is measured on.</summary>
    private const int PhrasedMax = 200;

    /// <summary>Pairs of a step that go, and how often they are gone through where a stop may end it before.</summary>
    private const int BatchSize = 16, EpochsOfStopped = 5;

    /// <summary>Of the training's rate, for all but the paper's own: an optimiser that starts afresh moves every weight by its rate at its first steps.</summary>
    private const double RateShare = 0.2;

    /// <summary>The share of the pairs that are learnt again.</summary>
    private const double RelearntShare = 0.1;

    private static readonly (RewardUnlearningMethod Method, string Name, int Epochs, DescentStops? Stops)[] descents =
    [
        (RewardUnlearningMethod.Swap, "swap (the paper's)", 1, null), (RewardUnlearningMethod.SwapAndRetain, "swap and retain", EpochsOfStopped, new()),
        (RewardUnlearningMethod.SwapAndRetain, "swap and retain, stopped by harm alone", EpochsOfStopped, DescentStops.AtHarm), (RewardUnlearningMethod.NegativePreference, "NPO-BT, stopped by harm alone", EpochsOfStopped, DescentStops.AtHarm),
        (RewardUnlearningMethod.GradientAscent, "gradient ascent", 1, null), (RewardUnlearningMethod.GradientDifference, "gradient difference", 1, null), (RewardUnlearningMethod.RetainOnly, "retain only", EpochsOfStopped, null),
    ];

    /// <summary>The miniature has the planted pairs alone, the paper's swap alone, and few neighbours.</summary>
    private const int NeighboursOfMiniature = 20;

    /// <summary>The study as a command; its miniature (<c>--quick</c>) is what <c>./test</c> runs, with one seed.</summary>
    public static Study Study { get; } = new("unlearning-models", "Whole reward models after unlearning, and how quickly they learn it back.", (run, seed) => new ModelUnlearningStudy(run, StudySizes.Of(run, miniature)).Run(seed), StudySizes.Option);

    /// <summary>Runs one seed.</summary>
    public IReadOnlyList<StudyRow> Run(long seed)
    {
        var baseFolder = Path.Combine(run.Assets, "base");
        var preset = DemoTraining.Preset<TrainRewardModel>(DemoTraining.RewardPreset, "reward");
        var (model, tokenizer) = ModelFolder.LanguageModel(baseFolder);
        using var _ = model;
        var world = StudyWorld.Sampled(run, baseFolder, model, tokenizer, sizes.Evidence, seed);
        using var cause = new PlantedUnlearning(world, model, tokenizer, preset with { Seed = seed }, sizes, run, seed);
        return new OneSeed(cause, tokenizer, sizes, run, seed).Run();
    }

    private sealed class OneSeed(PlantedUnlearning cause, ITokenizer tokenizer, UnlearningSizes sizes, StudyRun run, long seed)
    {
        private readonly List<StudyRow> rows = [];
        private readonly IReadOnlyList<(PreferencePair Pair, bool? IsInFirst)> phrased = [.. cause.Phrased(sizes.PhraseShare).Where(entry => entry.IsInFirst is not null).Take(PhrasedMax)];

        /// <summary>What stops look at; measured is on the other test pairs.</summary>
        private IReadOnlyList<PreferencePair> StopPairs => [.. cause.TestPairs.Take(cause.TestPairs.Count / 4)];

        public IReadOnlyList<StudyRow> Run()
        {
            var order = cause.Ordered();
            var unread = cause.First(order, sizes.ReleasedShare);
            Selection("planted", cause.Planted);
            if (run.IsQuick)
                return rows;
            Selection("direction, unread", unread);
            Turned(cause.Read(unread));
            return rows;
        }

        private void Add(string measure, double value) => rows.Add(new StudyRow(measure, seed, value, null, null, null));

        private void Selection(string selection, IReadOnlyList<int> gone)
        {
            var ids = cause.Ids(gone);
            var pairs = Pairs(ids);
            Add($"{selection}: pairs", gone.Count);
            Add($"{selection}: precision", gone.Count(cause.Planted.Contains) / (double)Math.Max(1, gone.Count));
            var clock = Stopwatch.StartNew();
            using var gold = cause.TrainedAgain($"without-{selection.Split(',')[0]}", UnlearningAction.Remove, ids);
            var again = clock.Elapsed;
            var measure = Measure(pairs, gone, gold);
            using (var before = LlamaReward.Copy(cause.Cause.Reward))
                Report($"{selection}, as it was", before, measure, null);
            using (var trained = LlamaReward.Copy(gold))
                Report($"{selection}, gold", trained, measure, null);

            clock.Restart();
            var theta = NewtonRemoval.Run(cause.Head, cause.Influence, new VoteChange(gone), run.Stop).Weights;
            var taken = clock.Elapsed;
            using (var newton = LlamaReward.Copy(cause.Cause.Reward))
            {
                using (no_grad())
                using (NewDisposeScope())
                    newton.ScoreWeight.copy_(tensor(theta.Select(weight => (float)weight).ToArray()).view(newton.ScoreWeight.shape));
                Report($"{selection}, the head by Newton twice", newton, measure, taken / again);
            }

            var (margin, without) = HeadUnlearning.PredictedMargin(cause.Head, cause.Influence, new VoteChange(gone));
            List<PreferencePair> others = [.. cause.Left(UnlearningAction.Remove, ids).Select(pair => pair.Pair)];
            foreach (var (method, name, epochs, stops) in descents.Where(descent => !run.IsQuick || descent.Method is RewardUnlearningMethod.Swap))
            {
                using var changed = LlamaReward.Copy(cause.Cause.Reward);
                clock.Restart();
                var done = ModelUnlearning.Run(method, changed, tokenizer, pairs, others, stops is null ? [] : StopPairs, Options(method is RewardUnlearningMethod.Swap ? 1 : RateShare, epochs, stops, margin - without), run.Training($"descent-{seed}", seed));
                taken = clock.Elapsed;
                Add($"{selection}, {name}: steps kept", done.Steps);
                run.Progress.Log(Data.Jobs.JobEventLevel.Info, $"{selection}, {name}: {done}");
                Add($"{selection}, {name}: divergence of preferences on kept pairs, nats", done.RetainKl);
                Report($"{selection}, {name}", changed, measure, taken / again);
            }
        }

        /// <summary>Pairs that a reader turns round: trained again so, or by going on from the model as it is.</summary>
        private void Turned(IReadOnlyList<int> rowsTurned)
        {
            var ids = cause.Ids(rowsTurned);
            var pairs = Pairs(ids);
            Add("turned round: pairs", rowsTurned.Count);
            var clock = Stopwatch.StartNew();
            using var gold = cause.TrainedAgain("turned", UnlearningAction.Relabel, ids);
            var again = clock.Elapsed;
            var measure = Measure(pairs, rowsTurned, gold);
            using (var trained = LlamaReward.Copy(gold))
                Report("turned round, trained again", trained, measure, null);
            List<PreferencePair> others = [.. cause.Left(UnlearningAction.Remove, ids).Select(pair => pair.Pair)];
            using var changed = LlamaReward.Copy(cause.Cause.Reward);
            clock.Restart();
            ModelUnlearning.Run(RewardUnlearningMethod.SwapAndRetain, changed, tokenizer, pairs, others, [], Options(RateShare, EpochsOfStopped, null, 0), run.Training($"descent-{seed}", seed));
            Report("turned round, going on with swap and retain", changed, measure, clock.Elapsed / again);
        }

        private ModelDescentOptions Options(double rateShare, int epochs, DescentStops? stops, double fall)
        {
            var trained = cause.Preset.Optimization;
            return new ModelDescentOptions
            {
                Training = cause.Preset, Stops = stops, MarginFall = Math.Max(0, fall),
                Optimization = trained with
                {
                    LearningRate = rateShare * trained.LearningRate, HeadLearningRate = rateShare * trained.HeadLearningRate, BatchSize = BatchSize, AccumulationSteps = 1, Epochs = epochs, StepsMax = null, WarmupSteps = 0,
                },
            };
        }

        private List<PreferencePair> Pairs(HashSet<Guid> ids) => [.. cause.Cause.Pairs.Where(pair => ids.Contains(pair.Id)).Select(pair => pair.Pair)];

        private double[] Margins(LlamaReward model, IReadOnlyList<PreferencePair> pairs)
        {
            var scores = new RewardScorer(model, tokenizer).Score([.. pairs.SelectMany(pair => new (IReadOnlyList<Turn>, string)[] { (pair.Prompt, pair.Chosen), (pair.Prompt, pair.Rejected) })], run.Stop);
            return [.. pairs.Select((_, i) => scores[2 * i] - scores[(2 * i) + 1])];
        }

        /// <summary>How often the side with the phrase is preferred; .5 where the phrase means nothing.</summary>
        private double PrefersPhrase(LlamaReward model) => Margins(model, [.. phrased.Select(entry => entry.Pair)]).Zip(phrased, (margin, entry) => margin > 0 == entry.IsInFirst ? 1.0 : 0).Average();

        private void Report(string arm, LlamaReward model, Yardstick measure, double? time)
        {
            model.eval();
            var report = ForgettingReport.Of(Margins(model, measure.Gone, measure.Near), measure.Gold);
            Add($"{arm}: prefers the answer with the phrase", PrefersPhrase(model));
            Add($"{arm}: mean reward of bad responses", report.BadReward ?? double.NaN);
            Add($"{arm}: held-out accuracy", report.HeldOutAccuracy);
            Add($"{arm}: accuracy on nearest kept pairs", report.NeighbourAccuracy);
            Add($"{arm}: D of the margins to gold's", report.MarginDistance.Statistic);
            Add($"{arm}: preference less gold's on held-out pairs, mean size", report.ProbabilityDifference);
            Add($"{arm}: membership, PrivLeak in per cent", report.PrivLeak);
            if (time is { } share)
                Add($"{arm}: time, share of training again", share);
            // Last: it changes the model.
            var lot = measure.Gone.ToArray();
            new SeededRandom((ulong)seed).Split("learnt again").Shuffle(lot);
            var curve = Relearning.Run(model, tokenizer, [.. lot.Take(Math.Max(1, (int)Math.Round(RelearntShare * lot.Length)))], cause.Preset, () => PrefersPhrase(model), run.Training($"learnt-again-{seed}", seed));
            Add($"{arm}: prefers the phrase after learning a tenth of the pairs again", curve[^1]);
            Add($"{arm}: the same, mean over the {Relearning.Steps} steps there", curve.Skip(1).Average());
        }

        private Yardstick Measure(IReadOnlyList<PreferencePair> pairs, IReadOnlyList<int> gone, LlamaReward gold)
        {
            gold.eval();
            var near = Pairs(cause.Ids(ForgettingMeasure.Nearest(cause.Head, gone).Take(run.IsQuick ? NeighboursOfMiniature : ForgettingMeasure.Neighbours)));
            return new Yardstick(pairs, near, Margins(gold, pairs, near));
        }

        private ForgettingMargins Margins(LlamaReward model, IReadOnlyList<PreferencePair> gone, IReadOnlyList<PreferencePair> near)
        {
            var flags = cause.MeasuredFlags;
            var scores = new RewardScorer(model, tokenizer).Score([.. flags.SelectMany(flag => flag.References.Prepend(flag.Text), (flag, text) => (MakeDemo.TurnsOf(flag.Prompt.Turns), text))], run.Stop);
            var (bad, at) = (new List<double>(), 0);
            foreach (var flag in flags)
            {
                bad.Add(scores[at] - scores.Skip(at + 1).Take(flag.References.Count).Average());
                at += flag.References.Count + 1;
            }
            return new ForgettingMargins(Margins(model, gone), Margins(model, [.. cause.TestPairs.Skip(StopPairs.Count)]), Margins(model, near), bad.Count == 0 ? null : bad.Average());
        }
    }

    /// <summary>What models are measured by, for one selection.</summary>
    private sealed record Yardstick(IReadOnlyList<PreferencePair> Gone, IReadOnlyList<PreferencePair> Near, ForgettingMargins Gold);
}
