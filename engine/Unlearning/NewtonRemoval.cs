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
/// A step that would raise the loss is halved until it does not: with few pairs left beside many numbers the plain step can leave the region where the curvature holds. Departure from the source, and without effect where two plain steps do.
/// For a head on features that do not move; that the removed pairs also shaped the features is not undone, which is why an erasure also schedules a training from the start. n′ d² + d³/3 multiplications a step.
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
        var first = influence.NewtonWithout(change);
        var (loss, gradient) = left.Evaluate(first);
        if (!(loss <= left.Evaluate(influence.Theta).Loss + 1e-12))
            return Run(left, influence.Theta, stop, steps); // too long a step: from the start, with halving
        return steps == 1 ? new RemovedHead(first, PairHead.Norm(gradient), 1) : Run(left, first, stop, steps - 1) with { Steps = steps };
    }

    /// <param name="left">The pairs that are left (<see cref="PairHead.Without"/>), or as they were changed (<see cref="PairHead.Changed"/>).</param>
    /// <param name="theta">The head that was trained on all. [d].</param>
    /// <param name="steps">At least 1.</param>
    public static RemovedHead Run(PairHead left, double[] theta, CancellationToken stop, int steps = DefaultSteps)
    {
        if (steps < 1)
            throw new ArgumentOutOfRangeException(nameof(steps), steps, "A removal is at least one step.");
        double[] weights = [.. theta];
        var (loss, gradient) = left.Evaluate(weights);
        for (var step = 0; step < steps; step++)
        {
            var direction = Cholesky.Factor(left.Hessian(weights, stop), weights.Length).Solve(gradient);
            for (var length = 1.0; length > 1e-6; length /= 2)
            {
                var next = new double[weights.Length];
                TensorPrimitives.MultiplyAdd(direction, -length, weights, next);
                var (nextLoss, nextGradient) = left.Evaluate(next);
                if (!(nextLoss <= loss + 1e-12))
                    continue;
                (weights, loss, gradient) = (next, nextLoss, nextGradient);
                break;
            }
        }
        return new RemovedHead(weights, PairHead.Norm(gradient), steps);
    }
}
