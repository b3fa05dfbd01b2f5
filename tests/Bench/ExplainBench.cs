using System.Diagnostics;
using System.Globalization;
using Portal.Data.Explanations;
using Portal.Engine;
using Portal.Engine.Influence;
using Portal.Engine.Statistics;
using Portal.Engine.Unlearning;

namespace Portal.Bench;

/// <summary>How the bench of explanations runs; see <see cref="EngineBenchOptions"/>.</summary>
/// <param name="Peer">The script in numpy and scipy.</param>
public sealed record ExplainBenchOptions(FileInfo Peer, DirectoryInfo Work, bool Quick, int Threads, IReadOnlyList<string> Only);

/// <summary>
/// Explanations at three sizes: the projection beside scipy's non-negative least squares, exact nearest neighbours beside numpy, in turns (<see cref="PairedTurns"/>); then what has no peer: seconds of an explanation, two Newton steps
/// against training the head again and how far from it they end, and the roll-up of a thousand explanations.
/// </summary>
public sealed class ExplainBench(ExplainBenchOptions options)
{
    private const double RatioMin = 10, SecondsMax = 1, NewtonPercentMax = 35;

    /// <summary>Shapes: pairs, numbers of a state, whether scipy can be waited for. At the largest it would need an hour an explanation.</summary>
    internal static IReadOnlyList<(string Name, ExplainWorld World, bool HasSolver)> Shapes(bool quick) => quick
        ? [("2k-32", new ExplainWorld(2_000, 32), true)]
        : [("10k-64", new ExplainWorld(10_000, 64), true), ("45k-512", new ExplainWorld(45_000, 512), true), ("200k-2048", new ExplainWorld(200_000, 2_048), false)];

    /// <summary>Runs the cases.</summary>
    public async Task<(IReadOnlyList<BenchRow> Rows, string Setting)> Run(Action<string> say, CancellationToken stop)
    {
        var quietness = await Machine.Quietness(stop);
        say(quietness);
        var watch = Stopwatch.StartNew();
        var rows = new List<BenchRow>();
        var versions = "";
        foreach (var (name, world, hasSolver) in Shapes(options.Quick).Where(shape => options.Only.Count == 0 || options.Only.Any(wanted => wanted.Contains(shape.Name, StringComparison.Ordinal))))
        {
            options.Work.Create();
            try
            {
                world.Write(options.Work.FullName);
                say($"{name}: rows are drawn");
                var turns = new PairedTurns(options.Quick, options.Threads);
                var isTarget = name == "45k-512";
                rows.AddRange(await turns.Run(
                [
                    .. hasSolver ? new[] { Case($"explain-{name}", ExplainTurns.Projection, "explanations/s", isTarget ? RatioMin : null) } : [],
                    Case($"nearest-{name}", ExplainTurns.Neighbours, "queries/s", null),
                ], say, stop));
                versions = turns.Versions;
                rows.AddRange(Alone(name, world, isTarget, say, stop));

                TurnCase Case(string named, string kind, string unit, double? target) => new(named, unit, target,
                    () => PairedTurns.Ourselves([kind, "--weights", options.Work.FullName, "--length", Text(world.Width), "--threads", Text(options.Threads)]),
                    () => new ProcessStartInfo("/usr/bin/python3", [options.Peer.FullName, kind, "--folder", options.Work.FullName, "--width", Text(world.Width), "--threads", Text(options.Threads)]));
            }
            finally
            {
                options.Work.Delete(recursive: true);
            }
        }
        var setting = string.Create(CultureInfo.InvariantCulture, $"{TimeProvider.System.GetUtcNow():yyyy-MM-dd HH:mm} UTC; {Machine.Describe()}; {options.Threads} threads; {versions}; {ExplainWorld.Queries} queries a shape; {quietness}; {watch.Elapsed.TotalMinutes:F1} minutes.");
        return (rows, setting);
    }

    /// <summary>What has no peer: seconds of a whole explanation by every method, Newton steps against training again, and the roll-up of many explanations.</summary>
    private IEnumerable<BenchRow> Alone(string name, ExplainWorld world, bool isTarget, Action<string> say, CancellationToken stop)
    {
        using var rows = world.Open(options.Work.FullName);
        var head = new PairHead(rows, [.. Enumerable.Repeat(1.0, world.Count)], ExplainWorld.L2);
        var started = Stopwatch.GetTimestamp();
        var optimum = head.Fit(stop, tolerance: 1e-8).Weights;
        var training = Stopwatch.GetElapsedTime(started).TotalSeconds;
        started = Stopwatch.GetTimestamp();
        var influence = new PairInfluence(head, optimum, stop);
        var explainer = new PairExplainer(influence, rows, null, seed: 1);
        say(string.Create(CultureInfo.InvariantCulture, $"{name}: the head is trained in {training:F2} s, its curvature taken in {Stopwatch.GetElapsedTime(started).TotalSeconds:F2} s"));

        var (seconds, found) = (new List<double>(), new List<PairExplanation>());
        foreach (var query in world.MakeQueries())
        {
            started = Stopwatch.GetTimestamp();
            found.Add(explainer.Explain(new ExplanationQuery(Portal.Data.Explanations.QueryMode.Centred, query), [Portal.Data.Explanations.AttributionMethod.Influence, Portal.Data.Explanations.AttributionMethod.NearestNeighbours], 0, stop));
            seconds.Add(Stopwatch.GetElapsedTime(started).TotalSeconds);
        }
        say(string.Create(CultureInfo.InvariantCulture, $"{name}: {found.Average(one => one.Projection.Count):F0} pairs with a weight on average, residual {found.Average(one => one.RelativeResidual):F2} of the query"));
        yield return new BenchRow { Name = $"explanation-seconds-{name}", Ours = PairedRatios.Quantile(seconds, 0.5), Unit = "s", Limit = isTarget ? SecondsMax : null, Range = (seconds.Min(), seconds.Max()) };

        var random = new SeededRandom(13);
        var (percents, distances) = (new List<double>(), new List<double>());
        for (var time = 0; time < (options.Quick ? 1 : name == "200k-2048" ? 1 : 3); time++)
        {
            int[] gone = [.. Enumerable.Range(0, world.Count / 100).Select(_ => random.NextInt(world.Count)).Distinct()];
            var left = head.Without(gone);
            started = Stopwatch.GetTimestamp();
            var gold = left.Fit(stop, tolerance: 1e-8).Weights;
            var again = Stopwatch.GetElapsedTime(started).TotalSeconds;
            started = Stopwatch.GetTimestamp();
            var removed = NewtonRemoval.Run(head, influence, new VoteChange(gone), stop).Weights;
            percents.Add(100 * Stopwatch.GetElapsedTime(started).TotalSeconds / again);
            distances.Add(100 * Distance(removed, gold) / Distance(optimum, gold));
        }
        yield return new BenchRow { Name = $"newton-of-training-{name}", Ours = PairedRatios.Quantile(percents, 0.5), Unit = "%", Limit = NewtonPercentMax, Range = (percents.Min(), percents.Max()) };
        yield return new BenchRow { Name = $"newton-from-training-{name}", Ours = PairedRatios.Quantile(distances, 0.5), Unit = "% of the way", Limit = 1, Range = (distances.Min(), distances.Max()) };

        if (name == "200k-2048")
            yield break;
        // A thousand explanations of ten pairs each, rolled up by twenty annotators.
        IReadOnlyList<string>[] annotators = [.. Enumerable.Range(0, world.Count).Select(row => (IReadOnlyList<string>)[$"annotator {row % 20}"])];
        WeighedPairs[] thousand = [.. Enumerable.Range(0, 1_000).Select(i => new WeighedPairs($"prompt {i}", [.. Enumerable.Range(0, 10).Select(k => (random.NextInt(world.Count), 1.0 / (k + 1)))]))];
        var rollUps = new List<double>();
        for (var time = 0; time < 5; time++)
        {
            started = Stopwatch.GetTimestamp();
            ExplanationRollUp.By(thousand, annotators);
            ExplanationRollUp.Hubs(thousand);
            rollUps.Add(Stopwatch.GetElapsedTime(started).TotalSeconds);
        }
        yield return new BenchRow { Name = $"roll-up-1000-{name}", Ours = PairedRatios.Quantile(rollUps, 0.5), Unit = "s", Range = (rollUps.Min(), rollUps.Max()) };
    }

    private static double Distance(double[] one, double[] other) => Math.Sqrt(one.Zip(other, (a, b) => (a - b) * (a - b)).Sum());

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
