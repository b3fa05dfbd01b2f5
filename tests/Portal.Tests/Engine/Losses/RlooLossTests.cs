using Portal.Engine.Losses;
using Portal.Engine.Statistics;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Portal.Tests.Engine.Losses;

/// <summary>RLOO's parts by sums over whole distributions, brute force, closed forms and finite differences; other implementations' numbers are in LossVectorsTests.</summary>
public sealed class RlooLossTests : IDisposable
{
    private readonly DisposeScope scope = NewDisposeScope();

    public void Dispose() => scope.Dispose();

    /// <summary>The expectation over a policy of eight tokens, summed exactly, against the divergence's own formula.</summary>
    [Fact]
    public void K1_and_k3_are_unbiased_and_k2_is_not()
    {
        var random = new SeededRandom(3);
        for (var trial = 0; trial < 20; trial++)
        {
            var (policy, reference) = (Distribution(), Distribution());
            var divergence = policy.Zip(reference, (p, q) => p * Math.Log(p / q)).Sum();

            Assert.Equal(divergence, Mean(KlEstimator.K1), 1e-12);
            Assert.Equal(divergence, Mean(KlEstimator.K3), 1e-12);
            Assert.NotEqual(divergence, Mean(KlEstimator.K2), 1e-3);
            Assert.True(Spread(KlEstimator.K3) < Spread(KlEstimator.K1));
            Assert.All(policy.Zip(reference), token => Assert.True(KlEstimate.Of(KlEstimator.K3, Math.Log(token.First), Math.Log(token.Second)) >= 0));

            double Mean(KlEstimator estimator) => policy.Zip(reference, (p, q) => p * KlEstimate.Of(estimator, Math.Log(p), Math.Log(q))).Sum();

            double Spread(KlEstimator estimator) => policy.Zip(reference, (p, q) => p * Math.Pow(KlEstimate.Of(estimator, Math.Log(p), Math.Log(q)) - divergence, 2)).Sum();
        }

        double[] Distribution()
        {
            var weights = Enumerable.Range(0, 8).Select(_ => Math.Exp(0.5 * random.NextGaussian())).ToArray();
            return [.. weights.Select(weight => weight / weights.Sum())];
        }
    }

    [Fact]
    public void A_response_costs_the_sum_of_its_tokens_and_nothing_where_policy_and_reference_agree()
    {
        float[] policy = [-1f, -2f, -0.5f], reference = [-1.5f, -1f, -0.5f];
        Assert.Equal(-0.5, KlEstimate.Sum(KlEstimator.K1, policy, reference), 1e-12); // .5 − 1 + 0
        Assert.Equal(Math.Exp(-.5) - 1 + .5 + Math.E - 1 - 1, KlEstimate.Sum(KlEstimator.K3, policy, reference), 1e-12);
        Assert.All(Enum.GetValues<KlEstimator>(), estimator => Assert.Equal(0, KlEstimate.Sum(estimator, policy, policy)));
        Assert.Contains("3 log-probabilities and 2", Assert.Throws<ArgumentException>(() => KlEstimate.Sum(KlEstimator.K1, policy, reference[..2])).Message);
    }

    [Fact]
    public void The_coefficient_follows_its_target_and_no_faster_than_a_fifth_of_the_horizon()
    {
        Assert.Equal(0.1, AdaptiveKl.Next(0.1, 5, 5, 500, 64), 1e-15); // on target
        Assert.Equal(0.1 * (1 + 0.1 * 64 / 500), AdaptiveKl.Next(0.1, 5.5, 5, 500, 64), 1e-15);
        Assert.Equal(0.1 * (1 + 0.2 * 64 / 500), AdaptiveKl.Next(0.1, 500, 5, 500, 64), 1e-15);
        Assert.Equal(0.1 * (1 - 0.2 * 64 / 500), AdaptiveKl.Next(0.1, 0, 5, 500, 64), 1e-15);
        Assert.Contains("target 0", Assert.Throws<ArgumentException>(() => AdaptiveKl.Next(0.1, 1, 0, 500, 64)).Message);
    }

    /// <summary>Each answer against the mean of the others, added up one by one; and k/(k − 1) times the distance from the group's mean.</summary>
    [Fact]
    public void An_advantage_is_the_distance_from_the_mean_of_the_siblings()
    {
        var random = new SeededRandom(4);
        const int prompts = 6, answers = 5;
        var rewards = Enumerable.Range(0, prompts * answers).Select(_ => (double?)random.NextGaussian()).ToArray();
        rewards[7] = null;

        var advantages = RlooAdvantages.Compute(rewards, answers, normalize: false);

        for (var i = 0; i < rewards.Length; i++)
        {
            var siblings = Enumerable.Range(i / answers * answers, answers).Where(j => j != i && rewards[j] is not null).Select(j => rewards[j]!.Value).ToList();
            Assert.Equal(rewards[i] is { } own ? own - siblings.Average() : 0, advantages[i], 1e-12);
            if (i / answers != 7 / answers)
                Assert.Equal(answers / (answers - 1.0) * (rewards[i]!.Value - rewards.Skip(i / answers * answers).Take(answers).Average()!.Value), advantages[i], 1e-12);
        }
        Assert.All(advantages.Chunk(answers), group => Assert.Equal(0, group.Sum(), 1e-12));
    }

    [Fact]
    public void What_is_added_to_all_answers_of_a_prompt_changes_nothing()
    {
        double?[] rewards = [1, 2, 4, -3, 0, 5];
        var shifted = rewards.Select((reward, i) => reward + (i < 3 ? 100 : -7)).ToList();
        Assert.Equal(RlooAdvantages.Compute(rewards, 3, true), RlooAdvantages.Compute(shifted, 3, true));
        Assert.NotEqual(RlooAdvantages.Compute(rewards, 3, true), RlooAdvantages.Compute([1, 2, 4, -3, 0, 6], 3, true));
    }

    [Fact]
    public void Normalised_advantages_have_mean_0_and_deviation_1_and_unscored_answers_stay_at_0()
    {
        double?[] rewards = [1, 2, null, -3, 0, 5, 1, 1, null, null, null, 2];
        var advantages = RlooAdvantages.Compute(rewards, 4, true);
        var scored = advantages.Where((_, i) => i is not (2 or 8 or 9 or 10 or 11)).ToList(); // a last answer without scored siblings teaches nothing
        Assert.All([2, 8, 9, 10, 11], i => Assert.Equal(0, advantages[i]));
        Assert.Equal(0, scored.Average(), 1e-12);
        Assert.Equal(1, Math.Sqrt(scored.Sum(value => value * value) / (scored.Count - 1)), 1e-3); // over the deviation and 1e-4
        Assert.All(RlooAdvantages.Compute([2, 2, 2, 2], 2, true), value => Assert.Equal(0, value)); // no spread is no reason to divide by 0
        Assert.Equal(1.0 / 3, RlooAdvantages.ShareWithoutSpread(rewards, 4), 12);
    }

    [Fact]
    public void Sources_are_weighed_and_a_source_without_opinion_is_left_out()
    {
        IReadOnlyList<double?>[] sources = [[1, 2, null, null], [10, null, 30, null]];
        Assert.Equal([2 - 5.0, 4, -15, null], RlooAdvantages.Combine(sources, [2, -0.5]));
        Assert.Equal([-3.0, 3, -3, null], RlooAdvantages.Limit(RlooAdvantages.Combine(sources, [2, -0.5]), -3, 3));
        Assert.Equal([-3 - 0.1, 4 + 0.2, -15, null], RlooAdvantages.LessKl([-3, 4, -15, null], [1, -2, 0, 5], 0.1)); // the divergence's estimate may be below 0
        Assert.Contains("reward 1 of source 0 is NaN", Assert.Throws<ArgumentException>(() => RlooAdvantages.Combine([[1, double.NaN]], [1])).Message);
        Assert.Contains("reward 0 of source 1 is ", Assert.Throws<ArgumentException>(() => RlooAdvantages.Combine([[1], [double.NegativeInfinity]], [1, 1])).Message);
        Assert.Contains("at least 2", Assert.Throws<ArgumentException>(() => RlooAdvantages.Compute([1, 2], 1, false)).Message);
        Assert.Contains("must be whole", Assert.Throws<ArgumentException>(() => RlooAdvantages.Compute([1, 2, 3], 2, false)).Message);
    }

    /// <summary>On fresh samples ρ = 1: by token −A/N on each token, by sequence −A/B on each token of the answer.</summary>
    [Fact]
    public void On_fresh_samples_the_gradient_is_that_of_REINFORCE()
    {
        var logProbs = tensor(new[] { -1.0, -2.0, -0.3 }).requires_grad_();
        var loss = RlooLoss.OfTokens(logProbs, logProbs.detach(), tensor(new[] { 2.0, 2.0, -1.0 }), 0.2, 0.2, items: 5);
        loss.backward();
        Assert.Equal(-3.0 / 5, loss.item<double>(), 1e-12);
        Assert.Equal([-0.4, -0.4, 0.2], Doubles(logProbs.grad!), (a, b) => Math.Abs(a - b) < 1e-12);
        var sequences = tensor(new[] { -3.0, -0.3 }).requires_grad_();
        RlooLoss.PerSequence(sequences, sequences.detach(), tensor(new[] { 2.0, -1.0 }), 0.2, 0.2).mean().backward();
        Assert.Equal([-1.0, 0.5], Doubles(sequences.grad!), (a, b) => Math.Abs(a - b) < 1e-12);
    }

    [Fact]
    public void Beyond_the_clip_an_answer_is_not_pushed_further_and_is_still_pulled_back()
    {
        // Ratios e^.5 and e^−.5, each with both signs: pushing on ends at the clip, pulling back never does.
        var logProbs = tensor(new[] { -0.5, -0.5, -1.5, -1.5 }).requires_grad_();
        RlooLoss.OfTokens(logProbs, full(4, -1.0, dtype: ScalarType.Float64), tensor(new[] { 1.0, -1.0, 1.0, -1.0 }), 0.2, 0.3).mul(4).backward();
        var gradients = Doubles(logProbs.grad!);
        Assert.Equal([0, Math.Exp(.5), -Math.Exp(-.5), 0], gradients, (a, b) => Math.Abs(a - b) < 1e-12);
    }

    [Fact]
    public void Gradients_agree_with_finite_differences()
    {
        var random = new SeededRandom(5);
        const int tokens = 12;
        double[] Draw(double spread) => [.. Enumerable.Range(0, tokens).Select(_ => spread * random.NextGaussian())];
        double[] at = [.. Draw(1).Select(value => value - 4)], old = [.. at.Zip(Draw(0.3), (a, b) => a + b)], advantages = Draw(1);
        foreach (var loss in new Func<Tensor, Tensor>[]
                 {
                     logProbs => RlooLoss.OfTokens(logProbs, tensor(old), tensor(advantages), 0.2, 0.2),
                     logProbs => RlooLoss.PerSequence(logProbs, tensor(old), tensor(advantages), 0.2, 0.2).mean(),
                 })
        {
            var learned = tensor(at).requires_grad_();
            loss(learned).backward();
            var gradients = Doubles(learned.grad!);
            Assert.Contains(gradients, gradient => gradient == 0); // some are clipped, and most are not
            Assert.True(gradients.Count(gradient => gradient != 0) > tokens / 2);
            for (var i = 0; i < tokens; i++)
                Assert.Equal((Moved(i, 1e-6) - Moved(i, -1e-6)) / 2e-6, gradients[i], 1e-8);

            double Moved(int i, double by)
            {
                double[] moved = [.. at];
                moved[i] += by;
                return loss(tensor(moved)).item<double>();
            }
        }
    }

    [Fact]
    public void Shapes_and_clips_that_make_no_sense_are_refused()
    {
        Assert.Contains("[2], old ones [3]", Assert.Throws<ArgumentException>(() => RlooLoss.OfTokens(zeros(2), zeros(3), zeros(2), 0.2, 0.2)).Message);
        Assert.Throws<ArgumentException>(() => RlooLoss.PerSequence(zeros(0), zeros(0), zeros(0), 0.2, 0.2));
        Assert.Contains("clip −1", Assert.Throws<ArgumentException>(() => RlooLoss.OfTokens(zeros(2), zeros(2), zeros(2), 1, 0.2)).Message);
    }

    private static double[] Doubles(Tensor values) => values.detach().data<double>().ToArray();
}
