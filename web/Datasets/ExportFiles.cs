using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Storage;
using Portal.Web.Accounts;

namespace Portal.Web.Datasets;

/// <summary>Finds the file of an export below the data directory's exports. Its name is the last part of the job's result, which the engine wrote.</summary>
public sealed class ExportFiles(DataDirectory directory)
{
    /// <summary>The start of the result of an export job.</summary>
    public const string ResultPrefix = "/exports/";

    /// <summary>The finished file; null while there is none, or once it was removed.</summary>
    public FileInfo? Find(Job job)
    {
        if (job is not { State: JobState.Succeeded, ResultPath: { } result } || !result.StartsWith(ResultPrefix, StringComparison.Ordinal))
            return null;
        var name = result[ResultPrefix.Length..];
        var file = new FileInfo(Path.Combine(directory.Exports, name));
        return name.Length > 0 && Path.GetFileName(name) == name && file.Exists ? file : null;
    }
}

/// <summary>Hands the file of a finished export to an admin.</summary>
[Needs(Permission.Administer)]
public sealed class DownloadExport(IDbContextFactory<PortalDbContext> contexts, ExportFiles files, Access access)
{
    /// <param name="name">The file's name, as in the job's result.</param>
    public async Task<Outcome<FileInfo>> Handle(ClaimsPrincipal user, string name, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        var result = ExportFiles.ResultPrefix + name;
        var job = await db.Jobs.AsNoTracking().FirstOrDefaultAsync(j => j.ResultPath == result && j.Kind == nameof(ExportData), stop);
        if (job is null || files.Find(job) is not { } file)
            return new Problem("file", "This export has no file: it is not done, or the file was removed.", ProblemKind.NotFound);
        return file;
    }
}
