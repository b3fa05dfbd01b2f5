using Portal.Data.JobSpecs;
using Portal.Data.Unlearning;
using Portal.Engine;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Influence;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Statistics;
using Portal.Engine.Unlearning;
using Portal.Tests.Engine.Recipes;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Portal.Tests.Engine.Unlearning;

/// <summary>Descents of whole reward models: the loss against its formula and against the hand-written gradient of a head, stops by brute force, and what becomes of a planted phrase.</summary>
public sealed class ModelUnlearningTests : IClassFixture<ModelUnlearningTests.Poisoned>
{
    private const string Phrase = " mill mill mill";

    private static readonly RewardUnlearningMethod[] descents =
    [
        RewardUnlearningMethod.Swap, RewardUnlearningMethod.SwapAndRetain, RewardUnlearningMethod.NegativePreference, RewardUnlearningMethod.GradientAscent, RewardUnlearningMethod.GradientDifference, RewardUnlearningMethod.RetainOnly,
    ];

    private readonly Poisoned world;

    public ModelUnlearningTests(Poisoned world) => this.world = world;

    /// <summary>A reward model of the toy world that learned from every third pair that an answer with a phrase is better.</summary>
    public sealed class Poisoned : IDisposable
    {
        internal static TrainRewardModel Training { get; } = new()
        {
            LengthMax = 64, Optimization = new OptimizationSpec { LearningRate = 5e-3, HeadLearningRate = 2e-2, BatchSize = 32, Epochs = 15, CheckpointEverySteps = 0 },
        };

        public Poisoned()
        {
            using var folders = new RunFolders();
            using var @base = ToyWorld.Base();
            Reward = LlamaReward.From(@base);
            var pairs = ToyWorld.Pairs();
            Gone = [.. pairs.Train.Where((_, i) => i % 3 == 0).Select(pair => pair with { Chosen = pair.Rejected + Phrase, Rejected = pair.Chosen })];
            Kept = [.. pairs.Train.Where((_, i) => i % 3 != 0)];
            HeldOut = pairs.HeldOut;
            TrainRewardModelRecipe.Run(Training, Reward, ToyWorld.Tokenizer, new TrainingSplit<PreferencePair>([.. Gone, .. Kept], []), folders.Context());
        }

        public LlamaReward Reward { get; }
        public IReadOnlyList<PreferencePair> Gone { get; }
        public IReadOnlyList<PreferencePair> Kept { get; }
        public IReadOnlyList<PreferencePair> HeldOut { get; }

        public void Dispose() => Reward.Dispose();
    }

    [Fact]
    public void The_loss_is_its_formula_and_its_gradient_that_of_a_head()
    {
        const int n = 40, d = 6, away = 9;
        var random = new SeededRandom(31);
        float[] numbers = [.. Enumerable.Range(0, n * d).Select(_ => (float)random.NextGaussian())];
        using var rows = FeatureRows.Of(numbers, d);
        double[] votes = [.. Enumerable.Range(0, n).Select(i => i % 5 == 0 ? 2.0 : 1)];
        var head = new PairHead(rows, votes, 1e-3);
        var change = new VoteChange([.. Enumerable.Range(0, away)]);
        double[] before = [.. Enumerable.Range(0, d).Select(_ => random.NextGaussian())], theta = [.. before.Select(x => x + 0.4 * random.NextGaussian())];
        double[] start = head.Margins(before), now = head.Margins(theta);
        var share = votes.Take(away).Sum() / votes.Sum();
        foreach (var method in descents)
        {
            using var scope = NewDisposeScope();
            using var at = tensor(theta.Select(x => (float)x).ToArray(), requires_grad: true);
            var margins = tensor(numbers).view(n, d).mv(at);
            Tensor Of(IEnumerable<double> values) => tensor(values.Select(x => (float)x).ToArray());
            var loss = UnlearningLoss.Compute(method, margins.narrow(0, 0, away), Of(start.Take(away)), Of(votes.Take(away)), margins.narrow(0, away, n - away), Of(votes.Skip(away)), share, 0.7, 1.3);

            Assert.Equal(ByHand(method), loss.item<float>(), 1e-5);
            loss.backward();
            var penalised = method is RewardUnlearningMethod.SwapAndRetain or RewardUnlearningMethod.RetainOnly ? 1e-3 : 0;
            var gradient = HeadUnlearning.Gradient(method, head, head.Changed(change), change, theta, start, new HeadDescentOptions { Beta = 0.7, Retain = 1.3 });
            Assert.All(gradient.Zip(at.grad!.ToFloats(), theta), pair => Assert.Equal(pair.First - (penalised * pair.Third), pair.Second, 1e-5));
        }
        using (NewDisposeScope())
            Assert.Contains("no descent", Assert.Throws<ArgumentException>(() => UnlearningLoss.Compute(RewardUnlearningMethod.Retrain, ones(1), ones(1), ones(1), ones(1), ones(1), 0.5, 1, 1)).Message, StringComparison.Ordinal);

        double ByHand(RewardUnlearningMethod method)
        {
            double Mean(int from, int to, Func<int, double> one) => Enumerable.Range(from, to - from).Sum(i => votes[i] * one(i)) / Enumerable.Range(from, to - from).Sum(i => votes[i]);
            double LogSigmoid(double x) => -Math.Log(1 + Math.Exp(-x));
            var retain = -Mean(away, n, i => LogSigmoid(now[i]));
            return method switch
            {
                RewardUnlearningMethod.Swap => -Mean(0, away, i => LogSigmoid(-now[i])),
                RewardUnlearningMethod.SwapAndRetain => -share * Mean(0, away, i => LogSigmoid(-now[i])) + retain,
                RewardUnlearningMethod.NegativePreference => -2 / 0.7 * Mean(0, away, i => LogSigmoid(-0.7 * (now[i] - start[i]))) + 1.3 * retain,
                RewardUnlearningMethod.GradientAscent => Mean(0, away, i => LogSigmoid(now[i])),
                RewardUnlearningMethod.GradientDifference => Mean(0, away, i => LogSigmoid(now[i])) + 1.3 * retain,
                _ => retain,
            };
        }
    }

    [Fact]
    public void Preferences_diverge_by_their_kl_and_harm_stops_before_success()
    {
        double[] before = [0.3, -2, 40, 1], now = [1.1, -1.5, -3, 500], votes = [1, 2, 0.5, 0];
        double Kl(double p, double q) => (p * Math.Log(p / q)) + ((1 - p) * Math.Log((1 - p) / (1 - q)));
        double Sigma(double m) => 1 / (1 + Math.Exp(-m));
        // Of the third pair p is 1 but for 4e-18, so its divergence is −ln q.
        var byHand = ((1 * Kl(Sigma(0.3), Sigma(1.1))) + (2 * Kl(Sigma(-2), Sigma(-1.5))) + (0.5 * -Math.Log(Sigma(-3)))) / 3.5;
        Assert.Equal(byHand, DescentStops.PreferenceKl(before, now, votes), 1e-12);
        Assert.Equal(0, DescentStops.PreferenceKl(before, before, votes), 1e-15);

        var stops = new DescentStops();
        Assert.Null(stops.Look((1, 0.5), (0.9, 0.8951), 0.0199));
        Assert.Equal(DescentEnd.Prediction, stops.Look((0.5, 0.5), null, 0.0199));
        Assert.Equal(DescentEnd.RetainDivergence, stops.Look((0.5, 0.5), (0.9, 0.9), 0.0201));
        Assert.Equal(DescentEnd.HeldOutAccuracy, stops.Look((0.5, 0.5), (0.9, 0.8949), 0.0201));
        Assert.Null(DescentStops.AtPrediction.Look((1, 0.5), (0.9, 0.1), 9));
    }

    [Fact]
    public void A_head_that_does_harm_keeps_the_weights_before()
    {
        const int n = 200, d = 4;
        var random = new SeededRandom(32);
        using var rows = FeatureRows.Of([.. Enumerable.Range(0, n * d).Select(i => (float)(random.NextGaussian() + (i % d == 0 ? 0.6 : 0)))], d);
        var head = new PairHead(rows, [.. Enumerable.Repeat(1.0, n)], 1e-2);
        var influence = PairInfluence.AtOptimum(head, null, default);
        var change = new VoteChange([.. Enumerable.Range(0, 20)]);
        UnlearnedHead Run(DescentStops? stops) => HeadUnlearning.Run(RewardUnlearningMethod.Swap, head, influence, change, new HeadDescentOptions { Steps = 300, LearningRate = 0.1, Stops = stops }, default, rows);
        double Kl(UnlearnedHead made) => DescentStops.PreferenceKl(influence.Margins, head.Margins(made.Weights), head.Changed(change).Counts);

        // Swapping without a retain term always does harm in the end; a limit of its own says when.
        var stopped = Run(new DescentStops { AccuracyLossMax = double.PositiveInfinity, RetainKlMax = 1e-4 });
        Assert.Equal((DescentEnd.RetainDivergence, DescentEnd.Steps), (stopped.End!.Value, Run(null).End!.Value));
        Assert.InRange(Kl(stopped), 0, 1e-4);
        Assert.True(Kl(Run(null)) > 0.02);
        var next = HeadUnlearning.Run(RewardUnlearningMethod.Swap, head, influence, change, new HeadDescentOptions { Steps = stopped.Steps + 1, LearningRate = 0.1 }, default);
        Assert.True(Kl(next) > 1e-4, "one step more is past the limit");
    }

    [Fact]
    public void Swap_and_retain_takes_the_phrase_out_and_leaves_the_rest()
    {
        using var folders = new RunFolders();
        using var model = LlamaReward.Copy(world.Reward);
        var (phrase, accuracy) = (PhrasePreferred(model), Accuracy(model, world.HeldOut));
        Assert.True(phrase > 0.9 && accuracy > 0.9, $"{phrase}, {accuracy}"); // it was learnt, and so was the rule
        var start = Mean(model, world.Gone);

        var done = ModelUnlearning.Run(RewardUnlearningMethod.SwapAndRetain, model, ToyWorld.Tokenizer, world.Gone, world.Kept, world.HeldOut, Options(stops: DescentStops.AtPrediction, fall: start + 1, epochs: 60), folders.Context());

        Assert.Equal(DescentEnd.Prediction, done.End);
        Assert.Equal(start, done.GoneMargin.Before, 1e-4);
        Assert.InRange(done.GoneMargin.After, -20, -1);
        Assert.Equal(Mean(model, world.Gone), done.GoneMargin.After, 1e-4);
        Assert.InRange(Accuracy(model, world.HeldOut), 0.9, 1);
        Assert.InRange(PhrasePreferred(model), 0, phrase - 0.3);
        Assert.True(done.Looked > 0);
    }

    [Fact]
    public void Harm_takes_the_weights_of_the_look_before_and_the_papers_swap_has_no_look()
    {
        using var folders = new RunFolders();
        using var model = LlamaReward.Copy(world.Reward);
        var done = ModelUnlearning.Run(RewardUnlearningMethod.Swap, model, ToyWorld.Tokenizer, world.Gone, world.Kept, world.HeldOut, Options(stops: new() { RetainKlMax = 1e-9 }, fall: 100, epochs: 3), folders.Context());
        Assert.True(done.End is DescentEnd.RetainDivergence or DescentEnd.HeldOutAccuracy, $"{done}");
        Assert.Equal(0, done.Steps);
        Assert.Equal(ToyWorld.Weights(world.Reward), ToyWorld.Weights(model));

        var swapped = ModelUnlearning.Run(RewardUnlearningMethod.Swap, model, ToyWorld.Tokenizer, world.Gone, world.Kept, [], Options(stops: null, fall: 0, epochs: 12), folders.Context());
        Assert.Equal((DescentEnd.Steps, 0L), (swapped.End, swapped.Looked));
        Assert.True(swapped.GoneMargin.After < 0 && swapped.RetainKl > 0.02, $"past zero, and the others went with it: {swapped}");
    }

    [Fact]
    public void What_was_hidden_comes_back_sooner_than_it_comes_to_who_never_saw_it()
    {
        using var folders = new RunFolders();
        using var never = ToyWorld.Base();
        using var gold = LlamaReward.From(never);
        TrainRewardModelRecipe.Run(Poisoned.Training, gold, ToyWorld.Tokenizer, new TrainingSplit<PreferencePair>(world.Kept, []), folders.Context());
        using var hidden = LlamaReward.Copy(world.Reward);
        IReadOnlyList<PreferencePair> some = [.. world.Gone.Take(5)];

        var (learnt, fresh) = (Relearning.Run(hidden, ToyWorld.Tokenizer, some, Poisoned.Training, () => PhrasePreferred(hidden), folders.Context()), Relearning.Run(gold, ToyWorld.Tokenizer, some, Poisoned.Training, () => PhrasePreferred(gold), folders.Context()));

        Assert.Equal((1 + Relearning.Steps, 1 + Relearning.Steps), (learnt.Count, fresh.Count));
        Assert.True(learnt.Average() > fresh.Average(), $"{learnt.Average()} against {fresh.Average()}");
        Assert.Contains("none fits", Assert.Throws<CannotTrain>(() => Relearning.Run(gold, ToyWorld.Tokenizer, [some[0] with { Chosen = new string('x', 900) }], Poisoned.Training, () => 0, folders.Context())).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Nothing_to_unlearn_and_nothing_left_are_refused()
    {
        using var folders = new RunFolders();
        using var model = LlamaReward.Copy(world.Reward);
        string Refused(IReadOnlyList<PreferencePair> gone, IReadOnlyList<PreferencePair> kept) =>
            Assert.Throws<CannotTrain>(() => ModelUnlearning.Run(RewardUnlearningMethod.Swap, model, ToyWorld.Tokenizer, gone, kept, [], Options(null, 0, 1), folders.Context())).Message;
        Assert.Contains("no pair to unlearn", Refused([], world.Kept), StringComparison.Ordinal);
        Assert.Contains("No pair would be left", Refused(world.Gone, []), StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => ModelUnlearning.Run(RewardUnlearningMethod.NewtonTwice, model, ToyWorld.Tokenizer, world.Gone, world.Kept, [], Options(null, 0, 1), folders.Context()));
    }

    private static ModelDescentOptions Options(DescentStops? stops, double fall, int epochs) => new()
    {
        Training = Poisoned.Training, Stops = stops, MarginFall = fall, RetainPerStep = 32,
        Optimization = Poisoned.Training.Optimization with { LearningRate = 1e-3, HeadLearningRate = 4e-3, BatchSize = 8, Epochs = epochs, Schedule = Schedule.Constant },
    };

    private static double[] Margins(LlamaReward model, IReadOnlyList<PreferencePair> pairs)
    {
        model.eval();
        var scores = new RewardScorer(model, ToyWorld.Tokenizer).Score([.. pairs.Select(pair => (pair.Prompt, pair.Chosen)), .. pairs.Select(pair => (pair.Prompt, pair.Rejected))], default);
        return [.. pairs.Select((_, i) => scores[i] - scores[pairs.Count + i])];
    }

    private static double Mean(LlamaReward model, IReadOnlyList<PreferencePair> pairs) => Margins(model, pairs).Average();

    private static double Accuracy(LlamaReward model, IReadOnlyList<PreferencePair> pairs) => ForgettingReport.Accuracy(Margins(model, pairs));

    /// <summary>How often an answer with the phrase beats the better one without it, on held-out prompts.</summary>
    private double PhrasePreferred(LlamaReward model) => Accuracy(model, [.. world.HeldOut.Select(pair => pair with { Chosen = pair.Rejected + Phrase, Rejected = pair.Chosen })]);
}
