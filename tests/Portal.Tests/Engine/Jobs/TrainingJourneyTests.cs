using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Portal.Data;
using Portal.Data.Annotators;
using Portal.Data.AuditLog;
using Portal.Data.Datasets;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Storage;
using Portal.Engine;
using Portal.Engine.Datasets;
using Portal.Engine.Jobs;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Tests.Data;
using Portal.Tests.Engine.Recipes;
using Xunit;

namespace Portal.Tests.Engine.Jobs;

/// <summary>Votes become a reward model and a policy, the policy is released, and its answers come back as tasks: on a real toy.Database.</summary>
[Trait("Speed", "slow")]
public sealed class TrainingJourneyTests : IDisposable
{
    private static readonly OptimizationSpec Quick = new() { LearningRate = 3e-3, BatchSize = 16, Epochs = 4, CheckpointEverySteps = 5 };
    private static readonly TrainRewardModel RewardSpec = new() { LengthMax = 64, Optimization = Quick with { LearningRate = 5e-3, HeadLearningRate = 2e-2 } };
    private static readonly TrainPreferencePolicy PolicySpec = new()
    {
        LengthMax = 64, Optimization = Quick, Evaluation = new EvaluationSpec { Prompts = 12, SamplesPerPrompt = 4, Sampling = new SamplingSpec { TokensMax = 24 } },
    };

    private readonly ToyProject toy = new();

    private IdFactory Ids => toy.Ids;
    private static DateTimeOffset Now => TimeProvider.System.GetUtcNow();
    private ModelStore Store => toy.Store;

    public void Dispose() => toy.Dispose();

    [Fact]
    public async Task Votes_become_models_and_come_back_as_tasks()
    {
        // Votes to a reward model.
        var rewardJob = toy.Job();
        var reward = await toy.Finish(rewardJob, await new TrainRewardModelRunner().Run(RewardSpec, rewardJob));
        Assert.Equal(($"/models/{reward.Id}", 1, ModelStatus.Candidate, (ModelVersionId?)toy.BaseId), (reward.Path, reward.Version.Number, reward.Version.Status, reward.Version.ParentId));
        Assert.Null(Store.Verify(reward.Version));
        Assert.True(toy.Row(reward.Id, MetricNames.PairwiseAccuracy).Value > 0.9);
        Assert.Null(await Manifest.Verify(reward.Version.DatasetVersionId!.Value, default)); // trained, so it has one

        // Votes to a policy. The job is run twice, as after a crash just before its end; a vote that came meanwhile waits for the next job.
        var policyJob = toy.Job();
        await new TrainPreferencePolicyRunner().Run(PolicySpec, policyJob);
        using (var db = toy.Database.Open())
        {
            toy.Vote(db, "May I take the apple from the ship?");
            db.SaveChanges();
        }
        var policy = await toy.Finish(policyJob, await new TrainPreferencePolicyRunner().Run(PolicySpec, policyJob));
        Assert.Equal(($"/models/{policy.Id}/results", "DPO", 2), (policy.Path, policy.Version.Method, policy.Version.Number));
        Assert.Equal(reward.Version.DatasetVersionId, policy.Version.DatasetVersionId); // the same judgements under the same rules
        using (var db = toy.Database.Open())
        {
            var samples = db.EvaluationSamples.AsNoTracking().Where(s => s.CandidateId == policy.Id).ToList();
            var prompts = samples.Select(s => s.PromptId).Distinct().ToList();
            Assert.Equal(prompts.Count * 4 * 2, samples.Count);
            Assert.InRange(prompts.Count, 8, 12);
            Assert.Equal(samples.Count / 2, samples.Count(s => s.SampledFromId == toy.BaseId));
            var learned = db.DatasetRows.Where(r => r.DatasetVersionId == policy.Version.DatasetVersionId && r.Part == DatasetPart.Train).Select(r => r.PromptId).ToHashSet();
            Assert.DoesNotContain(prompts, learned.Contains);
            Assert.NotEmpty(learned);
            var writers = db.Responses.Where(r => r.ModelVersionId != null).ToDictionary(r => r.Id, r => r.ModelVersionId);
            Assert.All(samples, sample => Assert.Equal(sample.SampledFromId, writers[sample.ResponseId]));
            Assert.All(samples, sample => Assert.NotNull(sample.Reward));
        }
        var change = toy.Row(policy.Id, MetricNames.ChangePrefix + MetricNames.MeanReward);
        Assert.True(change.Low > 0, $"the mean reward changed by {change.Value:F2}, {change.Low:F2} to {change.High:F2}");
        Assert.Equal(toy.BaseId, change.ComparedWithId);
        Assert.Equal(change.Value, toy.Row(policy.Id, MetricNames.MeanReward).Value - toy.Row(policy.Id, MetricNames.BeforePrefix + MetricNames.MeanReward).Value, 1e-9);
        Assert.Equal(0, toy.Row(policy.Id, MetricNames.BeforePrefix + MetricNames.KlNats).Value, 1e-9); // the base is as far from itself as can be: not at all
        Assert.True(toy.Row(policy.Id, MetricNames.KlNats).Value > 0);

        // Old against new, names hidden.
        var blindJob = toy.Job();
        await toy.Finish(blindJob, await new SampleResponsesRunner().Run(new SampleResponses { CandidateId = policy.Id, Prompts = 10, Sampling = new SamplingSpec { TokensMax = 24 } }, blindJob));
        using (var db = toy.Database.Open())
        {
            var writers = db.Responses.Where(r => r.ModelVersionId != null).ToDictionary(r => r.Id, r => r.ModelVersionId!.Value);
            var blind = db.Tasks.Where(t => t.JobId == blindJob.JobId).ToList();
            Assert.InRange(blind.Count, 8, 10);
            Assert.All(blind, task =>
            {
                Assert.Equal((TaskPurpose.BlindComparison, TaskState.Open, (ModelVersionId?)policy.Id), (task.Purpose, task.State, task.CandidateId));
                Assert.Equal(new[] { toy.BaseId, policy.Id }.ToHashSet(), new[] { writers[task.FirstResponseId], writers[task.SecondResponseId!.Value] }.ToHashSet()); // a pair
            });
            Assert.Equal(blind.Count, blind.DistinctBy(task => task.PromptId).Count());
        }

        // Released, and back to people.
        await toy.Database.Writes.WriteAsync(db =>
        {
            var released = db.Projects.First(p => p.Id == toy.Project).Release(Ids.New<ReleaseId>(), db.ModelVersions.First(v => v.Id == policy.Id), "it is kinder", Guid.NewGuid(), null, Now);
            db.Releases.Add(released.Value);
        }, default);
        var sampleJob = toy.Job();
        var spec = new SampleResponses { Prompts = 20, ResponsesPerPrompt = 4, PairsPerPrompt = 2, Tasks = TaskKinds.Pairwise | TaskKinds.Binary, Sampling = new SamplingSpec { TokensMax = 24 } };
        await new SampleResponsesRunner().Run(spec, sampleJob);
        await toy.Finish(sampleJob, await new SampleResponsesRunner().Run(spec, sampleJob)); // and again, as after a crash
        using (var db = toy.Database.Open())
        {
            var tasks = db.Tasks.Where(t => t.JobId == sampleJob.JobId).ToList();
            Assert.InRange(tasks.Count(t => t.Kind is TaskKind.Pairwise), 15, 40);
            Assert.InRange(tasks.Count(t => t.Kind is TaskKind.Binary), 15, 40);
            Assert.Equal(20, tasks.DistinctBy(t => t.PromptId).Count(), 5.0);
            var texts = (from r in db.Responses join c in db.Contents on r.ContentId equals c.Id select new { r.Id, r.ModelVersionId, r.SamplingJson, c.Text }).ToDictionary(r => r.Id);
            Assert.All(tasks, task =>
            {
                var first = texts[task.FirstResponseId];
                Assert.Equal(policy.Id, first.ModelVersionId);
                Assert.False(string.IsNullOrWhiteSpace(first.Text));
                Assert.Contains("seed", first.SamplingJson, StringComparison.OrdinalIgnoreCase);
                if (task.SecondResponseId is { } second)
                    Assert.NotEqual(first.Text, texts[second].Text);
            });
            Assert.Null(AuditChain.Verify(db.AuditEvents.AsNoTracking().OrderBy(e => e.Sequence)).Problem);
            Assert.Equal(2, db.AuditEvents.Count(e => e.Action == "model.train"));
        }
    }

    [Fact]
    public async Task A_policy_job_that_fails_leaves_no_answer_behind()
    {
        var job = toy.Job();
        await new TrainPreferencePolicyRunner().Run(PolicySpec with { Optimization = Quick with { StepsMax = 1 } }, job); // its end is never written
        var id = ModelVersionId.From(job.JobId.Value);
        using (var db = toy.Database.Open())
            Assert.True(db.EvaluationSamples.Any(s => s.CandidateId == id) && db.Responses.Any(r => r.ModelVersionId == id), "nothing was stored, so nothing is tested");
        await new TrainPreferencePolicyRunner().Discard(PolicySpec, job);
        using (var db = toy.Database.Open())
        {
            Assert.False(db.EvaluationSamples.Any(s => s.CandidateId == id) || db.Responses.Any(r => r.ModelVersionId == id));
            Assert.False(db.Contents.Any(c => c.Kind == ContentKind.Response && !db.Responses.Any(r => r.ContentId == c.Id)), "texts without a response stayed");
            Assert.False(db.ModelVersions.Any(v => v.Id == id));
        }
    }

    [Fact]
    public async Task A_project_without_a_policy_takes_the_installations_base_over()
    {
        var second = Ids.New<ProjectId>();
        using (var db = toy.Database.Open())
        {
            db.Projects.Add(new Project { Id = second, Name = "Second", CreatedAt = Now });
            db.SaveChanges();
        }
        var adopted = await Store.CurrentPolicy(second, default);
        Assert.Equal((second, 1, (ModelVersionId?)null, ModelStatus.Released), (adopted.ProjectId, adopted.Number, adopted.ParentId, adopted.Status));
        Assert.Equal(adopted.Id, (await Store.BasePolicy(second, default)).Id);
        Assert.Null(Store.Verify(adopted));
        using var after = toy.Database.Open();
        Assert.Equal(adopted.Id, after.Projects.Single(p => p.Id == second).CurrentPolicyId);
    }

    [Fact]
    public async Task A_changed_weight_file_is_noticed_before_it_is_used()
    {
        var version = await Store.Find(toy.Project, toy.BaseId, ModelKind.Policy, default);
        Assert.Null(Store.Verify(version));
        var path = Path.Combine(Store.FolderOf(version), "model.safetensors");
        var bytes = await File.ReadAllBytesAsync(path);
        bytes[^1] ^= 1;
        await File.WriteAllBytesAsync(path, bytes);
        var refused = await Assert.ThrowsAsync<CannotTrain>(() => new TrainRewardModelRunner().Run(RewardSpec, toy.Job()));
        Assert.Contains("model.safetensors", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_a_usable_judgement_the_reason_is_counted()
    {
        using (var db = toy.Database.Open())
        {
            foreach (var judgement in db.PairwiseJudgements)
                judgement.MarkSuperseded(Now);
            db.SaveChanges();
        }
        var refused = await Assert.ThrowsAsync<CannotTrain>(() => new TrainRewardModelRunner().Run(RewardSpec, toy.Job()));
        Assert.Contains("160 superseded", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Fine_tuning_as_a_job_is_refused_with_the_command_that_does_it()
    {
        var refused = await Assert.ThrowsAsync<CannotTrain>(() => new TrainSftRunner().Run(new TrainSft(), toy.Job()));
        Assert.Contains("engine train sft", refused.Message, StringComparison.Ordinal);
    }

    /// <summary>PostgreSQL refuses such a text, and a job that met one would end in the middle of its answers.</summary>
    [Fact]
    public void An_answer_with_a_NUL_counts_as_blank_and_is_counted()
    {
        var (texts, unstorable) = SampleResponsesRunner.Storable([["good", "b\0d"], ["\0", "fine"]]);

        Assert.Equal(2, unstorable);
        Assert.Equal([["good", ""], ["", "fine"]], texts);
        Assert.Equal(0, SampleResponsesRunner.Storable([["good"]]).Unstorable);

        // Answers that were measured already are kept, with a mark in its place.
        using var db = toy.Database.Open();
        var prompt = db.Prompts.First().Id;
        var stage = new SampledResponses(db, toy.Job(), "{}", [prompt]);
        Assert.True(stage.Of(prompt, new ModelVersionId(Guid.NewGuid()), "b\0d").IsNew);
        Assert.Equal("b\uFFFDd", Assert.Single(db.Contents.Local).Text);
    }

    [Fact]
    public void Near_ties_are_the_pairs_with_the_nearest_rewards_and_have_their_share()
    {
        var spec = new SampleResponses { PairsPerPrompt = 1, NearTieShare = 0.5 };
        double[] rewards = [0, 5, 1, 5.1]; // 1 and 3 are nearest
        var (number, nearest) = (0, 0);
        for (var prompt = 0; prompt < 200; prompt++)
            nearest += SampleResponsesRunner.Pairs(4, rewards, spec, ref number, new Portal.Engine.Statistics.SeededRandom((ulong)prompt)) is [(1, 3)] ? 1 : 0;
        // 100 by rule, and one random pair in six by chance: 116.7 expected, deviation 3.7.
        Assert.InRange(nearest, 102, 132);
        (number, nearest) = (0, 0);
        for (var prompt = 0; prompt < 200; prompt++)
            nearest += SampleResponsesRunner.Pairs(4, null, spec, ref number, new Portal.Engine.Statistics.SeededRandom((ulong)prompt)) is [(1, 3)] ? 1 : 0;
        Assert.InRange(nearest, 12, 56); // one in six
    }

    private DatasetManifest Manifest => new(toy.Database.Contexts, toy.Database.Writes, toy.Database.Services.GetRequiredService<ContentHasher>(), Ids, TimeProvider.System);
}
