using System.Text.Encodings.Web;
using System.Text.Json;

namespace Portal.Web.Registry;

/// <summary>Stored JSON, laid out for people.</summary>
public static class SpecText
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Indented JSON; the text as it is where it is no JSON. Markup in it is the page's business: Razor encodes it.</summary>
    public static string Pretty(string json)
    {
        try
        {
            using var document = JsonDocument.Parse(json);
            return JsonSerializer.Serialize(document.RootElement, Indented);
        }
        catch (JsonException)
        {
            return json; // base models may carry their provenance as plain text
        }
    }
}
