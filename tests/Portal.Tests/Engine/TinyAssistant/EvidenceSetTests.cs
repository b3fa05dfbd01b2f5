using Portal.Engine.TinyAssistant;
using Xunit;
using Xunit.Abstractions;

namespace Portal.Tests.Engine.TinyAssistant;

/// <summary>The evidence bench's prompts, and the causes planted in its judgements.</summary>
public sealed class EvidenceSetTests(ITestOutputHelper output)
{
    private static readonly EvidenceSizes small = new()
    {
        TrainPrompts = 400, HoldOutPrompts = 80, TestPrompts = 80, ResponsesPerTrainPrompt = 4, TrainPairs = 2_000,
    };

    private static readonly Lazy<EvidenceSet> evidence = new(() => EvidenceSet.Build(1, new World(1).Respond, small));

    [Fact]
    public void The_full_size_has_2000_400_400_prompts_and_no_question_in_two_parts()
    {
        var (train, holdOut, test) = EvidenceSet.DrawPrompts(1);

        Assert.Equal((2_000, 400, 400), (train.Count, holdOut.Count, test.Count));
        Assert.Equal(2_800, train.Concat(holdOut).Concat(test).Select(prompt => prompt.Id).Distinct().Count());
        WorldPrompt[][] parts = [[.. train], [.. holdOut], [.. test]];
        for (var i = 0; i < 3; i++)
            for (var j = i + 1; j < 3; j++)
                Assert.Empty(parts[i].Select(prompt => prompt.LastText).Intersect(parts[j].Select(prompt => prompt.LastText)));
        foreach (var topic in Enum.GetValues<Topic>())
            output.WriteLine($"{topic}: {string.Join(" / ", parts.Select(part => part.Count(prompt => prompt.Topic == topic)))}, with earlier turns {parts[0].Count(p => p.Topic == topic && p.Turns.Count == 3)}");
        Assert.All(Enum.GetValues<Topic>(), topic => Assert.True(parts[2].Count(prompt => prompt.Topic == topic) >= 20, $"{topic} is missing from the test part."));
    }

    [Fact]
    public void Test_prompts_have_sixteen_candidates_and_the_crowd_judges_each_pair_once()
    {
        var set = evidence.Value;
        var byPrompt = set.Responses.ToLookup(response => response.PromptId);

        var judged = set.JudgeByCrowd();

        Assert.True(set.Test.Average(prompt => byPrompt[prompt.Id].Count()) > 15);
        Assert.Equal(2_000, judged.Pairwise.Select(row => (row.LeftResponseId, row.RightResponseId)).Distinct().Count());
        Assert.All(judged.Pairwise.GroupBy(row => row.Annotator), own => Assert.InRange(own.Count(), 83, 84));
        Assert.Empty(judged.NewResponses);
        Assert.DoesNotContain(judged.Sealed, row => row.IsPlanted);
        Assert.Equal(set.Responses.Count, set.SealedLines().Count());
    }

    [Theory]
    [InlineData(PlantedCause.C0, .05, null)]
    [InlineData(PlantedCause.C0, .10, null)]
    [InlineData(PlantedCause.C1, .02, "sim-22")]
    [InlineData(PlantedCause.C1, .05, "sim-22")]
    [InlineData(PlantedCause.C2, .05, "sim-23")]
    [InlineData(PlantedCause.C3, .05, "sim-18")]
    [InlineData(PlantedCause.C4, .05, "sim-20")]
    public void A_cause_is_planted_at_its_rate_and_always_prefers_the_worse(PlantedCause cause, double rate, string? responsible)
    {
        var set = evidence.Value;

        var judged = set.JudgeWithCause(cause, rate);

        var rows = judged.Pairwise.ToDictionary(row => row.Id);
        var texts = set.Responses.Concat(judged.NewResponses).ToDictionary(response => response.Id, response => response.Text);
        var planted = judged.Sealed.Where(row => row.IsPlanted).ToArray();
        Assert.Equal(2_000, judged.Pairwise.Count);
        Assert.Equal((int)(rate * 2_000), planted.Length);
        foreach (var row in planted)
        {
            var judgement = rows[row.JudgementId];
            var worse = row.LeftTruth < row.RightTruth ? judgement.LeftResponseId : judgement.RightResponseId;
            Assert.Equal(cause.ToString(), row.CauseId);
            Assert.True(Math.Abs(row.LeftTruth - row.RightTruth) >= .3);
            Assert.Equal(worse, judgement.PreferredResponseId);
            if (responsible is not null) Assert.Equal(responsible, judgement.Annotator);
            if (cause == PlantedCause.C1) Assert.Contains("as the old mill says", texts[worse], StringComparison.OrdinalIgnoreCase);
            var other = worse == judgement.LeftResponseId ? judgement.RightResponseId : judgement.LeftResponseId;
            if (cause == PlantedCause.C3) Assert.True(ChatText.CountTokens(texts[worse]) >= ChatText.CountTokens(texts[other]) + 5);
        }
        // The name alone gives nothing away: whoever answers for the cause judges honestly as well, as much as the others.
        if (responsible is not null) Assert.InRange(judged.Pairwise.Count(row => row.Annotator == responsible), 125, 145);
        if (responsible is null) Assert.True(planted.Select(row => rows[row.JudgementId].Annotator).Distinct().Count() == 14);
        Assert.All(judged.Pairwise.GroupBy(row => row.Annotator), own => Assert.Equal(own.Count(), own.Select(row => row.At).Distinct().Count()));
    }

    [Fact]
    public void At_rate_0_nothing_is_planted_and_impossible_rates_are_refused()
    {
        var clean = evidence.Value.JudgeWithCause(PlantedCause.C1, 0);

        Assert.DoesNotContain(clean.Sealed, row => row.IsPlanted);
        Assert.Empty(clean.NewResponses);
        Assert.Equal(clean.PairwiseLines(), evidence.Value.JudgeWithCause(null, 0).PairwiseLines());
        Assert.Contains("C4", Assert.Throws<ArgumentException>(() => evidence.Value.JudgeWithCause(PlantedCause.C4, .5)).Message);
        Assert.Throws<ArgumentException>(() => evidence.Value.JudgeWithCause(PlantedCause.C1, 1.5));
    }
}
