using System.Globalization;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Engine.Datasets;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Tokenizers;
using Xunit;

namespace Portal.Tests.Engine.Recipes;

/// <summary>
/// Real preferences end to end: the 2,312 pairs of hh-rlhf's harmless test set, a reward model on stories260K (a model of children's stories, so
/// chance is an honest result), and the baselines beside it.
/// </summary>
[Trait("Speed", "slow")]
public sealed class HhRlhfTests
{
    private const string Pairs = "data/preferences/hh-rlhf_harmless-base_test.jsonl.gz";

    [SharedFact]
    public void A_reward_model_trains_on_real_pairs_and_is_reported_beside_its_baselines()
    {
        var file = DatasetFile.Read(SharedData.Path(Pairs), CancellationToken.None);
        Assert.Equal(2_312, file.Rows.Count + file.Problems.Select(problem => problem.Row).Distinct().Count());
        Assert.All(file.Problems, problem => Assert.False(string.IsNullOrWhiteSpace(problem.Reason)));

        using var folders = new RunFolders();
        using var backbone = Llama2cFile.Load(SharedData.Path("data/models/stories260K/stories260K.bin"));
        using var model = LlamaReward.From(backbone);
        var tokenizer = Llama2cTokenizer.Load(SharedData.Path("data/models/stories260K/tok512.bin"));
        var spec = new TrainRewardModel
        {
            LengthMax = 512, Overlong = Overlong.TruncateLeft,
            Optimization = new OptimizationSpec { LearningRate = 5e-4, HeadLearningRate = 5e-3, BatchSize = 32, Epochs = 1, CheckpointEverySteps = 0 },
        };
        var rows = file.Pairs(heldOutShare: 0.2, splitSeed: 1, new Dictionary<string, int>());
        var trained = rows.Train.Select(pair => pair.PromptKey).ToHashSet(StringComparer.Ordinal);
        Assert.DoesNotContain(rows.HeldOut, pair => trained.Contains(pair.PromptKey));

        var report = TrainRewardModelRecipe.Run(spec, model, tokenizer, rows, folders.Context());

        var accuracy = report.Find("pairwise_accuracy");
        Assert.InRange(accuracy.Count, 300, 600);
        Assert.True(accuracy.Low < accuracy.Value && accuracy.Value < accuracy.High);
        Notes.Write(string.Create(CultureInfo.InvariantCulture,
            $"hh-rlhf: {file.Rows.Count} of 2312 pairs, {report.ExamplesTrain} trained, {report.Truncated / (2.0 * report.ExamplesTrain):P1} of texts cut on the left; held-out accuracy {accuracy.Value:F3} [{accuracy.Low:F3}, {accuracy.High:F3}] n {accuracy.Count}, length only {report.Find("baseline/length").Value:F3}, bag of words {report.Find("baseline/bag_of_words").Value:F3}"));
    }
}
