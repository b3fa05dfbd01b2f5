using Portal.Engine.Statistics;

namespace Portal.Engine.Irl;

/// <summary>
/// Bayesian IRL with a linear reward: Bradley-Terry likelihood, θ ~ N(0, I), and the normal distribution around the most probable θ with its full covariance (Laplace).
/// </summary>
/// <remarks>
/// Solved by Newton's method, so it is at the optimum of its own objective; the prior takes the place of stopping early, and the seed changes nothing. With linear features this is simpler and better
/// than the Auditor's diagonal variational fit (<see cref="Parity.MeanFieldIrl"/>), whose variances leave out what features share. Memory d² doubles, time n d²/2 + d³/6 a step; d to 2,048.
/// Source: specs/fairl.md §2. Checked against Golden/irl_vectors.json (numpy).
/// </remarks>
public sealed class BayesianIrl(double priorDeviation = 1, double temperature = 1) : IIrlMethod
{
    private const int WidthMax = 2_048;

    public string Name => "bayesian-laplace";

    public bool NeedsLogRatios => false;

    public IrlFit Fit(IrlTask task, SeededRandom random, CancellationToken stop)
    {
        var (train, d) = (task.Data.Train, task.Data.Train.Width);
        if (d > WidthMax)
            throw new CannotTrain($"There are {d} features; a full covariance is kept for at most {WidthMax}. Reduce them (principal components, readable features), or leave {Name} out.");
        // A pair that a resample drew twice counts twice; those it did not draw are left out.
        var counts = new double[train.Count];
        foreach (var row in task.Rows)
            counts[row]++;
        int[] drawn = [.. Enumerable.Range(0, counts.Length).Where(row => counts[row] > 0)];
        var design = drawn.Length == train.Count ? train.DifferenceColumns : train.DifferenceColumns.Take(drawn);
        var points = new List<EpochPoint>();
        var posterior = new LogisticNewton(drawn.Length, d).Fit(design, [.. Enumerable.Repeat(1 / (priorDeviation * priorDeviation), d)], [], [.. drawn.Select(row => counts[row])], temperature, [], stop,
            onStep: theta => points.Add(new EpochPoint(points.Count, null, PlattScaling.OfMargins(new RecoveredReward(theta).Margins(task.Data.Holdout)).LogLoss)));
        var reward = new RecoveredReward(posterior.Weights);
        points.Add(new EpochPoint(points.Count, posterior.Objective / task.Rows.Length, PlattScaling.OfMargins(reward.Margins(task.Data.Holdout)).LogLoss));
        return new IrlFit(Name, reward, ConvergenceTrace.Solved(points)) { Posterior = posterior };
    }
}
