using System.Reflection;
using Portal.Engine.TinyAssistant;
using Xunit;

namespace Portal.Tests.Tidy;

/// <summary>
/// The true reward of the demo world stays sealed: a method that could read r* would be measured against itself.
/// </summary>
/// <remarks>
/// Reads the metadata of the built engine (<see cref="TypeReferences"/>). What a lambda uses counts for the type around it.
/// </remarks>
public sealed class SealedTruthTests
{
    private const string Home = "Portal.Engine.TinyAssistant";
    private static readonly string[] sealedTypes = [$"{Home}.SealedTruth", $"{Home}.TruthScorer"];
    private static readonly string[] knownRewards = [$"{Home}.PolicyRewards", $"{Home}.SealedJudgement"];
    private static readonly string[] recovering = ["Irl", "Audits", "Influence", "Unlearning"];
    private static readonly string[] underTest = ["Irl", "Audits", "Influence", "Sae", "Unlearning", "Agreement", "Evaluation", "Recipes"];

    [Fact]
    public void No_engine_type_outside_TinyAssistant_refers_to_the_sealed_truth()
    {
        var offenders = TypesReferringTo(typeof(World).Assembly.Location, sealedTypes).Where(type => !IsAtHome(type)).ToArray();

        Assert.True(offenders.Length == 0,
            $"{string.Join(", ", offenders)}: r* is sealed. Take the reward as a delegate (PolicyRewards.For, handed in by the caller), or move the code that needs the truth under engine/TinyAssistant.");
    }

    /// <summary>Recovered rewards and audits may not see the known policies' rewards either: they are what is to be recovered.</summary>
    [Fact]
    public void Methods_under_test_do_not_refer_to_the_policies_rewards()
    {
        var offenders = Under("Portal.Engine", TypesReferringTo(typeof(World).Assembly.Location, knownRewards)).ToArray();

        Assert.True(offenders.Length == 0, $"{string.Join(", ", offenders)}: take the reward as a delegate instead.");
    }

    /// <summary>
    /// A method that recovers a reward gets numbers only: whoever could name a type of the demo world could read rewards or grades out of it. Stricter than the ladder, and for these folders alone.
    /// </summary>
    [Fact]
    public void Recovered_rewards_know_nothing_of_the_demo_world()
    {
        var offenders = TypeReferences.Of(typeof(World).Assembly.Location).Where(type => Recovers("Portal.Engine", type.Key) && type.Value.Any(IsAtHome)).Select(type => type.Key).ToArray();

        Assert.True(offenders.Length == 0, $"{string.Join(", ", offenders)}: engine/Irl takes features, pairs and log-ratios, engine/Audits texts of any policy. Score by the truth where the truth is, in engine/TinyAssistant.");
    }

    /// <summary>The scanner looks into engine/Irl: it finds the methods there, nested types and lambdas included, and what they do refer to.</summary>
    [Fact]
    public void The_scanner_sees_the_methods_under_test()
    {
        var types = TypeReferences.Of(typeof(World).Assembly.Location);

        foreach (var method in new[] { "FailureAwareIrl", "FailureAwareIrl.Head", "MaxEntropyIrl", "BayesianIrl", "LogRatioReward", "RewardAudit", "IncentiveTable", "Parity.MeanFieldIrl" })
            Assert.Contains($"Portal.Engine.Irl.{method}", types.Keys);
        Assert.Contains("Portal.Engine.Statistics.SeededRandom", types["Portal.Engine.Irl.RewardAudit"]);
        Assert.Contains("Portal.Engine.Irl.PairMatrix", types["Portal.Engine.Irl.FailureAwareIrl"]);
        foreach (var type in new[] { "AuditRewardRecipe", "TextCollection", "ReadableFeatures", "CensusCount", "Findings" })
            Assert.Contains($"Portal.Engine.Audits.{type}", types.Keys);
        Assert.Contains("Portal.Engine.Irl.RewardAudit", types["Portal.Engine.Audits.AuditRewardRecipe"]);
    }

    /// <summary>Negative controls: in a folder of that name each way to a known policy's reward, or to the truth, is caught; one that takes a delegate is not, nor is anybody elsewhere.</summary>
    [Fact]
    public void A_method_that_reaches_for_a_reward_is_caught()
    {
        var here = typeof(SealedTruthTests).Assembly.Location;

        Assert.Equal(["Peeking.Audits.AsksForAReward", "Peeking.Irl.AsksForAPolicysReward", "Peeking.Irl.AsksInALambda"], Under("Portal.Tests.Tidy.Peeking", TypesReferringTo(here, knownRewards)).Select(Short).Where(type => !type.Contains('<')).Order());
        Assert.Equal(["Peeking.Irl.ReadsTheTruth"], TypesReferringTo(here, sealedTypes).Where(type => type.Contains(".Peeking.", StringComparison.Ordinal)).Select(Short));
        Assert.Equal(["Peeking.Audits.AsksForAReward", "Peeking.Audits.GradesATextOfAnAudit", "Peeking.Irl.AsksForAPolicysReward", "Peeking.Irl.AsksInALambda", "Peeking.Irl.Grades", "Peeking.Irl.ReadsTheTruth"],
            TypeReferences.Of(here).Where(type => Recovers("Portal.Tests.Tidy.Peeking", type.Key) && type.Value.Any(IsAtHome)).Select(type => Short(type.Key)).Where(type => !type.Contains('<')).Order());

        static string Short(string type) => type["Portal.Tests.Tidy.".Length..];
    }

    /// <summary>The scanner has eyes: inside the folder it finds those that are known to use the truth.</summary>
    [Fact]
    public void The_scanner_finds_the_known_users()
    {
        var users = TypesReferringTo(typeof(World).Assembly.Location, sealedTypes).ToHashSet();

        Assert.Contains($"{Home}.TruthScorer", users);
        Assert.Contains($"{Home}.SimulatedAnnotators", users);
        Assert.Contains($"{Home}.PolicyRewards", users);
        Assert.DoesNotContain($"{Home}.Grader", users);
        Assert.DoesNotContain($"{Home}.World", users);
    }

    /// <summary>Negative controls: each of the ways of reaching the truth below is caught, and the innocent class is not.</summary>
    [Theory]
    [InlineData(nameof(ReadsAField), true)]
    [InlineData(nameof(CallsFromALambda), true)]
    [InlineData(nameof(HoldsAMethodGroup), true)]
    [InlineData(nameof(NamesTheTypeOnly), true)]
    [InlineData(nameof(TakesADelegate), false)]
    public void A_reference_from_elsewhere_is_caught(string type, bool caught)
    {
        var users = TypesReferringTo(typeof(SealedTruthTests).Assembly.Location, sealedTypes);

        Assert.Equal(caught, users.Contains($"Portal.Tests.Tidy.{nameof(SealedTruthTests)}.{type}"));
    }

    /// <summary>A constant is copied into its users and leaves no trace, so the scanner would be blind to it.</summary>
    [Fact]
    public void The_sealed_constants_are_fields_not_literals() =>
        Assert.DoesNotContain(typeof(SealedTruth).GetFields(BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic), field => field.IsLiteral);

    [Fact]
    public void The_sealed_types_are_not_public()
    {
        Assert.False(typeof(SealedTruth).IsPublic);
        Assert.False(typeof(TruthScorer).IsPublic);
    }

    private static bool Recovers(string root, string type) => recovering.Any(folder => type.StartsWith($"{root}.{folder}.", StringComparison.Ordinal));

    private static IEnumerable<string> Under(string root, IEnumerable<string> types) => types.Where(type => underTest.Any(folder => type.StartsWith($"{root}.{folder}.", StringComparison.Ordinal)));

    private static bool IsAtHome(string type) => type.StartsWith(Home + ".", StringComparison.Ordinal);

    private static HashSet<string> TypesReferringTo(string assemblyPath, IReadOnlyCollection<string> targets) =>
        [.. TypeReferences.Of(assemblyPath).Where(type => type.Value.Overlaps(targets)).Select(type => type.Key)];

    // What the scanner has to catch. Tests may see the truth, so these compile; nothing calls them.
    private static class ReadsAField
    {
        public static double Take() => SealedTruth.Correct;
    }

    private static class CallsFromALambda
    {
        public static Func<string, double> Take() => text => TruthScorer.Score([new WorldTurn(Speaker.User, "Hello!")], text);
    }

    private static class HoldsAMethodGroup
    {
        public static Func<GraderReading, double> Take() => TruthScorer.Score;
    }

    private static class NamesTheTypeOnly
    {
        public static Type Take() => typeof(SealedTruth);
    }

    private static class TakesADelegate
    {
        public static double Take(Func<string, double> reward) => reward("Hello!");
    }
}
