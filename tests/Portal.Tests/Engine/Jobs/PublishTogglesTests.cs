using System.Security.Cryptography;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Datasets;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;
using Portal.Data.Storage;
using Portal.Engine;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Jobs;
using Portal.Engine.Models;
using Portal.Engine.Sae;
using Portal.Tests.Engine.Recipes;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Portal.Tests.Engine.Jobs;

/// <summary>A proposed set becomes a version, against the two networks opened and run: the new one must score as the preview said, on the codes of the old one.</summary>
[Trait("Speed", "slow")]
public sealed class PublishTogglesTests : IDisposable
{
    private static readonly SaeConfig Shape = new() { Width = 16, Latents = 64, K = 6, Layer = 1, CentresPositions = true };

    private readonly ToyProject toy = new();
    private readonly ModelVersionId model;
    private readonly DatasetVersionId dataset;
    private readonly Guid author = Guid.NewGuid();
    private int sets;

    public PublishTogglesTests()
    {
        var run = toy.Job();
        dataset = new DatasetManifest(run.Contexts, run.Writes, run.Hasher, run.Ids, run.Time).Build(toy.Project, TaskKind.Pairwise, new DatasetRules(), run.JobId, null, default).GetAwaiter().GetResult();
        using var body = ToyWorld.Base();
        using var sarm = new SarmReward(LlamaWeights.Truncated(body.Backbone, 1), TopKSae.Fresh(Shape, seed: 3));
        using (no_grad())
        using (NewDisposeScope())
        {
            using var random = new Generator(5);
            sarm.HeadWeight.copy_(randn(sarm.HeadWeight.shape, generator: random));
        }
        model = toy.Ids.New<ModelVersionId>();
        SarmFolder.Save(sarm, toy.FolderOf(model), ToyWorld.Tokenizer);
        using var db = toy.Database.Open();
        db.ModelVersions.Add(Sarm(model, 1));
        db.SaveChanges();
    }

    public void Dispose() => toy.Dispose();

    [Fact]
    public async Task The_version_has_the_multiplied_head_the_other_files_and_the_rewards_of_the_preview()
    {
        var (codes, texts) = Describe();
        var (often, second) = MostActive(codes);
        IReadOnlyList<Toggle> toggles = [new(often, -1), new(second, 2.5)];
        var (set, job) = Propose(toggles);

        var made = await toy.Finish(job, await new PublishTogglesRunner().Run(new PublishToggles { ToggleSetId = set }, job));

        var (parent, version) = (Row(model), made.Version);
        Assert.Equal((ModelKind.RewardModel, "toggles", (ModelVersionId?)model, (DatasetVersionId?)dataset, ModelStatus.Candidate, 2), (version.Kind, version.Method, version.ParentId, version.DatasetVersionId, version.Status, version.Number));
        Assert.Null(toy.Store.Verify(version));
        // Bit by bit: w' = (float)(m w), and nothing else changed.
        var (before, after) = (SarmFolder.ReadHead(toy.Store.FolderOf(parent)), SarmFolder.ReadHead(toy.Store.FolderOf(version)));
        for (var latent = 0; latent < before.Length; latent++)
            Assert.Equal(BitConverter.SingleToInt32Bits(latent == often ? -before[latent] : latent == second ? (float)(2.5 * before[latent]) : before[latent]), BitConverter.SingleToInt32Bits(after[latent]));
        Assert.Equal(parent.Files().Where(file => file.Name != "reward_head.safetensors"), version.Files().Where(file => file.Name != "reward_head.safetensors"));
        Assert.NotEqual(parent.Files().Single(file => file.Name == "reward_head.safetensors").Sha256, version.Files().Single(file => file.Name == "reward_head.safetensors").Sha256);
        // Rewards: the opened network against the preview on the parent's codes.
        var toggled = new ToggledReward(new CodedRewards(codes, before), toggles);
        var (old, fresh) = (Score(parent, texts), Score(version, texts));
        for (var response = 0; response < texts.Count; response++)
        {
            Assert.Equal(old[response], toggled.Before.Rewards[response], 1e-4);
            Assert.Equal(fresh[response], toggled.Before.Rewards[response] + toggled.Added(response), 1e-4);
        }
        Assert.True(old.Zip(fresh).Count(pair => Math.Abs(pair.First - pair.Second) > 1e-3) > 20, "the toggles move rewards, or nothing was compared");
        // Agreement on held-out pairs, counted on the networks' own rewards.
        using var db = toy.Database.Open();
        var heldOut = db.DatasetRows.Where(r => r.DatasetVersionId == dataset && r.Part == DatasetPart.HeldOut).ToList();
        var place = codes.Responses.Select((id, i) => (id, i)).ToDictionary(at => at.id, at => at.i);
        double Agreement(IReadOnlyList<double> rewards) => heldOut.Average(row => rewards[place[row.ChosenId]].CompareTo(rewards[place[row.RejectedId!.Value]]) / 2.0 + 0.5);
        Assert.Equal(Agreement(fresh), toy.Row(made.Id, MetricNames.PairwiseAccuracy).Value, 9);
        Assert.Equal(Agreement(old), toy.Row(made.Id, "before/pairwise_accuracy").Value, 9);
        var change = toy.Row(made.Id, "change/pairwise_accuracy");
        Assert.Equal(Agreement(fresh) - Agreement(old), change.Value, 9);
        Assert.Equal(((ModelVersionId?)model, heldOut.Select(row => row.PromptId).Distinct().Count()), (change.ComparedWithId, change.Count));
        Assert.NotNull(change.Low);
        Assert.Equal((ToggleSetState.Waiting, (ModelVersionId?)made.Id), (Set(set).State, Set(set).PublishedVersionId));
        Assert.Null(AuditChain.Verify(db.AuditEvents.AsNoTracking().OrderBy(e => e.Sequence)).Problem);
        Assert.Contains(db.AuditEvents.AsNoTracking().ToList(), e => e.Action == "model.toggle" && e.EntityId == $"{made.Id}");
    }

    [Fact]
    public async Task A_model_that_was_not_described_is_published_without_figures_and_the_log_says_so()
    {
        var (set, job) = Propose([new(1, 0)]);
        var seen = new SeenProgress();
        var loud = toy.Job(job.JobId, seen);

        var made = await toy.Finish(loud, await new PublishTogglesRunner().Run(new PublishToggles { ToggleSetId = set }, loud));

        Assert.Equal(made.Id, Set(set).PublishedVersionId);
        using var db = toy.Database.Open();
        Assert.Empty(db.EvaluationResults.Where(r => r.ModelVersionId == made.Id).ToList());
        Assert.Contains(seen.Lines, line => line.StartsWith("Nothing was measured. The features of reward model v1 are not described yet.", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_set_that_may_not_become_a_version_is_refused()
    {
        var (conventional, retired) = (toy.Ids.New<ModelVersionId>(), toy.Ids.New<ModelVersionId>());
        Directory.CreateDirectory(toy.FolderOf(conventional));
        File.WriteAllText(Path.Combine(toy.FolderOf(conventional), "config.json"), "{}");
        Directory.CreateDirectory(toy.FolderOf(retired));
        SarmFolder.WriteHead(toy.FolderOf(retired), new float[64]);
        using (var db = toy.Database.Open())
        {
            db.ModelVersions.AddRange(toy.Version(conventional, ModelKind.RewardModel, 2, null), Sarm(retired, 3));
            db.SaveChanges();
            db.ModelVersions.Single(v => v.Id == retired).Retire();
            db.SaveChanges();
        }
        var (draft, ofDraft) = (Draft([new(1, 0)]), toy.Job());
        var (refused, ofRefused) = Propose([new(1, 0)]);
        Change(refused, set => set.Decide(approve: false, Guid.NewGuid(), isAlone: false, "no", DateTimeOffset.UtcNow));
        var (waiting, ofWaiting) = Propose([new(1, 0)]);
        var (onConventional, ofConventional) = Propose([new(1, 0)], conventional);
        var (onRetired, ofRetired) = Propose([new(1, 0)], retired);

        Assert.StartsWith("toggleSetId: there is no toggle set", await Refusal(toy.Ids.New<ToggleSetId>(), toy.Job()));
        Assert.Equal("Toggle set 1 is a draft; its author has to propose it first.", await Refusal(draft, ofDraft));
        Assert.Equal("Toggle set 2 was refused, so no version is made of it.", await Refusal(refused, ofRefused));
        Assert.Equal("Toggle set 3 waits for another job, not for this one.", await Refusal(waiting, toy.Job()));
        Assert.Equal("reward model v2 reads no sparse features, so there is nothing to toggle.", await Refusal(onConventional, ofConventional));
        Assert.Equal("reward model v3 is retired and cannot be used.", await Refusal(onRetired, ofRetired));
        await toy.Finish(ofWaiting, await new PublishTogglesRunner().Run(new PublishToggles { ToggleSetId = waiting }, ofWaiting));
        Assert.Equal("The version of toggle set 3 is made already.", await Refusal(waiting, ofWaiting));
        File.AppendAllText(Path.Combine(toy.FolderOf(model), "sae", "cfg.json"), " ");
        var (late, ofLate) = Propose([new(1, 0)]);
        Assert.StartsWith("reward model v1: the file sae/cfg.json in", await Refusal(late, ofLate));
    }

    /// <summary>Two admins at once: what one decides while the other's version is being made is seen in the very transaction that would store it.</summary>
    [Fact]
    public async Task What_was_decided_while_the_version_was_being_made_leaves_no_version()
    {
        var (refused, ofRefused) = Propose([new(1, 0)]);
        var refusedResult = await new PublishTogglesRunner().Run(new PublishToggles { ToggleSetId = refused }, ofRefused);
        Change(refused, set => set.Decide(approve: false, Guid.NewGuid(), isAlone: false, "no", DateTimeOffset.UtcNow));
        var (late, ofLate) = Propose([new(1, 0)]);
        var lateResult = await new PublishTogglesRunner().Run(new PublishToggles { ToggleSetId = late }, ofLate);
        using (var db = toy.Database.Open())
        {
            db.ModelVersions.Single(v => v.Id == model).Retire();
            db.SaveChanges();
        }

        Assert.Equal("Toggle set 1 was refused, so no version is made of it.", (await Assert.ThrowsAsync<CannotTrain>(() => toy.Finish(ofRefused, refusedResult))).Message);
        Assert.Equal("reward model v1 was retired while the version was being made.", (await Assert.ThrowsAsync<CannotTrain>(() => toy.Finish(ofLate, lateResult))).Message);

        using (var db = toy.Database.Open())
            Assert.DoesNotContain(db.ModelVersions.ToList(), version => version.Method == "toggles");
        Assert.Equal((ToggleSetState.Waiting, (ModelVersionId?)null), (Set(late).State, Set(late).PublishedVersionId)); // the author takes it back
        await new PublishTogglesRunner().Discard(new PublishToggles { ToggleSetId = late }, ofLate);
        Assert.False(Directory.Exists(Path.Combine(toy.Database.Directory.Models, ofLate.ModelFolder)));
    }

    [Fact]
    public async Task Cleaning_up_keeps_the_files_of_a_version_that_came_to_be()
    {
        var (set, job) = Propose([new(1, 0)]);
        var made = await toy.Finish(job, await new PublishTogglesRunner().Run(new PublishToggles { ToggleSetId = set }, job));

        await new PublishTogglesRunner().Discard(new PublishToggles { ToggleSetId = set }, job);

        Assert.Null(toy.Store.Verify(made.Version));
    }

    private async Task<string> Refusal(ToggleSetId set, JobRun job) =>
        (await Assert.ThrowsAsync<CannotTrain>(() => new PublishTogglesRunner().Run(new PublishToggles { ToggleSetId = set }, job))).Message;

    private ModelVersion Row(ModelVersionId id)
    {
        using var db = toy.Database.Open();
        return db.ModelVersions.AsNoTracking().Single(v => v.Id == id);
    }

    private ToggleSet Set(ToggleSetId id)
    {
        using var db = toy.Database.Open();
        return db.ToggleSets.AsNoTracking().Single(s => s.Id == id);
    }

    private void Change(ToggleSetId id, Func<ToggleSet, Problem?> change)
    {
        using var db = toy.Database.Open();
        Assert.Null(change(db.ToggleSets.Single(s => s.Id == id)));
        db.SaveChanges();
    }

    private ToggleSetId Draft(IReadOnlyList<Toggle> toggles, ModelVersionId? of = null)
    {
        var set = new ToggleSet { Id = toy.Ids.New<ToggleSetId>(), ProjectId = toy.Project, ModelVersionId = of ?? model, Number = ++sets, Author = author, CreatedAt = DateTimeOffset.UtcNow };
        Assert.Null(set.Change("Less of it", "people said so", "", toggles, 64));
        using var db = toy.Database.Open();
        db.ToggleSets.Add(set);
        db.SaveChanges();
        return set.Id;
    }

    private (ToggleSetId Set, JobRun Job) Propose(IReadOnlyList<Toggle> toggles, ModelVersionId? of = null)
    {
        var (set, job) = (Draft(toggles, of), toy.Job());
        Change(set, draft => draft.Propose("{}", job.JobId));
        return (set, job);
    }

    private ModelVersion Sarm(ModelVersionId id, int number) => new()
    {
        Id = id, ProjectId = toy.Project, Kind = ModelKind.RewardModel, Number = number, Method = "SARM", ParentId = null, DatasetVersionId = dataset, JobId = null, SpecJson = "{}", Seed = 1, Commit = "unknown",
        Folder = id.Value.ToString("N"), FilesJson = toy.Store.FilesJson(id.Value.ToString("N")), IsSynthetic = false, CreatedAt = DateTimeOffset.UtcNow,
    };

    private IReadOnlyList<double> Score(ModelVersion version, IReadOnlyList<(IReadOnlyList<Turn>, string)> texts)
    {
        var (opened, tokenizer) = toy.Store.OpenReward(version);
        using (opened)
            return new RewardScorer(opened, tokenizer).Score(texts, default);
    }

    private static (int First, int Second) MostActive(FeatureCodes codes)
    {
        var often = Enumerable.Range(0, codes.Values.Length).Where(i => codes.Values[i] > 0).CountBy(i => codes.Indices[i]).OrderByDescending(count => count.Value).Select(count => count.Key).ToList();
        return (often[2], often[4]); // not those that fire everywhere
    }

    /// <summary>The codes of all toy responses, read by the network itself.</summary>
    private (FeatureCodes Codes, IReadOnlyList<(IReadOnlyList<Turn>, string)> Texts) Describe()
    {
        using var db = toy.Database.Open();
        var responses = (from r in db.Responses join c in db.Contents on r.ContentId equals c.Id join p in db.Prompts on r.PromptId equals p.Id join q in db.Contents on p.ContentId equals q.Id select new { r.Id, Prompt = q.Text, c.Text }).ToList();
        List<(IReadOnlyList<Turn>, string)> texts = [.. responses.Select(r => ((IReadOnlyList<Turn>)StoredTurns.ForTraining(Conversation.Parse(r.Prompt!)), r.Text!))]; // none is erased
        var place = responses.Select((r, i) => (r.Id, i)).ToDictionary(at => at.Id, at => at.i);
        List<CodedPair> pairs = [.. db.PairwiseJudgements.Join(db.Tasks, j => j.TaskId, t => t.Id, (j, t) => new { t.PromptId, j.PreferredResponseId, t.FirstResponseId, t.SecondResponseId }).AsEnumerable()
            .Select(j => new CodedPair(j.PromptId, place[j.PreferredResponseId!.Value], place[j.PreferredResponseId == j.FirstResponseId ? j.SecondResponseId!.Value : j.FirstResponseId], 1, false))];
        var (opened, tokenizer) = toy.Store.OpenReward(Row(model));
        using var sarm = (SarmReward)opened;
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        using var batch = PaddedBatch.Of([.. texts.Select(text => new DialogueEncoder(tokenizer, 64, Overlong.TruncateLeft).Answer(text.Item1, text.Item2)!)], tokenizer.PadId, CPU); // cut, never left out
        var read = sarm.Codes(batch.Ids, batch.LastPositions);
        var codes = new FeatureCodes
        {
            Latents = 64, Width = 6, Responses = [.. responses.Select(r => r.Id)], Indices = [.. read.Indices.contiguous().data<long>().ToArray().Select(i => (int)i)], Values = read.Values.ToFloats(), Pairs = pairs,
        };
        var id = toy.Ids.New<FeatureDescriptionId>();
        var path = Path.Combine(toy.Database.Directory.Features, $"codes-{id}");
        codes.Write(path);
        db.FeatureDescriptions.Add(new FeatureDescription
        {
            Id = id, ProjectId = toy.Project, ModelVersionId = model, Latents = 64, Responses = responses.Count, SentenceEnds = 0, Pairs = pairs.Count, PromptsDiscovery = 1, PromptsTest = 1, SpecJson = "{}",
            CodesSha256 = Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(path))), At = DateTimeOffset.UtcNow,
        });
        db.SaveChanges();
        return (codes, texts);
    }
}
