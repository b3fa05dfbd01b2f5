using Portal.Engine.Statistics;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Portal.Engine.Influence;

/// <summary>A point as a convex combination of rows, as near to it as they allow.</summary>
/// <param name="Rows">Rows with a weight, the largest weight first; equal weights by row. At least one.</param>
/// <param name="Weights">ω > 0 of them; their sum is 1.</param>
/// <param name="Residual">‖Σ ω_i v_i − q‖.</param>
/// <param name="Gap">No combination has an objective lower by more than this: the certificate of the solution.</param>
/// <param name="Cycles">Times a row entered.</param>
public sealed record ConvexCombination(IReadOnlyList<int> Rows, IReadOnlyList<double> Weights, double Residual, double Gap, int Cycles);

/// <summary>How a projection is made.</summary>
public sealed record SimplexOptions
{
    /// <summary>μ ≥ 0: 0 is the projection onto the convex hull; the larger it is, the nearer to the point the rows must lie; towards infinity one row is left, the nearest.</summary>
    public double Locality { get; init; }

    /// <summary>The gap, as a share of the squared distance to the nearest row, at which a solution is good enough.</summary>
    public double Tolerance { get; init; } = 1e-6;

    /// <summary>Rows with a weight, at most: at least 1.</summary>
    public int SupportMax { get; init; } = int.MaxValue;

    /// <summary>Times a row may enter, at most.</summary>
    public int CyclesMax { get; init; } = 5_000;
}

/// <summary>
/// Which rows, mixed, come nearest to a point, and near to which the rows themselves lie: the explanation of a response by comparisons.
/// <code>min over ω ≥ 0, Σω = 1 of  ½ ‖Σ ω_i v_i − q‖²  +  (μ/2) Σ ω_i ‖v_i − q‖²</code>
/// </summary>
/// <remarks>
/// Wolfe's active set: the row with the steepest descent enters, the minimum over the affine hull of the active rows is taken, and rows whose weight would fall below 0 leave on the way there. The objective falls with each
/// cycle and no active set comes twice, so it ends at the optimum; the Frank-Wolfe gap says how near it is.
/// Departures from the textbook: most rows can never enter, so the cycles run on a few hundred rows that look promising, and all rows are looked at only when those have nothing left to offer (a handful of passes over the
/// data instead of one a cycle); the gap is over all rows either way. The matrix of the active rows is kept as a root that grows and shrinks, plus s·11ᵀ, which changes nothing where Σω = 1 and makes it definite.
/// Ties go to the lowest row, sums do not depend on threads: the same answer on every run. Source: specs/xrlhf.md §1.4 eq. (4) and Appendix A; Wolfe 1976. Checked against projected gradients, KKT and closed forms.
/// </remarks>
public static class SimplexProjection
{
    /// <summary>Rows that join the promising ones at a time.</summary>
    private const int JoinAtOnce = 256;

    /// <summary>Weights up to this are none.</summary>
    private const double WeightMin = 1e-12;

    /// <summary>Projects a point.</summary>
    /// <param name="rows">v, at least one.</param>
    /// <param name="query">q, finite. [d].</param>
    /// <param name="among">Rows that may have a weight, each once, any order; null: all.</param>
    /// <exception cref="ArgumentException">No rows, another width, a number that is not finite, or an option out of range.</exception>
    public static ConvexCombination Project(FeatureRows rows, ReadOnlySpan<double> query, SimplexOptions options, CancellationToken stop, IReadOnlyList<int>? among = null)
    {
        if (query.Length != rows.Width)
            throw new ArgumentException($"The query has {query.Length} numbers, the rows {rows.Width}.", nameof(query));
        if (!double.IsFinite(TensorPrimitives.SumOfSquares(query)))
            throw new ArgumentException("The query holds a number that is not finite.", nameof(query));
        if ((among?.Count ?? rows.Count) == 0)
            throw new ArgumentException("There are no rows to explain with.", nameof(rows));
        if (!(options.Locality >= 0 && double.IsFinite(options.Locality)) || !(options.Tolerance >= 0) || options.SupportMax < 1 || options.CyclesMax < 1)
            throw new ArgumentException($"Locality {options.Locality} and tolerance {options.Tolerance} must be at least 0, rows {options.SupportMax} and cycles {options.CyclesMax} at least 1.", nameof(options));
        return new Solver(rows, query.ToArray(), options, among).Run(stop);
    }

    private sealed class Solver(FeatureRows rows, double[] q, SimplexOptions options, IReadOnlyList<int>? among)
    {
        private readonly double mu = options.Locality;
        private readonly int d = rows.Width;
        private readonly double[] scores = new double[rows.Count];
        private readonly double[] cost = new double[rows.Count]; // c_i = ‖v_i − q‖²
        private readonly bool[] joined = new bool[rows.Count];

        // The promising rows: their numbers, p_i = v_i − q one after the other, and c_i.
        private readonly List<int> promising = [];
        private double[] points = [];
        private readonly List<double> costs = [];

        // The active ones among them: places in the list above, weights, and the root of P Pᵀ + s·11ᵀ.
        private readonly List<int> active = [];
        private readonly List<double> weights = [];
        private readonly GrowingCholesky root = new();
        private double shift, scale;
        private int cycles;

        public ConvexCombination Run(CancellationToken stop)
        {
            var qq = TensorPrimitives.SumOfSquares<double>(q);
            Score(q);
            foreach (var row in Candidates())
                cost[row] = Math.Max(0, rows.Squares[row] - 2 * scores[row] + qq);
            var nearest = Nearest(qq);
            Join([nearest]);
            (scale, shift) = (Math.Max(costs[0] * (1 + mu), 1e-300), Math.Max(rows.Squares[nearest] + qq, 1e-300));
            Activate(0, 1);

            while (true)
            {
                stop.ThrowIfCancellationRequested();
                var x = Offset();
                // g_i = ⟨p_i, x⟩ + μ/2 c_i, and its mean under the weights: what any row could do, and what these do.
                Score(x);
                var xq = TensorPrimitives.Dot<double>(x, q);
                var current = Current(x);
                var (best, gap) = Promising(xq, current);
                if (gap <= options.Tolerance * scale || best.Count == 0 || active.Count >= options.SupportMax || cycles >= options.CyclesMax)
                    return Result(x, Math.Max(0, gap));
                Join(best);
                if (!Cycle(current, stop))
                    return Result(Offset(), Math.Max(0, gap)); // nothing moves any more at this precision
            }
        }

        private IEnumerable<int> Candidates() => among ?? Enumerable.Range(0, rows.Count);

        private void Score(double[] x)
        {
            if (among is null)
            {
                rows.Products(x, scores);
                return;
            }
            foreach (var row in among)
                scores[row] = FeatureRows.Product(rows[row], x);
        }

        /// <summary>The nearest row, ties to the lowest: where rounding could decide, distances are taken again without its help.</summary>
        private int Nearest(double qq)
        {
            var least = Candidates().Min(row => cost[row]);
            var (nearest, nearestCost) = (-1, double.PositiveInfinity);
            var p = new double[d];
            foreach (var row in Candidates().Where(row => cost[row] <= least + 1e-9 * (rows.Squares[row] + qq)).Order())
            {
                rows.CopyTo(row, q, p);
                cost[row] = TensorPrimitives.SumOfSquares<double>(p);
                if (cost[row] < nearestCost)
                    (nearest, nearestCost) = (row, cost[row]);
            }
            return nearest;
        }

        /// <summary>The rows that promise most of those not yet among the promising ones, and the gap over all rows.</summary>
        private (List<int> Best, double Gap) Promising(double xq, double current)
        {
            var least = double.PositiveInfinity;
            foreach (var row in Candidates())
            {
                var g = scores[row] - xq + mu / 2 * cost[row];
                scores[row] = g;
                least = Math.Min(least, g);
            }
            var limit = current - options.Tolerance * scale / 2;
            var best = new PriorityQueue<int, (double, int)>(); // the worst of the best first
            foreach (var row in Candidates())
            {
                if (joined[row] || scores[row] >= limit)
                    continue;
                if (best.Count < JoinAtOnce)
                    best.Enqueue(row, (-scores[row], -row));
                else
                    best.EnqueueDequeue(row, (-scores[row], -row));
            }
            var found = best.UnorderedItems.Select(item => item.Element).ToList();
            found.Sort();
            return (found, current - least);
        }

        private void Join(IReadOnlyList<int> more)
        {
            var count = promising.Count;
            if (points.Length < (count + more.Count) * d)
                Array.Resize(ref points, Math.Max(2 * points.Length, (count + more.Count) * d));
            foreach (var row in more)
            {
                joined[row] = true;
                promising.Add(row);
                var p = points.AsSpan(count++ * d, d);
                rows.CopyTo(row, q, p);
                costs.Add(TensorPrimitives.SumOfSquares<double>(p));
                cost[row] = costs[^1];
            }
        }

        /// <summary>Wolfe's cycles on the promising rows, until none of them would lower the objective.</summary>
        /// <returns>Whether anything entered.</returns>
        private bool Cycle(double current, CancellationToken stop)
        {
            var entered = false;
            var all = Enumerable.Range(0, promising.Count).ToArray();
            var g = new double[all.Length];
            while (active.Count < options.SupportMax && cycles < options.CyclesMax)
            {
                stop.ThrowIfCancellationRequested();
                var x = Offset();
                if (entered)
                    current = Current(x);
                DenseProducts.Rows(points, all, x, d, g);
                var best = -1;
                for (var i = 0; i < g.Length; i++)
                {
                    g[i] += mu / 2 * costs[i];
                    if (best < 0 || g[i] < g[best] || (g[i] == g[best] && promising[i] < promising[best]))
                        best = i;
                }
                if (current - g[best] <= options.Tolerance * scale / 4 || active.Contains(best))
                    break;
                Activate(best, 0);
                entered = true;
                cycles++;
                ToAffineMinimum();
            }
            return entered;
        }

        private void Activate(int place, double weight)
        {
            var p = points.AsSpan(place * d, d);
            var products = new double[active.Count];
            for (var i = 0; i < products.Length; i++)
                products[i] = TensorPrimitives.Dot<double>(p, points.AsSpan(active[i] * d, d)) + shift;
            root.Add(products, costs[place] + shift, 1e-13 * shift);
            active.Add(place);
            weights.Add(weight);
        }

        /// <summary>Moves the weights towards the minimum over the affine hull of the active rows; rows that would fall below 0 leave on the way.</summary>
        private void ToAffineMinimum()
        {
            while (true)
            {
                var target = AffineMinimum();
                if (target.All(weight => weight > WeightMin))
                {
                    for (var i = 0; i < target.Length; i++)
                        weights[i] = target[i];
                    break;
                }
                var share = 1.0;
                for (var i = 0; i < target.Length; i++)
                {
                    if (target[i] <= WeightMin && weights[i] > target[i])
                        share = Math.Min(share, weights[i] / (weights[i] - target[i]));
                }
                var (least, before) = (0, active.Count);
                for (var i = 0; i < target.Length; i++)
                {
                    weights[i] = Math.Max(0, (1 - share) * weights[i] + share * target[i]);
                    if (weights[i] < weights[least])
                        least = i;
                }
                weights[least] = 0; // rounding may leave a crumb of the one that should leave
                for (var i = active.Count - 1; i >= 0 && active.Count > 1; i--)
                {
                    if (weights[i] > WeightMin)
                        continue;
                    active.RemoveAt(i);
                    weights.RemoveAt(i);
                    root.RemoveAt(i);
                }
                if (active.Count == before)
                    break; // one is left, and it has all the weight
            }
            var sum = weights.Sum();
            for (var i = 0; i < weights.Count; i++)
                weights[i] /= sum;
        }

        private double[] AffineMinimum()
        {
            var ones = new double[active.Count];
            Array.Fill(ones, 1);
            var a = root.Solve(ones);
            if (mu == 0)
            {
                TensorPrimitives.Divide<double>(a, a.Sum(), a);
                return a;
            }
            var b = root.Solve([.. active.Select(place => costs[place])]);
            var nu = (1 + mu / 2 * b.Sum()) / a.Sum();
            for (var i = 0; i < a.Length; i++)
                a[i] = nu * a[i] - mu / 2 * b[i];
            return a;
        }

        /// <summary>x = Σ ω_i p_i. [d].</summary>
        private double[] Offset()
        {
            var x = new double[d];
            DenseProducts.AddRows(points, [.. active], [.. weights], x);
            return x;
        }

        private double Current(double[] x)
        {
            var sum = TensorPrimitives.SumOfSquares<double>(x);
            for (var i = 0; i < active.Count; i++)
                sum += mu / 2 * weights[i] * costs[active[i]];
            return sum;
        }

        private ConvexCombination Result(double[] x, double gap)
        {
            if (active.Count > d + 1)
            {
                Caratheodory.Reduce(points, d, active, weights, costs);
                x = Offset();
            }
            int[] order = [.. Enumerable.Range(0, active.Count).Where(i => weights[i] > 0).OrderByDescending(i => weights[i]).ThenBy(i => promising[active[i]])];
            return new ConvexCombination([.. order.Select(i => promising[active[i]])], [.. order.Select(i => weights[i])], Math.Sqrt(TensorPrimitives.SumOfSquares<double>(x)), gap, cycles);
        }
    }
}
