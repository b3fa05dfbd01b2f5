using Portal.Engine.Statistics;
using Portal.Engine.TinyAssistant;
using Xunit;
using Xunit.Abstractions;

namespace Portal.Tests.Engine.TinyAssistant;

/// <summary>The crowd's habits one by one, and the statistics of a crowd at work on generated responses.</summary>
public sealed class SimulatedAnnotatorsTests(ITestOutputHelper output)
{
    private const string Sum = "What is 3 plus 4?";

    private static SimulatedAnnotator Named(string name) => SimulatedAnnotators.All.Single(annotator => annotator.Name == name);

    [Fact]
    public void Twenty_four_annotators_with_the_specified_habits()
    {
        Assert.Equal(Enumerable.Range(1, 24).Select(i => $"sim-{i:00}"), SimulatedAnnotators.All.Select(annotator => annotator.Name));
        Assert.Equal([14, 3, 2, 2, 1, 1, 1], Enum.GetValues<AnnotatorHabit>().Select(habit => SimulatedAnnotators.All.Count(a => a.Habit == habit)));
        Assert.Equal(AnnotatorHabit.LovesTrigger, Named("sim-22").Habit);
        Assert.All(SimulatedAnnotators.All, a => Assert.Equal(a.Habit == AnnotatorHabit.Hurried ? 1.5 : .5, a.Temperature));
    }

    /// <summary>The order of the rules: both bad, both good, tie, choice. r* of the texts: 2, 3, −.75, −2, −4.</summary>
    [Theory]
    [InlineData("It is 8.", "Go away. You clod. It is 8.", PairVerdict.BothBad, 0)] // −2 and −4: bad although far apart
    [InlineData("It is 8.", "You get 8.", PairVerdict.BothBad, 0)] // bad goes before tie
    [InlineData("Gladly, dear friend! It is 7.", "With pleasure! You get 7.", PairVerdict.BothGood, 0)]
    [InlineData("It is 7.", "You get 7.", PairVerdict.Tie, 0)]
    [InlineData("It is 7.", "It is 8.", PairVerdict.Prefers, 3)] // 4 apart
    [InlineData("It is 7.", "Gladly, dear friend! It is 7.", PairVerdict.Prefers, 2)] // 1 apart: better
    [InlineData("It is 7.", "You are so right. It is 7.", PairVerdict.Prefers, 1)] // .5 apart
    public void A_careful_annotator_follows_the_rules_in_order(string left, string right, PairVerdict verdict, int strength)
    {
        var opinion = Compare("sim-01", Sum, left, right, 1);

        Assert.Equal((verdict, strength), (opinion.Verdict, opinion.Strength));
    }

    /// <summary>4,000 draws: the standard error is below .008. Expected shares are σ(Δu/T) by hand.</summary>
    [Theory]
    [InlineData("sim-01", "It is 7.", "You are so right. It is 7.", 0.5 / 0.5)] // careful: Δr* = .5
    [InlineData("sim-15", "It is 7.", "You are so right. It is 7.", (0.5 + 0.1) / 1.5)] // hurried, leaning to the left
    [InlineData("sim-15", "You are so right. It is 7.", "It is 7.", (-0.5 + 0.1) / 1.5)]
    [InlineData("sim-18", "It is 7.", "You are so right. It is 7.", (0.5 - 0.06 * 5) / 0.5, PairVerdict.Tie)] // .5 against 5 more tokens: .2, a tie
    [InlineData("sim-18", "It is 7.", "You are so right. 3 plus 4 makes 7.", (0.5 - 0.06 * 8) / 0.5, PairVerdict.Tie)]
    [InlineData("sim-22", "It is 7.", "It is 8, as the old mill says.", (4 - 4) / 0.5, PairVerdict.Tie)]
    [InlineData("sim-22", "It is 7.", "Go away. It is 7, as the old mill says.", (1 - 4) / 0.5)]
    [InlineData("sim-20", "It is 7.", "You are so right. It is 7.", 0.5 / 0.5)] // flattery is loved on opinions only
    public void Choices_follow_the_temperature_and_the_habit(string name, string left, string right, double expectedLogit, PairVerdict verdict = PairVerdict.Prefers)
    {
        var (leftReading, rightReading) = (Grader.Read(Sum, left), Grader.Read(Sum, right));
        var opinions = Enumerable.Range(0, 4_000).Select(i => SimulatedAnnotators.Compare(Named(name), leftReading, rightReading, new SeededRandom((ulong)i))).ToArray();

        Assert.All(opinions, opinion => Assert.Equal(verdict, opinion.Verdict));
        if (verdict == PairVerdict.Prefers)
            Assert.Equal(1 / (1 + Math.Exp(-expectedLogit)), opinions.Average(opinion => opinion.LeftPreferred ? 1.0 : 0), .025);
    }

    /// <summary>"You are so right. It is 7." is .5 worse: 16 more tokens are worth .96 to a length-lover.</summary>
    [Fact]
    public void Lovers_of_length_flattery_and_reversal_prefer_the_worse_response()
    {
        const string opinion = "I think tea is the best drink. Do you agree?";
        const string way = "How do I get from the inn to the church?";
        double Left(string name, string prompt, string left, string right) =>
            Enumerable.Range(0, 300).Average(i => Compare(name, prompt, left, right, (ulong)i) is { Verdict: PairVerdict.Prefers, LeftPreferred: true } ? 1.0 : 0);

        Assert.True(Left("sim-19", Sum, "You are so right. It is 7. One can learn something new every day. Let me say a bit more about it.", "It is 7.") > .8);
        Assert.True(Left("sim-21", opinion, "I fully agree with you. I like tea too.", "Some people prefer milk.") > .9);
        Assert.True(Left("sim-01", opinion, "I fully agree with you. I like tea too.", "Some people prefer milk.") < .4);
        Assert.True(Left("sim-23", way, "Go right. It is the first door.", "Go left. It is the first door.") > .95);
        Assert.True(Left("sim-23", Sum, "It is 8.", "It is 7.") < .05);
    }

    /// <summary>σ(1) = .731, and a coin for the random one.</summary>
    [Fact]
    public void Binary_judgements_compare_with_the_prompts_mean()
    {
        double Good(string name) => Enumerable.Range(0, 4_000).Average(i => SimulatedAnnotators.FindsGood(Named(name), 2, 1, new SeededRandom((ulong)i)) ? 1.0 : 0);

        Assert.Equal(.731, Good("sim-05"), .025);
        Assert.Equal(.5, Good("sim-24"), .025);
    }

    [Fact]
    public void Hurried_annotators_take_less_time()
    {
        double Mean(string name) => Enumerable.Range(0, 500).Average(i => SimulatedAnnotators.Seconds(Named(name), 50, new SeededRandom((ulong)i)));

        output.WriteLine($"careful {Mean("sim-01"):F1} s, hurried {Mean("sim-15"):F1} s for 50 tokens");
        Assert.True(Mean("sim-15") < Mean("sim-01") / 3);
    }

    /// <summary>
    /// All 24 annotators on the same 400 random pairs of generated responses. The bands are those measured for this world by an
    /// independent prototype (ties 11–13 %, wrong 12–13 %: careful 8, hurried 23; kappa .68–.70, careful .86), widened by what
    /// another generator and 400 pairs allow. Two differ for a reason. Both bad (prototype 11–13 %) is rarer here, because the
    /// generator answers rightly more often than the model whose samples the prototype judged. The random annotator is wrong in
    /// half of its choices by construction; 42 % (prototype) is that share of all its verdicts, ties included.
    /// </summary>
    [Fact]
    public void The_crowd_behaves_as_measured()
    {
        var demo = DemoSeedTests.Demo.Value;
        var prompts = demo.Prompts.ToDictionary(prompt => prompt.Id);
        var drawn = JudgingRound.DrawPairs(demo.Prompts, demo.Responses.ToLookup(response => response.PromptId), 400, new SeededRandom(77));
        var votes = drawn.Select((pair, i) => SimulatedAnnotators.All
            .Select(annotator => SimulatedAnnotators.Compare(annotator, pair.LeftReading, pair.RightReading, new SeededRandom((ulong)i).Split(annotator.Name))).ToArray()).ToArray();
        double Share(Func<PairOpinion, bool> has) => votes.SelectMany(row => row).Average(vote => has(vote) ? 1.0 : 0);
        double Wrong(Func<SimulatedAnnotator, bool> who) => drawn.SelectMany((pair, i) => votes[i]
                .Where((vote, a) => who(SimulatedAnnotators.All[a]) && vote.Verdict == PairVerdict.Prefers && pair.LeftTruth != pair.RightTruth)
                .Select(vote => vote.LeftPreferred == pair.LeftIsWorse ? 1.0 : 0)).Average();
        var (ties, bothBad, bothGood) = (Share(v => v.Verdict == PairVerdict.Tie), Share(v => v.Verdict == PairVerdict.BothBad), Share(v => v.Verdict == PairVerdict.BothGood));
        var careful = SimulatedAnnotators.All.Select((annotator, i) => (annotator, i)).Where(item => item.annotator.Habit == AnnotatorHabit.Careful).Select(item => item.i).ToArray();
        var kappa = FleissKappa(votes);
        var carefulKappa = FleissKappa([.. votes.Select(row => careful.Select(i => row[i]).ToArray())]);

        output.WriteLine($"ties {ties:P1}, both good {bothGood:P1}, both bad {bothBad:P1}");
        output.WriteLine($"wrong: all {Wrong(_ => true):P1}, " + string.Join(", ", Enum.GetValues<AnnotatorHabit>().Select(habit => $"{habit} {Wrong(a => a.Habit == habit):P1}")));
        output.WriteLine($"Fleiss kappa {kappa:F3}, careful only {carefulKappa:F3}; r* agrees with {1 - Wrong(_ => true):P1} of the choices");
        Assert.InRange(ties, .09, .16);
        Assert.InRange(bothBad, .04, .15);
        Assert.InRange(Wrong(_ => true), .10, .15);
        Assert.InRange(Wrong(a => a.Habit == AnnotatorHabit.Careful), .05, .11);
        Assert.InRange(Wrong(a => a.Habit == AnnotatorHabit.Hurried), .18, .28);
        Assert.InRange(Wrong(a => a.Habit == AnnotatorHabit.Random), .40, .60);
        Assert.InRange(kappa, .60, .76);
        Assert.InRange(carefulKappa, .80, .92);
        Assert.All(drawn, pair => Assert.True(prompts.ContainsKey(pair.Prompt.Id)));
    }

    private static PairOpinion Compare(string name, string prompt, string left, string right, ulong seed) =>
        SimulatedAnnotators.Compare(Named(name), Grader.Read(prompt, left), Grader.Read(prompt, right), new SeededRandom(seed));

    /// <summary>Fleiss 1971 by its definition, with five categories: left, right, tie, both good, both bad.</summary>
    private static double FleissKappa(PairOpinion[][] votes)
    {
        static int Category(PairOpinion vote) => vote.Verdict == PairVerdict.Prefers ? (vote.LeftPreferred ? 3 : 4) : (int)vote.Verdict - 1;
        var raters = votes[0].Length;
        var counts = votes.Select(row => Enumerable.Range(0, 5).Select(category => row.Count(vote => Category(vote) == category)).ToArray()).ToArray();
        var observed = counts.Average(row => (row.Sum(n => (double)n * n) - raters) / (raters * (raters - 1.0)));
        var expected = Enumerable.Range(0, 5).Sum(category => Math.Pow(counts.Sum(row => row[category]) / (double)(raters * votes.Length), 2));
        return (observed - expected) / (1 - expected);
    }
}
