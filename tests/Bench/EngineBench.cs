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
/// Training steps, log-probs and generation of the engine against plain PyTorch: the same weights, tokens, threads and environment. For each
/// case both sides are started, must agree on what they compute, and then take turns, one waiting while the other runs; who begins changes from
/// pair to pair. Cases whose pairs scatter are tried again while there is time; every pair of every try counts.
/// </summary>
public sealed class EngineBench(EngineBenchOptions options)
{
    private const double Target = 0.95;
    private const int TriesMax = 3;
    private static readonly TimeSpan TimeForTries = TimeSpan.FromMinutes(11);

    private static readonly (string Name, double By)[] Loudness =
        [("qkv_proj.weight", 6), ("gate_proj.weight", 4), ("up_proj.weight", 4), ("o_proj.weight", 8), ("down_proj.weight", 8)];

    private readonly LlamaConfig config = options.Quick
        ? new LlamaConfig { HiddenSize = 128, IntermediateSize = 352, LayerCount = 4, HeadCount = 4, KeyValueHeadCount = 4, VocabularySize = 16_384, ContextLength = 256 }
        : new LlamaConfig { HiddenSize = 288, IntermediateSize = 768, LayerCount = 6, HeadCount = 6, KeyValueHeadCount = 6, VocabularySize = 32_000, ContextLength = 512 };

    private int PairsPerTry => options.Quick ? PairedRatios.PairsMin : 9;

    /// <summary>A turn takes about so long: long enough for the clock, short enough that both sides see the same machine.</summary>
    private double TurnSeconds => options.Quick ? 0.3 : 1.5;

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
            var measured = Cases(options.Quick).Where(one => options.Only.Count == 0 || options.Only.Contains(one.Name)).Select(one => new Measured(one)).ToList();
            var watch = Stopwatch.StartNew();
            for (var round = 1; round <= (options.Quick ? 1 : TriesMax); round++)
                foreach (var one in measured.Where(one => round == 1 || one.Row.Verdict is Verdict.Inconclusive or Verdict.Missed))
                {
                    if (round > 1 && watch.Elapsed > TimeForTries)
                        break;
                    await Try(one, say, stop);
                }
            var versions = measured.Select(one => one.Versions).FirstOrDefault(text => text.Length > 0) ?? "";
            var setting = string.Create(CultureInfo.InvariantCulture,
                $"{TimeProvider.System.GetUtcNow():yyyy-MM-dd HH:mm} UTC; {Machine.Describe()}; {options.Threads} threads; {versions}; {config.ParameterCount / 1e6:F1}M parameters; {quietness}; {watch.Elapsed.TotalMinutes:F1} minutes.");
            return ([.. measured.Select(one => one.Row)], setting);
        }
        finally
        {
            options.Work.Delete(recursive: true);
        }
    }

    private async Task Try(Measured one, Action<string> say, CancellationToken stop)
    {
        var environment = EnvironmentOf(options.Threads);
        using var peer = await TurnProcess.Start("the peer (PyTorch)", PeerStart(one.Case), environment, stop);
        using var ours = await TurnProcess.Start("our side", OursStart(one.Case), environment, stop);
        one.Versions = $"libtorch {ours.Hello.Torch} here, PyTorch {peer.Hello.Torch}";
        if (Hello.Disagreement(ours.Hello, peer.Hello) is { } disagreement)
        {
            one.Invalid = disagreement;
            say($"{one.Case.Name}: invalid, {disagreement}");
            return;
        }
        var repetitions = Repetitions(await peer.Turn(2, stop), await ours.Turn(2, stop));
        var pairs = new List<double>();
        for (var pair = 0; pair < PairsPerTry; pair++)
        {
            var (first, second) = pair % 2 == 0 ? (ours, peer) : (peer, ours);
            var firstSeconds = (await first.Turn(repetitions, stop)).Sum();
            var secondSeconds = (await second.Turn(repetitions, stop)).Sum();
            var (oursSeconds, peerSeconds) = pair % 2 == 0 ? (firstSeconds, secondSeconds) : (secondSeconds, firstSeconds);
            pairs.Add(peerSeconds / oursSeconds);
            var tokens = (double)repetitions * ours.Hello.Tokens;
            one.OursRates.Add(tokens / oursSeconds);
            one.PeerRates.Add(tokens / peerSeconds);
        }
        one.Tries.Add(pairs);
        var its = new PairedRatios([pairs]);
        var greedy = ours.Hello.GreedyIds.Count == 0 ? "" : $", {ours.Hello.GreedyIds.Count} greedy tokens equal ({ours.Hello.GreedyIds.Distinct().Count()} different ones)";
        say(string.Create(CultureInfo.InvariantCulture,
            $"{one.Case.Name}, try {one.Tries.Count}: {its.Median:F3} (spread {its.Spread:P1}, {pairs.Count} pairs of {repetitions}), first loss {ours.Hello.FirstLoss:F6} / {peer.Hello.FirstLoss:F6}{greedy}"));
    }

    /// <summary>How often a turn repeats the case, the same for both sides.</summary>
    private int Repetitions(params IReadOnlyList<double>[] trials) =>
        Math.Clamp((int)Math.Ceiling(TurnSeconds / trials.Average(seconds => seconds[^1])), 1, 200);

    private ProcessStartInfo PeerStart(EngineCase wanted) => new("/usr/bin/python3",
    [
        options.Peer.FullName, wanted.Kind, "--weights", Path.Combine(options.Work.FullName, "model.safetensors"), "--shape",
        $"{config.HiddenSize},{config.LayerCount},{config.HeadCount},{config.IntermediateSize},{config.VocabularySize}", .. SizesOf(wanted),
    ]);

    private ProcessStartInfo OursStart(EngineCase wanted) => new(Environment.ProcessPath ?? "dotnet",
    [
        // Started as "dotnet Portal.Bench.dll" the first argument is the assembly, otherwise this program is the process itself.
        .. Path.GetFileNameWithoutExtension(Environment.ProcessPath) is "dotnet" ? new[] { typeof(EngineBench).Assembly.Location } : [],
        "turns", wanted.Kind, "--weights", options.Work.FullName, .. SizesOf(wanted),
    ]);

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

    /// <summary>A case and what was measured of it so far.</summary>
    private sealed class Measured(EngineCase one)
    {
        public EngineCase Case { get; } = one;
        public List<IReadOnlyList<double>> Tries { get; } = [];
        public List<double> OursRates { get; } = [];
        public List<double> PeerRates { get; } = [];
        public string? Invalid { get; set; }
        public string Versions { get; set; } = "";

        public BenchRow Row => new()
        {
            Name = Case.Name, Ours = PairedRatios.Quantile(OursRates, 0.5), Peer = PairedRatios.Quantile(PeerRates, 0.5), Unit = "tokens/s",
            Ratios = new PairedRatios([.. Tries]), Target = Target, Invalid = Invalid,
        };
    }
}
