using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Storage;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.TinyAssistant;
using Portal.Tests.Data;
using Portal.Tests.Engine.Recipes;
using Xunit;

namespace Portal.Tests.Engine.TinyAssistant;

/// <summary>The demo on a fresh installation, from a small folder of real rows and a toy model.</summary>
[Trait("Speed", "slow")]
public sealed class InstallDemoTests : IDisposable
{
    private readonly PortalDatabase database = new();
    private readonly DirectoryInfo assets = Directory.CreateTempSubdirectory("portal-demo-");
    private readonly ServiceProvider services;

    public InstallDemoTests() => services = new ServiceCollection().AddLogging().AddPortalData(new PortalDataOptions(database.Directory)).BuildServiceProvider();

    public void Dispose()
    {
        services.Dispose();
        database.Dispose();
        assets.Delete(recursive: true);
    }

    [Fact]
    public async Task A_fresh_installation_gets_project_model_judgements_and_tasks_once()
    {
        var demo = WriteAssets();
        await InstallDemo.Run(services, assets, default);
        await InstallDemo.Run(services, assets, default);
        using var db = database.Open();
        var project = db.Projects.Single();
        Assert.Equal((InstallDemo.ProjectName, true), (project.Name, project.IsSynthetic));
        Assert.Contains("Facts first", project.Guidelines, StringComparison.Ordinal);
        var policy = db.ModelVersions.Single();
        Assert.Equal((ModelStatus.Released, (ModelVersionId?)policy.Id), (policy.Status, project.CurrentPolicyId));
        Assert.Equal("the demo's base model", db.Releases.Single().Reason);
        Assert.Equal(demo.Prompts.Count, db.Prompts.Count());
        Assert.Equal(demo.Responses.Count, db.Responses.Count(r => r.ModelVersionId == policy.Id));
        Assert.Equal(demo.Pairwise.Count, db.PairwiseJudgements.Count(j => j.Source == JudgementSource.Simulated));
        Assert.Equal(demo.Binary.Count, db.BinaryJudgements.Count(j => j.Source == JudgementSource.Simulated));
        Assert.All(db.Annotators, annotator => Assert.True(annotator.IsSimulated && annotator.Pseudonym.StartsWith("sim-", StringComparison.Ordinal)));
        var open = db.Tasks.Where(t => t.State == TaskState.Open).ToList();
        Assert.Equal((60, 30), (open.Count(t => t.Kind is TaskKind.Pairwise), open.Count(t => t.Kind is TaskKind.Binary)));
        var judged = db.PairwiseJudgements.Select(j => j.TaskId).ToHashSet();
        Assert.DoesNotContain(open, task => judged.Contains(task.Id));
        Assert.All(open.Where(t => t.Kind is TaskKind.Pairwise), task => Assert.DoesNotContain(db.Tasks.Where(t => t.PromptId == task.PromptId && t.Id != task.Id),
            other => new[] { other.FirstResponseId, other.SecondResponseId }.ToHashSet().SetEquals([task.FirstResponseId, task.SecondResponseId])));
    }

    [Fact]
    public async Task Shipped_models_come_with_their_numbers_and_answers_once()
    {
        var demo = WriteAssets();
        WriteModels(demo);
        await InstallDemo.Run(services, assets, default);
        await InstallDemo.Run(services, assets, default);
        using var db = database.Open();
        var project = db.Projects.Single();
        var reward = db.ModelVersions.Single(v => v.Kind == ModelKind.RewardModel);
        var policy = db.ModelVersions.Single(v => v.Kind == ModelKind.Policy && v.Method == "DPO");
        var exhibit = db.ModelVersions.Single(v => v.Kind == ModelKind.Policy && v.Method == DemoModels.ExhibitMethod);
        Assert.Equal((ModelStatus.Retired, 2), (exhibit.Status, exhibit.Number)); // nobody serves it, and the newest candidate is the real one
        Assert.Equal((ModelStatus.Released, (ModelVersionId?)reward.Id), (reward.Status, project.CurrentRewardModelId));
        Assert.Equal((ModelStatus.Candidate, 3, project.CurrentPolicyId), (policy.Status, policy.Number, policy.ParentId));
        Assert.Equal(0.75, db.EvaluationResults.Single(r => r.ModelVersionId == reward.Id && r.Name == MetricNames.PairwiseAccuracy).Value);
        Assert.Equal(policy.ParentId, db.EvaluationResults.Single(r => r.ModelVersionId == policy.Id && r.Name == MetricNames.ChangePrefix + MetricNames.MeanReward).ComparedWithId);
        var samples = db.EvaluationSamples.ToList();
        Assert.Equal(2, samples.Count);
        Assert.All(samples, sample => Assert.Equal(policy.Id, sample.CandidateId));
        var writers = samples.Select(sample => db.Responses.Single(r => r.Id == sample.ResponseId).ModelVersionId);
        Assert.Equal([policy.ParentId, policy.Id], writers);
        // The judgements they were trained on are a dataset version like any other, the same for both.
        var manifest = new DatasetManifest(database.Contexts, database.Writes, database.Services.GetRequiredService<ContentHasher>(), database.Services.GetRequiredService<IdFactory>(), TimeProvider.System);
        Assert.Equal(reward.DatasetVersionId, policy.DatasetVersionId);
        Assert.Null(await manifest.Verify(reward.DatasetVersionId!.Value, default)); // trained models have one
    }

    [Fact]
    public async Task An_import_that_was_killed_is_begun_anew()
    {
        var demo = WriteAssets();
        using var killed = new CancellationTokenSource();
        var run = InstallDemo.Run(services, assets, killed.Token);
        while (!run.IsCompleted)
        {
            await using var look = database.Open();
            if (look.Prompts.IgnoreQueryFilters().Any())
                break;
            await Task.Delay(5);
        }
        await killed.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => run);
        using (var db = database.Open())
            Assert.True(db.Prompts.IgnoreQueryFilters().Any() && !db.Prompts.Any(), "rows are staged, and none is shown");
        await InstallDemo.Run(services, assets, default);
        using (var db = database.Open())
        {
            Assert.Equal((1, demo.Prompts.Count, demo.Pairwise.Count), (db.Projects.Count(), db.Prompts.IgnoreQueryFilters().Count(), db.PairwiseJudgements.IgnoreQueryFilters().Count()));
            Assert.Equal(90, db.Tasks.Count(t => t.State == TaskState.Open));
        }
    }

    [Fact]
    public async Task Without_files_an_empty_demo_project_is_made()
    {
        await InstallDemo.Run(services, new DirectoryInfo(Path.Combine(assets.FullName, "missing")), default);
        using var db = database.Open();
        Assert.Equal(InstallDemo.ProjectName, db.Projects.Single().Name);
        Assert.Empty(db.ModelVersions);
        Assert.Empty(db.Tasks);
    }

    [Fact]
    public async Task An_installation_with_a_project_is_left_alone()
    {
        WriteAssets();
        using (var db = database.Open())
        {
            db.Projects.Add(new Project { Id = new ProjectId(Guid.CreateVersion7()), Name = "Mine", CreatedAt = DateTimeOffset.UtcNow });
            db.SaveChanges();
        }
        await InstallDemo.Run(services, assets, default);
        using var after = database.Open();
        Assert.Equal("Mine", after.Projects.Single().Name);
        Assert.Empty(after.ModelVersions);
    }

    /// <summary>A toy reward model and policy with made-up numbers, as make-demo lays real ones out.</summary>
    private void WriteModels(DemoSeed demo)
    {
        var (reward, policy) = (Path.Combine(assets.FullName, DemoModels.RewardFolder), Path.Combine(assets.FullName, DemoModels.PolicyFolder));
        using (var model = ToyWorld.Model(2))
        {
            HuggingFaceFolder.Save(model, policy, ToyWorld.Tokenizer);
            using var head = LlamaReward.From(model);
            HuggingFaceFolder.Save(head, reward, ToyWorld.Tokenizer);
        }
        Report(new TrainRewardModel(), new Measurement(MetricNames.PairwiseAccuracy, MetricNames.HeldOut, 0.75, 0.7, 0.8, 100)).Write(reward);
        Report(new TrainPreferencePolicy(), new Measurement("rewards/margins", MetricNames.HeldOut, 0.5, 0.4, 0.6, 100)).Write(policy);
        var exhibit = Directory.CreateDirectory(Path.Combine(assets.FullName, DemoModels.ExhibitFolder)).FullName;
        foreach (var file in Directory.EnumerateFiles(policy))
            File.Copy(file, Path.Combine(exhibit, Path.GetFileName(file)));
        File.WriteAllText(Path.Combine(policy, DemoModels.ComparisonFile), JsonSerializer.Serialize(
            new[] { new Measurement(MetricNames.ChangePrefix + MetricNames.MeanReward, MetricNames.HeldOut, 0.4, 0.3, 0.5, 100) }, InstallDemo.Json));
        var turns = MakeDemo.TurnsOf(demo.Prompts[0].Turns);
        File.WriteAllLines(Path.Combine(policy, DemoModels.SamplesFile), new[] { new DemoSample(turns, true, 0, "Before.", -1, 3), new DemoSample(turns, false, 0, "After.", 1, 3) }
            .Select(sample => JsonSerializer.Serialize(sample, InstallDemo.Json)));

        static TrainingReport Report(JobSpec spec, Measurement measured) => new()
        {
            Recipe = spec.Kind, Spec = spec.ToJson(), Fingerprint = "", Steps = 1, KeptStep = 1, ExamplesTrain = 1, ExamplesHeldOut = 1, Filtered = 0, Truncated = 0, Seconds = 1,
            Losses = [1], Measurements = [measured],
        };
    }

    /// <summary>100 prompts with eight answers each by the world's own writer, judged by the simulated crowd.</summary>
    private DemoSeed WriteAssets()
    {
        using (var model = ToyWorld.Model())
            HuggingFaceFolder.Save(model, Path.Combine(assets.FullName, "base"), ToyWorld.Tokenizer);
        var demo = DemoSeed.Build(1, new World(1).Respond,
            new DemoSizes { Prompts = 100, PairwiseJudgements = 600, BinaryJudgements = 200, OverlapPairs = 20 });
        using var file = File.Create(Path.Combine(assets.FullName, "project.jsonl"));
        MakeDemo.WriteProject(demo, "base", new SamplingSpec { Temperature = WorldSamples.Temperature }, file);
        return demo;
    }
}
