using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Datasets;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Recipes;
using Portal.Engine.TinyAssistant;

namespace Portal.Engine.Jobs;

/// <summary>What the training jobs have in common: freezing the judgements before, and storing the new version after.</summary>
internal static class TrainedVersion
{
    private const string DatasetFile = "dataset";

    /// <summary>
    /// The version a job makes has the job's id: a run after a crash writes the same rows and the same folder, never a second version.
    /// </summary>
    public static ModelVersionId IdOf(JobRun run) => ModelVersionId.From(run.JobId.Value);

    /// <summary>
    /// The training that a reward model comes from, and the version which that training made: what toggles or unlearning made of it has its parent's training. Null where it was not trained here.
    /// </summary>
    public static async Task<(JobSpec Spec, ModelVersion Root)?> TrainingOf(IDbContextFactory<PortalDbContext> contexts, ModelVersion version, CancellationToken stop)
    {
        await using var db = await contexts.CreateDbContextAsync(stop);
        for (var at = version; at is not null; at = at.ParentId is { } parent ? await db.ModelVersions.AsNoTracking().FirstOrDefaultAsync(v => v.Id == parent && v.Kind == ModelKind.RewardModel, stop) : null)
        {
            try
            {
                if (JobSpec.FromJson(at.SpecJson) is (TrainRewardModel or TrainSarm) and var spec)
                    return (spec, at);
            }
            catch (FormatException)
            {
                break; // an imported model's provenance is no spec
            }
        }
        return null;
    }

    /// <summary>Removes the files of a version that never came to be.</summary>
    public static async Task Discard(JobRun run)
    {
        var id = IdOf(run);
        await using var db = await run.Contexts.CreateDbContextAsync(run.Stop);
        var folder = Path.Combine(run.Directory.Models, run.ModelFolder);
        if (Directory.Exists(folder) && !await db.ModelVersions.AnyAsync(v => v.Id == id, run.Stop))
            Directory.Delete(folder, recursive: true);
    }

    /// <summary>
    /// Freezes the judgements as they are now; a run that goes on after a crash takes the version its first run froze, although people
    /// have judged on.
    /// </summary>
    public static async Task<DatasetVersion> Dataset(JobRun run, TaskKind kind, DatasetRules rules, RecipeContext context)
    {
        var note = Path.Combine(context.CheckpointFolder, DatasetFile);
        var id = File.Exists(note) ? DatasetVersionId.Parse(File.ReadAllText(note), null) : (DatasetVersionId?)null;
        await using var db = await run.Contexts.CreateDbContextAsync(run.Stop);
        if (id is { } known && await db.DatasetVersions.AsNoTracking().FirstOrDefaultAsync(v => v.Id == known, run.Stop) is { } frozen)
            return frozen;
        context.Report(0, 0, "collecting judgements");
        var manifest = new DatasetManifest(run.Contexts, run.Writes, run.Hasher, run.Ids, run.Time);
        var made = await manifest.Build(run.ProjectId, kind, rules, run.JobId, run.CreatedBy, run.Stop);
        ArtefactFile.Write(note, file => file.Write(System.Text.Encoding.ASCII.GetBytes($"{made}")));
        var version = await db.DatasetVersions.AsNoTracking().FirstAsync(v => v.Id == made, run.Stop);
        context.Log($"Dataset version {version.Number}: {version.RowsTrain} rows to learn from, {version.RowsHeldOut} held out. Not used: {version.DroppedJson}.");
        return version;
    }

    /// <summary>The result of a training job: one version, its numbers, its audit event, all or nothing.</summary>
    /// <param name="dataset">The judgements it learned from; null where none took part.</param>
    /// <param name="comparedWith">The version the numbers of the parts before and change are about.</param>
    /// <param name="learnedFromSynthetic">What it learned from besides judgements (a reward model) was made of synthetic rows.</param>
    public static JobResult Result(JobRun run, JobSpec spec, ModelKind kind, string method, ModelVersion parent, DatasetVersion? dataset, TrainingReport report,
        IReadOnlyList<Measurement> measured, ModelVersionId? comparedWith, string path, bool learnedFromSynthetic = false)
    {
        var id = IdOf(run);
        var store = new ModelStore(run);
        var files = store.FilesJson(run.ModelFolder);
        var rows = new List<Measurement>(measured);
        if (rows.TrueForAll(row => row.Name != MetricNames.TruncatedShare))
            rows.Add(TooLong(report));
        return new JobResult(path, db =>
        {
            var now = run.Time.GetUtcNow();
            var isSynthetic = learnedFromSynthetic || dataset?.RowsSimulated > 0 || parent.IsSynthetic || db.Projects.Where(p => p.Id == run.ProjectId).Select(p => p.IsSynthetic).First();
            var version = new ModelVersion
            {
                Id = id, ProjectId = run.ProjectId, Kind = kind, Number = ModelStore.NextNumber(db, run.ProjectId, kind), Method = method, ParentId = parent.Id,
                DatasetVersionId = dataset?.Id, JobId = run.JobId, SpecJson = spec.ToJson(), Seed = spec.Seed, Commit = MakeDemo.Commit(), Folder = run.ModelFolder,
                FilesJson = files, IsSynthetic = isSynthetic, CreatedAt = now,
            };
            db.ModelVersions.Add(version);
            db.EvaluationResults.AddRange(rows.Select(row => ModelStore.Row(id, row, comparedWith, now)));
            AuditChain.Append(db, now, run.CreatedBy, "model.train", "model", $"{id}",
                new { kind = kind.ToString(), version.Number, method, parent = $"{parent.Id}", dataset = dataset?.Id.ToString(), manifest = dataset?.ManifestHash, job = run.Number });
        });
    }

    private static Measurement TooLong(TrainingReport report)
    {
        var seen = report.ExamplesTrain + report.Filtered;
        return new Measurement(MetricNames.TruncatedShare, "train", (report.Filtered + report.Truncated) / (double)Math.Max(1, seen), null, null, seen);
    }
}
