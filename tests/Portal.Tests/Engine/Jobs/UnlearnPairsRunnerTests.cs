using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Datasets;
using Portal.Data.Explanations;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Unlearning;
using Portal.Engine;
using Portal.Engine.Datasets;
using Portal.Engine.Influence;
using Portal.Engine.Jobs;
using Portal.Engine.Models;
using Portal.Engine.Unlearning;
using Portal.Tests.Engine.Recipes;
using Xunit;

namespace Portal.Tests.Engine.Jobs;

/// <summary>
/// Approved requests become reward models: what is written is what was computed, it is the head that never saw the pairs, it explains nothing by them, and trainings after its release leave them out. What cannot be done is said and
/// stores nothing.
/// </summary>
[Trait("Speed", "slow")]
public sealed class UnlearnPairsRunnerTests : IDisposable
{
    private static readonly OptimizationSpec Quick = new() { LearningRate = 5e-3, HeadLearningRate = 2e-2, BatchSize = 32, Epochs = 1, CheckpointEverySteps = 0 };

    private readonly ToyProject toy = new();

    public void Dispose() => toy.Dispose();

    [Fact]
    public async Task A_newton_removal_is_the_head_that_never_saw_the_pairs_and_what_follows_leaves_them_out()
    {
        var (explanation, reward) = await Explained();
        var (request, judgements) = Approved(explanation, UnlearningMethod.Newton);
        var made = await Run(request);

        using var db = toy.Database.Open();
        var row = db.UnlearningRequests.AsNoTracking().Single(r => r.Id == request);
        var outcome = row.Outcome()!;
        Assert.Equal(($"/unlearning/{request}", UnlearningState.Made, made.Id), (made.Path, row.State, row.VersionId!.Value));
        Assert.InRange(outcome.Distance!.Value, 0, 0.01); // Must show: two steps within 1 % of gold
        Assert.NotEqual(false, outcome.Gates()[UnlearningGate.Margins]);
        Assert.Equal(outcome.BadReward!.Gold, outcome.BadReward.After, 0.01 * Math.Abs(outcome.BadReward.Before - outcome.BadReward.Gold) + 1e-4);
        Assert.Equal((reward, db.ModelVersions.Single(v => v.Id == reward).DatasetVersionId), (made.Version.ParentId!.Value, made.Version.DatasetVersionId));
        Assert.Equal(outcome.HeldOutAccuracy.After, toy.Row(made.Id, MetricNames.PairwiseAccuracy).Value, 1e-12);

        // The file's own rewards of pairs, against a head fitted by hand on the same features without the judgements.
        var rows = await PreferenceDataset.LoadIdentified(toy.Database.Contexts, made.Version.DatasetVersionId!.Value, default);
        var (model, tokenizer) = toy.Store.OpenReward(made.Version);
        using (model)
        {
            var features = new RewardStates((LlamaReward)model);
            var read = EndReader.Read(features, tokenizer, [.. rows.Split.Train.SelectMany(pair => new[] { (pair.Pair.Prompt, pair.Pair.Chosen), (pair.Pair.Prompt, pair.Pair.Rejected) })], 64, default);
            var gone = judgements.Select(judgement => judgement.Value).ToHashSet();
            float[] differences = [.. rows.Split.Train.SelectMany((_, i) => read[2 * i].Values.Zip(read[(2 * i) + 1].Values, (chosen, rejected) => chosen - rejected))];
            using var byHand = FeatureRows.Of(differences, features.Width);
            var gold = new PairHead(byHand, [.. rows.Split.Train.Select(pair => gone.Contains(pair.Id) ? 0.0 : 1)], 1e-3).Fit(default).Weights;
            var scale = Math.Sqrt(gold.Sum(weight => weight * weight));
            Assert.Equal(0, Math.Sqrt(gold.Zip(features.Head, (wanted, found) => (wanted - found) * (wanted - found)).Sum()) / scale, 0.01);
        }

        // It explains nothing by what it has forgotten.
        var again = toy.Job();
        var spec = new ExplainResponses { ResponseIds = [db.Explanations.Single(e => e.Id == explanation).ResponseId], RewardModelId = made.Id, Mode = QueryMode.Raw };
        await toy.Finish(again, await new ExplainResponsesRunner().Run(spec, again));
        Assert.Empty(db.ExplainingPairs.AsNoTracking().Where(p => db.Explanations.Any(e => e.Id == p.ExplanationId && e.JobId == again.JobId)).Select(p => p.JudgementId).ToList().Intersect(judgements));

        // A dataset made after the release has no row of them and says why; before it, and after a roll-back, they count.
        Assert.False((await Dropped()).ContainsKey("unlearnt"));
        await Change(r => r.Release());
        Assert.Equal(judgements.Count, (await Dropped())["unlearnt"]);
        await Change(r => { r.RollBack(); return null; });
        Assert.False((await Dropped()).ContainsKey("unlearnt"));

        async Task Change(Func<UnlearningRequest, Problem?> change) => await toy.Database.Writes.WriteAsync(open => { Assert.Null(change(open.UnlearningRequests.Single(r => r.Id == request))); }, default);
        async Task<Dictionary<string, int>> Dropped()
        {
            var id = await new DatasetManifest(toy.Database.Contexts, toy.Database.Writes, toy.Job().Hasher, toy.Ids, TimeProvider.System).Build(toy.Project, TaskKind.Pairwise, new DatasetRules { SplitSeed = 7 }, null, null, default);
            using var read = toy.Database.Open();
            return System.Text.Json.JsonSerializer.Deserialize<Dictionary<string, int>>(read.DatasetVersions.Single(v => v.Id == id).DroppedJson)!;
        }
    }

    /// <summary>Turned round, or of half the weight: the head is one fitted by hand to pairs that are so; later explanations, and versions of the data after a release, go by it.</summary>
    [Theory]
    [InlineData(UnlearningAction.Relabel)]
    [InlineData(UnlearningAction.DownWeight)]
    public async Task Changed_pairs_are_as_if_people_had_judged_them_so(UnlearningAction action)
    {
        var (explanation, reward) = await Explained();
        var (request, judgements) = Approved(explanation, UnlearningMethod.Newton, action: action);
        var made = await Run(request);
        var changed = judgements.Select(judgement => judgement.Value).ToHashSet();
        var isTurned = action is UnlearningAction.Relabel;

        using var db = toy.Database.Open();
        var outcome = db.UnlearningRequests.AsNoTracking().Single(r => r.Id == request).Outcome()!;
        Assert.InRange(outcome.Distance!.Value, 0, 0.01);
        var rows = await PreferenceDataset.LoadIdentified(toy.Database.Contexts, made.Version.DatasetVersionId!.Value, default);
        var (model, tokenizer) = toy.Store.OpenReward(made.Version);
        using (model)
        {
            var features = new RewardStates((LlamaReward)model);
            var read = EndReader.Read(features, tokenizer, [.. rows.Split.Train.SelectMany(pair => new[] { (pair.Pair.Prompt, pair.Pair.Chosen), (pair.Pair.Prompt, pair.Pair.Rejected) })], 64, default);
            float[] differences = [.. rows.Split.Train.SelectMany((pair, i) => read[2 * i].Values.Zip(read[(2 * i) + 1].Values, (chosen, rejected) => isTurned && changed.Contains(pair.Id) ? rejected - chosen : chosen - rejected))];
            using var byHand = FeatureRows.Of(differences, features.Width);
            var gold = new PairHead(byHand, [.. rows.Split.Train.Select(pair => !isTurned && changed.Contains(pair.Id) ? 0.5 : 1)], 1e-3).Fit(default).Weights;
            Assert.Equal(0, Math.Sqrt(gold.Zip(features.Head, (wanted, found) => (wanted - found) * (wanted - found)).Sum()) / Math.Sqrt(gold.Sum(weight => weight * weight)), 0.02);
        }
        using (var open = await ExplainableReward.Open(new ExplainableSource(toy.Database.Contexts, toy.Database.Directory, toy.Store, NoProgress.Instance, default), toy.Project, made.Id, FeatureSpace.RewardState, 1))
        using (var before = await ExplainableReward.Open(new ExplainableSource(toy.Database.Contexts, toy.Database.Directory, toy.Store, NoProgress.Instance, default), toy.Project, reward, FeatureSpace.RewardState, 1))
        {
            foreach (var id in changed)
            {
                var (now, was) = (open.Pairs.RowOf(id)!.Value, before.Pairs.RowOf(id)!.Value);
                if (isTurned)
                    Assert.All(before.Pairs.Rows[was].ToArray().Zip(open.Pairs.Rows[now].ToArray()), pair => Assert.Equal(-pair.First, pair.Second, 1e-4));
                else
                    Assert.Equal(before.Pairs.Counts[was] / 2, open.Pairs.Counts[now]);
            }
        }

        // Versions of the data made after the release hold the pairs as they are now, sealed, with the request; what people judged stays.
        await toy.Database.Writes.WriteAsync(open => { Assert.Null(open.UnlearningRequests.Single(r => r.Id == request).Release()); }, default);
        var manifest = new DatasetManifest(toy.Database.Contexts, toy.Database.Writes, toy.Job().Hasher, toy.Ids, TimeProvider.System);
        var later = await manifest.Build(toy.Project, TaskKind.Pairwise, new DatasetRules { SplitSeed = 7 }, null, null, default);
        Assert.Null(await manifest.Verify(later, default));
        var stored = db.DatasetRows.AsNoTracking().Where(r => r.DatasetVersionId == later).ToDictionary(r => r.JudgementId);
        foreach (var judgement in db.PairwiseJudgements.AsNoTracking().Where(j => j.PreferredResponseId != null).ToList().Where(j => stored.ContainsKey(j.Id)))
        {
            var (row, isChanged) = (stored[judgement.Id], judgements.Contains(judgement.Id));
            Assert.Equal((isChanged ? request : (UnlearningRequestId?)null, isChanged && !isTurned ? 0.5 : 1, isChanged && isTurned), (row.ChangedBy, row.Weight, row.ChosenId != judgement.PreferredResponseId));
        }
        // A row that names another request than the one that was sealed is noticed.
        var touched = stored.Values.First(row => row.ChangedBy == request);
        await toy.Database.Writes.WriteAsync(open => { open.DatasetRows.Where(r => r.DatasetVersionId == later && r.Ordinal == touched.Ordinal).ExecuteUpdate(set => set.SetProperty(r => r.ChangedBy, (UnlearningRequestId?)null)); }, default);
        Assert.Contains("not the sealed ones", await manifest.Verify(later, default), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Swapping_with_all_others_kept_stops_where_the_margins_would_be_and_training_again_learns_nothing_of_them()
    {
        var (explanation, reward) = await Explained();
        var (swapped, judgements) = Approved(explanation, UnlearningMethod.SwapAndRetain);
        await Run(swapped);
        var (again, _) = Approved(explanation, UnlearningMethod.TrainAgain, number: 2);
        var made = await Run(again);

        using var db = toy.Database.Open();
        var swap = db.UnlearningRequests.AsNoTracking().Single(r => r.Id == swapped).Outcome()!;
        Assert.InRange(swap.Distance!.Value, 0, 1); // nearer to gold than it was
        var outcome = db.UnlearningRequests.AsNoTracking().Single(r => r.Id == again).Outcome()!;
        Assert.Equal((null, null), (outcome.Distance, outcome.ResidualGradient)); // another body: there is no distance of heads
        Assert.InRange(outcome.HeldOutAccuracy.After, 0, 1);
        // The same training without the rows, by hand: the same weights, bit for bit.
        var source = db.ModelVersions.AsNoTracking().Single(v => v.Id == reward);
        var rows = await PreferenceDataset.LoadIdentified(toy.Database.Contexts, source.DatasetVersionId!.Value, default);
        var (model, tokenizer) = toy.Store.OpenWithFreshHead(db.ModelVersions.AsNoTracking().Single(v => v.Id == toy.BaseId));
        using (model)
        {
            var training = (TrainRewardModel)JobSpec.FromJson(source.SpecJson);
            Portal.Engine.Recipes.TrainRewardModelRecipe.Run(training, model, tokenizer,
                new TrainingSplit<PreferencePair>([.. rows.Split.Train.Where(pair => !judgements.Contains(new JudgementId(pair.Id))).Select(pair => pair.Pair)], [.. rows.Split.HeldOut.Select(pair => pair.Pair)]), toy.Job().RecipeContext(training.Seed));
            var (found, _) = toy.Store.OpenReward(made.Version);
            using (found)
                Assert.Equal(LlamaWeights.Hash(model.Backbone), LlamaWeights.Hash(((LlamaReward)found).Backbone));
        }
        Assert.Equal(LlamaWeights.Hash(((LlamaReward)toy.Store.OpenReward(source).Model).Backbone), LlamaWeights.Hash(((LlamaReward)toy.Store.OpenReward(db.ModelVersions.AsNoTracking().Single(v => v.Id == db.UnlearningRequests.Single(r => r.Id == swapped).VersionId)).Model).Backbone));
    }

    [Fact]
    public async Task A_preview_agrees_with_training_without_the_pairs_and_stores_nothing()
    {
        var (explanation, reward) = await Explained();
        using var db = toy.Database.Open();
        var judgements = db.ExplainingPairs.AsNoTracking().Where(p => p.ExplanationId == explanation && p.ProjectionRank <= 3).Select(p => p.JudgementId).ToList();
        using var previews = new Portal.Engine.Serving.RemovalPreviews(toy.Database.Contexts, toy.Database.Directory, toy.Store);
        var request = new Portal.Data.Serving.RemovalPreviewRequest($"{reward}", [.. judgements.Select(judgement => judgement.Value), Guid.NewGuid()]);

        var preview = await previews.Take(request, default);
        var second = await previews.Take(request, default);

        var (byHand, _) = Approved(explanation, UnlearningMethod.Newton, judgements);
        await Run(byHand);
        var outcome = db.UnlearningRequests.AsNoTracking().Single(r => r.Id == byHand).Outcome()!;
        Assert.Equal(outcome.NeighbourAccuracy.Before, preview.Neighbours.Before, 1e-12);
        Assert.Equal(outcome.NeighbourAccuracy.Gold, preview.Neighbours.After, 0.011); // one step of two
        // The margins of the pairs that go, by a head fitted without them: one step leaves a little. (Pairs that are learnt well may even gain: the penalty is spread over fewer.)
        using (var open = await ExplainableReward.Open(new ExplainableSource(toy.Database.Contexts, toy.Database.Directory, toy.Store, NoProgress.Instance, default), toy.Project, reward, FeatureSpace.RewardState, 1))
        {
            var rows = judgements.Select(judgement => open.Pairs.RowOf(judgement.Value)!.Value).Distinct().ToList();
            var gold = open.Head.Margins(open.Head.Without(rows).Fit(default).Weights);
            Assert.Equal(rows.Average(row => gold[row]), preview.Margin.After, (0.2 * Math.Abs(preview.Margin.Before - preview.Margin.After)) + 1e-3);
            Assert.Equal(rows.Average(row => open.Influence.Margins[row]), preview.Margin.Before, 1e-9);
        }
        Assert.Equal((preview.Margin, preview.Unknown, judgements.Count), (second.Margin, 1, preview.Judgements));
        Assert.All(preview.Most, pair => Assert.True(pair.After < pair.Before && !judgements.Contains(pair.Judgement)));
        foreach (var (bad, field, status) in new[] { (request with { Model = $"{Guid.NewGuid()}" }, "model", 404), (request with { Judgements = [Guid.NewGuid()] }, "judgements", 409) })
        {
            var refusal = await Assert.ThrowsAsync<Portal.Engine.Serving.DoorRefusal>(() => previews.Take(bad, default));
            Assert.Equal((field, status), (refusal.Field, refusal.Status));
        }
    }

    [Fact]
    public async Task What_cannot_be_made_stores_nothing_and_says_why()
    {
        var (explanation, reward) = await Explained();
        Assert.Contains("no request", await Refused(new UnlearningRequestId(Guid.NewGuid())), StringComparison.Ordinal);
        var (waiting, _) = Approved(explanation, UnlearningMethod.Newton, approve: false);
        Assert.Contains("does not wait for this job", await Refused(waiting), StringComparison.Ordinal);
        var (unknown, _) = Approved(explanation, UnlearningMethod.Newton, [toy.Ids.New<JudgementId>()], number: 2);
        Assert.Contains("goes by none of the judgements of request 2", await Refused(unknown), StringComparison.Ordinal);
        var (other, _) = Approved(explanation, UnlearningMethod.Newton, number: 3, dataset: toy.Ids.New<DatasetVersionId>());
        Assert.Contains("another version of the data", await Refused(other), StringComparison.Ordinal);
        // Taken back, or the model retired, while it was being made.
        var (taken, _) = Approved(explanation, UnlearningMethod.Newton, number: 4);
        var job = toy.Job(JobOf(taken));
        var result = await new UnlearnPairsRunner().Run(new UnlearnPairs { RequestId = taken }, job);
        await toy.Database.Writes.WriteAsync(db => { Assert.Null(db.UnlearningRequests.Single(r => r.Id == taken).Withdraw(Guid.Empty, isJobUnderWay: false)); }, default);
        await Assert.ThrowsAsync<CannotTrain>(() => toy.Finish(job, result));
        await new UnlearnPairsRunner().Discard(new UnlearnPairs { RequestId = taken }, job);
        Assert.False(Directory.Exists(Path.Combine(toy.Database.Directory.Models, job.ModelFolder)));
        using var read = toy.Database.Open();
        Assert.Equal(1, read.ModelVersions.Count(v => v.Kind == ModelKind.RewardModel));
        Assert.Equal(reward, read.ModelVersions.Single(v => v.Kind == ModelKind.RewardModel).Id);
    }

    private async Task<string> Refused(UnlearningRequestId id) => (await Assert.ThrowsAsync<CannotTrain>(() => new UnlearnPairsRunner().Run(new UnlearnPairs { RequestId = id }, toy.Job(JobOf(id))))).Message;

    private JobId? JobOf(UnlearningRequestId id)
    {
        using var db = toy.Database.Open();
        return db.UnlearningRequests.Where(r => r.Id == id).Select(r => r.JobId).FirstOrDefault();
    }

    private async Task<ToyProject.Finished> Run(UnlearningRequestId id)
    {
        var job = toy.Job(JobOf(id));
        return await toy.Finish(job, await new UnlearnPairsRunner().Run(new UnlearnPairs { RequestId = id }, job));
    }

    /// <summary>A reward model of the toy project, and an explanation of one of its responses.</summary>
    private async Task<(ExplanationId Explanation, ModelVersionId Reward)> Explained()
    {
        var training = toy.Job();
        var reward = await toy.Finish(training, await new TrainRewardModelRunner().Run(new TrainRewardModel { LengthMax = 64, Optimization = Quick }, training));
        using var db = toy.Database.Open();
        var response = db.DatasetRows.AsNoTracking().First(r => r.DatasetVersionId == reward.Version.DatasetVersionId && r.Part == DatasetPart.HeldOut).ChosenId;
        var job = toy.Job();
        await toy.Finish(job, await new ExplainResponsesRunner { ResponsesMin = 1_000 }.Run(new ExplainResponses { ResponseIds = [response], RewardModelId = reward.Id, References = 2, Sampling = new SamplingSpec { TokensMax = 8 } }, job));
        return (db.Explanations.AsNoTracking().Single(e => e.JobId == job.JobId).Id, reward.Id);
    }

    /// <summary>A request for the first pairs of an explanation, approved for a job that is not queued.</summary>
    private (UnlearningRequestId Request, IReadOnlyList<JudgementId> Judgements) Approved(ExplanationId id, UnlearningMethod method, IReadOnlyList<JudgementId>? judgements = null, int number = 1, bool approve = true, DatasetVersionId? dataset = null, UnlearningAction action = UnlearningAction.Remove)
    {
        using var db = toy.Database.Open();
        var explanation = db.Explanations.AsNoTracking().Single(e => e.Id == id);
        judgements ??= [.. db.ExplainingPairs.AsNoTracking().Where(p => p.ExplanationId == id && p.InfluenceRank <= 5).ToList().SelectMany(pair => pair.Others().Prepend(pair.JudgementId))];
        var request = new UnlearningRequest
        {
            Id = toy.Ids.New<UnlearningRequestId>(), ProjectId = toy.Project, Number = number, ExplanationId = id, RewardModelId = explanation.RewardModelId, DatasetVersionId = dataset ?? explanation.DatasetVersionId, Method = method, Action = action, Reason = "They say please.",
            Judgements = judgements.Count, JudgementsOf = 10_000, PreviewJson = "{}", RequestedBy = Guid.Empty, RequestedAt = DateTimeOffset.UtcNow,
        };
        db.UnlearningRequests.Add(request);
        db.UnlearningPairs.AddRange(judgements.Select(judgement => new UnlearningPair { RequestId = request.Id, JudgementId = judgement }));
        if (approve)
            Assert.Null(request.Approve(Guid.NewGuid(), null, DateTimeOffset.UtcNow, () => toy.Ids.New<JobId>()));
        db.SaveChanges();
        return (request.Id, judgements);
    }
}
