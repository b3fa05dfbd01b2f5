using Portal.Data.Explanations;
using Portal.Data.Serving;
using Portal.Engine.Sae;
using Portal.Engine.Statistics;
using Xunit;

namespace Portal.Tests.Engine.Sae;

/// <summary>Explanations added up by feature: figures by hand, all of it by brute force, a planted cause, and explanations by luck, of which nothing may be said.</summary>
public sealed class FeatureRollUpTests
{
    /// <summary>A hundred pairs, two explanations. Feature 0 is on the chosen side of ten pairs, which have all the weight; feature 1 on every rejected side; feature 2 fires in both answers, feature 3 below 0.</summary>
    [Fact]
    public void Weights_shares_and_chance_are_those_worked_out_by_hand()
    {
        var world = new CodedWorld(5, 4);
        for (var i = 0; i < 100; i++)
        {
            Dictionary<int, float> chosen = new() { [2] = 1, [3] = -1 }, rejected = new() { [1] = 1, [2] = 2 };
            if (i < 10)
                chosen[0] = 1;
            world.Judge(CodedWorld.Prompt(i), world.Add(chosen), world.Add(rejected));
        }
        // Unnormalised; 20 has weight 0 and 21 one below, which counts as none.
        List<WeighedPairs> explanations =
        [
            new("a", [(0, 2), (1, 2), (2, 2), (3, 2), (4, 2), (20, 0), (21, -3)]),
            new("b", [(5, .2), (6, .2), (7, .2), (8, .2), (9, .2)]),
            new("c", [(50, 0)]), // of no weight: not counted
        ];

        var (items, lookedAt) = FeatureRollUp.Of(world.Codes(), Trained(world), explanations, default);

        Assert.Equal(2, lookedAt); // feature 0 chosen, feature 1 rejected
        var item = Assert.Single(items); // feature 1 has all the weight as well, and all the data
        Assert.Equal((0, PairSide.Chosen, 10, 2), (item.Latent, item.Side, item.Judgements, item.Explanations));
        Assert.Equal((1, 0.1, 10), (Math.Round(item.Weight, 12), item.DataShare, Math.Round(item.Excess!.Value, 9)));
        Assert.Equal(1, item.Chance / (2 * Math.Pow(0.1, 10)), 1e-3); // ten prompts of equal weight all have it, and two were looked at
    }

    /// <summary>The same pairs in one prompt are one draw: their common feature is no more than one stroke of luck.</summary>
    [Fact]
    public void Judgements_of_one_prompt_count_as_one_draw()
    {
        var world = new CodedWorld(2, 2);
        for (var i = 0; i < 100; i++)
            world.Judge(CodedWorld.Prompt(i < 10 ? 0 : i), world.Add(i < 10 ? new() { [0] = 1 } : new() { [1] = 1 }), world.Add([]));
        WeighedPairs all = new("a", [.. Enumerable.Range(0, 10).Select(row => (row, 1.0))]);

        Assert.Empty(FeatureRollUp.Of(world.Codes(), Trained(world), [all, all, all], default).Items);
    }

    [Fact]
    public void Features_that_fire_together_are_listed_together_and_those_of_few_judgements_without_an_excess()
    {
        var world = new CodedWorld(4, 3);
        for (var i = 0; i < 400; i++)
            world.Judge(CodedWorld.Prompt(i), world.Add(i < 4 ? new() { [0] = 1, [1] = 1 } : new() { [3] = 1 }), world.Add(i < 4 ? new() { [2] = 1 } : []));
        WeighedPairs four = new("a", [(0, 1), (1, 1), (2, 1), (3, 1)]);

        var items = FeatureRollUp.Of(world.Codes(), Trained(world), [four], default).Items;

        Assert.Equal([(0, PairSide.Chosen), (1, PairSide.Chosen), (2, PairSide.Rejected)], items.Select(item => (item.Latent, item.Side)));
        Assert.All(items, item => Assert.Null(item.Excess)); // four judgements are too few to say how many times
    }

    [Theory]
    [InlineData(0)]
    [InlineData(0.3)]
    public void Everything_is_what_loops_over_dictionaries_give(double below)
    {
        var world = CodedWorld.Random(prompts: 400, latents: 60, below: below);
        var (trained, random) = (Trained(world), new SeededRandom(3));
        // Two features in three pairs of four that explain; the rest by luck, with weights of all sizes.
        var with = Enumerable.Range(0, trained.Count).Where(row => On(row, 3, PairSide.Chosen) || On(row, 8, PairSide.Rejected)).ToList();
        List<WeighedPairs> explanations = [.. Enumerable.Range(0, 40).Select(i => new WeighedPairs($"{i}", [.. Enumerable.Range(0, 12).Select(_ => (random.Chance(.75) ? random.Pick(with) : random.NextInt(trained.Count), 3 * random.NextDouble() - .2))]))];

        var (items, lookedAt) = FeatureRollUp.Of(world.Codes(), trained, explanations, default);

        var all = (from latent in Enumerable.Range(0, world.Latents)
                   from side in new[] { PairSide.Chosen, PairSide.Rejected }
                   let judgements = Enumerable.Range(0, trained.Count).Count(row => On(row, latent, side))
                   where judgements > 0
                   let weight = explanations.Average(one => one.Pairs.Where(pair => pair.Weight > 0 && On(pair.Row, latent, side)).Sum(pair => pair.Weight) / one.Pairs.Sum(pair => Math.Max(0, pair.Weight)))
                   select (Latent: latent, Side: side, Weight: weight, Share: judgements / (double)trained.Count, Judgements: judgements, In: explanations.Count(one => one.Pairs.Any(pair => pair.Weight > 0 && On(pair.Row, latent, side))))).ToList();
        double[] prompts = [.. explanations.SelectMany(one => one.Pairs.Where(pair => pair.Weight > 0).Select(pair => (trained[pair.Row].PromptId, Weight: pair.Weight / one.Pairs.Sum(p => Math.Max(0, p.Weight)) / explanations.Count))).GroupBy(pair => pair.PromptId).Select(own => own.Sum(pair => pair.Weight))];
        var expected = all.Where(one => one.Weight > one.Share).Select(one => (One: one, Chance: all.Count * HoeffdingBound.AtLeast(prompts, one.Share, one.Weight)))
            .Where(one => one.Chance <= .05).OrderByDescending(one => one.One.Weight * Math.Log(one.One.Weight / one.One.Share) + (1 - one.One.Weight) * Math.Log((1 - one.One.Weight) / (1 - one.One.Share))).Take(10).ToList();
        Assert.Equal(all.Count, lookedAt);
        Assert.Equal(expected.Select(one => (one.One.Latent, one.One.Side, one.One.Judgements, one.One.In)), items.Select(item => (item.Latent, item.Side, item.Judgements, item.Explanations)));
        Assert.Equal(new[] { (3, PairSide.Chosen), (8, PairSide.Rejected) }, items.Take(2).Select(item => (item.Latent, item.Side)).Order());
        foreach (var (one, item) in expected.Zip(items))
        {
            Assert.Equal((one.One.Weight, one.One.Share), (item.Weight, item.DataShare), Near(1e-12));
            Assert.Equal(1, item.Chance / one.Chance, 1e-6);
        }

        bool On(int row, int latent, PairSide side)
        {
            var (chosen, rejected) = (world.Value(trained[row].Chosen, latent) > 0, world.Value(trained[row].Rejected, latent) > 0);
            return side is PairSide.Chosen ? chosen && !rejected : rejected && !chosen;
        }
    }

    /// <summary>Thirty explanations, ten pairs each. Planted: four of the ten are of the pairs that one feature tells apart. Otherwise every pair by luck, half of the time with one pair that all explanations share.</summary>
    [Fact]
    public void A_planted_cause_comes_first_and_of_luck_nothing_is_listed()
    {
        var world = CodedWorld.Random(prompts: 1_000, latents: 200, width: 12);
        var (codes, trained, random) = (world.Codes(), Trained(world), new SeededRandom(11));
        var (planted, by_luck, trials) = (0, 0, 200);
        for (var trial = 0; trial < trials; trial++)
        {
            var latent = random.NextInt(world.Latents);
            var cause = Enumerable.Range(0, trained.Count).Where(row => world.Value(trained[row].Chosen, latent) > 0 && world.Value(trained[row].Rejected, latent) <= 0).ToList();
            if (FeatureRollUp.Of(codes, trained, Explanations(cause), default).Items is [{ Side: PairSide.Chosen } first, ..] && first.Latent == latent)
                planted++;
            if (FeatureRollUp.Of(codes, trained, Explanations(null), default).Items.Count > 0)
                by_luck++;
        }

        Assert.Equal(trials, planted);
        Assert.InRange(by_luck, 0, trials / 20); // at most as often as the list says of itself

        List<WeighedPairs> Explanations(List<int>? cause)
        {
            var shared = random.Chance(.5) ? random.NextInt(trained.Count) : -1;
            return [.. Enumerable.Range(0, 30).Select(i => new WeighedPairs($"{i}", [.. Enumerable.Range(0, 10).Select(n =>
                (n < 4 && cause is not null ? random.Pick(cause) : n == 9 && shared >= 0 ? shared : random.NextInt(trained.Count), random.NextDouble()))]))];
        }
    }

    [Fact]
    public void Nothing_explained_and_nothing_trained_on_list_nothing()
    {
        var world = CodedWorld.Random(prompts: 5);

        Assert.Empty(FeatureRollUp.Of(world.Codes(), Trained(world), [], default).Items);
        var none = FeatureRollUp.Of(world.Codes(), [], [new WeighedPairs("a", [])], default);
        Assert.Equal((0, 0), (none.Items.Count, none.LookedAt));
    }

    private static List<CodedJudgement> Trained(CodedWorld world) => [.. world.Pairs.Select(pair => new CodedJudgement(pair.PromptId, pair.Chosen, pair.Rejected))];

    private static IEqualityComparer<(double, double)> Near(double tolerance) => EqualityComparer<(double, double)>.Create((a, b) => Math.Abs(a.Item1 - b.Item1) < tolerance && Math.Abs(a.Item2 - b.Item2) < tolerance);
}
