using Portal.Data.Unlearning;
using Portal.Engine.Statistics;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Portal.Engine.Influence;

/// <summary>A head that was trained to the optimum of its loss.</summary>
/// <param name="Weights">θ. [d].</param>
/// <param name="Loss">Penalised mean loss there, nats.</param>
/// <param name="GradientNorm">‖∇L(θ)‖: 0 at the optimum.</param>
/// <param name="Steps">Newton steps made.</param>
public sealed record HeadOptimum(double[] Weights, double Loss, double GradientNorm, int Steps);

/// <summary>
/// The Bradley-Terry loss of a linear head on features that do not move, as a function of which pairs take part: what influence, removal and retraining are defined by.
/// <code>
/// L(θ) = (1/W) Σ [w_i ln(1 + e^{−m_i}) + u_i ln(1 + e^{m_i})] + (λ/2) ‖θ‖²        m_i = θ · Δφ_i      W = Σ (w_i + u_i)      (nats)
/// ∇L   = −(1/W) Σ [w_i (1 − σ_i) − u_i σ_i] Δφ_i + λ θ                            σ_i = σ(m_i)
/// H    = (1/W) Σ (w_i + u_i) σ_i (1 − σ_i) Δφ_i Δφ_iᵀ + λ I
/// </code>
/// w are votes for a pair as it was judged; u, the votes for its other side, are 0 but where somebody turned it round.
/// </summary>
/// <remarks>
/// Strictly convex for λ &gt; 0, so there is one optimum. Margins and centring, which a reward model may have been trained with, are no part of it; nor is what training did to the features themselves.
/// Source: specs/xrlhf.md §1.1, §2.4. Checked by finite differences, against the engine's logistic regression, and by a Hessian added up pair by pair.
/// </remarks>
public sealed class PairHead
{
    /// <summary>Pairs whose products are made at a time: their columns fit into the cache.</summary>
    private const int BlockRows = 1_024;

    /// <param name="rows">Δφ of every pair: chosen less rejected.</param>
    /// <param name="counts">w ≥ 0: votes of a merged pair times the trust in them; 0 for a pair that takes no part. [n], not all 0.</param>
    /// <param name="l2">λ, above 0.</param>
    /// <exception cref="ArgumentException">Not one count a row, one below 0, none above it, or λ not positive.</exception>
    public PairHead(FeatureRows rows, IReadOnlyList<double> counts, double l2) : this(rows, counts, new double[counts.Count], l2)
    {
    }

    private PairHead(FeatureRows rows, IReadOnlyList<double> counts, double[] against, double l2)
    {
        if (counts.Count != rows.Count)
            throw new ArgumentException($"There are {rows.Count} rows and {counts.Count} counts.", nameof(counts));
        for (var i = 0; i < counts.Count; i++)
        {
            if (!(counts[i] >= 0) || double.IsInfinity(counts[i]))
                throw new ArgumentException($"Count {i} is {counts[i]}; it must be at least 0.", nameof(counts));
        }
        if (!(l2 > 0) || double.IsInfinity(l2))
            throw new ArgumentException($"The penalty is {l2}; it must be above 0, or pairs that are separable have no optimum.", nameof(l2));
        (Rows, Counts, Against, L2, Total) = (rows, [.. counts], against, l2, counts.Sum() + against.Sum());
        if (!(Total > 0))
            throw new ArgumentException("No pair takes part: all counts are 0.", nameof(counts));
    }

    /// <summary>Δφ of every pair.</summary>
    public FeatureRows Rows { get; }

    /// <summary>w. [n].</summary>
    public double[] Counts { get; }

    /// <summary>u. [n].</summary>
    public double[] Against { get; }

    /// <summary>λ.</summary>
    public double L2 { get; }

    /// <summary>W = Σ (w + u).</summary>
    public double Total { get; }

    /// <summary>The same without some pairs.</summary>
    /// <exception cref="ArgumentException">No pair is left.</exception>
    public PairHead Without(IEnumerable<int> rows) => Changed(new VoteChange([.. rows]));

    /// <summary>The same after votes were changed.</summary>
    /// <exception cref="ArgumentException">No pair is left.</exception>
    public PairHead Changed(VoteChange change)
    {
        double[] counts = [.. Counts], against = [.. Against];
        foreach (var row in change.Rows)
        {
            counts[row] -= change.Share(row) * change.Action switch { UnlearningAction.DownWeight => 1 - PairStanding.LessWeight, UnlearningAction.Remove or UnlearningAction.Relabel => 1 } * Counts[row];
            if (change.Action is UnlearningAction.Relabel)
                against[row] += change.Share(row) * Counts[row];
        }
        return new PairHead(Rows, counts, against, L2);
    }

    /// <summary>θ · Δφ of every pair, also of those that take no part. [n].</summary>
    public double[] Margins(double[] theta)
    {
        var margins = new double[Rows.Count];
        Rows.Products(theta, margins);
        return margins;
    }

    /// <summary>L and ∇L.</summary>
    public (double Loss, double[] Gradient) Evaluate(double[] theta) => Evaluate(theta, Margins(theta));

    /// <summary>H. [d · d] row by row, the lower triangle only.</summary>
    public double[] Hessian(double[] theta, CancellationToken stop)
    {
        var margins = Margins(theta);
        return WeightedGram([.. Counts.Select((count, i) => count + Against[i] is > 0 and var votes ? votes * Curvature(margins[i]) / Total : 0)], L2, stop);
    }

    /// <summary>Σ f_i Δφ_i Δφ_iᵀ + ridge · I. [d · d], the lower triangle only.</summary>
    /// <param name="factors">[n]; rows with a 0 are not read.</param>
    internal double[] WeightedGram(double[] factors, double ridge, CancellationToken stop)
    {
        var d = Rows.Width;
        var gram = new double[(long)d * d];
        int[] taken = [.. Enumerable.Range(0, factors.Length).Where(i => factors[i] != 0)];
        int[] order = [.. Enumerable.Range(0, d)];
        var one = new double[d];
        foreach (var block in taken.Chunk(BlockRows))
        {
            stop.ThrowIfCancellationRequested();
            var (plain, scaled) = (new ColumnMatrix(block.Length, d), new ColumnMatrix(block.Length, d));
            for (var i = 0; i < block.Length; i++)
            {
                Rows.CopyTo(block[i], [], one);
                for (var j = 0; j < d; j++)
                    (plain.Values[j * block.Length + i], scaled.Values[j * block.Length + i]) = (one[j], factors[block[i]] * one[j]);
            }
            // Each group of four columns is added up by one thread, block after block: the sums do not depend on how many there are.
            Parallel.For(0, (d + 3) / 4, new ParallelOptions { MaxDegreeOfParallelism = Rows.Threads }, group =>
            {
                var j = 4 * group;
                var width = Math.Min(4, d - j);
                var products = new double[(j + width) * width];
                DenseProducts.Rows(plain.Values, order.AsSpan(0, j + width), scaled.Values.AsSpan(j * block.Length, width * block.Length), block.Length, products);
                for (var k = 0; k < width; k++)
                {
                    for (var column = 0; column <= j + k; column++)
                        gram[(long)(j + k) * d + column] += products[column * width + k];
                }
            });
        }
        for (var j = 0; j < d; j++)
            gram[(long)j * d + j] += ridge;
        return gram;
    }

    /// <summary>Trains the head to its optimum by damped Newton steps.</summary>
    /// <param name="start">Where to begin; null: at 0.</param>
    /// <param name="tolerance">Ends when ‖∇L‖ is no larger.</param>
    public HeadOptimum Fit(CancellationToken stop, double[]? start = null, double tolerance = 1e-10, int stepsMax = 100)
    {
        double[] theta = start is null ? new double[Rows.Width] : [.. start];
        var (loss, gradient) = Evaluate(theta);
        var steps = 0;
        for (; steps < stepsMax && Norm(gradient) > tolerance; steps++)
        {
            var direction = Cholesky.Factor(Hessian(theta, stop), Rows.Width).Solve(gradient);
            var slope = TensorPrimitives.Dot<double>(gradient, direction);
            var length = 1.0;
            while (true)
            {
                var next = new double[theta.Length];
                TensorPrimitives.MultiplyAdd(direction, -length, theta, next);
                var (nextLoss, nextGradient) = Evaluate(next);
                if (nextLoss <= loss - 1e-4 * length * slope || Norm(nextGradient) <= tolerance)
                {
                    (theta, loss, gradient) = (next, nextLoss, nextGradient);
                    break;
                }
                if ((length /= 2) < 1e-8)
                    return new HeadOptimum(theta, loss, Norm(gradient), steps); // no progress at this precision
            }
        }
        return new HeadOptimum(theta, loss, Norm(gradient), steps);
    }

    /// <summary>‖x‖.</summary>
    internal static double Norm(double[] x) => Math.Sqrt(TensorPrimitives.SumOfSquares<double>(x));

    /// <summary>1 − σ(m).</summary>
    internal static double Slack(double margin) => margin >= 0 ? Math.Exp(-margin) / (1 + Math.Exp(-margin)) : 1 / (1 + Math.Exp(margin));

    /// <summary>σ(m)(1 − σ(m)).</summary>
    internal static double Curvature(double margin) => Slack(margin) * Slack(-margin);

    /// <summary>The same where the margins at θ are known.</summary>
    internal (double Loss, double[] Gradient) Evaluate(double[] theta, double[] margins)
    {
        var (loss, pulls) = (0.0, new double[margins.Length]);
        for (var i = 0; i < margins.Length; i++)
        {
            if (Counts[i] + Against[i] == 0)
                continue;
            var tail = double.LogP1(Math.Exp(-Math.Abs(margins[i])));
            loss += Counts[i] * (Math.Max(-margins[i], 0) + tail) + Against[i] * (Math.Max(margins[i], 0) + tail);
            pulls[i] = (Against[i] * Slack(-margins[i]) - Counts[i] * Slack(margins[i])) / Total;
        }
        var gradient = Rows.Sum(pulls);
        TensorPrimitives.MultiplyAdd(theta, L2, gradient, gradient);
        return (loss / Total + L2 / 2 * TensorPrimitives.SumOfSquares<double>(theta), gradient);
    }
}
