using Portal.Engine.Statistics;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Portal.Engine.Irl;

/// <summary>A weight in logits per feature deviation, and its standard error.</summary>
internal readonly record struct FeatureEffect(double Weight, double Error);

/// <summary>All features in one model.</summary>
/// <param name="Vif">[d].</param>
/// <param name="Shares">Of Σ margin², [d].</param>
internal sealed record JointEffects(IReadOnlyList<FeatureEffect> Effects, double[] Vif, double[] Shares);

/// <summary>The regressions behind an <see cref="IncentiveTable"/>: all features together, each alone, each beside the length.</summary>
internal sealed class IncentiveFits
{
    private const double Collinear = 1e-9; // keeps the inverse of a singular correlation matrix finite: a VIF of a thousand million means "the same thing"

    private readonly ColumnMatrix design;
    private readonly double precision, heldPrecision;
    private readonly int[][] byPrompt;
    private readonly LogisticNewton single, pair, all;

    /// <param name="precision">Of each weight's prior.</param>
    /// <param name="heldPrecision">Of the prior of a feature that is only held.</param>
    public IncentiveFits(ColumnMatrix design, IReadOnlyList<string> prompts, double precision, double heldPrecision)
    {
        (this.design, this.precision, this.heldPrecision) = (design, precision, heldPrecision);
        byPrompt = [.. prompts.Index().GroupBy(entry => entry.Item, entry => entry.Index, StringComparer.Ordinal).Select(group => group.ToArray())];
        (single, pair, all) = (new LogisticNewton(design.Rows, 1), new LogisticNewton(design.Rows, 2), new LogisticNewton(design.Rows, design.Columns));
    }

    /// <summary>How often each pair counts in a resample of prompts. [n].</summary>
    public double[] Resample(SeededRandom random)
    {
        var counts = new double[design.Rows];
        for (var i = 0; i < byPrompt.Length; i++)
        {
            foreach (var row in byPrompt[random.NextInt(byPrompt.Length)])
                counts[row]++;
        }
        return counts;
    }

    /// <summary>Each feature alone, or beside one that is held.</summary>
    /// <param name="held">Column of the one that is held, whose own entry is its effect alone; null: none.</param>
    /// <param name="counts">[n]; empty: once each.</param>
    public IReadOnlyList<FeatureEffect> Each(int? held, double[] counts, CancellationToken stop)
    {
        var (alone, both) = (new ColumnMatrix(design.Rows, 1), new ColumnMatrix(design.Rows, 2));
        if (held is { } beside)
            design.Column(beside).CopyTo(both.Column(1));
        var effects = new FeatureEffect[design.Columns];
        for (var k = 0; k < effects.Length; k++)
        {
            var own = held is null || k == held ? alone : both;
            design.Column(k).CopyTo(own.Column(0));
            effects[k] = own == alone ? Effects(single, alone, [precision], counts, stop)[0] : Effects(pair, both, [precision, heldPrecision], counts, stop)[0];
        }
        return effects;
    }

    /// <summary>All features in one model.</summary>
    public JointEffects Joint(CancellationToken stop)
    {
        var effects = Effects(all, design, Precisions(), [], stop);
        var d = design.Columns;
        double[] weights = [.. effects.Select(effect => effect.Weight)], margins = new double[design.Rows], gram = new double[d * d];
        design.Multiply(weights, margins);
        var square = TensorPrimitives.SumOfSquares<double>(margins);
        var shares = new double[d];
        for (var k = 0; k < d; k++)
            shares[k] = square > 0 ? weights[k] * TensorPrimitives.Dot<double>(design.Column(k), margins) / square : 0;

        DenseProducts.Gram(design, [], gram, new double[4 * (design.Rows + d)]);
        double[] scale = [.. Enumerable.Range(0, d).Select(k => Math.Sqrt(gram[k * d + k]))];
        for (var j = 0; j < d; j++)
        {
            for (var k = 0; k < j; k++)
                gram[j * d + k] /= scale[j] * scale[k];
            gram[j * d + j] = 1 + Collinear;
        }
        return new JointEffects(effects, Cholesky.Factor(gram, d).InverseDiagonal(), shares);
    }

    /// <summary>The weights of all features on a resample. [d].</summary>
    public double[] JointWeights(double[] counts, double[] start, CancellationToken stop) => all.Fit(design, Precisions(), [], counts, 1, start, stop, tolerance: 1e-6).Weights;

    private double[] Precisions() => [.. Enumerable.Repeat(precision, design.Columns)];

    private FeatureEffect[] Effects(LogisticNewton newton, ColumnMatrix features, double[] precisions, double[] counts, CancellationToken stop)
    {
        var posterior = newton.Fit(features, precisions, [], counts, 1, [], stop);
        double[] variances = posterior.Precision.InverseDiagonal();
        if (counts.Length == 0 && byPrompt.Length < design.Rows)
        {
            var sandwich = Sandwich(features, posterior);
            for (var k = 0; k < variances.Length; k++)
                variances[k] = Math.Max(variances[k], sandwich[k]);
        }
        return [.. posterior.Weights.Zip(variances, (weight, variance) => new FeatureEffect(weight, Math.Sqrt(variance)))];
    }

    // Variances that allow pairs of one prompt to go together: Σ_prompts (H⁻¹ Σ_i (1 − p_i) x_i)², with G/(G − 1).
    private double[] Sandwich(ColumnMatrix features, LogisticPosterior posterior)
    {
        var (margins, variances, score) = (new double[features.Rows], new double[features.Columns], new double[features.Columns]);
        features.Multiply(posterior.Weights, margins);
        foreach (var rows in byPrompt)
        {
            for (var k = 0; k < score.Length; k++)
            {
                var column = features.Column(k);
                score[k] = 0;
                foreach (var row in rows)
                    score[k] += column[row] / (1 + Math.Exp(margins[row]));
            }
            var influence = posterior.Precision.Solve(score);
            for (var k = 0; k < variances.Length; k++)
                variances[k] += influence[k] * influence[k];
        }
        var factor = byPrompt.Length > 1 ? byPrompt.Length / (byPrompt.Length - 1.0) : 1;
        return [.. variances.Select(variance => factor * variance)];
    }
}
