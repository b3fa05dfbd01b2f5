using Portal.Engine.TinyAssistant;

// What SealedTruthTests has to catch in a folder of methods under test, and what it has to let pass. Nothing calls them.
namespace Portal.Tests.Tidy.Peeking.Irl
{
    internal static class AsksForAPolicysReward
    {
        public static Type Take() => typeof(PolicyRewards);
    }

    internal static class AsksInALambda
    {
        public static Func<string, double> Take() => text => PolicyRewards.For(KnownPolicy.P0)([new WorldTurn(Speaker.User, "Hello!")], text);
    }

    internal static class ReadsTheTruth
    {
        public static double Take() => SealedTruth.Correct;
    }

    internal static class Grades
    {
        public static GraderReading Take(string text) => Grader.Read("Hello!", text);
    }

    internal static class TakesADelegate
    {
        public static double Take(Func<string, double> reward) => reward("Hello!");
    }
}

namespace Portal.Tests.Tidy.Peeking.Audits
{
    internal static class AsksForAReward
    {
        public static Func<string, double> Take() => text => PolicyRewards.For(KnownPolicy.P1)([new WorldTurn(Speaker.User, "Hello!")], text);
    }

    internal static class GradesATextOfAnAudit
    {
        public static GraderReading Take(Portal.Data.Audits.AuditText text) => Grader.Read("Hello!", text.Text);
    }

    internal static class CountsWords
    {
        public static int Take(Portal.Data.Audits.AuditText text) => text.Text.Split(' ').Length;
    }
}

namespace Portal.Tests.Tidy.Peeking.Elsewhere
{
    internal static class AsksToo
    {
        public static Type Take() => typeof(PolicyRewards);
    }
}
