using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Portal.Data;
using Portal.Data.Datasets;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Storage;
using Portal.Engine;
using Portal.Engine.Jobs;
using Portal.Engine.Recipes;
using Portal.Tests.Data;
using Portal.Tests.Web.Annotate;

namespace Portal.Tests.Engine.Jobs;

/// <summary>Runs runners in this process, without a queue: as the job's process does, with the result saved in the transaction of the success.</summary>
public sealed class RunnerBench : IDisposable
{
    private int number;

    /// <param name="folder">See <see cref="PortalDatabase"/>.</param>
    public RunnerBench(PostgresFixture? postgres = null, string? folder = null)
    {
        Database = new PortalDatabase(postgres, folder: folder);
        Seed = new Seeding(Database.Contexts, Get<IdFactory>(), Get<ContentHasher>(), TimeProvider.System);
        Project = Seed.Project();
    }

    public PortalDatabase Database { get; }
    public Seeding Seed { get; }
    public ProjectId Project { get; }

    public T Get<T>() where T : notnull => Database.Services.GetRequiredService<T>();

    public void Dispose() => Database.Dispose();

    /// <summary>Puts an upload and its rows in place, as the portal's handler does.</summary>
    public (ImportData Spec, JobRun Run) Upload(byte[] file, string format = "auto", bool allOrNothing = false, ProjectId? project = null, CancellationToken stop = default)
    {
        var id = new ImportId(Guid.CreateVersion7());
        var upload = $"{id.Value:N}";
        File.WriteAllBytes(Path.Combine(Database.Directory.Uploads, upload), file);
        using var db = Database.Open();
        db.Imports.Add(new Import
        {
            Id = id, ProjectId = project ?? Project, FileName = "votes.jsonl", Format = format, AllOrNothing = allOrNothing, By = Guid.CreateVersion7(), CreatedAt = DateTimeOffset.UtcNow,
        });
        db.SaveChanges();
        var spec = new ImportData { ImportId = id, Upload = upload, FileName = "votes.jsonl", Format = format, AllOrNothing = allOrNothing };
        return (spec, Begin(spec, project, stop));
    }

    public JobRun Begin(JobSpec spec, ProjectId? project = null, CancellationToken stop = default)
    {
        var job = new Job
        {
            Id = new JobId(Guid.CreateVersion7()), Number = ++number, ProjectId = project ?? Project, Kind = spec.Kind, SpecJson = spec.ToJson(), CreatedBy = null,
            CreatedAt = DateTimeOffset.UtcNow,
        };
        job.Start(DateTimeOffset.UtcNow);
        using var db = Database.Open();
        db.Jobs.Add(job);
        db.SaveChanges();
        return new JobRun
        {
            JobId = job.Id, Number = job.Number, ProjectId = job.ProjectId, CreatedBy = null, Directory = Database.Directory, Contexts = Database.Contexts,
            Writes = Database.Writes, Hasher = Get<ContentHasher>(), Ids = Get<IdFactory>(), Time = TimeProvider.System, Progress = new Lines(), Stop = stop,
        };
    }

    /// <summary>Runs to the end. A failure is written to the row, cleaned up after, and thrown on.</summary>
    public async Task<string?> Finish<TSpec>(IJobRunner<TSpec> runner, TSpec spec, JobRun run) where TSpec : JobSpec
    {
        var hasSucceeded = false;
        try
        {
            var result = await runner.Run(spec, run);
            await Database.Writes.WriteAsync(db =>
            {
                result.Save?.Invoke(db);
                db.Jobs.Single(j => j.Id == run.JobId).Succeed(result.Path, DateTimeOffset.UtcNow);
            }, default);
            hasSucceeded = true;
            return result.Path;
        }
        catch (Exception e) when (e is CannotTrain or OperationCanceledException)
        {
            await Database.Writes.WriteAsync(db =>
            {
                var job = db.Jobs.Single(j => j.Id == run.JobId);
                if (e is CannotTrain)
                    job.Fail(e.Message, DateTimeOffset.UtcNow);
                else
                    job.Cancelled(DateTimeOffset.UtcNow);
            }, default);
            throw;
        }
        finally
        {
            await new JobRunners().Add(() => runner).CleanUp(spec, new JobRun
            {
                JobId = run.JobId, Number = run.Number, ProjectId = run.ProjectId, CreatedBy = null, Directory = run.Directory, Contexts = run.Contexts, Writes = run.Writes,
                Hasher = run.Hasher, Ids = run.Ids, Time = run.Time, Progress = run.Progress, Stop = default,
            }, hasSucceeded);
        }
    }

    public Import Import(ImportId id)
    {
        using var db = Database.Open();
        return db.Imports.AsNoTracking().Single(i => i.Id == id);
    }

    /// <summary>Everything that imports write, visible or not: prompts, responses, texts, tasks, judgements.</summary>
    public (int Prompts, int Responses, int Texts, int Tasks, int Judgements) Counts(bool visibleOnly = false)
    {
        using var db = Database.Open();
        return visibleOnly
            ? (db.Prompts.Count(), db.Responses.Count(), db.Contents.Count(), db.Tasks.Count(), db.PairwiseJudgements.Count() + db.BinaryJudgements.Count())
            : (db.Prompts.IgnoreQueryFilters().Count(), db.Responses.IgnoreQueryFilters().Count(), db.Contents.Count(), db.Tasks.IgnoreQueryFilters().Count(),
                db.PairwiseJudgements.IgnoreQueryFilters().Count() + db.BinaryJudgements.IgnoreQueryFilters().Count());
    }

    /// <summary>Log lines of a run, kept.</summary>
    public sealed class Lines : IRecipeProgress
    {
        public List<string> All { get; } = [];

        public void Report(int step, int stepsTotal, string phase, double? secondsLeft) { }

        public void Metric(string name, int step, double value) { }

        public void Log(JobEventLevel level, string message) => All.Add(message);
    }
}
