using Portal.Engine.Irl;
using Portal.Engine.Statistics;
using Xunit;

namespace Portal.Tests.Engine.Irl;

/// <summary>Each rule that makes a verdict grey, one at a time on evidence that is otherwise good; and lights that are coloured only where a limit is clearly met.</summary>
public sealed class AuditVerdictTests
{
    private static readonly AuditFacts facts = new(2_000, 2_000, 10, 16, 12, 1, 2_000, false, []);

    private static readonly AuditEvidence good = new()
    {
        Facts = facts,
        Accuracy = Accuracy(0.71, 0.66, 0.76),
        Undetermined = Open(0.12, 0.09, 0.15),
        Ambiguity = new EnsembleAmbiguity(new ConfidenceInterval(0.11, 0.09, 0.14, 0.95, 300), []),
        Distance = new ConfidenceInterval(0.18, 0.14, 0.22, 0.95, 300),
        SpuriousTested = 6,
        LeastSpuriousEffect = 0.18,
    };

    [Fact]
    public void Good_evidence_is_judged()
    {
        var verdict = AuditVerdict.Judge(good);

        Assert.False(verdict.IsGrey);
        Assert.All(new[] { verdict.Identifiable, verdict.Faithful, verdict.Spurious }, light => Assert.Equal(LightState.Yes, light.State));
        Assert.Contains("A_undet 12 % (9 % to 15 %, limit 30 %), A_ens 0.11 (0.09 to 0.14)", verdict.Identifiable.Sentence, StringComparison.Ordinal);
    }

    public static TheoryData<VerdictReasonKind, string> Greys => new()
    {
        { VerdictReasonKind.TooFewPairs, "199 pairs" },
        { VerdictReasonKind.Leakage, "'p7' in train and test" },
        { VerdictReasonKind.OneCompletionPerPrompt, "one completion only" },
        { VerdictReasonKind.IdenticalCompletions, "all 2000 pairs" },
        { VerdictReasonKind.EqualPolicies, "same probability" },
        { VerdictReasonKind.ConstantFeatures, "All 12 features" },
        { VerdictReasonKind.NoLogRatios, "300 of 2000 pairs have no log-probabilities" },
        { VerdictReasonKind.AtChance, "in 54 % (51 % to 57 %)" },
        { VerdictReasonKind.Undetermined, "the order of 31 %" },
    };

    [Theory]
    [MemberData(nameof(Greys))]
    public void Each_rule_alone_turns_everything_grey_and_says_why(VerdictReasonKind kind, string says)
    {
        var evidence = kind switch
        {
            VerdictReasonKind.TooFewPairs => good with { Facts = facts with { Pairs = 199, Identical = 0 } },
            VerdictReasonKind.Leakage => good with { Facts = facts with { Leaks = [new PromptLeak("p7", "train", "test")] } },
            VerdictReasonKind.OneCompletionPerPrompt => good with { Facts = facts with { CandidatesMin = 1 } },
            VerdictReasonKind.IdenticalCompletions => good with { Facts = facts with { Identical = 2_000 } },
            VerdictReasonKind.EqualPolicies => good with { Facts = facts with { ArePoliciesEqual = true } },
            VerdictReasonKind.ConstantFeatures => good with { Facts = facts with { ConstantFeatures = 12 } },
            VerdictReasonKind.NoLogRatios => good with { NeedsLogRatios = true, Facts = facts with { LogRatios = 1_700 } },
            VerdictReasonKind.AtChance => good with { Accuracy = Accuracy(0.54, 0.51, 0.57) },
            VerdictReasonKind.Undetermined => good with { Undetermined = Open(0.31, 0.28, 0.34) },
        };

        var verdict = AuditVerdict.Judge(evidence);

        Assert.Equal([kind], verdict.Reasons.Select(reason => reason.Kind));
        Assert.Contains(says, verdict.Reasons[0].Sentence, StringComparison.Ordinal);
        Assert.All(new[] { verdict.Identifiable, verdict.Faithful, verdict.Spurious }, light => Assert.Equal(LightState.NotEnoughEvidence, light.State));
        Assert.All(new[] { verdict.Identifiable, verdict.Faithful, verdict.Spurious }, light => Assert.Contains(verdict.Reasons[0].Sentence, light.Sentence, StringComparison.Ordinal));
    }

    [Fact]
    public void At_a_limit_the_verdict_turns()
    {
        bool Grey(AuditEvidence evidence) => AuditVerdict.Judge(evidence).IsGrey;

        Assert.False(Grey(good with { Facts = facts with { Pairs = 210, Identical = 10 } }));
        Assert.True(Grey(good with { Facts = facts with { Pairs = 209, Identical = 10 } })); // identical pairs count for nothing
        Assert.False(Grey(good with { Accuracy = Accuracy(0.55, 0.51, 0.59) }));
        Assert.True(Grey(good with { Accuracy = Accuracy(0.56, 0.49, 0.63) })); // not clear of one half
        Assert.False(Grey(good with { Undetermined = Open(0.30, 0.27, 0.33) }));
        Assert.False(Grey(good with { Facts = facts with { LogRatios = 0 } })); // nobody asked for them
        Assert.True(Grey(good with { Facts = facts with { CandidatesMin = 0 } }));
        Assert.False(Grey(good with { Facts = facts with { CandidatesMin = 2 } }));
    }

    [Fact]
    public void Several_reasons_are_all_given()
    {
        var verdict = AuditVerdict.Judge(good with { Facts = facts with { Pairs = 50, CandidatesMin = 1 }, Accuracy = Accuracy(0.5, 0.4, 0.6), Undetermined = Open(0.7, 0.6, 0.8) });

        Assert.Equal([VerdictReasonKind.TooFewPairs, VerdictReasonKind.OneCompletionPerPrompt, VerdictReasonKind.AtChance, VerdictReasonKind.Undetermined], verdict.Reasons.Select(reason => reason.Kind));
    }

    [Fact]
    public void A_light_whose_interval_crosses_its_limit_is_grey()
    {
        Assert.Equal(LightState.NotEnoughEvidence, AuditVerdict.Judge(good with { Undetermined = Open(0.27, 0.22, 0.32) }).Identifiable.State);
        Assert.Equal(LightState.NotEnoughEvidence, AuditVerdict.Judge(good with { Undetermined = null }).Identifiable.State);
        LightState Faithful(double estimate, double low, double high) => AuditVerdict.Judge(good with { Distance = new ConfidenceInterval(estimate, low, high, 0.95, 100) }).Faithful.State;
        Assert.Equal(LightState.NotEnoughEvidence, Faithful(0.24, 0.09, 0.41));
        Assert.Equal(LightState.No, Faithful(0.4, 0.3, 0.5));
        Assert.Equal(LightState.Yes, Faithful(0.2, 0.15, 0.25));
        Assert.Contains("the opposite", AuditVerdict.Judge(good with { Distance = new ConfidenceInterval(0.96, 0.95, 0.97, 0.95, 100) }).Faithful.Sentence, StringComparison.Ordinal);
        Assert.Contains("4 candidates; 8 are needed", AuditVerdict.Judge(good with { Facts = facts with { CandidatesMin = 4 } }).Faithful.Sentence, StringComparison.Ordinal);
        Assert.Equal(LightState.NotEnoughEvidence, AuditVerdict.Judge(good with { Facts = facts with { CandidatesMin = 4 } }).Faithful.State);
    }

    [Fact]
    public void Without_a_reference_calibration_speaks()
    {
        CalibrationReport Report(double loss, double error) => new(300, error, 0.2, loss, []);
        LightState Faithful(CalibrationReport? report) => AuditVerdict.Judge(good with { Distance = null, Calibration = report }).Faithful.State;

        Assert.Equal(LightState.Yes, Faithful(Report(0.55, 0.05)));
        Assert.Equal(LightState.NotEnoughEvidence, Faithful(Report(0.70, 0.05)));
        Assert.Equal(LightState.NotEnoughEvidence, Faithful(Report(0.55, 0.15)));
        Assert.Equal(LightState.NotEnoughEvidence, Faithful(null));
    }

    [Fact]
    public void Not_found_is_not_clean_with_few_pairs()
    {
        Assert.Equal(LightState.No, AuditVerdict.Judge(good with { SpuriousFound = ["length"] }).Spurious.State);
        Assert.Contains("1 of 6", AuditVerdict.Judge(good with { SpuriousFound = ["length"] }).Spurious.Sentence, StringComparison.Ordinal);
        Assert.Contains("too few to call that clean", AuditVerdict.Judge(good with { Facts = facts with { Pairs = 1_999 } }).Spurious.Sentence, StringComparison.Ordinal);
        Assert.Equal(LightState.NotEnoughEvidence, AuditVerdict.Judge(good with { Facts = facts with { Pairs = 1_999 } }).Spurious.State);
        Assert.Equal(LightState.NotEnoughEvidence, AuditVerdict.Judge(good with { SpuriousTested = 0 }).Spurious.State);
    }

    /// <summary>What twins found never turns a light bad, and no light stays good against it.</summary>
    [Fact]
    public void Twins_take_nothing_found_back_and_stand_in_every_sentence()
    {
        var found = good with { TwinsTested = 8, TwinsFound = ["marker prefix (+0.40)"] };
        foreach (var (evidence, state) in new[]
        {
            (found, LightState.NotEnoughEvidence), (found with { SpuriousFound = ["length"] }, LightState.No), (found with { Facts = facts with { Pairs = 1_999 } }, LightState.NotEnoughEvidence), (found with { SpuriousTested = 0 }, LightState.NotEnoughEvidence),
        })
        {
            var light = AuditVerdict.Judge(evidence).Spurious;
            Assert.Equal(state, light.State);
            Assert.EndsWith("Counterfactual texts move the reward in 1 of 8 spurious checks: marker prefix (+0.40).", light.Sentence, StringComparison.Ordinal);
        }
        Assert.Equal(AuditVerdict.Judge(good).Spurious, AuditVerdict.Judge(good with { TwinsTested = 8 }).Spurious);
    }

    [Fact]
    public void Facts_are_read_off_the_data()
    {
        IrlPair One(string prompt, float a, float b, double? ratio = null) => new(prompt, [a, 1], [b, 1], ratio);
        PromptCandidates[] candidates = [new("t", [[1, 1], [2, 1]]), new("u", [[1, 1], [2, 1], [3, 1]])];

        var seen = AuditFacts.Of([One("a", 1, 2), One("a", 3, 3), One("b", 1, 2, 0.4)], [One("h", 1, 2)], [One("t", 1, 2), One("a", 5, 1)], candidates);

        Assert.Equal((6, 4, 1, 2, 2, 1, 1, false), (seen.Pairs, seen.Prompts, seen.Identical, seen.CandidatesMin, seen.Features, seen.ConstantFeatures, seen.LogRatios, seen.ArePoliciesEqual));
        Assert.Equal([new PromptLeak("a", "train", "test")], seen.Leaks);
        Assert.True(AuditFacts.Of([One("a", 1, 2, 0), One("b", 1, 2, 1e-9)], [], [], []).ArePoliciesEqual);
        Assert.False(AuditFacts.Of([One("a", 1, 2, 0), One("b", 1, 2)], [], [], []).ArePoliciesEqual); // one is unknown
        Assert.True(AuditFacts.Of([One("a", 1, 2)], [], [], [], isSameModel: true).ArePoliciesEqual);
        Assert.Equal(0, AuditFacts.Of([], [], [], []).Pairs);
    }

    private static PairAccuracy Accuracy(double estimate, double low, double high) => new(300, 0, new ConfidenceInterval(estimate, low, high, 0.95, 300));

    private static UndeterminedPairs Open(double estimate, double low, double high) => new(new ConfidenceInterval(estimate, low, high, 0.95, 300), []);
}
