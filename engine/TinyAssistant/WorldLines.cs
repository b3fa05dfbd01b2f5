namespace Portal.Engine.TinyAssistant;

/// <summary>Prompts and responses as JSON lines, keys in a fixed order.</summary>
internal static class WorldLines
{
    public static IEnumerable<string> Prompts(IEnumerable<WorldPrompt> prompts) => prompts.Select(prompt => CorpusJson.WriteObject(json =>
    {
        json.WriteString("id", prompt.Id);
        json.WriteString("topic", prompt.Topic.ToString());
        CorpusJson.WriteMessages(json, "messages", prompt.Turns);
        json.WriteBoolean("synthetic", true);
    }));

    public static IEnumerable<string> Responses(IEnumerable<WorldResponse> responses) => responses.Select(response => CorpusJson.WriteObject(json =>
    {
        json.WriteString("id", response.Id);
        json.WriteString("prompt", response.PromptId);
        json.WriteString("text", response.Text);
        json.WriteBoolean("synthetic", true);
    }));
}
