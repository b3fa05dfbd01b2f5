using System.Text.Json;
using System.Text.Json.Serialization;

namespace Portal.Data.Serving;

/// <summary>How the engine's door writes and reads JSON: snake_case as OpenAI's API does, absent rather than null, unknown members ignored.</summary>
public static class ServingJson
{
    /// <summary>For both ends of the door.</summary>
    public static JsonSerializerOptions Options { get; } = Make();

    private static JsonSerializerOptions Make()
    {
        var options = new JsonSerializerOptions(JsonSerializerDefaults.Web)
        {
            PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
            DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
            Converters = { new JsonStringEnumConverter(JsonNamingPolicy.SnakeCaseLower) },
        };
        options.MakeReadOnly(populateMissingResolver: true);
        return options;
    }
}

/// <summary>OpenAI's "a string or a list of strings".</summary>
[JsonConverter(typeof(Converter))]
public sealed record Texts(IReadOnlyList<string> All)
{
    /// <summary>One text.</summary>
    public static implicit operator Texts(string text) => new([text]);

    private sealed class Converter : JsonConverter<Texts>
    {
        public override Texts Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
            reader.TokenType is JsonTokenType.String
                ? new Texts([reader.GetString() ?? ""])
                : new Texts(JsonSerializer.Deserialize<List<string>>(ref reader, options) ?? []);

        public override void Write(Utf8JsonWriter writer, Texts value, JsonSerializerOptions options)
        {
            if (value.All is [var one])
                writer.WriteStringValue(one);
            else
                JsonSerializer.Serialize(writer, value.All, options);
        }
    }
}

/// <summary>The body of every refused request, as OpenAI's clients expect it.</summary>
public sealed record ServingError(ServingError.Detail Error)
{
    /// <param name="Message">What is wrong and what to do.</param>
    /// <param name="Type">"invalid_request_error", "authentication_error", "overloaded_error" or "unavailable_error".</param>
    /// <param name="Param">The field it is about; null when it is about the request as a whole.</param>
    public sealed record Detail(string Message, string Type, string? Param);
}
