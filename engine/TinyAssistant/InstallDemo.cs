using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Datasets;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Storage;
using Portal.Engine.Datasets;
using Portal.Engine.Datasets.Formats;
using Portal.Engine.Evaluation;
using Portal.Engine.Jobs;
using Portal.Engine.Recipes;
using Portal.Engine.Statistics;

namespace Portal.Engine.TinyAssistant;

/// <summary>
/// Fills a fresh installation with the demo project: the base model as its first policy, prompts, sampled answers and simulated judgements
/// through the lossless importer, tasks for people, and the shipped reward model and policy where there are any.
/// </summary>
/// <remarks>
/// Only an installation without any project is filled. Killed in the middle, the next start begins the import anew: nothing of it is seen
/// before the one write that shows it all.
/// </remarks>
public sealed class InstallDemo
{
    /// <summary>The demo project's name.</summary>
    public const string ProjectName = "Tiny Assistant";

    private const int LinesAtOnce = 100;
    private const int PairTasks = 60;
    private const int SingleTasks = 30;

    private readonly IDbContextFactory<PortalDbContext> contexts;
    private readonly WriteQueue writes;
    private readonly DataDirectory directory;
    private readonly ContentHasher hasher;
    private readonly IdFactory ids;
    private readonly TimeProvider time;
    private readonly ILogger log;
    private readonly string assets;

    private InstallDemo(IServiceProvider services, string assets)
    {
        contexts = services.GetRequiredService<IDbContextFactory<PortalDbContext>>();
        writes = services.GetRequiredService<WriteQueue>();
        directory = services.GetRequiredService<DataDirectory>();
        hasher = services.GetRequiredService<ContentHasher>();
        ids = services.GetRequiredService<IdFactory>();
        time = services.GetRequiredService<TimeProvider>();
        log = services.GetRequiredService<ILoggerFactory>().CreateLogger("Portal.Engine");
        this.assets = assets;
    }

    /// <summary>Fills the installation if it is empty.</summary>
    /// <param name="assets">What <see cref="MakeDemo"/> wrote; may be empty or missing, then an empty demo project is made.</param>
    public static Task Run(IServiceProvider services, DirectoryInfo assets, CancellationToken stop) => new InstallDemo(services, assets.FullName).Run(stop);

    private ModelStore Store => new(contexts, writes, directory, ids, time);

    private async Task Run(CancellationToken stop)
    {
        var import = await FindUnfinished(stop);
        if (import is null)
        {
            await using var db = await contexts.CreateDbContextAsync(stop);
            if (!await db.Projects.AnyAsync(stop))
                import = await Begin(stop);
        }
        if (import is not null)
            await Import(import, stop);
        if (await FindDemo(stop) is var (project, baseId))
            await new DemoModels(Store, contexts, writes, hasher, ids, time, log, directory, assets).Register(project, baseId, stop);
    }

    /// <summary>An import of ours that an earlier start did not finish.</summary>
    private async Task<Import?> FindUnfinished(CancellationToken stop)
    {
        await using var db = await contexts.CreateDbContextAsync(stop);
        return await db.Imports.AsNoTracking().OrderBy(i => i.Id).FirstOrDefaultAsync(i => i.By == Guid.Empty && i.FileName == MakeDemo.ProjectFile && i.State == ImportState.Staging, stop);
    }

    private async Task<(ProjectId Project, ModelVersionId Base)?> FindDemo(CancellationToken stop)
    {
        await using var db = await contexts.CreateDbContextAsync(stop);
        var found = await (from i in db.Imports
                           where i.By == Guid.Empty && i.FileName == MakeDemo.ProjectFile && i.State == ImportState.Visible
                           join v in db.ModelVersions on i.ProjectId equals v.ProjectId
                           where v.Method == ModelStore.BaseMethod
                           orderby v.CreatedAt, v.Id
                           select new { v.ProjectId, v.Id }).FirstOrDefaultAsync(stop);
        return found is null ? null : (found.ProjectId, found.Id);
    }

    /// <summary>Project, base policy and the import's row, in one write.</summary>
    /// <returns>The import to be filled; null where there is nothing to import.</returns>
    private async Task<Import?> Begin(CancellationToken stop)
    {
        var folder = Path.Combine(assets, "base");
        var hasBase = File.Exists(Path.Combine(folder, "config.json"));
        var hasRows = File.Exists(Path.Combine(assets, MakeDemo.ProjectFile));
        if (!hasBase || !hasRows)
            log.LogWarning("The demo's folder {Assets} has {Missing}: the demo project is made without. `./run make-demo` makes it.", assets,
                (hasBase, hasRows) switch { (false, false) => "neither a base model nor rows", (false, true) => "no base model", _ => "no rows" });
        var (projectId, importId, baseId) = (ids.New<ProjectId>(), ids.New<ImportId>(), ids.New<ModelVersionId>());
        var version = hasBase ? BaseVersion(folder, projectId, baseId, stop) : null;
        return await writes.WriteAsync(db =>
        {
            if (db.Projects.Any())
                return null; // somebody was faster
            var now = time.GetUtcNow();
            var project = new Project { Id = projectId, Name = ProjectName, IsSynthetic = true, CreatedAt = now, TaskKinds = TaskKinds.Pairwise | TaskKinds.Binary };
            db.Projects.Add(project);
            AuditChain.Append(db, now, actor: null, "project.create", "project", $"{projectId}", new { demo = true });
            if (version is not null)
            {
                db.ModelVersions.Add(version);
                if (Measured<BaseCheck>(folder, "check.json") is { } check)
                {
                    db.EvaluationResults.Add(ModelStore.Row(baseId, new Measurement(MetricNames.ReadableShare, MetricNames.HeldOut, check.Readable, null, null, check.Samples), null, now));
                    db.EvaluationResults.Add(ModelStore.Row(baseId, new Measurement(MetricNames.UnfinishedShare, MetricNames.HeldOut, 1 - check.Finished, null, null, check.Samples), null, now));
                }
                ModelStore.Serve(db, project, version, "the demo's base model", ids, now);
            }
            if (!hasRows)
                return null;
            var import = new Import
            {
                Id = importId, ProjectId = projectId, FileName = MakeDemo.ProjectFile, Format = "portal", AllOrNothing = true, By = Guid.Empty, CreatedAt = now,
            };
            db.Imports.Add(import);
            return import;
        }, stop);
    }

    private ModelVersion BaseVersion(string from, ProjectId project, ModelVersionId id, CancellationToken stop)
    {
        var folder = id.Value.ToString("N");
        Store.CopyIn(from, folder, wanted: null, stop);
        var manifest = Measured<JsonObject>(assets, "manifest.json");
        var report = Measured<JsonObject>(from, "report.json");
        var seed = manifest?["seed"]?.GetValue<long>() ?? 1;
        return new ModelVersion
        {
            Id = id, ProjectId = project, Kind = ModelKind.Policy, Number = 1, Method = ModelStore.BaseMethod, ParentId = null, DatasetVersionId = null, JobId = null,
            SpecJson = new JsonObject { ["world"] = WorldFigures.WorldName, ["seed"] = seed, ["trainedBy"] = report?["spec"]?.GetValue<string>() }.ToJsonString(),
            Seed = seed, Commit = manifest?["commit"]?.GetValue<string>() ?? "unknown", Folder = folder, FilesJson = Store.FilesJson(folder), IsSynthetic = true,
            CreatedAt = time.GetUtcNow(),
        };
    }

    /// <summary>Reads a JSON file beside a model; null where there is none.</summary>
    internal static T? Measured<T>(string folder, string name) where T : class
    {
        var path = Path.Combine(folder, name);
        return File.Exists(path) ? JsonSerializer.Deserialize<T>(File.ReadAllText(path), Json) : null;
    }

    internal static JsonSerializerOptions Json { get; } = new(JsonSerializerDefaults.Web)
    {
        NumberHandling = System.Text.Json.Serialization.JsonNumberHandling.AllowNamedFloatingPointLiterals,
    };

    private async Task Import(Import import, CancellationToken stop)
    {
        var started = time.GetTimestamp();
        await ImportStage.Remove(writes, import.Id, time, stop); // what an earlier start has staged
        ModelVersionId? baseId;
        await using (var db = await contexts.CreateDbContextAsync(stop))
            baseId = await db.ModelVersions.Where(v => v.ProjectId == import.ProjectId && v.Method == ModelStore.BaseMethod).Select(v => (ModelVersionId?)v.Id).FirstOrDefaultAsync(stop);
        var target = new ImportTarget(import.ProjectId, import.Id, VotesPerTask: 1, time.GetUtcNow(), hasher, ids);
        var known = new PortalIds();
        var (read, accepted) = (0, 0);
        await using (var file = File.OpenRead(Path.Combine(assets, MakeDemo.ProjectFile)))
        {
            foreach (var lines in ImportReader.ReadAll(file, MakeDemo.ProjectFile, new ImportOptions { Format = ImportFormat.PortalJsonl }, stop).Chunk(LinesAtOnce))
            {
                if (lines.SelectMany(line => line.Problems).FirstOrDefault() is { } problem)
                    throw new CannotTrain($"The demo cannot be imported: {problem}");
                var records = lines.Where(line => line.Record is not null).Select(line => (line.Row, WrittenBy(line.Record!, baseId))).ToList(); // filtered just before
                var (result, found) = await writes.WriteAsync(db =>
                {
                    var stage = new PortalStage(db, target, known);
                    return (stage.Add(records, MakeDemo.ProjectFile), stage.Found);
                }, stop);
                if (result.Problems.FirstOrDefault() is { } refused)
                    throw new CannotTrain($"The demo cannot be imported: {refused}");
                known.Take(found);
                (read, accepted) = (read + lines.Length, accepted + result.Accepted);
            }
        }
        var tasks = await writes.WriteAsync(db =>
        {
            var row = db.Imports.First(i => i.Id == import.Id);
            row.Count(read, accepted, 0, read - accepted);
            row.MakeVisible(time.GetUtcNow());
            known.AtTheFlip.ForEach(write => write(db));
            var made = TasksForPeople(db, import.ProjectId, target.At);
            db.Tasks.AddRange(made);
            AuditChain.Append(db, time.GetUtcNow(), actor: null, "import.finish", "import", $"{import.Id}", new { read, accepted, tasks = made.Count, demo = true });
            return made.Count;
        }, stop);
        log.LogInformation("The demo project is there: {Lines} lines in {Seconds:F1} s, {Tasks} tasks wait for people", read, time.GetElapsedTime(started).TotalSeconds, tasks);
    }

    /// <summary>The file calls the model that wrote an answer "base"; here it has an id.</summary>
    private static PortalRecord WrittenBy(PortalRecord record, ModelVersionId? baseId) => record is ResponseRecord { ModelVersion: "base" } response && baseId is { } id
        ? response with
        {
            ModelVersion = $"{id}",
            Extra = new Dictionary<string, string>(response.Extra) { ["sampling_spec"] = JsonSerializer.Serialize(new SamplingSpec { Temperature = WorldSamples.Temperature }, Json) },
        }
        : record;

    /// <summary>Pairs and single answers that nobody has judged, each of a prompt of its own.</summary>
    private List<AnnotationTask> TasksForPeople(PortalDbContext db, ProjectId project, DateTimeOffset now)
    {
        var random = new SeededRandom(1).Split("tasks for people");
        var byPrompt = db.Responses.IgnoreQueryFilters().Where(r => r.ProjectId == project).OrderBy(r => r.Id).Select(r => new { r.Id, r.PromptId }).AsEnumerable()
            .GroupBy(r => r.PromptId, r => r.Id).Select(group => (Prompt: group.Key, Responses: group.ToArray())).ToList();
        random.Shuffle(byPrompt);
        var judged = db.Tasks.IgnoreQueryFilters().Where(t => t.ProjectId == project).Select(t => new { t.FirstResponseId, t.SecondResponseId }).AsEnumerable()
            .SelectMany(t => new (ResponseId, ResponseId?)[] { (t.FirstResponseId, t.SecondResponseId), (t.SecondResponseId ?? t.FirstResponseId, t.SecondResponseId is null ? null : t.FirstResponseId) })
            .ToHashSet();
        var tasks = new List<AnnotationTask>();
        foreach (var (prompt, responses) in byPrompt)
        {
            var isPair = tasks.Count(task => task.Kind is TaskKind.Pairwise) < PairTasks;
            if (!isPair && tasks.Count >= PairTasks + SingleTasks)
                break;
            random.Shuffle(responses);
            var open = isPair
                ? (from a in responses from b in responses where a != b && !judged.Contains((a, b)) select (First: a, Second: (ResponseId?)b)).FirstOrDefault()
                : (from a in responses where !judged.Contains((a, null)) select (First: a, Second: (ResponseId?)null)).FirstOrDefault();
            if (open.First != default)
                tasks.Add(AnnotationTask.Create(ids.New<TaskId>(), project, isPair ? TaskKind.Pairwise : TaskKind.Binary, prompt, open.First, open.Second, 1, now));
        }
        return tasks;
    }
}
