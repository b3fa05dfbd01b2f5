using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Registry;
using Portal.Data.Storage;
using Portal.Engine.CommandLine;
using Portal.Engine.Recipes;

namespace Portal.Engine.Jobs;

/// <summary>
/// Brings a model folder (Hugging Face's layout, Llama) into a project as a base policy: how an installation without the demo gets its first one.
/// It serves at once where nothing served. Other projects without a policy take it over by themselves (<see cref="ModelStore.BasePolicy"/>).
/// </summary>
public sealed class AddModel(IDbContextFactory<PortalDbContext> contexts, WriteQueue writes, DataDirectory directory, IdFactory ids, TimeProvider time)
{
    /// <summary>What a model is read from; other files of the folder (pickles, pictures) stay where they are.</summary>
    private static readonly IReadOnlyList<string> Kinds = [".json", ".safetensors", ".txt", ".model"];

    /// <param name="project">The project's name.</param>
    /// <param name="isSynthetic">It was trained on synthetic rows; pages then say so.</param>
    /// <returns>The new version.</returns>
    /// <exception cref="CannotTrain">There is no such project, or the folder holds no usable model; the message names project or file. Nothing is kept then.</exception>
    public async Task<ModelVersion> Run(string folder, string project, bool isSynthetic, CancellationToken stop)
    {
        ProjectId projectId;
        await using (var db = await contexts.CreateDbContextAsync(stop))
        {
            var projects = await db.Projects.AsNoTracking().Select(p => new { p.Id, p.Name }).ToListAsync(stop);
            projectId = projects.Find(p => p.Name == project)?.Id
                ?? throw new CannotTrain($"There is no project \"{project}\". {(projects.Count == 0 ? "Make one in the portal first." : $"There is {string.Join(", ", projects.Take(20).Select(p => $"\"{p.Name}\""))}.")}");
        }
        var id = ids.New<ModelVersionId>();
        var store = new ModelStore(contexts, writes, directory, ids, time);
        var name = id.Value.ToString("N");
        if (!Directory.Exists(folder))
            throw new CannotTrain($"{folder}: there is no such folder.");
        var copy = store.CopyIn(folder, name, file => Path.GetFileName(file) == file && Kinds.Contains(Path.GetExtension(file)), stop);
        try
        {
            ModelFolder.LanguageModel(copy).Model.Dispose(); // reads every tensor: what is stored can be used
            var files = store.FilesJson(name);
            return await writes.WriteAsync(db =>
            {
                var now = time.GetUtcNow();
                var version = new ModelVersion
                {
                    Id = id, ProjectId = projectId, Kind = ModelKind.Policy, Number = ModelStore.NextNumber(db, projectId, ModelKind.Policy), Method = ModelStore.BaseMethod,
                    ParentId = null, DatasetVersionId = null, JobId = null, SpecJson = JsonSerializer.Serialize(new { addedFrom = Path.GetFileName(Path.GetFullPath(folder)) }),
                    Seed = 0, Commit = "unknown", Folder = name, FilesJson = files, IsSynthetic = isSynthetic, CreatedAt = now,
                };
                db.ModelVersions.Add(version);
                AuditChain.Append(db, now, actor: null, "model.add", "model", $"{id}", new { project = $"{projectId}", version.Number, files = version.Files().Count });
                var row = db.Projects.First(p => p.Id == projectId);
                if (row.CurrentPolicyId is null)
                    ModelStore.Serve(db, row, version, "the project's first policy, added on the command line", ids, now);
                return version;
            }, stop);
        }
        catch
        {
            Directory.Delete(copy, recursive: true); // half a model is none
            throw;
        }
    }
}
