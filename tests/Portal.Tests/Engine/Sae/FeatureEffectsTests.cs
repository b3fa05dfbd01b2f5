using Portal.Data.Registry;
using Portal.Engine.Sae;
using Portal.Engine.Statistics;
using Xunit;

namespace Portal.Tests.Engine.Sae;

/// <summary>Intervals of a feature's means against the definition worked out with loops, the textbook's s²/N, and the bootstrap by prompt.</summary>
public sealed class FeatureEffectsTests
{
    private static readonly CodedWorld World = CodedWorld.Random(prompts: 300);

    [Fact]
    public void Means_and_intervals_are_those_of_the_definition()
    {
        var before = new CodedRewards(World.Codes(), World.Weights);
        int[] latents = [.. Enumerable.Range(0, World.Latents).Reverse()];

        var effects = FeatureEffects.Of(before, latents, default);

        Assert.Equal(latents, effects.Select(effect => effect.Latent));
        foreach (var effect in effects)
        {
            var w = (double)World.Weights[effect.Latent];
            var gaps = World.Pairs.Select((pair, i) => (Group: before.PromptOfPair[i], Value: w * World.Value(pair.Chosen, effect.Latent) - w * World.Value(pair.Rejected, effect.Latent))).ToList();
            var parts = Enumerable.Range(0, World.Responses).Select(response => (Group: before.PromptOfResponse[response], Value: w * World.Value(response, effect.Latent))).ToList();
            Same(gaps, effect.Gap!, effect.PromptsDiffering);
            Same(parts, effect.Contribution!, effect.PromptsFiring);
        }

        static void Same(List<(int Group, double Value)> cases, Portal.Data.Serving.Estimated told, int prompts)
        {
            var mean = cases.Average(one => one.Value);
            var groups = cases.GroupBy(one => one.Group).ToList();
            var sum = groups.Sum(own => Math.Pow(own.Sum(one => one.Value - mean), 2));
            var half = 1.959963984540054 * Math.Sqrt(groups.Count / (groups.Count - 1.0) * sum) / cases.Count;
            Assert.Equal(groups.Count(own => own.Any(one => one.Value != 0)), prompts);
            Assert.Equal(mean, told.Value, 12);
            Assert.Equal(mean - half, told.Low!.Value, 9);
            Assert.Equal(mean + half, told.High!.Value, 9);
        }
    }

    /// <summary>One pair a prompt: the variance of a mean is s²/N, with N − 1 in s².</summary>
    [Fact]
    public void One_pair_a_prompt_gives_the_textbooks_standard_error()
    {
        var world = new CodedWorld(3, 2) { Weights = { [0] = 2, [1] = -.5f, [2] = 1 } };
        var values = new List<double>();
        for (var prompt = 0; prompt < 40; prompt++)
        {
            var z = prompt % 3 == 0 ? 0 : 0.25f * (1 + prompt % 7);
            world.Judge(CodedWorld.Prompt(prompt), world.Add(z > 0 ? new() { [0] = z, [1] = 1 } : new() { [1] = 1 }), world.Add(new() { [1] = 1 }));
            values.Add(2 * z);
        }
        var (mean, n) = (values.Average(), values.Count);
        var half = 1.959963984540054 * Math.Sqrt(values.Sum(value => (value - mean) * (value - mean)) / (n - 1) / n);

        var effects = FeatureEffects.Of(new CodedRewards(world.Codes(), world.Weights), [0, 1, 2], default);

        Assert.Equal(mean, effects[0].Gap!.Value, 12);
        Assert.Equal(mean - half, effects[0].Gap!.Low!.Value, 9);
        Assert.Equal(mean + half, effects[0].Gap!.High!.Value, 9);
        Assert.Equal((0.0, null, 0), (effects[1].Gap!.Value, effects[1].Gap!.Low, effects[1].PromptsDiffering)); // both responses have it alike: it tells none apart
        Assert.Equal((-.5, 40), (effects[1].Contribution!.Value, effects[1].PromptsFiring));
        Assert.Equal(-.5, effects[1].Contribution!.Low!.Value, 6); // the same everywhere, so there is nothing to be unsure of
        Assert.Equal((0.0, null, 0), (effects[2].Contribution!.Value, effects[2].Contribution!.Low, effects[2].PromptsFiring));
    }

    [Fact]
    public void Intervals_are_about_those_of_the_bootstrap_by_prompt()
    {
        var before = new CodedRewards(World.Codes(), World.Weights);
        var latent = Enumerable.Range(0, World.Latents).MaxBy(before.FiringCount);
        var w = (double)World.Weights[latent];

        var gap = FeatureEffects.Of(before, [latent], default)[0].Gap!;

        var drawn = Bootstrap.Mean([.. World.Pairs.Select(pair => w * (World.Value(pair.Chosen, latent) - World.Value(pair.Rejected, latent)))], [.. World.Pairs.Select(pair => $"{pair.PromptId}")], new SeededRandom(4), 8_000);
        var tolerance = 0.1 * (drawn.High - drawn.Low);
        Assert.InRange(gap.Low!.Value, drawn.Low - tolerance, drawn.Low + tolerance);
        Assert.InRange(gap.High!.Value, drawn.High - tolerance, drawn.High + tolerance);
    }

    /// <summary>Responses of the same prompt that are all alike say no more than one of them: the interval must not shrink when each is there four times.</summary>
    [Fact]
    public void Copies_within_a_prompt_make_nothing_surer()
    {
        var (once, often) = (Made(1), Made(4));

        Assert.Equal(once.Gap!.Value, often.Gap!.Value, 12);
        Assert.Equal(once.Gap.High!.Value - once.Gap.Low!.Value, often.Gap.High!.Value - often.Gap.Low!.Value, 9);

        static Portal.Data.Serving.FeatureEffect Made(int copies)
        {
            var world = new CodedWorld(1, 1) { Weights = { [0] = 1 } };
            for (var prompt = 0; prompt < 30; prompt++)
                for (var copy = 0; copy < copies; copy++)
                    world.Judge(CodedWorld.Prompt(prompt), world.Add(new() { [0] = 1 + prompt % 5 }), world.Add([]));
            return FeatureEffects.Of(new CodedRewards(world.Codes(), world.Weights), [0], default)[0];
        }
    }

    [Theory]
    [InlineData(MetricNames.PromptsForInterval - 1, false)]
    [InlineData(MetricNames.PromptsForInterval, true)]
    public void So_few_prompts_that_say_something_have_no_interval(int prompts, bool has)
    {
        var world = new CodedWorld(1, 1) { Weights = { [0] = 1 } };
        for (var prompt = 0; prompt < 200; prompt++)
            world.Judge(CodedWorld.Prompt(prompt), world.Add(prompt < prompts ? new() { [0] = 1 + prompt } : []), world.Add([]));

        var effect = FeatureEffects.Of(new CodedRewards(world.Codes(), world.Weights), [0], default)[0];

        Assert.Equal((prompts, has, has), (effect.PromptsDiffering, effect.Gap!.Low is not null, effect.Contribution!.High is not null));
    }

    [Fact]
    public void Without_pairs_there_is_no_gap_and_wrong_latents_are_the_callers_mistake()
    {
        var world = new CodedWorld(2, 1) { Weights = { [0] = 1, [1] = 1 } };
        for (var response = 0; response < 9; response++)
            world.Add(new() { [0] = 1 + response });
        var before = new CodedRewards(world.Codes(), world.Weights);

        var effect = FeatureEffects.Of(before, [0], default)[0];

        Assert.Equal((null, 0, 9), (effect.Gap, effect.PromptsDiffering, effect.PromptsFiring));
        Assert.Equal(5, effect.Contribution!.Value, 12); // 1 to 9
        Assert.Throws<ArgumentException>(() => FeatureEffects.Of(before, [2], default));
        Assert.Throws<ArgumentException>(() => FeatureEffects.Of(before, [-1], default));
        Assert.Throws<ArgumentException>(() => FeatureEffects.Of(before, [0, 0], default));
    }
}
