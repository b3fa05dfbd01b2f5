using Portal.Engine.Statistics;

namespace Portal.Engine.Sae;

/// <summary>
/// What the reward may explain of a latent's differences within pairs: f(r_chosen) − f(r_rejected) for every piecewise linear f with knots at quantiles of the rewards.
/// </summary>
/// <remarks>
/// f is a sum of hat functions, one a knot, without the first (they add up to 1, which cancels within a pair). Least squares by Cholesky of the small Gram matrix, with a hair of ridge
/// so that knots without pairs do no harm.
/// </remarks>
internal sealed class RewardCurve
{
    private const double Ridge = 1e-9;
    private const int PairsPerKnot = 25;

    private readonly double[][] rows; // Δh of each pair. [n][knots − 1]
    private readonly Cholesky root; // of Σ Δh Δhᵀ

    private RewardCurve(double[][] rows, Cholesky root, double[] left, double separation) => (this.rows, this.root, Left, Separation) = (rows, root, left, separation);

    /// <summary>x̃: what is left of the constant 1 when the reward has explained what it can. [n].</summary>
    public IReadOnlyList<double> Left { get; }

    /// <summary>Mean of x̃², 0 to 1: 1 where rewards of chosen and rejected are alike, 0 where they tell the sides apart without fail.</summary>
    public double Separation { get; }

    public static RewardCurve Fit(IReadOnlyList<ContrastPair> pairs, IReadOnlyList<double> rewards, int knotsMax)
    {
        double[] sorted = [.. pairs.SelectMany(pair => new[] { rewards[pair.Chosen], rewards[pair.Rejected] }).Order()];
        var count = Math.Clamp(pairs.Count / PairsPerKnot, 2, knotsMax);
        double[] knots = [.. Enumerable.Range(0, count).Select(i => Bootstrap.Quantile(sorted, i / (count - 1.0))).Distinct()];
        var width = knots.Length - 1;
        double[][] rows = [.. pairs.Select(pair => Difference(Hats(rewards[pair.Chosen], knots), Hats(rewards[pair.Rejected], knots)))];
        var gram = new double[width * width];
        foreach (var row in rows)
        {
            for (var i = 0; i < width; i++)
            {
                for (var j = 0; j < width; j++)
                    gram[i * width + j] += row[i] * row[j];
            }
        }
        var trace = Enumerable.Range(0, width).Sum(i => gram[i * width + i]);
        for (var i = 0; i < width; i++)
            gram[i * width + i] += Ridge * trace / width + 1e-12;
        var root = Cholesky.Factor(gram, width);
        var constant = root.Solve(Product(rows, Enumerable.Range(0, rows.Length).Select(pair => (pair, 1.0)), width));
        double[] left = [.. rows.Select(row => 1 - Dot(row, constant))];
        // x̃·1 equals x̃·x̃ for a projection; the ridge leaves a difference far below what matters.
        return new RewardCurve(rows, root, left, left.Sum(value => value * value) / left.Length);
    }

    /// <summary>β of the least squares fit of one latent's differences, without a constant.</summary>
    /// <param name="differences">Those that are not 0.</param>
    public double[] Slopes(IEnumerable<(int Pair, double Value)> differences) => root.Solve(Product(rows, differences, root.Size));

    /// <summary>Σ x̃ Δh over the pairs of each group. [knots − 1][groups].</summary>
    public double[][] GroupSums(int[] groupOf, int groups)
    {
        double[][] sums = [.. Enumerable.Range(0, root.Size).Select(_ => new double[groups])];
        for (var pair = 0; pair < rows.Length; pair++)
        {
            for (var knot = 0; knot < sums.Length; knot++)
                sums[knot][groupOf[pair]] += Left[pair] * rows[pair][knot];
        }
        return sums;
    }

    // The hats of all knots but the first at a reward: at most two of them are not 0, and between knots they add up to 1 with the first.
    private static double[] Hats(double reward, double[] knots)
    {
        var hats = new double[knots.Length - 1];
        if (hats.Length == 0)
            return hats;
        var above = 1;
        while (above < knots.Length - 1 && reward > knots[above])
            above++;
        var share = Math.Clamp((reward - knots[above - 1]) / (knots[above] - knots[above - 1]), 0, 1);
        hats[above - 1] = share;
        if (above >= 2)
            hats[above - 2] = 1 - share;
        return hats;
    }

    private static double[] Difference(double[] one, double[] other) => [.. one.Zip(other, (a, b) => a - b)];

    private static double Dot(double[] one, double[] other)
    {
        var sum = 0.0;
        for (var i = 0; i < one.Length; i++)
            sum += one[i] * other[i];
        return sum;
    }

    private static double[] Product(double[][] rows, IEnumerable<(int Pair, double Value)> values, int width)
    {
        var product = new double[width];
        foreach (var (pair, value) in values)
        {
            for (var i = 0; i < width; i++)
                product[i] += rows[pair][i] * value;
        }
        return product;
    }
}
