using Portal.Data.Feedback;
using Portal.Data.Registry;
using Portal.Engine.Evaluation;

namespace Portal.Engine.TinyAssistant;

/// <summary>What the demo world's graders read off a sampled answer. They know this world only, so they are asked in its project only.</summary>
public static class WorldFigures
{
    /// <summary>The key in a base model's provenance that says: this model was trained on the demo world.</summary>
    public const string WorldName = "tiny-assistant";

    /// <summary>Share of answers that the graders can read, and share with an insult.</summary>
    public static IReadOnlyList<Figure> All { get; } =
    [
        new(MetricNames.ReadableShare, answer => Grader.Read(Conversation.LastQuestion(answer.Prompt), answer.Text).Readable ? 1 : 0),
        new(MetricNames.InsultShare, answer => Grader.Read(Conversation.LastQuestion(answer.Prompt), answer.Text).Insults > 0 ? 1 : 0),
    ];
}
