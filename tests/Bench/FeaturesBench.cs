using System.Diagnostics;
using System.Globalization;
using Portal.Engine;
using Portal.Engine.Models;
using Portal.Engine.Sae;
using Portal.Engine.Statistics;
using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Bench;

/// <summary>How the bench of features runs; see <see cref="EngineBenchOptions"/>.</summary>
public sealed record FeaturesBenchOptions(FileInfo Peer, DirectoryInfo Work, bool Quick, int Threads, IReadOnlyList<string> Only);

/// <summary>
/// Training of a TopK SAE (M = 16 d, k = 16) against PyTorch: the same weights, vectors, loss, Adam and unit norm, in turns. One peer multiplies dense codes, the
/// other gathers the selected rows of the decoder. Then descriptions (<see cref="DashboardBench"/>), previews of toggles
/// (<see cref="TogglePreviewBench"/>) and searches of features (<see cref="FeatureSearchBench"/>), which have no peer.
/// </summary>
public sealed class FeaturesBench(FeaturesBenchOptions options)
{
    /// <summary>File of the vectors beside the SAE.</summary>
    internal const string VectorsFile = "vectors.safetensors";

    internal const double LearningRate = 5e-4;

    private const double Target = 3;

    /// <summary>Batches of different vectors before they come again.</summary>
    private const int Batches = 8;

    private int Width => options.Quick ? 96 : 288;
    private int BatchVectors => options.Quick ? 256 : 1_024;

    /// <summary>Runs the cases.</summary>
    public async Task<(IReadOnlyList<BenchRow> Rows, string Setting)> Run(Action<string> say, CancellationToken stop)
    {
        var quietness = await Machine.Quietness(stop);
        say(quietness);
        options.Work.Create();
        try
        {
            Write(options.Work.FullName);
            var watch = Stopwatch.StartNew();
            var turns = new PairedTurns(options.Quick, options.Threads);
            var rows = await turns.Run([.. new[] { ("sae-train", "dense", (double?)Target), ("sae-train-gather", "gather", null) }
                .Where(one => options.Only.Count == 0 || options.Only.Contains(one.Item1))
                .Select(one => new TurnCase(one.Item1, "vectors/s", one.Item3, Ours, () => Peer(one.Item2)))], say, stop);
            var descriptions = new DashboardBench(options.Quick, options.Threads);
            foreach (var name in DashboardBench.Cases.Where(one => options.Only.Count == 0 || options.Only.Contains(one)))
                rows = [.. rows, descriptions.Run(name, say, stop)];
            var previews = new TogglePreviewBench(options.Quick);
            foreach (var (name, pairs) in TogglePreviewBench.Cases.Where(one => options.Only.Count == 0 || options.Only.Contains(one.Name)))
                rows = [.. rows, .. await previews.Run(name, pairs, say, stop)];
            if (options.Only.Count == 0 || options.Only.Contains(FeatureSearchBench.Case))
                rows = [.. rows, .. await new FeatureSearchBench(options.Quick).Run(say, stop)];
            var setting = string.Create(CultureInfo.InvariantCulture,
                $"{TimeProvider.System.GetUtcNow():yyyy-MM-dd HH:mm} UTC; {Machine.Describe()}; {(turns.Versions.Length == 0 ? "" : $"{options.Threads} threads; {turns.Versions}; d {Width}, M {16 * Width}, k 16, {BatchVectors} vectors a step; ")}{quietness}; {watch.Elapsed.TotalMinutes:F1} minutes.");
            return (rows, setting);
        }
        finally
        {
            options.Work.Delete(recursive: true);
        }
    }

    private ProcessStartInfo Ours() => PairedTurns.Ourselves("sae", "--weights", options.Work.FullName, "--batch", BatchVectors.ToString(CultureInfo.InvariantCulture), "--threads", options.Threads.ToString(CultureInfo.InvariantCulture));

    private ProcessStartInfo Peer(string how) => new("/usr/bin/python3",
    [
        options.Peer.FullName, how, "--weights", options.Work.FullName, "--batch", BatchVectors.ToString(CultureInfo.InvariantCulture), "--threads", options.Threads.ToString(CultureInfo.InvariantCulture),
        "--rate", LearningRate.ToString(CultureInfo.InvariantCulture),
    ]);

    /// <summary>A fresh SAE and vectors with structure: sums of a few of many directions, normalised.</summary>
    private void Write(string folder)
    {
        TrainingProcess.Prepare(options.Threads);
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var sae = TopKSae.Fresh(new SaeConfig { Width = Width, Latents = 16 * Width, K = 16, Layer = 1 }, seed: 7);
        SaeFolder.Save(sae, folder, "bench");
        var random = new SeededRandom(7);
        var directions = Enumerable.Range(0, 4 * Width).Select(_ => Enumerable.Range(0, Width).Select(_ => (float)random.NextGaussian()).ToArray()).ToArray();
        var rows = Batches * BatchVectors;
        var vectors = new float[rows * Width];
        for (var row = 0; row < rows; row++)
        {
            var vector = vectors.AsSpan(row * Width, Width);
            for (var part = 0; part < 12; part++)
            {
                var (direction, size) = (random.Pick(directions), (float)random.NextDouble());
                for (var i = 0; i < Width; i++)
                    vector[i] += size * direction[i];
            }
            ZScore.Apply(vector, vector, 1e-6);
        }
        Safetensors.Write(Path.Combine(folder, VectorsFile), new Dictionary<string, Tensor> { ["vectors"] = tensor(vectors, [rows, Width]) });
    }
}
