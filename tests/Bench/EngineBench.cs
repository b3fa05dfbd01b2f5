using System.Diagnostics;
using System.Globalization;
using Portal.Engine;
using Portal.Engine.Models;
using Portal.Engine.Statistics;
using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Bench;

/// <summary>How the engine's bench runs.</summary>
/// <param name="Peer">The peer's script.</param>
/// <param name="Work">Where the weights are written; removed afterwards.</param>
/// <param name="Quick">A smaller model, shorter turns, fewer pairs, one try.</param>
/// <param name="Threads">Threads of an operator, on both sides.</param>
/// <param name="Only">Names of cases; empty for all.</param>
public sealed record EngineBenchOptions(FileInfo Peer, DirectoryInfo Work, bool Quick, int Threads, IReadOnlyList<string> Only);

/// <summary>
/// Training steps, log-probs and generation of the engine against plain PyTorch: the same weights, tokens, threads and environment, in turns
/// (<see cref="PairedTurns"/>).
/// </summary>
public sealed class EngineBench(EngineBenchOptions options)
{
    private const double Target = 0.95;

    private static readonly (string Name, double By)[] Loudness =
        [("qkv_proj.weight", 6), ("gate_proj.weight", 4), ("up_proj.weight", 4), ("o_proj.weight", 8), ("down_proj.weight", 8)];

    private readonly LlamaConfig config = options.Quick
        ? new LlamaConfig { HiddenSize = 128, IntermediateSize = 352, LayerCount = 4, HeadCount = 4, KeyValueHeadCount = 4, VocabularySize = 16_384, ContextLength = 256 }
        : new LlamaConfig { HiddenSize = 288, IntermediateSize = 768, LayerCount = 6, HeadCount = 6, KeyValueHeadCount = 6, VocabularySize = 32_000, ContextLength = 512 };

    /// <summary>
    /// What both sides are started with (specs/rlhf.md §6): memory is kept and not mapped anew, all of it in one arena, and waiting threads
    /// sleep. The engine sets these itself when it starts; the peer gets them all the same.
    /// </summary>
    internal static IReadOnlyDictionary<string, string> EnvironmentOf(int threads) => new Dictionary<string, string>
    {
        ["OMP_NUM_THREADS"] = threads.ToString(CultureInfo.InvariantCulture),
        ["OPENBLAS_NUM_THREADS"] = threads.ToString(CultureInfo.InvariantCulture),
        ["OMP_WAIT_POLICY"] = "PASSIVE",
        ["OPENBLAS_THREAD_TIMEOUT"] = "20",
        ["MALLOC_MMAP_THRESHOLD_"] = "8589934592",
        ["MALLOC_MMAP_MAX_"] = "0",
        ["MALLOC_TRIM_THRESHOLD_"] = "17179869184",
        ["MALLOC_TOP_PAD_"] = "268435456",
        ["MALLOC_ARENA_MAX"] = "1",
    };

    /// <summary>The cases of a bench.</summary>
    public static IReadOnlyList<EngineCase> Cases(bool quick)
    {
        var (length, prompt, fresh) = quick ? (128, 32, 32) : (256, 64, 64);
        return
        [
            new("sft", "sft", 8, length, prompt, fresh), new("dpo", "dpo", 8, length, prompt, fresh), new("rm", "rm", 8, length, prompt, fresh),
            new("logprob", "logprob", 8, length, prompt, fresh),
            .. new[] { 1, 8, 32 }.Select(batch => new EngineCase($"generate-b{batch}", "generate", batch, length, prompt, fresh)),
        ];
    }

    /// <summary>Runs all cases.</summary>
    /// <param name="say">Told what goes on, line by line.</param>
    public async Task<(IReadOnlyList<BenchRow> Rows, string Setting)> Run(Action<string> say, CancellationToken stop)
    {
        var quietness = await Machine.Quietness(stop);
        say(quietness);
        options.Work.Create();
        try
        {
            WriteWeights(options.Work.FullName);
            var watch = Stopwatch.StartNew();
            var turns = new PairedTurns(options.Quick, options.Threads);
            var rows = await turns.Run([.. Cases(options.Quick).Where(one => options.Only.Count == 0 || options.Only.Contains(one.Name))
                .Select(one => new TurnCase(one.Name, "tokens/s", Target, () => OursStart(one), () => PeerStart(one)))], say, stop);
            var setting = string.Create(CultureInfo.InvariantCulture,
                $"{TimeProvider.System.GetUtcNow():yyyy-MM-dd HH:mm} UTC; {Machine.Describe()}; {options.Threads} threads; {turns.Versions}; {config.ParameterCount / 1e6:F1}M parameters; {quietness}; {watch.Elapsed.TotalMinutes:F1} minutes.");
            return (rows, setting);
        }
        finally
        {
            options.Work.Delete(recursive: true);
        }
    }

    private ProcessStartInfo PeerStart(EngineCase wanted) => new("/usr/bin/python3",
    [
        options.Peer.FullName, wanted.Kind, "--weights", Path.Combine(options.Work.FullName, "model.safetensors"), "--shape",
        $"{config.HiddenSize},{config.LayerCount},{config.HeadCount},{config.IntermediateSize},{config.VocabularySize}", .. SizesOf(wanted),
    ]);

    private ProcessStartInfo OursStart(EngineCase wanted) => PairedTurns.Ourselves([wanted.Kind, "--weights", options.Work.FullName, .. SizesOf(wanted)]);

    private IEnumerable<string> SizesOf(EngineCase wanted) =>
        new[] { ("--batch", wanted.Batch), ("--length", wanted.Length), ("--prompt", wanted.Prompt), ("--new", wanted.New), ("--threads", options.Threads) }
            .SelectMany(option => new[] { option.Item1, option.Item2.ToString(CultureInfo.InvariantCulture) });

    /// <summary>Fresh weights with a score head that is not zero, for both sides.</summary>
    private void WriteWeights(string folder)
    {
        TrainingProcess.Prepare(options.Threads);
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var model = new Llama(config, seed: 7);
        // Fresh blocks hardly change what the embedding says, and a greedy text would repeat one token. Louder ones write something that can differ:
        // of 256 greedy tokens of the small model some 240 are different ones.
        foreach (var (name, weight) in model.named_parameters())
            weight.mul_(Loudness.FirstOrDefault(entry => name.EndsWith(entry.Name, StringComparison.Ordinal)).By is var by and > 0 ? by : 1);
        using var reward = LlamaReward.From(model);
        var random = new SeededRandom(7);
        reward.ScoreWeight.copy_(tensor(Enumerable.Range(0, config.HiddenSize).Select(_ => (float)(0.1 * random.NextGaussian())).ToArray(), [1, config.HiddenSize]));
        HuggingFaceFolder.Save(reward, folder, tokenizer: null);
    }
}
