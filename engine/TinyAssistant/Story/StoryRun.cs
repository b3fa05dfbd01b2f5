using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Storage;
using Portal.Engine.Datasets;
using Portal.Engine.Jobs;
using Portal.Engine.Recipes;

namespace Portal.Engine.TinyAssistant.Story;

/// <summary>
/// What the stations share: the scratch installation with its engine, and what earlier stations made. A station reads what it needs and sets
/// what it made; asking for what no station has made yet is a mistake in the order of stations and throws.
/// </summary>
public sealed class StoryRun(IServiceProvider services, StorySizes sizes, StoryFolders folders, ulong seed, bool fromNothing, IRecipeProgress progress)
{
    public StorySizes Sizes => sizes;
    public StoryFolders Folders => folders;
    public ulong Seed => seed;

    /// <summary>Tokenizer and base are trained here instead of taken from the shipped demo.</summary>
    public bool FromNothing => fromNothing;

    public IRecipeProgress Progress => progress;
    public IServiceProvider Services => services;
    public IDbContextFactory<PortalDbContext> Contexts { get; } = services.GetRequiredService<IDbContextFactory<PortalDbContext>>();
    public WriteQueue Writes { get; } = services.GetRequiredService<WriteQueue>();
    public DataDirectory Directory { get; } = services.GetRequiredService<DataDirectory>();
    public IdFactory Ids { get; } = services.GetRequiredService<IdFactory>();
    public TimeProvider Time { get; } = services.GetRequiredService<TimeProvider>();
    public ModelStore Store => new(Contexts, Writes, Directory, Ids, Time);
    public DatasetManifest Manifest => new(Contexts, Writes, services.GetRequiredService<ContentHasher>(), Ids, Time);

    /// <summary>The project of the story.</summary>
    public ProjectId Project { get => Made(field, "the project"); set; }

    /// <summary>The base model as the project's first policy.</summary>
    public ModelVersion Base { get => Made(field, "the base policy"); set; }

    /// <summary>What was sampled from the base for each prompt, by the prompt's id.</summary>
    public IReadOnlyDictionary<string, IReadOnlyList<string>> Answers { get => Made(field, "the base's answers"); set; }

    /// <summary>The crowd's work: prompts, responses, judgements, and what is sealed about them.</summary>
    public DemoSeed Crowd { get => Made(field, "the crowd's votes"); set; }

    public Data.Datasets.DatasetVersion Dataset { get => Made(field, "the dataset version"); set; }
    public ModelVersion RewardModel { get => Made(field, "the reward model"); set; }
    public ModelVersion Policy { get => Made(field, "the policy"); set; }

    /// <summary>Asks the engine for a job as the portal does, by a row, and waits for its end.</summary>
    /// <exception cref="CannotTrain">The job did not succeed; the message is its reason.</exception>
    public async Task<Job> RunJob(JobSpec spec, CancellationToken stop)
    {
        var id = Ids.New<JobId>();
        await Writes.WriteAsync(db => { AskForJob.Add(db, id, Project, spec, after: null, by: null, Time.GetUtcNow()); }, stop);
        (int, int, string) shown = default;
        while (true)
        {
            Job job;
            await using (var db = await Contexts.CreateDbContextAsync(stop))
                job = await db.Jobs.AsNoTracking().FirstAsync(j => j.Id == id, stop);
            if (shown != (job.Step, job.StepsTotal, job.Phase) && job.Phase.Length > 0)
                progress.Report(job.Step, job.StepsTotal, $"job {job.Number} {job.Phase}", job.SecondsLeft);
            shown = (job.Step, job.StepsTotal, job.Phase);
            if (job.State is JobState.Succeeded)
                return job;
            if (job.IsOver)
                throw new CannotTrain($"Job {job.Number} ({job.Kind}) is {job.State}: {job.FailReason}");
            await Task.Delay(100, stop);
        }
    }

    /// <summary>The version a training job made, with its files compared with their hashes.</summary>
    /// <exception cref="CannotTrain">There is none, or a file of it is missing or changed.</exception>
    public async Task<ModelVersion> VersionOf(Job job, ModelKind kind, CancellationToken stop)
    {
        var version = await Store.Find(Project, ModelVersionId.From(job.Id.Value), kind, stop);
        return Store.Verify(version) is { } problem ? throw new CannotTrain(problem) : version;
    }

    /// <summary>What was measured on a version.</summary>
    /// <exception cref="CannotTrain">It was not measured.</exception>
    public async Task<EvaluationResult> Measured(ModelVersion version, string name, CancellationToken stop)
    {
        await using var db = await Contexts.CreateDbContextAsync(stop);
        return await db.EvaluationResults.AsNoTracking().FirstOrDefaultAsync(r => r.ModelVersionId == version.Id && r.Name == name && r.Part == MetricNames.HeldOut, stop)
            ?? throw new CannotTrain($"{version.Label} has no {name} on held-out rows.");
    }

    /// <summary>Makes a version the one that serves, by the same rule as the portal's button.</summary>
    public Task Release(ModelVersion version, string reason, CancellationToken stop) => Writes.WriteAsync(db =>
        ModelStore.Serve(db, db.Projects.First(p => p.Id == Project), db.ModelVersions.First(v => v.Id == version.Id), reason, Ids, Time.GetUtcNow()), stop);

    /// <summary>The beginning of a hash, as rows show it.</summary>
    public static string Short(string hash) => hash[..Math.Min(12, hash.Length)];

    private static T Made<T>(T? value, string what) where T : class => value ?? throw new InvalidOperationException($"The stations are in a wrong order: {what} is not there yet.");

    private static ProjectId Made(ProjectId value, string what) => value != default ? value : throw new InvalidOperationException($"The stations are in a wrong order: {what} is not there yet.");
}

/// <summary>Where the story takes and keeps things.</summary>
/// <param name="Assets">The shipped demo.</param>
/// <param name="World">What the story makes before it becomes rows: the base model, the file of votes.</param>
/// <param name="Work">Half-done training of tokenizer and base.</param>
public sealed record StoryFolders(string Assets, string World, string Work)
{
    public string Base => Path.Combine(World, "base");
}
