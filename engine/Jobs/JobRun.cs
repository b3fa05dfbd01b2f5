using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Jobs;
using Portal.Data.Storage;
using Portal.Engine.Recipes;

namespace Portal.Engine.Jobs;

/// <summary>One run of one job, as its runner sees it: which job, the database, the clock, where to report, when to stop.</summary>
public sealed class JobRun
{
    public required JobId JobId { get; init; }

    /// <summary>The number people know the job by.</summary>
    public required int Number { get; init; }

    public required ProjectId ProjectId { get; init; }

    /// <summary>Who asked for it; null when the system did.</summary>
    public required Guid? CreatedBy { get; init; }

    public required DataDirectory Directory { get; init; }
    public required IDbContextFactory<PortalDbContext> Contexts { get; init; }
    public required WriteQueue Writes { get; init; }
    public required ContentHasher Hasher { get; init; }
    public required IdFactory Ids { get; init; }
    public required TimeProvider Time { get; init; }
    public required IRecipeProgress Progress { get; init; }

    /// <summary>Asks the job to end early: somebody cancelled it, or the engine is being stopped.</summary>
    public required CancellationToken Stop { get; init; }

    /// <summary>Name of this job's folder below the models folder; what a <see cref="Data.Registry.ModelVersion"/> of this job stores.</summary>
    public string ModelFolder => FolderName(JobId);

    /// <summary>
    /// The context of a recipe run by this job: artefacts go to the job's own folder below the models folder, checkpoints to one that
    /// outlives a crash and is removed when the job is over.
    /// </summary>
    public RecipeContext RecipeContext(long seed) =>
        new(System.IO.Path.Combine(Directory.Models, ModelFolder), CheckpointFolder(Directory, JobId), seed, Progress, Time, Stop);

    internal static string FolderName(JobId job) => job.Value.ToString("N");

    internal static string CheckpointFolder(DataDirectory directory, JobId job) =>
        System.IO.Path.Combine(directory.Checkpoints, FolderName(job));
}
