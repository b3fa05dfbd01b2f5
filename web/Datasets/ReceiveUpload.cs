using System.ComponentModel.DataAnnotations;
using System.Security.Claims;
using System.Text.Json;
using Portal.Data;
using Portal.Data.Storage;
using Portal.Web.Accounts;

namespace Portal.Web.Datasets;

/// <summary>Limits of what people bring in. Configuration section "Datasets".</summary>
public sealed record DatasetsOptions
{
    public const string Section = "Datasets";

    /// <summary>
    /// Bytes of one upload. 512 MiB holds about a million preference pairs; the file goes to disk as it arrives, so memory does not limit it.
    /// </summary>
    [Range(1, 64L << 30)]
    public long UploadBytesMax { get; init; } = 512L << 20;

    /// <summary>Hours after which an upload that nobody imported is removed.</summary>
    [Range(1, 24 * 365)]
    public int UploadHoursMax { get; init; } = 24;
}

/// <summary>A file that arrived and waits for a decision.</summary>
/// <param name="Name">Its name below the uploads folder, chosen by the portal.</param>
/// <param name="FileName">The name the person's file had; shown, never used as a path.</param>
public sealed record Upload(string Name, ProjectId ProjectId, string FileName, long Bytes, DateTimeOffset At);

/// <summary>Takes a file in, as it arrives, under a name of the portal's own choosing.</summary>
[Needs(Permission.Administer)]
public sealed class ReceiveUpload(DataDirectory directory, DatasetsOptions limits, Access access, TimeProvider time)
{
    private const int FileNameLengthMax = 200;

    /// <param name="fileName">As the browser sends it; only its last part is kept, for messages.</param>
    /// <param name="content">Read once, to the end or to the limit.</param>
    public async Task<Outcome<Upload>> Handle(ClaimsPrincipal user, ProjectId projectId, string? fileName, Stream content, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var shown = ShownName(fileName);
        if (shown.Length == 0)
            return new Problem("file", "Choose a file first.");
        RemoveOld();
        var name = Guid.NewGuid().ToString("N");
        var part = PathOf(name) + ".part";
        long bytes = 0;
        try
        {
            await using (var file = new FileStream(part, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite }))
            {
                var buffer = new byte[81920];
                int read;
                while ((read = await content.ReadAsync(buffer, stop)) > 0)
                {
                    bytes += read;
                    if (bytes > limits.UploadBytesMax)
                        return Refused(new Problem("file", $"\"{shown}\" is larger than {limits.UploadBytesMax >> 20} MiB. Split it, or compress it (.gz).", ProblemKind.TooMuch));
                    await file.WriteAsync(buffer.AsMemory(0, read), stop);
                }
                file.Flush(flushToDisk: true);
            }
            if (bytes == 0)
                return Refused(new Problem("file", $"\"{shown}\" is empty."));
            var upload = new Upload(name, projectId, shown, bytes, time.GetUtcNow());
            DataDirectory.WritePrivate(PathOf(name) + ".json", JsonSerializer.SerializeToUtf8Bytes(upload));
            File.Move(part, PathOf(name));
            return upload;
        }
        catch (IOException e) when (e is not BadHttpRequestException)
        {
            return Refused(new Problem("file", $"\"{shown}\" could not be stored ({e.Message.TrimEnd('.')}). Nothing was kept.", ProblemKind.TooMuch)); // a full disk, mostly
        }
        catch
        {
            File.Delete(part); // the person left, or the connection broke
            throw;
        }

        Problem Refused(Problem problem)
        {
            File.Delete(part);
            File.Delete(PathOf(name) + ".json");
            return problem;
        }
    }

    /// <summary>An upload of this project that is still there; null otherwise. The name must be one the portal made.</summary>
    public Upload? Find(ProjectId projectId, string? name)
    {
        if (!Guid.TryParseExact(name, "N", out _) || !File.Exists(PathOf(name)) || !File.Exists(PathOf(name) + ".json"))
            return null;
        var upload = JsonSerializer.Deserialize<Upload>(File.ReadAllBytes(PathOf(name) + ".json"));
        return upload?.ProjectId == projectId ? upload : null;
    }

    /// <summary>The last part of a path, without controls and bidi marks, at most 200 characters.</summary>
    internal static string ShownName(string? fileName)
    {
        var last = (fileName ?? "").Replace('\\', '/').Split('/')[^1];
        var clean = new string([.. last.Where(c => !char.IsControl(c) && char.GetUnicodeCategory(c) is not (System.Globalization.UnicodeCategory.Format or System.Globalization.UnicodeCategory.Surrogate))]).Trim();
        return clean.Length <= FileNameLengthMax ? clean : clean[..FileNameLengthMax];
    }

    private string PathOf(string name) => Path.Combine(directory.Uploads, name);

    private void RemoveOld()
    {
        var before = time.GetUtcNow().AddHours(-limits.UploadHoursMax);
        foreach (var file in new DirectoryInfo(directory.Uploads).EnumerateFiles().Where(f => f.LastWriteTimeUtc < before && Guid.TryParseExact(f.Name.Split('.')[0], "N", out _)))
            file.Delete();
    }
}
