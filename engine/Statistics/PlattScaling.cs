using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Portal.Engine.Statistics;

/// <summary>
/// Makes probabilities of scores: p = σ(a s + b) with a ≥ 0, the most likely a and b on data that did not train the score.
/// </summary>
/// <param name="Slope">a ≥ 0. 0 where the scores point the wrong way: a scale may not turn a reward round.</param>
/// <param name="Offset">b; 0 for margins of pairs, where swapping the sides must give 1 − p.</param>
/// <param name="LogLoss">Mean −ln p(outcome) at them, nats; ln 2 ≈ 0.693 where nothing can be told.</param>
/// <remarks>
/// A reward's scale is arbitrary, so losses of two rewards can be compared only after each had its best scale: <see cref="OfMargins"/> is the calibrated loss by which every method stops and is
/// chosen. Sources: Platt 1999; a ≥ 0 as in the Alignment Auditor. Plain labels (not Platt's softened ones), so that b alone is the log-odds.
/// </remarks>
public sealed record PlattScaling(double Slope, double Offset, double LogLoss)
{
    private const double SlopeMax = 1e4; // in units of 1 over the scores' spread: beyond it the loss is that of a step

    /// <summary>P(the event) of a score, or P(the first is better) of a margin.</summary>
    public double Probability(double score)
    {
        var x = Slope * score + Offset;
        return x >= 0 ? 1 / (1 + Math.Exp(-x)) : Math.Exp(x) / (1 + Math.Exp(x));
    }

    /// <summary>The best scale of margins m = r(preferred) − r(other): minimises mean ln(1 + e^{−a m}) over a ≥ 0.</summary>
    /// <param name="margins">[N], N ≥ 1, finite.</param>
    /// <exception cref="ArgumentException">No margins, or one that is not finite.</exception>
    /// <remarks>Convex in one number: Newton, kept inside a shrinking bracket. O(N) a step, about six steps.</remarks>
    public static PlattScaling OfMargins(ReadOnlySpan<double> margins)
    {
        if (margins.IsEmpty)
            throw new ArgumentException("There are no margins to calibrate.", nameof(margins));
        for (var i = 0; i < margins.Length; i++)
        {
            if (!double.IsFinite(margins[i]))
                throw new ArgumentException($"Margin {i} is {margins[i]}.", nameof(margins));
        }
        // Scaled to a root mean square of 1, through the largest so that squares of huge margins stay finite.
        var largest = Math.Abs(TensorPrimitives.MaxMagnitude<double>(margins));
        if (largest == 0 || TensorPrimitives.Sum<double>(margins) <= 0) // the slope of the loss at a = 0 is −mean/2
            return new PlattScaling(0, 0, Math.Log(2));
        var scaled = new double[margins.Length];
        TensorPrimitives.Divide(margins, largest, scaled);
        var spread = Math.Sqrt(TensorPrimitives.SumOfSquares<double>(scaled) / scaled.Length);
        TensorPrimitives.Divide(scaled, spread, scaled);

        double low = 0, high = SlopeMax, a = 1;
        var decay = new double[scaled.Length];
        for (var step = 0; step < 100; step++)
        {
            var (slope, curvature) = Slopes(scaled, a, decay);
            if (slope < 0)
                low = a;
            else
                high = a;
            var next = a - slope / curvature;
            if (!(next > low && next < high))
                next = high == SlopeMax ? Math.Min(SlopeMax, 4 * a) : (low + high) / 2;
            var moved = Math.Abs(next - a);
            a = next;
            if (moved <= 1e-12 * a || a >= SlopeMax)
                break;
        }
        return new PlattScaling(a / spread / largest, 0, Loss(scaled, a));
    }

    /// <summary>The best a ≥ 0 and b of scores of single texts.</summary>
    /// <param name="scores">[N], N ≥ 1, finite.</param>
    /// <param name="isPositive">[N], both kinds among them.</param>
    /// <exception cref="ArgumentException">Lengths differ, a score is not finite, or all labels are the same.</exception>
    public static PlattScaling OfScores(IReadOnlyList<double> scores, IReadOnlyList<bool> isPositive)
    {
        if (scores.Count == 0 || scores.Count != isPositive.Count)
            throw new ArgumentException($"Scores and labels must be equally many and at least one; they are {scores.Count} and {isPositive.Count}.");
        var positive = isPositive.Count(label => label) / (double)scores.Count;
        if (positive is 0 or 1)
            throw new ArgumentException("All labels are the same: no score can be calibrated on them.", nameof(isPositive));
        for (var i = 0; i < scores.Count; i++)
        {
            if (!double.IsFinite(scores[i]))
                throw new ArgumentException($"Score {i} is {scores[i]}.", nameof(scores));
        }
        var mean = scores.Average();
        var spread = Math.Sqrt(scores.Average(score => (score - mean) * (score - mean)));
        var alone = new PlattScaling(0, Math.Log(positive / (1 - positive)), -positive * Math.Log(positive) - (1 - positive) * Math.Log(1 - positive));
        if (!(spread > 0))
            return alone;
        var design = new ColumnMatrix(scores.Count, 2);
        for (var i = 0; i < scores.Count; i++)
            (design.Column(0)[i], design.Column(1)[i]) = ((scores[i] - mean) / spread, 1);
        double[] signs = [.. isPositive.Select(label => label ? 1.0 : -1)];
        // A hair of penalty keeps scores that separate the labels finite.
        var weights = new LogisticNewton(scores.Count, 2).Fit(design, [1e-8, 1e-8], signs, [], 1, [], CancellationToken.None).Weights;
        var (slope, offset) = (weights[0], weights[1]);
        if (slope <= 0)
            return alone;
        var fitted = new PlattScaling(slope / spread, offset - slope * mean / spread, 0);
        return fitted with { LogLoss = scores.Zip(isPositive, (score, label) => SoftPlus((label ? -1 : 1) * (fitted.Slope * score + fitted.Offset))).Average() };
    }

    private static double SoftPlus(double x) => Math.Max(x, 0) + double.LogP1(Math.Exp(-Math.Abs(x)));

    private static double Loss(double[] margins, double a) => margins.Average(margin => SoftPlus(-a * margin));

    // First and second derivative of the mean loss.
    private static (double Slope, double Curvature) Slopes(double[] margins, double a, double[] decay)
    {
        for (var i = 0; i < margins.Length; i++)
            decay[i] = -Math.Abs(a * margins[i]);
        TensorPrimitives.Exp<double>(decay, decay);
        double slope = 0, curvature = 0;
        for (var i = 0; i < margins.Length; i++)
        {
            var (m, e) = (margins[i], decay[i]);
            slope -= m * (m > 0 ? e : 1) / (1 + e);
            curvature += m * m * e / ((1 + e) * (1 + e));
        }
        return (slope / margins.Length, curvature / margins.Length);
    }
}
