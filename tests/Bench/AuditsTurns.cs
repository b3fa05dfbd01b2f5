using Portal.Engine.Irl;
using Portal.Engine.Statistics;

namespace Portal.Bench;

/// <summary>Our side of the cases of audits that are numbers only: the engine's own methods, on what <see cref="AuditsWorld"/> drew.</summary>
internal static class AuditsTurns
{
    /// <summary>All fits of an audit, over all cores.</summary>
    public const string Fits = "fits";

    /// <summary>The bootstrap of d_STARC.</summary>
    public const string Starc = "starc";

    /// <summary>Methods that are raced one by one; the rest of an audit's are in <see cref="Fits"/>.</summary>
    public static IReadOnlyList<IIrlMethod> Methods { get; } = [.. IrlMethods.Offered.Take(5)];

    /// <summary>What the peer calls the cases.</summary>
    public static IReadOnlyList<string> Kinds { get; } = [.. Methods.Select(method => method.Name), Fits, Starc];

    private static string Library => $".NET {Environment.Version}";

    /// <summary>One case: what must agree with the peer, and one repetition.</summary>
    public static (Hello, Action) Of(string kind, AuditsWorld world, int threads) => kind switch
    {
        Fits => OfFits(world, threads),
        Starc => OfStarc(world),
        _ => OfMethod(Methods.Single(method => method.Name == kind), world),
    };

    // Each repetition is another run of the audit, in turn. What must agree: the mean hold-out loss, every run's weights, the hold-out loss of each round and the posterior's deviations where there are such.
    private static (Hello, Action) OfMethod(IIrlMethod method, AuditsWorld world)
    {
        var data = world.Prepare();
        var runs = world.Runs(data).ToArray();
        IrlFit[] fits = [.. runs.Select((_, run) => Fit(run))];
        var done = 0;
        return (new Hello(fits.Average(fit => fit.Failures?.Accepted.HoldoutNll ?? fit.Trace.HoldoutNll),
            [.. fits.SelectMany(fit => fit.Reward.Theta), .. fits.SelectMany(fit => fit.Failures?.Rounds.Select(round => round.HoldoutNll) ?? []), .. fits.SelectMany(fit => fit.Posterior?.StandardErrors() ?? [])], [], 1, Library, 1), () => Fit(done++ % runs.Length));

        IrlFit Fit(int run) => method.Fit(new IrlTask(data, runs[run].Rows, world.Options.Convergence), runs[run].Random, CancellationToken.None);
    }

    // What must agree: every fit's hold-out loss; of each, two candidates' scores and a test pair's margin over the mean one.
    private static (Hello, Action) OfFits(AuditsWorld world, int threads)
    {
        var data = world.Prepare();
        var runs = Fit();
        return (new Hello(runs[0].Calibration.LogLoss,
            [.. runs.Select(run => run.Calibration.LogLoss), .. runs.SelectMany(run => new[] { run.Scores[0], run.Scores[^1], run.TestMargins[0] / run.TestMargins.Average(Math.Abs) })], [], runs.Length, Library,
            Math.Min(threads, Environment.ProcessorCount)), () => Fit());

        MethodRun[] Fit() => RewardAudit.Fits(data, world.Options, null, CancellationToken.None) is var (made, whyNot) && whyNot.All(why => why is null) ? made
            : throw new InvalidOperationException("A method could not run on the bench's world.");
    }

    private static (Hello, Action) OfStarc(AuditsWorld world)
    {
        var data = world.Prepare();
        var recovered = world.RandomScores(data);
        var random = AuditsWorld.BootstrapRandom;
        var interval = Interval(random);
        var done = 0;
        return (new Hello(interval.Estimate, [interval.Low, interval.High], [], world.Resamples, Library, 1), () => Interval(random.Split(done++)));

        ConfidenceInterval Interval(SeededRandom draws) =>
            RewardDistance.Interval(data.Candidates.Sets, recovered, world.Truth, draws, world.Resamples) ?? throw new InvalidOperationException("d_STARC is undefined on the bench's world.");
    }
}
