using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Serving;
using Portal.Engine;
using Portal.Engine.Jobs;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Sae;
using Portal.Engine.Serving;
using Portal.Tests.Engine.Recipes;
using Xunit;

namespace Portal.Tests.Engine.Jobs;

/// <summary>Responses become an SAE, an SAE and votes become a reward model that people can read, and everything that scores works with it: on a real database.</summary>
[Trait("Speed", "slow")]
public sealed class SaeJobsTests : IDisposable
{
    private static readonly TrainSae SaeSpec = new()
    {
        Expansion = 4, K = 8, EndShare = 0.5, BatchVectors = 64, Steps = 60, LearningRate = 5e-3, DeadAfterVectors = 2_000, LengthMax = 64, CheckpointEverySteps = 25,
    };

    private static readonly TrainSarm SarmSpec = new()
    {
        LengthMax = 64, Optimization = new OptimizationSpec { LearningRate = 3e-3, HeadLearningRate = 3e-2, BatchSize = 16, Epochs = 4, CheckpointEverySteps = 5 },
    };

    private readonly ToyProject toy = new();

    public void Dispose() => toy.Dispose();

    [Fact]
    public async Task A_killed_SAE_job_goes_on_with_the_same_responses_and_becomes_a_version_of_its_model()
    {
        var id = toy.Ids.New<JobId>();
        await Assert.ThrowsAsync<SeenProgress.Killed>(() => new TrainSaeRunner().Run(SaeSpec, toy.Job(id, new SeenProgress(dieAfterStep: 30))));
        using (var db = toy.Database.Open())
        {
            toy.Vote(db, "May I take the apple from the ship?"); // four responses that the job's first run did not see
            db.SaveChanges();
        }
        var seen = new SeenProgress();

        var sae = await toy.Finish(toy.Job(id), await new TrainSaeRunner().Run(SaeSpec, toy.Job(id, seen)));

        Assert.Contains(seen.Lines, line => line.StartsWith("Resumed at step 25 of 60", StringComparison.Ordinal));
        Assert.Contains(seen.Lines, line => line.StartsWith("Reads policy v1 at 320 responses", StringComparison.Ordinal));
        Assert.Equal((ModelKind.SparseAutoencoder, "SAE", "SAE v1", (ModelVersionId?)toy.BaseId, $"/models/{sae.Id}"), (sae.Version.Kind, sae.Version.Method, sae.Version.Label, sae.Version.ParentId, sae.Path));
        Assert.Null(sae.Version.DatasetVersionId);
        Assert.Null(toy.Store.Verify(sae.Version));
        using (var opened = toy.Store.OpenSae(sae.Version))
            Assert.Equal((1, 64, 8), (opened.Config.Layer, opened.Config.Latents, opened.Config.K)); // half of two blocks
        Assert.InRange(toy.Row(sae.Id, MetricNames.SaeFvu).Value, 0, 0.5);
        Assert.InRange(toy.Row(sae.Id, MetricNames.TruncatedShare, "train").Count, 320, 320);
        // What the report page shows besides fit: splicing with its controls, and the density of latents.
        Assert.True(toy.Row(sae.Id, "change/sae/spliced_loss", "held-out/every-token").Value < toy.Row(sae.Id, "change/baseline/ablated/spliced_loss", "held-out/every-token").Value);
        Assert.Equal(toy.Row(sae.Id, "sae/spliced_loss", "held-out/own-positions").Value - toy.Row(sae.Id, MetricNames.Loss).Value, toy.Row(sae.Id, "change/sae/spliced_loss", "held-out/own-positions").Value, 1e-9);
        using var after = toy.Database.Open();
        Assert.Equal(1, after.EvaluationResults.AsNoTracking().Where(r => r.ModelVersionId == sae.Id && r.Name == MetricNames.SaeDensity && !r.Part.StartsWith("all/response-end")).Sum(r => r.Value), 1e-9);
        Assert.Equal(1, after.EvaluationResults.AsNoTracking().Where(r => r.ModelVersionId == sae.Id && r.Name == MetricNames.SaeDensity && r.Part.StartsWith("all/response-end/")).Sum(r => r.Value), 1e-9);
        Assert.Null(AuditChain.Verify(after.AuditEvents.AsNoTracking().OrderBy(e => e.Sequence)).Problem);
    }

    /// <summary>The order that keeps meanings: votes to a reward model, its states to an SAE, the head on the codes. Then everything that scores is asked.</summary>
    [Fact]
    public async Task An_SAE_of_a_reward_model_gives_a_reward_model_that_scores_wherever_one_does()
    {
        var reward = await Run(new TrainRewardModelRunner(), new TrainRewardModel
        {
            LengthMax = 64, Optimization = new OptimizationSpec { LearningRate = 5e-3, HeadLearningRate = 2e-2, BatchSize = 16, Epochs = 4, CheckpointEverySteps = 0 },
        });
        var sae = await Run(new TrainSaeRunner(), SaeSpec with { ModelId = reward.Id, Layer = 2, CentresPositions = true });
        var sarm = await Run(new TrainSarmRunner(), SarmSpec with { SaeId = sae.Id, Mode = SarmMode.Head });

        // The spliced model orders its pairs nearly as before, and its pairs are those that neither training saw.
        Assert.InRange(toy.Row(sae.Id, "sae/spliced_accuracy", "held-out/response-end").Value, toy.Row(sae.Id, MetricNames.PairwiseAccuracy).Value - 0.1, 1);
        Assert.InRange(toy.Row(sae.Id, "sae/spliced_correlation", "held-out/response-end").Value, 0.9, 1);
        Assert.Equal(toy.Row(reward.Id, MetricNames.PairwiseAccuracy).Value, toy.Row(sae.Id, MetricNames.PairwiseAccuracy).Value, 1e-9);
        Assert.Equal((ModelKind.RewardModel, "SARM, head only", (ModelVersionId?)sae.Id, reward.Version.DatasetVersionId), (sarm.Version.Kind, sarm.Version.Method, sarm.Version.ParentId, sarm.Version.DatasetVersionId));
        Assert.Null(toy.Store.Verify(sarm.Version));
        Assert.Contains("sae/sae_weights.safetensors", sarm.Version.Files().Select(file => file.Name));
        Assert.InRange(toy.Row(sarm.Id, MetricNames.PairwiseAccuracy).Value, 0.9, 1);
        var (model, tokenizer) = toy.Store.OpenReward(sarm.Version);
        using (model)
        {
            Assert.IsType<SarmReward>(model);
            await using var models = new LoadedModels(toy.Database.Contexts, toy.Store);
            var items = ToyWorld.Prompts.Take(3).Select(prompt => new ScoreItem(ToyWorld.TurnsOf(prompt), ToyWorld.Good(prompt, 0))).ToList();
            var served = await new RewardModelScorer(models).Score(new ScoreRequest($"{sarm.Id}", items), default);
            var direct = new Portal.Engine.Evaluation.RewardScorer(model, tokenizer).Score([.. items.Select(item => (item.Prompt, item.Response))], default);
            Assert.Equal(direct, served.Scores.Select(score => score.Reward));
            Assert.Equal(3, direct.Distinct().Count());
        }

        // Near ties: released, so that the sampler cannot take another one.
        await toy.Database.Writes.WriteAsync(db =>
        {
            var released = db.Projects.First(p => p.Id == toy.Project).Release(toy.Ids.New<ReleaseId>(), db.ModelVersions.First(v => v.Id == sarm.Id), "it can be read", Guid.NewGuid(), null, DateTimeOffset.UtcNow);
            db.Releases.Add(released.Value);
        }, default);
        var job = toy.Job();
        await toy.Finish(job, await new SampleResponsesRunner().Run(new SampleResponses { Prompts = 6, ResponsesPerPrompt = 4, PairsPerPrompt = 1, Tasks = TaskKinds.Pairwise, Sampling = new SamplingSpec { TokensMax = 24 } }, job));
        using (var db = toy.Database.Open())
            Assert.NotEmpty(db.Tasks.Where(t => t.JobId == job.JobId).ToList());

        // A policy's evaluation.
        var policy = await Run(new TrainPreferencePolicyRunner(), new TrainPreferencePolicy
        {
            LengthMax = 64, Optimization = new OptimizationSpec { StepsMax = 1 }, Evaluation = new EvaluationSpec { Prompts = 8, SamplesPerPrompt = 1, Sampling = new SamplingSpec { TokensMax = 24 } },
        });
        using (var db = toy.Database.Open())
            Assert.All(db.EvaluationSamples.Where(s => s.CandidateId == policy.Id).ToList(), sample => Assert.NotNull(sample.Reward));
    }

    [Fact]
    public async Task A_body_that_learns_is_resumed_and_told_apart_from_a_head_alone()
    {
        var sae = await Run(new TrainSaeRunner(), SaeSpec with { Steps = 20 });
        var id = toy.Ids.New<JobId>();
        await Assert.ThrowsAsync<SeenProgress.Killed>(() => new TrainSarmRunner().Run(SarmSpec with { SaeId = sae.Id }, toy.Job(id, new SeenProgress(dieAfterStep: 8))));
        var seen = new SeenProgress();

        var sarm = await toy.Finish(toy.Job(id), await new TrainSarmRunner().Run(SarmSpec with { SaeId = sae.Id }, toy.Job(id, seen)));

        Assert.Contains(seen.Lines, line => line.StartsWith("Resumed at step 5", StringComparison.Ordinal));
        Assert.Equal(("SARM", (ModelVersionId?)sae.Id), (sarm.Version.Method, sarm.Version.ParentId));
        Assert.InRange(toy.Row(sarm.Id, MetricNames.PairwiseAccuracy).Value, 0.8, 1);
        Assert.NotEqual(toy.Row(sarm.Id, MetricNames.BeforePrefix + MetricNames.SaeFvu, "ends").Value, toy.Row(sarm.Id, MetricNames.SaeFvu, "ends").Value); // the body moved
    }

    [Fact]
    public async Task A_cancelled_job_leaves_no_version()
    {
        using var stop = new CancellationTokenSource();
        var cancelling = new SeenProgress { AfterStep = step => { if (step == 10) stop.Cancel(); } };

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => new TrainSaeRunner().Run(SaeSpec, toy.Job(progress: cancelling, stop: stop.Token)));

        using var db = toy.Database.Open();
        Assert.Single(db.ModelVersions);
    }

    [Fact]
    public async Task What_does_not_fit_is_refused_by_name()
    {
        var sae = await Run(new TrainSaeRunner(), SaeSpec with { Steps = 5 });
        var (other, foreign, orphan) = (toy.Ids.New<ModelVersionId>(), toy.Ids.New<ModelVersionId>(), toy.Ids.New<ModelVersionId>());
        using (var model = ToyWorld.Model(seed: 9))
            HuggingFaceFolder.Save(model, toy.FolderOf(other), ToyWorld.Tokenizer);
        using (var opened = toy.Store.OpenSae(sae.Version))
        {
            SaeFolder.Save(opened, toy.FolderOf(foreign), "toy");
            SaeFolder.Save(opened, toy.FolderOf(orphan), "toy");
        }
        using (var db = toy.Database.Open())
        {
            db.ModelVersions.AddRange(toy.Version(other, ModelKind.Policy, 2, toy.BaseId), toy.Version(foreign, ModelKind.SparseAutoencoder, 2, other), toy.Version(orphan, ModelKind.SparseAutoencoder, 3, null));
            db.SaveChanges();
        }

        Assert.StartsWith("saeId: name the SAE", await Sarm(null));
        Assert.Equal("policy v1 is not an SAE.", await Sarm(toy.BaseId));
        Assert.StartsWith("The SAE was trained on another model (", await Sarm(foreign));
        Assert.StartsWith("SAE v3 does not say which model it was trained on", await Sarm(orphan));
        Assert.Equal("SAE v1 has no states of its own; name a policy or a reward model.", await Refusal(new TrainSaeRunner(), SaeSpec with { ModelId = sae.Id }));
        Assert.Equal("layer: the model has 2 blocks; 3 were asked for.", await Refusal(new TrainSaeRunner(), SaeSpec with { Layer = 3 }));
        Assert.StartsWith("There is no model version", await Refusal(new TrainSaeRunner(), SaeSpec with { ModelId = toy.Ids.New<ModelVersionId>() }));
        Assert.StartsWith("The held-out share is 0.9", await Refusal(new TrainSaeRunner(), SaeSpec with { Rules = new DatasetRules { HeldOutShare = 0.9 } }));
        Assert.StartsWith("The project has no response on the topics", await Refusal(new TrainSaeRunner(), SaeSpec with { Rules = new DatasetRules { Topics = ["dragons"] } }));
        Retire(other);
        Assert.Equal("policy v2 is retired and cannot be used.", await Sarm(foreign));
        Retire(sae.Id);
        Assert.Equal("SAE v1 is retired and cannot be used.", await Sarm(sae.Id));

        Task<string> Sarm(ModelVersionId? id) => Refusal(new TrainSarmRunner(), SarmSpec with { SaeId = id });

        void Retire(ModelVersionId id)
        {
            using var db = toy.Database.Open();
            db.ModelVersions.Single(v => v.Id == id).Retire();
            db.SaveChanges();
        }
    }

    private async Task<ToyProject.Finished> Run<TSpec>(IJobRunner<TSpec> runner, TSpec spec) where TSpec : JobSpec
    {
        var job = toy.Job();
        return await toy.Finish(job, await runner.Run(spec, job));
    }

    private async Task<string> Refusal<TSpec>(IJobRunner<TSpec> runner, TSpec spec) where TSpec : JobSpec =>
        (await Assert.ThrowsAsync<CannotTrain>(() => runner.Run(spec, toy.Job()))).Message;
}
