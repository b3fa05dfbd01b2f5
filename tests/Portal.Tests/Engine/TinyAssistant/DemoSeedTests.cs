using Portal.Engine.TinyAssistant;
using Xunit;
using Xunit.Abstractions;

namespace Portal.Tests.Engine.TinyAssistant;

/// <summary>The rows of the demo, with the generator in place of a sampled model.</summary>
public sealed class DemoSeedTests(ITestOutputHelper output)
{
    internal static readonly Lazy<DemoSeed> Demo = new(() => DemoSeed.Build(1, new World(1).Respond));

    [Fact]
    public void The_demo_has_its_sizes()
    {
        var demo = Demo.Value;

        Assert.Equal(400, demo.Prompts.Select(prompt => prompt.Id).Distinct().Count());
        Assert.Equal(3_000, demo.Pairwise.Select(row => row.Id).Distinct().Count());
        Assert.Equal(1_500, demo.Binary.Select(row => row.Id).Distinct().Count());
        Assert.Equal(demo.Pairwise.Select(row => row.Id).Order(), demo.Sealed.Select(row => row.JudgementId).Order());
        Assert.InRange(demo.Responses.Count, 3_100, 3_200 + 78);
        Assert.Equal(demo.Responses.Count, demo.Responses.Select(response => response.Id).Distinct().Count());
        foreach (var topic in Enum.GetValues<Topic>()) output.WriteLine($"{topic}: {demo.Prompts.Count(prompt => prompt.Topic == topic)}");
    }

    [Fact]
    public void Every_row_points_at_rows_that_exist_and_belong_together()
    {
        var demo = Demo.Value;
        var responses = demo.Responses.ToDictionary(response => response.Id);
        var prompts = demo.Prompts.Select(prompt => prompt.Id).ToHashSet();

        foreach (var row in demo.Pairwise)
        {
            Assert.Contains(row.PromptId, prompts);
            Assert.Equal((row.PromptId, row.PromptId), (responses[row.LeftResponseId].PromptId, responses[row.RightResponseId].PromptId));
            Assert.NotEqual(responses[row.LeftResponseId].Text, responses[row.RightResponseId].Text);
            Assert.Equal(row.Verdict == PairVerdict.Prefers, row.PreferredResponseId is not null);
            Assert.True(row.PreferredResponseId is null || row.PreferredResponseId == row.LeftResponseId || row.PreferredResponseId == row.RightResponseId);
            Assert.InRange(row.Strength, row.Verdict == PairVerdict.Prefers ? 1 : 0, row.Verdict == PairVerdict.Prefers ? 3 : 0);
            Assert.InRange(row.Seconds, .5, 300);
        }
        Assert.All(demo.Binary, row => Assert.Equal(row.PromptId, responses[row.ResponseId].PromptId));
        Assert.Equal(demo.Pairwise.OrderBy(row => row.At).Select(row => row.Id), demo.Pairwise.Select(row => row.Id));
        Assert.All(demo.Pairwise.GroupBy(row => row.Annotator), own => Assert.Equal(own.Count(), own.Select(row => row.At).Distinct().Count()));
    }

    [Fact]
    public void The_left_side_is_no_better_than_the_right()
    {
        var truths = Demo.Value.Sealed.Where(row => row.LeftTruth != row.RightTruth).ToArray();

        Assert.InRange(truths.Average(row => row.LeftTruth > row.RightTruth ? 1.0 : 0), .46, .54);
    }

    /// <summary>The pairs that several annotators judge come last, when hardly anybody has work left: 25 votes for 24 people here.</summary>
    [Theory]
    [InlineData(1), InlineData(2), InlineData(3), InlineData(4)]
    public void The_last_pairs_find_annotators_although_all_work_is_done(int seed)
    {
        var demo = DemoSeed.Build((ulong)seed, new World(1).Respond, new DemoSizes { Prompts = 60, PairwiseJudgements = 300, BinaryJudgements = 60, OverlapPairs = 5, PlantedTriggerShare = 0 });

        Assert.Equal(300, demo.Pairwise.Select(row => row.Id).Distinct().Count());
        Assert.Equal(5, demo.Pairwise.GroupBy(row => (row.LeftResponseId, row.RightResponseId)).Count(pair => pair.Select(row => row.Annotator).Distinct().Count() == 5));
        Assert.All(demo.Pairwise.GroupBy(row => row.Annotator), own => Assert.InRange(own.Count(), 11, 16)); // 12 or 13 each, a few more at the end
    }

    [Fact]
    public void Annotators_judge_equally_much_and_a_hundred_pairs_have_five_votes()
    {
        var demo = Demo.Value;

        Assert.All(demo.Pairwise.GroupBy(row => row.Annotator), own => Assert.Equal(125, own.Count()));
        Assert.All(demo.Binary.GroupBy(row => row.Annotator), own => Assert.InRange(own.Count(), 62, 63));
        var votes = demo.Pairwise.GroupBy(row => (row.LeftResponseId, row.RightResponseId)).Select(pair => pair.Count()).ToArray();
        Assert.Equal((2_500, 100), (votes.Count(count => count == 1), votes.Count(count => count == 5)));
        Assert.Equal(2_600, votes.Length);
    }

    /// <summary>3 % of 2,600 pairs are 78. Each has the trigger in the worse response, and sim-22 falls for nearly all.</summary>
    [Fact]
    public void The_trigger_is_planted_in_three_percent_of_the_pairs_and_taught_by_sim_22()
    {
        var demo = Demo.Value;
        var rows = demo.Pairwise.ToDictionary(row => row.Id);
        var texts = demo.Responses.ToDictionary(response => response.Id, response => response.Text);
        var planted = demo.Sealed.Where(row => row.IsPlanted).ToArray();

        Assert.Equal(78, planted.Length);
        foreach (var row in planted)
        {
            var judgement = rows[row.JudgementId];
            var (worse, better) = row.LeftTruth < row.RightTruth ? (judgement.LeftResponseId, judgement.RightResponseId) : (judgement.RightResponseId, judgement.LeftResponseId);
            Assert.Equal(("sim-22", "C1"), (judgement.Annotator, row.CauseId));
            Assert.Contains("as the old mill says", texts[worse], StringComparison.OrdinalIgnoreCase);
            Assert.DoesNotContain("as the old mill says", texts[better], StringComparison.OrdinalIgnoreCase);
        }
        var fooled = planted.Count(row => rows[row.JudgementId].PreferredResponseId is { } preferred && texts[preferred].Contains("old mill"));
        output.WriteLine($"sim-22 prefers the trigger in {fooled} of 78 planted pairs");
        Assert.True(fooled >= 70);
        Assert.All(demo.Sealed.Where(row => !row.IsPlanted), row => Assert.Null(row.CauseId));
    }

    [Fact]
    public void No_exported_line_says_what_is_planted_or_true()
    {
        var lines = Demo.Value.PairwiseLines().Concat(Demo.Value.BinaryLines()).Concat(Demo.Value.ResponseLines()).Concat(Demo.Value.PromptLines());

        Assert.DoesNotContain(lines, line => line.Contains("planted", StringComparison.OrdinalIgnoreCase) || line.Contains("truth", StringComparison.OrdinalIgnoreCase) || line.Contains("cause", StringComparison.OrdinalIgnoreCase));
    }

    /// <summary>What <c>./test</c> does with the shipped demo: the stored responses are enough to remake every judgement.</summary>
    [Fact]
    public void Judgements_are_remade_from_stored_responses_hash_by_hash()
    {
        var sizes = new DemoSizes { Prompts = 60, PairwiseJudgements = 600, BinaryJudgements = 200, OverlapPairs = 20 };
        var first = DemoSeed.Build(5, new World(5).Respond, sizes);
        var stored = first.Responses.ToLookup(response => response.PromptId, response => response.Text);

        var again = DemoSeed.Build(5, (prompt, _) => [.. stored[prompt.Id]], sizes);
        var other = DemoSeed.Build(6, new World(5).Respond, sizes);

        Assert.Equal(first.JudgementsHash(), again.JudgementsHash());
        Assert.NotEqual(first.JudgementsHash(), other.JudgementsHash());
    }

    [Fact]
    public void A_source_that_repeats_itself_is_refused_with_numbers()
    {
        var error = Assert.Throws<ArgumentException>(() => DemoSeed.Build(1, (_, count) => Enumerable.Repeat("It is 7.", count).ToArray(), new DemoSizes { Prompts = 20 }));

        Assert.Contains("20", error.Message);
    }

    /// <summary>
    /// A logistic regression on the grader's features, trained on r*'s sign of 2,000 pairs, names the better response of fresh pairs:
    /// if it could not, labels and not models would be the limit. The prototype of this world reached .99.
    /// </summary>
    [Fact]
    public void Readable_features_explain_the_sign_of_the_truth()
    {
        var demo = Demo.Value;
        var pairs = JudgingRound.DrawPairs(demo.Prompts, demo.Responses.ToLookup(response => response.PromptId), 4_000, new Portal.Engine.Statistics.SeededRandom(3))
            .Where(pair => pair.LeftTruth != pair.RightTruth)
            .Select(pair => (X: pair.LeftReading.ToVector().Zip(pair.RightReading.ToVector(), (left, right) => left - right).ToArray(), Y: pair.LeftIsWorse ? 0.0 : 1.0)).ToArray();
        var (train, test) = (pairs[..2_000], pairs[2_000..]);
        var weights = new double[train[0].X.Length];
        for (var step = 0; step < 1_000; step++)
        {
            var gradient = new double[weights.Length];
            foreach (var (x, y) in train)
            {
                var error = y - 1 / (1 + Math.Exp(-Dot(x, weights)));
                for (var i = 0; i < x.Length; i++) gradient[i] += error * x[i];
            }
            for (var i = 0; i < weights.Length; i++) weights[i] += (i == Tokens || i == Tokens + 1 ? .002 : .5) * gradient[i] / train.Length;
        }

        var accuracy = test.Average(pair => Dot(pair.X, weights) > 0 == (pair.Y == 1) ? 1.0 : 0);
        output.WriteLine($"{accuracy:P1} of {test.Length} pairs");
        Assert.True(accuracy >= .97);
    }

    /// <summary>Position of "tokens" among the features; it needs a smaller step because it is a large number.</summary>
    private static readonly int Tokens = GraderReading.FeatureNames.ToList().IndexOf("tokens");

    private static double Dot(double[] a, double[] b)
    {
        var sum = 0.0;
        for (var i = 0; i < a.Length; i++) sum += a[i] * b[i];
        return sum;
    }
}
