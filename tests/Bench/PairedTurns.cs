using System.Diagnostics;
using System.Globalization;

namespace Portal.Bench;

/// <summary>One comparison of two processes that take turns, and everything measured of it.</summary>
/// <param name="Name">As in the table.</param>
/// <param name="Unit">Of what the hello counts, a second: "tokens/s".</param>
/// <param name="Target">Least ratio of the rates; null where nothing is asked.</param>
/// <param name="Ours">Starts our side; called once a try.</param>
/// <param name="Peer">Starts the other.</param>
public sealed record TurnCase(string Name, string Unit, double? Target, Func<ProcessStartInfo> Ours, Func<ProcessStartInfo> Peer);

/// <summary>
/// Runs comparisons: both sides are started in the same environment, must agree on what they compute, and then take turns, one waiting while the other
/// runs; who begins changes from pair to pair. Cases whose pairs scatter are tried again while there is time; every pair of every try counts.
/// </summary>
internal sealed class PairedTurns(bool quick, int threads)
{
    private const int TriesMax = 3;
    private static readonly TimeSpan TimeForTries = TimeSpan.FromMinutes(11);

    private int PairsPerTry => quick ? PairedRatios.PairsMin : 9;

    /// <summary>A turn takes about so long: long enough for the clock, short enough that both sides see the same machine.</summary>
    private double TurnSeconds => quick ? 0.3 : 1.5;

    /// <summary>The libraries' versions, once a case has run.</summary>
    public string Versions { get; private set; } = "";

    /// <summary>Runs all cases, and again those that say nothing or miss their target.</summary>
    public async Task<IReadOnlyList<BenchRow>> Run(IReadOnlyList<TurnCase> cases, Action<string> say, CancellationToken stop)
    {
        var measured = cases.Select(one => new Measured(one)).ToList();
        var watch = Stopwatch.StartNew();
        for (var round = 1; round <= (quick ? 1 : TriesMax); round++)
            foreach (var one in measured.Where(one => round == 1 || one.Row.Verdict is Verdict.Inconclusive or Verdict.Missed))
            {
                if (round > 1 && watch.Elapsed > TimeForTries)
                    break;
                await Try(one, say, stop);
            }
        return [.. measured.Select(one => one.Row)];
    }

    /// <summary>This program again, as our side of a case.</summary>
    public static ProcessStartInfo Ourselves(params IEnumerable<string> arguments) => new(Environment.ProcessPath ?? "dotnet",
    [
        // Started as "dotnet Portal.Bench.dll" the first argument is the assembly, otherwise this program is the process itself.
        .. Path.GetFileNameWithoutExtension(Environment.ProcessPath) is "dotnet" ? new[] { typeof(PairedTurns).Assembly.Location } : [], "turns", .. arguments,
    ]);

    private async Task Try(Measured one, Action<string> say, CancellationToken stop)
    {
        var environment = EngineBench.EnvironmentOf(threads);
        using var peer = await TurnProcess.Start("the peer", one.Case.Peer(), environment, stop);
        using var ours = await TurnProcess.Start("our side", one.Case.Ours(), environment, stop);
        Versions = $"{ours.Hello.Library} here, {peer.Hello.Library}";
        if (Hello.Disagreement(ours.Hello, peer.Hello) is { } disagreement)
        {
            one.Invalid = disagreement;
            say($"{one.Case.Name}: invalid, {disagreement}");
            return;
        }
        var repetitions = Repetitions(await peer.Turn(2, stop), await ours.Turn(2, stop));
        // A turn each that does not count: .NET compiles again what is called often, both sides' memory settles.
        await peer.Turn(repetitions, stop);
        await ours.Turn(repetitions, stop);
        var pairs = new List<double>();
        for (var pair = 0; pair < PairsPerTry; pair++)
        {
            var (first, second) = pair % 2 == 0 ? (ours, peer) : (peer, ours);
            var firstSeconds = (await first.Turn(repetitions, stop)).Sum();
            var secondSeconds = (await second.Turn(repetitions, stop)).Sum();
            var (oursSeconds, peerSeconds) = pair % 2 == 0 ? (firstSeconds, secondSeconds) : (secondSeconds, firstSeconds);
            pairs.Add(peerSeconds / oursSeconds);
            var units = (double)repetitions * ours.Hello.Tokens;
            one.OursRates.Add(units / oursSeconds);
            one.PeerRates.Add(units / peerSeconds);
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

    /// <summary>A case and what was measured of it so far.</summary>
    private sealed class Measured(TurnCase one)
    {
        public TurnCase Case { get; } = one;
        public List<IReadOnlyList<double>> Tries { get; } = [];
        public List<double> OursRates { get; } = [];
        public List<double> PeerRates { get; } = [];
        public string? Invalid { get; set; }

        public BenchRow Row => new()
        {
            Name = Case.Name, Ours = PairedRatios.Quantile(OursRates, 0.5), Peer = PairedRatios.Quantile(PeerRates, 0.5), Unit = Case.Unit,
            Ratios = new PairedRatios([.. Tries]), Target = Case.Target, Invalid = Invalid,
        };
    }
}
