using Portal.Engine.Statistics;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Portal.Engine.Influence;

/// <summary>
/// Scores of every pair for a query, from the head's loss and its curvature: made once for a reward model, then a few passes over the rows a query.
/// <code>
/// influence_i   = w_i (1 − σ_i) qᵀ H⁻¹ Δφ_i / W          what the pair adds to θ·q; without it the reward is lower by so much (to first order)
/// representer_i = w_i (1 − σ_i) ⟨Δφ_i, q⟩ / (λ W)        Σ over all pairs is θ·q at the head's optimum
/// TRAK-linear_i = (1 − σ_i) qᵀ (ΦᵀΦ + εI)⁻¹ Δφ_i
/// </code>
/// </summary>
/// <remarks>
/// Exact first order for a linear head on features that do not move; that training moved the features as well is no part of it. d³/6 and n d² multiplications once, n d a query.
/// Source: specs/xrlhf.md §4.1; Koh and Liang 2017 (influence), Yeh et al. 2018 (representer), Park et al. 2023 (TRAK). Checked against leaving pairs out and training again, and the representer identity.
/// </remarks>
public sealed class PairInfluence
{
    private readonly PairHead head;
    private readonly double[] curvatureSum; // Σ w_i σ_i (1 − σ_i) Δφ_i Δφ_iᵀ, the lower triangle
    private readonly double[] pullSum; // −Σ w_i (1 − σ_i) Δφ_i
    private readonly Cholesky curvature;
    private readonly Lazy<Cholesky> gram;
    private readonly double[] slack;

    /// <param name="head">The pairs the model was trained on, each as it was judged there.</param>
    /// <param name="theta">Its head. [d].</param>
    /// <exception cref="ArgumentException">A pair has votes for its other side.</exception>
    public PairInfluence(PairHead head, double[] theta, CancellationToken stop)
    {
        if (head.Against.Any(votes => votes > 0))
            throw new ArgumentException("A pair was turned round; give the head the pairs as they are now.", nameof(head));
        (this.head, Theta) = (head, [.. theta]);
        Margins = head.Margins(Theta);
        slack = [.. Margins.Select((margin, i) => head.Counts[i] * PairHead.Slack(margin))];
        curvatureSum = head.WeightedGram([.. Margins.Select((margin, i) => head.Counts[i] * PairHead.Curvature(margin))], 0, stop);
        pullSum = head.Rows.Sum([.. slack.Select(s => -s)]);
        curvature = Cholesky.Factor(Scaled(curvatureSum, head.Total), head.Rows.Width);
        gram = new Lazy<Cholesky>(() =>
        {
            // A millionth of the mean diagonal keeps directions that no pair has from deciding.
            var ones = head.Counts.Select(count => count > 0 ? 1.0 : 0).ToArray();
            var plain = head.WeightedGram(ones, 0, stop);
            var ridge = 1e-6 * Enumerable.Range(0, head.Rows.Width).Average(j => plain[(long)j * head.Rows.Width + j]);
            for (var j = 0; j < head.Rows.Width; j++)
                plain[(long)j * head.Rows.Width + j] += Math.Max(ridge, double.Epsilon);
            return Cholesky.Factor(plain, head.Rows.Width);
        });
    }

    /// <summary>At the optimum of the head's loss: what explanations, previews and removals are worked out from.</summary>
    /// <param name="start">Where the fit begins, the model's own head where it has one; null for zero. [d].</param>
    public static PairInfluence AtOptimum(PairHead head, IReadOnlyList<float>? start, CancellationToken stop) =>
        new(head, head.Fit(stop, start is null ? null : [.. start.Select(weight => (double)weight)], 1e-8).Weights, stop);

    /// <summary>θ. [d].</summary>
    public double[] Theta { get; }

    /// <summary>m_i = θ · Δφ_i of every pair. [n].</summary>
    public double[] Margins { get; }

    /// <summary>Influence of every pair on θ·q. [n].</summary>
    public double[] Influence(double[] query) => Weighted(curvature.Solve(query), 1 / head.Total);

    /// <summary>Representer values of every pair for q. [n].</summary>
    public double[] Representer(double[] query) => Weighted(query, 1 / (head.L2 * head.Total));

    /// <summary>TRAK with linear features, of every pair for q. [n].</summary>
    public double[] TrakLinear(double[] query) => Weighted(gram.Value.Solve(query), 1);

    /// <summary>−‖Δφ_i − q‖ of every pair. [n].</summary>
    public double[] Nearness(double[] query)
    {
        var scores = Products(query);
        var qq = TensorPrimitives.SumOfSquares<double>(query);
        for (var i = 0; i < scores.Length; i++)
            scores[i] = -Math.Sqrt(Math.Max(0, head.Rows.Squares[i] - 2 * scores[i] + qq));
        return scores;
    }

    /// <summary>Cosine of Δφ_i and q; 0 where either is 0. [n].</summary>
    public double[] Cosine(double[] query)
    {
        var scores = Products(query);
        var length = PairHead.Norm(query);
        for (var i = 0; i < scores.Length; i++)
        {
            var size = Math.Sqrt(head.Rows.Squares[i]) * length;
            scores[i] = size > 0 ? scores[i] / size : 0;
        }
        return scores;
    }

    /// <summary>
    /// The change of θ that leaving some pairs out would make, to first order: −H⁻¹ Σ_S w_j (1 − σ_j) Δφ_j / W. What a preview shows in less than a second.
    /// </summary>
    /// <param name="change">Other than leaving out: of pairs turned round −H⁻¹ Σ_S w_j Δφ_j / W, of pairs that count less that share of the first.</param>
    /// <returns>[d].</returns>
    public double[] ChangeWithout(VoteChange change)
    {
        var factors = new double[head.Rows.Count];
        foreach (var row in change.Rows)
            factors[row] = -change.PullLost(row, head.Counts[row], slack[row]) / head.Total;
        return curvature.Solve(head.Rows.Sum(factors));
    }

    /// <summary>
    /// The head after one Newton step on the pairs that are left, from sums that are kept: nothing is read but the pairs that go. On θ's own optimum this is what
    /// removing them does, to second order; a removal that is kept makes a second step (<c>Unlearning/NewtonRemoval</c>).
    /// </summary>
    /// <returns>θ. [d].</returns>
    /// <exception cref="ArgumentException">No pair would be left.</exception>
    public double[] NewtonWithout(VoteChange change)
    {
        var d = head.Rows.Width;
        var total = head.Total - change.Rows.Sum(row => change.VotesLost(row) * head.Counts[row]);
        if (!(total > 1e-9 * head.Total))
            throw new ArgumentException($"No pair would be left of {head.Rows.Count}.", nameof(change));
        double[] left = [.. curvatureSum], pull = [.. pullSum];
        var v = new double[d];
        foreach (var row in change.Rows)
        {
            head.Rows.CopyTo(row, [], v);
            var bend = change.VotesLost(row) * head.Counts[row] * PairHead.Curvature(Margins[row]);
            for (var j = 0; bend > 0 && j < d; j++)
                TensorPrimitives.MultiplyAdd(v.AsSpan(0, j + 1), -bend * v[j], left.AsSpan(j * d, j + 1), left.AsSpan(j * d, j + 1));
            TensorPrimitives.MultiplyAdd(v, change.PullLost(row, head.Counts[row], slack[row]), pull, pull);
        }
        var gradient = new double[d];
        for (var j = 0; j < d; j++)
            gradient[j] = pull[j] / total + head.L2 * Theta[j];
        var step = Cholesky.Factor(Scaled(left, total), d).Solve(gradient);
        TensorPrimitives.Subtract<double>(Theta, step, step);
        return step;
    }

    /// <summary>H from a sum over pairs: divided by their votes, the penalty added. A copy.</summary>
    private double[] Scaled(double[] sum, double total)
    {
        var hessian = new double[sum.Length];
        TensorPrimitives.Divide(sum, total, hessian);
        for (var j = 0; j < head.Rows.Width; j++)
            hessian[j * head.Rows.Width + j] += head.L2;
        return hessian;
    }

    private double[] Weighted(double[] direction, double factor)
    {
        var scores = Products(direction);
        for (var i = 0; i < scores.Length; i++)
            scores[i] *= factor * slack[i];
        return scores;
    }

    private double[] Products(double[] x)
    {
        var products = new double[head.Rows.Count];
        head.Rows.Products(x, products);
        return products;
    }
}
