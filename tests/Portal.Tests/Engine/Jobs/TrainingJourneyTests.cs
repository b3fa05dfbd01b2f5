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

/// <summary>Votes become a reward model and a policy, the policy is released, and its answers come back as tasks: on a real database.</summary>
[Trait("Speed", "slow")]
public sealed class TrainingJourneyTests : IDisposable
{
    private static readonly OptimizationSpec Quick = new() { LearningRate = 3e-3, BatchSize = 16, Epochs = 4, CheckpointEverySteps = 5 };
    private static readonly TrainRewardModel RewardSpec = new() { LengthMax = 64, Optimization = Quick with { LearningRate = 5e-3, HeadLearningRate = 2e-2 } };
    private static readonly TrainPreferencePolicy PolicySpec = new()
    {
        LengthMax = 64, Optimization = Quick, Evaluation = new EvaluationSpec { Prompts = 12, SamplesPerPrompt = 4, Sampling = new SamplingSpec { TokensMax = 24 } },
    };

    private readonly PortalDatabase database = new();
    private readonly ProjectId project;
    private readonly ModelVersionId baseId;
    private readonly AnnotatorId annotator;
    private int number;

    public TrainingJourneyTests()
    {
        (project, annotator, baseId) = (Ids.New<ProjectId>(), Ids.New<AnnotatorId>(), Ids.New<ModelVersionId>());
        using var db = database.Open();
        db.Projects.Add(new Project { Id = project, Name = "Toy", CreatedAt = Now });
        db.Annotators.Add(new Annotator { Id = annotator, Pseudonym = "heron-12", CreatedAt = Now });
        var folder = baseId.Value.ToString("N");
        using (var model = ToyWorld.Base())
            HuggingFaceFolder.Save(model, Path.Combine(database.Directory.Models, folder), ToyWorld.Tokenizer);
        db.ModelVersions.Add(new ModelVersion
        {
            Id = baseId, ProjectId = project, Kind = ModelKind.Policy, Number = 1, Method = ModelStore.BaseMethod, ParentId = null, DatasetVersionId = null, JobId = null,
            SpecJson = "{}", Seed = 1, Commit = "unknown", Folder = folder, FilesJson = Store.FilesJson(folder), IsSynthetic = false, CreatedAt = Now,
        });
        db.SaveChanges();
        foreach (var prompt in ToyWorld.Prompts)
            Vote(db, prompt);
        db.SaveChanges();
    }

    private IdFactory Ids => database.Services.GetRequiredService<IdFactory>();
    private static DateTimeOffset Now => TimeProvider.System.GetUtcNow();
    private ModelStore Store => new(database.Contexts, database.Writes, database.Directory, Ids, TimeProvider.System);

    public void Dispose() => database.Dispose();

    [Fact]
    public async Task Votes_become_models_and_come_back_as_tasks()
    {
        // Votes to a reward model.
        var rewardJob = Job();
        var reward = await Finish(rewardJob, await new TrainRewardModelRunner().Run(RewardSpec, rewardJob));
        Assert.Equal(($"/models/{reward.Id}", 1, ModelStatus.Candidate, (ModelVersionId?)baseId), (reward.Path, reward.Version.Number, reward.Version.Status, reward.Version.ParentId));
        Assert.Null(Store.Verify(reward.Version));
        Assert.True(Row(reward.Id, MetricNames.PairwiseAccuracy).Value > 0.9);
        Assert.Null(await Manifest.Verify(reward.Version.DatasetVersionId!.Value, default)); // trained, so it has one

        // Votes to a policy. The job is run twice, as after a crash just before its end; a vote that came meanwhile waits for the next job.
        var policyJob = Job();
        await new TrainPreferencePolicyRunner().Run(PolicySpec, policyJob);
        using (var db = database.Open())
        {
            Vote(db, "May I take the apple from the ship?");
            db.SaveChanges();
        }
        var policy = await Finish(policyJob, await new TrainPreferencePolicyRunner().Run(PolicySpec, policyJob));
        Assert.Equal(($"/models/{policy.Id}/results", "DPO", 2), (policy.Path, policy.Version.Method, policy.Version.Number));
        Assert.Equal(reward.Version.DatasetVersionId, policy.Version.DatasetVersionId); // the same judgements under the same rules
        using (var db = database.Open())
        {
            var samples = db.EvaluationSamples.AsNoTracking().Where(s => s.CandidateId == policy.Id).ToList();
            var prompts = samples.Select(s => s.PromptId).Distinct().ToList();
            Assert.Equal(prompts.Count * 4 * 2, samples.Count);
            Assert.InRange(prompts.Count, 8, 12);
            Assert.Equal(samples.Count / 2, samples.Count(s => s.SampledFromId == baseId));
            var learned = db.DatasetRows.Where(r => r.DatasetVersionId == policy.Version.DatasetVersionId && r.Part == DatasetPart.Train).Select(r => r.PromptId).ToHashSet();
            Assert.DoesNotContain(prompts, learned.Contains);
            Assert.NotEmpty(learned);
            var writers = db.Responses.Where(r => r.ModelVersionId != null).ToDictionary(r => r.Id, r => r.ModelVersionId);
            Assert.All(samples, sample => Assert.Equal(sample.SampledFromId, writers[sample.ResponseId]));
            Assert.All(samples, sample => Assert.NotNull(sample.Reward));
        }
        var change = Row(policy.Id, MetricNames.ChangePrefix + MetricNames.MeanReward);
        Assert.True(change.Low > 0, $"the mean reward changed by {change.Value:F2}, {change.Low:F2} to {change.High:F2}");
        Assert.Equal(baseId, change.ComparedWithId);
        Assert.Equal(change.Value, Row(policy.Id, MetricNames.MeanReward).Value - Row(policy.Id, MetricNames.BeforePrefix + MetricNames.MeanReward).Value, 1e-9);
        Assert.Equal(0, Row(policy.Id, MetricNames.BeforePrefix + MetricNames.KlNats).Value, 1e-9); // the base is as far from itself as can be: not at all
        Assert.True(Row(policy.Id, MetricNames.KlNats).Value > 0);

        // Old against new, names hidden.
        var blindJob = Job();
        await Finish(blindJob, await new SampleResponsesRunner().Run(new SampleResponses { CandidateId = policy.Id, Prompts = 10, Sampling = new SamplingSpec { TokensMax = 24 } }, blindJob));
        using (var db = database.Open())
        {
            var writers = db.Responses.Where(r => r.ModelVersionId != null).ToDictionary(r => r.Id, r => r.ModelVersionId!.Value);
            var blind = db.Tasks.Where(t => t.JobId == blindJob.JobId).ToList();
            Assert.InRange(blind.Count, 8, 10);
            Assert.All(blind, task =>
            {
                Assert.Equal((TaskPurpose.BlindComparison, TaskState.Open, (ModelVersionId?)policy.Id), (task.Purpose, task.State, task.CandidateId));
                Assert.Equal(new[] { baseId, policy.Id }.ToHashSet(), new[] { writers[task.FirstResponseId], writers[task.SecondResponseId!.Value] }.ToHashSet()); // a pair
            });
            Assert.Equal(blind.Count, blind.DistinctBy(task => task.PromptId).Count());
        }

        // Released, and back to people.
        await database.Writes.WriteAsync(db =>
        {
            var released = db.Projects.First(p => p.Id == project).Release(Ids.New<ReleaseId>(), db.ModelVersions.First(v => v.Id == policy.Id), "it is kinder", Guid.NewGuid(), null, Now);
            db.Releases.Add(released.Value);
        }, default);
        var sampleJob = Job();
        var spec = new SampleResponses { Prompts = 20, ResponsesPerPrompt = 4, PairsPerPrompt = 2, Tasks = TaskKinds.Pairwise | TaskKinds.Binary, Sampling = new SamplingSpec { TokensMax = 24 } };
        await new SampleResponsesRunner().Run(spec, sampleJob);
        await Finish(sampleJob, await new SampleResponsesRunner().Run(spec, sampleJob)); // and again, as after a crash
        using (var db = database.Open())
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
        var job = Job();
        await new TrainPreferencePolicyRunner().Run(PolicySpec with { Optimization = Quick with { StepsMax = 1 } }, job); // its end is never written
        var id = ModelVersionId.From(job.JobId.Value);
        using (var db = database.Open())
            Assert.True(db.EvaluationSamples.Any(s => s.CandidateId == id) && db.Responses.Any(r => r.ModelVersionId == id), "nothing was stored, so nothing is tested");
        await new TrainPreferencePolicyRunner().Discard(PolicySpec, job);
        using (var db = database.Open())
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
        using (var db = database.Open())
        {
            db.Projects.Add(new Project { Id = second, Name = "Second", CreatedAt = Now });
            db.SaveChanges();
        }
        var adopted = await Store.CurrentPolicy(second, default);
        Assert.Equal((second, 1, (ModelVersionId?)null, ModelStatus.Released), (adopted.ProjectId, adopted.Number, adopted.ParentId, adopted.Status));
        Assert.Equal(adopted.Id, (await Store.BasePolicy(second, default)).Id);
        Assert.Null(Store.Verify(adopted));
        using var after = database.Open();
        Assert.Equal(adopted.Id, after.Projects.Single(p => p.Id == second).CurrentPolicyId);
    }

    [Fact]
    public async Task A_changed_weight_file_is_noticed_before_it_is_used()
    {
        var version = await Store.Find(project, baseId, ModelKind.Policy, default);
        Assert.Null(Store.Verify(version));
        var path = Path.Combine(Store.FolderOf(version), "model.safetensors");
        var bytes = await File.ReadAllBytesAsync(path);
        bytes[^1] ^= 1;
        await File.WriteAllBytesAsync(path, bytes);
        var refused = await Assert.ThrowsAsync<CannotTrain>(() => new TrainRewardModelRunner().Run(RewardSpec, Job()));
        Assert.Contains("model.safetensors", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_a_usable_judgement_the_reason_is_counted()
    {
        using (var db = database.Open())
        {
            foreach (var judgement in db.PairwiseJudgements)
                judgement.MarkSuperseded(Now);
            db.SaveChanges();
        }
        var refused = await Assert.ThrowsAsync<CannotTrain>(() => new TrainRewardModelRunner().Run(RewardSpec, Job()));
        Assert.Contains("160 superseded", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Fine_tuning_as_a_job_is_refused_with_the_command_that_does_it()
    {
        var refused = await Assert.ThrowsAsync<CannotTrain>(() => new TrainSftRunner().Run(new TrainSft(), Job()));
        Assert.Contains("engine train sft", refused.Message, StringComparison.Ordinal);
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

    private DatasetManifest Manifest => new(database.Contexts, database.Writes, database.Services.GetRequiredService<ContentHasher>(), Ids, TimeProvider.System);

    private EvaluationResult Row(ModelVersionId id, string name)
    {
        using var db = database.Open();
        return db.EvaluationResults.AsNoTracking().Single(r => r.ModelVersionId == id && r.Name == name && r.Part == MetricNames.HeldOut);
    }

    private JobRun Job() => new()
    {
        JobId = Ids.New<JobId>(), Number = ++number, ProjectId = project, CreatedBy = null, Directory = database.Directory, Contexts = database.Contexts,
        Writes = database.Writes, Hasher = database.Services.GetRequiredService<ContentHasher>(), Ids = Ids, Time = TimeProvider.System, Progress = new SeenProgress(), Stop = default,
    };

    private sealed record Finished(ModelVersionId Id, string? Path, ModelVersion Version);

    /// <summary>Writes the end as the worker does; gives the version, where the job made one.</summary>
    private async Task<Finished> Finish(JobRun job, JobResult result)
    {
        await database.Writes.WriteAsync(db => result.Save!(db), default); // these runners all store something
        using var read = database.Open();
        var id = ModelVersionId.From(job.JobId.Value);
        return new Finished(id, result.Path, read.ModelVersions.AsNoTracking().FirstOrDefault(v => v.Id == id)!);
    }

    /// <summary>Two pairs of a prompt, each judged for the answer that says "please".</summary>
    private void Vote(PortalDbContext db, string words)
    {
        var hasher = database.Services.GetRequiredService<ContentHasher>();
        var content = Content(ContentKind.Prompt, Conversation.Serialize(ToyWorld.TurnsOf(words)));
        var prompt = new Prompt { Id = Ids.New<PromptId>(), ProjectId = project, ContentId = content.Id, ContentHash = content.KeyedHash, CreatedAt = Now };
        db.Prompts.Add(prompt);
        for (var variant = 0; variant < 2; variant++)
        {
            var (good, bad) = (Response(ToyWorld.Good(words, variant)), Response(ToyWorld.Bad(words, variant)));
            var task = AnnotationTask.Create(Ids.New<TaskId>(), project, TaskKind.Pairwise, prompt.Id, good, bad, 1, Now);
            task.CountVote();
            db.Tasks.Add(task);
            db.PairwiseJudgements.Add(new PairwiseJudgement
            {
                Id = Ids.New<JudgementId>(), ProjectId = project, TaskId = task.Id, AnnotatorId = annotator, Source = JudgementSource.Person, SubmittedAt = Now,
                Verdict = PairwiseVerdict.Preferred, PreferredResponseId = good, Strength = 2, LeftResponseId = good,
            });
        }

        ResponseId Response(string text)
        {
            var words = Content(ContentKind.Response, text);
            var response = new Response { Id = Ids.New<ResponseId>(), ProjectId = project, PromptId = prompt.Id, ContentId = words.Id, ContentHash = words.KeyedHash, CreatedAt = Now };
            db.Responses.Add(response);
            return response.Id;
        }

        Content Content(ContentKind kind, string text)
        {
            var row = new Content { Id = Ids.New<ContentId>(), ProjectId = project, Kind = kind, Text = text, KeyedHash = hasher.Hash(text), CreatedAt = Now };
            db.Contents.Add(row);
            return row;
        }
    }
}
