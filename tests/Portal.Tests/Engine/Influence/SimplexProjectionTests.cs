using Portal.Engine.Influence;
using Portal.Engine.Statistics;
using Xunit;

namespace Portal.Tests.Engine.Influence;

/// <summary>Points as mixtures of rows: closed forms, optimality, and an oracle of another kind (accelerated projected gradients on the Gram matrix). T1 to T7, T10 and T11 of specs/xrlhf.md §7.</summary>
public sealed class SimplexProjectionTests
{
    private static readonly SimplexOptions exact = new() { Tolerance = 1e-13 };

    [Fact]
    public void A_row_is_explained_by_itself()
    {
        var (rows, _) = Drawn(1, 60, 8);
        var found = SimplexProjection.Project(rows, Row(rows, 17), exact, default);

        Assert.Equal([17], found.Rows);
        Assert.Equal(1, found.Weights[0]);
        Assert.Equal(0, found.Residual);
    }

    [Fact]
    public void A_mixture_of_rows_is_reached()
    {
        var (rows, random) = Drawn(2, 100, 6);
        var mixture = Mixed(rows, [.. Enumerable.Range(0, 100).Select(_ => -Math.Log(1 - random.NextDouble()))]);

        var found = SimplexProjection.Project(rows, mixture, exact, default);

        Assert.InRange(found.Residual, 0, 1e-6);
        Assert.InRange(found.Rows.Count, 1, 7); // d + 1
    }

    /// <summary>At an optimum no row has a lower gradient than the active ones, which all have the same; computed here from the definition, with the stored gap as bound.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(0.3)]
    public void No_row_could_lower_the_objective(double mu)
    {
        var (rows, random) = Drawn(3, 400, 12);
        double[] q = [.. Enumerable.Range(0, 12).Select(_ => 3 * random.NextGaussian())];

        var found = SimplexProjection.Project(rows, q, exact with { Locality = mu }, default);

        var x = Minus(Mixed(rows, found), q);
        double[] g = [.. Enumerable.Range(0, rows.Count).Select(row => Dot(Minus(Row(rows, row), q), x) + mu / 2 * Square(Minus(Row(rows, row), q)))];
        var current = found.Rows.Zip(found.Weights, (row, weight) => weight * g[row]).Sum();
        Assert.All(found.Rows, row => Assert.Equal(current, g[row], 1e-6));
        Assert.True(g.Min() >= current - found.Gap - 1e-9 * Math.Abs(current));
        Assert.InRange(found.Gap, 0, 1e-9);
        Assert.True(found.Rows.Count > 3);
    }

    [Fact]
    public void Two_hundred_random_problems_agree_with_projected_gradients()
    {
        var random = new SeededRandom(4);
        var worst = 0.0;
        for (var problem = 0; problem < 200; problem++)
        {
            var (n, d) = (2 + random.NextInt(40), 1 + random.NextInt(12));
            var mu = problem % 3 == 0 ? 0 : random.NextDouble();
            using var rows = FeatureRows.Of([.. Enumerable.Range(0, n * d).Select(_ => (float)random.NextGaussian())], d);
            double[] q = [.. Enumerable.Range(0, d).Select(_ => 2 * random.NextDouble() * random.NextGaussian())];

            var found = SimplexProjection.Project(rows, q, exact with { Locality = mu }, default);

            // T5: a point of the simplex, with no more rows than Carathéodory allows.
            Assert.All(found.Weights, weight => Assert.True(weight > 0));
            Assert.Equal(1, found.Weights.Sum(), 1e-9);
            Assert.InRange(found.Rows.Count, 1, d + 1);
            Assert.Equal(found.Rows.Count, found.Rows.Distinct().Count());
            worst = Math.Max(worst, Objective(rows, q, mu, found) - ProjectedGradient(rows, q, mu));
        }
        Assert.InRange(worst, -1e-9, 1e-9);
        Notes.Write(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"simplex projection against projected gradients, 200 problems: objective higher by at most {worst:E1}"));
    }

    [Fact]
    public void The_more_locality_counts_the_nearer_the_rows_and_the_larger_the_residual()
    {
        var (rows, random) = Drawn(5, 300, 10);
        double[] q = [.. Enumerable.Range(0, 10).Select(_ => random.NextGaussian())];
        double[] mus = [0, 0.03, 0.1, 0.3, 1, 3, 10, 1e6];

        var found = mus.Select(mu => SimplexProjection.Project(rows, q, exact with { Locality = mu }, default)).ToList();

        Assert.All(found.Zip(found.Skip(1)), step => Assert.True(step.Second.Residual >= step.First.Residual - 1e-9));
        var nearest = Enumerable.Range(0, rows.Count).MinBy(row => Square(Minus(Row(rows, row), q)));
        Assert.Equal([nearest], found[^1].Rows);
        Assert.Equal(Math.Sqrt(Square(Minus(Row(rows, nearest), q))), found[^1].Residual, 1e-9);
    }

    /// <summary>Numbers of a few bits, so that floats hold moved and scaled rows exactly.</summary>
    [Fact]
    public void Moving_everything_changes_no_weight_and_scaling_scales_the_residual()
    {
        var random = new SeededRandom(6);
        var (n, d) = (120, 7);
        float[] values = [.. Enumerable.Range(0, n * d).Select(_ => (random.NextInt(129) - 64) / 16f)];
        double[] q = [.. Enumerable.Range(0, d).Select(_ => (random.NextInt(129) - 64) / 8.0)];
        double[] move = [.. Enumerable.Range(0, d).Select(_ => random.NextInt(9) - 4.0)];
        using var plain = FeatureRows.Of(values, d);
        using var moved = FeatureRows.Of([.. values.Select((value, i) => value + (float)move[i % d])], d);
        using var scaled = FeatureRows.Of([.. values.Select(value => 4 * value)], d);
        // A rotation by exact numbers: the first two coordinates change places, one with its sign turned.
        using var turned = FeatureRows.Of([.. values.Chunk(d).SelectMany(row => (float[])[row[1], -row[0], .. row[2..]])], d);

        var one = SimplexProjection.Project(plain, q, exact, default);
        var other = SimplexProjection.Project(moved, [.. q.Zip(move, (a, b) => a + b)], exact, default);
        var larger = SimplexProjection.Project(scaled, [.. q.Select(value => 4 * value)], exact, default);
        var rotated = SimplexProjection.Project(turned, [q[1], -q[0], .. q[2..]], exact, default);

        foreach (var same in new[] { other, larger, rotated })
        {
            Assert.Equal(one.Rows, same.Rows);
            Assert.All(one.Weights.Zip(same.Weights), pair => Assert.Equal(pair.First, pair.Second, 1e-7));
        }
        Assert.Equal(one.Residual, other.Residual, 1e-9);
        Assert.Equal(4 * one.Residual, larger.Residual, 1e-8);
        Assert.True(one.Rows.Count > 2 && one.Residual > 0.1);
    }

    [Fact]
    public void Few_dimensions_few_rows_and_equal_rows_have_their_obvious_answers()
    {
        using var single = FeatureRows.Of([3], 1);
        Assert.Equal(2, SimplexProjection.Project(single, [5], exact, default).Residual, 1e-12);

        using var line = FeatureRows.Of([0, 1, 4], 1);
        var between = SimplexProjection.Project(line, [2], exact, default);
        Assert.Equal(0, between.Residual, 1e-9);
        Assert.Equal([4], new[] { SimplexProjection.Project(line, [9], exact, default) }.Select(found => found.Rows.Sum(row => line[row][0])));

        using var copies = FeatureRows.Of([1, 0, 0, 1, 1, 0, 0, 1], 2);
        var middle = SimplexProjection.Project(copies, [0.5, 0.5], exact, default);
        Assert.Equal([0, 1], middle.Rows.Order()); // the lower of the equal ones
        Assert.All(middle.Weights, weight => Assert.Equal(0.5, weight, 1e-9));

        using var zeros = FeatureRows.Of([0, 0, 0, 0, 0, 0], 2);
        var nothing = SimplexProjection.Project(zeros, [3, 4], exact, default);
        Assert.Equal([0], nothing.Rows);
        Assert.Equal(5, nothing.Residual, 1e-12);
    }

    [Fact]
    public void What_cannot_be_explained_with_is_refused_by_name()
    {
        using var rows = FeatureRows.Of([1, 2, 3, 4], 2);
        using var none = FeatureRows.Of([], 2);
        string Refusal(Action act) => Assert.ThrowsAny<ArgumentException>(act).Message;

        Assert.Contains("Row 1: feature 1 is NaN", Refusal(() => FeatureRows.Of([1, 2, 3, float.NaN], 2)), StringComparison.Ordinal);
        Assert.Contains("Row 0: feature 0 is ∞", Refusal(() => FeatureRows.Of([float.PositiveInfinity, 2], 2)).Replace("Infinity", "∞", StringComparison.Ordinal), StringComparison.Ordinal);
        Assert.Contains("3 numbers are no rows of 2", Refusal(() => FeatureRows.Of([1, 2, 3], 2)), StringComparison.Ordinal);
        Assert.Contains("The query has 3 numbers, the rows 2", Refusal(() => SimplexProjection.Project(rows, [1, 2, 3], exact, default)), StringComparison.Ordinal);
        Assert.Contains("not finite", Refusal(() => SimplexProjection.Project(rows, [1, double.NaN], exact, default)), StringComparison.Ordinal);
        Assert.Contains("no rows to explain with", Refusal(() => SimplexProjection.Project(none, [1, 2], exact, default)), StringComparison.Ordinal);
        Assert.Contains("Locality -1", Refusal(() => SimplexProjection.Project(rows, [1, 2], exact with { Locality = -1 }, default)), StringComparison.Ordinal);
    }

    /// <summary>The same bits for one thread and for seven; in a space where thousands of rows are looked at.</summary>
    [Fact]
    public void Threads_do_not_change_the_answer()
    {
        var random = new SeededRandom(7);
        const int n = 6_000, d = 24;
        float[] values = [.. Enumerable.Range(0, n * d).Select(_ => (float)random.NextGaussian())];
        double[] q = [.. Enumerable.Range(0, d).Select(_ => 2 * random.NextGaussian())];

        var found = new[] { 1, 2, 7 }.Select(threads =>
        {
            using var rows = FeatureRows.Of(values, d, threads);
            return SimplexProjection.Project(rows, q, exact, default);
        }).ToList();

        Assert.All(found.Skip(1), other =>
        {
            Assert.Equal(found[0].Rows, other.Rows);
            Assert.Equal(found[0].Weights, other.Weights);
            Assert.Equal((found[0].Residual, found[0].Gap, found[0].Cycles), (other.Residual, other.Gap, other.Cycles));
        });
    }

    [Fact]
    public void Rows_in_a_file_are_those_in_memory()
    {
        var (rows, random) = Drawn(8, 50, 5);
        double[] q = [.. Enumerable.Range(0, 5).Select(_ => random.NextGaussian())];
        var path = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(path, [.. Enumerable.Range(0, 50).SelectMany(row => rows[row].ToArray()).SelectMany(BitConverter.GetBytes)]);
            using var mapped = FeatureRows.Map(path, 5);
            Assert.Equal(SimplexProjection.Project(rows, q, exact, default).Weights, SimplexProjection.Project(mapped, q, exact, default).Weights);
            Assert.Contains("no rows of 7 numbers", Assert.Throws<InvalidDataException>(() => FeatureRows.Map(path, 7)).Message, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(path);
        }
    }

    /// <summary>The paper's own steps end at the projection's rows where the point lies outside the hull (specs/xrlhf.md §1.3 (d)), and reproduce the point inside it.</summary>
    [Fact]
    public void The_papers_steps_lead_to_the_same_rows_outside_the_hull()
    {
        var (rows, random) = Drawn(9, 150, 5);
        double[] outside = [.. Enumerable.Range(0, 5).Select(_ => 6 * random.NextGaussian())];

        var ours = SimplexProjection.Project(rows, outside, exact, default);
        var theirs = PaperProjection.Project(rows, outside, default);

        Assert.Equal(ours.Rows.Order(), theirs.Rows.Order());
        Assert.Equal(ours.Residual, theirs.Residual, 1e-3 * ours.Residual);
        var inside = Mixed(rows, [.. Enumerable.Range(0, 150).Select(_ => 1.0)]);
        Assert.InRange(PaperProjection.Project(rows, inside, default).Residual, 0, 1e-3);
    }

    [Fact]
    public void A_support_can_be_kept_small()
    {
        var (rows, random) = Drawn(10, 500, 20);
        double[] q = [.. Enumerable.Range(0, 20).Select(_ => random.NextGaussian())];

        var all = SimplexProjection.Project(rows, q, exact, default);
        var few = SimplexProjection.Project(rows, q, exact with { SupportMax = 4 }, default);

        Assert.True(all.Rows.Count > 4);
        Assert.InRange(few.Rows.Count, 1, 4);
        Assert.True(few.Residual >= all.Residual && few.Gap > all.Gap);
    }

    /// <summary>More rows than d + 1 with one mean: what leaves changes no mean, and costs nothing.</summary>
    [Fact]
    public void Caratheodory_keeps_the_mean_with_fewer_rows()
    {
        var random = new SeededRandom(11);
        const int d = 4;
        double[] points = [.. Enumerable.Range(0, 12 * d).Select(_ => random.NextGaussian())];
        var active = Enumerable.Range(0, 12).ToList();
        List<double> weights = [.. active.Select(_ => 1.0 / 12)];
        double[] costs = [.. active.Select(_ => random.NextDouble())];
        double Mean(int j) => active.Select((row, i) => weights[i] * points[row * d + j]).Sum();
        double[] before = [.. Enumerable.Range(0, d).Select(Mean)];
        var cost = active.Select((row, i) => weights[i] * costs[row]).Sum();

        Caratheodory.Reduce(points, d, active, weights, costs);

        Assert.Equal(d + 1, active.Count);
        Assert.All(weights, weight => Assert.True(weight >= 0));
        Assert.Equal(1, weights.Sum(), 1e-12);
        Assert.All(Enumerable.Range(0, d), j => Assert.Equal(before[j], Mean(j), 1e-10));
        Assert.True(active.Select((row, i) => weights[i] * costs[row]).Sum() <= cost + 1e-12);
    }

    private static (FeatureRows Rows, SeededRandom Random) Drawn(ulong seed, int n, int d)
    {
        var random = new SeededRandom(seed);
        return (FeatureRows.Of([.. Enumerable.Range(0, n * d).Select(_ => (float)random.NextGaussian())], d), random);
    }

    private static double[] Row(FeatureRows rows, int row) => [.. rows[row].ToArray().Select(value => (double)value)];
    private static double[] Minus(double[] a, double[] b) => [.. a.Zip(b, (x, y) => x - y)];
    private static double Dot(double[] a, double[] b) => a.Zip(b, (x, y) => x * y).Sum();
    private static double Square(double[] a) => Dot(a, a);

    private static double[] Mixed(FeatureRows rows, double[] masses)
    {
        var total = masses.Sum();
        return [.. Enumerable.Range(0, rows.Width).Select(j => Enumerable.Range(0, masses.Length).Sum(row => masses[row] / total * rows[row][j]))];
    }

    private static double[] Mixed(FeatureRows rows, ConvexCombination found) =>
        [.. Enumerable.Range(0, rows.Width).Select(j => found.Rows.Zip(found.Weights, (row, weight) => weight * rows[row][j]).Sum())];

    private static double Objective(FeatureRows rows, double[] q, double mu, ConvexCombination found) =>
        Square(Minus(Mixed(rows, found), q)) / 2 + mu / 2 * found.Rows.Zip(found.Weights, (row, weight) => weight * Square(Minus(Row(rows, row), q))).Sum();

    /// <summary>The least objective by FISTA with restarts on the Gram matrix of v − q: nothing of the code under test.</summary>
    private static double ProjectedGradient(FeatureRows rows, double[] q, double mu)
    {
        var n = rows.Count;
        double[][] p = [.. Enumerable.Range(0, n).Select(row => Minus(Row(rows, row), q))];
        var gram = new double[n, n];
        for (var i = 0; i < n; i++)
            for (var j = 0; j < n; j++)
                gram[i, j] = Dot(p[i], p[j]);
        var rate = 1 / Enumerable.Range(0, n).Max(i => Enumerable.Range(0, n).Sum(j => Math.Abs(gram[i, j])));
        double[] w = [.. Enumerable.Repeat(1.0 / n, n)], momentum = w, gradient = new double[n];
        var (t, best) = (1.0, double.PositiveInfinity);
        for (var step = 0; step < 20_000; step++)
        {
            Gradient(momentum);
            var next = OntoSimplex([.. momentum.Zip(gradient, (x, g) => x - rate * g)]);
            if (next.Zip(w, (a, b) => a - b).Zip(momentum.Zip(next, (a, b) => a - b), (a, b) => a * b).Sum() > 0)
                t = 1; // the momentum points uphill: begin again
            var later = (1 + Math.Sqrt(1 + 4 * t * t)) / 2;
            momentum = [.. next.Zip(w, (a, b) => a + (t - 1) / later * (a - b))];
            (w, t) = (next, later);
            if (step % 50 != 49)
                continue;
            Gradient(w);
            var gap = w.Zip(gradient, (x, g) => x * g).Sum() - gradient.Min();
            best = Math.Min(best, Value(w));
            if (gap < 1e-12)
                break;
        }
        return best;

        void Gradient(double[] at)
        {
            for (var i = 0; i < n; i++)
            {
                gradient[i] = mu / 2 * gram[i, i];
                for (var j = 0; j < n; j++)
                    gradient[i] += gram[i, j] * at[j];
            }
        }

        double Value(double[] at)
        {
            var sum = 0.0;
            for (var i = 0; i < n; i++)
            {
                sum += mu / 2 * at[i] * gram[i, i];
                for (var j = 0; j < n; j++)
                    sum += at[i] * gram[i, j] * at[j] / 2;
            }
            return sum;
        }
    }

    /// <summary>Duchi et al. 2008: sort, find the threshold, cut.</summary>
    private static double[] OntoSimplex(double[] x)
    {
        double[] sorted = [.. x.OrderDescending()];
        var (sum, threshold) = (0.0, 0.0);
        for (var i = 0; i < sorted.Length; i++)
        {
            sum += sorted[i];
            if (sorted[i] - (sum - 1) / (i + 1) > 0)
                threshold = (sum - 1) / (i + 1);
        }
        return [.. x.Select(value => Math.Max(0, value - threshold))];
    }
}
