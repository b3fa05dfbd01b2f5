using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Review;
using Portal.Engine;
using Portal.Engine.Datasets;
using Portal.Engine.Jobs;
using Portal.Engine.Models;
using Portal.Tests.Engine.Recipes;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Portal.Tests.Engine.Jobs;

/// <summary>A reward model's taste becomes a policy's, on a real database: which reward model, which prompts, what the new version says of itself, and what is left of a job that fails.</summary>
[Trait("Speed", "slow")]
public sealed class TrainRlooPolicyRunnerTests : IDisposable
{
    private static readonly TrainRlooPolicy Spec = new()
    {
        Temperature = 1, TokensMax = 24, NormalizeReward = true, HeldOutPrompts = 8,
        Optimization = new OptimizationSpec { LearningRate = 3e-3, BatchSize = 8, AccumulationSteps = 1, Epochs = 100, StepsMax = 12, Schedule = Schedule.Constant, CheckpointEverySteps = 4 },
        Evaluation = new EvaluationSpec { Prompts = 12, SamplesPerPrompt = 4, Sampling = new SamplingSpec { TokensMax = 24 } },
    };

    private readonly ToyProject toy = new();

    public void Dispose() => toy.Dispose();

    [Fact]
    public async Task A_killed_job_goes_on_with_the_same_reward_model_and_prompts_and_becomes_a_version_that_its_reward_model_likes_better()
    {
        var first = AddReward(1);
        var id = toy.Ids.New<JobId>();
        await Assert.ThrowsAsync<SeenProgress.Killed>(() => new TrainRlooPolicyRunner().Run(Spec, toy.Job(id, new SeenProgress(dieAfterStep: 6))));
        // Meanwhile another reward model is the newest, and somebody asks something new.
        AddReward(2);
        using (var db = toy.Database.Open())
        {
            toy.Vote(db, "May I take the apple from the ship?");
            db.SaveChanges();
        }
        var seen = new SeenProgress();

        var policy = await toy.Finish(toy.Job(id), await new TrainRlooPolicyRunner().Run(Spec, toy.Job(id, seen)));

        Assert.Contains(seen.Lines, line => line.StartsWith("Resumed at step 4 of 12", StringComparison.Ordinal));
        Assert.Contains(seen.Lines, line => System.Text.RegularExpressions.Regex.IsMatch(line, "^policy v1 learns from reward model v1 on 6[0-9] prompts; 1[0-9] are held out\\.$"));
        Assert.Equal((ModelKind.Policy, "RLOO", 2, (ModelVersionId?)toy.BaseId, $"/models/{policy.Id}/results"),
            (policy.Version.Kind, policy.Version.Method, policy.Version.Number, policy.Version.ParentId, policy.Path));
        Assert.Null(policy.Version.DatasetVersionId);
        Assert.Null(toy.Store.Verify(policy.Version));
        var kept = Assert.IsType<TrainRlooPolicy>(JobSpec.FromJson(policy.Version.SpecJson));
        Assert.Equal((first, first, toy.BaseId), (kept.RewardModelId!.Value, kept.ScoredById!.Value, kept.ParentId!.Value));
        var change = toy.Row(policy.Id, MetricNames.ChangePrefix + MetricNames.MeanReward);
        Assert.True(change.Low > 0, $"the mean reward changed by {change.Value:F2}, {change.Low:F2} to {change.High:F2}");
        Assert.Equal(toy.BaseId, change.ComparedWithId);
        Assert.True(toy.Row(policy.Id, MetricNames.KlNats).Value > 0);
        Assert.True(toy.Row(policy.Id, MetricNames.PolicyReward).Value > 0); // 0 is where it began: the reward is normalised there
        Assert.InRange(toy.Row(policy.Id, MetricNames.TruncatedShare, "train").Value, 0, 0);
        using (var db = toy.Database.Open())
        {
            Assert.Null(AuditChain.Verify(db.AuditEvents.AsNoTracking().OrderBy(e => e.Sequence)).Problem);
            Assert.Equal(1, db.AuditEvents.Count(e => e.Action == "model.train"));
            Assert.True(db.EvaluationSamples.Count(s => s.CandidateId == policy.Id) >= 2 * 4 * 8);
        }
    }

    [Fact]
    public async Task What_is_learned_from_synthetic_rewards_is_synthetic()
    {
        AddReward(1, isSynthetic: true);
        var job = toy.Job();
        var policy = await toy.Finish(job, await new TrainRlooPolicyRunner().Run(Quick, job));
        Assert.True(policy.Version.IsSynthetic);
    }

    [Fact]
    public async Task Without_a_reward_model_and_with_one_that_is_none_it_says_so_before_it_trains()
    {
        Assert.StartsWith("rewardModelId: the project has no reward model to learn from", (await Assert.ThrowsAsync<CannotTrain>(() => new TrainRlooPolicyRunner().Run(Spec, toy.Job()))).Message, StringComparison.Ordinal);
        AddReward(1);
        foreach (var wrong in new[] { Spec with { RewardModelId = toy.BaseId }, Spec with { ScoredById = toy.BaseId } })
            Assert.Equal("policy v1 is not a reward model.", (await Assert.ThrowsAsync<CannotTrain>(() => new TrainRlooPolicyRunner().Run(wrong, toy.Job()))).Message);
    }

    [Fact]
    public async Task A_job_that_fails_leaves_no_answer_behind()
    {
        AddReward(1);
        var job = toy.Job();
        await new TrainRlooPolicyRunner().Run(Quick with { Evaluation = Spec.Evaluation }, job); // its end is never written
        var id = ModelVersionId.From(job.JobId.Value);
        using (var db = toy.Database.Open())
            Assert.True(db.EvaluationSamples.Any(s => s.CandidateId == id), "nothing was stored, so nothing is tested");
        await new TrainRlooPolicyRunner().Discard(Spec, job);
        using (var db = toy.Database.Open())
            Assert.False(db.EvaluationSamples.Any(s => s.CandidateId == id) || db.Responses.Any(r => r.ModelVersionId == id));
    }

    /// <summary>The prompt a version was made for and those with the most telling words in common, whether they are held out or not, are answered by both for people to read; no figure counts them.</summary>
    [Fact]
    public async Task A_prompt_and_those_most_like_it_are_asked_as_well_and_count_in_no_figure()
    {
        AddReward(1);
        PromptId asked;
        using (var db = toy.Database.Open())
        {
            toy.Vote(db, "May I take the apple from the old barn?");
            db.SaveChanges();
            asked = (from p in db.Prompts join c in db.Contents on p.ContentId equals c.Id where c.Text!.Contains("take the apple from the barn") select p.Id).Single();
        }
        var spec = Quick with { Evaluation = Spec.Evaluation with { LikeId = asked, Like = 3 } };
        var (job, plain) = (toy.Job(), toy.Job());
        var made = await toy.Finish(job, await new TrainRlooPolicyRunner().Run(spec, job));

        using var read = toy.Database.Open();
        var samples = read.EvaluationSamples.AsNoTracking().Where(s => s.CandidateId == made.Id).ToList();
        var ranked = samples.Where(s => s.SimilarRank is not null).GroupBy(s => s.SimilarRank!.Value).OrderBy(group => group.Key).ToList();
        Assert.Equal([0, 1, 2, 3], ranked.Select(group => group.Key));
        Assert.All(ranked, group => Assert.Equal((1, 2 * 4), (group.Select(s => s.PromptId).Distinct().Count(), group.Count())));
        Assert.Equal(asked, ranked[0].First().PromptId);
        var texts = (from p in read.Prompts.AsNoTracking() join c in read.Contents on p.ContentId equals c.Id select new { p.Id, c.Text }).ToDictionary(row => row.Id, row => row.Text!);
        // "apple" stands in eleven of 81 prompts, "barn" in nine.
        Assert.Contains("apple from the old barn", texts[ranked[1].First().PromptId], StringComparison.Ordinal);
        Assert.All(ranked.Skip(2), group => Assert.Contains("from the barn", texts[group.First().PromptId], StringComparison.Ordinal));
        Assert.Equal(samples.Count, samples.Select(s => (s.PromptId, s.SampledFromId, s.Ordinal)).Distinct().Count()); // one that is held out as well is asked once

        // The same training and seeds without it: the same figures.
        var without = await toy.Finish(plain, await new TrainRlooPolicyRunner().Run(spec with { Evaluation = Spec.Evaluation }, plain));
        Assert.Equal(toy.Row(without.Id, MetricNames.ChangePrefix + MetricNames.MeanReward).Value, toy.Row(made.Id, MetricNames.ChangePrefix + MetricNames.MeanReward).Value, 1e-4);
    }

    /// <summary>The flagged prompt is held out by the split, and a flag each is open, confirmed and dismissed on answers to other training prompts. Flags that come after the job began change nothing.</summary>
    [Fact]
    public async Task A_named_prompt_is_learnt_on_with_those_most_like_it_and_the_others_that_nobody_flagged_are_held()
    {
        AddReward(1);
        PromptId asked;
        PromptId[] training, heldOut, flagged;
        using (var db = toy.Database.Open())
        {
            var all = await StoredTexts.OfProject(db, toy.Project, Spec.Rules, default).ToListAsync();
            (training, heldOut) = ([.. all.Where(p => !p.IsHeldOut).Select(p => p.Id)], [.. all.Where(p => p.IsHeldOut).Select(p => p.Id)]);
            asked = heldOut[0];
            flagged = [.. training.TakeLast(3)];
        }
        Flag(flagged[0], FlagState.Open);
        Flag(flagged[1], FlagState.Confirmed);
        Flag(flagged[2], FlagState.Dismissed);
        var spec = Spec with { LikeId = asked, Like = 6, Baseline = AdvantageBaseline.Greedy, NormalizeAdvantages = false, RetainWeight = 1, RetainPrompts = 4, Evaluation = Spec.Evaluation with { Prompts = 100 } };
        var id = toy.Ids.New<JobId>();
        var killed = toy.Job(id, new SeenProgress(dieAfterStep: 6));
        await Assert.ThrowsAsync<SeenProgress.Killed>(() => new TrainRlooPolicyRunner().Run(spec, killed));
        using (var noted = JsonDocument.Parse(await File.ReadAllTextAsync(Path.Combine(killed.RecipeContext(spec.Seed).CheckpointFolder, "learned-from.json"))))
        {
            var (prompts, retained) = (Ids(noted.RootElement.GetProperty("Prompts")), Ids(noted.RootElement.GetProperty("Retained")));
            var learnt = prompts.Except(heldOut.Where(p => p != asked)).ToList();
            Assert.Contains(asked, learnt);
            Assert.Equal(6, learnt.Intersect(training).Count());
            Assert.Equal(heldOut.Order(Comparer), prompts.Intersect(heldOut).Order(Comparer));
            Assert.Equal(training.Except(learnt).Except(flagged[..2]).Order(Comparer), retained.Order(Comparer));
        }
        Flag(training[0], FlagState.Open);
        var seen = new SeenProgress();

        var policy = await toy.Finish(toy.Job(id), await new TrainRlooPolicyRunner().Run(spec, toy.Job(id, seen)));

        Assert.Contains(seen.Lines, line => line.StartsWith("Resumed at step 4 of 12", StringComparison.Ordinal));
        var held = training.Length - 6 - 2;
        Assert.Contains($"policy v1 learns from reward model v1 on 7 prompts; {heldOut.Length - 1} are held out. On {held} others it is held to what it is.", seen.Lines);
        Assert.Equal(("ReMax", asked), (policy.Version.Method, Assert.IsType<TrainRlooPolicy>(JobSpec.FromJson(policy.Version.SpecJson)).LikeId!.Value));
        using var read = toy.Database.Open();
        Assert.Equal(heldOut.Where(p => p != asked).Order(Comparer), read.EvaluationSamples.Where(s => s.CandidateId == policy.Id).Select(s => s.PromptId).Distinct().ToList().Order(Comparer)); // what was learnt on counts in no figure

        static List<PromptId> Ids(JsonElement array) => [.. array.EnumerateArray().Select(element => element.Deserialize<PromptId>())];
    }

    [Fact]
    public async Task A_prompt_that_is_none_of_the_projects_and_nothing_left_to_hold_on_to_are_refused()
    {
        AddReward(1);
        PromptId asked;
        using (var db = toy.Database.Open())
            asked = db.Prompts.OrderBy(p => p.Id).First().Id;
        Assert.StartsWith("likeId: this project has no such prompt", await Refused(Quick with { LikeId = toy.Ids.New<PromptId>() }), StringComparison.Ordinal);
        Assert.StartsWith("retainWeight: without likeId all training prompts are learnt on", await Refused(Quick with { RetainWeight = 1 }), StringComparison.Ordinal);
        using (var db = toy.Database.Open())
            foreach (var prompt in db.Prompts.Select(p => p.Id).ToList())
                Flag(prompt, FlagState.Open);
        // Only those that share a telling word are alike, 16 at most; the others are left, and all of them are flagged.
        Assert.Matches("^retainWeight: no training prompt is left to hold on to\\. Besides those that are learnt on the project has [45][0-9], and on all of them an open or confirmed flag stands", await Refused(Quick with { LikeId = asked, RetainWeight = 1 }));

        async Task<string> Refused(TrainRlooPolicy spec) => (await Assert.ThrowsAsync<CannotTrain>(() => new TrainRlooPolicyRunner().Run(spec, toy.Job()))).Message;
    }

    private static readonly Comparer<PromptId> Comparer = Comparer<PromptId>.Create((a, b) => a.Value.CompareTo(b.Value));

    private void Flag(PromptId prompt, FlagState state)
    {
        using var db = toy.Database.Open();
        var response = db.Responses.Where(r => r.PromptId == prompt).OrderBy(r => r.Id).First().Id;
        var flag = new Flag { Id = toy.Ids.New<FlagId>(), ProjectId = toy.Project, ResponseId = response, AnnotatorId = toy.Annotator, Reason = FlagReason.Other, Place = "review", At = TimeProvider.System.GetUtcNow() };
        if (state is not FlagState.Open)
            flag.Close(state, Guid.NewGuid(), TimeProvider.System.GetUtcNow());
        db.Flags.Add(flag);
        db.SaveChanges();
    }

    private static TrainRlooPolicy Quick => Spec with { NormalizeReward = false, Optimization = Spec.Optimization with { StepsMax = 1 }, Evaluation = new EvaluationSpec { Prompts = 0 } };

    /// <summary>A reward model with a taste drawn by lot: its head is random.</summary>
    private ModelVersionId AddReward(int number, bool isSynthetic = false)
    {
        var id = toy.Ids.New<ModelVersionId>();
        using (var body = ToyWorld.Base())
        using (var reward = LlamaReward.From(body))
        {
            using (no_grad())
            using (NewDisposeScope())
            using (var random = new Generator((ulong)number))
                reward.ScoreWeight.copy_(randn(reward.ScoreWeight.shape, generator: random));
            HuggingFaceFolder.Save(reward, toy.FolderOf(id), ToyWorld.Tokenizer);
        }
        using var db = toy.Database.Open();
        db.ModelVersions.Add(toy.Version(id, ModelKind.RewardModel, number, toy.BaseId, isSynthetic));
        db.SaveChanges();
        return id;
    }
}
