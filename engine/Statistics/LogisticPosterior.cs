using System.Runtime.CompilerServices;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Portal.Engine.Statistics;

/// <summary>
/// A logistic regression on dense features that knows how sure it is: the most probable weights under a normal prior, and the normal distribution around them (Laplace).
/// <code>
/// minimise  J(w) = Σ_i c_i ln(1 + e^{−s_i w·x_i / T}) + ½ Σ_j λ_j w_j²      precision = ∇²J = Σ_i c_i p_i (1 − p_i) x_i x_iᵀ / T² + diag λ
/// </code>
/// </summary>
/// <param name="Weights">w, [d].</param>
/// <param name="Precision">Root of ∇²J at w. Its inverse is the covariance.</param>
/// <param name="Objective">J reached: a sum over rows, in nats.</param>
/// <param name="Iterations">Newton steps made.</param>
/// <remarks>
/// For preferences x = φ(chosen) − φ(rejected), every s = 1, and no intercept: Bradley-Terry with linear rewards. The sparse sister without a covariance is <see cref="LogisticRegression"/>.
/// Sources: Newton's method with halved steps; MacKay 1992, "The evidence framework applied to classification networks". Checked against Golden/irl_vectors.json (numpy).
/// </remarks>
public sealed record LogisticPosterior(double[] Weights, Cholesky Precision, double Objective, int Iterations)
{
    /// <summary>Posterior standard deviation of each weight. [d]; costs d³/6.</summary>
    public double[] StandardErrors() => [.. Precision.InverseDiagonal().Select(Math.Sqrt)];

    /// <summary>xᵀ Σ x: posterior variance of w·x.</summary>
    /// <param name="x">[d].</param>
    public double Variance(ReadOnlySpan<double> x)
    {
        var y = x.ToArray();
        Precision.SolveLower(y);
        return TensorPrimitives.SumOfSquares<double>(y);
    }
}

/// <summary>Fits <see cref="LogisticPosterior"/>: one worker for many fits on designs of the same size, so that a simulation makes no garbage.</summary>
/// <param name="rows">n, at least 1.</param>
/// <param name="features">d, at least 1.</param>
/// <remarks>Not safe for use by two threads.</remarks>
public sealed class LogisticNewton(int rows, int features)
{
    private const int IterationsMax = 100;
    private const int HalvingsMax = 40;
    private const double Rounding = 1e-13; // of J: near the minimum a step gains less than J can show

    private readonly double[] margins = new double[rows];
    private readonly double[] decay = new double[rows]; // e^{−|s m|}
    private readonly double[] pull = new double[rows]; // −c s (1 − p) / T
    private readonly double[] curvature = new double[rows]; // c p (1 − p) / T²
    private readonly double[] gradient = new double[features];
    private readonly double[] scratch = new double[4 * (rows + features)];

    /// <summary>The one minimum of J.</summary>
    /// <param name="design">x, n rows of d.</param>
    /// <param name="precisions">λ ≥ 0, [d]; with a 0, the data must determine that weight.</param>
    /// <param name="signs">s, ±1 each, [n]; empty: all +1.</param>
    /// <param name="counts">c ≥ 0, how often a row counts, [n]; empty: once each.</param>
    /// <param name="temperature">T &gt; 0.</param>
    /// <param name="start">Where to begin, [d]; empty: 0.</param>
    /// <param name="tolerance">Stop when a Newton step would lower J by less, in nats; an error of √(2 · tolerance) standard errors is left, before that step is made.</param>
    /// <param name="onStep">Told the weights before each step; null: nobody.</param>
    /// <param name="stop">Looked at before every step.</param>
    /// <exception cref="ArgumentException">A shape or value that is none, or weights that nothing determines.</exception>
    public LogisticPosterior Fit(ColumnMatrix design, ReadOnlySpan<double> precisions, ReadOnlySpan<double> signs, ReadOnlySpan<double> counts, double temperature, ReadOnlySpan<double> start,
        CancellationToken stop, double tolerance = 1e-18, Action<double[]>? onStep = null)
    {
        Check(design, precisions, signs, counts, temperature, start);
        var weights = start.IsEmpty ? new double[features] : start.ToArray();
        var value = Evaluate(design, weights, precisions, signs, counts, temperature);
        for (var iteration = 0; ; iteration++)
        {
            stop.ThrowIfCancellationRequested();
            onStep?.Invoke(weights);
            for (var j = 0; j < features; j++)
                gradient[j] = TensorPrimitives.Dot<double>(design.Column(j), pull) + precisions[j] * weights[j];
            var hessian = new double[features * features];
            DenseProducts.Gram(design, curvature, hessian, scratch);
            for (var j = 0; j < features; j++)
                hessian[j * features + j] += precisions[j];
            var root = Cholesky.Factor(hessian, features);
            var step = root.Solve(gradient);
            var fall = TensorPrimitives.Dot<double>(step, gradient);
            if (fall / 2 <= tolerance || iteration == IterationsMax)
                return new LogisticPosterior(Less(weights, step, 1), root, value, iteration);
            // The full step nearly always; far from the minimum the model of second order may promise too much.
            var length = 1.0;
            for (var halving = 0; ; halving++)
            {
                var next = Less(weights, step, length);
                var reached = Evaluate(design, next, precisions, signs, counts, temperature);
                if (reached <= value - 1e-4 * length * fall + Rounding * Math.Abs(value) || halving == HalvingsMax)
                {
                    (weights, value) = (next, reached);
                    break;
                }
                length /= 2;
            }
        }
    }

    private static double[] Less(double[] weights, double[] step, double length)
    {
        var next = new double[weights.Length];
        TensorPrimitives.MultiplyAdd(step, -length, weights, next);
        return next;
    }

    // J; leaves each row's pull and curvature behind. σ is taken of −|m|, so nothing overflows.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private double Evaluate(ColumnMatrix design, double[] weights, ReadOnlySpan<double> precisions, ReadOnlySpan<double> signs, ReadOnlySpan<double> counts, double temperature)
    {
        design.Multiply(weights, margins);
        if (temperature != 1)
            TensorPrimitives.Divide(margins, temperature, margins);
        if (!signs.IsEmpty)
            TensorPrimitives.Multiply(margins, signs, margins);
        for (var i = 0; i < margins.Length; i++)
            decay[i] = -Math.Abs(margins[i]);
        TensorPrimitives.Exp<double>(decay, decay);
        double penalty = 0, loss = 0;
        for (var j = 0; j < weights.Length; j++)
            penalty += precisions[j] * weights[j] * weights[j];
        for (var i = 0; i < margins.Length; i++)
        {
            var e = decay[i];
            var against = margins[i] >= 0 ? e / (1 + e) : 1 / (1 + e); // 1 − p
            var count = counts.IsEmpty ? 1 : counts[i];
            pull[i] = -count * against * (signs.IsEmpty ? 1 : signs[i]) / temperature;
            curvature[i] = count * e / ((1 + e) * (1 + e)) / (temperature * temperature);
            loss += count * Math.Max(-margins[i], 0);
        }
        TensorPrimitives.LogP1<double>(decay, decay);
        loss += counts.IsEmpty ? TensorPrimitives.Sum<double>(decay) : TensorPrimitives.Dot<double>(decay, counts);
        return loss + penalty / 2;
    }

    private void Check(ColumnMatrix design, ReadOnlySpan<double> precisions, ReadOnlySpan<double> signs, ReadOnlySpan<double> counts, double temperature, ReadOnlySpan<double> start)
    {
        if (design.Rows != rows || design.Columns != features || rows < 1 || features < 1)
            throw new ArgumentException($"The design has {design.Rows} rows of {design.Columns}; {rows} of {features} were announced, and at least one of one is needed.", nameof(design));
        if (precisions.Length != features || (!signs.IsEmpty && signs.Length != rows) || (!counts.IsEmpty && counts.Length != rows) || (!start.IsEmpty && start.Length != features))
            throw new ArgumentException($"{precisions.Length} precisions, {signs.Length} signs, {counts.Length} counts and a start of {start.Length} do not fit {rows} rows of {features}.");
        if (!(temperature > 0) || double.IsInfinity(temperature))
            throw new ArgumentException($"The temperature is {temperature}; it must be positive.", nameof(temperature));
        foreach (var precision in precisions)
        {
            if (!(precision >= 0) || double.IsInfinity(precision))
                throw new ArgumentException($"A prior's precision is {precision}; it must be at least 0.", nameof(precisions));
        }
    }
}
