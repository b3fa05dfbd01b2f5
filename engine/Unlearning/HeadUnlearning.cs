using Portal.Data.Unlearning;
using Portal.Engine.Influence;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Portal.Engine.Unlearning;

/// <summary>Ways to take pairs out of a linear head.</summary>
public enum HeadUnlearningMethod
{
    /// <summary>U1: the loss of the pairs that are left, to its optimum from zero. What every other way is measured against.</summary>
    Retrain = 1,
    /// <summary>U2: two Newton steps on that loss (<see cref="NewtonRemoval"/>).</summary>
    NewtonTwice = 2,
    /// <summary>One of them.</summary>
    NewtonOnce = 3,
    /// <summary>The kept inverse curvature times the pairs' own pull: no pass over the data.</summary>
    InfluenceUpdate = 4,
    /// <summary>U3: descent with the pairs turned round and all others kept, until the margins are where they would be without the pairs.</summary>
    SwapAndRetain = 5,
    /// <summary>U0, the paper's: descent with the pairs turned round and nothing kept. It trains on the data again and always goes too far.</summary>
    Swap = 6,
    /// <summary>U4: negative preference optimisation on the margins, with all others kept.</summary>
    NegativePreference = 7,
    /// <summary>U5: the pairs' loss is raised. A baseline that wrecks the head.</summary>
    GradientAscent = 8,
    /// <summary>The same with all others kept. A baseline.</summary>
    GradientDifference = 9,
    /// <summary>Descent on the others alone.</summary>
    RetainOnly = 10,
}

/// <summary>How descents go.</summary>
public sealed record HeadDescentOptions
{
    public int Steps { get; init; } = 100;
    public double LearningRate { get; init; } = 0.05;

    /// <summary>β of negative preference optimisation.</summary>
    public double Beta { get; init; } = 1;

    /// <summary>α: how much the pairs that are kept count beside those that go.</summary>
    public double Retain { get; init; } = 1;

    /// <summary>Stops a descent where the mean margin of the pairs that go is no larger than it would be without them, as the head's curvature predicts.</summary>
    public bool StopsAtPrediction { get; init; }
}

/// <summary>A head from which pairs were taken.</summary>
/// <param name="Weights">θ. [d].</param>
/// <param name="ResidualGradientNorm">‖∇L‖ on the pairs that are left: the certificate.</param>
/// <param name="Steps">Made.</param>
public sealed record UnlearnedHead(HeadUnlearningMethod Method, double[] Weights, double ResidualGradientNorm, int Steps);

/// <summary>
/// Takes pairs S out of a linear head on features that do not move, in every way the literature has.
/// <code>
/// swap                  ∇ = mean_S σ(m) Δφ
/// swap and retain       ∇ = (w_S/W) mean_S σ(m) Δφ − mean_R (1 − σ(m)) Δφ + λ θ
/// NPO-BT                ∇ = 2 mean_S σ(β(m − m⁰)) Δφ − α mean_R (1 − σ(m)) Δφ
/// gradient ascent       ∇ = mean_S (1 − σ(m)) Δφ            gradient difference: − α mean_R (1 − σ(m)) Δφ besides
/// influence update      θ − H⁻¹ Σ_S w (1 − σ) Δφ / W
/// </code>
/// </summary>
/// <remarks>
/// Descents are of the whole batch with a fixed rate. Only retraining and Newton steps lead to the head that never saw S; the others change what the head does with S, and only with a retain term and an early stop without
/// wrecking the rest. Source: specs/xrlhf.md §2.3, §2.4, §4.2; NPO: Zhang et al. 2024 (2404.05868). Checked by finite differences and against heads trained without the pairs.
/// </remarks>
public static class HeadUnlearning
{
    /// <param name="all">The head's loss with every pair.</param>
    /// <param name="influence">The head that is unlearnt from, and its curvature.</param>
    /// <param name="change">What is done to S, at least one pair. Descents only take pairs out.</param>
    /// <exception cref="ArgumentException">S is empty, no pair would be left, or a descent shall do anything but remove.</exception>
    public static UnlearnedHead Run(HeadUnlearningMethod method, PairHead all, PairInfluence influence, VoteChange change, HeadDescentOptions options, CancellationToken stop)
    {
        if (change.Rows.Count == 0)
            throw new ArgumentException("There is no pair to unlearn.", nameof(change));
        if (change.Action is not UnlearningAction.Remove && method is not (HeadUnlearningMethod.Retrain or HeadUnlearningMethod.NewtonTwice or HeadUnlearningMethod.NewtonOnce or HeadUnlearningMethod.InfluenceUpdate))
            throw new ArgumentException($"{method} takes pairs out; it turns none round and weighs none down.", nameof(change));
        var left = all.Changed(change);
        var (weights, steps) = method switch
        {
            HeadUnlearningMethod.Retrain => Of(left.Fit(stop)),
            HeadUnlearningMethod.NewtonTwice => (NewtonRemoval.Run(all, influence, change, stop).Weights, 2),
            HeadUnlearningMethod.NewtonOnce => (NewtonRemoval.Run(all, influence, change, stop, 1).Weights, 1),
            HeadUnlearningMethod.InfluenceUpdate => (Sum(influence.Theta, influence.ChangeWithout(change)), 1),
            HeadUnlearningMethod.SwapAndRetain or HeadUnlearningMethod.Swap or HeadUnlearningMethod.NegativePreference or HeadUnlearningMethod.GradientAscent or HeadUnlearningMethod.GradientDifference or HeadUnlearningMethod.RetainOnly =>
                Descend(method, all, left, influence, change, options, stop),
        };
        return new UnlearnedHead(method, weights, PairHead.Norm(left.Evaluate(weights).Gradient), steps);

        static (double[], int) Of(HeadOptimum optimum) => (optimum.Weights, optimum.Steps);
    }

    /// <summary>∇ of a method's loss at θ. [d].</summary>
    internal static double[] Gradient(HeadUnlearningMethod method, PairHead all, PairHead left, VoteChange change, double[] theta, double[] startMargins, HeadDescentOptions options) =>
        Gradient(method, all, left, change, theta, all.Margins(theta), startMargins, options);

    private static double[] Gradient(HeadUnlearningMethod method, PairHead all, PairHead left, VoteChange change, double[] theta, double[] margins, double[] startMargins, HeadDescentOptions options)
    {
        var ofGone = all.Total - left.Total;
        var factors = new double[margins.Length];
        if (method is not HeadUnlearningMethod.RetainOnly)
        {
            foreach (var row in change.Rows)
            {
                var pull = method switch
                {
                    HeadUnlearningMethod.Swap => PairHead.Slack(-margins[row]),
                    HeadUnlearningMethod.SwapAndRetain => ofGone / all.Total * PairHead.Slack(-margins[row]),
                    HeadUnlearningMethod.NegativePreference => 2 * PairHead.Slack(-options.Beta * (margins[row] - startMargins[row])),
                    _ => PairHead.Slack(margins[row]),
                };
                factors[row] = change.Share(row) * all.Counts[row] / ofGone * pull;
            }
        }
        if (method is not (HeadUnlearningMethod.Swap or HeadUnlearningMethod.GradientAscent))
        {
            var share = method is HeadUnlearningMethod.NegativePreference or HeadUnlearningMethod.GradientDifference ? options.Retain : 1;
            for (var row = 0; row < factors.Length; row++)
            {
                if (left.Counts[row] > 0)
                    factors[row] -= share * left.Counts[row] / left.Total * PairHead.Slack(margins[row]);
            }
        }
        var gradient = all.Rows.Sum(factors);
        if (method is HeadUnlearningMethod.SwapAndRetain or HeadUnlearningMethod.RetainOnly)
            TensorPrimitives.MultiplyAdd(theta, all.L2, gradient, gradient);
        return gradient;
    }

    private static (double[] Weights, int Steps) Descend(HeadUnlearningMethod method, PairHead all, PairHead left, PairInfluence influence, VoteChange change, HeadDescentOptions options, CancellationToken stop)
    {
        double[] theta = [.. influence.Theta], start = influence.Margins;
        // Where the margins of S would be had the head never seen it, to first order.
        var predicted = all.Margins(Sum(influence.Theta, influence.ChangeWithout(change)));
        double Mean(double[] margins) => change.Rows.Sum(row => change.Share(row) * all.Counts[row] * margins[row]) / (all.Total - left.Total);
        var (wanted, step) = (Mean(predicted), 0);
        for (; step < options.Steps; step++)
        {
            stop.ThrowIfCancellationRequested();
            var margins = all.Margins(theta);
            if (options.StopsAtPrediction && Mean(margins) <= wanted)
                break;
            TensorPrimitives.MultiplyAdd(Gradient(method, all, left, change, theta, margins, start, options), -options.LearningRate, theta, theta);
        }
        return (theta, step);
    }

    private static double[] Sum(double[] one, double[] other)
    {
        var sum = new double[one.Length];
        TensorPrimitives.Add(one, other, sum);
        return sum;
    }
}
