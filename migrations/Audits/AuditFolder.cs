using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;
using Portal.Data.Storage;

namespace Portal.Data.Audits;

/// <summary>
/// The numbers of an audit as its job left them in the data directory's audits folder: <c>report.json</c>, where something was fitted <c>scores.jsonl</c> and <c>rewards.json</c>, and
/// <c>manifest.json</c> with the hash of each.
/// </summary>
/// <remarks>
/// It holds no text. The engine writes prompts and completions beside a report (<see cref="AuditReport"/>), but those two files are made in the job's working folder, become rows (<see cref="AuditTextRow"/>)
/// and are removed with it; the manifest here names what is kept. So erasing a prompt or a response takes it out of every audit, and the report's numbers stay.
/// </remarks>
public sealed class AuditFolder
{
    public const string ScoresFile = "scores.jsonl";

    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { Converters = { new JsonStringEnumConverter(JsonNamingPolicy.CamelCase) } };

    private readonly string label;

    private AuditFolder(string path, string label, AuditManifest manifest) => (Path, this.label, Manifest) = (path, label, manifest);

    /// <summary>Where it is.</summary>
    public string Path { get; }

    public AuditManifest Manifest { get; }

    /// <summary>Opens an audit's folder; each file must be there and be the one that was stored.</summary>
    /// <returns>Or which file is missing or changed.</returns>
    public static Outcome<AuditFolder> Open(DataDirectory directory, PolicyAudit audit)
    {
        var path = System.IO.Path.Combine(directory.Audits, audit.Folder);
        try
        {
            var bytes = File.ReadAllBytes(System.IO.Path.Combine(path, AuditManifest.FileName));
            if (HashOf(bytes) != audit.ManifestSha256)
                return Changed(audit.Label, AuditManifest.FileName);
            var manifest = JsonSerializer.Deserialize<AuditManifest>(bytes, Json) ?? throw new FormatException($"{audit.Label}: the manifest is empty."); // its hash says that we wrote it
            foreach (var (name, hash) in manifest.Files)
            {
                if (HashOf(System.IO.Path.Combine(path, name)) != hash)
                    return Changed(audit.Label, name);
            }
            return new AuditFolder(path, audit.Label, manifest);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            var name = e is FileNotFoundException { FileName: { } missing } ? System.IO.Path.GetFileName(missing) : audit.Folder;
            return new Problem("report", $"{audit.Label}: {name} is missing from the folder of audits, so its numbers cannot be shown. Restore it from a backup, or audit again.", ProblemKind.Conflict);
        }
    }

    /// <summary>The report; a refusal where it is of another version.</summary>
    public Outcome<AuditReport> Report()
    {
        try
        {
            return AuditReport.FromJson(Bytes(AuditReport.FileName));
        }
        catch (FormatException e)
        {
            return new Problem("report", $"{label}: {e.Message}", ProblemKind.Conflict);
        }
    }

    /// <summary>A file as it is, e.g. the report for an export.</summary>
    /// <param name="name">One the manifest names.</param>
    public byte[] Bytes(string name) => Manifest.Files.ContainsKey(name)
        ? File.ReadAllBytes(System.IO.Path.Combine(Path, name))
        : throw new ArgumentException($"The folder has no {name}; it has {string.Join(", ", Manifest.Files.Keys)}.", nameof(name));

    /// <summary>Scores of the candidates under every run, in the order of the report's points; empty where nothing was fitted.</summary>
    public IEnumerable<TextScores> Scores() => Manifest.Files.ContainsKey(ScoresFile)
        ? File.ReadLines(System.IO.Path.Combine(Path, ScoresFile)).Select(line => JsonSerializer.Deserialize<TextScores>(line, Json)!) // no line is null: the hash says that we wrote it
        : [];

    /// <summary>SHA-256 of a file, hexadecimal.</summary>
    public static string HashOf(string path)
    {
        using var file = File.OpenRead(path);
        return Convert.ToHexStringLower(SHA256.HashData(file));
    }

    private static string HashOf(byte[] bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));

    private static Problem Changed(string label, string name) => new("report",
        $"{label}: {name} is not the file that was stored (its hash differs), so its numbers are not shown. Restore it from a backup, or audit again.", ProblemKind.Conflict);
}
