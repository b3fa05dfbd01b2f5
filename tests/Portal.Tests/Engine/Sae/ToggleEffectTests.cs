using Portal.Data.Registry;
using Portal.Data.SaeFeatures;
using Portal.Data.Serving;
using Portal.Engine.Sae;
using Portal.Engine.Statistics;
using Xunit;

namespace Portal.Tests.Engine.Sae;

/// <summary>Figures against <see cref="CodedWorld"/>'s brute force; verdicts on worlds made to deserve them.</summary>
public sealed class ToggleEffectTests
{
    private static readonly CodedWorld World = CodedWorld.Random(prompts: 400);
    private static readonly IReadOnlyList<Toggle> Two = [new(3, 0), new(7, -1)];

    [Fact]
    public void Agreement_flips_and_doses_are_those_of_brute_force()
    {
        var answer = Measure(World, Two);
        var factors = CodedWorld.Factors(Two);

        Same(answer.AllPairs, _ => true);
        Same(answer.OnTarget!, World.IsOnTarget);
        Same(answer.OffTarget!, pair => !World.IsOnTarget(pair));
        Same(answer.Firing, pair => World.Differs(pair, factors.Keys));
        var flips = World.Flips(factors);
        Assert.Equal((flips.Count, flips.Count(World.IsOnTarget)), (answer.Flips, answer.FlipsOnTarget));
        Assert.Equal(ToggleEffect.Strengths, answer.Dose.Select(dose => dose.Strength));
        foreach (var dose in answer.Dose)
        {
            var stretched = factors.ToDictionary(factor => factor.Key, factor => 1 + dose.Strength * (factor.Value - 1));
            var pairs = Enumerable.Range(0, World.Pairs.Count).ToList();
            Assert.Equal(pairs.Average(pair => World.Right(pair, stretched)), dose.AllPairs, 12);
            Assert.Equal(pairs.Where(World.IsOnTarget).Average(pair => World.Right(pair, stretched)), dose.OnTarget!.Value, 12);
            Assert.Equal(pairs.Where(pair => !World.IsOnTarget(pair)).Average(pair => World.Right(pair, stretched)), dose.OffTarget!.Value, 12);
            Ranged(dose.AllPairsRange!, stretched, _ => true);
            Ranged(dose.OnTargetRange!, stretched, World.IsOnTarget);
            Ranged(dose.OffTargetRange!, stretched, pair => !World.IsOnTarget(pair));
            Assert.Equal(World.Flips(stretched).Count, dose.Flips);
        }
        // What stands elsewhere on the page as before and after is not drawn a second time with other ends.
        Assert.Equal(Of(0, answer.OnTarget!.Before!, answer.OffTarget!.Before!, answer.AllPairs.Before!, 0), answer.Dose.Single(dose => dose.Strength == 0));
        Assert.Equal(Of(1, answer.OnTarget.After!, answer.OffTarget.After!, answer.AllPairs.After!, answer.Flips), answer.Dose.Single(dose => dose.Strength == 1));

        static DosePoint Of(double strength, Estimated on, Estimated off, Estimated all, int flips) =>
            new(strength, on.Value, off.Value, all.Value, flips, new(on.Low!.Value, on.High!.Value), new(off.Low!.Value, off.High!.Value), new(all.Low!.Value, all.High!.Value));

        // The same figure by the general bootstrap, which draws prompts one by one.
        void Ranged(Range95 dose, IReadOnlyDictionary<int, double> stretched, Func<int, bool> which)
        {
            var interval = World.Agreement(stretched, which);
            var tolerance = 0.08 * (interval.High - interval.Low);
            Assert.InRange(dose.Low, interval.Low - tolerance, interval.Low + tolerance);
            Assert.InRange(dose.High, interval.High - tolerance, interval.High + tolerance);
        }

        void Same(AccuracyChange change, Func<int, bool> which)
        {
            var (before, after, interval) = World.AgreementChange(factors, which);
            var pairs = Enumerable.Range(0, World.Pairs.Count).Where(which).ToList();
            Assert.Equal((pairs.Count, pairs.Select(pair => World.Pairs[pair].PromptId).Distinct().Count()), (change.Pairs, change.Prompts));
            Assert.Equal(before, change.Before!.Value, 12);
            Assert.Equal(after, change.After!.Value, 12);
            Assert.Equal(interval.Estimate, change.Change!.Value, 12);
            // Two bootstraps of the same data: their ends differ by the noise of the resamples, a few per cent of the width.
            var tolerance = 0.08 * (interval.High - interval.Low);
            Assert.InRange(change.Change.Low!.Value, interval.Low - tolerance, interval.Low + tolerance);
            Assert.InRange(change.Change.High!.Value, interval.High - tolerance, interval.High + tolerance);
        }
    }

    [Fact]
    public void Flipped_pairs_are_listed_nearest_flip_point_first()
    {
        var answer = Measure(World, Two, new ToggleEffectOptions { FlipsMax = 10 });
        var factors = CodedWorld.Factors(Two);
        var codes = World.Codes();

        Assert.Equal(10, answer.Flipped.Count);
        var distances = answer.Flipped.Select(flip => Math.Abs(flip.FlipPoint!.Value - 1)).ToList();
        Assert.Equal(distances.Order(), distances);
        var nearest = World.Flips(factors).Min(pair => World.Gap(pair) is var gap && World.Gap(pair, Two.ToDictionary(toggle => toggle.Latent, _ => 0.0)) is var ablated ? Math.Abs(gap / (gap - ablated)) : 0);
        Assert.Equal(nearest, distances[0], 5);
        foreach (var flip in answer.Flipped)
        {
            var pair = Enumerable.Range(0, World.Pairs.Count).First(pair => codes.Responses[World.Pairs[pair].Chosen] == flip.ChosenId && codes.Responses[World.Pairs[pair].Rejected] == flip.RejectedId);
            Assert.Equal((World.Gap(pair) > 0, World.Pairs[pair].PromptId), (flip.AgreedBefore, flip.PromptId));
            Assert.Equal(World.Gap(pair), flip.Before, 5);
            Assert.Equal(World.Gap(pair, factors), flip.After, 5);
        }
    }

    [Fact]
    public void The_shift_of_rewards_is_the_integral_between_the_distribution_functions()
    {
        var shift = Measure(World, Two).Rewards;
        var factors = CodedWorld.Factors(Two);

        double[] before = [.. Enumerable.Range(0, World.Responses).Select(response => World.Reward(response))], after = [.. Enumerable.Range(0, World.Responses).Select(response => World.Reward(response, factors))];
        var mean = before.Average();
        var deviation = Math.Sqrt(before.Average(reward => (reward - mean) * (reward - mean)));
        Assert.Equal((after.Average() - mean) / deviation, shift.MeanShift, 6);
        Assert.Equal(CodedWorld.Wasserstein(before, after) / deviation, shift.Distance, 6);
        Assert.Equal(Enumerable.Range(0, World.Responses).Count(response => Two.Any(toggle => World.Value(response, toggle.Latent) > 0)), shift.Firing);
        Assert.Equal((World.Responses, World.Responses, World.Responses), (shift.Responses, shift.Before.Sum(), shift.After.Sum()));
        Assert.Equal(shift.Before.Count + 1, shift.Edges.Count);
        for (var bar = 0; bar < shift.Before.Count - 1; bar++)
            Assert.Equal(after.Count(reward => reward >= shift.Edges[bar] && reward < shift.Edges[bar + 1]), shift.After[bar], 1.0); // one on an edge may fall either way
    }

    [Fact]
    public void The_same_seed_gives_the_same_answer_and_another_one_other_ends()
    {
        var (first, again, other) = (Measure(World, Two), Measure(World, Two), Measure(World, Two, new ToggleEffectOptions { Seed = 2 }));

        Assert.Equal(first.AllPairs, again.AllPairs);
        Assert.Equal(first.Controls, again.Controls);
        Assert.Equal(first.AllPairs.Change!.Value, other.AllPairs.Change!.Value);
        Assert.NotEqual(first.AllPairs, other.AllPairs);
    }

    /// <summary>Feature 0 fires on texts with the phrase and nowhere else, the model pays for it, people do not: what toggles are for.</summary>
    [Fact]
    public void A_planted_feature_passes_every_control()
    {
        var world = Planted(fires: (_, isTarget, _) => isTarget);

        var answer = Measure(world, [new(0, 0)]);

        Assert.True(answer.OnTarget!.Change!.Low > 0.1, $"{answer.OnTarget}");
        Assert.InRange(answer.OffTarget!.Change!.Low!.Value, -0.01, 0.01);
        Assert.InRange(answer.OffTarget.Change.High!.Value, -0.01, 0.01);
        Assert.Equal(answer.Flips, answer.FlipsOnTarget);
        var matched = Control(answer, ToggleControls.MatchedKind);
        Assert.Contains("Fires more often on the target than on other texts of the same reward", matched.Says);
        Assert.Equal((1, 0), (matched.OnTarget!.Value, matched.OffTarget!.Value));
        var random = Control(answer, ToggleControls.RandomKind);
        Assert.True(random.OnTarget!.High < answer.OnTarget.Change.Low, random.Says);
        Assert.Contains("beyond what features of this size do", random.Says);
        Assert.Empty(answer.Warnings);
    }

    /// <summary>Feature 0 fires where the rest of the reward is high, and texts of the target have high rewards: its histogram shifts on target, and that means nothing.</summary>
    [Fact]
    public void A_detector_of_high_reward_is_exposed_at_equal_reward()
    {
        var world = Planted(fires: (rest, _, random) => rest > 1 && random.Chance(0.9), raise: 1.5, size: 0.2f);

        var answer = Measure(world, [new(0, 0)]);

        var firing = Enumerable.Range(0, world.Responses).Where(response => world.Value(response, 0) > 0).ToList();
        var (onTarget, offTarget) = (firing.Count(response => world.Targets[response]) / (double)world.Targets.Count(is_ => is_), firing.Count(response => !world.Targets[response]) / (double)world.Targets.Count(is_ => !is_));
        Assert.True(onTarget > 2 * offTarget, $"the plain shares must look like a target feature: {onTarget} and {offTarget}");
        var matched = Control(answer, ToggleControls.MatchedKind);
        Assert.StartsWith("Fires as often on other texts of the same reward: it goes with high reward rather than with the target's phrases. Whether it only detects that reward", matched.Says);
        Assert.InRange(matched.OffTarget!.Value, 0.8 * matched.OnTarget!.Value, 1.2 * matched.OnTarget.Value);
    }

    [Fact]
    public void A_feature_that_fires_anywhere_tells_no_target_apart()
    {
        var answer = Measure(Planted(fires: (_, _, random) => random.Chance(0.4)), [new(0, 0)]);

        Assert.StartsWith("Fires as often on other texts as on the target, at any reward", Control(answer, ToggleControls.MatchedKind).Says);
    }

    [Fact]
    public void Without_a_feature_of_its_size_the_random_control_says_so()
    {
        var world = Planted(fires: (_, isTarget, _) => isTarget);
        world.Weights[0] = 1_000;

        var control = Control(Measure(world, [new(0, 0)]), ToggleControls.RandomKind);

        Assert.Equal((null, null, null, 0), (control.OnTarget, control.OffTarget, control.Flips, control.Count));
        Assert.StartsWith("Not enough evidence: no other feature is about as large and as frequent as feature 0", control.Says);
    }

    [Fact]
    public void Random_features_change_what_the_mean_over_similar_ones_changes()
    {
        var answer = Measure(World, [new(3, 0)], new ToggleEffectOptions { Draws = 400 });

        // All similar features, each alone, by brute force; 400 draws from at most 29 come near their mean.
        double MassOf(int latent) => Enumerable.Range(0, World.Responses).Sum(response => Math.Abs(World.Weights[latent]) * World.Value(response, latent));
        int CountOf(int latent) => Enumerable.Range(0, World.Responses).Count(response => World.Value(response, latent) > 0);
        var similar = Enumerable.Range(0, World.Latents).Where(latent => latent != 3 && MassOf(latent) / MassOf(3) is >= 0.5 and <= 2 && CountOf(latent) / (double)CountOf(3) is >= 0.5 and <= 2).ToList();
        var expected = similar.Average(latent => World.Flips(new Dictionary<int, double> { [latent] = 0 }).Count);
        var control = Control(answer, ToggleControls.RandomKind);
        Assert.True(similar.Count > 3);
        Assert.Equal(400, control.Count);
        Assert.InRange(control.Flips!.Value, 0.9 * expected, 1.1 * expected);
        Assert.Contains($"at least {similar.Count} similar features", control.Says);
    }

    [Fact]
    public void A_factor_that_leaves_the_feature_to_decide_alone_is_called_saturated()
    {
        var world = Planted(fires: (_, isTarget, _) => isTarget, size: 1);

        Assert.Contains(Measure(world, [new(0, 80)]).Warnings, said => said.StartsWith("Saturated: in 100 % of the", StringComparison.Ordinal));
        Assert.DoesNotContain(Measure(world, [new(0, 1.2)]).Warnings, said => said.StartsWith("Saturated", StringComparison.Ordinal));
    }

    [Fact]
    public void Too_little_to_go_by_is_said_and_gets_no_interval()
    {
        var world = Planted(fires: (_, isTarget, _) => isTarget, prompts: 6);
        world.Add(new() { [39] = 1 });

        var answer = Measure(world, [new(0, 0), new(38, 0), new(39, 0)]);

        Assert.Contains(answer.Warnings, said => said.StartsWith("The toggled features tell the responses of only", StringComparison.Ordinal));
        Assert.Contains(answer.Warnings, said => said == "Feature 38 fires at no response's end: toggling it changes nothing.");
        Assert.Contains(answer.Warnings, said => said == "Feature 39 has weight 0 in the head: no factor changes that.");
        Assert.Equal(6, answer.AllPairs.Prompts);
        Assert.Null(answer.AllPairs.Change!.Low);
        Assert.All(answer.Dose, dose => Assert.Null(dose.AllPairsRange));
        Assert.StartsWith("Not enough evidence", Control(answer, ToggleControls.MatchedKind).Says);
        var nothing = ToggleEffect.Measure("m", new CodedRewards(new FeatureCodes { Latents = 40, Width = 4, Responses = [], Indices = [], Values = [], Pairs = [] }, new float[40]), [new(0, 0)], null, new(), default);
        Assert.Equal((0, 0, null, null), (nothing.Pairs, nothing.Flips, nothing.AllPairs.Before, nothing.OnTarget));
        Assert.Contains(Measure(world, [new(0, 1)]).Warnings, said => said == "All factors are 1, so nothing changes.");
    }

    [Fact]
    public void Without_a_target_nothing_is_said_about_one()
    {
        var answer = ToggleEffect.Measure("m", new CodedRewards(World.Codes(), World.Weights), Two, target: null, new(), default);

        Assert.Equal((null, null, null), (answer.OnTarget, answer.OffTarget, answer.FlipsOnTarget));
        Assert.Equal([ToggleControls.RandomKind], answer.Controls.Select(control => control.Kind));
        Assert.All(answer.Dose, dose => Assert.Equal((null, null, null, true), (dose.OnTarget, dose.OnTargetRange, dose.OffTarget, dose.AllPairsRange?.Low < dose.AllPairsRange?.High)));
        Assert.NotNull(answer.Controls[0].OffTarget);
    }

    [Fact]
    public void A_target_of_other_pairs_is_a_mistake_of_the_caller()
    {
        var before = new CodedRewards(World.Codes(), World.Weights);

        Assert.Throws<ArgumentException>(() => ToggleEffect.Measure("m", before, Two, new ToggleTarget([true], [true]), new(), default));
        Assert.Throws<ArgumentException>(() => ToggleTarget.Of(before.Codes, [true]));
    }

    private static TogglePreviewResponse Measure(CodedWorld world, IReadOnlyList<Toggle> toggles, ToggleEffectOptions? options = null)
    {
        var codes = world.Codes();
        return ToggleEffect.Measure("m", new CodedRewards(codes, world.Weights), toggles, ToggleTarget.Of(codes, world.Targets), options ?? new(), default);
    }

    private static ToggleControl Control(TogglePreviewResponse answer, string kind) => answer.Controls.Single(control => control.Kind == kind);

    /// <summary>
    /// 40 latents: 0 is the one in question, 1 to 19 make the rest of the reward, 20 and 21 fire nearly as often as the phrase stands and weigh as much as 0. A third of the texts
    /// show the phrase. People judge by all features but 0; the model by all.
    /// </summary>
    private static CodedWorld Planted(Func<double, bool, SeededRandom, bool> fires, double raise = 0, int prompts = 800, float size = 3)
    {
        var world = new CodedWorld(40, 8);
        var random = new SeededRandom(17);
        world.Weights[0] = size;
        for (var latent = 1; latent < 20; latent++)
            world.Weights[latent] = latent % 2 == 0 ? 1 : -1;
        for (var latent = 20; latent < 37; latent++)
            world.Weights[latent] = latent % 2 == 0 ? size : -size;
        for (var prompt = 0; prompt < prompts; prompt++)
        {
            var texts = Enumerable.Range(0, 2).Select(_ =>
            {
                var isTarget = random.Chance(1 / 3.0);
                var codes = Enumerable.Range(0, 4).Select(_ => 1 + random.NextInt(19)).Distinct().ToDictionary(latent => latent, _ => (float)random.NextDouble());
                if (isTarget && raise > 0)
                    codes[2] = codes.GetValueOrDefault(2) + (float)raise;
                if (random.Chance(0.45))
                    codes[20 + random.NextInt(2)] = 1;
                var meant = codes.Sum(code => world.Weights[code.Key] * code.Value);
                if (fires(meant, isTarget, random))
                    codes[0] = 1;
                return (At: world.Add(codes, isTarget), Others: meant);
            }).ToList();
            var first = texts[0].Others > texts[1].Others;
            world.Judge(CodedWorld.Prompt(prompt), texts[first ? 0 : 1].At, texts[first ? 1 : 0].At);
        }
        return world;
    }
}
