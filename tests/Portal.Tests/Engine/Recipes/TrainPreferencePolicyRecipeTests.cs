using Portal.Data.JobSpecs;
using Portal.Engine;
using Portal.Engine.Datasets;
using Portal.Engine.Generation;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using TorchSharp;
using Xunit;

namespace Portal.Tests.Engine.Recipes;

public sealed class TrainPreferencePolicyRecipeTests : IDisposable
{
    private static readonly TrainPreferencePolicy Spec = new()
    {
        LengthMax = 64, Optimization = new OptimizationSpec { LearningRate = 3e-3, BatchSize = 16, Epochs = 4, CheckpointEverySteps = 5 },
    };

    private readonly RunFolders folders = new();

    public void Dispose() => folders.Dispose();

    [Fact]
    public void Dpo_learns_a_planted_rule()
    {
        using var before = ToyWorld.Base();
        using var model = ToyWorld.Base();
        var report = TrainPreferencePolicyRecipe.RunDpo(Spec, model, ToyWorld.Tokenizer, ToyWorld.Pairs(), folders.Context());
        Assert.Equal(Math.Log(2), report.Losses[0], 1e-4); // policy and reference are the same
        using var stored = HuggingFaceFolder.LoadLanguageModel(folders.Artefacts);
        var margins = ToyWorld.Pairs().HeldOut.Select(pair => Gain(pair.PromptKey, pair.Chosen) - Gain(pair.PromptKey, pair.Rejected)).ToList();
        Assert.True(margins.Count(margin => margin > 0) >= 0.9 * margins.Count, $"{margins.Count(margin => margin > 0)} of {margins.Count} held-out pairs gained");
        Assert.Equal(Spec.Beta * margins.Average(), report.Find("rewards/margins").Value, 1e-3);
        var (pleaseBefore, pleaseAfter) = (PleaseShare(before), PleaseShare(stored));
        Assert.InRange(pleaseBefore, 0.2, 0.8);
        Assert.True(pleaseAfter > pleaseBefore + 0.2, $"\"please\" went from {pleaseBefore:P0} to {pleaseAfter:P0}");

        double Gain(string prompt, string answer) => ToyWorld.LogProb(stored, prompt, answer) - ToyWorld.LogProb(before, prompt, answer);
    }

    [Fact]
    public void Kto_learns_a_planted_rule()
    {
        using var before = ToyWorld.Base();
        using var model = ToyWorld.Base();
        TrainPreferencePolicyRecipe.RunKto(Spec, model, ToyWorld.Tokenizer, ToyWorld.Verdicts(), folders.Context());
        using var stored = HuggingFaceFolder.LoadLanguageModel(folders.Artefacts);
        var gains = ToyWorld.Verdicts().HeldOut.Select(row => (row.IsGood,
            Gain: ToyWorld.LogProb(stored, row.PromptKey, row.Response) - ToyWorld.LogProb(before, row.PromptKey, row.Response))).ToList();
        var good = gains.Where(row => row.IsGood).Select(row => row.Gain).ToList();
        var bad = gains.Where(row => !row.IsGood).Select(row => row.Gain).ToList();
        var ordered = good.Average(g => bad.Average(b => g > b ? 1.0 : 0.0));
        Assert.True(ordered > 0.9, $"a good answer gains more than a bad one in {ordered:P0} of held-out cases");
        Assert.True(PleaseShare(stored) > PleaseShare(before) + 0.2);
    }

    [Theory]
    [InlineData(PreferenceMethod.Dpo)]
    [InlineData(PreferenceMethod.Kto)]
    public void A_killed_run_goes_on_as_if_nothing_had_happened(PreferenceMethod method)
    {
        using var own = new RunFolders();
        var (whole, uninterrupted) = Run(own.Context());
        Assert.Throws<SeenProgress.Killed>(() => Run(folders.Context(new SeenProgress(dieAfterStep: 8))));
        var seen = new SeenProgress();
        var (resumed, report) = Run(folders.Context(seen));
        Assert.Contains(seen.Lines, line => line.StartsWith("Resumed at step 5", StringComparison.Ordinal));
        Assert.Equal(uninterrupted.Losses.Count, report.Losses.Count);
        Assert.All(uninterrupted.Losses.Zip(report.Losses), pair => Assert.Equal(pair.First, pair.Second, 1e-6));
        Assert.All(whole.Zip(resumed), pair => Assert.Equal(pair.First, pair.Second, 1e-6f));

        (float[] Weights, TrainingReport Report) Run(RecipeContext context)
        {
            using var model = ToyWorld.Base();
            var spec = Spec with { Method = method, Optimization = Spec.Optimization with { Epochs = 2 } };
            var done = method is PreferenceMethod.Dpo
                ? TrainPreferencePolicyRecipe.RunDpo(spec, model, ToyWorld.Tokenizer, ToyWorld.Pairs(), context)
                : TrainPreferencePolicyRecipe.RunKto(spec, model, ToyWorld.Tokenizer, ToyWorld.Verdicts(), context);
            return (ToyWorld.Weights(model), done);
        }
    }

    [Fact]
    public void Ktos_mismatched_answers_are_those_of_the_row_before()
    {
        // One batch an epoch, so the second step's loss can be worked out from the weights after the first: row i is joined with the answer
        // of row i − 1 (TRL), and with mostly good verdicts the divergence is above 0, so the direction of the rotation shows.
        var rows = ToyWorld.Verdicts();
        List<LabelledResponse> six = [.. rows.Train.Where(row => row.IsGood).Take(5), rows.Train.First(row => !row.IsGood)];
        six = [.. six.Select((row, i) => row with { Response = row.Response + string.Concat(Enumerable.Repeat(" Please.", i)) })]; // lengths differ: the order is known
        var spec = Spec with { Method = PreferenceMethod.Kto, Optimization = new OptimizationSpec { LearningRate = 1e-2, Schedule = Schedule.Constant, BatchSize = 6, Epochs = 2, CheckpointEverySteps = 0 } };
        using var before = ToyWorld.Base();
        using var afterOne = ToyWorld.Base();
        using (var own = new RunFolders())
            TrainPreferencePolicyRecipe.RunKto(spec with { Optimization = spec.Optimization with { StepsMax = 1 } }, afterOne, ToyWorld.Tokenizer, new(six, []), own.Context());
        using var model = ToyWorld.Base();
        var report = TrainPreferencePolicyRecipe.RunKto(spec, model, ToyWorld.Tokenizer, new(six, []), folders.Context());

        var encoder = new DialogueEncoder(ToyWorld.Tokenizer, 64, Overlong.Filter);
        var batch = BatchOrder.Epoch([.. six.Select(row => encoder.Answer(row.Prompt, row.Response)!.Ids.Length)], 6, spec.Seed, 1).Single();
        var (previous, next, own1) = (ByHand(-1), ByHand(1), ByHand(0));
        Assert.Equal(previous, report.Losses[1], 1e-4);
        Assert.NotEqual(next, report.Losses[1], 1e-4);
        Assert.NotEqual(own1, report.Losses[1], 1e-4);

        double ByHand(int from)
        {
            var kl = Math.Max(0, batch.Select((_, place) => Ratio(six[batch[place]].PromptKey, six[batch[(place + from + 6) % 6]].Response)).Average());
            return batch.Average(i =>
            {
                var z = spec.Beta * (Ratio(six[i].PromptKey, six[i].Response) - kl);
                return 1 - 1 / (1 + Math.Exp(six[i].IsGood ? -z : z));
            });
        }

        double Ratio(string prompt, string answer) => ToyWorld.LogProb(afterOne, prompt, answer) - ToyWorld.LogProb(before, prompt, answer);
    }

    [Fact]
    public void Verdicts_of_one_sort_only_are_refused()
    {
        using var model = ToyWorld.Base();
        var rows = ToyWorld.Verdicts();
        var refused = Assert.Throws<CannotTrain>(() => TrainPreferencePolicyRecipe.RunKto(Spec, model, ToyWorld.Tokenizer,
            new([.. rows.Train.Where(row => row.IsGood)], []), folders.Context()));
        Assert.Contains("64 good and 0 bad", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_diverged_loss_ends_the_run_with_the_step()
    {
        using var model = ToyWorld.Base();
        var refused = Assert.Throws<CannotTrain>(() => TrainPreferencePolicyRecipe.RunDpo(
            Spec with { Optimization = Spec.Optimization with { LearningRate = 1e30, Schedule = Schedule.Constant } }, model, ToyWorld.Tokenizer, ToyWorld.Pairs(), folders.Context()));
        Assert.Contains("step 2", refused.Message, StringComparison.Ordinal);
        Assert.Contains("(the last finite loss was ", refused.Message, StringComparison.Ordinal); // step 2's own where its gradient is the first that is none
        Assert.Empty(Directory.GetFiles(folders.Artefacts));
    }

    [Theory]
    [InlineData(PreferenceMethod.Dpo)]
    [InlineData(PreferenceMethod.Kto)]
    public void No_tensor_is_left_behind_from_step_to_step(PreferenceMethod method)
    {
        var statistics = DisposeScopeManager.Statistics.TensorStatistics;
        var live = new Dictionary<int, long>();
        using var model = ToyWorld.Base();
        var context = folders.Context(new SeenProgress { AfterStep = step => live[step] = statistics.ThreadTotalLiveCount });
        if (method is PreferenceMethod.Dpo)
            TrainPreferencePolicyRecipe.RunDpo(Spec, model, ToyWorld.Tokenizer, ToyWorld.Pairs(), context);
        else
            TrainPreferencePolicyRecipe.RunKto(Spec, model, ToyWorld.Tokenizer, ToyWorld.Verdicts(), context);
        Assert.Equal(live[3], live[30]);
    }

    /// <summary>How many of 128 sampled answers to held-out prompts say "please".</summary>
    private static double PleaseShare(Llama model)
    {
        var encoder = new DialogueEncoder(ToyWorld.Tokenizer, 64, Overlong.Filter);
        var prompts = ToyWorld.Verdicts().HeldOut.DistinctBy(row => row.PromptKey).SelectMany(row => Enumerable.Repeat(encoder.Prompt(row.Prompt), 8)).ToList();
        return new Sampler(model).Generate(prompts, new SamplingOptions { MaxNewTokens = 24, StopIds = [.. encoder.StopIds], Seed = 4 }, CancellationToken.None)
            .Average(answer => ToyWorld.Tokenizer.Decode([.. answer.Ids]).Contains("please", StringComparison.Ordinal) ? 1.0 : 0.0);
    }
}
