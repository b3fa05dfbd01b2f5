using Portal.Data.Unlearning;
using Portal.Engine.Influence;
using Portal.Engine.Statistics;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Portal.Engine.Unlearning;

/// <summary>A head after pairs were removed from it.</summary>
/// <param name="Weights">θ. [d].</param>
/// <param name="ResidualGradientNorm">‖∇L‖ on the pairs that are left: 0 is the head that never saw the others. The certificate, which is published.</param>
/// <param name="Steps">Newton steps made.</param>
public sealed record RemovedHead(double[] Weights, double ResidualGradientNorm, int Steps);

/// <summary>
/// Removes pairs from a linear head: Newton steps on the loss of the pairs that are left.
/// <code>θ ← θ − H_{D′}(θ)⁻¹ ∇L_{D′}(θ)        D′ = D \ S, twice</code>
/// </summary>
/// <remarks>
/// Each step goes as far along its direction as the loss falls (margins are linear in the step, so looking for that length reads the rows once): pairs with a large pull, or few pairs beside many numbers, send the plain step out of the
/// region where the curvature holds. Departure from the source, and without effect where two plain steps do. For a head on features that do not move; that the removed pairs also shaped the features is not undone, which is why an erasure also schedules a training from the start. n′ d² + d³/3 multiplications a step.
/// Source: specs/xrlhf.md §2.4 U2; Guo et al. 2020 (1911.03030). Checked against heads that were trained without the pairs.
/// </remarks>
public static class NewtonRemoval
{
    /// <summary>Steps where nobody says otherwise: one leaves 7 to 16 % of the distance, two less than 1 %.</summary>
    public const int DefaultSteps = 2;

    /// <summary>Steps after which less than 1 % of the distance is left: pairs turned round move a head further than pairs removed.</summary>
    public static int StepsOf(UnlearningAction action) => action is UnlearningAction.Relabel ? 2 * DefaultSteps : DefaultSteps;

    /// <summary>The same from the head and the sums that were kept when it was explained: its first step reads nothing but the pairs that go, which halves the time.</summary>
    /// <param name="all">All pairs.</param>
    /// <param name="influence">The head that is unlearnt from, at its optimum or not.</param>
    /// <param name="change">What is done to which pairs.</param>
    /// <param name="steps">At least 1.</param>
    public static RemovedHead Run(PairHead all, PairInfluence influence, VoteChange change, CancellationToken stop, int steps = DefaultSteps)
    {
        var left = all.Changed(change);
        var direction = new double[influence.Theta.Length];
        TensorPrimitives.Subtract<double>(influence.NewtonWithout(change), influence.Theta, direction);
        var first = Along(left, influence.Theta, influence.Margins, direction);
        return steps == 1 ? new RemovedHead(first, PairHead.Norm(left.Evaluate(first).Gradient), 1) : Run(left, first, stop, steps - 1) with { Steps = steps };
    }

    /// <param name="left">The pairs that are left (<see cref="PairHead.Without"/>), or as they were changed (<see cref="PairHead.Changed"/>).</param>
    /// <param name="theta">The head that was trained on all. [d].</param>
    /// <param name="steps">At least 1.</param>
    public static RemovedHead Run(PairHead left, double[] theta, CancellationToken stop, int steps = DefaultSteps)
    {
        if (steps < 1)
            throw new ArgumentOutOfRangeException(nameof(steps), steps, "A removal is at least one step.");
        double[] weights = [.. theta];
        for (var step = 0; step < steps; step++)
        {
            var margins = left.Margins(weights);
            var direction = Cholesky.Factor(left.Hessian(weights, stop), weights.Length).Solve(left.Evaluate(weights, margins).Gradient);
            TensorPrimitives.Negate<double>(direction, direction);
            weights = Along(left, weights, margins, direction);
        }
        return new RemovedHead(weights, PairHead.Norm(left.Evaluate(weights).Gradient), steps);
    }

    /// <summary>θ + t p at the t ≥ 0 where the loss is least, by Newton's method on its slope within a bracket; θ where p leads up. L along p is convex.</summary>
    /// <param name="margins">θ · Δφ. [n].</param>
    private static double[] Along(PairHead left, double[] theta, double[] margins, double[] direction)
    {
        var change = left.Margins(direction);
        var (across, square) = (TensorPrimitives.Dot<double>(theta, direction), TensorPrimitives.SumOfSquares<double>(direction));
        (double Slope, double Bend) At(double t)
        {
            var (slope, bend) = (0.0, 0.0);
            for (var i = 0; i < margins.Length; i++)
            {
                var (votes, against, margin) = (left.Counts[i], left.Against[i], margins[i] + (t * change[i]));
                if (votes + against == 0)
                    continue;
                slope += change[i] * ((against * PairHead.Slack(-margin)) - (votes * PairHead.Slack(margin)));
                bend += change[i] * change[i] * (votes + against) * PairHead.Curvature(margin);
            }
            return ((slope / left.Total) + (left.L2 * (across + (t * square))), (bend / left.Total) + (left.L2 * square));
        }
        var (low, high, start) = (0.0, 1.0, At(0).Slope);
        if (!(start < 0))
            return [.. theta];
        for (; high < 64 && At(high).Slope < 0; high *= 2)
            low = high;
        var length = Math.Clamp(1, low, high);
        for (var look = 0; look < 30; look++)
        {
            var (slope, bend) = At(length);
            if (Math.Abs(slope) <= 1e-9 * Math.Abs(start))
                break;
            (low, high) = slope < 0 ? (length, high) : (low, length);
            var next = length - (slope / bend);
            length = next > low && next < high ? next : (low + high) / 2;
        }
        var found = new double[theta.Length];
        TensorPrimitives.MultiplyAdd(direction, length, theta, found);
        return found;
    }
}
