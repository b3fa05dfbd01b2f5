using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Portal.Data;
using Portal.Data.Annotators;
using Portal.Data.Feedback;
using Portal.Data.Registry;
using Portal.Data.Storage;
using Portal.Engine.Jobs;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Tests.Data;
using Portal.Tests.Engine.Recipes;

namespace Portal.Tests.Engine.Jobs;

/// <summary>A project of the toy world on a real database: its base policy, 80 prompts with four responses each, and 160 votes for "please". Runs jobs as their process does.</summary>
public sealed class ToyProject : IDisposable
{
    private readonly AnnotatorId annotator;
    private int number;

    /// <summary>On SQLite; also as the fixture of a class, which is made by its one public constructor.</summary>
    public ToyProject() : this(null)
    {
    }

    /// <param name="postgres">Null for SQLite.</param>
    internal ToyProject(PostgresFixture? postgres)
    {
        Database = new PortalDatabase(postgres);
        (Project, annotator, BaseId) = (Ids.New<ProjectId>(), Ids.New<AnnotatorId>(), Ids.New<ModelVersionId>());
        using var db = Database.Open();
        db.Projects.Add(new Project { Id = Project, Name = "Toy", CreatedAt = Now });
        db.Annotators.Add(new Annotator { Id = annotator, Pseudonym = "heron-12", CreatedAt = Now });
        using (var model = ToyWorld.Base())
            HuggingFaceFolder.Save(model, FolderOf(BaseId), ToyWorld.Tokenizer);
        db.ModelVersions.Add(Version(BaseId, ModelKind.Policy, 1, null));
        db.SaveChanges();
        foreach (var prompt in ToyWorld.Prompts)
            Vote(db, prompt);
        db.SaveChanges();
    }

    public PortalDatabase Database { get; }
    public ProjectId Project { get; }
    public ModelVersionId BaseId { get; }

    /// <summary>Who gave the votes.</summary>
    public AnnotatorId Annotator => annotator;
    public IdFactory Ids => Database.Services.GetRequiredService<IdFactory>();
    public ModelStore Store => new(Database.Contexts, Database.Writes, Database.Directory, Ids, TimeProvider.System);

    private static DateTimeOffset Now => TimeProvider.System.GetUtcNow();

    public void Dispose() => Database.Dispose();

    /// <summary>Where a version that a test makes by hand has its files.</summary>
    public string FolderOf(ModelVersionId id) => Path.Combine(Database.Directory.Models, id.Value.ToString("N"));

    /// <summary>The row of a version whose files are in their folder already.</summary>
    public ModelVersion Version(ModelVersionId id, ModelKind kind, int version, ModelVersionId? parent, bool isSynthetic = false) => new()
    {
        Id = id, ProjectId = Project, Kind = kind, Number = version, Method = ModelStore.BaseMethod, ParentId = parent, DatasetVersionId = null, JobId = null, SpecJson = "{}", Seed = 1,
        Commit = "unknown", Folder = id.Value.ToString("N"), FilesJson = Store.FilesJson(id.Value.ToString("N")), IsSynthetic = isSynthetic, CreatedAt = Now,
    };

    /// <param name="id">Null for a new job; the same id again is the same job after a crash.</param>
    public JobRun Job(JobId? id = null, IRecipeProgress? progress = null, CancellationToken stop = default) => new()
    {
        JobId = id ?? Ids.New<JobId>(), Number = ++number, ProjectId = Project, CreatedBy = null, Directory = Database.Directory, Contexts = Database.Contexts,
        Writes = Database.Writes, Hasher = Database.Services.GetRequiredService<ContentHasher>(), Ids = Ids, Time = TimeProvider.System, Progress = progress ?? new SeenProgress(), Stop = stop,
    };

    public sealed record Finished(ModelVersionId Id, string? Path, ModelVersion Version);

    /// <summary>Writes the end as the worker does; gives the version, where the job made one.</summary>
    public async Task<Finished> Finish(JobRun job, JobResult result)
    {
        await Database.Writes.WriteAsync(db => result.Save!(db), default); // these runners all store something
        using var read = Database.Open();
        var id = ModelVersionId.From(job.JobId.Value);
        return new Finished(id, result.Path, read.ModelVersions.AsNoTracking().FirstOrDefault(v => v.Id == id)!);
    }

    /// <summary>A number that was measured on a version.</summary>
    public EvaluationResult Row(ModelVersionId id, string name, string part = MetricNames.HeldOut)
    {
        using var db = Database.Open();
        return db.EvaluationResults.AsNoTracking().SingleOrDefault(r => r.ModelVersionId == id && r.Name == name && r.Part == part)
            ?? throw new Xunit.Sdk.XunitException($"No {name} on {part}; there is {string.Join(", ", db.EvaluationResults.Where(r => r.ModelVersionId == id).Select(r => $"{r.Name} on {r.Part}"))}.");
    }

    /// <inheritdoc cref="ToyVotes.Add"/>
    public void Vote(PortalDbContext db, string words) => ToyVotes.Add(db, Ids, Database.Services.GetRequiredService<ContentHasher>(), Project, annotator, words);
}
