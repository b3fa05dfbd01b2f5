using System.Diagnostics;
using System.Text.Json;
using Portal.Data.JobSpecs;
using Portal.Engine;
using Portal.Engine.Models;
using Portal.Tests.Engine.Jobs;
using Portal.Tests.Engine.Recipes;
using Xunit;

namespace Portal.Tests.Engine.CommandLine;

/// <summary>`train` in a process of its own: what a person sees where a file has nothing to train on or the loss runs away.</summary>
public sealed class TrainCommandsTests : IDisposable
{
    private readonly RunFolders folders = new();
    private readonly string model;
    private readonly string data;

    public TrainCommandsTests()
    {
        (model, data) = (Path.Combine(folders.Artefacts, "model"), Path.Combine(folders.Artefacts, "votes.jsonl"));
        using var weights = ToyWorld.Model();
        HuggingFaceFolder.Save(weights, model, ToyWorld.Tokenizer);
    }

    public void Dispose() => folders.Dispose();

    [Fact]
    public async Task A_file_without_a_usable_pair_is_refused_and_its_rows_are_counted_by_reason()
    {
        File.WriteAllLines(data, [.. ToyWorld.Prompts.Take(3).Select(prompt => JsonSerializer.Serialize(new { prompt })), """{"prompt":"p"}  {"prompt":"q"}"""]);

        var (code, said) = await Train(new TrainRewardModel { LengthMax = 64 });

        Assert.Equal(EngineCommandLine.Failed, code);
        Assert.Contains(said, line => line.Contains("votes.jsonl", StringComparison.Ordinal) && line.Contains("row 4", StringComparison.OrdinalIgnoreCase));
        Assert.Contains("Not used of votes.jsonl: 3 Prompt.", said);
        Assert.StartsWith("No pair can be trained on: 0 were given", said[^1]);
        Assert.DoesNotContain(Files(), path => path.EndsWith(".safetensors", StringComparison.Ordinal) || path.EndsWith("report.json", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_loss_that_runs_away_ends_with_its_step_and_leaves_no_model()
    {
        File.WriteAllLines(data, ToyWorld.Prompts.Select(prompt => JsonSerializer.Serialize(new { prompt, chosen = ToyWorld.Good(prompt, 0), rejected = ToyWorld.Bad(prompt, 0) })));

        // A head of 1e30 after the first step: the square of a reward, which centring adds, is no float.
        var (code, said) = await Train(new TrainRewardModel { LengthMax = 64, CenteringCoefficient = 0.01, Optimization = new OptimizationSpec { LearningRate = 1e30, Schedule = Schedule.Constant, CheckpointEverySteps = 0 } });

        Assert.Equal(EngineCommandLine.Failed, code);
        Assert.StartsWith("Training diverged: the loss at step 2 is ", said[^1]);
        Assert.DoesNotContain(Files(), path => path.EndsWith(".safetensors", StringComparison.Ordinal) || path.EndsWith("report.json", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Reinforcement_on_a_file_of_prompts_needs_a_reward_model_and_runs_with_one()
    {
        File.WriteAllLines(data, ToyWorld.Prompts.Take(20).Select(prompt => JsonSerializer.Serialize(new { prompt })));
        var (preset, reward, output) = (Path.Combine(folders.Artefacts, "rloo.json"), Path.Combine(folders.Artefacts, "reward"), Path.Combine(folders.Artefacts, "out"));
        File.WriteAllText(preset, new TrainRlooPolicy { TokensMax = 16, HeldOutPrompts = 4, Baseline = AdvantageBaseline.Greedy, SamplesPerPrompt = 1, RetainWeight = 0.5, RetainPrompts = 3 }.ToJson());
        using (var weights = ToyWorld.Model(2))
        using (var head = LlamaReward.From(weights))
            HuggingFaceFolder.Save(head, reward, ToyWorld.Tokenizer);
        string[] asked = ["train", "rloo", "--preset", preset, "--model", model, "--data", data, "--retain", data, "--out", output, "--steps", "2", "--json"];

        var (refused, _, why) = await BuiltEngine.Run(TimeSpan.FromMinutes(3), asked);
        var (code, said, errors) = await BuiltEngine.Run(TimeSpan.FromMinutes(3), [.. asked, "--reward", reward]);

        Assert.Equal((EngineCommandLine.Failed, true), (refused, why.StartsWith("--reward: name the folder of the reward model", StringComparison.Ordinal)));
        Assert.True(code == 0, errors);
        Assert.Contains("\"metric\":\"kl_nats\",\"step\":2", said, StringComparison.Ordinal);
        Assert.Contains("\"metric\":\"retained_kl_nats\",\"step\":2", said, StringComparison.Ordinal);
        Assert.Contains("\"steps\":2", said.Replace("Steps", "steps", StringComparison.Ordinal), StringComparison.Ordinal);
        using var trained = HuggingFaceFolder.LoadLanguageModel(output);
    }

    private IEnumerable<string> Files() => Directory.EnumerateFiles(Path.Combine(folders.Artefacts, "out"), "*", SearchOption.AllDirectories);

    private async Task<(int Code, IReadOnlyList<string> Said)> Train(TrainRewardModel spec)
    {
        var preset = Path.Combine(folders.Artefacts, "preset.json");
        File.WriteAllText(preset, spec.ToJson());
        var (code, output, errors) = await BuiltEngine.Run(TimeSpan.FromMinutes(3), "train", "reward", "--preset", preset, "--model", model, "--data", data, "--out", Path.Combine(folders.Artefacts, "out"));
        Assert.Equal("", output);
        return (code, errors.TrimEnd().Split('\n'));
    }
}
