using System.Text;
using System.Text.Json;

namespace Portal.Engine.Datasets.Formats;

/// <summary>Reads message lists, and holds the rule of who may speak after whom.</summary>
internal static class Conversation
{
    /// <summary>A list of messages; null and a problem at the first fault.</summary>
    public static IReadOnlyList<Message>? Read(RowFields fields, string name, JsonElement list)
    {
        var messages = new List<Message>();
        foreach (JsonElement item in list.EnumerateArray())
        {
            string where = $"{name}[{messages.Count}]";
            if (item.ValueKind != JsonValueKind.Object)
            {
                fields.Refuse(where, $"must be a message with a role and a text, not {RowFields.Name(item.ValueKind)}.");
                return null;
            }

            if (ReadOne(fields, where, item) is not { } message) return null;
            messages.Add(message);
        }

        if (messages.Count > 0) return messages;
        fields.Refuse(name, "is an empty list of messages.");
        return null;
    }

    /// <summary>One message, spelt role/content or from/value; null and a problem where it is neither.</summary>
    public static Message? ReadOne(RowFields fields, string where, JsonElement item)
    {
        bool spelling = item.TryGetProperty("role", out JsonElement role);
        if (!spelling && !item.TryGetProperty("from", out role))
        {
            fields.Refuse(where, "has no `role` (or `from`).");
            return null;
        }

        string textName = spelling ? "content" : "value";
        if (!item.TryGetProperty(textName, out JsonElement content))
        {
            fields.Refuse(where, $"has no `{textName}`.");
            return null;
        }

        if (item.TryGetProperty("tool_calls", out JsonElement calls) && calls.ValueKind == JsonValueKind.Array && calls.GetArrayLength() > 0)
        {
            fields.Refuse(where + ".tool_calls", "cannot be taken over: the portal holds texts only.");
            return null;
        }

        string? word = fields.StringOf(where + (spelling ? ".role" : ".from"), role, mayBeEmpty: false);
        if (word is null) return null;
        MessageRole? who = RoleOf(word);
        if (who is null)
        {
            fields.Refuse(where + (spelling ? ".role" : ".from"), $"is \"{RowFields.Shorten(word)}\"; known are system, user, assistant and tool (or human, gpt, observation).");
            return null;
        }

        string? text = content.ValueKind == JsonValueKind.Array ? TextParts(fields, where + "." + textName, content) : fields.StringOf(where + "." + textName, content, mayBeEmpty: false);
        return text is null ? null : new Message(who.Value, text);
    }

    /// <summary>Whether these turns can stand before a response; writes a problem and returns false where not.</summary>
    /// <remarks>A system message may only come first; a user begins; an assistant answers a user or a tool; a tool follows an assistant or a tool;
    /// the last turn is a user's or a tool's.</remarks>
    public static bool CheckPrompt(RowFields fields, string name, IReadOnlyList<Message> prompt)
    {
        MessageRole? before = null;
        for (int i = 0; i < prompt.Count; i++)
        {
            MessageRole role = prompt[i].Role;
            bool fits = role switch
            {
                MessageRole.System => i == 0,
                MessageRole.User => before is null or MessageRole.System or MessageRole.Assistant,
                MessageRole.Assistant => before is MessageRole.User or MessageRole.Tool,
                MessageRole.Tool => before is MessageRole.Assistant or MessageRole.Tool,
            };
            if (!fits)
            {
                fields.Refuse(name, $"has its roles out of order: message {i + 1} is {Word(role)}, after {(before is null ? "nothing" : Word(before.Value))}.");
                return false;
            }

            before = role;
        }

        if (before is MessageRole.User or MessageRole.Tool) return true;
        fields.Refuse(name, prompt.Count == 0 ? "is empty: no turn comes before the response." : $"must end with the user's turn, not {Word(before!.Value)}'s."); // not null: there is a message
        return false;
    }

    /// <summary>The role's word in files that we write.</summary>
    public static string Word(MessageRole role) => role switch
    {
        MessageRole.System => "system",
        MessageRole.User => "user",
        MessageRole.Assistant => "assistant",
        MessageRole.Tool => "tool",
    };

    private static MessageRole? RoleOf(string word) => word.Trim().ToLowerInvariant() switch
    {
        "user" or "human" or "prompter" => MessageRole.User,
        "assistant" or "gpt" or "chatgpt" or "model" or "bot" => MessageRole.Assistant,
        "system" or "developer" => MessageRole.System,
        "tool" or "observation" => MessageRole.Tool,
        _ => null,
    };

    // OpenAI's content parts: only text parts can be taken over.
    private static string? TextParts(RowFields fields, string where, JsonElement parts)
    {
        var text = new StringBuilder();
        foreach (JsonElement part in parts.EnumerateArray())
        {
            if (part.ValueKind != JsonValueKind.Object || !part.TryGetProperty("text", out JsonElement value))
            {
                fields.Refuse(where, "holds a part that is no text; the portal holds texts only.");
                return null;
            }

            if (fields.StringOf(where, value, mayBeEmpty: true) is not { } piece) return null;
            text.Append(piece);
        }

        if (!string.IsNullOrWhiteSpace(text.ToString())) return text.ToString();
        fields.Refuse(where, "is empty.");
        return null;
    }
}
