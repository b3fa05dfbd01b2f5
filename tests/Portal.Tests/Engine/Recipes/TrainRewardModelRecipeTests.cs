using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Engine;
using Portal.Engine.Datasets;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Portal.Tests.Engine.Recipes;

public sealed class TrainRewardModelRecipeTests : IDisposable
{
    private static readonly TrainRewardModel Spec = new()
    {
        LengthMax = 64,
        Optimization = new OptimizationSpec { LearningRate = 5e-3, HeadLearningRate = 2e-2, BatchSize = 16, Epochs = 4, EvaluateEverySteps = 0, CheckpointEverySteps = 5 },
    };

    private readonly RunFolders folders = new();

    public void Dispose() => folders.Dispose();

    [Fact]
    public void It_learns_a_planted_rule_and_reports_what_it_learned()
    {
        using var model = LlamaReward.From(ToyWorld.Base());
        var report = TrainRewardModelRecipe.Run(Spec, model, ToyWorld.Tokenizer, ToyWorld.Pairs(), folders.Context());
        Assert.Equal(Math.Log(2), report.Losses[0], 1e-5); // a fresh head says nothing
        // The stored weights, text by text, without batch or padding.
        using var stored = HuggingFaceFolder.LoadRewardModel(folders.Artefacts);
        var right = ToyWorld.Pairs().HeldOut.Count(pair => Reward(stored, pair, pair.Chosen) > Reward(stored, pair, pair.Rejected));
        var accuracy = right / (double)ToyWorld.Pairs().HeldOut.Count;
        Assert.True(accuracy > 0.9, $"it orders {accuracy:P0} of the held-out pairs");
        Assert.Equal(accuracy, report.Find(MetricNames.PairwiseAccuracy).Value, 1e-9);
    }

    [Fact]
    public void With_labels_drawn_by_lot_it_learns_nothing_about_other_prompts()
    {
        var random = new Portal.Engine.Statistics.SeededRandom(3);
        var pairs = ToyWorld.Split((prompt, v) => random.Chance(0.5)
            ? new PreferencePair(prompt, ToyWorld.TurnsOf(prompt), ToyWorld.Good(prompt, v), ToyWorld.Bad(prompt, v))
            : new PreferencePair(prompt, ToyWorld.TurnsOf(prompt), ToyWorld.Bad(prompt, v), ToyWorld.Good(prompt, v)));
        using var model = LlamaReward.From(ToyWorld.Base());
        var report = TrainRewardModelRecipe.Run(Spec, model, ToyWorld.Tokenizer, pairs, folders.Context());
        Assert.InRange(report.Find(MetricNames.PairwiseAccuracy).Value, 0.2, 0.8);
    }

    [Fact]
    public void Accumulated_micro_batches_count_as_a_mean_of_means()
    {
        // Three pairs in micro-batches of two and one. A fresh head gives reward 0, so a pair's loss is −log σ(−margin) = ln(1 + e^margin):
        // 0.873639 at 1/3, 1.081036 at 2/3, 1.313262 at 1. The longest pair is alone (batches go by length).
        var prompt = ToyWorld.Prompts[0];
        PreferencePair[] pairs =
        [
            new(prompt, ToyWorld.TurnsOf(prompt), "Yes.", "No.", Margin: 1 / 3.0),
            new(prompt, ToyWorld.TurnsOf(prompt), "Yes please.", "No never.", Margin: 2 / 3.0),
            new(prompt, ToyWorld.TurnsOf(prompt), "Yes please take the apple from the barn.", "No never take the apple from the barn.", Margin: 1),
        ];
        using var model = LlamaReward.From(ToyWorld.Model());
        var report = TrainRewardModelRecipe.Run(Spec with
        {
            UseMargins = true, Optimization = Spec.Optimization with { BatchSize = 2, AccumulationSteps = 2, StepsMax = 1, CheckpointEverySteps = 0 },
        }, model, ToyWorld.Tokenizer, new TrainingSplit<PreferencePair>(pairs, []), folders.Context());
        Assert.Equal(((0.873639 + 1.081036) / 2 + 1.313262) / 2, report.Losses[0], 1e-5);
        Assert.NotEqual((0.873639 + 1.081036 + 1.313262) / 3, report.Losses[0], 1e-3);
    }

    [Fact]
    public void A_killed_run_goes_on_as_if_nothing_had_happened()
    {
        using var whole = LlamaReward.From(ToyWorld.Base());
        using var resumed = LlamaReward.From(ToyWorld.Base());
        using var own = new RunFolders();
        var uninterrupted = TrainRewardModelRecipe.Run(Spec, whole, ToyWorld.Tokenizer, ToyWorld.Pairs(), own.Context());
        using (var killed = LlamaReward.From(ToyWorld.Base()))
            Assert.Throws<SeenProgress.Killed>(() => TrainRewardModelRecipe.Run(Spec, killed, ToyWorld.Tokenizer, ToyWorld.Pairs(), folders.Context(new SeenProgress(dieAfterStep: 13))));
        var seen = new SeenProgress();
        var report = TrainRewardModelRecipe.Run(Spec, resumed, ToyWorld.Tokenizer, ToyWorld.Pairs(), folders.Context(seen));
        Assert.Contains(seen.Lines, line => line.StartsWith("Resumed at step 10 of 32", StringComparison.Ordinal));
        Assert.Equal(uninterrupted.Losses, report.Losses);
        Assert.All(ToyWorld.Weights(whole).Zip(ToyWorld.Weights(resumed)), pair => Assert.Equal(pair.First, pair.Second, 1e-6f));
    }

    [Fact]
    public void A_pair_with_one_long_side_is_left_out_or_cut_and_counted()
    {
        var prompt = ToyWorld.Prompts[0];
        var rows = new TrainingSplit<PreferencePair>(
        [
            new(prompt, ToyWorld.TurnsOf(prompt), "Yes please.", "No never."),
            new(prompt, ToyWorld.TurnsOf(prompt), "Yes please.", string.Join(' ', Enumerable.Repeat("No never take the apple from the barn.", 8))),
        ], []);
        var left = Run(Overlong.Filter);
        Assert.Equal((1, 1, 0), (left.ExamplesTrain, left.Filtered, left.Truncated));
        var cut = Run(Overlong.TruncateLeft);
        Assert.Equal((2, 0, 1), (cut.ExamplesTrain, cut.Filtered, cut.Truncated));

        TrainingReport Run(Overlong overlong)
        {
            using var own = new RunFolders();
            using var model = LlamaReward.From(ToyWorld.Model());
            return TrainRewardModelRecipe.Run(Spec with { Overlong = overlong, Optimization = Spec.Optimization with { StepsMax = 1 } }, model, ToyWorld.Tokenizer, rows, own.Context());
        }
    }

    [Fact]
    public void No_usable_pair_is_refused_with_the_reason()
    {
        using var model = LlamaReward.From(ToyWorld.Model());
        var refused = Assert.Throws<CannotTrain>(() => TrainRewardModelRecipe.Run(Spec with { LengthMax = 3 }, model, ToyWorld.Tokenizer, ToyWorld.Pairs(), folders.Context()));
        Assert.Contains("128 have a side longer than 3 tokens", refused.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(folders.Artefacts));
    }

    [Fact]
    public void A_diverged_loss_ends_the_run_with_the_step_and_the_last_finite_loss()
    {
        using var model = LlamaReward.From(ToyWorld.Model());
        var refused = Assert.Throws<CannotTrain>(() => TrainRewardModelRecipe.Run(
            Spec with { CenteringCoefficient = 0.01, Optimization = Spec.Optimization with { LearningRate = 1e30, HeadLearningRate = 1e30, Schedule = Schedule.Constant, WarmupSteps = 0 } }, model, ToyWorld.Tokenizer, ToyWorld.Pairs(), folders.Context()));
        Assert.Contains("at step 2 is", refused.Message, StringComparison.Ordinal); // centring squares a reward of some 1e30
        Assert.Contains("the last finite loss was 0.6931", refused.Message, StringComparison.Ordinal); // ln 2: the fresh head is zero
        Assert.Empty(Directory.GetFiles(folders.Artefacts));
    }

    [Fact]
    public void No_tensor_is_left_behind_from_step_to_step()
    {
        var statistics = DisposeScopeManager.Statistics.TensorStatistics;
        var live = new Dictionary<int, long>();
        using var model = LlamaReward.From(ToyWorld.Base());
        TrainRewardModelRecipe.Run(Spec with { Optimization = Spec.Optimization with { EvaluateEverySteps = 7 } }, model, ToyWorld.Tokenizer, ToyWorld.Pairs(),
            folders.Context(new SeenProgress { AfterStep = step => live[step] = statistics.ThreadTotalLiveCount }));
        Assert.Equal(live[3], live[30]);
    }

    private static double Reward(LlamaReward model, PreferencePair pair, string answer)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var ids = new DialogueEncoder(ToyWorld.Tokenizer, 64, Overlong.Filter).Answer(pair.Prompt, answer)!.Ids;
        return model.Rewards(tensor(ids.Select(id => (long)id).ToArray()).unsqueeze(0), tensor(new[] { ids.Length - 1L })).item<float>();
    }
}
