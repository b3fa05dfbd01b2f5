using Portal.Engine;
using Portal.Engine.Irl;
using Portal.Engine.Statistics;
using Xunit;

namespace Portal.Tests.Engine.Irl;

/// <summary>Whole prompts in each part, leaks refused by name, a scale that knows the training pool only.</summary>
public sealed class IrlSplitTests
{
    private static IrlPair[] Pairs(int prompts, int each) => [.. Enumerable.Range(0, prompts * each).Select(i => new IrlPair($"p{i / each}", [i, 1], [0, 1]))];

    [Fact]
    public void A_split_keeps_prompts_whole_and_has_the_shares()
    {
        var split = IrlSplit.ByPrompt(Pairs(200, 3), new SeededRandom(4));

        Assert.Equal((140 * 3, 30 * 3, 30 * 3), (split.Train.Count, split.Holdout.Count, split.Test.Count));
        HashSet<string>[] parts = [.. new[] { split.Train, split.Holdout, split.Test }.Select(part => part.Select(pair => pair.PromptId).ToHashSet())];
        Assert.False(parts[0].Overlaps(parts[1]) || parts[0].Overlaps(parts[2]) || parts[1].Overlaps(parts[2]));
        Assert.Empty(IrlSplit.Leaks(split.Train, split.Holdout, split.Test, []));
        // The same prompts in another order are split alike; another seed splits otherwise.
        Assert.Equal(parts[2].Order(), IrlSplit.ByPrompt([.. Pairs(200, 3).Reverse()], new SeededRandom(4)).Test.Select(pair => pair.PromptId).Distinct().Order());
        Assert.NotEqual(parts[2].Order(), IrlSplit.ByPrompt(Pairs(200, 3), new SeededRandom(5)).Test.Select(pair => pair.PromptId).Distinct().Order());
    }

    [Fact]
    public void Leakage_is_refused_by_name()
    {
        var pairs = Pairs(6, 1);

        Assert.Contains("'p1' in train and hold-out", Assert.Throws<CannotTrain>(() => IrlSplit.Of(pairs[..2], pairs[1..3], pairs[3..])).Message, StringComparison.Ordinal);
        var split = IrlSplit.Of(pairs[..2], pairs[2..4], pairs[4..]);
        Assert.Contains("'p3' in hold-out and candidates", Assert.Throws<CannotTrain>(() => IrlData.Prepare(split, [new("p4", [[1, 1]]), new("p3", [[1, 1]])])).Message, StringComparison.Ordinal);
        Assert.Equal(["p4"], IrlData.Prepare(split, [new("p4", [[1, 1], [2, 1]])]).Candidates.Prompts); // candidates belong to test
        Assert.Contains("0, 1 and 1 pairs", Assert.Throws<CannotTrain>(() => IrlSplit.Of([], pairs[..1], pairs[1..2])).Message, StringComparison.Ordinal);
        Assert.Contains("come from 2 prompts", Assert.Throws<CannotTrain>(() => IrlSplit.ByPrompt(Pairs(2, 50), new SeededRandom(1))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_scale_is_that_of_the_training_pool_alone()
    {
        // Pool {0, 4, 2, 2} and a constant 7: mean 2, deviation √2; what test holds does not matter.
        var split = IrlSplit.Of([new("a", [0, 7], [4, 7]), new("b", [2, 7], [2, 7])], [new("c", [100, 9], [0, 7])], [new("d", [2, 7], [0, 7])]);

        var data = IrlData.Prepare(split, []);

        Assert.Equal([2.0, 7], data.Scale.Mean);
        Assert.Equal([Math.Sqrt(2), 0], data.Scale.Deviation);
        Assert.Equal([1], data.Scale.Constant);
        Assert.Equal(-Math.Sqrt(2), data.Train.Audited[0], 1e-12);
        Assert.Equal([0.0, 0, 0], data.Train.Audited[1..]);
        Assert.Equal(98 / Math.Sqrt(2), data.Holdout.Audited[0], 1e-12);
        Assert.Equal(0, data.Holdout.Audited[1]); // the feature that first varies outside the pool says nothing
        Assert.Equal(-4 / Math.Sqrt(2), data.Train.Difference[0], 1e-12);
        Assert.Equal([data.Train.Difference[0], 0], data.Train.DifferenceColumns.Column(0).ToArray());
    }

    [Fact]
    public void A_resample_draws_whole_prompts_of_the_training_part()
    {
        var pairs = IrlData.Prepare(IrlSplit.ByPrompt(Pairs(100, 4), new SeededRandom(2)), []).Train;

        var rows = pairs.Resample(new SeededRandom(8));

        Assert.Equal(pairs.Count, rows.Length);
        foreach (var prompt in rows.GroupBy(row => pairs.Prompts[row]))
            Assert.Single(prompt.GroupBy(row => row).Select(row => row.Count()).Distinct()); // all four as often as each other
        Assert.InRange(rows.Select(row => pairs.Prompts[row]).Distinct().Count() / 70.0, 0.5, 0.76); // 1 − 1/e of them, ± four deviations
        Assert.Equal(rows, pairs.Resample(new SeededRandom(8)));
    }

    [Fact]
    public void Labels_are_shuffled_by_exchanging_sides()
    {
        var data = IrlData.Prepare(IrlSplit.ByPrompt([.. Pairs(300, 1).Select((pair, i) => pair with { LogRatio = i + 1 })], new SeededRandom(2)), []);

        var shuffled = data.WithShuffledLabels(new SeededRandom(3));

        var swapped = 0;
        for (var i = 0; i < data.Train.Count; i++)
        {
            var isSwapped = shuffled.Train.LogRatios[i] < 0;
            swapped += isSwapped ? 1 : 0;
            Assert.Equal((isSwapped ? -1 : 1) * data.Train.Difference[2 * i], shuffled.Train.Difference[2 * i]);
            Assert.Equal((isSwapped ? -1 : 1) * data.Train.LogRatios[i], shuffled.Train.LogRatios[i]);
            Assert.Equal(isSwapped ? data.Train.Base[2 * i] : data.Train.Audited[2 * i], shuffled.Train.Audited[2 * i]);
        }
        Assert.InRange(swapped / (double)data.Train.Count, 0.36, 0.64); // four deviations
        Assert.Same(data.Test, shuffled.Test);
    }

    [Fact]
    public void Bad_features_are_named()
    {
        IrlSplit Split(float[] audited, float[] @base, double? ratio = null) => IrlSplit.Of([new("a", [1, 2], [3, 4])], [new("b", [1, 2], [3, 4])], [new("c", audited, @base, ratio)]);
        void Refused(string says, Action act) => Assert.Contains(says, Assert.Throws<CannotTrain>(act).Message, StringComparison.Ordinal);

        Refused("Pair 0 of test (prompt 'c'), the base's completion has 1 features; the others have 2", () => IrlData.Prepare(Split([1, 2], [3]), []));
        Refused("Pair 0 of test (prompt 'c'), the audited completion: feature 1 is NaN", () => IrlData.Prepare(Split([1, float.NaN], [3, 4]), []));
        Refused("(prompt 'c') has the log-ratio", () => IrlData.Prepare(Split([1, 2], [3, 4], double.PositiveInfinity), []));
        Refused("Candidate 1 of prompt 'c' has 3 features", () => IrlData.Prepare(Split([1, 2], [3, 4]), [new("c", [[1, 2], [1, 2, 3]])]));
        Refused("1 candidates and 2 weights", () => IrlData.Prepare(Split([1, 2], [3, 4]), [new("c", [[1, 2]], [1, 1])]));
        Refused("candidates in two places", () => IrlData.Prepare(Split([1, 2], [3, 4]), [new("c", [[1, 2]]), new("c", [[1, 2]])]));
        Refused("weights 0, 0", () => IrlData.Prepare(Split([1, 2], [3, 4]), [new("c", [[1, 2], [3, 4]], [0, 0])]));
        Refused("logRatioNoise is -1", () => IrlData.Prepare(Split([1, 2], [3, 4]), [], logRatioNoise: -1));
        Refused("no features", () => IrlData.Prepare(IrlSplit.Of([new("a", [], [])], [new("b", [], [])], [new("c", [], [])]), []));
    }
}
