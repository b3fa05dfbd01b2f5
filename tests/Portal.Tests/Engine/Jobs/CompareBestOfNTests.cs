using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Engine;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Jobs;
using Portal.Engine.Models;
using Portal.Tests.Engine.Recipes;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Portal.Tests.Engine.Jobs;

/// <summary>Best of n as a job on a real database, against both reward models asked about one stored text at a time.</summary>
[Trait("Speed", "slow")]
public sealed class CompareBestOfNTests : IDisposable
{
    private readonly ToyProject toy = new();
    private readonly ModelVersionId before, after;

    public CompareBestOfNTests() => (before, after) = (Add(1), Add(2));

    public void Dispose() => toy.Dispose();

    [Fact]
    public async Task Answers_are_stored_with_both_rewards_and_both_picks()
    {
        var spec = new CompareBestOfN { BeforeId = before, AfterId = after, Prompts = 10, Answers = 3, Sampling = new SamplingSpec { Temperature = 1, TokensMax = 24 } };
        var job = toy.Job();
        await new CompareBestOfNRunner().Run(spec, job); // a first run that was killed before its end left answers
        var result = await new CompareBestOfNRunner().Run(spec, job);

        await toy.Finish(job, result);

        using var db = toy.Database.Open();
        var run = db.BestOfNRuns.AsNoTracking().Single(r => r.JobId == job.JobId);
        Assert.Equal((toy.BaseId, before, after, 10, 3, $"/best-of/{job.JobId}"), (run.PolicyId, run.BeforeId, run.AfterId, run.Prompts, run.AnswersPerPrompt, result.Path));
        var answers = (from a in db.BestOfNAnswers where a.JobId == job.JobId join r in db.Responses on a.ResponseId equals r.Id join c in db.Contents on r.ContentId equals c.Id
                       join p in db.Prompts on a.PromptId equals p.Id join q in db.Contents on p.ContentId equals q.Id select new { Answer = a, c.Text, Prompt = q.Text, r.ModelVersionId }).ToList();
        Assert.Equal(30, answers.Count);
        Assert.All(answers, answer => Assert.Equal(toy.BaseId, answer.ModelVersionId));
        var (first, second) = (Scores(before), Scores(after));
        var split = new PromptSplit(0.2, 0, "1");
        foreach (var prompt in answers.GroupBy(answer => answer.Answer.PromptId))
        {
            var own = prompt.OrderBy(answer => answer.Answer.Ordinal).ToList();
            Assert.Equal([0, 1, 2], own.Select(answer => answer.Answer.Ordinal));
            Assert.NotEqual(SplitPart.Train, split.PartOf(StoredTurns.ToMessages(Conversation.Parse(own[0].Prompt!))));
            foreach (var answer in own)
            {
                Assert.Equal(first(answer.Prompt!, answer.Text!), answer.Answer.RewardBefore, 1e-4);
                Assert.Equal(second(answer.Prompt!, answer.Text!), answer.Answer.RewardAfter, 1e-4);
            }
            Assert.Equal(own.Max(answer => answer.Answer.RewardBefore), own.Single(answer => answer.Answer.IsBestBefore).Answer.RewardBefore);
            Assert.Equal(own.Max(answer => answer.Answer.RewardAfter), own.Single(answer => answer.Answer.IsBestAfter).Answer.RewardAfter);
        }
        var changed = answers.GroupBy(answer => answer.Answer.PromptId).Count(own => own.Single(answer => answer.Answer.IsBestBefore).Text != own.Single(answer => answer.Answer.IsBestAfter).Text);
        Assert.InRange(changed, 1, 10);
        Assert.Equal(["changed", "reward_before", "reward_after", "length_words"], run.Figures().Select(figure => figure.Name));
        Assert.Equal((0, changed / 10.0), (run.Figures()[0].Before.Value, run.Figures()[0].Change.Value));
        Assert.True(run.Figures()[1].Change.Value < 0 && run.Figures()[2].Change.Value > 0, "each model's own pick has its highest reward");
    }

    [Fact]
    public async Task A_job_that_fails_takes_its_answers_with_it_and_one_that_succeeded_keeps_them()
    {
        var spec = new CompareBestOfN { BeforeId = before, AfterId = after, Prompts = 3, Answers = 2, Sampling = new SamplingSpec { Temperature = 1, TokensMax = 8 } };
        var (failed, done) = (toy.Job(), toy.Job());
        await new CompareBestOfNRunner().Run(spec, failed);
        await toy.Finish(done, await new CompareBestOfNRunner().Run(spec, done));

        await new CompareBestOfNRunner().Discard(spec, failed);
        await new CompareBestOfNRunner().Discard(spec, done);

        using var db = toy.Database.Open();
        Assert.Equal((0, 6), (db.BestOfNAnswers.Count(a => a.JobId == failed.JobId), db.BestOfNAnswers.Count(a => a.JobId == done.JobId)));
    }

    [Fact]
    public async Task What_cannot_be_compared_is_refused_by_field()
    {
        var spec = new CompareBestOfN { BeforeId = before, AfterId = after };

        Assert.StartsWith("afterId: name the reward model", await Refusal(spec with { AfterId = null }));
        Assert.Equal("beforeId and afterId both name reward model v2; a reward model compared with itself picks the same answers.", await Refusal(spec with { BeforeId = after }));
        Assert.Equal("policy v1 is not a reward model.", await Refusal(spec with { AfterId = toy.BaseId }));
        Assert.StartsWith("answers is 1;", await Refusal(spec with { Answers = 1 }));
        Assert.StartsWith("prompts is 0;", await Refusal(spec with { Prompts = 0 }));
        Assert.StartsWith("sampling is out of range", await Refusal(spec with { Sampling = new SamplingSpec { Temperature = 0 } }));

        async Task<string> Refusal(CompareBestOfN wrong) => (await Assert.ThrowsAsync<CannotTrain>(() => new CompareBestOfNRunner().Run(wrong, toy.Job()))).Message;
    }

    private ModelVersionId Add(int number)
    {
        var id = toy.Ids.New<ModelVersionId>();
        using (var body = ToyWorld.Model(seed: number))
        using (var reward = LlamaReward.From(body))
        {
            using (no_grad())
            using (NewDisposeScope())
            using (var random = new Generator((ulong)number))
                reward.ScoreWeight.copy_(randn(reward.ScoreWeight.shape, generator: random));
            HuggingFaceFolder.Save(reward, toy.FolderOf(id), ToyWorld.Tokenizer);
        }
        using var db = toy.Database.Open();
        db.ModelVersions.Add(toy.Version(id, ModelKind.RewardModel, number, toy.BaseId));
        db.SaveChanges();
        return id;
    }

    private Func<string, string, double> Scores(ModelVersionId id)
    {
        using var db = toy.Database.Open();
        var (model, tokenizer) = toy.Store.OpenReward(db.ModelVersions.AsNoTracking().Single(v => v.Id == id));
        var scorer = new RewardScorer(model, tokenizer);
        return (prompt, text) => scorer.Score([(StoredTurns.ForTraining(Conversation.Parse(prompt)), text)], default).Single();
    }
}
