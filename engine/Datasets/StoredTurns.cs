using Portal.Data.Feedback;
using Portal.Engine.Datasets.Formats;

namespace Portal.Engine.Datasets;

/// <summary>Between the turns of a file and the turns of the database. Nothing is trimmed or changed either way.</summary>
internal static class StoredTurns
{
    /// <summary>As they are stored and hashed.</summary>
    public static IReadOnlyList<Turn> Of(IReadOnlyList<Message> messages) => [.. messages.Select(message => new Turn(message.Role switch
    {
        MessageRole.System => "system",
        MessageRole.User => "user",
        MessageRole.Assistant => "assistant",
        MessageRole.Tool => "tool",
    }, message.Text))];

    /// <summary>As files know them. A role that no file of ours writes counts as the user's.</summary>
    public static IReadOnlyList<Message> ToMessages(IReadOnlyList<Turn> turns) => [.. turns.Select(turn => new Message(turn.Role switch
    {
        "system" => MessageRole.System,
        "assistant" => MessageRole.Assistant,
        "tool" => MessageRole.Tool,
        _ => MessageRole.User,
    }, turn.Content))];

    /// <summary>As chat templates take them: a tool's answer is something the model is told, so it stands where the user's words do.</summary>
    public static IReadOnlyList<Turn> ForTraining(IReadOnlyList<Turn> turns) =>
        turns.All(turn => turn.Role != "tool") ? turns : [.. turns.Select(turn => turn.Role == "tool" ? turn with { Role = "user" } : turn)];
}
