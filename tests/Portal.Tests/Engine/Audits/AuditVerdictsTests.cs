using Portal.Data.Audits;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Engine;
using Portal.Engine.Audits;
using Portal.Tests.Engine.Recipes;
using Xunit;

namespace Portal.Tests.Engine.Audits;

/// <summary>
/// Bad data end in a grey verdict that says why, and never in an exception or a coloured guess: each way in which an audit can be worth nothing, made to happen; and one that is worth something, so that
/// grey is not what everything ends in.
/// </summary>
public sealed class AuditVerdictsTests : IDisposable
{
    private const int Enough = 240;

    private static readonly SaidByRule kind = SaidByRule.Texts("kind", (prompt, i) => $"Yes please take it {Word(prompt, i)}."), rude = SaidByRule.Texts("rude", (prompt, i) => $"No, never take it {Word(prompt, i + 3)}.");

    private readonly RunFolders folders = new();

    public void Dispose() => folders.Dispose();

    [Fact]
    public async Task Policies_that_differ_in_a_word_are_told_apart_with_certainty()
    {
        var report = await Run(SmallAudit.Prompts(Enough), kind, rude);

        Assert.Empty(report.Verdict.Reasons);
        Assert.Null(report.WhyNotFitted);
        Assert.Equal(AuditLightState.Yes, report.Verdict.Identifiable.State);
        Assert.Equal(1, report.Methods.Single(method => method.Name == report.Method).Accuracy!.Estimate);
        // The control that learnt from shuffled labels may not be trusted, in the same audit.
        Assert.Contains(report.Methods.Single(method => method.Name == "shuffled-max-entropy").Reasons, reason => reason.Kind is "AtChance" or "Undetermined");
        Assert.True(report.Methods.Single(method => method.Name == "random-head").IsControl);
    }

    [Fact]
    public async Task One_completion_a_prompt()
    {
        var report = await Run(SmallAudit.Prompts(Enough), kind, rude, SmallAudit.Spec with { CompletionsOnTest = 1 });

        IsGrey(report, "OneCompletionPerPrompt");
        Assert.Empty(report.Points);
        Assert.NotNull(report.Methods[0].Accuracy); // what can be measured is there, and is not judged
    }

    [Fact]
    public async Task Identical_completions() => IsGrey(await Run(SmallAudit.Prompts(Enough), kind, SaidByRule.Texts("copy", (prompt, i) => $"Yes please take it {Word(prompt, i)}.")), "IdenticalCompletions");

    [Fact]
    public async Task Equal_policies()
    {
        using var model = ToyWorld.Model();
        var policy = new ModelTexts(model, ToyWorld.Tokenizer, "one");

        var report = await Run(SmallAudit.Prompts(12), policy, new ModelTexts(model, ToyWorld.Tokenizer, "the same"));

        IsGrey(report, "TooFewPairs");
        Assert.StartsWith("The audited policy and its base give every completion the same probability", Assert.Single(report.Verdict.Reasons, reason => reason.Kind == "EqualPolicies").Sentence, StringComparison.Ordinal);
        Assert.Equal(report.Verdict.Reasons.Single(reason => reason.Kind == "EqualPolicies").Sentence, report.WhyNotFitted);
        Assert.Empty(report.Methods);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(30)]
    public async Task Fewer_than_200_pairs(int prompts) => IsGrey(await Run(SmallAudit.Prompts(prompts), kind, rude), "TooFewPairs");

    [Fact]
    public async Task No_log_probabilities_leave_out_the_method_that_needs_them_and_no_other()
    {
        var report = await Run(SmallAudit.Prompts(Enough), kind, rude, SmallAudit.Spec with { Methods = ["max-entropy", "log-ratio-ridge"] });

        var whiteBox = report.Methods.Single(method => method.Name == "log-ratio-ridge");
        Assert.StartsWith("0 training and 0 hold-out pairs have log-ratios", whiteBox.WhyNot, StringComparison.Ordinal);
        Assert.Contains(whiteBox.Reasons, reason => reason.Kind == "NoLogRatios");
        Assert.Null(report.Methods.Single(method => method.Name == "max-entropy").WhyNot);
        Assert.Equal(0, report.Provenance.LogRatios);
        Assert.Contains(report.Provenance.LeftOutFeatures, feature => feature.StartsWith(ReadableFeatures.BaseLogProbKey, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Leakage_by_the_text_of_a_prompt_whatever_its_id()
    {
        var prompts = AuditPrompts.Of(Enumerable.Range(0, Enough).Select(i => ($"p{i}", (IReadOnlyList<Turn>)[new Turn("user", i == 239 ? "MAY I take the thing 0!" : $"May I take the thing {i}?")], (IReadOnlyList<string>)[],
            (AuditPart?)(i < 160 ? AuditPart.Train : i < 200 ? AuditPart.Holdout : AuditPart.Test))));

        var report = await Run(prompts, kind, rude);

        IsGrey(report, "Leakage");
        Assert.Contains("'p0' in train and test", report.Verdict.Reasons[0].Sentence, StringComparison.Ordinal);
        Assert.Empty(report.Methods);
    }

    [Fact]
    public async Task Constant_features()
    {
        // Two texts of two words that no readable feature tells apart.
        var report = await Run(SmallAudit.Prompts(Enough), SaidByRule.Texts("one", (_, _) => "aa bb"), SaidByRule.Texts("two", (_, _) => "bb aa"), SmallAudit.Spec with { Features = AuditFeatures.Readable });

        Assert.Contains(report.Verdict.Reasons, reason => reason.Kind == "ConstantFeatures");
        IsGrey(report, "IdenticalCompletions");
        Assert.Equal(0, report.Census.ExactTies); // the texts do differ
    }

    [Fact]
    public async Task A_policy_that_never_answers_is_counted()
    {
        var report = await Run(SmallAudit.Prompts(30), kind, new SaidByRule("down", (_, i) => PolicyCompletion.None(i == 0 ? CompletionStatus.Failed : CompletionStatus.Refused, "It is down.")));

        IsGrey(report, "TooFewPairs");
        var counts = report.Census.Completions.Single(counts => counts.Side is AuditSide.Base);
        Assert.Equal((34, 0, 30, 4), (counts.Asked, counts.Written, counts.Failed, counts.Refused)); // 22 and 4 prompts of one completion, 4 of two
        Assert.Equal((30, 0, 30), (report.Census.Prompts, report.Census.Pairs, report.Census.PromptsWithoutPair));
    }

    [Fact]
    public async Task A_part_without_pairs_is_no_verdict()
    {
        var prompts = SmallAudit.Prompts(Enough, i => i < 200 ? AuditPart.Train : i < 220 ? AuditPart.Holdout : AuditPart.Test);
        var silent = new SaidByRule("silent", (prompt, i) => prompt.Part is AuditPart.Holdout ? PolicyCompletion.None(CompletionStatus.Empty, "Nothing.") : new PolicyCompletion(CompletionStatus.Written, $"No, never take it {Word(prompt, i + 3)}.", true));

        var report = await Run(prompts, kind, silent);

        IsGrey(report, "NotFitted");
        Assert.Equal("Train, hold-out and test have 200, 0 and 20 pairs; each needs some.", report.WhyNotFitted);
    }

    [Fact]
    public async Task Settings_that_make_no_sense_are_refused_by_field()
    {
        foreach (var (spec, message) in new[]
        {
            (SmallAudit.Spec with { CompletionsOnTest = 0 }, "completionsOnTest is 0"), (SmallAudit.Spec with { TestShare = 0.9, HoldoutShare = 0.2 }, "holdoutShare is 0.2 and testShare 0.9"),
            (SmallAudit.Spec with { Methods = ["asymmetric-margin"] }, "methods: there is no \"asymmetric-margin\""), (SmallAudit.Spec with { Features = AuditFeatures.SaeCodes }, "features is SaeCodes, and there is no SAE"),
            (SmallAudit.Spec with { Seeds = 0 }, "seeds is 0"), (SmallAudit.Spec with { Repeats = -1 }, "repeats is -1"),
        })
            Assert.StartsWith(message, (await Assert.ThrowsAsync<CannotTrain>(() => Run(SmallAudit.Prompts(9), kind, rude, spec))).Message, StringComparison.Ordinal);
    }

    private Task<AuditReport> Run(AuditPrompts prompts, IPolicyTexts audited, IPolicyTexts other, AuditReward? spec = null) =>
        AuditRewardRecipe.Run(spec ?? SmallAudit.Spec, new AuditInputs(prompts, audited, other, SmallAudit.Reader), folders.Context());

    private static void IsGrey(AuditReport report, string kind)
    {
        Assert.Equal(kind, report.Verdict.Reasons[0].Kind);
        Assert.All([report.Verdict.Identifiable, report.Verdict.Faithful, report.Verdict.Spurious], light =>
        {
            Assert.Equal(AuditLightState.NotEnoughEvidence, light.State);
            Assert.Equal($"Not enough evidence: {report.Verdict.Reasons[0].Sentence}", light.Sentence);
        });
    }

    private static string Word(AuditPrompt prompt, int ordinal) => new[] { "now", "soon", "from the hall", "from the old mill", "today", "with care", "home" }[(prompt.Id.Length + prompt.Id[^1] + ordinal) % 7];
}
