using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Portal.Engine.Influence;

/// <summary>
/// The decomposition as its paper words it: project the point onto the hull, then take the nearest rows one after the other until the projection lies in their hull. For comparison runs; where the point lies outside the hull
/// it has the rows of <see cref="SimplexProjection"/>.
/// </summary>
/// <remarks>Source: XRLHF (2512.13837) Algorithm 1 as reconstructed in specs/xrlhf.md §1.4 ("paper-literal mode"); the bottleneck form of §1.3 (b), by bisection.</remarks>
public static class PaperProjection
{
    /// <param name="residualShare">ε: the projection counts as reached within ε‖q‖.</param>
    public static ConvexCombination Project(FeatureRows rows, ReadOnlySpan<double> query, CancellationToken stop, double residualShare = 1e-4)
    {
        var q = query.ToArray();
        var options = new SimplexOptions { Tolerance = 1e-10 };
        var whole = SimplexProjection.Project(rows, q, options, stop);
        var z = Mixture(rows, whole);
        var p = new double[rows.Width];
        var distances = new double[rows.Count];
        for (var row = 0; row < rows.Count; row++)
        {
            rows.CopyTo(row, z, p);
            distances[row] = TensorPrimitives.SumOfSquares<double>(p);
        }
        int[] nearest = [.. Enumerable.Range(0, rows.Count).OrderBy(row => distances[row]).ThenBy(row => row)];
        var enough = residualShare * PairHead.Norm(q);
        // Whether the first k reach it never changes back as k grows.
        var (low, high) = (1, nearest.Length);
        while (low < high)
        {
            var middle = low + (high - low) / 2;
            if (SimplexProjection.Project(rows, z, options, stop, nearest[..middle]).Residual <= enough)
                high = middle;
            else
                low = middle + 1;
        }
        var inside = SimplexProjection.Project(rows, z, options with { Locality = 1e-6 }, stop, nearest[..high]);
        // What is stored is how far the mixture is from the query, not from its projection.
        var apart = Mixture(rows, inside);
        TensorPrimitives.Subtract<double>(apart, q, apart);
        return inside with { Residual = PairHead.Norm(apart), Gap = whole.Gap };
    }

    private static double[] Mixture(FeatureRows rows, ConvexCombination combination)
    {
        var mixture = new double[rows.Width];
        var row = new double[rows.Width];
        for (var i = 0; i < combination.Rows.Count; i++)
        {
            rows.CopyTo(combination.Rows[i], [], row);
            TensorPrimitives.MultiplyAdd<double>(row, combination.Weights[i], mixture, mixture);
        }
        return mixture;
    }
}
