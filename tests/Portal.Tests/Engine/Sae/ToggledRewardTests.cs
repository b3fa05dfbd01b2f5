using Portal.Data.SaeFeatures;
using Portal.Engine.Sae;
using Xunit;

namespace Portal.Tests.Engine.Sae;

/// <summary>Expected numbers are those of <see cref="CodedWorld"/>, which works from the definitions with dictionaries.</summary>
public sealed class ToggledRewardTests
{
    private static readonly CodedWorld World = CodedWorld.Random(prompts: 120);
    private static readonly IReadOnlyList<Toggle> Three = [new(3, 0), new(7, -1), new(11, 2.5)];

    /// <summary>Under an SAE without ReLU some codes are below 0: they are part of the reward, so toggles move them too.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(0.3)]
    public void Gaps_before_and_after_are_the_sums_over_all_features(double below)
    {
        var world = CodedWorld.Random(prompts: 120, below: below);
        var toggled = new ToggledReward(new CodedRewards(world.Codes(), world.Weights), Three);
        var factors = CodedWorld.Factors(Three);

        for (var pair = 0; pair < world.Pairs.Count; pair++)
        {
            Assert.Equal(world.Gap(pair), toggled.Before.Gaps[pair], 6);
            Assert.Equal(world.Gap(pair, factors), toggled.Gap(pair), 5); // products are rounded to float32
            Assert.Equal(world.Gap(pair, factors.ToDictionary(f => f.Key, f => 1 + 4 * (f.Value - 1))), toggled.Gap(pair, strength: 4), 4);
            Assert.Equal(world.Differs(pair, factors.Keys), toggled.Differs(pair));
        }
        Assert.Equal(world.Flips(factors), Enumerable.Range(0, world.Pairs.Count).Where(pair => toggled.Turns(pair)));
        Assert.NotEmpty(world.Flips(factors));
        Assert.Equal(Enumerable.Range(0, world.Responses).Sum(response => Math.Abs((double)world.Weights[3] * world.Value(response, 3))), toggled.Before.Mass(3), 6);
        Assert.Equal(below > 0, Enumerable.Range(0, world.Responses).Any(response => world.Value(response, 3) < 0));
    }

    [Fact]
    public void At_the_flip_point_the_two_are_equal_and_on_either_side_the_order_differs()
    {
        var toggled = Toggled(Three);
        var (with, without) = (0, 0);

        for (var pair = 0; pair < World.Pairs.Count; pair++)
        {
            if (toggled.FlipPoint(pair) is not { } at)
            {
                // No common factor changes this pair: try some, ablation and huge ones among them.
                Assert.All(new[] { -1e3, -1, 0, 0.5, 1e3 }, factor => Assert.Equal(World.Gap(pair), World.Gap(pair, Common(factor)), 6));
                without++;
                continue;
            }
            var step = 1e-3 * Math.Max(1, Math.Abs(at));
            Assert.Equal(0, World.Gap(pair, Common(at)), 5);
            Assert.True(World.Gap(pair, Common(at - step)) * World.Gap(pair, Common(at + step)) < 0, $"pair {pair}: the order is the same on both sides of {at}");
            with++;
        }
        Assert.True(with > 50 && without > 50, $"{with} pairs with and {without} without a flip point");

        static Dictionary<int, double> Common(double factor) => Three.ToDictionary(toggle => toggle.Latent, _ => factor);
    }

    /// <summary>Closed form of one feature: Δr = 3, w Δz = 2 · 1.5; it turns at m = 1 − 3/3 = 0. And of two that cancel: T = 0, no factor.</summary>
    [Fact]
    public void One_feature_turns_where_SARM_says_and_two_that_cancel_never_do()
    {
        var world = new CodedWorld(3, 2);
        (world.Weights[0], world.Weights[1], world.Weights[2]) = (2, 1, 2);
        world.Judge(CodedWorld.Prompt(0), world.Add(new() { [0] = 2.5f }), world.Add(new() { [0] = 1 }));
        world.Judge(CodedWorld.Prompt(1), world.Add(new() { [0] = 1, [1] = 4 }), world.Add(new() { [2] = 1 }));
        var before = new CodedRewards(world.Codes(), world.Weights);

        Assert.Equal(0, new ToggledReward(before, [new(0, 5)]).FlipPoint(0)!.Value, 12);
        Assert.Null(new ToggledReward(before, [new(0, 0), new(2, 0)]).FlipPoint(1));
        Assert.NotNull(new ToggledReward(before, [new(0, 0)]).FlipPoint(1)); // and alone it has one: 1 − 4/2 = −1
        Assert.Equal(-1, new ToggledReward(before, [new(0, 0)]).FlipPoint(1)!.Value, 12);
    }

    [Fact]
    public void Becoming_a_tie_is_no_turn_and_sums_in_another_order_are_ties()
    {
        var world = new CodedWorld(4, 4);
        (world.Weights[0], world.Weights[1], world.Weights[2], world.Weights[3]) = (1, 0.1f, 0.3f, 0.7f);
        world.Judge(CodedWorld.Prompt(0), world.Add(new() { [0] = 1, [1] = 1 }), world.Add(new() { [1] = 1 })); // ablating 0 leaves them equal
        var toggled = new ToggledReward(new CodedRewards(world.Codes(), world.Weights), [new(0, 0)]);

        Assert.False(toggled.Turns(0));
        Assert.Equal(0, toggled.Before.SignOf(toggled.Gap(0)));
        Assert.Equal(1, toggled.Before.SignOf(toggled.Before.Gaps[0]));
        Assert.Equal(0, toggled.Before.SignOf(1e-16)); // rounding is no preference
        Assert.Equal(-1, toggled.Before.SignOf(-1e-6)); // and a small one is
    }

    [Fact]
    public void Weights_are_multiplied_once_and_the_rest_is_bit_for_bit_the_same()
    {
        var changed = ToggledReward.Weights(World.Weights, Three);

        for (var latent = 0; latent < World.Latents; latent++)
            Assert.Equal(BitConverter.SingleToInt32Bits(latent switch
            {
                3 => 0 * World.Weights[3], 7 => -World.Weights[7], 11 => (float)(2.5 * World.Weights[11]), _ => World.Weights[latent],
            }), BitConverter.SingleToInt32Bits(changed[latent]));
        var after = new CodedRewards(World.Codes(), changed);
        var toggled = Toggled(Three);
        for (var pair = 0; pair < World.Pairs.Count; pair++)
            Assert.Equal(after.Gaps[pair], toggled.Gap(pair), 12); // the preview is what the published head gives
    }

    [Theory]
    [InlineData(30, 0)]
    [InlineData(0, 1e9)]
    [InlineData(0, double.NaN)]
    public void What_a_set_may_not_hold_is_refused(int latent, double factor) =>
        Assert.NotNull(Assert.Throws<ArgumentException>(() => Toggled([new(latent, factor)])).Message);

    private static ToggledReward Toggled(IReadOnlyList<Toggle> toggles) => new(new CodedRewards(World.Codes(), World.Weights), toggles);
}
