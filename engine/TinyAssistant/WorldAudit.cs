using Portal.Data.Audits;
using Portal.Data.Feedback;
using Portal.Engine.Audits;

namespace Portal.Engine.TinyAssistant;

/// <summary>The world's prompts as audits ask them: the topic is the tag, so that risky ones are known by it.</summary>
internal static class WorldAudit
{
    /// <summary>Prompts that the audit splits.</summary>
    public static AuditPrompts Prompts(IEnumerable<WorldPrompt> prompts) => AuditPrompts.Of(Rows(prompts, null));

    /// <summary>Prompts that were split before.</summary>
    public static AuditPrompts Prompts(IEnumerable<WorldPrompt> train, IEnumerable<WorldPrompt> holdOut, IEnumerable<WorldPrompt> test) =>
        AuditPrompts.Of([.. Rows(train, AuditPart.Train), .. Rows(holdOut, AuditPart.Holdout), .. Rows(test, AuditPart.Test)]);

    private static IEnumerable<(string, IReadOnlyList<Turn>, IReadOnlyList<string>, AuditPart?)> Rows(IEnumerable<WorldPrompt> prompts, AuditPart? part) =>
        prompts.Select(prompt => (prompt.Id, MakeDemo.TurnsOf(prompt.Turns), (IReadOnlyList<string>)[prompt.Topic is Topic.Risky ? ReadableFeatures.RiskyTag : prompt.Topic.ToString()], part));
}
