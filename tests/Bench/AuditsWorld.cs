using Portal.Engine.Irl;
using Portal.Engine.Models;
using Portal.Engine.Statistics;
using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Bench;

/// <summary>
/// What the bench of audits audits: normal features, a hidden reward that is linear in them, a base policy that picks any of a prompt's 16 candidates alike and an audited one that picks by
/// softmax(r*/0.5); a pair is one pick of each, its log-ratio has noise of deviation 1 (the linear world of specs/fairl.md §4.4). Both sides draw it from the same seed: ours in its process, the peer's from a file.
/// </summary>
internal sealed class AuditsWorld
{
    private const double Beta = 0.5, Noise = 1;

    private readonly List<IrlPair> pairs = [];
    private readonly int holdout;

    private AuditsWorld(bool quick)
    {
        var random = new SeededRandom(5);
        var (prompts, more) = quick ? (300, 15) : (2_000, 100);
        Width = quick ? 32 : 128;
        Options = new RewardAuditOptions { Seeds = quick ? 2 : 5, Bootstraps = quick ? 2 : 3 };
        Resamples = quick ? 200 : RewardDistance.DefaultResamples;
        holdout = prompts * 15 / 100;
        double[] weights = [.. Enumerable.Range(0, Width).Select(_ => random.NextGaussian() / Math.Sqrt(Width))];
        var candidates = new List<PromptCandidates>();
        var truth = new List<double>();
        for (var prompt = 0; prompt < prompts + more; prompt++)
        {
            float[][] texts = [.. Enumerable.Range(0, Candidates).Select(_ => Enumerable.Range(0, Width).Select(_ => (float)random.NextGaussian()).ToArray())];
            double[] rewards = [.. texts.Select(text => (double)(float)weights.Zip(text, (w, x) => w * x).Sum())];
            var (audited, @base) = (random.PickWeighted([.. rewards.Select(r => Math.Exp(r / Beta))]), random.NextInt(Candidates));
            if (prompt < prompts)
                pairs.Add(new IrlPair($"{prompt}", texts[audited], texts[@base], (float)((rewards[audited] - rewards[@base]) / Beta + Noise * random.NextGaussian())));
            if (prompt < prompts - holdout)
                continue; // only test prompts have candidates, and some more
            candidates.Add(new PromptCandidates($"{prompt}", texts));
            truth.AddRange(rewards);
        }
        (TestCandidates, Truth) = (candidates, [.. truth]);
    }

    /// <summary>k.</summary>
    public const int Candidates = 16;

    /// <summary>d.</summary>
    public int Width { get; }

    /// <summary>All methods and controls; 5 seeds of 3 resamples.</summary>
    public RewardAuditOptions Options { get; }

    /// <summary>Of the bootstrap of d_STARC.</summary>
    public int Resamples { get; }

    public IReadOnlyList<PromptCandidates> TestCandidates { get; }

    /// <summary>r* of all candidates.</summary>
    public double[] Truth { get; }

    /// <summary>2,000 prompts (300 of them in the quick run), 400 (60) with candidates.</summary>
    public static AuditsWorld Draw(bool quick) => new(quick);

    /// <summary>70 / 15 / 15, standardised.</summary>
    public IrlData Prepare() => IrlData.Prepare(IrlSplit.Of(pairs[..^(2 * holdout)], pairs[^(2 * holdout)..^holdout], pairs[^holdout..]), TestCandidates, logRatioNoise: Noise);

    /// <summary>The runs of an audit, as <see cref="RewardAudit"/> makes them: which pairs, and from what chance.</summary>
    public IEnumerable<(int[] Rows, SeededRandom Random)> Runs(IrlData data)
    {
        var random = new SeededRandom((ulong)Options.Seed);
        return from seed in Enumerable.Range(0, Options.Seeds)
               from bootstrap in Enumerable.Range(0, Options.Bootstraps)
               let own = random.Split(seed).Split(bootstrap)
               select (data.Train.Resample(own), own.Split("fit"));
    }

    /// <summary>The recovered reward of the case of d_STARC: a random head's. [all candidates].</summary>
    public double[] RandomScores(IrlData data) => new RecoveredReward(Gaussians(Runs(data).First().Random, "head", Width, 1)).Scores(data.Candidates.Features);

    /// <summary>The chance of the case of d_STARC.</summary>
    public static SeededRandom BootstrapRandom => new(3);

    /// <summary>All of it for the peer, the engine's draws included: resamples, starts, orders of pairs epoch by epoch. Doubles go as the integers of their bits.</summary>
    public void Write(string path, int hidden)
    {
        using var scope = NewDisposeScope();
        var data = Prepare();
        var (n, d, runs) = (data.Train.Count, Width, Runs(data).ToArray());
        var draws = BootstrapRandom.Split("bootstrap of sums");
        var (epochs, rounds) = (Options.Convergence.EpochsMax, new FailureAwareOptions().Rounds * new FailureAwareOptions().EpochsARound);
        Safetensors.Write(path, new Dictionary<string, Tensor>
        {
            ["audited"] = Floats(pairs.SelectMany(pair => pair.Audited), pairs.Count, d), ["base"] = Floats(pairs.SelectMany(pair => pair.Base), pairs.Count, d),
            ["log_ratios"] = Floats(pairs.Select(pair => (float)pair.LogRatio!.Value), pairs.Count), // every pair of this world has one
            ["noise"] = Floats([(float)Noise], 1), ["candidates"] = Floats(TestCandidates.SelectMany(prompt => prompt.Features).SelectMany(text => text), Truth.Length, d),
            ["truth"] = Floats(Truth.Select(r => (float)r), Truth.Length), ["rows"] = Integers(runs.SelectMany(run => run.Rows), runs.Length, n),
            ["order"] = Integers(runs.SelectMany(run => Orders(run.Rows, run.Random.Split("order"), epochs)), runs.Length, epochs, n),
            ["rounds"] = Integers(runs.SelectMany(run => Orders(run.Rows, run.Random.Split("rounds"), rounds)), runs.Length, rounds, n),
            ["start"] = Doubles(runs.SelectMany(run => HeadTraining.Start(d, run.Random)), runs.Length, d),
            ["correction"] = Doubles(runs.SelectMany(run => Gaussians(run.Random, "correction", hidden * d, 1 / Math.Sqrt(d))), runs.Length, hidden * d),
            ["head"] = Doubles(runs.SelectMany(run => Gaussians(run.Random, "head", d, 1)), runs.Length, d),
            ["swap_train"] = Integers(runs.SelectMany(run => Coins(run.Random, "train", n)), runs.Length, n),
            ["swap_holdout"] = Integers(runs.SelectMany(run => Coins(run.Random, "hold-out", data.Holdout.Count)), runs.Length, data.Holdout.Count),
            ["draws"] = Integers(Enumerable.Range(0, Resamples * TestCandidates.Count).Select(_ => draws.NextInt(TestCandidates.Count)), Resamples, TestCandidates.Count),
        });
    }

    private static IEnumerable<int> Orders(int[] rows, SeededRandom random, int epochs)
    {
        var order = (int[])rows.Clone();
        for (var epoch = 0; epoch < epochs; epoch++)
        {
            random.Shuffle(order);
            foreach (var row in order)
                yield return row;
        }
    }

    private static double[] Gaussians(SeededRandom random, string use, int count, double deviation)
    {
        var draws = random.Split(use);
        return [.. Enumerable.Range(0, count).Select(_ => deviation == 1 ? draws.NextGaussian() : draws.NextGaussian() * deviation)];
    }

    private static IEnumerable<int> Coins(SeededRandom random, string part, int count)
    {
        var draws = random.Split("labels").Split(part);
        return Enumerable.Range(0, count).Select(_ => draws.Chance(0.5) ? 1 : 0).ToArray();
    }

    private static Tensor Floats(IEnumerable<float> values, params long[] shape) => tensor([.. values], shape);

    private static Tensor Integers(IEnumerable<int> values, params long[] shape) => tensor([.. values.Select(value => (long)value)], shape);

    private static Tensor Doubles(IEnumerable<double> values, params long[] shape) => tensor([.. values.Select(BitConverter.DoubleToInt64Bits)], shape);
}
