using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Explanations;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Review;
using Portal.Engine;
using Portal.Engine.Datasets;
using Portal.Engine.Influence;
using Portal.Engine.Jobs;
using Portal.Engine.Models;
using Portal.Tests.Engine.Recipes;
using Xunit;

namespace Portal.Tests.Engine.Jobs;

/// <summary>A reward model trained on the toy project's votes for "please", and explanations of responses by them: what is stored adds up, names judgements that were trained on, and says what nobody can say.</summary>
[Trait("Speed", "slow")]
public sealed class ExplainResponsesRunnerTests : IClassFixture<ToyProject>
{
    private static readonly OptimizationSpec Quick = new() { LearningRate = 5e-3, HeadLearningRate = 2e-2, BatchSize = 32, Epochs = 2, CheckpointEverySteps = 0 };

    private readonly ToyProject toy;
    private readonly ModelVersionId reward;

    public ExplainResponsesRunnerTests(ToyProject toy)
    {
        this.toy = toy;
        using var db = toy.Database.Open();
        var made = db.ModelVersions.FirstOrDefault(v => v.Kind == ModelKind.RewardModel);
        reward = made?.Id ?? Train().GetAwaiter().GetResult();
    }

    private async Task<ModelVersionId> Train()
    {
        var job = toy.Job();
        return (await toy.Finish(job, await new TrainRewardModelRunner().Run(new TrainRewardModel { LengthMax = 64, Optimization = Quick }, job))).Id;
    }

    [Fact]
    public async Task What_is_stored_adds_up_and_names_judgements_that_were_trained_on()
    {
        var (response, flag) = Flagged();
        var spec = new ExplainResponses { FlagIds = [flag], ResponseIds = [response], RewardModelId = reward, Sampling = new SamplingSpec { TokensMax = 20 }, References = 4 };
        var job = toy.Job();

        var ended = await toy.Finish(job, await new ExplainResponsesRunner { ResponsesMin = 10 }.Run(spec, job));

        using var db = toy.Database.Open();
        var explanations = db.Explanations.AsNoTracking().Where(e => e.JobId == job.JobId).ToList();
        Assert.Equal($"/explain?job={job.JobId}", ended.Path);
        Assert.Equal([flag, null], explanations.Select(e => e.FlagId).OrderByDescending(id => id.HasValue));
        var one = explanations[0];
        var pairs = db.ExplainingPairs.AsNoTracking().Where(p => p.ExplanationId == one.Id).ToList();
        // T15 on what is stored: explained and unexplained make up the reward, weights make up 1.
        Assert.Equal(one.Explained, pairs.Sum(pair => pair.RewardShare), 1e-9);
        Assert.Equal(1, pairs.Sum(pair => pair.Weight), 1e-9);
        Assert.InRange(one.RelativeResidual, 0, 1.5);
        Assert.Equal(Enumerable.Range(1, pairs.Count(pair => pair.Weight > 0)), pairs.Where(pair => pair.Weight > 0).OrderByDescending(pair => pair.Weight).Select(pair => pair.ProjectionRank!.Value));
        Assert.Equal(Enumerable.Range(1, 20), pairs.Select(pair => pair.InfluenceRank).OfType<int>().Order());
        // Only judgements of the training part of the model's own data.
        var version = db.ModelVersions.AsNoTracking().Single(v => v.Id == reward);
        var trained = db.DatasetRows.AsNoTracking().Where(r => r.DatasetVersionId == version.DatasetVersionId && r.Part == Portal.Data.Datasets.DatasetPart.Train).Select(r => r.JudgementId).ToHashSet();
        Assert.All(pairs, pair => Assert.All(pair.Others().Prepend(pair.JudgementId), id => Assert.Contains(id, trained)));
        Assert.Equal((version.DatasetVersionId!.Value, 4), (one.DatasetVersionId, one.References));
        // Calibrated on answers that people preferred on held-out prompts, once for every method; the same numbers stand with the explanation.
        var limits = db.ExplanationLimits.AsNoTracking().Where(l => l.RewardModelId == reward && l.Mode == QueryMode.Centred).ToDictionary(l => l.Method);
        Assert.Equal(4, limits.Count);
        Assert.InRange(one.Calibrating, 10, 64);
        Assert.Equal((limits[Explanation.Favoured].ExplainedAbove, limits[Explanation.Favoured].DropAbove), (one.ExplainedAbove!.Value, one.DropAbove!.Value));
        Assert.NotEqual(ExplanationConfidence.NotCalibrated, one.Confidence);
        Assert.Contains($"{one.Id}", db.AuditEvents.AsNoTracking().Where(e => e.Action == "explanation.make").OrderBy(e => e.Sequence).Last().PayloadJson, StringComparison.Ordinal);

        // The same seed on the same data again: the same explanation, and no second calibration.
        var again = toy.Job();
        await toy.Finish(again, await new ExplainResponsesRunner { ResponsesMin = 10 }.Run(spec, again));
        var second = db.Explanations.AsNoTracking().Where(e => e.JobId == again.JobId && e.FlagId == one.FlagId).Single();
        Assert.Equal((one.Reward, one.Explained, one.Drop), (second.Reward, second.Explained, second.Drop));
        Assert.Equal(4, db.ExplanationLimits.Count(l => l.RewardModelId == reward && l.Mode == QueryMode.Centred));
    }

    [Fact]
    public async Task Without_satisfactory_responses_enough_nobody_can_say_how_far_it_may_be_believed()
    {
        var (response, _) = Flagged();
        var told = new SeenProgress();
        var job = toy.Job(progress: told);
        var spec = new ExplainResponses { ResponseIds = [response], RewardModelId = reward, Mode = QueryMode.Raw };

        await toy.Finish(job, await new ExplainResponsesRunner().Run(spec, job));
        var centred = toy.Job(progress: told);
        await toy.Finish(centred, await new ExplainResponsesRunner { ResponsesMin = 1_000 }.Run(spec with { Mode = QueryMode.Centred, Space = FeatureSpace.PolicyState, References = 2, Sampling = new SamplingSpec { TokensMax = 8 } }, centred));

        using var db = toy.Database.Open();
        Assert.All(db.Explanations.AsNoTracking().Where(e => e.JobId == job.JobId || e.JobId == centred.JobId), e => Assert.Equal((ExplanationConfidence.NotCalibrated, 0), (e.Confidence, e.Calibrating)));
        Assert.Contains(told.Lines, line => line.StartsWith("Nobody can say yet how far", StringComparison.Ordinal));
        Assert.Equal(0, db.Explanations.AsNoTracking().Single(e => e.JobId == job.JobId).References);
    }

    [Fact]
    public async Task A_better_answer_is_compared_with_and_where_there_is_none_that_is_said()
    {
        var (_, flag) = Flagged(better: "Yes please take it.");
        var (response, plain) = Flagged();
        var spec = new ExplainResponses { FlagIds = [flag], RewardModelId = reward, Mode = QueryMode.Comparison, References = 2, Sampling = new SamplingSpec { TokensMax = 8 } };
        var job = toy.Job();

        await toy.Finish(job, await new ExplainResponsesRunner { ResponsesMin = 1_000 }.Run(spec, job));

        using var db = toy.Database.Open();
        var one = db.Explanations.AsNoTracking().Single(e => e.JobId == job.JobId);
        Assert.Equal((QueryMode.Comparison, 1), (one.Mode, one.References));
        // The reward less that of the better answer, by the model itself.
        var (model, tokenizer) = toy.Store.OpenReward(db.ModelVersions.AsNoTracking().Single(v => v.Id == reward));
        using (model)
        {
            // The prompt that was flagged: ids of one millisecond follow each other by lot.
            var asked = db.Responses.Where(r => r.Id == response).Select(r => r.PromptId).Single();
            var prompt = Conversation.Parse(db.Contents.Single(c => c.Id == db.Prompts.Single(p => p.Id == asked).ContentId).Text);
            var scores = new Portal.Engine.Evaluation.RewardScorer(model, tokenizer).Score([(prompt, Words), (prompt, "Yes please take it.")], default);
            Assert.Equal(scores[0] - scores[1], one.Reward, 1e-3);
        }
        Assert.Contains($"flag {plain} names no better answer", (await Refused(spec with { FlagIds = [plain] })), StringComparison.Ordinal);
        Assert.Contains("nobody gave a better answer", (await Refused(spec with { FlagIds = [], ResponseIds = [response] })), StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_is_not_there_is_named()
    {
        var (response, _) = Flagged();
        var spec = new ExplainResponses { ResponseIds = [response], RewardModelId = reward };
        var gone = Guid.NewGuid();
        Assert.Contains("name 1 to 500", await Refused(new ExplainResponses()), StringComparison.Ordinal);
        Assert.Contains($"no flag {gone}", await Refused(spec with { FlagIds = [new FlagId(gone)] }), StringComparison.Ordinal);
        Assert.Contains($"no response {gone}", await Refused(spec with { ResponseIds = [new ResponseId(gone)] }), StringComparison.Ordinal);
        Assert.Contains("reads no sparse features", await Refused(spec with { Space = FeatureSpace.SarmCodes }), StringComparison.Ordinal);
        Assert.Contains("There is no model version", await Refused(spec with { RewardModelId = new ModelVersionId(gone) }), StringComparison.Ordinal);
        var (erased, _) = Flagged();
        using (var db = toy.Database.Open())
        {
            db.Contents.Single(c => c.Id == db.Responses.Single(r => r.Id == erased).ContentId).Erase(DateTimeOffset.UtcNow);
            db.SaveChanges();
        }
        Assert.Contains("was erased", await Refused(spec with { ResponseIds = [erased] }), StringComparison.Ordinal);
    }

    /// <summary>The numbers are those of <see cref="PolicyEffects"/> (checked in its own tests) on the texts as people judged them, with the policy's own β and the base as its reference.</summary>
    [Fact]
    public async Task A_policy_trained_by_dpo_is_asked_about_what_it_wrote_and_no_other_is()
    {
        var training = toy.Job();
        var policy = (await toy.Finish(training, await new TrainPreferencePolicyRunner().Run(new TrainPreferencePolicy { LengthMax = 64, Beta = 0.2, Optimization = Quick with { LearningRate = 1e-3, Epochs = 1 }, Evaluation = new EvaluationSpec { Prompts = 0 } }, training))).Version;
        var ((written, flag), (byBase, _), (byNobody, _)) = (Flagged(by: policy.Id), Flagged(by: toy.BaseId), Flagged());
        var told = new SeenProgress();
        var job = toy.Job(progress: told);
        var spec = new ExplainResponses { FlagIds = [flag], ResponseIds = [written, byBase, byNobody], RewardModelId = reward, Mode = QueryMode.Raw };

        await toy.Finish(job, await new ExplainResponsesRunner().Run(spec, job));

        using var db = toy.Database.Open();
        var explanations = db.Explanations.AsNoTracking().Where(e => e.JobId == job.JobId).ToList();
        List<ExplainingPair> PairsOf(Explanation one) => [.. db.ExplainingPairs.AsNoTracking().Where(p => p.ExplanationId == one.Id).OrderBy(p => p.CosineRank == null).ThenBy(p => p.CosineRank)];
        Assert.All(explanations, e => Assert.Equal(e.ResponseId == written ? policy.Id : null, e.PolicyId));
        Assert.Contains($"No policy is asked about 1 of 4 responses: policy v1, which wrote them, was not trained by DPO or KTO.", told.Lines);
        Assert.Contains("No policy is asked about 1 of 4 responses: no policy of this project wrote them.", told.Lines);
        Assert.All(explanations.Where(e => e.PolicyId is null).SelectMany(PairsOf), pair => Assert.Null(pair.PolicyEffect));
        var asked = explanations.Where(e => e.PolicyId is not null).Select(PairsOf).ToList();
        Assert.Equal(2, asked.Count); // the flag's and the response's own
        Assert.Equal(asked[0].Select(pair => (pair.JudgementId, pair.PolicyEffect)), asked[1].Select(pair => (pair.JudgementId, pair.PolicyEffect)));
        AreEffects(db, asked[0], policy, 0.2, written);

        // Too much to ask: the first ten by direction.
        var short_ = toy.Job(progress: told);
        await toy.Finish(short_, await new ExplainResponsesRunner { CombinationsMax = 20 }.Run(spec with { FlagIds = [], ResponseIds = [written] }, short_));
        var first = PairsOf(db.Explanations.AsNoTracking().Single(e => e.JobId == short_.JobId));
        Assert.Contains(told.Lines, line => line.StartsWith($"{policy.Label} is asked about the first pairs by direction of each response only: all ", StringComparison.Ordinal));
        Assert.All(first, pair => Assert.Equal(pair.CosineRank <= 10, pair.PolicyEffect.HasValue));
        Assert.Equal(asked[0].Take(10).Select(pair => pair.PolicyEffect), first.Take(10).Select(pair => pair.PolicyEffect));

        // Retired, it is not asked any more.
        db.ModelVersions.Single(v => v.Id == policy.Id).Retire();
        db.SaveChanges();
        var late = toy.Job(progress: told);
        await toy.Finish(late, await new ExplainResponsesRunner().Run(spec with { FlagIds = [], ResponseIds = [written] }, late));
        Assert.Null(db.Explanations.AsNoTracking().Single(e => e.JobId == late.JobId).PolicyId);
        Assert.Contains($"No policy is asked about 1 of 1 responses: {policy.Label}, which wrote them, is retired.", told.Lines);
    }

    /// <summary>Single verdicts make the policy, pairs are what it is asked about: in the pair form, with its own β.</summary>
    [Fact]
    public async Task A_policy_trained_by_kto_is_asked_about_pairs_too()
    {
        Verdicts();
        var training = toy.Job();
        var policy = (await toy.Finish(training, await new TrainPreferencePolicyRunner().Run(new TrainPreferencePolicy
        {
            Method = PreferenceMethod.Kto, LengthMax = 64, Beta = 0.3, Optimization = Quick with { LearningRate = 1e-3, Epochs = 1 }, Evaluation = new EvaluationSpec { Prompts = 0 },
        }, training))).Version;
        var (written, flag) = Flagged(by: policy.Id);
        var job = toy.Job();

        await toy.Finish(job, await new ExplainResponsesRunner().Run(new ExplainResponses { FlagIds = [flag], RewardModelId = reward, Mode = QueryMode.Raw }, job));

        using var db = toy.Database.Open();
        var one = db.Explanations.AsNoTracking().Single(e => e.JobId == job.JobId);
        var pairs = db.ExplainingPairs.AsNoTracking().Where(p => p.ExplanationId == one.Id).ToList();
        Assert.Equal(("KTO", (ModelVersionId?)policy.Id), (policy.Method, one.PolicyId));
        Assert.All(pairs, pair => Assert.True(pair.PolicyEffect is { } effect && double.IsFinite(effect)));
        Assert.Contains(pairs, pair => Math.Abs(pair.PolicyEffect!.Value) > 1e-6); // it was trained, so pairs move it
        AreEffects(db, pairs, policy, 0.3, written);
    }

    /// <summary>Holds what is stored against <see cref="PolicyEffects"/> asked directly, with the base as the reference.</summary>
    private void AreEffects(PortalDbContext db, List<ExplainingPair> pairs, ModelVersion policy, double beta, ResponseId written)
    {
        var (model, tokenizer) = toy.Store.OpenPolicy(policy);
        using var ofModel = model;
        using var reference = ToyWorld.Base();
        var encoder = new DialogueEncoder(tokenizer, 64, Overlong.Filter);
        var texts = pairs.ConvertAll(pair => Texts(db, pair.JudgementId));
        var prompt = Conversation.Parse(db.Contents.Single(c => c.Id == db.Prompts.Single(p => p.Id == db.Responses.Single(r => r.Id == written).PromptId).ContentId).Text);
        var expected = new PolicyEffects(model, reference, beta).Of([new PolicyQuery(encoder.Answer(prompt, Words)!, [.. Enumerable.Range(0, texts.Count)])], texts.ConvertAll(pair => encoder.Pair(pair)!.Value), (_, _) => { }, default)[0];
        Assert.All(pairs.Zip(expected), pair => Assert.Equal(pair.Second, pair.First.PolicyEffect!.Value, 1e-4 * Math.Abs(pair.Second)));
    }

    /// <summary>Somebody calls each judged pair's answers good and bad as they were preferred.</summary>
    private void Verdicts()
    {
        using var db = toy.Database.Open();
        var now = DateTimeOffset.UtcNow;
        foreach (var judged in db.PairwiseJudgements.AsNoTracking().Join(db.Tasks.AsNoTracking(), j => j.TaskId, t => t.Id, (j, t) => new { t.PromptId, t.FirstResponseId, Second = t.SecondResponseId!.Value, j.PreferredResponseId }).ToList())
        {
            foreach (var response in new[] { judged.FirstResponseId, judged.Second })
            {
                var task = AnnotationTask.Create(toy.Ids.New<TaskId>(), toy.Project, TaskKind.Binary, judged.PromptId, response, null, 1, now);
                task.CountVote();
                db.Tasks.Add(task);
                db.BinaryJudgements.Add(new BinaryJudgement
                {
                    Id = toy.Ids.New<JudgementId>(), ProjectId = toy.Project, TaskId = task.Id, AnnotatorId = toy.Annotator, Source = JudgementSource.Person, SubmittedAt = now, Verdict = response == judged.PreferredResponseId ? BinaryVerdict.Good : BinaryVerdict.Bad, ResponseId = response,
                });
            }
        }
        db.SaveChanges();
    }

    /// <summary>What a judgement is about, the preferred answer first.</summary>
    private static PreferencePair Texts(PortalDbContext db, JudgementId id)
    {
        string Text(ResponseId response) => db.Contents.Single(c => c.Id == db.Responses.Single(r => r.Id == response).ContentId).Text!;
        var judgement = db.PairwiseJudgements.AsNoTracking().Single(j => j.Id == id);
        var task = db.Tasks.AsNoTracking().Single(t => t.Id == judgement.TaskId);
        var (chosen, rejected) = judgement.PreferredResponseId == task.FirstResponseId ? (task.FirstResponseId, task.SecondResponseId!.Value) : (task.SecondResponseId!.Value, task.FirstResponseId);
        return new PreferencePair("", Conversation.Parse(db.Contents.Single(c => c.Id == db.Prompts.Single(p => p.Id == task.PromptId).ContentId).Text), Text(chosen), Text(rejected));
    }

    private async Task<string> Refused(ExplainResponses spec) => (await Assert.ThrowsAsync<CannotTrain>(() => new ExplainResponsesRunner().Run(spec, toy.Job()))).Message;

    private const string Words = "Oh please, oh please, the apple is yours, oh please.";

    /// <summary>A response to the first prompt, flagged by somebody.</summary>
    /// <param name="by">The policy that wrote it; null for none.</param>
    private (ResponseId Response, FlagId Flag) Flagged(string? better = null, ModelVersionId? by = null)
    {
        using var db = toy.Database.Open();
        var prompt = db.Prompts.OrderBy(p => p.Id).First(p => p.ProjectId == toy.Project);
        var hasher = Microsoft.Extensions.DependencyInjection.ServiceProviderServiceExtensions.GetRequiredService<Portal.Data.Storage.ContentHasher>(toy.Database.Services);
        Content Content(ContentKind kind, string text)
        {
            var content = new Content { Id = toy.Ids.New<ContentId>(), ProjectId = toy.Project, Kind = kind, Text = text, KeyedHash = hasher.Hash(text), CreatedAt = DateTimeOffset.UtcNow };
            db.Contents.Add(content);
            return content;
        }
        var words = Content(ContentKind.Response, Words);
        var response = new Response { Id = toy.Ids.New<ResponseId>(), ProjectId = toy.Project, PromptId = prompt.Id, ContentId = words.Id, ContentHash = words.KeyedHash, ModelVersionId = by, CreatedAt = DateTimeOffset.UtcNow };
        db.Responses.Add(response);
        var flag = new Flag
        {
            Id = toy.Ids.New<FlagId>(), ProjectId = toy.Project, ResponseId = response.Id, AnnotatorId = db.Annotators.First().Id, Reason = FlagReason.Slogan, Place = "results", At = DateTimeOffset.UtcNow,
            PreferredId = better is null ? null : Content(ContentKind.PreferredAnswer, better).Id,
        };
        db.Flags.Add(flag);
        db.SaveChanges();
        return (response.Id, flag.Id);
    }
}
