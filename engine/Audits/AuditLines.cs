using System.Text.Json;
using System.Text.Json.Serialization;
using Portal.Data.Audits;

namespace Portal.Engine.Audits;

/// <summary>The files of a report's folder, apart from the report itself: each written whole or not at all, the manifest last.</summary>
internal static class AuditLines
{
    public const string PromptsFile = "prompts.jsonl", TextsFile = "texts.jsonl", ScoresFile = "scores.jsonl";

    /// <summary>One object a line, absent rather than null.</summary>
    public static JsonSerializerOptions Json { get; } = new(JsonSerializerDefaults.Web)
    {
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true, Converters = { new JsonStringEnumConverter(JsonNamingPolicy.CamelCase) },
    };

    /// <summary>Writes rows.</summary>
    public static void Write<T>(string folder, string name, IEnumerable<T> rows) => ArtefactFile.Write(Path.Combine(folder, name), file =>
    {
        foreach (var row in rows)
        {
            JsonSerializer.Serialize(file, row, Json);
            file.WriteByte((byte)'\n');
        }
    });

    /// <summary>Reads rows.</summary>
    public static IEnumerable<T> Read<T>(string folder, string name) => File.ReadLines(Path.Combine(folder, name)).Select(line => JsonSerializer.Deserialize<T>(line, Json)!); // written by Write: no line is null

    /// <summary>Writes the hashes of the folder's files.</summary>
    public static void WriteManifest(string folder, IReadOnlyList<string> names)
    {
        var files = new SortedDictionary<string, string>(names.ToDictionary(name => name, name => HashOf(Path.Combine(folder, name))), StringComparer.Ordinal);
        ArtefactFile.Write(Path.Combine(folder, AuditManifest.FileName), file => JsonSerializer.Serialize(file, new AuditManifest(AuditReport.CurrentSchema, files), Json));
    }

    /// <summary>Files that are not as the manifest says, or not there.</summary>
    /// <exception cref="FormatException">There is no manifest, or it is none.</exception>
    public static IReadOnlyList<string> Changed(string folder)
    {
        try
        {
            var manifest = JsonSerializer.Deserialize<AuditManifest>(File.ReadAllBytes(Path.Combine(folder, AuditManifest.FileName)), Json) ?? throw new FormatException($"{folder}: the manifest is empty.");
            return [.. manifest.Files.Where(file => Path.Combine(folder, file.Key) is var path && (!File.Exists(path) || HashOf(path) != file.Value)).Select(file => file.Key)];
        }
        catch (Exception e) when (e is JsonException or FileNotFoundException or DirectoryNotFoundException)
        {
            throw new FormatException($"{folder}: {e.Message}", e);
        }
    }

    private static string HashOf(string path) => AuditPrompts.HashOf(File.ReadAllBytes(path));
}
