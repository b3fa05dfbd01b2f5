namespace Portal.Engine.Statistics;

/// <summary>A vector that is zero nearly everywhere: values at ascending indices.</summary>
public sealed record SparseVector(int[] Indices, double[] Values)
{
    /// <summary>Its product with a dense vector.</summary>
    public double Dot(ReadOnlySpan<double> dense)
    {
        double sum = 0;
        for (int i = 0; i < Indices.Length; i++) sum += Values[i] * dense[Indices[i]];
        return sum;
    }

    /// <summary>this − other.</summary>
    public SparseVector Minus(SparseVector other)
    {
        var entries = new SortedDictionary<int, double>();
        for (int i = 0; i < Indices.Length; i++) entries[Indices[i]] = Values[i];
        for (int i = 0; i < other.Indices.Length; i++) entries[other.Indices[i]] = entries.GetValueOrDefault(other.Indices[i]) - other.Values[i];
        KeyValuePair<int, double>[] nonzero = [.. entries.Where(entry => entry.Value != 0)];
        return new SparseVector([.. nonzero.Select(entry => entry.Key)], [.. nonzero.Select(entry => entry.Value)]);
    }
}

/// <summary>A fitted logistic regression.</summary>
/// <param name="Weights">[features].</param>
/// <param name="Intercept">0 where none was fitted.</param>
/// <param name="Objective">Penalised mean loss reached, nats.</param>
/// <param name="GradientNorm">Largest component of its gradient there.</param>
/// <param name="Iterations">Steps made.</param>
public sealed record LogisticModel(double[] Weights, double Intercept, double Objective, double GradientNorm, int Iterations)
{
    /// <summary>The log-odds of the event.</summary>
    public double Score(SparseVector features) => features.Dot(Weights) + Intercept;
}

/// <summary>
/// Logistic regression with an L2 penalty on sparse features, by L-BFGS: deterministic, no learning rate.
/// <code>minimise  (1/n) Σ ln(1 + e^{−s_i (w·x_i + b)}) + (λ/2) ‖w‖²      s_i = ±1; b is not penalised</code>
/// </summary>
/// <remarks>
/// For preferences x = φ(chosen) − φ(rejected), s = 1 and no intercept: Bradley-Terry with linear rewards. Source of the method: Nocedal and Wright 2006, algorithm 7.5.
/// The problem is strictly convex for λ &gt; 0, so there is one answer and the gradient's norm says how near it is.
/// </remarks>
public static class LogisticRegression
{
    private const int Memory = 10;

    /// <summary>Fits the weights.</summary>
    /// <param name="features">[n], n ≥ 1; indices below <paramref name="featureCount"/>.</param>
    /// <param name="isPositive">[n].</param>
    /// <param name="featureCount">At least 1.</param>
    /// <param name="l2">λ &gt; 0.</param>
    /// <param name="intercept">Whether b is fitted; 0 otherwise.</param>
    /// <param name="stop">Looked at before every step.</param>
    /// <param name="maxIterations">Steps at most.</param>
    /// <param name="tolerance">Stop when no component of the gradient is larger.</param>
    /// <param name="offsets">Log-odds that each row has before any weight, [n]; null means 0. With the scores of a model that stands, the penalty pulls towards that model.</param>
    /// <exception cref="ArgumentException">Lengths differ, nothing to fit, λ not positive, or an index out of range.</exception>
    public static LogisticModel Fit(IReadOnlyList<SparseVector> features, IReadOnlyList<bool> isPositive, int featureCount, double l2, bool intercept, CancellationToken stop, int maxIterations = 500, double tolerance = 1e-7,
        IReadOnlyList<double>? offsets = null)
    {
        if (features.Count == 0 || features.Count != isPositive.Count) throw new ArgumentException($"Rows and labels must be equally many and at least one; they are {features.Count} and {isPositive.Count}.");
        if (offsets is not null && offsets.Count != features.Count) throw new ArgumentException($"There are {features.Count} rows and {offsets.Count} offsets.", nameof(offsets));
        if (!(l2 > 0) || double.IsInfinity(l2)) throw new ArgumentException($"The penalty is {l2}; it must be positive, or separable data have no solution.", nameof(l2));
        foreach (SparseVector row in features)
            if (row.Indices.Length > 0 && (row.Indices[0] < 0 || row.Indices[^1] >= featureCount)) throw new ArgumentException($"A feature index lies outside 0 to {featureCount - 1}.", nameof(features));

        var point = new double[featureCount + 1]; // the last one is b
        var gradient = new double[featureCount + 1];
        double value = Evaluate(point, gradient);
        var steps = new List<(double[] S, double[] Y, double Rho)>();
        int iteration = 0;
        for (; iteration < maxIterations && LargestOf(gradient) > tolerance; iteration++)
        {
            stop.ThrowIfCancellationRequested();
            double[] direction = Direction(gradient, steps);
            double slope = Dot(direction, gradient);
            if (slope >= 0) // rounding spoilt the memory: begin again from the gradient
            {
                steps.Clear();
                direction = [.. gradient.Select(g => -g)];
                slope = -Dot(gradient, gradient);
            }

            // Backtracking until the decrease is a fair share of what the slope promised.
            double length = steps.Count == 0 ? Math.Min(1, 1 / Math.Sqrt(-slope)) : 1, newValue;
            var next = new double[point.Length];
            var newGradient = new double[point.Length];
            while (true)
            {
                for (int j = 0; j < next.Length; j++) next[j] = point[j] + length * direction[j];
                newValue = Evaluate(next, newGradient);
                if (newValue <= value + 1e-4 * length * slope || length < 1e-12) break;
                length /= 2;
            }

            if (!(newValue < value)) break; // no progress at this precision
            double[] s = [.. next.Zip(point, (a, b) => a - b)], y = [.. newGradient.Zip(gradient, (a, b) => a - b)];
            double curvature = Dot(s, y);
            if (curvature > 1e-12 * Math.Sqrt(Dot(s, s) * Dot(y, y)))
            {
                steps.Add((s, y, 1 / curvature));
                if (steps.Count > Memory) steps.RemoveAt(0);
            }

            (point, gradient, value) = (next, newGradient, newValue);
        }

        return new LogisticModel(point[..featureCount], point[featureCount], value, LargestOf(gradient), iteration);

        double Evaluate(double[] at, double[] into)
        {
            Array.Clear(into);
            double loss = 0, penalty = 0;
            for (int i = 0; i < features.Count; i++)
            {
                SparseVector row = features[i];
                double sign = isPositive[i] ? 1 : -1, margin = sign * (row.Dot(at) + at[featureCount] + (offsets is null ? 0 : offsets[i]));
                loss += Math.Max(-margin, 0) + double.LogP1(Math.Exp(-Math.Abs(margin)));
                double pull = -sign / (1 + Math.Exp(margin)) / features.Count;
                for (int j = 0; j < row.Indices.Length; j++) into[row.Indices[j]] += pull * row.Values[j];
                if (intercept) into[featureCount] += pull;
            }

            for (int j = 0; j < featureCount; j++)
            {
                penalty += at[j] * at[j];
                into[j] += l2 * at[j];
            }

            return loss / features.Count + l2 / 2 * penalty;
        }
    }

    // The two-loop recursion: minus the inverse Hessian's guess times the gradient.
    private static double[] Direction(double[] gradient, List<(double[] S, double[] Y, double Rho)> steps)
    {
        double[] q = [.. gradient];
        var alpha = new double[steps.Count];
        for (int i = steps.Count - 1; i >= 0; i--)
        {
            alpha[i] = steps[i].Rho * Dot(steps[i].S, q);
            for (int j = 0; j < q.Length; j++) q[j] -= alpha[i] * steps[i].Y[j];
        }

        double scale = steps.Count == 0 ? 1 : 1 / (steps[^1].Rho * Dot(steps[^1].Y, steps[^1].Y));
        for (int j = 0; j < q.Length; j++) q[j] *= scale;
        for (int i = 0; i < steps.Count; i++)
        {
            double beta = steps[i].Rho * Dot(steps[i].Y, q);
            for (int j = 0; j < q.Length; j++) q[j] += (alpha[i] - beta) * steps[i].S[j];
        }

        for (int j = 0; j < q.Length; j++) q[j] = -q[j];
        return q;
    }

    private static double Dot(double[] a, double[] b)
    {
        double sum = 0;
        for (int i = 0; i < a.Length; i++) sum += a[i] * b[i];
        return sum;
    }

    private static double LargestOf(double[] values) => values.Max(Math.Abs);
}
