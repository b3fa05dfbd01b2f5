using System.Diagnostics;
using System.Globalization;
using Portal.Engine;
using Portal.Engine.Irl;

namespace Portal.Bench;

/// <summary>How the bench of audits runs; see <see cref="EngineBenchOptions"/>.</summary>
/// <param name="Peer">The script in numpy and scipy.</param>
/// <param name="TorchPeer">The script in PyTorch, for log-probs.</param>
/// <param name="Demo">The demo's folder.</param>
public sealed record AuditsBenchOptions(FileInfo Peer, FileInfo TorchPeer, DirectoryInfo Demo, DirectoryInfo Work, bool Quick, int Threads, IReadOnlyList<string> Only);

/// <summary>
/// Reward audits on cached features: each method that has a counterpart in numpy and scipy, all fits of an audit together, the bootstrap of d_STARC and both policies' log-probs, each in turns with its peer
/// (<see cref="PairedTurns"/>); then a whole audit, its measures included, which has no peer.
/// </summary>
public sealed class AuditsBench(AuditsBenchOptions options)
{
    /// <summary>A whole audit, in seconds.</summary>
    internal const string WholeAudit = "audit-seconds";

    private const string DataFile = "audit.safetensors";
    private const double Target = 3, SecondsMax = 60;

    /// <summary>The compared cases: name in the table, what the two sides call it, unit, least ratio.</summary>
    internal static IReadOnlyList<(string Name, string Kind, string Unit, double? Target)> Compared { get; } =
    [
        .. AuditsTurns.Methods.Select(method => ($"fit-{method.Name}", method.Name, "fits/s", (double?)Target)), ("fit-audit", AuditsTurns.Fits, "fits/s", Target),
        ("starc-bootstrap", AuditsTurns.Starc, "resamples/s", Target), ("log-probs", AuditAnswers.Kind, "answers/s", null),
    ];

    /// <summary>Runs the cases.</summary>
    public async Task<(IReadOnlyList<BenchRow> Rows, string Setting)> Run(Action<string> say, CancellationToken stop)
    {
        if (options.Only.FirstOrDefault(name => name != WholeAudit && Compared.All(one => one.Name != name)) is { } unknown)
            throw new ArgumentException($"\"{unknown}\" is no case; there are {string.Join(", ", Compared.Select(one => one.Name))} and {WholeAudit}.");
        var quietness = await Machine.Quietness(stop);
        say(quietness);
        options.Work.Create();
        try
        {
            TrainingProcess.Prepare(options.Threads);
            var watch = Stopwatch.StartNew();
            (string Name, string Kind, string Unit, double? Target)[] wanted = [.. Compared.Where(one => IsWanted(one.Name))];
            if (wanted.Any(one => one.Kind != AuditAnswers.Kind))
                AuditsWorld.Draw(options.Quick).Write(Path.Combine(options.Work.FullName, DataFile), new FailureAwareOptions().Hidden);
            var shape = IsWanted("log-probs") ? AuditAnswers.Write(options.Demo, options.Work.FullName, options.Quick ? 100 : 1_000) : "";
            var rows = new List<BenchRow>();
            var versions = new List<string>();
            foreach (var some in wanted.GroupBy(one => one.Kind == AuditAnswers.Kind))
            {
                var turns = new PairedTurns(options.Quick, options.Threads);
                rows.AddRange(await turns.Run([.. some.Select(one => new TurnCase(one.Name, one.Unit, one.Target, () => Ours(one.Kind), () => Peer(one.Kind, shape)))], say, stop));
                versions.Add(turns.Versions);
            }
            if (IsWanted(WholeAudit))
                rows.Add(Whole(options.Quick, say, stop));
            var setting = string.Create(CultureInfo.InvariantCulture,
                $"{TimeProvider.System.GetUtcNow():yyyy-MM-dd HH:mm} UTC; {Machine.Describe()}; {options.Threads} threads; {string.Concat(versions.Select(version => version + "; "))}{Describe(AuditsWorld.Draw(options.Quick))}; {quietness}; {watch.Elapsed.TotalMinutes:F1} minutes.");
            return (rows, setting);
        }
        finally
        {
            options.Work.Delete(recursive: true);
        }
    }

    /// <summary>A whole audit on features that are there: standardised, all methods and controls fitted, everything measured, compared with the reference; the median of some.</summary>
    internal static BenchRow Whole(bool quick, Action<string> say, CancellationToken stop)
    {
        var world = AuditsWorld.Draw(quick);
        var seconds = new List<double>();
        for (var time = 0; time < (quick ? 1 : 5); time++)
        {
            var watch = Stopwatch.StartNew();
            var data = world.Prepare();
            var results = RewardAudit.Run(data, world.Options, null, stop);
            foreach (var result in results)
            {
                if (result.WhyNot is { } why)
                    throw new InvalidOperationException($"{result.Method} could not run: {why}");
                RewardAudit.Compare(data.Candidates.Sets, result, world.Truth, AuditsWorld.BootstrapRandom, stop);
            }
            seconds.Add(watch.Elapsed.TotalSeconds);
            say(string.Create(CultureInfo.InvariantCulture, $"{WholeAudit}: {seconds[^1]:F2} s, {results.Count} methods with {results[0].Runs.Count} runs each"));
        }
        return new BenchRow { Name = WholeAudit, Ours = PairedRatios.Quantile(seconds, 0.5), Unit = "s", Limit = SecondsMax, Range = (seconds.Min(), seconds.Max()) };
    }

    private static string Describe(AuditsWorld world)
    {
        var data = world.Prepare();
        return $"{data.Train.Count} / {data.Holdout.Count} / {data.Test.Count} prompts, d {world.Width}, {AuditsWorld.Candidates} candidates on {world.TestCandidates.Count}, {world.Options.Seeds} x {world.Options.Bootstraps} runs of {world.Options.Methods.Count} methods";
    }

    private bool IsWanted(string name) => options.Only.Count == 0 || options.Only.Contains(name);

    private ProcessStartInfo Ours(string kind) => PairedTurns.Ourselves([kind, "--weights", options.Work.FullName, "--threads", Threads, .. options.Quick ? new[] { "--quick" } : []]);

    private ProcessStartInfo Peer(string kind, string shape) => kind == AuditAnswers.Kind
        ? new ProcessStartInfo("/usr/bin/python3", [options.TorchPeer.FullName, kind, .. AuditAnswers.PeerArguments(options.Work.FullName), "--shape", shape, "--threads", Threads])
        : new ProcessStartInfo("/usr/bin/python3", [options.Peer.FullName, kind, "--data", Path.Combine(options.Work.FullName, DataFile), "--threads", Threads]);

    private string Threads => options.Threads.ToString(CultureInfo.InvariantCulture);
}
