using Portal.Data.JobSpecs;
using Portal.Engine;
using Portal.Engine.Datasets;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using TorchSharp;
using Xunit;

namespace Portal.Tests.Engine.Recipes;

public sealed class TrainSftRecipeTests : IDisposable
{
    private static readonly TrainSft Spec = new()
    {
        LengthMax = 64, Optimization = new OptimizationSpec { LearningRate = 5e-3, BatchSize = 16, Epochs = 2, CheckpointEverySteps = 5 },
    };

    private readonly RunFolders folders = new();

    public void Dispose() => folders.Dispose();

    [Fact]
    public void The_loss_goes_down_and_the_held_out_one_with_it()
    {
        using var model = ToyWorld.Model();
        var prompt = ToyWorld.Dialogues().HeldOut[0];
        var before = ToyWorld.LogProb(model, prompt.Turns[0].Content, prompt.Turns[1].Content);
        var report = TrainSftRecipe.Run(Spec with { Optimization = Spec.Optimization with { LearningRate = 1e-2, Epochs = 10 } }, model, ToyWorld.Tokenizer, ToyWorld.Dialogues(), folders.Context());
        Assert.True(report.Losses[^1] < 0.5 * report.Losses[0], $"the loss went from {report.Losses[0]:F3} to {report.Losses[^1]:F3}");
        Assert.True(ToyWorld.LogProb(model, prompt.Turns[0].Content, prompt.Turns[1].Content) > before + 10);
    }

    [Fact]
    public void Eight_micro_batches_of_one_give_the_gradient_of_one_batch_of_eight()
    {
        var rows = ToyWorld.Dialogues();
        rows = new TrainingSplit<TrainingDialogue>([.. rows.Train.Take(8)], []);
        // With so large an epsilon AdamW's first step is rate · g / (|g| + 1): the weights' change shows the gradient itself.
        var optimization = new OptimizationSpec { LearningRate = 1, Schedule = Schedule.Constant, Epsilon = 1, GradientNormMax = 0, StepsMax = 1, CheckpointEverySteps = 0 };
        var (whole, wholeLoss) = Step(optimization with { BatchSize = 8 });
        var (parts, partsLoss) = Step(optimization with { BatchSize = 1, AccumulationSteps = 8 });
        var (wrong, _) = Step(optimization with { BatchSize = 1, AccumulationSteps = 4 });
        Assert.Equal(wholeLoss, partsLoss, 1e-5);
        Assert.True(Distance(whole, parts) < 1e-5, $"the gradients differ by {Distance(whole, parts)}");
        Assert.True(Distance(whole, wrong) > 1e-3, "four of the eight dialogues cannot have the gradient of all");

        (float[] Weights, double Loss) Step(OptimizationSpec optimization)
        {
            using var own = new RunFolders();
            using var model = ToyWorld.Model();
            var report = TrainSftRecipe.Run(Spec with { Optimization = optimization }, model, ToyWorld.Tokenizer, rows, own.Context());
            return (ToyWorld.Weights(model), report.Losses[0]);
        }

        static double Distance(float[] a, float[] b) => a.Zip(b, (x, y) => Math.Abs((double)x - y)).Max();
    }

    [Fact]
    public void A_killed_run_goes_on_as_if_nothing_had_happened()
    {
        using var whole = ToyWorld.Model();
        using var resumed = ToyWorld.Model();
        using var own = new RunFolders();
        var uninterrupted = TrainSftRecipe.Run(Spec, whole, ToyWorld.Tokenizer, ToyWorld.Dialogues(), own.Context());
        using (var killed = ToyWorld.Model())
            Assert.Throws<SeenProgress.Killed>(() => TrainSftRecipe.Run(Spec, killed, ToyWorld.Tokenizer, ToyWorld.Dialogues(), folders.Context(new SeenProgress(dieAfterStep: 8))));
        var seen = new SeenProgress();
        var report = TrainSftRecipe.Run(Spec, resumed, ToyWorld.Tokenizer, ToyWorld.Dialogues(), folders.Context(seen));
        Assert.Contains(seen.Lines, line => line.StartsWith("Resumed at step 5 of 16", StringComparison.Ordinal));
        Assert.Equal(uninterrupted.Losses, report.Losses);
        Assert.All(ToyWorld.Weights(whole).Zip(ToyWorld.Weights(resumed)), pair => Assert.Equal(pair.First, pair.Second, 1e-6f));
    }

    [Fact]
    public void A_checkpoint_of_other_data_is_not_taken_up()
    {
        using (var first = ToyWorld.Model())
            Assert.Throws<SeenProgress.Killed>(() => TrainSftRecipe.Run(Spec, first, ToyWorld.Tokenizer, ToyWorld.Dialogues(), folders.Context(new SeenProgress(dieAfterStep: 8))));
        using var second = ToyWorld.Model();
        var rows = ToyWorld.Dialogues();
        var seen = new SeenProgress();
        TrainSftRecipe.Run(Spec, second, ToyWorld.Tokenizer, rows with { Train = [.. rows.Train.Skip(1)] }, folders.Context(seen));
        Assert.DoesNotContain(seen.Lines, line => line.StartsWith("Resumed", StringComparison.Ordinal));
        Assert.Equal(1, seen.Points.First(point => point.Name == "loss").Step);
    }

    [Fact]
    public void The_same_seed_repeats_a_run_and_another_does_not()
    {
        var first = Losses(1);
        Assert.Equal(first, Losses(1));
        Assert.NotEqual(first, Losses(2));

        static IReadOnlyList<double> Losses(long seed)
        {
            using var own = new RunFolders();
            using var model = ToyWorld.Model();
            return TrainSftRecipe.Run(Spec with { Seed = seed, Optimization = Spec.Optimization with { StepsMax = 6 } }, model, ToyWorld.Tokenizer, ToyWorld.Dialogues(), own.Context()).Losses;
        }
    }

    [Fact]
    public void No_tensor_is_left_behind_from_step_to_step()
    {
        var statistics = DisposeScopeManager.Statistics.TensorStatistics;
        var live = new Dictionary<int, long>();
        using var model = ToyWorld.Model();
        TrainSftRecipe.Run(Spec with { Optimization = Spec.Optimization with { Epochs = 4, CheckpointEverySteps = 10 } }, model, ToyWorld.Tokenizer, ToyWorld.Dialogues(),
            folders.Context(new SeenProgress { AfterStep = step => live[step] = statistics.ThreadTotalLiveCount }));
        Assert.Equal(live[3], live[30]);
    }

    [Fact]
    public void A_diverged_loss_ends_the_run_with_the_step_and_advice()
    {
        using var model = ToyWorld.Model();
        var refused = Assert.Throws<CannotTrain>(() => TrainSftRecipe.Run(Spec with { Optimization = Spec.Optimization with { LearningRate = 1e30, Schedule = Schedule.Constant } },
            model, ToyWorld.Tokenizer, ToyWorld.Dialogues(), folders.Context()));
        Assert.Contains("step 2", refused.Message, StringComparison.Ordinal);
        Assert.Contains("the last finite loss was 5.", refused.Message, StringComparison.Ordinal); // ln 340 = 5.83 is a model that knows nothing
        Assert.Contains("learning rate", refused.Message, StringComparison.Ordinal);
        Assert.False(File.Exists(Path.Combine(folders.Artefacts, "model.safetensors")));
    }

    [Fact]
    public void An_early_stop_keeps_the_best_weights()
    {
        using var model = ToyWorld.Model();
        var seen = new SeenProgress();
        // A rate that first learns and then only jumps about.
        var report = TrainSftRecipe.Run(Spec with
        {
            Optimization = Spec.Optimization with { LearningRate = 0.3, Schedule = Schedule.Constant, Epochs = 30, EvaluateEverySteps = 1, Patience = 3, CheckpointEverySteps = 0 },
        }, model, ToyWorld.Tokenizer, ToyWorld.Dialogues(), folders.Context(seen));
        var evaluations = seen.Points.Where(point => point.Name == "heldout/loss").ToList();
        var best = evaluations.MinBy(point => point.Value);
        Assert.True(report.Steps < 240, "it did not stop early");
        Assert.True(report.KeptStep < report.Steps, "the last step was the best one, so nothing was tested");
        Assert.Equal(best.Step, report.KeptStep);
        // The weights on disk are the best ones: their own held-out loss, worked out text by text.
        using var stored = HuggingFaceFolder.LoadLanguageModel(folders.Artefacts);
        var (sum, count) = (0.0, 0);
        foreach (var row in ToyWorld.Dialogues().HeldOut)
        {
            sum -= ToyWorld.LogProb(stored, row.Turns[0].Content, row.Turns[1].Content);
            count += new DialogueEncoder(ToyWorld.Tokenizer, 64, Overlong.Filter).Answer([row.Turns[0]], row.Turns[1].Content)!.CompletionLength;
        }
        Assert.Equal(best.Value, sum / count, 1e-3);
    }

    [Fact]
    public void Dialogues_that_are_all_too_long_are_refused_with_their_number()
    {
        using var model = ToyWorld.Model();
        var refused = Assert.Throws<CannotTrain>(() => TrainSftRecipe.Run(Spec with { LengthMax = 3 }, model, ToyWorld.Tokenizer, ToyWorld.Dialogues(), folders.Context()));
        Assert.Contains("128 are longer than 3 tokens", refused.Message, StringComparison.Ordinal);
    }
}
