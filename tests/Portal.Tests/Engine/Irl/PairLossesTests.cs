using Portal.Engine.Irl;
using Portal.Engine.Irl.Parity;
using Portal.Engine.Statistics;
using Xunit;

namespace Portal.Tests.Engine.Irl;

/// <summary>
/// Losses against the reference values of specs/fairl.md §2; gradients against PyTorch's autograd with the specification's routing (irl_vectors.json) and against finite differences in double;
/// the optimiser against torch.optim.AdamW with clipping.
/// </summary>
public sealed class PairLossesTests
{
    [Fact]
    public void Losses_match_the_values_of_the_specification()
    {
        double[] x = [.3, -.2];
        void Same(IPairObjective objective, double first, double second, double tolerance)
        {
            Assert.Equal(first, objective.Loss(x[0]), tolerance);
            Assert.Equal(second, objective.Loss(x[1]), tolerance);
        }

        Same(new EntropyObjective(0.1), .048587, 2.126928, 5e-7);
        Same(new HingeObjective(0.1), 0, .3, 1e-12);
        Same(new AsymmetricObjective(), -.3, .4, 1e-12);
        Same(new ConfidenceObjective(), 0, .4, 1e-12);
    }

    [Theory]
    [InlineData(1e4)]
    [InlineData(-1e4)]
    [InlineData(1e300)]
    [InlineData(-1e300)]
    public void Max_entropy_is_finite_however_large_the_margin(double margin)
    {
        foreach (var temperature in new[] { 1, 0.1 })
        {
            var objective = new EntropyObjective(temperature);
            Assert.Equal(margin > 0 ? 0 : -margin / temperature, objective.Loss(margin), Math.Abs(margin) * 1e-12);
            Assert.Equal(margin > 0 ? 0 : -1 / temperature, objective.Slope(margin), 1e-12);
        }
    }

    public static TheoryData<string> Objectives => ["entropy", "entropy at .1", "hinge", "asymmetric", "confidence"];

    [Theory]
    [MemberData(nameof(Objectives))]
    public void Slopes_are_those_of_the_losses(string name)
    {
        IPairObjective objective = name switch
        {
            "entropy" => new EntropyObjective(),
            "entropy at .1" => new EntropyObjective(0.1),
            "hinge" => new HingeObjective(),
            "asymmetric" => new AsymmetricObjective(),
            _ => new ConfidenceObjective(),
        };

        foreach (var margin in new[] { -3, -0.7, -0.01, 0.013, 0.5, 0.98, 2.2 })
            Assert.Equal((objective.Loss(margin + 1e-6) - objective.Loss(margin - 1e-6)) / 2e-6, objective.Slope(margin), 1e-7);
    }

    [Fact]
    public void Gradients_match_autograd()
    {
        foreach (var golden in IrlGolden.File.Losses)
        {
            var (loss, routed, gradient) = Evaluate(golden, golden.Weights);
            Assert.Equal(golden.Loss, loss, 1e-12);
            if (golden.Hidden > 0)
                Assert.Equal(golden.RoutedLoss, routed, 1e-12);
            Assert.Equal(golden.Gradient.Length, gradient.Length);
            for (var i = 0; i < gradient.Length; i++)
                Assert.True(Math.Abs(golden.Gradient[i] - gradient[i]) < 1e-12, $"{golden.Objective}, hidden {golden.Hidden}, weight {i}: {gradient[i]}, autograd {golden.Gradient[i]}");
        }
        Assert.Equal([0, 0, 5, 4, 3], IrlGolden.File.Losses.Select(golden => golden.Hidden));
    }

    /// <summary>The base's gradient is that of the whole loss, the correction's that of the routed part.</summary>
    [Fact]
    public void Gradients_match_finite_differences()
    {
        foreach (var golden in IrlGolden.File.Losses)
        {
            var (_, _, gradient) = Evaluate(golden, golden.Weights);
            for (var i = 0; i < gradient.Length; i++)
            {
                double[] up = [.. golden.Weights], down = [.. golden.Weights];
                const double step = 1e-5;
                (up[i], down[i]) = (up[i] + step, down[i] - step);
                var (more, less) = (Evaluate(golden, up), Evaluate(golden, down));
                var difference = i >= golden.Columns && golden.Routed ? more.Routed - less.Routed : more.Loss - less.Loss;
                Assert.True(Math.Abs(difference / (2 * step) - gradient[i]) < 1e-4 * Math.Max(0.01, Math.Abs(gradient[i])), $"{golden.Objective}, hidden {golden.Hidden}, weight {i}: {gradient[i]}, difference {difference / (2 * step)}");
            }
        }
    }

    /// <summary>Negative control of both tests above: a correction that is not routed has another gradient.</summary>
    [Fact]
    public void Another_routing_is_noticed()
    {
        var golden = IrlGolden.File.Losses.First(one => one.Routed);

        var (_, _, gradient) = Evaluate(golden with { Routed = false }, golden.Weights);

        Assert.True(golden.Gradient.Skip(golden.Columns).Zip(gradient.Skip(golden.Columns)).Max(pair => Math.Abs(pair.First - pair.Second)) > 1e-3);
    }

    [Fact]
    public void The_order_of_a_batch_and_a_pair_taken_twice_are_what_they_should_be()
    {
        var golden = IrlGolden.File.Losses[2];
        var loss = new DualPathLoss(golden.Pairs, golden.All, golden.Hidden, golden.Mu, golden.Routed) { Failures = golden.Term };
        double[] forward = new double[loss.Size], backward = new double[loss.Size], twice = new double[loss.Size];
        int[] rows = [.. Enumerable.Range(0, golden.Rows)];

        var one = loss.Evaluate(rows, golden.Weights, forward);
        Assert.Equal(one, loss.Evaluate([.. rows.Reverse()], golden.Weights, backward), 1e-12);
        Assert.Equal(one, loss.Evaluate([.. rows, .. rows], golden.Weights, twice), 1e-12);
        Assert.All(forward.Zip(backward, twice), three => Assert.True(Math.Abs(three.First - three.Second) < 1e-12 && Math.Abs(three.First - three.Third) < 1e-12));
    }

    [Fact]
    public void A_correction_that_starts_at_zero_changes_no_score()
    {
        var golden = IrlGolden.File.Losses[2];
        var loss = new DualPathLoss(golden.Pairs, golden.All, 16, golden.Mu, isRouted: true);
        double[] theta = [.. golden.Weights.Take(golden.Columns)];

        var weights = loss.Start(theta, new SeededRandom(1));
        var (full, linear) = (loss.Reward(weights), new RecoveredReward(theta));

        Assert.Equal(linear.Scores(golden.Plus), full.Scores(golden.Plus)); // identical, not merely close
        Assert.Contains(full.Correction!.Input, weight => weight != 0); // it is ready to learn
        Assert.All(full.Correction.Output, weight => Assert.Equal(0, weight));
    }

    [Fact]
    public void A_reward_scores_many_texts_as_it_scores_one()
    {
        var golden = IrlGolden.File.Losses[2];
        var loss = new DualPathLoss(golden.Pairs, golden.All, golden.Hidden, golden.Mu, isRouted: true);
        var reward = loss.Reward(golden.Weights);

        var scores = reward.Scores(golden.Plus);
        for (var row = 0; row < golden.Rows; row++)
        {
            var z = golden.Plus.AsSpan(row * golden.Columns, golden.Columns);
            Assert.Equal(reward.Score(z), scores[row], 1e-12);
            Assert.Equal(reward.Base(z) + reward.Corrected(z), scores[row], 1e-12);
        }
        Assert.Equal(golden.Loss, Enumerable.Range(0, golden.Rows).Average(row => reward.Margins(golden.Pairs)[row] is var m && golden.Failing[row] ? golden.Weight * golden.Term.Objective.Loss(m) : golden.All.Loss(reward.Margins(golden.Pairs)[row])), 1e-12);
        Assert.Equal((reward with { Lambda = 0 }).Scores(golden.Plus), new RecoveredReward(reward.Theta).Scores(golden.Plus)); // the base alone, for the ablation
    }

    [Fact]
    public void The_optimiser_is_torchs()
    {
        var golden = IrlGolden.File.Adamw;
        double[] weights = [.. golden.Start];
        var training = new HeadTraining(weights, [0], new SeededRandom(1));

        for (var step = 0; step < golden.Gradients.Length; step++)
        {
            training.Step([.. golden.Gradients[step]]);
            Assert.All(golden.After[step].Zip(weights), pair => Assert.Equal(pair.First, pair.Second, 1e-12));
        }
        Assert.True(golden.Gradients.Count(g => Math.Sqrt(g.Sum(x => x * x)) > 1) is > 1 and < 7); // both kinds: clipped and not
    }

    private static (double Loss, double Routed, double[] Gradient) Evaluate(LossCase golden, double[] weights)
    {
        int[] rows = [.. Enumerable.Range(0, golden.Rows)];
        var gradient = new double[weights.Length];
        if (golden.Hidden == 0)
            return (new LinearLoss(golden.Pairs, golden.All) { Failures = golden.Term }.Evaluate(rows, weights, gradient), 0, gradient);
        var loss = new DualPathLoss(golden.Pairs, golden.All, golden.Hidden, golden.Mu, golden.Routed) { Failures = golden.Term };
        return (loss.Evaluate(rows, weights, gradient), loss.RoutedLoss, gradient);
    }
}
