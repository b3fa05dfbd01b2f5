using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Unicode;

namespace Portal.Data.Feedback;

/// <summary>One turn of a conversation.</summary>
/// <param name="Role">"system", "user" or "assistant", as in OpenAI's and TRL's message lists.</param>
/// <param name="Content">The text of the turn, as written.</param>
public sealed record Turn([property: JsonPropertyName("role")] string Role, [property: JsonPropertyName("content")] string Content);

/// <summary>The turns of a prompt, and their one JSON form (which is what is hashed and stored).</summary>
public static class Conversation
{
    private static readonly JsonSerializerOptions Json = new() { Encoder = JavaScriptEncoder.Create(UnicodeRanges.All) };

    /// <summary>The stored form: a JSON array of {"role","content"} in order, no white space.</summary>
    public static string Serialize(IReadOnlyList<Turn> turns) => JsonSerializer.Serialize(turns, Json);

    /// <summary>Reads the stored form. An erased prompt (null) has no turns.</summary>
    public static IReadOnlyList<Turn> Parse(string? json) =>
        json is null ? [] : JsonSerializer.Deserialize<List<Turn>>(json, Json) ?? [];

    /// <summary>The last user turn: what the response answers. Empty when there is none.</summary>
    public static string LastQuestion(IReadOnlyList<Turn> turns) => turns.LastOrDefault(turn => turn.Role == "user")?.Content ?? "";
}
