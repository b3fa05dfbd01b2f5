using Portal.Data.Unlearning;
using Portal.Engine.Influence;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Portal.Engine.Unlearning;

/// <summary>How descents go.</summary>
public sealed record HeadDescentOptions
{
    public int Steps { get; init; } = 100;
    public double LearningRate { get; init; } = 0.05;

    /// <summary>β of negative preference optimisation.</summary>
    public double Beta { get; init; } = 1;

    /// <summary>α: how much the pairs that are kept count beside those that go.</summary>
    public double Retain { get; init; } = 1;

    /// <summary>When a descent ends before its steps are made; null: never. Where the margins would be without the pairs is what the head's curvature predicts.</summary>
    public DescentStops? Stops { get; init; }
}

/// <summary>A head from which pairs were taken.</summary>
/// <param name="Weights">θ. [d].</param>
/// <param name="ResidualGradientNorm">‖∇L‖ on the pairs that are left: the certificate.</param>
/// <param name="Steps">Made.</param>
/// <param name="End">Why a descent ended; null for the other methods.</param>
public sealed record UnlearnedHead(RewardUnlearningMethod Method, double[] Weights, double ResidualGradientNorm, int Steps, DescentEnd? End = null);

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
/// Descents are of the whole batch with a fixed rate, and look at their stops at every step. Only retraining and Newton steps lead to the head that never saw S; the others change what the head does with S, and only with a retain term and an early stop without
/// wrecking the rest. Source: specs/xrlhf.md §2.3, §2.4, §4.2; NPO: Zhang et al. 2024 (2404.05868). Checked by finite differences and against heads trained without the pairs.
/// </remarks>
public static class HeadUnlearning
{
    /// <param name="all">The head's loss with every pair.</param>
    /// <param name="influence">The head that is unlearnt from, and its curvature.</param>
    /// <param name="change">What is done to S, at least one pair. Descents only take pairs out.</param>
    /// <param name="heldOut">Δφ of pairs that no head was trained on, for the stops of a descent; null: their accuracy stops none.</param>
    /// <exception cref="ArgumentException">S is empty, no pair would be left, or a descent shall do anything but remove.</exception>
    public static UnlearnedHead Run(RewardUnlearningMethod method, PairHead all, PairInfluence influence, VoteChange change, HeadDescentOptions options, CancellationToken stop, FeatureRows? heldOut = null)
    {
        if (change.Rows.Count == 0)
            throw new ArgumentException("There is no pair to unlearn.", nameof(change));
        if (change.Action is not UnlearningAction.Remove && method is not (RewardUnlearningMethod.Retrain or RewardUnlearningMethod.NewtonTwice or RewardUnlearningMethod.NewtonOnce or RewardUnlearningMethod.InfluenceUpdate))
            throw new ArgumentException($"{method} takes pairs out; it turns none round and weighs none down.", nameof(change));
        var left = all.Changed(change);
        (double[] Weights, int Steps, DescentEnd? End) made = method switch
        {
            RewardUnlearningMethod.Retrain => Of(left.Fit(stop)),
            RewardUnlearningMethod.NewtonTwice => (NewtonRemoval.Run(all, influence, change, stop).Weights, 2, null),
            RewardUnlearningMethod.NewtonOnce => (NewtonRemoval.Run(all, influence, change, stop, 1).Weights, 1, null),
            RewardUnlearningMethod.InfluenceUpdate => (Sum(influence.Theta, influence.ChangeWithout(change)), 1, null),
            RewardUnlearningMethod.SwapAndRetain or RewardUnlearningMethod.Swap or RewardUnlearningMethod.NegativePreference or RewardUnlearningMethod.GradientAscent or RewardUnlearningMethod.GradientDifference or RewardUnlearningMethod.RetainOnly =>
                Descend(method, all, left, influence, change, options, heldOut, stop),
        };
        return new UnlearnedHead(method, made.Weights, PairHead.Norm(left.Evaluate(made.Weights).Gradient), made.Steps, made.End);

        static (double[], int, DescentEnd?) Of(HeadOptimum optimum) => (optimum.Weights, optimum.Steps, null);
    }

    /// <summary>∇ of a method's loss at θ. [d].</summary>
    internal static double[] Gradient(RewardUnlearningMethod method, PairHead all, PairHead left, VoteChange change, double[] theta, double[] startMargins, HeadDescentOptions options) =>
        Gradient(method, all, left, change, theta, all.Margins(theta), startMargins, options);

    private static double[] Gradient(RewardUnlearningMethod method, PairHead all, PairHead left, VoteChange change, double[] theta, double[] margins, double[] startMargins, HeadDescentOptions options)
    {
        var ofGone = all.Total - left.Total;
        var factors = new double[margins.Length];
        if (method is not RewardUnlearningMethod.RetainOnly)
        {
            foreach (var row in change.Rows)
            {
                var pull = method switch
                {
                    RewardUnlearningMethod.Swap => PairHead.Slack(-margins[row]),
                    RewardUnlearningMethod.SwapAndRetain => ofGone / all.Total * PairHead.Slack(-margins[row]),
                    RewardUnlearningMethod.NegativePreference => 2 * PairHead.Slack(-options.Beta * (margins[row] - startMargins[row])),
                    _ => PairHead.Slack(margins[row]),
                };
                factors[row] = change.Share(row) * all.Counts[row] / ofGone * pull;
            }
        }
        if (method is not (RewardUnlearningMethod.Swap or RewardUnlearningMethod.GradientAscent))
        {
            var share = method is RewardUnlearningMethod.NegativePreference or RewardUnlearningMethod.GradientDifference ? options.Retain : 1;
            for (var row = 0; row < factors.Length; row++)
            {
                if (left.Counts[row] > 0)
                    factors[row] -= share * left.Counts[row] / left.Total * PairHead.Slack(margins[row]);
            }
        }
        var gradient = all.Rows.Sum(factors);
        if (method is RewardUnlearningMethod.SwapAndRetain or RewardUnlearningMethod.RetainOnly)
            TensorPrimitives.MultiplyAdd(theta, all.L2, gradient, gradient);
        return gradient;
    }

    /// <summary>Mean margin of S before, and where it would be had the head never seen S, to first order.</summary>
    public static (double Before, double Without) PredictedMargin(PairHead all, PairInfluence influence, VoteChange change)
    {
        return (Mean(all, change, influence.Margins), Mean(all, change, all.Margins(Sum(influence.Theta, influence.ChangeWithout(change)))));
    }

    /// <summary>Mean margin of the votes of S.</summary>
    private static double Mean(PairHead all, VoteChange change, double[] margins) =>
        change.Rows.Sum(row => change.Share(row) * all.Counts[row] * margins[row]) / change.Rows.Sum(row => change.Share(row) * all.Counts[row]);

    private static (double[] Weights, int Steps, DescentEnd? End) Descend(RewardUnlearningMethod method, PairHead all, PairHead left, PairInfluence influence, VoteChange change, HeadDescentOptions options, FeatureRows? heldOut, CancellationToken stop)
    {
        double[] theta = [.. influence.Theta], before = theta, start = influence.Margins;
        var wanted = PredictedMargin(all, influence, change).Without;
        double Accuracy(double[] at)
        {
            var products = new double[heldOut!.Count]; // asked only where there are some
            heldOut.Products(at, products);
            return ForgettingReport.Accuracy(products);
        }
        var accuracy = heldOut is { Count: > 0 } && options.Stops is not null ? Accuracy(theta) : (double?)null;
        for (var step = 0; ; step++)
        {
            stop.ThrowIfCancellationRequested();
            var margins = all.Margins(theta);
            if (options.Stops?.Look((Mean(all, change, margins), wanted), accuracy is { } was ? (was, Accuracy(theta)) : null, DescentStops.PreferenceKl(start, margins, left.Counts)) is { } end)
                return end is DescentEnd.Prediction ? (theta, step, end) : (before, Math.Max(0, step - 1), end);
            if (step == options.Steps)
                return (theta, step, DescentEnd.Steps);
            before = [.. theta];
            TensorPrimitives.MultiplyAdd(Gradient(method, all, left, change, theta, margins, start, options), -options.LearningRate, theta, theta);
        }
    }

    private static double[] Sum(double[] one, double[] other)
    {
        var sum = new double[one.Length];
        TensorPrimitives.Add(one, other, sum);
        return sum;
    }
}
