using Portal.Engine.Statistics;
using Xunit;

namespace Portal.Tests.Engine.Statistics;

/// <summary>Closed forms, a golden-section search written here, and the conditions that the one minimum must fulfil.</summary>
public sealed class LogisticRegressionTests
{
    private static SparseVector Row(params double[] values) => new([.. Enumerable.Range(0, values.Length)], values);

    [Fact]
    public void Intercept_alone_is_the_log_odds()
    {
        // 30 of 40: b = ln(30/10).
        bool[] labels = [.. Enumerable.Range(0, 40).Select(i => i < 30)];

        LogisticModel model = LogisticRegression.Fit([.. labels.Select(_ => new SparseVector([], []))], labels, 1, 1e-6, intercept: true, CancellationToken.None);

        Assert.Equal(Math.Log(3), model.Intercept, 1e-6);
        Assert.Equal(0, model.Weights[0]);
    }

    [Fact]
    public void One_binary_feature_is_the_log_odds_ratio()
    {
        // 2x2 table: with the feature 18 of 24, without it 9 of 36. b = ln(9/27), w = ln(18/6) − b, up to the tiny penalty.
        var rows = new List<SparseVector>();
        var labels = new List<bool>();
        for (int i = 0; i < 24; i++) (_, _) = (Add(rows, Row(1)), Add(labels, i < 18));
        for (int i = 0; i < 36; i++) (_, _) = (Add(rows, Row(0)), Add(labels, i < 9));

        LogisticModel model = LogisticRegression.Fit(rows, labels, 1, 1e-8, intercept: true, CancellationToken.None);

        Assert.Equal(Math.Log(1.0 / 3), model.Intercept, 1e-5);
        Assert.Equal(Math.Log(3) - Math.Log(1.0 / 3), model.Weights[0], 1e-5);

        static int Add<T>(List<T> list, T item)
        {
            list.Add(item);
            return list.Count;
        }
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(0.8, -2)] // what each row has before the weight
    public void One_weight_is_where_a_golden_section_search_finds_it(double first, double others)
    {
        double[] x = [1.5, -0.3, 2.2, 0.7, -1.1, 0.4], offsets = [first, others, others, others, others, others];
        const double l2 = 0.05;
        double Objective(double w) => x.Zip(offsets).Average(row => Math.Log(1 + Math.Exp(-w * row.First - row.Second))) + l2 / 2 * w * w;
        double low = -20, high = 20, ratio = (Math.Sqrt(5) - 1) / 2;
        for (int step = 0; step < 100; step++)
        {
            double a = high - ratio * (high - low), b = low + ratio * (high - low);
            if (Objective(a) < Objective(b)) high = b;
            else low = a;
        }

        LogisticModel model = LogisticRegression.Fit([.. x.Select(value => Row(value))], [.. x.Select(_ => true)], 1, l2, intercept: false, CancellationToken.None,
            offsets: first == 0 && others == 0 ? null : offsets);

        Assert.Equal((low + high) / 2, model.Weights[0], 1e-6); // the search resolves √ε of the objective
        Assert.Equal(Objective(model.Weights[0]), model.Objective, 1e-12);
    }

    [Fact]
    public void Many_weights_end_where_the_numeric_gradient_is_zero_and_near_the_truth()
    {
        var random = new SeededRandom(8);
        double[] truth = [.. Enumerable.Range(0, 20).Select(_ => random.NextGaussian() / 2)];
        SparseVector[] rows = [.. Enumerable.Range(0, 4000).Select(_ => Row([.. truth.Select(_ => random.NextGaussian())]))];
        bool[] labels = [.. rows.Select(row => random.Chance(1 / (1 + Math.Exp(-row.Dot(truth)))))];
        const double l2 = 1e-5; // shrinks by far less than the noise

        LogisticModel model = LogisticRegression.Fit(rows, labels, 20, l2, intercept: false, CancellationToken.None);

        Assert.True(model.GradientNorm <= 1e-7);
        double Objective(double[] w) => rows.Zip(labels, (row, label) => Math.Log(1 + Math.Exp((label ? -1 : 1) * row.Dot(w)))).Average() + l2 / 2 * w.Sum(value => value * value);
        for (int j = 0; j < 20; j++)
        {
            double[] up = [.. model.Weights], down = [.. model.Weights];
            up[j] += 1e-4;
            down[j] -= 1e-4;
            Assert.Equal(0, (Objective(up) - Objective(down)) / 2e-4, 1e-7);
        }

        // Log-odds have standard deviation 2.2 or so, hence p(1−p) ≈ .12 on average and standard errors about 1/√(4000 · .12) ≈ .046: four of them for 20 weights.
        Assert.All(truth.Zip(model.Weights), pair => Assert.Equal(pair.First, pair.Second, 0.185));
    }

    [Fact]
    public void Separable_pairs_stay_finite_and_wrong_input_is_named()
    {
        LogisticModel model = LogisticRegression.Fit([Row(1, 0), Row(1, 1)], [true, true], 2, 1e-3, intercept: false, CancellationToken.None);
        Assert.True(model.Weights[0] > 3 && double.IsFinite(model.Weights[0]));

        Assert.Contains("must be positive", Assert.Throws<ArgumentException>(() => LogisticRegression.Fit([Row(1)], [true], 1, 0, false, CancellationToken.None)).Message);
        Assert.Contains("outside 0 to 0", Assert.Throws<ArgumentException>(() => LogisticRegression.Fit([Row(1, 2)], [true], 1, 1, false, CancellationToken.None)).Message);
        using var stopped = new CancellationTokenSource();
        stopped.Cancel();
        Assert.Throws<OperationCanceledException>(() => LogisticRegression.Fit([Row(1)], [true], 1, 1, false, stopped.Token));
    }

    [Fact]
    public void Words_are_counted_as_described()
    {
        Assert.Equal(["it's", "3", "o'clock", ",", "über", "?", "😀"], BagOfWords.Split(" It's 3 O'clock,\nÜBER?😀"));
        BagOfWords bag = BagOfWords.Learn(["the cat", "the dog", "The the bird", "cat"]);
        Assert.Equal(["the", "cat"], bag.Words); // in 3 and 2 texts; dog and bird stand in one only

        SparseVector features = bag.Features("the the cat zebra");
        Assert.Equal([0, 1], features.Indices);
        Assert.Equal([Math.Log(3), Math.Log(2)], features.Values);
        SparseVector difference = bag.Difference("the the cat", "the cat");
        Assert.Equal([0], difference.Indices);
        Assert.Equal(Math.Log(3) - Math.Log(2), difference.Values[0], 1e-15);
    }

    [Fact]
    public void Length_baseline_learns_its_direction()
    {
        (string, string)[] longer = [("aaaa", "a"), ("bbb", "b"), ("c", "cc"), ("dddd", "d")];

        Assert.True(LengthBaseline.Fit(longer, CancellationToken.None).Difference("long text", "short") > 0);
        Assert.True(LengthBaseline.Fit([.. longer.Select(pair => (pair.Item2, pair.Item1))], CancellationToken.None).Difference("long text", "short") < 0);
        Assert.Equal(0, LengthBaseline.Fit(longer, CancellationToken.None).Difference("😀", "x")); // one code point each
    }
}
