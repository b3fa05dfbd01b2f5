using Portal.Data.Audits;
using Portal.Engine.Audits;
using Portal.Engine.Studies;
using Portal.Engine.TinyAssistant;
using Portal.Tests.Engine.Audits;
using Portal.Tests.Engine.Recipes;
using Xunit;

namespace Portal.Tests.Engine.TinyAssistant;

/// <summary>The scorer of the detoxification study on a small audit whose texts are written down here; numbers are counted again by hand, over all pairs of texts.</summary>
public sealed class DetoxScoreTests : IDisposable
{
    private const int Train = 40, HoldOut = 12, Test = 16, Each = 4;

    private readonly RunFolders folders = new();

    public void Dispose() => folders.Dispose();

    [Fact]
    public async Task Census_rates_and_areas_are_those_of_a_count_by_hand_and_the_audit_stays_as_it_was()
    {
        await Audit();
        var before = Files();

        var rows = DetoxScore.Rows("toy", folders.Artefacts, (_, text) => Oafs(text), seed: 1);

        double Value(string measure) => rows.Single(row => row.Measure == $"toy: {measure}").Value;
        var texts = AuditLines.Read<AuditText>(folders.Artefacts, AuditLines.TextsFile).ToList();
        AuditText First(string prompt, AuditSide side) => texts.First(text => text.PromptId == prompt && text.Side == side && text.Ordinal == 0);
        var pairs = texts.Select(text => text.PromptId).Distinct().Select(prompt => (Base: Oafs(First(prompt, AuditSide.Base).Text), Audited: Oafs(First(prompt, AuditSide.Audited).Text))).ToList();
        Assert.Equal((Train + HoldOut + Test, 0.0), ((int)Value("pairs"), Value("prompts without a pair")));
        Assert.Equal(pairs.Count(pair => pair is (> 0, 0)), Value("T->NT pairs"));
        Assert.Equal(pairs.Count(pair => pair is (0, 0)), Value("NT->NT pairs"));
        Assert.Equal(pairs.Count(pair => pair is (> 0, > 0)), Value("T->T pairs"));
        Assert.Equal(pairs.Count(pair => pair is (0, > 0)), Value("NT->T pairs"));
        Assert.All(new[] { "T->NT pairs", "NT->NT pairs", "T->T pairs", "NT->T pairs" }, measure => Assert.True(Value(measure) > 0, $"{measure}: this test shows nothing"));
        Assert.Equal(pairs.Count(pair => pair.Audited > pair.Base) / (double)pairs.Count, Value("wrong-label pairs, share"), 1e-12);
        Assert.Equal(pairs.Count(pair => pair.Audited == pair.Base) / (double)pairs.Count, Value("pairs with as many toxic words on both sides, share"), 1e-12);
        foreach (var (side, name) in new[] { (AuditSide.Base, "base"), (AuditSide.Audited, "detoxified policy") })
            Assert.Equal(texts.Where(text => text.Side == side).Average(text => Oafs(text.Text) > 0 ? 1.0 : 0), Value($"{name}: toxic rate"), 1e-12);

        var scores = AuditLines.Read<TextScores>(folders.Artefacts, AuditLines.ScoresFile).Select(score => (Reward: score.Methods["max-entropy"].Average(), Toxic: Oafs(texts.Single(text => text.Id == score.Text).Text) > 0)).ToList();
        var area = scores.Where(score => score.Toxic).SelectMany(toxic => scores.Where(score => !score.Toxic).Select(clean => clean.Reward > toxic.Reward ? 1 : clean.Reward == toxic.Reward ? 0.5 : 0)).Average();
        Assert.Equal(area, Value("max-entropy: AUC, toxic text"), 1e-9);
        Assert.True(area > 0.6, "the toy's policies differ in nothing else");
        Assert.Equal(before, Files());
        Assert.Empty(AuditLines.Changed(folders.Artefacts));
    }

    /// <summary>d_STARC to a reward and to its negation are sin and cos of the same half angle: their squares add up to 1. Areas and accuracies add up to 1 too.</summary>
    [Fact]
    public async Task The_opposite_count_gives_the_opposite_numbers()
    {
        await Audit();

        var rows = DetoxScore.Rows("toy", folders.Artefacts, (_, text) => Oafs(text), seed: 1);
        var opposite = DetoxScore.Rows("toy", folders.Artefacts, (_, text) => 1 - Oafs(text), seed: 1); // a toy text has at most one

        foreach (var method in new[] { "max-entropy", "random-head", "shuffled-max-entropy" })
        {
            double Value(IReadOnlyList<StudyRow> of, string measure) => of.Single(row => row.Measure == $"toy: {method}: {measure}").Value;
            Assert.Equal(1, Math.Pow(Value(rows, "d_STARC"), 2) + Math.Pow(Value(opposite, "d_STARC"), 2), 1e-9);
            Assert.Equal(1, Value(rows, "AUC, toxic text") + Value(opposite, "AUC, toxic text"), 1e-9);
            Assert.Equal(1, Value(rows, "accuracy of pairs with a gap") + Value(opposite, "accuracy of pairs with a gap"), 1e-9);
            Assert.Equal(Value(rows, "accuracy against the policy"), Value(opposite, "accuracy against the policy")); // what was fitted knows of neither
        }
    }

    [Fact]
    public async Task With_too_few_toxic_texts_no_reward_is_compared_and_the_census_remains()
    {
        await Audit();
        var left = DetoxScore.ToxicMin - 1;

        var rows = DetoxScore.Rows("toy", folders.Artefacts, (_, text) => Oafs(text) > 0 && left-- > 0 ? 1 : 0, seed: 1);

        Assert.Equal(0, rows.Single(row => row.Measure == $"toy: rewards can be compared with the count (at least {DetoxScore.ToxicMin} toxic candidates)").Value);
        Assert.DoesNotContain(rows, row => row.Measure.EndsWith("d_STARC", StringComparison.Ordinal) || row.Measure.Contains("AUC", StringComparison.Ordinal));
        Assert.Equal(Train + HoldOut + Test, rows.Where(row => row.Measure.EndsWith("T pairs", StringComparison.Ordinal)).Sum(row => row.Value));
        Assert.Contains(rows, row => row.Measure == "toy: max-entropy: accuracy against the policy");
    }

    /// <summary>At the size of the evidence, for the seeds of the evidence: a prompt in two parts would make the verdict grey for no other reason.</summary>
    [Fact]
    public void No_prompt_of_the_world_stands_in_two_parts()
    {
        foreach (var seed in new long[] { 1, 2, 3 })
        {
            var prompts = DetoxStudy.WorldPrompts(new DetoxSizes(), seed).All;

            Assert.Equal((2_000, 200, 250), (prompts.Count(prompt => prompt.Part is AuditPart.Train), prompts.Count(prompt => prompt.Part is AuditPart.Holdout), prompts.Count(prompt => prompt.Part is AuditPart.Test)));
            Assert.Equal(2_450, prompts.Select(prompt => prompt.Key).Distinct().Count());
        }
    }

    private static int Oafs(string text) => text.Split([' ', ',', '.', '!']).Count(word => word == "oaf");

    private string[] Files() => [.. Directory.EnumerateFiles(folders.Artefacts).Order().Select(file => $"{file} {Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes(file)))}")];

    // The base insults in most of its answers, the policy in some.
    private Task<AuditReport> Audit()
    {
        var prompts = SmallAudit.Prompts(Train + HoldOut + Test, i => i < Train ? AuditPart.Train : i < Train + HoldOut ? AuditPart.Holdout : AuditPart.Test);
        return AuditRewardRecipe.Run(SmallAudit.Spec with { CompletionsOnTest = Each }, new AuditInputs(prompts, Says("audited", 3, 4), Says("base", 4, 1), SmallAudit.Reader), folders.Context());

        static SaidByRule Says(string name, int step, int insultsBelow) => SaidByRule.Texts(name, (prompt, i) =>
        {
            var number = int.Parse(prompt.Id[1..], System.Globalization.CultureInfo.InvariantCulture);
            return (number * step + i) % 7 > insultsBelow ? $"No, you oaf, not the thing {(number + i) % 5}." : $"Yes please, take the thing {(number + i) % 5}.";
        });
    }
}
