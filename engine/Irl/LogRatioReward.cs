using Portal.Engine.Statistics;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Portal.Engine.Irl;

/// <summary>
/// The white-box recovery: where both policies show their log-probabilities, log π_E(o|x) − log π_B(o|x) is the reward up to β and a constant of the prompt, if π_E is the optimum of a KL-regularised
/// objective; ridge regression of its differences on feature differences says what it pays for.
/// <code>minimise  Σ_i (dl_i − θ·Δ_i)² + λ ‖θ‖²      λ: the one with the least mean squared error on the hold-out</code>
/// </summary>
/// <remarks>
/// The hold-out's dl choose λ, not its labels and no reward. Exact only for a policy that was really trained with KL to the base. Source: specs/fairl.md §2 ("white-box reference").
/// Checked against Golden/irl_vectors.json (numpy) and a closed form.
/// </remarks>
public sealed class LogRatioReward : IIrlMethod
{
    /// <summary>λ tried, as multiples of the mean of Σ Δ_j²: from nothing to nearly all of it.</summary>
    private static readonly double[] grid = [.. Enumerable.Range(-12, 17).Select(power => Math.Pow(10, power / 2.0))];

    public string Name => "log-ratio-ridge";

    public bool NeedsLogRatios => true;

    public IrlFit Fit(IrlTask task, SeededRandom random, CancellationToken stop)
    {
        var (train, holdout, d) = (task.Data.Train, task.Data.Holdout, task.Data.Train.Width);
        int[] rows = [.. task.Rows.Where(row => train.LogRatios[row] is not null)], judges = [.. Enumerable.Range(0, holdout.Count).Where(row => holdout.LogRatios[row] is not null)];
        if (rows.Length < 2 || judges.Length < 2)
            throw new CannotTrain($"{rows.Length} training and {judges.Length} hold-out pairs have log-ratios; {Name} needs both policies' log-probabilities. An endpoint that gives none can be audited by the other methods.");
        // A pair that a resample drew twice counts twice, one that it did not draw or that has no log-ratio not at all.
        double[] counts = new double[train.Count], target = new double[train.Count];
        foreach (var row in rows)
        {
            counts[row]++;
            target[row] += train.LogRatios[row]!.Value; // chosen just above
        }
        var design = train.DifferenceColumns;
        var gram = new double[d * d];
        DenseProducts.Gram(design, counts, gram, new double[4 * (train.Count + d)]);
        var product = new double[d];
        for (var j = 0; j < d; j++)
            product[j] = TensorPrimitives.Dot<double>(design.Column(j), target);
        var scale = Enumerable.Range(0, d).Average(j => gram[j * d + j]);
        if (!(scale > 0))
            throw new CannotTrain("All feature differences are 0: the log-ratios cannot be explained by anything.");

        var matrix = new double[d * d];
        var points = new List<EpochPoint>();
        (double Error, double Ridge, double[] Theta)? best = null;
        foreach (var share in grid)
        {
            stop.ThrowIfCancellationRequested();
            var theta = Solve(gram, product, share * scale, d, matrix);
            var margins = new RecoveredReward(theta).Margins(holdout);
            var error = judges.Average(row => Math.Pow(holdout.LogRatios[row]!.Value - margins[row], 2)); // chosen above
            if (best is null || error < best.Value.Error)
                best = (error, share * scale, theta);
        }
        var reward = new RecoveredReward(best!.Value.Theta); // the grid is not empty
        points.Add(new EpochPoint(0, null, PlattScaling.OfMargins(reward.Margins(holdout)).LogLoss));
        return new IrlFit(Name, reward, ConvergenceTrace.Solved(points)) { Ridge = best.Value.Ridge };
    }

    /// <summary>θ = (G + λI)⁻¹ b.</summary>
    /// <param name="matrix">[d · d], overwritten.</param>
    private static double[] Solve(double[] gram, double[] product, double ridge, int d, double[] matrix)
    {
        gram.CopyTo(matrix, 0);
        for (var j = 0; j < d; j++)
            matrix[j * d + j] += ridge;
        return Cholesky.Factor(matrix, d).Solve(product);
    }
}
