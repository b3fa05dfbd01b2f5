namespace Portal.Engine.Influence;

/// <summary>
/// Fewer rows with the same mean: a point in the convex hull of rows of d numbers is a combination of at most d + 1 of them (Carathéodory's theorem).
/// </summary>
/// <remarks>
/// While there are more, d + 2 of them have coefficients c ≠ 0 with Σ c_i = 0 and Σ c_i v_i = 0; moving the weights along c changes no mean until one of them is 0. Of the two ways to go, the one that
/// does not raise Σ ω_i ‖v_i − q‖² is taken. (d + 2)·(d + 1)² multiplications a row that leaves. Source: specs/xrlhf.md §1.4.
/// </remarks>
internal static class Caratheodory
{
    /// <summary>Takes rows away until at most d + 1 are left.</summary>
    /// <param name="points">Row after row. [· d].</param>
    /// <param name="active">Which of them have a weight; shortened.</param>
    /// <param name="weights">ω ≥ 0, as <paramref name="active"/>; shortened.</param>
    /// <param name="costs">What a unit of weight costs, by row of <paramref name="points"/>: the sum does not grow.</param>
    public static void Reduce(ReadOnlySpan<double> points, int d, List<int> active, List<double> weights, IReadOnlyList<double> costs)
    {
        while (active.Count > d + 1)
        {
            var c = Dependence(points, d, active);
            var price = 0.0;
            for (var i = 0; i < c.Length; i++)
                price += c[i] * costs[active[i]];
            // ω − t c with t > 0 lowers the cost where the price is positive.
            var sign = price < 0 ? -1 : 1;
            var (step, leaves) = (double.PositiveInfinity, -1);
            for (var i = 0; i < c.Length; i++)
            {
                if (sign * c[i] > 0 && weights[i] / (sign * c[i]) < step)
                    (step, leaves) = (weights[i] / (sign * c[i]), i);
            }
            for (var i = 0; i < c.Length; i++)
                weights[i] = Math.Max(0, weights[i] - step * sign * c[i]);
            active.RemoveAt(leaves);
            weights.RemoveAt(leaves);
        }
    }

    /// <summary>c ≠ 0 of the first d + 2 rows with Σ c_i = 0 and Σ c_i v_i = 0, by elimination with pivots from whole columns. [d + 2].</summary>
    private static double[] Dependence(ReadOnlySpan<double> points, int d, List<int> active)
    {
        var (equations, unknowns) = (d + 1, d + 2);
        var m = new double[equations, unknowns];
        for (var column = 0; column < unknowns; column++)
        {
            var p = points.Slice(active[column] * d, d);
            for (var row = 0; row < d; row++)
                m[row, column] = p[row];
            m[d, column] = 1;
        }
        var pivotOf = new int[unknowns];
        Array.Fill(pivotOf, -1);
        var (used, free) = (0, -1);
        for (var column = 0; column < unknowns; column++)
        {
            var best = -1;
            for (var row = used; row < equations; row++)
            {
                if (best < 0 || Math.Abs(m[row, column]) > Math.Abs(m[best, column]))
                    best = row;
            }
            if (best < 0 || Math.Abs(m[best, column]) < 1e-12)
            {
                free = column; // it depends on the columns before it
                break;
            }
            for (var k = column; k < unknowns; k++)
                (m[used, k], m[best, k]) = (m[best, k], m[used, k]);
            for (var row = 0; row < equations; row++)
            {
                if (row == used || m[row, column] == 0)
                    continue;
                var factor = m[row, column] / m[used, column];
                for (var k = column; k < unknowns; k++)
                    m[row, k] -= factor * m[used, k];
            }
            pivotOf[column] = used++;
        }
        var c = new double[unknowns];
        c[free] = 1; // more unknowns than equations: one column is free
        for (var column = 0; column < free; column++)
            c[column] = -m[pivotOf[column], free] / m[pivotOf[column], column];
        return c;
    }
}
