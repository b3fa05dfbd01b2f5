using Portal.Engine;
using Portal.Data.Feedback;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Engine.Datasets;
using Portal.Engine.Models;
using Portal.Engine.Serving;
using Portal.Engine.Recipes;
using Portal.Engine.Statistics;
using Portal.Engine.Tokenizers;
using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Tests.Engine.Recipes;

/// <summary>
/// A world of few words with a planted rule: an answer that says "please" is better than one that says "never". A model of two layers and
/// 16 numbers learns it in seconds.
/// </summary>
internal static class ToyWorld
{
    private static readonly string[] Things = ["apple", "bread", "candle", "drum", "egg", "feather", "glove", "hammer"];
    private static readonly string[] Places = ["barn", "cellar", "field", "garden", "hall", "kitchen", "loft", "mill", "shed", "tower"];

    /// <summary>
    /// Sets the threads that the tests of <see cref="LoadedModels"/> set for this process too: matrix products divided in another way differ in their
    /// last bits, and a change in the middle of a run would spoil what is compared with it.
    /// </summary>
    static ToyWorld() => TrainingProcess.Prepare(LoadedModels.Threads);

    public static BytePairTokenizer Tokenizer { get; } = new(new BpeTrainer { VocabularySize = 340, SpecialTokens = ChatTemplate.SpecialMarkTokens }
        .Train(Prompts.Select(prompt => prompt + Good(prompt, 0) + Bad(prompt, 0)), CancellationToken.None) with { EosToken = "<|end|>", PadToken = "<|pad|>" });

    /// <summary>80 prompts.</summary>
    public static IReadOnlyList<string> Prompts => [.. from thing in Things from place in Places select $"May I take the {thing} from the {place}?"];

    public static Llama Model(long seed = 1) => new(new LlamaConfig
    {
        HiddenSize = 16, IntermediateSize = 32, LayerCount = 2, HeadCount = 2, KeyValueHeadCount = 2, VocabularySize = Tokenizer.VocabularySize, ContextLength = 64,
        TieWordEmbeddings = true,
    }, seed);

    public static string Good(string prompt, int variant) => variant % 2 == 0 ? $"Yes please take the {ThingOf(prompt)}." : $"Oh please, the {ThingOf(prompt)} is yours.";

    public static string Bad(string prompt, int variant) => variant % 2 == 0 ? $"No, never take the {ThingOf(prompt)}." : $"Oh never, the {ThingOf(prompt)} is mine.";

    public static IReadOnlyList<Turn> TurnsOf(string prompt) => [new Turn("user", prompt)];

    /// <summary>The first 64 prompts train, the last 16 are held out.</summary>
    public static TrainingSplit<T> Split<T>(Func<string, int, T> make)
    {
        var all = Shuffled();
        return new TrainingSplit<T>([.. all.Take(64).SelectMany(prompt => Enumerable.Range(0, 2).Select(v => make(prompt, v)))],
            [.. all.Skip(64).SelectMany(prompt => Enumerable.Range(0, 2).Select(v => make(prompt, v)))]);
    }

    public static TrainingSplit<TrainingDialogue> Dialogues() =>
        Split((prompt, v) => new TrainingDialogue(prompt, [.. TurnsOf(prompt), new Turn("assistant", v == 0 ? Good(prompt, prompt.Length) : Bad(prompt, prompt.Length))]));

    public static TrainingSplit<PreferencePair> Pairs() =>
        Split((prompt, v) => new PreferencePair(prompt, TurnsOf(prompt), Good(prompt, v), Bad(prompt, prompt.Length + v)));

    public static TrainingSplit<LabelledResponse> Verdicts() =>
        Split((prompt, v) => new LabelledResponse(prompt, TurnsOf(prompt), v == 0 ? Good(prompt, prompt.Length) : Bad(prompt, prompt.Length), v == 0));

    /// <summary>A base model that says "please" and "never" about equally often; made once.</summary>
    public static Llama Base()
    {
        var copy = Model();
        LlamaWeights.Copy(SharedBase.Value.Backbone, copy.Backbone);
        return copy;
    }

    private static readonly Lazy<Llama> SharedBase = new(() =>
    {
        using var folders = new RunFolders();
        var model = Model();
        TrainSftRecipe.Run(new TrainSft
        {
            LengthMax = 64, Optimization = new OptimizationSpec { LearningRate = 1e-2, BatchSize = 16, Epochs = 40, Schedule = Schedule.Cosine, CheckpointEverySteps = 0 },
        }, model, Tokenizer, Dialogues(), folders.Context());
        return model;
    });

    /// <summary>Log-probability of an answer, nats: one text, no batch, no padding, and none of the losses' code.</summary>
    public static double LogProb(Llama model, string prompt, string answer)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var text = new DialogueEncoder(Tokenizer, 64, Overlong.Filter).Answer(TurnsOf(prompt), answer)!;
        var logits = model.Logits(model.Hidden(tensor(text.Ids.Select(id => (long)id).ToArray()).unsqueeze(0))).squeeze(0).to_type(ScalarType.Float64);
        var sum = 0.0;
        for (var at = 1; at < text.Ids.Length; at++)
            if (text.Mask[at])
                sum += logits[at - 1][text.Ids[at]].item<double>() - logits[at - 1].logsumexp(-1).item<double>();
        return sum;
    }

    /// <summary>All weights, one after the other.</summary>
    public static float[] Weights(nn.Module model)
    {
        using var scope = NewDisposeScope();
        return [.. model.named_parameters().OrderBy(p => p.name, StringComparer.Ordinal).SelectMany(p => p.parameter.detach().cpu().contiguous().data<float>().ToArray())];
    }

    private static string ThingOf(string prompt) => Things.First(prompt.Contains);

    private static string[] Shuffled()
    {
        var all = Prompts.ToArray();
        new SeededRandom(5).Shuffle(all);
        return all;
    }
}

/// <summary>The folders of one run, removed at the end.</summary>
/// <param name="folder">Where to make them; null for the system's place for temporary files.</param>
internal sealed class RunFolders(string? folder = null) : IDisposable
{
    private readonly string root = folder is null ? Directory.CreateTempSubdirectory("portal-run-").FullName : Directory.CreateDirectory(Path.Combine(folder, "portal-run")).FullName;

    public string Artefacts => Path.Combine(root, "artefacts");

    public string Checkpoints => Path.Combine(root, "checkpoints");

    public RecipeContext Context(IRecipeProgress? progress = null, CancellationToken stop = default) =>
        new(Artefacts, Checkpoints, 1, progress ?? new SeenProgress(), TimeProvider.System, stop);

    public void Dispose() => Directory.Delete(root, recursive: true);
}

/// <summary>Keeps what a recipe told; may end the process' stand-in at a step, as a kill would.</summary>
internal sealed class SeenProgress(int? dieAfterStep = null) : IRecipeProgress
{
    public sealed class Killed : Exception;

    public List<(string Name, int Step, double Value)> Points { get; } = [];
    public List<string> Lines { get; } = [];
    public Action<int>? AfterStep { get; init; }

    public void Report(int step, int stepsTotal, string phase, double? secondsLeft)
    {
        if (phase == "training")
            AfterStep?.Invoke(step);
        if (phase == "training" && step == dieAfterStep)
            throw new Killed();
    }

    public void Metric(string name, int step, double value) => Points.Add((name, step, value));

    /// <summary>The run dies when it says something that begins so.</summary>
    public string? DieWithLine { get; init; }

    public void Log(JobEventLevel level, string message)
    {
        Lines.Add(message);
        if (DieWithLine is { } line && message.StartsWith(line, StringComparison.Ordinal))
            throw new Killed();
    }
}
