using Portal.Engine.Statistics;

namespace Portal.Engine.Irl;

/// <summary>What one run of a method is given: the same to every method, so that results are paired.</summary>
/// <param name="Rows">Training pairs of this run, by number; a bootstrap resample names some more than once.</param>
public sealed record IrlTask(IrlData Data, int[] Rows, ConvergenceRule Convergence);

/// <summary>A recovered reward and how it came about.</summary>
/// <param name="Method">Name of the method.</param>
public sealed record IrlFit(string Method, RecoveredReward Reward, ConvergenceTrace Trace)
{
    /// <summary>The distribution of θ, where the method has one.</summary>
    public LogisticPosterior? Posterior { get; init; }

    /// <summary>Rounds, failures and screens, where the method looks at failures.</summary>
    public FailureAwareRun? Failures { get; init; }

    /// <summary>The penalty that the hold-out chose, where there was a choice.</summary>
    public double? Ridge { get; init; }
}

/// <summary>A way of recovering a reward from pairs.</summary>
/// <remarks>
/// An implementation holds its settings only, so that one object serves all runs at once. It sees pairs, never a reward: nothing here is chosen by the truth (a test reads the built engine for it).
/// </remarks>
public interface IIrlMethod
{
    /// <summary>Stable name for rows, files and seeds, e.g. "max-entropy".</summary>
    string Name { get; }

    /// <summary>Whether pairs without log-ratios leave it nothing to work with.</summary>
    bool NeedsLogRatios { get; }

    /// <summary>Recovers a reward.</summary>
    /// <param name="random">The run's chance (start, order of pairs, folds); splits of it are used.</param>
    /// <param name="stop">Looked at in every epoch.</param>
    /// <exception cref="CannotTrain">The data lack what the method needs, or its loss diverged.</exception>
    IrlFit Fit(IrlTask task, SeededRandom random, CancellationToken stop);
}

/// <summary>The methods that a person can choose from. Those of other people's code, kept for comparison, are in the namespace Parity and not here.</summary>
public static class IrlMethods
{
    /// <summary>What an audit runs where nothing else is said; the verdict is that of <see cref="Default"/>.</summary>
    public static IReadOnlyList<IIrlMethod> Offered { get; } =
    [
        new FailureAwareIrl(new FailureAwareOptions { Mode = FailureAwareMode.Reweight }),
        new MaxEntropyIrl(),
        new MaxMarginIrl(),
        new BayesianIrl(),
        new LogRatioReward(),
        new FailureAwareIrl(new FailureAwareOptions { Mode = FailureAwareMode.Screened }),
        new FailureAwareIrl(new FailureAwareOptions { Mode = FailureAwareMode.PaperReading }),
    ];

    /// <summary>What every audit runs beside them: how good no method, no labels and more weights are.</summary>
    public static IReadOnlyList<IIrlMethod> Controls { get; } = [new CapacityControl(), new RandomHead(), new ShuffledLabels(new MaxEntropyIrl())];

    public static IIrlMethod Default => Offered[0];
}
