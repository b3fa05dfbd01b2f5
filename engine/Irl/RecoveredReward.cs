using Portal.Engine.Statistics;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Portal.Engine.Irl;

/// <summary>A small network on top of the linear reward. R_c(z) = v · tanh(W z + b).</summary>
/// <param name="Input">W, row by row. [h · d].</param>
/// <param name="Offset">b, [h].</param>
/// <param name="Output">v, [h]; all 0: the correction is silent.</param>
public sealed record CorrectionPath(double[] Input, double[] Offset, double[] Output)
{
    /// <summary>h.</summary>
    public int Hidden => Output.Length;
}

/// <summary>
/// A reward that was recovered from pairs: linear in standardised features, with or without a correction.
/// <code>R(o) = R_b(o) + λ R_c(o)      R_b(o) = θ · z      R_c(o) = v · tanh(W z + b)</code>
/// </summary>
/// <param name="Theta">θ, [d].</param>
/// <param name="Correction">Null: none, R = R_b.</param>
/// <param name="Lambda">λ; 1 as trained, 0 for the base alone.</param>
/// <remarks>
/// Pairs fix neither offset nor scale: compare rewards by what is invariant to both (<see cref="RewardDistance"/>, ranks), never their values. How the paper combines its two paths is not known;
/// the sum is our reading of "correction component". Source: specs/fairl.md §1.3.
/// </remarks>
public sealed record RecoveredReward(double[] Theta, CorrectionPath? Correction = null, double Lambda = 1)
{
    /// <summary>d.</summary>
    public int Width => Theta.Length;

    /// <summary>R of one completion's z. [d].</summary>
    public double Score(ReadOnlySpan<double> z) => Base(z) + Lambda * Corrected(z);

    /// <summary>R_b alone.</summary>
    public double Base(ReadOnlySpan<double> z) => TensorPrimitives.Dot(Theta, z);

    /// <summary>R_c alone; 0 without a correction.</summary>
    public double Corrected(ReadOnlySpan<double> z)
    {
        if (Correction is not { } path)
            return 0;
        var sum = 0.0;
        for (var k = 0; k < path.Hidden; k++)
            sum += path.Output[k] * Math.Tanh(TensorPrimitives.Dot(path.Input.AsSpan(k * Width, Width), z) + path.Offset[k]);
        return sum;
    }

    /// <summary>R of many completions.</summary>
    /// <param name="z">Row by row. [n · d].</param>
    public double[] Scores(double[] z)
    {
        var scores = BaseScores(z);
        if (Correction is { } path && Lambda != 0)
        {
            var (n, h) = (scores.Length, path.Hidden);
            var hidden = new double[n * h];
            DenseProducts.Rows(z, Order(n), path.Input, Width, hidden);
            for (var i = 0; i < n; i++)
            {
                var row = hidden.AsSpan(i * h, h);
                TensorPrimitives.Add(row, path.Offset, row);
                TensorPrimitives.Tanh<double>(row, row);
                scores[i] += Lambda * TensorPrimitives.Dot<double>(row, path.Output);
            }
        }
        return scores;
    }

    /// <summary>R(o⁺) − R(o⁻) of each pair. [n].</summary>
    public double[] Margins(PairMatrix pairs)
    {
        if (Correction is null || Lambda == 0)
            return BaseMargins(pairs);
        var margins = Scores(pairs.Audited);
        TensorPrimitives.Subtract(margins, Scores(pairs.Base), margins);
        return margins;
    }

    /// <summary>R_b(o⁺) − R_b(o⁻) of each pair. [n].</summary>
    public double[] BaseMargins(PairMatrix pairs) => BaseScores(pairs.Difference);

    private double[] BaseScores(double[] z)
    {
        var scores = new double[z.Length / Width];
        DenseProducts.Rows(z, Order(scores.Length), Theta, Width, scores);
        return scores;
    }

    private static int[] Order(int count) => [.. Enumerable.Range(0, count)];
}
