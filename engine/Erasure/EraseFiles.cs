using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Erasure;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Storage;
using Portal.Engine.Influence;
using Portal.Engine.Jobs;

namespace Portal.Engine.Erasure;

/// <summary>
/// Files that may hold something of what was erased: caches of features, working folders of jobs, uploads, files to download, logs, and backups past their date. All of them can be made again, or are notes; so where a file cannot be told to be free of it, it goes.
/// </summary>
internal static class EraseFiles
{
    /// <summary>What has to go, with the hash of each file, before anything is removed.</summary>
    public static (IReadOnlyList<ErasedFile> Files, IReadOnlyList<KeptBackup> Backups) Plan(PortalDbContext db, ErasureKind kind, ErasedRows rows, JobRun run)
    {
        var now = run.Time.GetUtcNow();
        var kept = BackupRetention.All(run.Directory).Where(path => !IsDue(path, now)).Select(path => new KeptBackup(ModelStore.HashOf(path), BackupRetention.MadeAt(path), BackupRetention.MadeAt(path).AddDays(BackupRetention.Days)));
        return ([.. Paths(db, kind, rows, run).Where(path => new FileInfo(path).Length > 0).Select(path => new ErasedFile(StoreOf(run.Directory, path), ModelStore.HashOf(path), new FileInfo(path).Length))], [.. kept]);
    }

    /// <summary>Removes them. What is gone already is no error.</summary>
    public static void Run(PortalDbContext db, ErasureKind kind, ErasedRows rows, JobRun run)
    {
        foreach (var path in Paths(db, kind, rows, run))
        {
            run.Stop.ThrowIfCancellationRequested();
            if (IsOfAProcess(run.Directory, path))
                new FileStream(path, FileMode.Truncate, FileAccess.Write, FileShare.ReadWrite).Dispose(); // a process writes at its end, wherever that is
            else
                File.Delete(path);
        }
        var own = JobRun.CheckpointFolder(run.Directory, run.JobId);
        foreach (var folder in new[] { Path.Combine(run.Directory.Features, "pairs"), run.Directory.Checkpoints }.Where(Directory.Exists).SelectMany(Directory.EnumerateDirectories))
        {
            // The folder of a job stays, empty: it is the queue's note that there is something to tidy.
            if (folder != own && !Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Any() && !Guid.TryParseExact(Path.GetFileName(folder), "N", out _))
                Directory.Delete(folder, recursive: true);
        }
    }

    private static IEnumerable<string> Paths(PortalDbContext db, ErasureKind kind, ErasedRows rows, JobRun run)
    {
        var directory = run.Directory;
        var projects = rows.Projects;
        var paths = new List<string>();
        if (kind is not ErasureKind.AnnotatorLink)
        {
            paths.AddRange(PairFeatures.FoldersWith(Path.Combine(directory.Features, "pairs"), rows.Judgements.ToHashSet()).SelectMany(All));
            // Codes and contexts of described features: numbers of every text and every judged pair of a project.
            var described = db.FeatureDescriptions.IgnoreQueryFilters().Where(d => projects.Contains(d.ProjectId)).Select(d => d.Id).ToList();
            paths.AddRange(described.SelectMany(id => new[] { Path.Combine(directory.Features, $"codes-{id}"), Sae.HeldOutContexts.PathOf(directory.Features, id) }));
            // No job runs beside this one: one that waits begins anew.
            paths.AddRange(Directory.EnumerateDirectories(directory.Checkpoints).Where(folder => folder != JobRun.CheckpointFolder(directory, run.JobId)).SelectMany(All).Where(path => Path.GetFileName(path) != ".lock"));
        }
        paths.AddRange(ErasureSubject.ExportsOf(db, directory, projects));
        // Uploads and downloads that no job of another project knows.
        var others = db.Jobs.AsNoTracking().Where(j => !projects.Contains(j.ProjectId) && (j.Kind == nameof(ImportData) || j.Kind == nameof(ExportData))).Select(j => new { j.SpecJson, j.ResultPath, j.State }).ToList();
        var wanted = others.Where(job => job.State is JobState.Queued or JobState.Running).Select(job => JobSpec.FromJson(job.SpecJson)).OfType<ImportData>().Select(import => import.Upload).ToHashSet(StringComparer.Ordinal);
        paths.AddRange(All(directory.Uploads).Where(path => !wanted.Contains(Path.GetFileName(path)) && Path.GetFileName(path) != ".turn"));
        var exported = others.Select(job => Path.GetFileName(job.ResultPath)).OfType<string>().SelectMany(name => new[] { name, $"{name}.report.json" }).ToHashSet(StringComparer.Ordinal);
        paths.AddRange(All(directory.Exports).Where(path => !exported.Contains(Path.GetFileName(path))));
        var foreign = db.Jobs.AsNoTracking().Where(j => !projects.Contains(j.ProjectId)).Select(j => j.Number).AsEnumerable().Append(run.Number).Select(directory.JobLog).ToHashSet(StringComparer.Ordinal);
        paths.AddRange(All(directory.Logs).Where(path => !foreign.Contains(path)));
        paths.AddRange(BackupRetention.All(directory).Where(path => IsDue(path, run.Time.GetUtcNow())));
        return paths.Where(File.Exists).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal);
    }

    private static IEnumerable<string> All(string folder) => Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories);

    private static bool IsDue(string path, DateTimeOffset now) => BackupRetention.MadeAt(path).AddDays(BackupRetention.Days) <= now;

    /// <summary>The log of portal or engine, which a process holds open and goes on writing: it is emptied, since a file that is removed would live on unseen.</summary>
    private static bool IsOfAProcess(DataDirectory directory, string path) =>
        Path.GetDirectoryName(path) == directory.Logs && !Path.GetFileName(path).StartsWith("job-", StringComparison.Ordinal);

    private static string StoreOf(DataDirectory directory, string path) => Path.GetRelativePath(directory.Root, path).Split('/')[0];
}
