using Portal.Engine.Statistics;
using Portal.Tests.Engine.Irl;
using Xunit;

namespace Portal.Tests.Engine.Statistics;

/// <summary>Dense algebra against naive loops; the logistic posterior, scales, bins and intervals of sums against numpy and mpmath (irl_vectors.json) or by hand.</summary>
public sealed class DenseStatisticsTests
{
    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(2, 4, 8)]
    [InlineData(3, 5, 7)]
    [InlineData(7, 9, 33)]
    [InlineData(5, 2, 0)]
    public void Products_of_rows_are_those_of_a_naive_loop(int p, int q, int n)
    {
        var random = new SeededRandom((ulong)(p + q + n));
        double[] Draw(int count) => [.. Enumerable.Range(0, count).Select(_ => random.NextGaussian())];
        double[] a = Draw((p + 2) * n), b = Draw(q * n), products = new double[p * q], factors = Draw(p), start = Draw(n);
        int[] rows = [.. Enumerable.Range(0, p).Select(_ => random.NextInt(p + 2))]; // out of order, some twice
        double[] sum = [.. start];

        DenseProducts.Rows(a, rows, b, n, n == 0 ? [] : products);
        DenseProducts.AddRows(a, rows, factors, sum);

        for (var i = 0; i < p && n > 0; i++)
        {
            for (var k = 0; k < q; k++)
                Assert.Equal(Enumerable.Range(0, n).Sum(j => a[rows[i] * n + j] * b[k * n + j]), products[i * q + k], 1e-12);
        }
        for (var j = 0; j < n; j++)
            Assert.Equal(start[j] + Enumerable.Range(0, p).Sum(i => factors[i] * a[rows[i] * n + j]), sum[j], 1e-12);
    }

    /// <summary>Faster ways to the same sums: fits are compared from version to version, so not even the last bit may differ.</summary>
    [Theory]
    [InlineData(1, 3, 5)]
    [InlineData(4, 16, 12)]
    [InlineData(8, 2, 33)]
    [InlineData(19, 5, 18)]
    public void Products_that_share_their_reading_are_the_same_bit_by_bit(int p, int q, int n)
    {
        var random = new SeededRandom((ulong)(p * q + n));
        double[] Draw(int count) => [.. Enumerable.Range(0, count).Select(_ => random.NextGaussian())];
        double[] a = Draw((p + 2) * n), b = Draw(q * n), all = new double[p * q], one = new double[p], factors = Draw(p * q), together = Draw(q * n), apart = [.. together];
        int[] rows = [.. Enumerable.Range(0, p).Select(_ => random.NextInt(p + 2))];

        DenseProducts.Rows(a, rows, b, n, all);
        DenseProducts.AddRowsToAll(a, rows, factors, n, together);
        for (var k = 0; k < q; k++)
        {
            DenseProducts.Rows(a, rows, b.AsSpan(k * n, n), n, one);
            DenseProducts.AddRows(a, rows, [.. Enumerable.Range(0, p).Select(i => factors[i * q + k])], apart.AsSpan(k * n, n));
            Assert.Equal(Enumerable.Range(0, p).Select(i => all[i * q + k]), one);
        }

        Assert.Equal(apart, together);
        together[0] = Math.BitIncrement(together[0]);
        Assert.NotEqual(apart, together); // one bit is seen
    }

    /// <summary>Up to four sums of a group are added in one register; a fifth column of zeros takes the other way.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(4)]
    public void Few_sums_of_a_group_give_the_same_interval_as_many(int width)
    {
        var random = new SeededRandom((ulong)width);
        double[] few = [.. Enumerable.Range(0, 37 * width).Select(_ => random.NextGaussian())];
        double[] many = [.. few.Chunk(width).SelectMany(group => group.Concat(new double[5 - width]))];
        double? Statistic(double[] total) => total.Take(width).Select((sum, k) => sum * (k + 1)).Sum();

        Assert.Equal(Bootstrap.OfSums(many, 5, Statistic, new SeededRandom(3), resamples: 200), Bootstrap.OfSums(few, width, Statistic, new SeededRandom(3), resamples: 200));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    [InlineData(6)]
    [InlineData(11)]
    public void A_weighted_gram_matrix_and_its_root_are_right(int d)
    {
        var random = new SeededRandom((ulong)d);
        const int n = 21;
        var design = new ColumnMatrix(n, d);
        for (var i = 0; i < design.Values.Length; i++)
            design.Values[i] = random.NextGaussian();
        double[] weights = [.. Enumerable.Range(0, n).Select(_ => random.NextDouble() + 0.1)], gram = new double[d * d];

        DenseProducts.Gram(design, weights, gram, new double[4 * (n + d)]);
        for (var j = 0; j < d; j++)
        {
            for (var k = 0; k <= j; k++)
                Assert.Equal(Enumerable.Range(0, n).Sum(i => weights[i] * design.Column(j)[i] * design.Column(k)[i]), gram[j * d + k], 1e-11);
        }
        double[] whole = [.. gram];
        double A(int j, int k) => j >= k ? whole[j * d + k] : whole[k * d + j];
        var root = Cholesky.Factor(gram, d);

        double[] right = [.. Enumerable.Range(0, d).Select(_ => random.NextGaussian())];
        var solved = root.Solve(right);
        for (var j = 0; j < d; j++)
            Assert.Equal(right[j], Enumerable.Range(0, d).Sum(k => A(j, k) * solved[k]), 1e-9);
        // The inverse's diagonal: solve for each unit vector.
        for (var j = 0; j < d; j++)
            Assert.Equal(root.Solve([.. Enumerable.Range(0, d).Select(k => k == j ? 1.0 : 0)])[j], root.InverseDiagonal()[j], 1e-9);
        // xᵀA⁻¹x, and the determinant by elimination.
        var lower = right.ToArray();
        root.SolveLower(lower);
        Assert.Equal(right.Zip(solved, (x, y) => x * y).Sum(), lower.Sum(x => x * x), 1e-9);
        Assert.Equal(Determinant(d, A), Math.Exp(root.LogDeterminant), 1e-9 * Determinant(d, A));
    }

    [Fact]
    public void A_root_makes_draws_with_the_inverse_as_covariance()
    {
        // A = [[2, 1], [1, 2]]: A⁻¹ = [[2, −1], [−1, 2]] / 3.
        var (root, random) = (Cholesky.Factor([2, 0, 1, 2], 2), new SeededRandom(4));
        double xx = 0, xy = 0;
        for (var draw = 0; draw < 40_000; draw++)
        {
            double[] x = [random.NextGaussian(), random.NextGaussian()];
            root.SolveUpper(x);
            (xx, xy) = (xx + x[0] * x[0] / 40_000, xy + x[0] * x[1] / 40_000);
        }
        Assert.Equal(2 / 3.0, xx, 0.02); // four standard errors
        Assert.Equal(-1 / 3.0, xy, 0.02);
    }

    [Fact]
    public void What_is_not_positive_definite_is_refused()
    {
        Assert.Contains("row 1 depends", Assert.Throws<ArgumentException>(() => Cholesky.Factor([1, 0, 1, 1], 2)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => Cholesky.Factor([double.NaN], 1));
        Assert.Contains("3 numbers", Assert.Throws<ArgumentException>(() => Cholesky.Factor([1, 0, 1], 2)).Message, StringComparison.Ordinal);
        Assert.Equal(0, Cholesky.Factor([], 0).LogDeterminant);
    }

    [Fact]
    public void Columns_are_the_rows_turned()
    {
        var random = new SeededRandom(2);
        double[] rows = [.. Enumerable.Range(0, 70 * 41).Select(_ => random.NextGaussian())];

        var columns = ColumnMatrix.FromRows(rows, 70, 41);

        for (var i = 0; i < 70; i++)
        {
            for (var j = 0; j < 41; j++)
                Assert.Equal(rows[i * 41 + j], columns.Column(j)[i]);
        }
        var taken = columns.Take([69, 0, 69]);
        Assert.Equal([rows[69 * 41 + 40], rows[40], rows[69 * 41 + 40]], taken.Column(40).ToArray());
        Assert.Throws<ArgumentException>(() => ColumnMatrix.FromRows(rows, 70, 40));
    }

    [Fact]
    public void The_logistic_posterior_matches_numpy()
    {
        foreach (var golden in IrlGolden.File.Logistic)
        {
            foreach (var start in new[] { [], golden.Weights, [.. golden.Weights.Select(weight => 3 * weight - 2)] }) // the minimum does not depend on where one begins
            {
                var posterior = new LogisticNewton(golden.Rows, golden.Columns).Fit(golden.Design, golden.Precision, golden.Signs, golden.Counts, golden.Temperature, start, CancellationToken.None);

                Assert.All(golden.Weights.Zip(posterior.Weights), pair => Assert.Equal(pair.First, pair.Second, 1e-7));
                Assert.All(golden.Errors.Zip(posterior.StandardErrors()), pair => Assert.Equal(pair.First, pair.Second, 1e-7));
                Assert.Equal(golden.LogDeterminant, posterior.Precision.LogDeterminant, 1e-6);
                Assert.Equal(golden.Objective, posterior.Objective, 1e-9);
                Assert.Equal(golden.Variance, posterior.Variance(golden.Probe), 1e-7);
            }
        }
        // Without signs and counts each row counts once, as it stands.
        var plain = IrlGolden.File.Logistic[0];
        Assert.All(plain.Weights.Zip(new LogisticNewton(plain.Rows, plain.Columns).Fit(plain.Design, plain.Precision, [], [], 1, [], CancellationToken.None).Weights), pair => Assert.Equal(pair.First, pair.Second, 1e-7));
    }

    [Fact]
    public void The_posterior_agrees_with_the_sparse_regression_and_far_starts_and_huge_features_stay_finite()
    {
        var random = new SeededRandom(3);
        var design = new ColumnMatrix(80, 4);
        for (var i = 0; i < design.Values.Length; i++)
            design.Values[i] = random.NextGaussian();
        SparseVector[] rows = [.. Enumerable.Range(0, 80).Select(i => new SparseVector([0, 1, 2, 3], [.. Enumerable.Range(0, 4).Select(j => design.Column(j)[i])]))];

        var sparse = LogisticRegression.Fit(rows, [.. rows.Select(_ => true)], 4, 1 / 80.0, intercept: false, CancellationToken.None, tolerance: 1e-10);
        var dense = new LogisticNewton(80, 4).Fit(design, [1, 1, 1, 1], [], [], 1, [500, -500, 500, 500], CancellationToken.None);

        Assert.All(sparse.Weights.Zip(dense.Weights), pair => Assert.Equal(pair.First, pair.Second, 1e-7));
        for (var i = 0; i < design.Values.Length; i++)
            design.Values[i] *= 1e5;
        Assert.All(new LogisticNewton(80, 4).Fit(design, [1, 1, 1, 1], [], [], 1, [], CancellationToken.None).Weights, weight => Assert.True(double.IsFinite(weight)));
        Assert.Contains("temperature is 0", Assert.Throws<ArgumentException>(() => new LogisticNewton(80, 4).Fit(design, [1, 1, 1, 1], [], [], 0, [], CancellationToken.None)).Message, StringComparison.Ordinal);
        Assert.Contains("79 of 4 were announced", Assert.Throws<ArgumentException>(() => new LogisticNewton(79, 4).Fit(design, [1, 1, 1, 1], [], [], 1, [], CancellationToken.None)).Message, StringComparison.Ordinal);
        Assert.Contains("precision is -1", Assert.Throws<ArgumentException>(() => new LogisticNewton(80, 4).Fit(design, [1, 1, 1, -1], [], [], 1, [], CancellationToken.None)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Scales_match_mpmath_and_numpy()
    {
        foreach (var golden in IrlGolden.File.Platt.Margins)
        {
            var scaling = PlattScaling.OfMargins(golden.Margins);
            Assert.Equal(1, scaling.Slope / golden.Slope, 1e-9);
            Assert.Equal(golden.Loss, scaling.LogLoss, 1e-12);
        }
        var texts = IrlGolden.File.Platt.Texts;
        var fitted = PlattScaling.OfScores(texts.Scores, texts.Labels);
        Assert.Equal(texts.Slope, fitted.Slope, 1e-6);
        Assert.Equal(texts.Offset, fitted.Offset, 2e-5); // the hair of penalty, times the mean score
        Assert.Equal(texts.Loss, fitted.LogLoss, 1e-9);
        Assert.Equal(1 / (1 + Math.Exp(-texts.Slope * 3 - texts.Offset)), fitted.Probability(3), 1e-5);
    }

    [Fact]
    public void A_scale_never_turns_a_score_round_and_survives_extremes()
    {
        Assert.Equal(new PlattScaling(0, 0, Math.Log(2)), PlattScaling.OfMargins([-1, -2, 0.5])); // points the wrong way
        Assert.Equal(new PlattScaling(0, 0, Math.Log(2)), PlattScaling.OfMargins([0, 0]));
        Assert.True(PlattScaling.OfMargins([1, 2, 3]).LogLoss < 1e-9); // separable: as sharp as it gets, and finite
        Assert.True(double.IsFinite(PlattScaling.OfMargins([1, 2, 3]).Slope));
        Assert.InRange(PlattScaling.OfMargins([1e300, 1e300, -1e300]).LogLoss, 0.63, 0.64); // 2 of 3 right, all as sure: H(1/3) = .6365
        Assert.InRange(PlattScaling.OfMargins([1e-300, 1e-300, -1e-300]).LogLoss, 0.63, 0.64);
        var turned = PlattScaling.OfScores([1, 2, 3, 4], [true, true, false, true]);
        Assert.Equal((0.0, Math.Log(3)), (turned.Slope, Math.Round(turned.Offset, 12)), (a, b) => a.Item1 == b.Item1 && Math.Abs(a.Item2 - b.Item2) < 1e-9);
        Assert.Equal(0.75, turned.Probability(99), 1e-12);
        Assert.Equal(0.5, PlattScaling.OfScores([7, 7], [true, false]).Probability(7), 1e-12);
        Assert.Contains("All labels are the same", Assert.Throws<ArgumentException>(() => PlattScaling.OfScores([1, 2], [true, true])).Message, StringComparison.Ordinal);
        Assert.Contains("Margin 1 is NaN", Assert.Throws<ArgumentException>(() => PlattScaling.OfMargins([1, double.NaN])).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => PlattScaling.OfMargins([]));
    }

    [Fact]
    public void Quantile_bins_are_numpys()
    {
        var golden = IrlGolden.File.QuantileBins;

        var report = Calibration.OfProbabilitiesByQuantile(golden.Predicted, golden.CameTrue);

        Assert.Equal(golden.Counts, report.Bins.Select(bin => bin.Count));
        Assert.Equal(golden.Error, report.ExpectedCalibrationError, 1e-12);
        Assert.Equal(Calibration.OfProbabilities(golden.Predicted, golden.CameTrue).Brier, report.Brier, 1e-12); // no business of the bins
    }

    [Fact]
    public void Preferences_in_quantile_bins_by_hand()
    {
        // Confidences .6, .6, .9, .9 in two bins of two: right 1 of 2 (|.6 − .5|), right 2 of 2 (|.9 − 1|). ECE = (.1 + .1)/2.
        double six = Math.Log(.6 / .4), nine = Math.Log(9);

        var report = Calibration.OfPreferencesByQuantile([six, -six, nine, nine], bins: 2);

        Assert.Equal(0.1, report.ExpectedCalibrationError, 1e-12);
        Assert.Equal([2, 2], report.Bins.Select(bin => bin.Count));
        Assert.Equal((.16 + .36 + .01 + .01) / 4, report.Brier, 1e-12);
    }

    [Fact]
    public void Holms_values_by_hand()
    {
        // Sorted .005 .01 .03 .04: times 4, 3, 2, 1 = .02 .03 .06 .04, and none below the one before it: .02 .03 .06 .06 (R's p.adjust says the same).
        Assert.Equal([.03, .06, .06, .02], Holm.Adjust([.01, .04, .03, .005]).Select(p => Math.Round(p, 12)));
        Assert.Equal([1.0, 1], Holm.Adjust([.7, .9]));
        Assert.Empty(Holm.Adjust([]));
        Assert.Throws<ArgumentException>(() => Holm.Adjust([1.5]));
    }

    /// <summary>Where the statistic is a mean, the interval of sums must be that of <see cref="Bootstrap.Mean"/> for the same draws, whose order of drawing is the same.</summary>
    [Theory]
    [InlineData(2)]
    [InlineData(9)]
    public void Intervals_of_sums_agree_with_those_of_means(int width)
    {
        var random = new SeededRandom(5);
        double[] values = [.. Enumerable.Range(0, 50).Select(_ => random.NextGaussian())];
        double[] sums = [.. values.SelectMany(value => Enumerable.Range(0, width).Select(k => k == 0 ? value : 1.0))];

        var interval = Bootstrap.OfSums(sums, width, total => total[0] / total[1], new SeededRandom(2), resamples: 4_000)!.Value;
        var mean = Bootstrap.Mean(values, null, new SeededRandom(2), resamples: 4_000);

        Assert.Equal(mean.Estimate, interval.Estimate, 1e-12);
        Assert.Equal(mean.Low, interval.Low, 0.03); // other draws of the same distribution: the ends' own error is about .01
        Assert.Equal(mean.High, interval.High, 0.03);
        Assert.Equal(50, interval.Count);
    }

    [Fact]
    public void Undefined_resamples_are_left_out_and_wrong_sums_named()
    {
        // One of three groups has a denominator: resamples without it (8/27) are undefined.
        var interval = Bootstrap.OfSums([1, 0, 2, 0, 3, 2], 2, total => total[1] > 0 ? total[0] / total[1] : null, new SeededRandom(1))!.Value;
        Assert.Equal(3, interval.Estimate);
        Assert.True(interval.Low >= 1.5 && interval.High <= 3.5);
        Assert.Null(Bootstrap.OfSums([1, 0], 2, total => total[1] > 0 ? 1 : null, new SeededRandom(1)));
        Assert.Contains("Sum 1 of group 0 is NaN", Assert.Throws<ArgumentException>(() => Bootstrap.OfSums([1, double.NaN], 2, total => 1, new SeededRandom(1))).Message, StringComparison.Ordinal);
        Assert.Contains("3 numbers", Assert.Throws<ArgumentException>(() => Bootstrap.OfSums([1, 2, 3], 2, total => 1, new SeededRandom(1))).Message, StringComparison.Ordinal);
    }

    private static double Determinant(int d, Func<int, int, double> entry)
    {
        var m = new double[d, d];
        for (var i = 0; i < d; i++)
        {
            for (var j = 0; j < d; j++)
                m[i, j] = entry(i, j);
        }
        var product = 1.0;
        for (var i = 0; i < d; i++)
        {
            product *= m[i, i];
            for (var r = i + 1; r < d; r++)
            {
                for (var c = d - 1; c >= i; c--)
                    m[r, c] -= m[r, i] / m[i, i] * m[i, c];
            }
        }
        return product;
    }
}
