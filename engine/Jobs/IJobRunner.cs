using Portal.Data;
using Portal.Data.JobSpecs;

namespace Portal.Engine.Jobs;

/// <summary>
/// Does what one kind of job spec asks for, in the job's own process. It reads its inputs from the database, works (a recipe, an import) and
/// returns what is to be stored.
/// </summary>
/// <remarks>
/// Errors a person can do something about are thrown as <see cref="CannotTrain"/>: the message becomes the job's reason. Everything
/// else that is thrown fails the job too, with the exception's message and a pointer to the log. A job may be killed at any instant and
/// run again: what it stores before the end must bear that (see <see cref="JobResult.Save"/>).
/// </remarks>
public interface IJobRunner<in TSpec> where TSpec : JobSpec
{
    /// <summary>Runs the job to its end.</summary>
    /// <exception cref="OperationCanceledException"><see cref="JobRun.Stop"/> asked for it; nothing half-done is left visible.</exception>
    Task<JobResult> Run(TSpec spec, JobRun run);

    /// <summary>
    /// The job failed or was cancelled: removes the rows it had stored before its end. Never called for a job that succeeded. Runs in the
    /// queue's own process, so it touches rows and files only; may run twice.
    /// </summary>
    Task Discard(TSpec spec, JobRun run) => Task.CompletedTask;

    /// <summary>The job is over, however it ended: removes what it was given and nobody needs any more (uploads). Runs as <see cref="Discard"/> does, after it.</summary>
    Task Clean(TSpec spec, JobRun run) => Task.CompletedTask;
}

/// <summary>What came out of a job.</summary>
/// <param name="Path">The page that shows it ("/models/..."); null where there is none.</param>
/// <param name="Save">
/// Stores the result's rows in the very transaction that marks the job as succeeded: either both are there or neither. Quick, and free of
/// side effects outside its context: it may run more than once. Null when there is nothing to store. A <see cref="CannotTrain"/> from it (what the result
/// rests on changed meanwhile) fails the job with that reason, and nothing is stored.
/// </param>
public sealed record JobResult(string? Path, Action<PortalDbContext>? Save = null);

/// <summary>Which runner serves which kind of spec.</summary>
public sealed class JobRunners
{
    private readonly Dictionary<Type, Entry> byType = [];

    /// <summary>Registers the runner of a kind; made anew for each job. A second registration replaces the first.</summary>
    public JobRunners Add<TSpec>(Func<IJobRunner<TSpec>> make) where TSpec : JobSpec
    {
        byType[typeof(TSpec)] = new Entry(
            (spec, run) => make().Run((TSpec)spec, run),
            (spec, run) => make().Discard((TSpec)spec, run),
            (spec, run) => make().Clean((TSpec)spec, run));
        return this;
    }

    /// <summary>The kinds that can be run, by stem.</summary>
    public IReadOnlyList<string> Kinds => [.. byType.Keys.Select(type => type.Name).Order(StringComparer.Ordinal)];

    /// <summary>True when somebody can run this spec.</summary>
    public bool CanRun(JobSpec spec) => byType.ContainsKey(spec.GetType());

    /// <summary>Runs the spec by its runner.</summary>
    /// <exception cref="CannotTrain">No runner is registered for this kind.</exception>
    internal Task<JobResult> Run(JobSpec spec, JobRun run) => Find(spec).Run(spec, run);

    /// <summary>Lets the runner of the spec clean up after a job that is over.</summary>
    internal async Task CleanUp(JobSpec spec, JobRun run, bool hasSucceeded)
    {
        if (!CanRun(spec))
            return;
        if (!hasSucceeded)
            await Find(spec).Discard(spec, run);
        await Find(spec).Clean(spec, run);
    }

    private Entry Find(JobSpec spec) => byType.TryGetValue(spec.GetType(), out var entry)
        ? entry
        : throw new CannotTrain($"This engine cannot run jobs of the kind {spec.Kind}; it knows {string.Join(", ", Kinds)}.");

    private sealed record Entry(Func<JobSpec, JobRun, Task<JobResult>> Run, Func<JobSpec, JobRun, Task> Discard, Func<JobSpec, JobRun, Task> Clean);
}
