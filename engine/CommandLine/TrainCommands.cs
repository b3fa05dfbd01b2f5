using System.CommandLine;
using System.Text.Json;
using Portal.Data.JobSpecs;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Sae;
using Portal.Engine.Tokenizers;

namespace Portal.Engine.CommandLine;

/// <summary>
/// <c>engine train sft|reward|dpo|kto|rloo|sae|sarm</c>: a recipe without a queue, on folders and files. The preset is the very JSON that a job holds.
/// </summary>
public static class TrainCommands
{
    private static readonly Option<FileInfo> Preset = new("--preset") { Description = "The spec as JSON (comments allowed); the recipe's defaults where left out." };
    private static readonly Option<DirectoryInfo> Model = new("--model") { Description = "The model folder to start from.", Required = true };
    private static readonly Option<FileInfo> Data = new("--data") { Description = "Judgements or dialogues, in any format the portal imports.", Required = true };
    private static readonly Option<DirectoryInfo> Out = new("--out") { Description = "Where weights, tokenizer and report.json go.", Required = true };
    private static readonly Option<DirectoryInfo> Checkpoints = new("--checkpoints") { Description = "Where a half-done run is kept; an interrupted run goes on from there. Default: OUT/checkpoints." };
    private static readonly Option<DirectoryInfo?> SaeOption = new("--sae") { Description = "The folder of the SAE that `train sarm` reads with (SAELens or sparsify)." };
    private static readonly Option<DirectoryInfo?> RewardOption = new("--reward") { Description = "The folder of the reward model, of any kind, that `train rloo` learns from." };
    private static readonly Option<FileInfo?> Retain = new("--retain") { Description = "Prompts on which `train rloo` shall change nothing, in any format the portal imports; read with a retainWeight." };
    private static readonly Option<double> HeldOut = new("--held-out") { Description = "Share of prompts held out.", DefaultValueFactory = _ => 0.2 };
    private static readonly Option<long?> Seed = new("--seed") { Description = "Overrides the preset's seed." };
    private static readonly Option<int?> Steps = new("--steps") { Description = "Overrides the preset's limit of steps." };
    private static readonly Option<int?> Threads = new("--threads") { Description = "Threads to compute with; all cores where left out." };
    private static readonly Option<bool> Json = new("--json") { Description = "Progress and result as one JSON object a line on standard output." };

    /// <summary>The command with its recipes.</summary>
    public static Command Create() => new("train", "Train a model on files, with no queue and no database.")
    {
        Recipe("sft", "Supervised fine-tuning on dialogues (or the better answers of pairs).", new TrainSft(), Sft,
            (spec, steps) => spec with { Optimization = spec.Optimization with { StepsMax = steps } }),
        Recipe("reward", "A Bradley-Terry reward model on pairs.", new TrainRewardModel(), Reward,
            (spec, steps) => spec with { Optimization = spec.Optimization with { StepsMax = steps } }),
        Recipe("dpo", "Direct preference optimisation on pairs.", new TrainPreferencePolicy(), Policy,
            (spec, steps) => spec with { Optimization = spec.Optimization with { StepsMax = steps } }),
        Recipe("kto", "Kahneman-Tversky optimisation on single verdicts.", new TrainPreferencePolicy { Method = PreferenceMethod.Kto }, Policy,
            (spec, steps) => spec with { Optimization = spec.Optimization with { StepsMax = steps } }),
        Recipe("rloo", "Reinforcement: a policy that a reward model scores (RLOO or ReMax, with KL to the start).", new TrainRlooPolicy(), Rloo,
            (spec, steps) => spec with { Optimization = spec.Optimization with { StepsMax = steps } }, RewardOption, Retain),
        Recipe("sae", "A sparse autoencoder on a model's states at the ends of sentences and responses.", new TrainSae(), Sae, (spec, steps) => spec with { Steps = steps }),
        Recipe("sarm", "A reward model on the features of a sparse autoencoder.", new TrainSarm(), Sarm,
            (spec, steps) => spec with { Optimization = spec.Optimization with { StepsMax = steps } }, SaeOption),
    };

    /// <summary><c>engine recipe PRESET.json</c>: the recipe that the preset names.</summary>
    public static Command CreateRecipe()
    {
        var preset = new Argument<FileInfo>("preset") { Description = "The spec as JSON; its \"kind\" says which recipe." };
        var command = new Command("recipe", "Run a preset: the recipe that its kind names, on files.") { preset, Model, SaeOption, RewardOption, Retain, Data, Out, Checkpoints, HeldOut, Seed, Threads, Json };
        command.SetAction((arguments, stop) =>
        {
            TrainingProcess.Prepare(arguments.GetValue(Threads));
            var spec = Read<JobSpec>(arguments.GetRequiredValue(preset), "recipe");
            if (arguments.GetValue(Seed) is { } seed)
                spec = spec with { Seed = seed };
            Execute(arguments, spec.Seed, run => spec switch
            {
                TrainSft sft => Sft(sft, run),
                TrainRewardModel reward => Reward(reward, run),
                TrainPreferencePolicy policy => Policy(policy, run),
                TrainRlooPolicy rloo => Rloo(rloo, run),
                TrainSae sae => Sae(sae, run),
                TrainSarm sarm => Sarm(sarm, run),
                _ => throw new CannotTrain($"A preset of the kind {spec.Kind} is no recipe; TrainSft, TrainRewardModel, TrainPreferencePolicy, TrainRlooPolicy, TrainSae and TrainSarm are."),
            }, stop);
            return Task.FromResult(0);
        });
        return command;
    }

    private static TrainingReport Sft(TrainSft spec, RecipeRun run)
    {
        var (model, tokenizer) = ModelFolder.LanguageModel(run.Model);
        return TrainSftRecipe.Run(spec, model, tokenizer, run.File.Dialogues(run.HeldOutShare, spec.Seed, run.Unused), run.Context);
    }

    private static TrainingReport Reward(TrainRewardModel spec, RecipeRun run)
    {
        var (model, tokenizer) = ModelFolder.FreshReward(run.Model);
        return TrainRewardModelRecipe.Run(spec, model, tokenizer, run.File.Pairs(run.HeldOutShare, spec.Rules.SplitSeed, run.Unused), run.Context);
    }

    private static TrainingReport Policy(TrainPreferencePolicy spec, RecipeRun run)
    {
        var (model, tokenizer) = ModelFolder.LanguageModel(run.Model);
        return spec.Method is PreferenceMethod.Kto
            ? TrainPreferencePolicyRecipe.RunKto(spec, model, tokenizer, run.File.Verdicts(run.HeldOutShare, spec.Rules.SplitSeed, run.Unused), run.Context)
            : TrainPreferencePolicyRecipe.RunDpo(spec, model, tokenizer, run.File.Pairs(run.HeldOutShare, spec.Rules.SplitSeed, run.Unused), run.Context);
    }

    private static TrainingReport Rloo(TrainRlooPolicy spec, RecipeRun run)
    {
        var (model, tokenizer) = ModelFolder.LanguageModel(run.Model);
        var folder = run.Reward ?? throw new CannotTrain("--reward: name the folder of the reward model that is learned from; `engine train reward` makes one.");
        var (reward, rewardTokenizer) = ModelFolder.RewardModel(folder);
        using var ofReward = reward;
        return TrainRlooPolicyRecipe.Run(spec, model, tokenizer, run.File.Prompts(run.HeldOutShare, spec.Rules.SplitSeed),
            [new RewardTerm(new RewardModelSource(new RewardScorer(reward, rewardTokenizer), $"reward model in {Path.GetFileName(folder)}"))], run.Context, run.Retained?.Prompts(run.HeldOutShare, spec.Rules.SplitSeed).Train);
    }

    private static TrainingReport Sae(TrainSae spec, RecipeRun run)
    {
        var (backbone, tokenizer) = ModelFolder.Backbone(run.Model);
        var rows = run.File.Responses(run.HeldOutShare, spec.Rules.SplitSeed);
        var (sae, report) = TrainSaeRecipe.Run(spec, backbone, tokenizer, rows, Path.Combine(run.Context.CheckpointFolder, "states"), run.Context);
        sae.Dispose();
        return report;
    }

    private static TrainingReport Sarm(TrainSarm spec, RecipeRun run)
    {
        var (backbone, tokenizer) = ModelFolder.Backbone(run.Model);
        var sae = ModelFolder.Sae(run.Sae ?? throw new CannotTrain("--sae: name the folder of the SAE; `engine train sae` makes one."));
        var (model, report) = TrainSarmRecipe.Run(spec, backbone, sae, tokenizer, run.File.Pairs(run.HeldOutShare, spec.Rules.SplitSeed, run.Unused), run.Context);
        model.Dispose();
        return report;
    }

    private sealed record RecipeRun(string Model, string? Sae, string? Reward, DatasetFile? Retained, DatasetFile File, double HeldOutShare, IDictionary<string, int> Unused, RecipeContext Context);

    private static Command Recipe<TSpec>(string name, string description, TSpec defaults, Func<TSpec, RecipeRun, TrainingReport> run,
        Func<TSpec, int, TSpec> withSteps, params IReadOnlyList<Option> further) where TSpec : JobSpec
    {
        var command = new Command(name, description) { Preset, Model, Data, Out, Checkpoints, HeldOut, Seed, Steps, Threads, Json };
        foreach (var option in further)
            command.Add(option);
        command.SetAction((arguments, stop) =>
        {
            TrainingProcess.Prepare(arguments.GetValue(Threads));
            var spec = defaults;
            if (arguments.GetValue(Preset) is { } preset)
                spec = Read<TSpec>(preset, $"train {name}");
            if (arguments.GetValue(Seed) is { } seed)
                spec = spec with { Seed = seed };
            if (arguments.GetValue(Steps) is { } steps)
                spec = withSteps(spec, steps);
            if (spec is TrainPreferencePolicy { Method: var method } && defaults is TrainPreferencePolicy { Method: var expected } && method != expected)
                throw new CannotTrain($"--preset: \"method\" is {method}; `train {name}` runs {expected}. `recipe` runs whatever a preset names.");
            Execute(arguments, spec.Seed, recipe => run(spec, recipe), stop);
            return Task.FromResult(0);
        });
        return command;
    }

    private static void Execute(ParseResult arguments, long seed, Func<RecipeRun, TrainingReport> run, CancellationToken stop)
    {
        var asJson = arguments.GetValue(Json);
        var output = arguments.GetRequiredValue(Out).FullName;
        var checkpoints = arguments.GetValue(Checkpoints)?.FullName ?? Path.Combine(output, "checkpoints");
        var progress = new ConsoleProgress(asJson ? Console.Out : Console.Error, asJson, !asJson && !Console.IsErrorRedirected, TimeProvider.System);
        var context = new RecipeContext(output, checkpoints, seed, progress, TimeProvider.System, stop);
        var file = DatasetFile.Read(arguments.GetRequiredValue(Data).FullName, stop);
        var retained = arguments.GetValue(Retain) is { } others ? DatasetFile.Read(others.FullName, stop) : null;
        foreach (var problem in file.Problems.Take(20))
            context.Warn(problem.ToString());
        if (file.Problems.Count > 20)
            context.Warn($"... and {file.Problems.Count - 20} more rows that cannot be used.");
        var unused = new SortedDictionary<string, int>(StringComparer.Ordinal);
        try
        {
            Show(run(new RecipeRun(arguments.GetRequiredValue(Model).FullName, arguments.GetValue(SaeOption)?.FullName, arguments.GetValue(RewardOption)?.FullName, retained, file, arguments.GetValue(HeldOut), unused, context)), asJson);
        }
        finally
        {
            // Also where there was nothing left to train on: this says why.
            if (unused.Count > 0)
                context.Log($"Not used of {arguments.GetRequiredValue(Data).Name}: {string.Join(", ", unused.Select(reason => $"{reason.Value} {reason.Key}"))}.");
        }
    }

    /// <summary>Reads a preset, and refuses one of another recipe by name.</summary>
    internal static TSpec Read<TSpec>(FileInfo preset, string command) where TSpec : JobSpec
    {
        if (!preset.Exists)
            throw new CannotTrain($"{preset.FullName}: there is no such file.");
        try
        {
            return JobSpec.FromJson(File.ReadAllText(preset.FullName)) as TSpec
                ?? throw new CannotTrain($"{preset.FullName}: \"kind\" is not {typeof(TSpec).Name}, which `{command}` runs.");
        }
        catch (FormatException e)
        {
            throw new CannotTrain($"{preset.FullName}: {e.Message}", e);
        }
    }

    private static void Show(TrainingReport report, bool asJson)
    {
        if (asJson)
        {
            Console.WriteLine(JsonSerializer.Serialize(new { done = true, report.Steps, report.KeptStep, report.Seconds, report.Measurements }));
            return;
        }
        Console.WriteLine($"{report.Recipe}: {report.Steps} steps in {report.Seconds:F1} s on {report.ExamplesTrain} examples ({report.Filtered} too long, {report.Truncated} texts cut)");
        foreach (var row in report.Measurements)
            Console.WriteLine($"  {row.Name,-24} {row.Part,-24} {row.Value,9:F4}" + (row.Low is { } low ? $"  {low:F4} to {row.High:F4}" : "") + $"  n {row.Count}");
    }
}

/// <summary>Model folders as the command line opens them, with refusals that name the folder.</summary>
public static class ModelFolder
{
    /// <summary>A language model and its tokenizer.</summary>
    public static (Llama Model, ITokenizer Tokenizer) LanguageModel(string folder) =>
        Open(folder, () => (HuggingFaceFolder.LoadLanguageModel(folder), TokenizerFolder.Load(folder)));

    /// <summary>A reward model of any kind and its tokenizer; one on sparse features is a <see cref="SarmReward"/>.</summary>
    public static (IRewardModel Model, ITokenizer Tokenizer) RewardModel(string folder) =>
        Open(folder, () => (SarmFolder.Is(folder) ? (IRewardModel)SarmFolder.Load(folder) : HuggingFaceFolder.LoadRewardModel(folder), TokenizerFolder.Load(folder)));

    /// <summary>A language model's decoder under a new head, or a conventional reward model as it is, and its tokenizer.</summary>
    public static (LlamaReward Model, ITokenizer Tokenizer) FreshReward(string folder) =>
        Open(folder, () => (HuggingFaceFolder.LoadRewardModel(folder, freshHead: true), TokenizerFolder.Load(folder)));

    /// <summary>The decoder of a language model or a reward model, and its tokenizer.</summary>
    public static (LlamaBackbone Model, ITokenizer Tokenizer) Backbone(string folder) =>
        Open(folder, () => (HuggingFaceFolder.LoadDecoder(folder), TokenizerFolder.Load(folder)));

    /// <summary>A sparse autoencoder.</summary>
    /// <param name="layer">Blocks run before the states are read, where the folder does not say.</param>
    public static TopKSae Sae(string folder, int? layer = null) => Open(folder, () => SaeFolder.Load(folder, layer));

    private static T Open<T>(string folder, Func<T> open)
    {
        if (!Directory.Exists(folder))
            throw new CannotTrain($"{folder}: there is no such folder.");
        try
        {
            return open();
        }
        catch (Exception e) when (e is InvalidDataException or FileNotFoundException)
        {
            throw new CannotTrain(e.Message, e);
        }
    }
}
