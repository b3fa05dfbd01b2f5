using Portal.Engine.Sae;
using Portal.Engine.Statistics;
using Xunit;

namespace Portal.Tests.Engine.Sae;

/// <summary>
/// Scores by hand, p values against all relabellings gone through one by one, the score at equal reward against the closed form of a regression with one
/// slope, and a detector of reward that must not pass for a feature.
/// </summary>
public sealed class FeatureSelectionTests
{
    private static readonly FeatureSelectionOptions small = new() { SupportMin = 1, Permutations = 1 << 10, RewardKnots = 2 };

    [Fact]
    public void Scores_are_what_the_formula_says_with_dead_latents_left_out()
    {
        // Latent 0: c = 3, j = 1. Latent 1: c = 0, j = 4. Latent 2 fires on both sides alike. Latent 3 never fires. C = mean(4, 4, 2) = 10/3.
        SparseVector[] codes = [Code((0, 1), (2, 1)), Code((1, 3), (2, 1)), Code((0, 2)), Code((0, 1), (1, 1))];
        ContrastPair[] pairs = [new("a", 0, 1), new("b", 2, 3)];

        var scores = FeatureSelection.Score(codes, pairs, [0, 0, 0, 0], 4, small, CancellationToken.None);

        Assert.Equal(2 / (4 + 10 / 3.0), scores[0].Score!.Value, 1e-12);
        Assert.Equal(-4 / (4 + 10 / 3.0), scores[1].Score!.Value, 1e-12);
        Assert.Null(scores[2].Score); // no pair differs in it
        Assert.Null(scores[3].P);
        Assert.Equal([2, 2, 0, 0], scores.Select(score => score.Support));
        Assert.Equal([4.0, 4, 2, 0], scores.Select(score => score.Mass));
        Assert.Equal([0, 1], FeatureSelection.Ranked(scores).Select(score => score.Latent));
        Assert.All(FeatureSelection.Score(codes, pairs, [0, 0, 0, 0], 4, small with { SupportMin = 3 }, CancellationToken.None), score => Assert.Null(score.Score));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void With_few_prompts_p_is_the_share_of_all_relabellings(ulong seed)
    {
        var (codes, pairs, rewards) = Drawn(seed, groups: 9, pairsEach: 3, latents: 6);

        var scores = FeatureSelection.Score(codes, pairs, rewards, 6, small, CancellationToken.None);

        foreach (var score in scores)
        {
            var (plain, adjusted, tau) = ByHand(codes, pairs, rewards, score.Latent);
            var constant = scores.Average(other => other.Mass);
            Assert.Equal(plain, score.P!.Value, 1e-12);
            Assert.Equal(adjusted, score.ResidualP!.Value, 1e-12);
            Assert.Equal(pairs.Length * tau / (score.Mass + constant), score.ResidualScore!.Value, 1e-6); // the ridge of the regression is 1e-9
        }
    }

    [Fact]
    public void With_many_prompts_p_is_an_estimate_of_that_share()
    {
        var (codes, pairs, rewards) = Drawn(5, groups: 12, pairsEach: 2, latents: 6);
        var exact = FeatureSelection.Score(codes, pairs, rewards, 6, small with { Permutations = 1 << 12 }, CancellationToken.None);

        var drawn = FeatureSelection.Score(codes, pairs, rewards, 6, small with { Permutations = 4_000 }, CancellationToken.None);

        for (var latent = 0; latent < 6; latent++)
        {
            Assert.Equal(exact[latent].P!.Value, drawn[latent].P!.Value, 4 * Math.Sqrt(0.25 / 4_000));
            Assert.Equal(exact[latent].ResidualP!.Value, drawn[latent].ResidualP!.Value, 4 * Math.Sqrt(0.25 / 4_000));
            Assert.NotEqual(exact[latent].P, drawn[latent].P);
        }
    }

    /// <summary>
    /// Chosen responses have a property (latent 2 knows it) and are good in other ways too. Latent 0 fires above a reward, latent 1 grows with it; neither knows the property. Raw
    /// scores put both among the best; at equal reward only the property is left.
    /// </summary>
    [Fact]
    public void A_detector_of_reward_is_not_a_feature_at_equal_reward()
    {
        var random = new SeededRandom(4);
        List<SparseVector> codes = [];
        List<double> rewards = [];
        List<ContrastPair> pairs = [];
        for (var pair = 0; pair < 1_500; pair++)
        {
            var prompt = random.NextGaussian(); // makes rewards of different prompts incomparable
            foreach (var isChosen in new[] { true, false })
            {
                var reward = random.NextGaussian() + prompt + (isChosen ? 0.8 : 0);
                rewards.Add(reward);
                List<(int, double)> code = [];
                if (reward > 1) code.Add((0, 1));
                if (reward > -1) code.Add((1, reward + 1));
                if (random.Chance(isChosen ? 0.6 : 0.2)) code.Add((2, 1));
                for (var noise = 3; noise < 103; noise++)
                    if (random.Chance(0.1)) code.Add((noise, 1));
                codes.Add(Code([.. code]));
            }
            pairs.Add(new ContrastPair($"p{pair / 3}", 2 * pair, 2 * pair + 1));
        }

        var scores = FeatureSelection.Score(codes, pairs, rewards, 103, new FeatureSelectionOptions { Permutations = 2_000 }, CancellationToken.None);

        Assert.Equal([0, 1, 2], FeatureSelection.Ranked(scores).Take(3).Select(score => score.Latent).Order());
        Assert.All(scores.Take(3), score => Assert.True(score.Score > 0.15 && score.Q < 0.02, $"{score}"));
        Assert.Equal(2, FeatureSelection.RankedAtEqualReward(scores)[0].Latent);
        Assert.True(scores[2].ResidualScore > 0.2 && scores[2].ResidualQ < 0.06, $"{scores[2]}");
        Assert.All(scores.Take(2), score => Assert.True(Math.Abs(score.ResidualScore!.Value) < 0.08 && score.ResidualP > 0.05, $"{score}"));
        // Under no effect p is uniform: of 100 latents about 5 below 0.05, between 0 and 12 with probability .999.
        Assert.InRange(scores.Skip(3).Count(score => score.P < 0.05), 0, 12);
        Assert.InRange(scores.Skip(3).Count(score => score.ResidualP < 0.05), 0, 12);
        Assert.InRange(scores.Skip(3).Average(score => score.ResidualP!.Value), 0.38, 0.62); // four standard errors
    }

    [Fact]
    public void Where_the_reward_alone_decides_nothing_is_said_at_equal_reward()
    {
        var random = new SeededRandom(8);
        SparseVector[] codes = [.. Enumerable.Range(0, 200).Select(i => random.Chance(i % 2 == 0 ? 0.7 : 0.3) ? Code((0, 1)) : Code())];
        double[] rewards = [.. codes.Select((_, i) => i % 2 == 0 ? 1.0 : 0)];

        var score = FeatureSelection.Score(codes, [.. Enumerable.Range(0, 100).Select(i => new ContrastPair($"{i}", 2 * i, 2 * i + 1))], rewards, 1, new FeatureSelectionOptions(), CancellationToken.None)[0];

        Assert.True(score.P < 0.01);
        Assert.Null(score.ResidualScore);
        Assert.Null(score.ResidualP);
    }

    [Fact]
    public void Codes_of_a_file_give_the_same_scores()
    {
        var (codes, pairs, rewards) = Drawn(6, groups: 9, pairsEach: 3, latents: 6);
        var prompts = Enumerable.Range(0, 9).Select(_ => Portal.Data.PromptId.From(Guid.NewGuid())).ToArray();
        var file = new FeatureCodes
        {
            Latents = 6, Width = 6, Responses = [.. codes.Select(_ => Portal.Data.ResponseId.From(Guid.NewGuid()))],
            Indices = [.. codes.SelectMany(code => Enumerable.Range(0, 6).Select(i => 5 - i))],
            Values = [.. codes.SelectMany(code => Enumerable.Range(0, 6).Select(i => (float)(Array.IndexOf(code.Indices, 5 - i) is >= 0 and var at ? code.Values[at] : 0)))],
            Pairs = [.. pairs.Select((pair, i) => new CodedPair(prompts[i / 3], pair.Chosen, pair.Rejected, 1, false))],
        };

        Assert.Equal(FeatureSelection.Score(codes, pairs, rewards, 6, small, CancellationToken.None), FeatureSelection.Score(file, file.Pairs, rewards, small, CancellationToken.None));
    }

    [Fact]
    public void What_cannot_be_scored_is_refused()
    {
        SparseVector[] codes = [Code((0, 1)), Code()];
        ContrastPair[] pairs = [new("a", 0, 1)];
        void Refused(string says, Action act) => Assert.Contains(says, Assert.Throws<ArgumentException>(act).Message, StringComparison.Ordinal);

        Refused("no pairs", () => FeatureSelection.Score(codes, [], [0, 0], 1, small, CancellationToken.None));
        Refused("rewards of 1", () => FeatureSelection.Score(codes, pairs, [0], 1, small, CancellationToken.None));
        Refused("reward of response 1 is NaN", () => FeatureSelection.Score(codes, pairs, [0, double.NaN], 1, small, CancellationToken.None));
        Refused("outside 0 to", () => FeatureSelection.Score([Code((1, 1)), Code()], pairs, [0, 0], 1, small, CancellationToken.None));
        Refused("an activation below 0", () => FeatureSelection.Score([Code((0, -1)), Code()], pairs, [0, 0], 1, small, CancellationToken.None));
        Refused("names responses 0 and 2", () => FeatureSelection.Score(codes, [new("a", 0, 2)], [0, 0], 1, small, CancellationToken.None));
        Refused("permutations is 0", () => FeatureSelection.Score(codes, pairs, [0, 0], 1, small with { Permutations = 0 }, CancellationToken.None));
    }

    /// <summary>Both p values and τ, from the definitions: pairs turned round one relabelling after the other; a regression on Δr with one slope (two knots).</summary>
    private static (double Plain, double Adjusted, double Tau) ByHand(SparseVector[] codes, ContrastPair[] pairs, double[] rewards, int latent)
    {
        double Z(int response) => Array.IndexOf(codes[response].Indices, latent) is >= 0 and var at ? codes[response].Values[at] : 0;
        double[] d = [.. pairs.Select(pair => Z(pair.Chosen) - Z(pair.Rejected))], x = [.. pairs.Select(pair => rewards[pair.Chosen] - rewards[pair.Rejected])];
        string[] groups = [.. pairs.Select(pair => pair.Group).Distinct()];
        double xx = x.Sum(v => v * v), slope = d.Zip(x, (a, b) => a * b).Sum() / xx, share = x.Sum() / xx;
        double[] effective = [.. d.Zip(x, (a, b) => (1 - b * share) * (a - b * slope))];
        double meanD = d.Average(), meanX = x.Average();
        var tau = meanD - d.Zip(x, (a, b) => (a - meanD) * (b - meanX)).Sum() / x.Sum(v => (v - meanX) * (v - meanX)) * meanX;

        double Share(double[] values)
        {
            var extreme = 0;
            for (var turned = 0; turned < 1 << groups.Length; turned++)
            {
                var sum = values.Select((value, i) => (turned >> Array.IndexOf(groups, pairs[i].Group) & 1) == 1 ? -value : value).Sum();
                if (Math.Abs(sum) >= Math.Abs(values.Sum()) - 1e-9) extreme++;
            }
            return extreme / Math.Pow(2, groups.Length);
        }

        return (Share(d), Share(effective), tau);
    }

    private static (SparseVector[] Codes, ContrastPair[] Pairs, double[] Rewards) Drawn(ulong seed, int groups, int pairsEach, int latents)
    {
        var random = new SeededRandom(seed);
        var responses = groups * pairsEach * 2;
        SparseVector[] codes =
        [
            .. Enumerable.Range(0, responses).Select(response => Code([.. Enumerable.Range(0, latents)
                .Where(latent => random.Chance(response % 2 == 0 ? 0.3 + 0.1 * latent : 0.4)).Select(latent => (latent, 1 + (double)random.NextInt(3)))])),
        ];
        return (codes, [.. Enumerable.Range(0, responses / 2).Select(pair => new ContrastPair($"p{pair / pairsEach}", 2 * pair, 2 * pair + 1))],
            [.. codes.Select((_, i) => random.NextGaussian() + (i % 2 == 0 ? 0.5 : 0))]);
    }

    private static SparseVector Code(params (int Latent, double Value)[] entries) => new([.. entries.Select(entry => entry.Latent)], [.. entries.Select(entry => entry.Value)]);
}
