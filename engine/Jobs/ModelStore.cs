using System.Security.Cryptography;
using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Feedback;
using Portal.Data.Registry;
using Portal.Data.Storage;
using Portal.Engine.CommandLine;
using Portal.Engine.Evaluation;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Sae;
using Portal.Engine.TinyAssistant;
using Portal.Engine.Tokenizers;

namespace Portal.Engine.Jobs;

/// <summary>
/// Versions and their files: which one a spec means, opening it, and the rows of a new one. The files of a version are below the models
/// folder, each with its hash in the version's row.
/// </summary>
public sealed class ModelStore(IDbContextFactory<PortalDbContext> contexts, WriteQueue writes, DataDirectory directory, IdFactory ids, TimeProvider time)
{
    /// <summary>How a version says that it was not trained from another one.</summary>
    public const string BaseMethod = "base";

    internal ModelStore(JobRun run) : this(run.Contexts, run.Writes, run.Directory, run.Ids, run.Time)
    {
    }

    /// <summary>A version by id.</summary>
    /// <exception cref="CannotTrain">There is none in this project, of this kind, or it is retired.</exception>
    public Task<ModelVersion> Find(ProjectId project, ModelVersionId id, ModelKind kind, CancellationToken stop) =>
        Find(project, id, version => version.Kind == kind ? null : $"{version.Label} is not {(kind is ModelKind.SparseAutoencoder ? "an" : "a")} {kind.Noun()}.", stop);

    /// <summary>A version with states of its own, a policy or a reward model, by id.</summary>
    /// <exception cref="CannotTrain">There is none in this project, it is an SAE, or it is retired.</exception>
    public Task<ModelVersion> FindModel(ProjectId project, ModelVersionId id, CancellationToken stop) =>
        Find(project, id, version => version.Kind is ModelKind.Policy or ModelKind.RewardModel ? null : $"{version.Label} has no states of its own; name a policy or a reward model.", stop);

    /// <summary>A version by id, also a retired one: an audit looks at what was in use, it does not use it.</summary>
    /// <exception cref="CannotTrain">There is none in this project, or it is of another kind.</exception>
    public Task<ModelVersion> FindExhibit(ProjectId project, ModelVersionId id, ModelKind kind, CancellationToken stop) =>
        Find(project, id, version => version.Kind == kind ? null : $"{version.Label} is not {(kind is ModelKind.SparseAutoencoder ? "an" : "a")} {kind.Noun()}.", stop, retiredToo: true);

    private async Task<ModelVersion> Find(ProjectId project, ModelVersionId id, Func<ModelVersion, string?> problemWith, CancellationToken stop, bool retiredToo = false)
    {
        await using var db = await contexts.CreateDbContextAsync(stop);
        var version = await db.ModelVersions.AsNoTracking().FirstOrDefaultAsync(v => v.Id == id && v.ProjectId == project, stop)
            ?? throw new CannotTrain($"There is no model version {id} in this project.");
        if (problemWith(version) is { } problem)
            throw new CannotTrain(problem);
        return version.Status is ModelStatus.Retired && !retiredToo
            ? throw new CannotTrain($"{version.Label} is retired and cannot be used.")
            : version;
    }

    /// <summary>
    /// The policy everything in a project began with: the root of the one that serves, else the oldest without a parent. A project that has
    /// no policy at all takes the installation's oldest base model over, as its own policy v1, and lets it serve.
    /// </summary>
    /// <exception cref="CannotTrain">The installation has no base model.</exception>
    public async Task<ModelVersion> BasePolicy(ProjectId project, CancellationToken stop)
    {
        await using (var db = await contexts.CreateDbContextAsync(stop))
        {
            var policies = await db.ModelVersions.AsNoTracking().Where(v => v.ProjectId == project && v.Kind == ModelKind.Policy).ToDictionaryAsync(v => v.Id, stop);
            var current = await db.Projects.Where(p => p.Id == project).Select(p => p.CurrentPolicyId).FirstAsync(stop);
            var root = current is { } id ? policies.GetValueOrDefault(id) : null;
            while (root?.ParentId is { } parent && policies.TryGetValue(parent, out var above))
                root = above;
            root ??= policies.Values.Where(v => v.ParentId is null).OrderBy(v => v.Number).FirstOrDefault();
            if (root is not null)
                return root;
        }
        return await AdoptBase(project, stop);
    }

    /// <summary>The policy that answers today, else the base policy.</summary>
    public async Task<ModelVersion> CurrentPolicy(ProjectId project, CancellationToken stop)
    {
        await using (var db = await contexts.CreateDbContextAsync(stop))
            if (await db.Projects.Where(p => p.Id == project).Select(p => p.CurrentPolicyId).FirstAsync(stop) is { } current)
                return await Find(project, current, ModelKind.Policy, stop);
        return await BasePolicy(project, stop);
    }

    /// <summary>The reward model that scores: the named one, else the one that serves, else the newest candidate; null when there is none.</summary>
    public async Task<ModelVersion?> RewardModel(ProjectId project, ModelVersionId? named, CancellationToken stop)
    {
        if (named is { } id)
            return await Find(project, id, ModelKind.RewardModel, stop);
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (await db.Projects.Where(p => p.Id == project).Select(p => p.CurrentRewardModelId).FirstAsync(stop) is { } current)
            return await Find(project, current, ModelKind.RewardModel, stop);
        return await db.ModelVersions.AsNoTracking().Where(v => v.ProjectId == project && v.Kind == ModelKind.RewardModel && v.Status != ModelStatus.Retired)
            .OrderByDescending(v => v.Number).FirstOrDefaultAsync(stop);
    }

    /// <summary>Opens a policy. The caller disposes of it.</summary>
    /// <exception cref="CannotTrain">A file is missing, changed or damaged; the message names it.</exception>
    public (Llama Model, ITokenizer Tokenizer) OpenPolicy(ModelVersion version) => ModelFolder.LanguageModel(Checked(version));

    /// <summary>Opens a reward model of any kind: one on sparse features is a <see cref="SarmReward"/>, else a <see cref="LlamaReward"/>. The caller disposes of it.</summary>
    /// <inheritdoc cref="OpenPolicy"/>
    public (IRewardModel Model, ITokenizer Tokenizer) OpenReward(ModelVersion version) => ModelFolder.RewardModel(Checked(version));

    /// <summary>Opens a policy's decoder with a new head, a reward model to be. The caller disposes of it.</summary>
    /// <inheritdoc cref="OpenPolicy"/>
    public (LlamaReward Model, ITokenizer Tokenizer) OpenWithFreshHead(ModelVersion version) => ModelFolder.FreshReward(Checked(version));

    /// <summary>Opens the decoder of a policy or a reward model, without its head. The caller disposes of it.</summary>
    /// <inheritdoc cref="OpenPolicy"/>
    public (LlamaBackbone Model, ITokenizer Tokenizer) OpenDecoder(ModelVersion version) => ModelFolder.Backbone(Checked(version));

    /// <summary>Opens a sparse autoencoder. The caller disposes of it.</summary>
    /// <inheritdoc cref="OpenPolicy"/>
    public TopKSae OpenSae(ModelVersion version) => ModelFolder.Sae(Checked(version));

    /// <summary>What is wrong with a version's files; null when each is there and is the one that was stored.</summary>
    public string? Verify(ModelVersion version)
    {
        var folder = FolderOf(version);
        foreach (var file in version.Files())
        {
            var path = Path.Combine(folder, file.Name);
            if (!File.Exists(path))
                return $"{version.Label}: the file {file.Name} is missing from {folder}.";
            if (new FileInfo(path).Length != file.Bytes || HashOf(path) != file.Sha256)
                return $"{version.Label}: the file {file.Name} in {folder} is not the one that was stored; its hash differs.";
        }
        return null;
    }

    /// <summary>Where the files of a version are.</summary>
    public string FolderOf(ModelVersion version) => FolderOf(version.Folder);

    /// <summary>A folder below the models folder, by its name.</summary>
    internal string FolderOf(string name) => Path.Combine(directory.Models, name);

    /// <summary>Copies files of a model below the models folder, as <see cref="ArtefactFile.CopyFolder"/> does.</summary>
    /// <param name="name">The folder's name there.</param>
    /// <returns>The copy's path.</returns>
    internal string CopyIn(string from, string name, Func<string, bool>? wanted, CancellationToken stop)
    {
        var to = Path.Combine(directory.Models, name);
        ArtefactFile.CopyFolder(from, to, wanted, stop);
        return to;
    }

    /// <summary>The files of a folder below the models folder with their hashes, as a version keeps them.</summary>
    public string FilesJson(string folder)
    {
        var root = Path.Combine(directory.Models, folder);
        return JsonSerializer.Serialize(Directory.EnumerateFiles(root, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal)
            .Select(path => new ModelFile(Path.GetRelativePath(root, path), new FileInfo(path).Length, HashOf(path))).ToList());
    }

    /// <summary>The next number of a kind in a project; inside the write that uses it.</summary>
    public static int NextNumber(PortalDbContext db, ProjectId project, ModelKind kind) =>
        (db.ModelVersions.Where(v => v.ProjectId == project && v.Kind == kind).Max(v => (int?)v.Number) ?? 0) + 1;

    /// <summary>The row of one measurement.</summary>
    public static EvaluationResult Row(ModelVersionId version, Measurement measured, ModelVersionId? comparedWith, DateTimeOffset at) => new()
    {
        ModelVersionId = version, Name = measured.Name, Part = measured.Part, Value = measured.Value, Low = measured.Low, High = measured.High,
        Count = measured.Count, At = at, ComparedWithId = measured.Name.StartsWith(MetricNames.BeforePrefix, StringComparison.Ordinal) || measured.Name.StartsWith(MetricNames.ChangePrefix, StringComparison.Ordinal) ? comparedWith : null,
    };

    private async Task<ModelVersion> AdoptBase(ProjectId project, CancellationToken stop)
    {
        var id = ids.New<ModelVersionId>();
        return await writes.WriteAsync(db =>
        {
            var found = db.ModelVersions.AsNoTracking()
                .Where(v => v.Kind == ModelKind.Policy && v.ParentId == null && v.Status != ModelStatus.Retired).OrderBy(v => v.CreatedAt).ThenBy(v => v.Id).FirstOrDefault()
                ?? throw new CannotTrain("This installation has no base model to start from. Add one with `./run engine add-model FOLDER --project NAME`; a fresh installation with the demo brings its own.");
            var now = time.GetUtcNow();
            var version = new ModelVersion
            {
                Id = id, ProjectId = project, Kind = ModelKind.Policy, Number = NextNumber(db, project, ModelKind.Policy), Method = BaseMethod, ParentId = null,
                DatasetVersionId = null, JobId = null, SpecJson = found.SpecJson, Seed = found.Seed, Commit = found.Commit, Folder = found.Folder,
                FilesJson = found.FilesJson, IsSynthetic = found.IsSynthetic, CreatedAt = now,
            };
            db.ModelVersions.Add(version);
            AuditChain.Append(db, now, actor: null, "model.adopt", "model", $"{id}", new { from = $"{found.Id}", project = $"{project}" });
            Serve(db, db.Projects.First(p => p.Id == project), version, "the installation's base model; the project had none", ids, now);
            return version;
        }, stop);
    }

    /// <summary>Releases a version in the name of the system, which is only right where nothing served before.</summary>
    internal static void Serve(PortalDbContext db, Project project, ModelVersion version, string reason, IdFactory ids, DateTimeOffset now)
    {
        db.Releases.Add(project.Release(ids.New<ReleaseId>(), version, reason, by: Guid.Empty, approver: null, now).Value);
        AuditChain.Append(db, now, actor: null, "model.release", "model", $"{version.Id}", new { kind = version.Kind.ToString(), version.Number });
    }

    private string Checked(ModelVersion version) => Verify(version) is { } problem ? throw new CannotTrain(problem) : FolderOf(version);

    /// <summary>SHA-256 of a file, as versions keep it.</summary>
    internal static string HashOf(string path)
    {
        using var file = File.OpenRead(path);
        return Convert.ToHexStringLower(SHA256.HashData(file));
    }
}
