using Portal.Engine.Influence;
using Portal.Engine.Statistics;
using Portal.Engine.Unlearning;
using Xunit;

namespace Portal.Tests.Engine.Influence;

/// <summary>A linear head's loss, its optimum, and what single pairs have to do with it: against finite differences, another optimiser, and heads trained without the pairs. T13 and T14 of specs/xrlhf.md §7.</summary>
public sealed class PairInfluenceTests
{
    private const double L2 = 1e-2;

    [Fact]
    public void Gradient_and_curvature_are_those_of_the_loss()
    {
        var head = Drawn(1, 80, 5, out var random);
        double[] theta = [.. Enumerable.Range(0, 5).Select(_ => random.NextGaussian())];

        var (loss, gradient) = head.Evaluate(theta);
        var hessian = head.Hessian(theta, default);

        // From the definition, pair by pair.
        var expected = Enumerable.Range(0, 80).Sum(i => head.Counts[i] * Math.Log(1 + Math.Exp(-Product(head, i, theta)))) / head.Counts.Sum() + L2 / 2 * theta.Sum(x => x * x);
        Assert.Equal(expected, loss, 1e-12);
        for (var j = 0; j < 5; j++)
        {
            double[] up = [.. theta], down = [.. theta];
            (up[j], down[j]) = (theta[j] + 1e-5, theta[j] - 1e-5);
            Assert.Equal((head.Evaluate(up).Loss - head.Evaluate(down).Loss) / 2e-5, gradient[j], 1e-8);
            for (var k = 0; k <= j; k++)
                Assert.Equal((head.Evaluate(up).Gradient[k] - head.Evaluate(down).Gradient[k]) / 2e-5, hessian[j * 5 + k], 1e-7);
        }
    }

    /// <summary>The engine's L-BFGS on the same pairs, each as often as it counts.</summary>
    [Fact]
    public void The_optimum_is_the_one_another_optimiser_finds()
    {
        var head = Drawn(2, 150, 6, out _);
        var repeated = Enumerable.Range(0, 150).SelectMany(i => Enumerable.Repeat(new SparseVector([.. Enumerable.Range(0, 6)], [.. head.Rows[i].ToArray().Select(x => (double)x)]), (int)head.Counts[i])).ToList();

        var optimum = head.Fit(default);
        var other = LogisticRegression.Fit(repeated, [.. repeated.Select(_ => true)], 6, L2, intercept: false, default, tolerance: 1e-10);

        Assert.InRange(optimum.GradientNorm, 0, 1e-10);
        Assert.Equal(other.Objective, optimum.Loss, 1e-10);
        Assert.All(optimum.Weights.Zip(other.Weights), pair => Assert.Equal(pair.Second, pair.First, 1e-6));
        Assert.InRange(optimum.Steps, 2, 30);
        var again = head.Fit(default, [.. optimum.Weights]);
        Assert.Equal((0, optimum.Loss), (again.Steps, again.Loss));
    }

    [Fact]
    public void A_head_without_pairs_or_with_counts_that_are_none_is_refused()
    {
        using var rows = FeatureRows.Of([1, 2, 3, 4], 2);
        string Refusal(Action act) => Assert.ThrowsAny<ArgumentException>(act).Message;

        Assert.Contains("2 rows and 1 counts", Refusal(() => new PairHead(rows, [1], 1)), StringComparison.Ordinal);
        Assert.Contains("Count 1 is -1", Refusal(() => new PairHead(rows, [1, -1], 1)), StringComparison.Ordinal);
        Assert.Contains("The penalty is 0", Refusal(() => new PairHead(rows, [1, 1], 0)), StringComparison.Ordinal);
        Assert.Contains("all counts are 0", Refusal(() => new PairHead(rows, [1, 1], 1).Without([0, 1])), StringComparison.Ordinal);
    }

    /// <summary>T14: at the optimum the representer values add up to the reward, for any point.</summary>
    [Fact]
    public void Representer_values_add_up_to_the_reward()
    {
        var head = Drawn(3, 200, 8, out var random);
        var influence = new PairInfluence(head, head.Fit(default).Weights, default);

        for (var trial = 0; trial < 5; trial++)
        {
            double[] q = [.. Enumerable.Range(0, 8).Select(_ => 3 * random.NextGaussian())];
            Assert.Equal(q.Zip(influence.Theta, (a, b) => a * b).Sum(), influence.Representer(q).Sum(), 1e-6);
        }
    }

    /// <summary>Every pair left out and the head trained again: the reward falls by what influence says, to first order, and no other score orders the pairs better.</summary>
    [Fact]
    public void Influence_is_what_leaving_a_pair_out_does()
    {
        var head = Drawn(4, 60, 4, out var random);
        var optimum = head.Fit(default).Weights;
        var influence = new PairInfluence(head, optimum, default);
        double[] q = [.. Enumerable.Range(0, 4).Select(_ => random.NextGaussian())];

        var scores = influence.Influence(q);
        double[] truth = [.. Enumerable.Range(0, 60).Select(i => q.Zip(head.Without([i]).Fit(default).Weights, (a, b) => a * b).Sum())];
        var whole = q.Zip(optimum, (a, b) => a * b).Sum();
        double[] falls = [.. truth.Select(reward => whole - reward)];

        var largest = falls.Max(Math.Abs);
        // First order: W changes too, which moves the optimum as much as a pair's own curvature does.
        Assert.True(Correlation.Pearson(scores, falls) > 0.99);
        Assert.True(Correlation.Spearman(scores, falls) > 0.95);
        // One Newton step knows both: what it misses is of the second order.
        double[] steps = [.. Enumerable.Range(0, 60).Select(i => whole - q.Zip(influence.NewtonWithout(new VoteChange([i])), (a, b) => a * b).Sum())];
        var (missed, missedByInfluence) = (steps.Zip(falls, (a, b) => Math.Abs(a - b)).Average(), scores.Zip(falls, (a, b) => Math.Abs(a - b)).Average());
        Assert.InRange(missed, 0, 0.4 * missedByInfluence);
        Assert.InRange(missed, 0, 0.02 * largest);
    }

    /// <summary>A step of a removal goes to where the loss is least along it, found here by walking; where the plain step overshoots it is shorter, where it falls short it is longer.</summary>
    [Fact]
    public void A_step_goes_as_far_as_the_loss_falls()
    {
        var head = Drawn(9, 200, 5, out var random);
        double[] theta = [.. Enumerable.Range(0, 5).Select(_ => 1.5 * random.NextGaussian())];
        var step = Cholesky.Factor(head.Hessian(theta, default), 5).Solve(head.Evaluate(theta).Gradient);
        double LossAt(double t) => head.Evaluate([.. theta.Zip(step, (a, b) => a - (t * b))]).Loss;
        var best = Enumerable.Range(0, 40_001).Select(i => i * 1e-4).MinBy(LossAt);

        var found = NewtonRemoval.Run(head, theta, default, steps: 1).Weights;

        Assert.NotEqual(1, best, 0.01); // else nothing is shown
        Assert.All(found.Zip(theta.Zip(step, (a, b) => a - (best * b))), pair => Assert.Equal(pair.Second, pair.First, 2e-4 * Math.Max(1, step.Max(Math.Abs))));
        // At the optimum there is nowhere to go.
        var optimum = head.Fit(default, null, 1e-13).Weights;
        Assert.All(NewtonRemoval.Run(head, optimum, default).Weights.Zip(optimum), pair => Assert.Equal(pair.Second, pair.First, 1e-9));
    }

    /// <summary>The kept sums against the loss of the pairs that are left, from the start.</summary>
    [Fact]
    public void A_step_from_kept_sums_is_the_step_on_the_pairs_that_are_left()
    {
        var head = Drawn(5, 300, 7, out var random);
        double[] theta = [.. Enumerable.Range(0, 7).Select(_ => 0.3 * random.NextGaussian())]; // not the optimum: the step knows where it stands
        int[] gone = [.. Enumerable.Range(0, 300).Where(_ => random.Chance(0.1))];

        var kept = new PairInfluence(head, theta, default).NewtonWithout(new VoteChange(gone));
        var left = head.Without(gone);
        double[] direct = [.. theta.Zip(Cholesky.Factor(left.Hessian(theta, default), theta.Length).Solve(left.Evaluate(theta).Gradient), (a, b) => a - b)];

        Assert.All(kept.Zip(direct), pair => Assert.Equal(pair.Second, pair.First, 1e-9));
        // And a removal that begins with it is the removal.
        var (begun, whole) = (NewtonRemoval.Run(head, new PairInfluence(head, theta, default), new VoteChange(gone), default), NewtonRemoval.Run(head.Without(gone), theta, default));
        Assert.All(begun.Weights.Zip(whole.Weights), pair => Assert.Equal(pair.Second, pair.First, 1e-9));
        Assert.Equal(whole.Steps, begun.Steps);
        Assert.Equal(whole.ResidualGradientNorm, begun.ResidualGradientNorm, 1e-9);
        Assert.Contains("No pair would be left of 300", Assert.Throws<ArgumentException>(() => new PairInfluence(head, theta, default).NewtonWithout(new VoteChange([.. Enumerable.Range(0, 300)]))).Message, StringComparison.Ordinal);
    }

    /// <summary>To first order, leaving a few pairs out changes θ by the sum of what each does.</summary>
    [Fact]
    public void A_preview_is_near_to_what_a_few_missing_pairs_do()
    {
        var head = Drawn(6, 2_000, 6, out _);
        var optimum = head.Fit(default).Weights;
        int[] gone = [.. Enumerable.Range(0, 20)];

        var preview = new PairInfluence(head, optimum, default).ChangeWithout(new VoteChange(gone));
        double[] truth = [.. head.Without(gone).Fit(default).Weights.Zip(optimum, (a, b) => a - b)];

        Assert.InRange(Distance(preview, truth) / Distance(truth, new double[6]), 0, 0.25);
    }

    /// <summary>T13: two steps lie within a hundredth of the way to the head that never saw the pairs, on 5,000 pairs of 64 numbers; one does not.</summary>
    [Fact]
    public void Two_steps_lead_to_the_head_that_never_saw_the_pairs()
    {
        var random = new SeededRandom(7);
        const int n = 5_000, d = 64;
        double[] truth = [.. Enumerable.Range(0, d).Select(_ => random.NextGaussian() / 4)];
        var values = new float[n * d];
        int[] gone = [.. Enumerable.Range(0, n / 20)];
        for (var i = 0; i < n; i++)
        {
            var margin = 0.0;
            for (var j = 0; j < d; j++)
                margin += (values[i * d + j] = (float)random.NextGaussian()) * truth[j];
            // The first twentieth shares a direction of its own and is labelled the wrong way.
            var sign = random.Chance(1 / (1 + Math.Exp(-margin))) ? 1f : -1f;
            for (var j = 0; j < d; j++)
                values[i * d + j] = i < gone.Length ? -sign * values[i * d + j] + (j == 0 ? 2 : 0) : sign * values[i * d + j];
        }
        using var rows = FeatureRows.Of(values, d);
        var head = new PairHead(rows, [.. Enumerable.Repeat(1.0, n)], 1e-3);
        var before = head.Fit(default).Weights;
        var left = head.Without(gone);
        var gold = left.Fit(default).Weights;

        double Left(int steps) => Distance(NewtonRemoval.Run(left, before, default, steps).Weights, gold) / Distance(before, gold);
        var (one, two) = (Left(1), Left(2));

        Assert.InRange(two, 0, 0.01);
        Assert.True(one > two);
        var certificate = NewtonRemoval.Run(left, before, default).ResidualGradientNorm;
        Assert.InRange(certificate, 1e-12, left.Evaluate(before).Gradient.Sum(x => x * x));
        Notes.Write(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"Newton removal, 5,000 pairs of 64 numbers: {one:P1} of the way left after one step, {two:P2} after two"));
    }

    [Fact]
    public void Nearness_cosine_and_TRAK_are_their_definitions()
    {
        var head = Drawn(8, 40, 3, out var random);
        var influence = new PairInfluence(head, head.Fit(default).Weights, default);
        double[] q = [.. Enumerable.Range(0, 3).Select(_ => random.NextGaussian())];

        var (nearness, cosine, trak) = (influence.Nearness(q), influence.Cosine(q), influence.TrakLinear(q));

        // (ΦᵀΦ)⁻¹ q by Cramer's rule; the ridge is a millionth.
        var phi = new double[3, 3];
        for (var i = 0; i < 40; i++)
            for (var j = 0; j < 3; j++)
                for (var k = 0; k < 3; k++)
                    phi[j, k] += (double)head.Rows[i][j] * head.Rows[i][k];
        double Determinant(double[,] m) => m[0, 0] * (m[1, 1] * m[2, 2] - m[1, 2] * m[2, 1]) - m[0, 1] * (m[1, 0] * m[2, 2] - m[1, 2] * m[2, 0]) + m[0, 2] * (m[1, 0] * m[2, 1] - m[1, 1] * m[2, 0]);
        double Solved(int column)
        {
            var replaced = (double[,])phi.Clone();
            for (var j = 0; j < 3; j++)
                replaced[j, column] = q[j];
            return Determinant(replaced) / Determinant(phi);
        }
        double[] solved = [Solved(0), Solved(1), Solved(2)];
        for (var i = 0; i < 40; i++)
        {
            double[] v = [.. head.Rows[i].ToArray().Select(x => (double)x)];
            var dot = v.Zip(q, (a, b) => a * b).Sum();
            Assert.Equal(-Distance(v, q), nearness[i], 1e-9);
            Assert.Equal(dot / Distance(v, new double[3]) / Distance(q, new double[3]), cosine[i], 1e-9);
            var expected = head.Counts[i] / (1 + Math.Exp(influence.Margins[i])) * v.Zip(solved, (a, b) => a * b).Sum();
            Assert.Equal(expected, trak[i], 1e-5 * Math.Max(1e-3, Math.Abs(expected)) + 1e-7);
        }
    }

    private static PairHead Drawn(ulong seed, int n, int d, out SeededRandom random)
    {
        var lots = random = new SeededRandom(seed);
        return new PairHead(FeatureRows.Of([.. Enumerable.Range(0, n * d).Select(i => (float)(lots.NextGaussian() + (i % d == 0 ? 0.5 : 0)))], d), [.. Enumerable.Range(0, n).Select(_ => 1.0 + lots.NextInt(3))], L2);
    }

    private static double Product(PairHead head, int row, double[] theta) => head.Rows[row].ToArray().Zip(theta, (a, b) => a * b).Sum();

    private static double Distance(double[] a, double[] b) => Math.Sqrt(a.Zip(b, (x, y) => (x - y) * (x - y)).Sum());
}
