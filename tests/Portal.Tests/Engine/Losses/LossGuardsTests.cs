using Portal.Engine.Losses;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Portal.Tests.Engine.Losses;

/// <summary>Closed forms, invariances and refusals of the losses; the numbers of other implementations are in LossVectorsTests.</summary>
public sealed class LossGuardsTests : IDisposable
{
    private readonly DisposeScope scope = NewDisposeScope();

    public void Dispose()
    {
        scope.Dispose();
    }

    [Fact]
    public void Equal_rewards_cost_ln_2_and_pull_apart_equally()
    {
        var (chosen, rejected) = (tensor(new[] { 3f, -1f }).requires_grad_(), tensor(new[] { 3f, -1f }).requires_grad_());
        var loss = BradleyTerryLoss.Compute(chosen, rejected);
        loss.backward();
        Assert.Equal(Math.Log(2), loss.item<float>(), 1e-6);
        Assert.Equal([-0.25f, -0.25f], Floats(chosen.grad!)); // −σ(0)/2
        Assert.Equal([0.25f, 0.25f], Floats(rejected.grad!));
    }

    [Fact]
    public void Weights_count_votes_as_repeating_the_pair_would()
    {
        var (chosen, rejected) = (tensor(new[] { 1f, 0.2f }), tensor(new[] { 0.5f, 0.9f }));
        var weighted = BradleyTerryLoss.Compute(chosen, rejected, weight: tensor(new[] { 3f, 1f }), centring: 0.01);
        var repeated = BradleyTerryLoss.Compute(tensor(new[] { 1f, 1f, 1f, 0.2f }), tensor(new[] { 0.5f, 0.5f, 0.5f, 0.9f }), centring: 0.01);
        Assert.Equal(repeated.item<float>(), weighted.item<float>(), 1e-6);
    }

    [Fact]
    public void Huge_differences_give_finite_losses_and_gradients()
    {
        var chosen = tensor(new[] { -1000f, 1000f }).requires_grad_();
        var loss = BradleyTerryLoss.Compute(chosen, tensor(new[] { 1000f, -1000f }));
        loss.backward();
        Assert.Equal(1000, loss.item<float>(), 1e-2); // (2000 + 0) / 2
        Assert.All(Floats(chosen.grad!), value => Assert.True(float.IsFinite(value)));
    }

    [Fact]
    public void Micro_batches_with_the_steps_token_count_add_up_to_the_big_batch()
    {
        var logProbs = tensor(new[] { -1f, -2f, -0.5f, -4f, -0.1f });
        var whole = CrossEntropyLoss.Compute(logProbs).item<float>();
        var parts = CrossEntropyLoss.Compute(logProbs.narrow(0, 0, 2), itemsInBatch: 5).item<float>()
            + CrossEntropyLoss.Compute(logProbs.narrow(0, 2, 3), itemsInBatch: 5).item<float>();
        Assert.Equal(whole, parts, 1e-6);
    }

    [Fact]
    public void Labels_are_shifted_once_and_padding_gets_no_gradient()
    {
        // Row 0 learns its tokens 2 and 3, row 1 its token 1; a token at position 0 is never predicted.
        var ids = tensor(new long[] { 5, 6, 7, 8, 9, 10, 0, 0 }).view(2, 4);
        var mask = tensor(new[] { false, false, true, true, true, true, false, false }).view(2, 4);
        var tokens = CompletionTokens.Of(ids, mask);
        Assert.Equal([1, 2, 4], Longs(tokens.Positions));
        Assert.Equal([7, 8, 10], Longs(tokens.Targets));
        Assert.Equal([0, 0, 1], Longs(tokens.Rows));
        Assert.Equal([0, 1, 0], Longs(tokens.Indexes));
        Assert.Equal([3f, 5f], Floats(tokens.SumByRow(tensor(new[] { 1f, 2f, 5f }))));

        var logits = randn(2, 4, 11).requires_grad_();
        SequenceLogProb.OfTokens(tokens.Pick(logits), tokens.Targets).sum().backward();
        var touched = logits.grad!.abs().sum(-1).gt(0).flatten().to_type(ScalarType.Int64);
        Assert.Equal([0, 1, 1, 0, 1, 0, 0, 0], Longs(touched));
    }

    [Fact]
    public void Kto_leaves_out_rows_that_are_no_number_and_carries_no_gradient_through_its_reference_point()
    {
        var logProbs = tensor(new[] { -3f, float.NaN, -2f });
        var kl = tensor(new[] { -1f }).requires_grad_();
        var result = KtoLoss.Compute(logProbs, tensor(new[] { -3f, -3f, -2f }), [true, true, false], kl, tensor(new[] { -1f }), new KtoOptions());
        Assert.Equal(0.5, result.Loss.item<float>(), 1e-6); // two rows at 1 − σ(0)
        Assert.False(result.Loss.requires_grad);
        Assert.Throws<ArgumentException>(() => KtoLoss.Compute(
            tensor(new[] { float.NaN }), tensor(new[] { 0f }), [true], kl, tensor(new[] { -1f }), new KtoOptions()));
    }

    [Fact]
    public void Wrong_shapes_and_options_are_refused_with_their_numbers()
    {
        var (two, three) = (zeros(2), zeros(3));
        Assert.Contains("[2] [3]", Assert.Throws<ArgumentException>(() => BradleyTerryLoss.Compute(two, three)).Message);
        Assert.Throws<ArgumentException>(() => BradleyTerryLoss.Compute(zeros(0), zeros(0)));
        Assert.Contains("weights are 0", Assert.Throws<ArgumentException>(() => BradleyTerryLoss.Compute(two, two, weight: zeros(2))).Message);
        Assert.Contains("at least one", Assert.Throws<ArgumentException>(() => CrossEntropyLoss.Compute(zeros(0))).Message);
        Assert.Throws<ArgumentException>(() => DpoLoss.Compute(new DpoLogProbs(two, two, two, three), new DpoOptions()));
        var pairs = new DpoLogProbs(two, two, two, two);
        Assert.Contains("β = 0", Assert.Throws<ArgumentException>(() => DpoLoss.Compute(pairs, new DpoOptions { Beta = 0 })).Message);
        Assert.Throws<ArgumentException>(() => DpoLoss.Compute(pairs, new DpoOptions { LabelSmoothing = 0.5 }));
        Assert.Contains("lengths", Assert.Throws<ArgumentException>(() => DpoLoss.Compute(pairs, new DpoOptions { Variant = DpoVariant.Ipo })).Message);
        Assert.Throws<ArgumentException>(() => KtoLoss.Compute(two, two, [true, false], null, null, new KtoOptions()));
        Assert.Throws<ArgumentException>(() => KtoLoss.Compute(two, two, [true], two, two, new KtoOptions()));
        Assert.Throws<ArgumentException>(() => RewardNormalisation.Fit([1, 1, 1]));
        Assert.Throws<ArgumentException>(() => RewardNormalisation.Fit([1, double.NaN]));
        Assert.Throws<ArgumentException>(() => CompletionTokens.Of(zeros(2, 3, dtype: ScalarType.Int64), zeros(2, 4, dtype: ScalarType.Bool)));
    }

    private static float[] Floats(Tensor values)
    {
        using var accessor = values.detach().data<float>();
        return accessor.ToArray();
    }

    private static long[] Longs(Tensor values)
    {
        using var accessor = values.data<long>();
        return accessor.ToArray();
    }
}
