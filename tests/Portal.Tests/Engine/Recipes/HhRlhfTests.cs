using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Portal.Data.JobSpecs;
using Portal.Engine.Datasets;
using Portal.Engine.Models;
using Portal.Engine.Tokenizers;
using Portal.Tests.Engine.Jobs;
using Xunit;

namespace Portal.Tests.Engine.Recipes;

/// <summary>
/// Real preferences end to end: the 2,312 pairs of hh-rlhf's harmless test set, a reward model on stories260K (a model of children's stories, so
/// chance is an honest result), and the baselines beside it.
/// </summary>
/// <remarks>
/// Runs the command <c>train reward</c> in a process of its own, as a person does: only there do the engine's settings for memory and
/// threads hold (<see cref="Portal.Engine.TrainingProcess"/>). Micro-batches of four pairs were the fastest of 2, 4, 8
/// and 16 at 512 tokens on two cores. The gradient is the mean of the step's 32 pairs either way. A second thread saves little time on a model
/// this small, and one leaves the other core to the tests beside it.
/// </remarks>
[Trait("Speed", "slow")]
public sealed class HhRlhfTests : IDisposable
{
    private const string Pairs = "data/preferences/hh-rlhf_harmless-base_test.jsonl.gz";
    private const int PairCount = 2_312;

    private static readonly TrainRewardModel Spec = new()
    {
        LengthMax = 512, Overlong = Overlong.TruncateLeft,
        Optimization = new OptimizationSpec { LearningRate = 5e-4, HeadLearningRate = 5e-3, BatchSize = 4, AccumulationSteps = 8, Epochs = 1, CheckpointEverySteps = 0 },
    };

    private readonly string root = Directory.CreateTempSubdirectory("portal-hh-").FullName;

    public void Dispose() => Directory.Delete(root, recursive: true);

    [SharedFact]
    public async Task A_reward_model_trains_on_real_pairs_and_is_reported_beside_its_baselines()
    {
        var (backbone, preset) = (Path.Combine(root, "stories260K"), Path.Combine(root, "preset.json"));
        using (var model = Llama2cFile.Load(SharedData.Path("data/models/stories260K/stories260K.bin")))
            HuggingFaceFolder.Save(model, backbone, Llama2cTokenizer.Load(SharedData.Path("data/models/stories260K/tok512.bin")));
        File.WriteAllText(preset, Spec.ToJson());

        var clock = Stopwatch.StartNew();
        var (code, output, errors) = await BuiltEngine.Run(TimeSpan.FromMinutes(30), "train", "reward", "--json", "--threads", "1", "--preset", preset, "--model", backbone, "--data", SharedData.Path(Pairs), "--held-out", "0.2", "--out", Path.Combine(root, "out"));
        clock.Stop();
        Assert.True(code == 0, $"train reward ended with {code}: {errors}");
        var lines = output.TrimEnd().Split('\n').Select(line => JsonDocument.Parse(line).RootElement).ToList();

        var refused = lines.Where(line => line.TryGetProperty("level", out var level) && level.GetString() == "warning").Select(line => line.GetProperty("message").GetString()!).ToList();
        using var report = JsonDocument.Parse(File.ReadAllText(Path.Combine(root, "out", "report.json")));
        var trained = report.RootElement.GetProperty("examplesTrain").GetInt32();
        var heldOut = report.RootElement.GetProperty("examplesHeldOut").GetInt32();
        var truncated = report.RootElement.GetProperty("truncated").GetInt32();
        Assert.Equal(PairCount, trained + heldOut + refused.Count);
        Assert.Equal(0, report.RootElement.GetProperty("filtered").GetInt32());
        Assert.InRange(trained / (double)(trained + heldOut), 0.77, 0.83);

        var done = Assert.Single(lines, line => line.TryGetProperty("done", out _));
        var accuracy = Measured(done, "pairwise_accuracy");
        var (length, words) = (Measured(done, "baseline/length"), Measured(done, "baseline/bag_of_words"));
        Assert.Equal((trained + 31) / 32, done.GetProperty("Steps").GetInt32());
        Assert.Equal(heldOut, accuracy.Count);
        Assert.All(new[] { accuracy, length, words }, measured => Assert.True(0 < measured.Low && measured.Low < measured.Value && measured.Value < measured.High && measured.High < 1));
        Notes.Write(string.Create(CultureInfo.InvariantCulture,
            $"hh-rlhf: {trained + heldOut} of {PairCount} pairs, {trained} trained in {clock.Elapsed.TotalSeconds:F0} s, {truncated / (2.0 * trained):P1} of texts cut on the left; held-out accuracy {accuracy.Value:F3} [{accuracy.Low:F3}, {accuracy.High:F3}] n {accuracy.Count}, length only {length.Value:F3}, bag of words {words.Value:F3}"));
    }

    /// <summary>All 2,312 are read or refused, each refused one with its row, its field and a reason; and no prompt stands on both sides of the split.</summary>
    [SharedFact]
    public void Every_pair_is_read_or_refused_with_row_field_and_reason()
    {
        var file = DatasetFile.Read(SharedData.Path(Pairs), CancellationToken.None);
        var rows = file.Pairs(heldOutShare: 0.2, splitSeed: 1, new Dictionary<string, int>());
        var trained = rows.Train.Select(pair => pair.PromptKey).ToHashSet(StringComparer.Ordinal);

        Assert.Equal(PairCount, file.Rows.Count + file.Problems.Select(problem => problem.Row).Distinct().Count());
        Assert.Equal(file.Rows.Count, rows.Train.Count + rows.HeldOut.Count);
        Assert.All(file.Problems, problem => Assert.True(problem.Row >= 1 && problem.Field is { Length: > 0 } && problem.Reason.Length > 10, $"{problem}"));
        Assert.DoesNotContain(rows.HeldOut, pair => trained.Contains(pair.PromptKey));
    }

    private static (double Value, double Low, double High, int Count) Measured(JsonElement done, string name)
    {
        var row = done.GetProperty("Measurements").EnumerateArray().Single(row => row.GetProperty("Name").GetString() == name && row.GetProperty("Part").GetString() == "held-out");
        return (row.GetProperty("Value").GetDouble(), row.GetProperty("Low").GetDouble(), row.GetProperty("High").GetDouble(), row.GetProperty("Count").GetInt32());
    }
}
