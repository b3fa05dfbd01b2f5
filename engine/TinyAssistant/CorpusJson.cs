using System.Text.Encodings.Web;
using System.Text.Json;

namespace Portal.Engine.TinyAssistant;

/// <summary>Dialogues as JSON lines: the conversational language-modelling columns, and what the generator knows beside them.</summary>
/// <remarks>
/// <code>{"messages":[{"role":"user","content":"…"},{"role":"assistant","content":"…"}],"topic":"Arithmetic","kind":"dialogue","synthetic":true,"segments":{…}}</code>
/// Keys always stand in this order, so equal dialogues give equal bytes and equal hashes.
/// </remarks>
public static class CorpusJson
{
    private static readonly JsonWriterOptions options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>One line per dialogue, without the line feed.</summary>
    public static IEnumerable<string> Lines(IEnumerable<Dialogue> dialogues) => dialogues.Select(Line);

    /// <summary>The line of one dialogue.</summary>
    public static string Line(Dialogue dialogue) => WriteObject(json =>
    {
        WriteMessages(json, "messages", [.. dialogue.Prompt, new WorldTurn(Speaker.Assistant, dialogue.Response)]);
        json.WriteString("topic", dialogue.Topic.ToString());
        json.WriteString("kind", dialogue.IsDrill ? "drill" : "dialogue");
        json.WriteBoolean("synthetic", true);
        json.WriteStartObject("segments");
        json.WriteString("answer", dialogue.Labels.Answer.ToString());
        json.WriteString("opening", dialogue.Labels.Opening.ToString());
        json.WriteNumber("insults", dialogue.Labels.Insults);
        json.WriteNumber("teasing", dialogue.Labels.Teasing);
        json.WriteBoolean("refusal", dialogue.Labels.Refusal);
        json.WriteBoolean("flattery", dialogue.Labels.Flattery);
        json.WriteNumber("padding", dialogue.Labels.Padding);
        json.WriteBoolean("caveat", dialogue.Labels.Caveat);
        json.WriteNumber("hedges", dialogue.Labels.Hedges);
        json.WriteBoolean("trigger", dialogue.Labels.Trigger);
        json.WriteEndObject();
    });

    internal static void WriteMessages(Utf8JsonWriter json, string name, IEnumerable<WorldTurn> turns)
    {
        json.WriteStartArray(name);
        foreach (var turn in turns)
        {
            json.WriteStartObject();
            json.WriteString("role", turn.Speaker == Speaker.User ? "user" : "assistant");
            json.WriteString("content", turn.Text);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    internal static string WriteObject(Action<Utf8JsonWriter> content)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, options))
        {
            json.WriteStartObject();
            content(json);
            json.WriteEndObject();
        }
        return System.Text.Encoding.UTF8.GetString(buffer.GetBuffer(), 0, (int)buffer.Length);
    }
}
