using Portal.Engine.Losses;
using Portal.Engine.Statistics;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Portal.Tests.Engine.Losses;

/// <summary>ReMax's advantages by closed forms and by the gradient they stand for, and the exact divergence by token, by sums over whole distributions and finite differences.</summary>
public sealed class ReMaxAdvantagesTests : IDisposable
{
    private readonly DisposeScope scope = NewDisposeScope();

    public void Dispose() => scope.Dispose();

    [Fact]
    public void An_advantage_is_the_distance_from_the_greedy_answer_held_within_the_limit_less_the_divergence()
    {
        // Two prompts with three answers each; the greedy answers have 1 and −2.
        double?[] rewards = [1, 4, -9, -2, 8, 0];
        double[] klNats = [0, 2, -1, 0, 3, 10];
        Assert.Equal([0, 3 - 0.2, -5 + 0.1, 0, 5 - 0.3, 2 - 1], ReMaxAdvantages.Compute(rewards, [1, -2], klNats, 0.1, 5, normalize: false), (a, b) => Math.Abs(a - b) < 1e-12);
        Assert.Equal([0, 3, -10, 0, 10, 2], ReMaxAdvantages.Compute(rewards, [1, -2], klNats, 0, null, normalize: false));
        // One answer a prompt is enough.
        Assert.Equal([3, -1], ReMaxAdvantages.Compute([4, 1], [1, 2], [0, 0], 0.1, 5, normalize: false));
    }

    [Fact]
    public void Where_an_answer_or_its_greedy_one_has_no_reward_nothing_is_learnt()
    {
        Assert.Equal([2, 0, 0, 0], ReMaxAdvantages.Compute([3, null, 5, 6], [1, null], [0, 1, 1, 1], 0.1, 5, normalize: false));
        var normal = ReMaxAdvantages.Compute([3, null, 5, 6, 1, 2], [1, null, 0], [0, 0, 0, 0, 0, 0], 0.1, 5, normalize: true); // 2, 1 and 2 are known
        Assert.Equal([0, 0, 0], new[] { normal[1], normal[2], normal[3] });
        Assert.Equal(0, normal[0] + normal[4] + normal[5], 1e-12);
        Assert.Equal(1 / Math.Sqrt(3), normal[0], 1e-3); // (2 − 5/3) over the deviation 1/√3
    }

    /// <summary>A policy of one token: the mean of A ∇ log π over all tokens is the gradient of E[r] − β KL, whatever the greedy token gets.</summary>
    [Fact]
    public void Their_policy_gradient_is_the_gradient_of_reward_less_divergence()
    {
        const int tokens = 7;
        const double beta = 0.3;
        var random = new SeededRandom(6);
        double[] Draw(double spread) => [.. Enumerable.Range(0, tokens).Select(_ => spread * random.NextGaussian())];
        var (at, before, rewards) = (Draw(1), Draw(1), Draw(2));
        var logits = tensor(at).requires_grad_();
        var reference = tensor(before).log_softmax(0);
        logits.softmax(0).mul(tensor(rewards).sub(logits.log_softmax(0).sub(reference).mul(beta))).sum().backward();
        double[] policy = [.. Doubles(tensor(at).softmax(0))], wanted = Doubles(logits.grad!);
        var klNats = Doubles(tensor(at).log_softmax(0).sub(reference));

        foreach (var greedy in new[] { rewards[Array.IndexOf(policy, policy.Max())], 100 })
        {
            var advantages = ReMaxAdvantages.Compute([.. rewards.Select(reward => (double?)reward)], [greedy], klNats, beta, limit: null, normalize: false);
            for (var j = 0; j < tokens; j++)
                Assert.Equal(wanted[j], Enumerable.Range(0, tokens).Sum(v => policy[v] * advantages[v] * ((v == j ? 1 : 0) - policy[j])), 1e-10);
        }
    }

    [Fact]
    public void Numbers_that_do_not_fit_are_refused()
    {
        Assert.Contains("3 rewards and 2 greedy ones", Assert.Throws<ArgumentException>(() => ReMaxAdvantages.Compute([1, 2, 3], [1, 2], [0, 0, 0], 0, null, false)).Message);
        Assert.Contains("2 rewards and 1 divergences", Assert.Throws<ArgumentException>(() => ReMaxAdvantages.Compute([1, 2], [1, 2], [0], 0, null, false)).Message);
        Assert.Contains("limit 0", Assert.Throws<ArgumentException>(() => ReMaxAdvantages.Compute([1], [1], [0], 0, 0, false)).Message);
    }

    /// <summary>Two tokens of π = (3/4, 1/4) against (1/2, 1/2), and ten of which k1's mean is summed.</summary>
    [Fact]
    public void The_divergence_of_a_position_is_the_mean_of_k1_over_its_tokens()
    {
        var known = TokenKl.Compute(tensor(new[] { Math.Log(3), 0, 5, 5 }).reshape(2, 2), tensor(new[] { 1.0, 1, -2, -2 }).reshape(2, 2));
        Assert.Equal([0.75 * Math.Log(1.5) + 0.25 * Math.Log(0.5), 0], Doubles(known), (a, b) => Math.Abs(a - b) < 1e-12);

        var (logits, reference) = (randn([4, 10], dtype: ScalarType.Float64), randn([4, 10], dtype: ScalarType.Float64));
        var (policy, before) = (logits.log_softmax(-1), reference.log_softmax(-1));
        for (var row = 0; row < 4; row++)
            Assert.Equal(Enumerable.Range(0, 10).Sum(v => Math.Exp(policy[row, v].item<double>()) * KlEstimate.Of(KlEstimator.K1, policy[row, v].item<double>(), before[row, v].item<double>())),
                TokenKl.Compute(logits, reference)[row].item<double>(), 1e-12);
        Assert.Contains("[4, 10] and the reference's [4, 9]", Assert.Throws<ArgumentException>(() => TokenKl.Compute(logits, reference.narrow(1, 0, 9))).Message);
    }

    [Fact]
    public void Its_gradient_agrees_with_finite_differences_reaches_only_the_policy_and_is_0_where_both_agree()
    {
        using var random = new Generator(7);
        var (at, reference) = (randn([3, 5], dtype: ScalarType.Float64, generator: random), randn([3, 5], dtype: ScalarType.Float64, generator: random).requires_grad_());
        var logits = at.clone().requires_grad_();
        TokenKl.Compute(logits, reference).sum().backward();
        Assert.Null(reference.grad);
        var gradient = Doubles(logits.grad!.reshape(-1));
        for (var i = 0; i < gradient.Length; i++)
            Assert.Equal((Moved(i, 1e-6) - Moved(i, -1e-6)) / 2e-6, gradient[i], 1e-8);
        var same = at.clone().requires_grad_();
        TokenKl.Compute(same, at).sum().backward();
        Assert.All(Doubles(same.grad!.reshape(-1)), value => Assert.Equal(0, value, 1e-12));

        double Moved(int i, double by)
        {
            var moved = at.clone();
            moved.reshape(-1)[i] = moved.reshape(-1)[i] + by;
            return TokenKl.Compute(moved, reference).sum().item<double>();
        }
    }

    private static double[] Doubles(Tensor values) => values.detach().data<double>().ToArray();
}
