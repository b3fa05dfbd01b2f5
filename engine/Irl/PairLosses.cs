using System.Numerics;
using System.Runtime.CompilerServices;
using Portal.Engine.Statistics;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Portal.Engine.Irl;

/// <summary>The pairs that count as failures in a round, and what they cost instead.</summary>
/// <param name="IsFailing">F, [n] over all training pairs.</param>
/// <param name="Objective">Their loss: a wider margin, or a lower temperature.</param>
/// <param name="Weight">w, how much more they count.</param>
internal sealed record FailureTerm(bool[] IsFailing, IPairObjective Objective, double Weight);

/// <summary>
/// The loss of a linear head and its gradient by hand.
/// <code>L = (1/N) [ Σ_{i∉F} ℓ(m_i) + w Σ_{i∈F} ℓ_F(m_i) ]      m_i = θ · Δ_i      ∇_θ L = Σ_i (dL/dm_i) Δ_i</code>
/// </summary>
/// <remarks>Not safe for use by two threads: it keeps its scratch memory. Source: specs/fairl.md §1.5, §1.9. Checked by finite differences and against PyTorch's autograd.</remarks>
internal sealed class LinearLoss(PairMatrix pairs, IPairObjective objective)
{
    private double[] slopes = new double[HeadTraining.BatchPairs];

    /// <summary>Null: no pair is special.</summary>
    public FailureTerm? Failures { get; set; }

    public double Evaluate(ReadOnlySpan<int> rows, double[] weights, double[] gradient)
    {
        if (slopes.Length < rows.Length)
            slopes = new double[rows.Length];
        var slope = slopes.AsSpan(0, rows.Length);
        DenseProducts.Rows(pairs.Difference, rows, weights, pairs.Width, slope);
        var sum = 0.0;
        for (var i = 0; i < rows.Length; i++)
        {
            var (margin, isFailing) = (slope[i], Failures?.IsFailing[rows[i]] ?? false);
            var (own, factor) = isFailing ? (Failures!.Objective, Failures.Weight) : (objective, 1.0); // failing: there are failures
            sum += factor * own.Loss(margin);
            slope[i] = factor * own.Slope(margin) / rows.Length;
        }
        Array.Clear(gradient);
        DenseProducts.AddRows(pairs.Difference, rows, slope, gradient);
        return sum / rows.Length;
    }
}

/// <summary>
/// The loss of a head with two paths and its gradient by hand.
/// <code>
/// m_i = θ·Δ_i + R_c(o⁺_i) − R_c(o⁻_i)      R_c(o) = v · tanh(W z + b)      L as for <see cref="LinearLoss"/>
/// θ:        the gradient of L over all pairs
/// W, b, v:  the gradient of L over F only (the base is detached there), plus that of  μ · mean_{i∉F} (R_c(o⁺)² + R_c(o⁻)²)
/// </code>
/// </summary>
/// <remarks>
/// The routing keeps the correction to what the base gets wrong; without it (<paramref name="isRouted"/> false: all pairs train both, no μ term) this is the plain network that serves as a control of
/// capacity. Weights in one array: θ [d], W [h · d], b [h], v [h]. Not safe for use by two threads. Source: specs/fairl.md §1.3, §1.5, §1.9.
/// </remarks>
internal sealed class DualPathLoss(PairMatrix pairs, IPairObjective objective, int hidden, double mu, bool isRouted)
{
    private readonly int d = pairs.Width;
    private double[] margins = [], factors = [], states = [], outputs = [], deltas = [];

    /// <summary>Null or empty: no pair is special, and a routed correction is only kept silent.</summary>
    public FailureTerm? Failures { get; set; }

    /// <summary>What the correction's gradient is the gradient of: the failures' share of L, and the μ term. Of the last batch.</summary>
    public double RoutedLoss { get; private set; }

    /// <summary>Number of weights.</summary>
    public int Size => d + hidden * d + 2 * hidden;

    /// <summary>A head whose correction is silent: θ given, W normal with deviation 1/√d, b and v 0.</summary>
    public double[] Start(double[] theta, SeededRandom random)
    {
        var weights = new double[Size];
        theta.CopyTo(weights, 0);
        var draws = random.Split("correction");
        for (var i = 0; i < hidden * d; i++)
            weights[d + i] = draws.NextGaussian() / Math.Sqrt(d);
        return weights;
    }

    /// <summary>The reward that these weights are.</summary>
    public RecoveredReward Reward(double[] weights, double lambda = 1) =>
        new(weights[..d], new CorrectionPath(weights[d..(d + hidden * d)], weights[(d + hidden * d)..(d + hidden * d + hidden)], weights[^hidden..]), lambda);

    public double Evaluate(ReadOnlySpan<int> rows, double[] weights, double[] gradient)
    {
        Reserve(rows.Length);
        var n = rows.Length;
        var input = weights.AsSpan(d, hidden * d);
        var offset = weights.AsSpan(d + hidden * d, hidden);
        var output = weights.AsSpan(weights.Length - hidden, hidden);
        var margin = margins.AsSpan(0, n);
        DenseProducts.Rows(pairs.Difference, rows, weights.AsSpan(0, d), d, margin);
        Forward(pairs.Audited, rows, input, offset, output, 0);
        Forward(pairs.Base, rows, input, offset, output, n);

        // dL/dm for the base, dL/dR_c of both sides for the correction.
        var quiet = 0;
        for (var i = 0; i < n; i++)
            quiet += IsFailing(rows[i]) || !isRouted ? 0 : 1;
        double sum = 0, routed = 0;
        for (var i = 0; i < n; i++)
        {
            var isFailing = IsFailing(rows[i]);
            var m = margin[i] + outputs[i] - outputs[n + i];
            var (own, factor) = isFailing ? (Failures!.Objective, Failures.Weight) : (objective, 1.0); // failing: there are failures
            var loss = factor * own.Loss(m) / n;
            sum += loss;
            margin[i] = factor * own.Slope(m) / n;
            if (isFailing || !isRouted)
            {
                (factors[i], factors[n + i]) = (margin[i], -margin[i]);
                routed += loss;
            }
            else
            {
                (factors[i], factors[n + i]) = (2 * mu * outputs[i] / quiet, 2 * mu * outputs[n + i] / quiet);
                routed += mu * (outputs[i] * outputs[i] + outputs[n + i] * outputs[n + i]) / quiet;
            }
        }
        RoutedLoss = routed;

        Array.Clear(gradient);
        DenseProducts.AddRows(pairs.Difference, rows, margin, gradient.AsSpan(0, d));
        Backward(pairs.Audited, rows, output, gradient, 0);
        Backward(pairs.Base, rows, output, gradient, n);
        return sum;
    }

    private bool IsFailing(int row) => Failures?.IsFailing[row] ?? false;

    // tanh(W z + b) and R_c of one side's completions; they stand from `at` on.
    private void Forward(double[] z, ReadOnlySpan<int> rows, ReadOnlySpan<double> input, ReadOnlySpan<double> offset, ReadOnlySpan<double> output, int at)
    {
        DenseProducts.Rows(z, rows, input, d, states.AsSpan(at * hidden, rows.Length * hidden));
        for (var i = at; i < at + rows.Length; i++)
        {
            var state = states.AsSpan(i * hidden, hidden);
            TensorPrimitives.Add(state, offset, state);
            TensorPrimitives.Tanh<double>(state, state);
            outputs[i] = TensorPrimitives.Dot<double>(state, output);
        }
    }

    private void Backward(double[] z, ReadOnlySpan<int> rows, ReadOnlySpan<double> output, double[] gradient, int at)
    {
        var offset = gradient.AsSpan(d + hidden * d, hidden);
        var last = gradient.AsSpan(gradient.Length - hidden, hidden);
        for (var i = 0; i < rows.Length; i++)
            Deltas(factors[at + i], states.AsSpan((at + i) * hidden, hidden), output, deltas.AsSpan(i * hidden, hidden), offset, last);
        DenseProducts.AddRowsToAll(z, rows, deltas.AsSpan(0, rows.Length * hidden), d, gradient.AsSpan(d, hidden * d));
    }

    // δ = f v (1 − h²) of one completion; adds δ to b's gradient and f h to v's. Products and sums apart, in vectors as one by one.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Deltas(double factor, ReadOnlySpan<double> state, ReadOnlySpan<double> output, Span<double> delta, Span<double> offset, Span<double> last)
    {
        var k = 0;
        for (; k <= state.Length - Vector<double>.Count; k += Vector<double>.Count)
        {
            var h = new Vector<double>(state[k..]);
            var own = new Vector<double>(output[k..]) * factor * (Vector<double>.One - h * h);
            own.CopyTo(delta[k..]);
            (new Vector<double>(offset[k..]) + own).CopyTo(offset[k..]);
            (new Vector<double>(last[k..]) + h * factor).CopyTo(last[k..]);
        }
        for (; k < state.Length; k++)
        {
            delta[k] = factor * output[k] * (1 - state[k] * state[k]);
            offset[k] += delta[k];
            last[k] += factor * state[k];
        }
    }

    private void Reserve(int rows)
    {
        if (margins.Length >= rows)
            return;
        (margins, factors, states, outputs, deltas) = (new double[rows], new double[2 * rows], new double[2 * rows * hidden], new double[2 * rows], new double[rows * hidden]);
    }
}
