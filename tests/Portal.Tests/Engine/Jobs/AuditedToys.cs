using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Engine.Audits;
using Portal.Engine.Datasets;
using Portal.Engine.Endpoints;
using Portal.Engine.Jobs;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Statistics;
using Portal.Tests.Engine.Recipes;

namespace Portal.Tests.Engine.Jobs;

/// <summary>A toy project with a second policy that only says "please", audited against the base that also says "never".</summary>
internal sealed class AuditedToys : IDisposable
{
    /// <summary>Small enough for a test; all 80 prompts, so the verdict is grey (200 pairs are needed) and everything is fitted all the same.</summary>
    public static readonly AuditReward Spec = new()
    {
        PromptSource = AuditPromptSource.All, HoldoutShare = 0.2, TestShare = 0.2, CompletionsOnTest = 3, Seeds = 2, Bootstraps = 1, PowerRepeats = 4, Methods = ["max-entropy"],
        Sampling = new SamplingSpec { Temperature = 1, TokensMax = 24 },
    };

    private static readonly Lazy<Llama> SharedPolite = new(() =>
    {
        using var folders = new RunFolders();
        var model = ToyWorld.Base();
        var all = ToyWorld.Split((prompt, v) => new TrainingDialogue(prompt, [.. ToyWorld.TurnsOf(prompt), new Turn("assistant", ToyWorld.Good(prompt, v))]));
        TrainSftRecipe.Run(new TrainSft { LengthMax = 64, Optimization = new OptimizationSpec { LearningRate = 5e-3, BatchSize = 16, Epochs = 4, CheckpointEverySteps = 0 } }, model, ToyWorld.Tokenizer, all, folders.Context());
        return model;
    });

    public AuditedToys()
    {
        PoliteId = Toy.Ids.New<ModelVersionId>();
        lock (SharedPolite)
            HuggingFaceFolder.Save(SharedPolite.Value, Toy.FolderOf(PoliteId), ToyWorld.Tokenizer);
        using var db = Toy.Database.Open();
        db.ModelVersions.Add(Toy.Version(PoliteId, ModelKind.Policy, 2, Toy.BaseId));
        db.SaveChanges();
    }

    public ToyProject Toy { get; } = new();
    public ModelVersionId PoliteId { get; }

    /// <summary>The polite policy against what it was trained from.</summary>
    public AuditReward Polite => Spec with { AuditedId = PoliteId };

    public void Dispose() => Toy.Dispose();

    /// <summary>Runs an audit to its end, as the worker does: job row, run, result and success in one.</summary>
    public async Task<JobId> Audit(AuditReward spec, AddressGuard? guard = null)
    {
        var job = AddJob(spec);
        await Finish(job, spec, guard);
        return job;
    }

    public JobId AddJob(AuditReward spec)
    {
        var id = Toy.Ids.New<JobId>();
        using var db = Toy.Database.Open();
        var job = new Job { Id = id, Number = (db.Jobs.Max(j => (int?)j.Number) ?? 0) + 1, ProjectId = Toy.Project, Kind = spec.Kind, SpecJson = spec.ToJson(), CreatedBy = null, CreatedAt = DateTimeOffset.UtcNow };
        job.Start(DateTimeOffset.UtcNow);
        db.Jobs.Add(job);
        db.SaveChanges();
        return id;
    }

    public async Task Finish(JobId id, AuditReward spec, AddressGuard? guard = null)
    {
        var run = Toy.Job(id);
        var result = await new AuditRewardRunner(guard).Run(spec, run);
        await Toy.Database.Writes.WriteAsync(db =>
        {
            result.Save!(db); // an audit always stores its row
            db.Jobs.Single(j => j.Id == id).Succeed(result.Path, DateTimeOffset.UtcNow);
        }, default);
    }
}

/// <summary>Throws at a step of a phase, as a process that is killed there would end.</summary>
internal sealed class DiesAt(string phase, int step) : IRecipeProgress
{
    public void Report(int stepNow, int stepsTotal, string phaseNow, double? secondsLeft)
    {
        if (phaseNow == phase && stepNow >= step)
            throw new SeenProgress.Killed();
    }

    public void Metric(string name, int stepNow, double value) { }

    public void Log(JobEventLevel level, string message) { }
}
