using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Datasets;
using Portal.Data.Erasure;
using Portal.Data.Explanations;
using Portal.Data.Feedback;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Storage;
using Portal.Engine;
using Portal.Engine.Datasets;
using Portal.Engine.Erasure;
using Portal.Engine.Influence;
using Portal.Engine.Jobs;
using Portal.Engine.Recipes;
using Portal.Engine.Serving;
using Portal.Tests.Data;
using Portal.Tests.Engine.Jobs;
using Portal.Tests.Engine.Recipes;
using Xunit;

namespace Portal.Tests.Engine.Erasure;

/// <summary>
/// Erasure from end to end on both databases: before it the scanner finds each planted text where it was planted, afterwards none is anywhere; what learned from it never serves again; the head that serves instead is the one that never saw it; the
/// proof stands, and one that was changed does not; and a crash at any step changes none of this.
/// </summary>
[Trait("Speed", "slow")]
[Collection(PostgresFixture.Collection)]
public sealed class ErasureTests(PostgresFixture postgres)
{
    /// <summary>A copy of the database that is younger than its time keeps what it has, until its date.</summary>
    private static readonly string[] Later = ["young-backup"];

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Erased_prompts_are_nowhere_and_what_learned_from_them_never_serves_again(bool onPostgres)
    {
        using var planted = new PlantedErasure(onPostgres ? postgres : null);
        await planted.Plant();
        var toy = planted.Toy;
        var (children, bystander) = Descendants(planted);
        var (ofLearned, ofBystander) = (Explained(planted, children[2]), Explained(planted, bystander));
        // Stores are filled by being used: an explanation's features, a preview's open model.
        using var previews = new RemovalPreviews(toy.Database.Contexts, toy.Database.Directory, toy.Store);
        await previews.Take(new($"{planted.Reward}", [planted.Judgements[0].Value]), default);
        Assert.Equal(planted.Canaries.Keys.Order(), (await planted.Found()).Order()); // the scanner sees them all

        var id = planted.Approved(ErasureKind.Prompts);
        var job = await planted.Erase(id);

        Assert.Equal(Later, (await planted.Scan()).Select(one => planted.Canaries.Keys.ElementAt(one.Text)).Distinct());
        using var db = toy.Database.Open();
        var request = db.ErasureRequests.AsNoTracking().Single(r => r.Id == id);
        var proof = ErasureProof.FromJson(request.ProofJson!);
        Assert.Equal((ErasureState.Done, null, (string?)null), (request.State, ErasureProof.Verify(db, request), request.WorkJson));
        Assert.Equal((2, 7, 2), (proof.Judgements.Count, proof.Counts["texts"], proof.Counts["judgements"]));

        // Rows: gone from the data, whose seal is a new one that holds.
        var sealed_ = Assert.Single(proof.Datasets);
        Assert.Equal((planted.Dataset, 2, db.DatasetVersions.Single(v => v.Id == planted.Dataset).ManifestHash), (sealed_.Id, sealed_.Rows, sealed_.ManifestAfter));
        Assert.NotEqual(sealed_.ManifestBefore, sealed_.ManifestAfter);
        Assert.Null(await new DatasetManifest(toy.Database.Contexts, toy.Database.Writes, job.Hasher, toy.Ids, TimeProvider.System).Verify(planted.Dataset, default));
        Assert.Equal((2, 0), (db.DatasetVersions.Single(v => v.Id == planted.Dataset).RowsErased, db.DatasetRows.Count(r => r.PromptId == planted.Prompt)));
        Assert.Equal(0, (await PreferenceDataset.Load(toy.Database.Contexts, planted.Dataset, default)).Erased);

        // Findings: what was read off a policy that learned from it is empty, what was read off another one stands.
        Assert.Equal([(null, null), (bystander, 0.5)], new[] { ofLearned, ofBystander }.Select(one => (db.Explanations.Single(e => e.Id == one).PolicyId, db.ExplainingPairs.Single(p => p.ExplanationId == one).PolicyEffect)));

        // Models: all that learned from it are retired, nothing else is.
        Assert.Equal(children.Prepend(planted.Reward).Order(ById), db.ModelVersions.Where(v => v.Status == ModelStatus.Retired).Select(v => v.Id).AsEnumerable().Order(ById));
        Assert.Equal(proof.Retired.Select(one => one.Id).Order(ById), children.Prepend(planted.Reward).Order(ById));
        Assert.NotEqual(ModelStatus.Retired, db.ModelVersions.Single(v => v.Id == bystander).Status);

        // What serves: the head at the optimum of what is left.
        var change = proof.Serving.Single(one => one.Kind is ModelKind.RewardModel);
        var version = db.ModelVersions.AsNoTracking().Single(v => v.Id == db.Projects.Single().CurrentRewardModelId);
        Assert.Equal((planted.Reward, version.Id, FreedHead.Method, planted.Reward), (change.From, change.To!.Value, version.Method, version.ParentId!.Value));
        Assert.InRange(change.ResidualGradient!.Value, 0, 1e-6);
        Assert.Equal(0, await DistanceToGold(toy, version), 0.01);
        Assert.Null(toy.Store.Verify(version));
        var policy = proof.Serving.Single(one => one.Kind is ModelKind.Policy);
        Assert.Equal((children[2], toy.BaseId, toy.BaseId), (policy.From, policy.To!.Value, db.Projects.Single().CurrentPolicyId!.Value));

        // No way back, in the entity that all ways go through.
        var project = db.Projects.Single();
        var last = db.Releases.Single(r => r.ToVersionId == version.Id);
        Assert.Contains("never leads back", project.RollBack(toy.Ids.New<ReleaseId>(), last, db.ModelVersions.Single(v => v.Id == planted.Reward), "Back.", Guid.Empty, DateTimeOffset.UtcNow).Refusal!.ToString(), StringComparison.Ordinal);
        foreach (var child in children)
            Assert.NotNull(project.Release(toy.Ids.New<ReleaseId>(), db.ModelVersions.Single(v => v.Id == child), "Again.", Guid.Empty, null, DateTimeOffset.UtcNow).Refusal);

        // The body's training is owed, dated, and begins where the first one began.
        var body = db.Jobs.AsNoTracking().Single(j => j.Id == change.BodyJob);
        Assert.Equal((toy.BaseId, JobState.Queued), (((TrainRewardModel)JobSpec.FromJson(body.SpecJson)).BackboneId!.Value, body.State));
        Assert.Equal(request.FinishedAt!.Value.AddDays(ErasureRequest.BodyDueDays), request.BodyDueAt!.Value);

        // Backups: the old one is gone, the young one has a date, on which it goes.
        var kept = Assert.Single(proof.Backups);
        Assert.Equal(kept.MadeAt.AddDays(BackupRetention.DaysDefault), kept.GoneBy);
        Assert.Empty(BackupRetention.RemoveDue(db, toy.Database.Directory, kept.GoneBy.AddMinutes(-1)));
        Assert.Single(BackupRetention.RemoveDue(db, toy.Database.Directory, kept.GoneBy));
        Assert.Empty(await planted.Scan());

        // In memory: what is open is closed, and asked for again it is refused.
        Assert.True(previews.IsOpen);
        await previews.CloseErased(default);
        Assert.False(previews.IsOpen);
        await Assert.ThrowsAsync<DoorRefusal>(() => previews.Take(new($"{planted.Reward}", [planted.Judgements[2].Value]), default));
        Assert.Null(AuditChain.Verify(db.AuditEvents.AsNoTracking().OrderBy(e => e.Sequence)).Problem);
        Assert.All(db.AuditEvents.AsNoTracking().Where(e => e.EntityKind == ErasureProof.EntityKind).ToList(), e => Assert.All(planted.Canaries.Values, canary => Assert.DoesNotContain(canary.Text, e.PayloadJson, StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData(ErasureKind.AnnotatorLink, false)]
    [InlineData(ErasureKind.AnnotatorLink, true)]
    [InlineData(ErasureKind.AnnotatorLabels, false)]
    [InlineData(ErasureKind.AnnotatorLabels, true)]
    public async Task An_annotator_becomes_nobody_with_or_without_their_votes(ErasureKind kind, bool onPostgres)
    {
        using var planted = new PlantedErasure(onPostgres ? postgres : null);
        await planted.Plant();
        var toy = planted.Toy;
        int wanted;
        using (var before = toy.Database.Open())
            wanted = before.DatasetRows.Count(r => planted.Judgements.Contains(r.JudgementId));

        var id = planted.Approved(kind);
        await planted.Erase(id);

        // Theirs are gone; the prompt, its answers and what somebody else wrote are not theirs and stay, and so do caches of tokens and features where votes stay.
        string[] others = ["prompt", "external-id", "topic", "chosen", "rejected", "rationale-of-another"];
        string[] stays = kind is ErasureKind.AnnotatorLink ? ["cached-tokens", "cached-short-tokens", "mapped-features"] : [];
        Assert.Equal(others.Concat(stays).Concat(Later).Order(), (await planted.Found()).Order());
        using var db = toy.Database.Open();
        var request = db.ErasureRequests.AsNoTracking().Single(r => r.Id == id);
        var proof = ErasureProof.FromJson(request.ProofJson!);
        Assert.Null(ErasureProof.Verify(db, request));
        Assert.Equal(("erased-1", 0), (db.Annotators.Single(a => a.Id == planted.Person).Pseudonym, db.AnnotatorAccounts.Count()));
        if (kind is ErasureKind.AnnotatorLink)
        {
            Assert.Equal((planted.Judgements.Count, 0, 0), (db.PairwiseJudgements.Count(j => j.AnnotatorId == planted.Person), proof.Judgements.Count, proof.Retired.Count));
            Assert.Equal(planted.Reward, db.Projects.Single().CurrentRewardModelId!.Value);
            return;
        }
        Assert.Equal((0, planted.Judgements.Count, wanted), (db.PairwiseJudgements.Count(j => j.AnnotatorId == planted.Person), proof.Judgements.Count, Assert.Single(proof.Datasets).Rows));
        Assert.Equal(planted.Judgements.Select(judgement => toy.Job().Hasher.Hash($"{judgement}")).Order(StringComparer.Ordinal), proof.Judgements);
        // Their places are open again: of the prompt's two votes one is missing, and the tasks that others judged as well are as they were before.
        Assert.Equal((1, TaskState.Open), db.Tasks.Where(t => t.PromptId == planted.Prompt).Select(t => new ValueTuple<int, TaskState>(t.VotesMissing, t.State)).Single());
        // Pairs that others judged alike stay with their votes: the freed head is that of the votes that are left.
        var version = db.ModelVersions.AsNoTracking().Single(v => v.Id == db.Projects.Single().CurrentRewardModelId);
        Assert.Equal(0, await DistanceToGold(toy, version), 0.01);
        Assert.True(proof.Serving.Single().Pairs > 1);
    }

    /// <summary>The process is killed in each step in turn; each next run goes on. The end is that of a run that nobody killed.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_crash_in_any_step_ends_in_the_same_state(bool onPostgres)
    {
        using var calm = new PlantedErasure(onPostgres ? postgres : null);
        await calm.Plant();
        using var killed = new PlantedErasure(onPostgres ? postgres : null);
        await killed.Plant();

        await calm.Erase(calm.Approved(ErasureKind.Prompts));
        var id = killed.Approved(ErasureKind.Prompts);
        foreach (var step in new[] { "freeing the head", "removing rows", "removing files", "emptying the database's slack" })
        {
            await Assert.ThrowsAsync<SeenProgress.Killed>(() => killed.Erase(id, new DiesAt(step)));
            using var between = killed.Toy.Database.Open();
            var row = between.ErasureRequests.AsNoTracking().Single();
            Assert.Equal((ErasureState.Running, null), (row.State, row.ProofJson));
            Assert.Equal(ProblemKind.Conflict, row.Withdraw(row.RequestedBy, isJobUnderWay: false)!.Kind); // no way back
        }
        await killed.Erase(id);

        Assert.Equal(Later, (await killed.Scan()).Select(one => killed.Canaries.Keys.ElementAt(one.Text)).Distinct());
        var (one, other) = (ProofOf(calm), ProofOf(killed));
        Assert.Equal(one.Counts, other.Counts);
        Assert.Equal((one.Judgements.Count, one.Datasets.Single().Rows, one.Retired.Count, one.Serving.Count), (other.Judgements.Count, other.Datasets.Single().Rows, other.Retired.Count, other.Serving.Count));
        Assert.Equal(one.Files.Select(file => file.Store), other.Files.Select(file => file.Store)); // what a killed run removed is in the proof
        using var db = killed.Toy.Database.Open();
        Assert.Null(ErasureProof.Verify(db, db.ErasureRequests.AsNoTracking().Single()));
        Assert.Equal(2, db.ModelVersions.Count(v => v.Kind == ModelKind.RewardModel)); // one freed head, not one a run
        Assert.Single(db.Jobs.Where(j => j.Kind == nameof(TrainRewardModel)).ToList());
        await Assert.ThrowsAsync<CannotTrain>(() => killed.Erase(id)); // and it is over

        static ErasureProof ProofOf(PlantedErasure planted)
        {
            using var db = planted.Toy.Database.Open();
            return ErasureProof.FromJson(db.ErasureRequests.AsNoTracking().Single().ProofJson!);
        }
    }

    [Fact]
    public async Task A_proof_that_was_changed_or_exchanged_is_noticed_and_so_is_what_comes_back()
    {
        using var planted = new PlantedErasure();
        await planted.Plant();
        var (prompts, person) = (planted.Approved(ErasureKind.Prompts), planted.Approved(ErasureKind.AnnotatorLabels));
        await planted.Erase(prompts);
        await planted.Erase(person);
        using var db = planted.Toy.Database.Open();
        Assert.Equal([null, null], db.ErasureRequests.AsNoTracking().OrderBy(r => r.Number).AsEnumerable().Select(r => ErasureProof.Verify(db, r))); // the first one's manifest is where the second began

        var whole = db.ErasureRequests.AsNoTracking().Single(r => r.Id == person);
        var changed = whole.ProofJson!.Replace("\"texts\":", "\"texts\" :", StringComparison.Ordinal);
        await Broken(set => set.SetProperty(r => r.ProofJson, changed), "was changed after it was written");
        await Broken(set => set.SetProperty(r => r.ProofJson, changed).SetProperty(r => r.ProofSha256, ErasureProof.HashOf(changed)), "not the one that the audit log names");
        var other = db.ErasureRequests.AsNoTracking().Single(r => r.Id == prompts);
        await Broken(set => set.SetProperty(r => r.ProofJson, other.ProofJson).SetProperty(r => r.ProofSha256, other.ProofSha256), "not the one that the audit log names");
        await db.AuditEvents.Where(e => e.EntityId == $"{person}" && e.Action == ErasureProof.FinishAction).ExecuteUpdateAsync(set => set.SetProperty(e => e.Actor, Guid.NewGuid()));
        Assert.Contains("no whole event", Verdict(), StringComparison.Ordinal);
        await db.AuditEvents.Where(e => e.EntityId == $"{person}" && e.Action == ErasureProof.FinishAction).ExecuteUpdateAsync(set => set.SetProperty(e => e.Actor, (Guid?)null));

        // What the proof says is held against what is there.
        var retired = ErasureProof.FromJson(whole.ProofJson!).Retired[0].Id;
        await Undone(() => db.ModelVersions.Where(v => v.Id == retired).ExecuteUpdateAsync(set => set.SetProperty(v => v.Status, ModelStatus.Candidate)), () => db.ModelVersions.Where(v => v.Id == retired).ExecuteUpdateAsync(set => set.SetProperty(v => v.Status, ModelStatus.Retired)), "is not retired any more");
        var seal = db.DatasetVersions.Where(v => v.Id == planted.Dataset).Select(v => v.ManifestHash).Single();
        await Undone(() => db.DatasetVersions.ExecuteUpdateAsync(set => set.SetProperty(v => v.ManifestHash, new string('0', 64))), () => db.DatasetVersions.ExecuteUpdateAsync(set => set.SetProperty(v => v.ManifestHash, seal)), "its manifest has another hash");
        db.AnnotatorAccounts.Add(new Portal.Data.Annotators.AnnotatorAccount { AccountId = planted.Account, AnnotatorId = planted.Person });
        await db.SaveChangesAsync();
        Assert.Contains("is known again", Verdict(), StringComparison.Ordinal);

        string Verdict() => ErasureProof.Verify(db, db.ErasureRequests.AsNoTracking().Single(r => r.Id == person)) ?? "";
        async Task Broken(Action<Microsoft.EntityFrameworkCore.Query.UpdateSettersBuilder<ErasureRequest>> change, string said)
        {
            await db.ErasureRequests.Where(r => r.Id == person).ExecuteUpdateAsync(change);
            Assert.Contains(said, Verdict(), StringComparison.Ordinal);
            await db.ErasureRequests.Where(r => r.Id == person).ExecuteUpdateAsync(set => set.SetProperty(r => r.ProofJson, whole.ProofJson).SetProperty(r => r.ProofSha256, whole.ProofSha256));
            Assert.Equal("", Verdict());
        }
        async Task Undone(Func<Task> undo, Func<Task> again, string said)
        {
            await undo();
            Assert.Contains(said, Verdict(), StringComparison.Ordinal);
            await again();
            Assert.Equal("", Verdict());
        }
    }

    [Fact]
    public async Task What_was_not_approved_taken_back_or_is_unknown_removes_nothing_and_without_a_head_nothing_serves()
    {
        using var planted = new PlantedErasure();
        await planted.Plant();
        var before = await planted.Found();
        Assert.Contains("there is no request", (await Assert.ThrowsAsync<CannotTrain>(() => planted.Erase(new ErasureRequestId(Guid.NewGuid())))).Message, StringComparison.Ordinal);
        Assert.Contains("does not wait for this job", (await Assert.ThrowsAsync<CannotTrain>(() => planted.Erase(planted.Approved(ErasureKind.Prompts, approve: false)))).Message, StringComparison.Ordinal);
        Assert.Equal(before.Order(), (await planted.Found()).Order());

        // The weights of what serves were changed: no head can be computed from them, so nothing takes its place.
        var id = planted.Approved(ErasureKind.Prompts);
        using (var db = planted.Toy.Database.Open())
            File.AppendAllText(Path.Combine(planted.Toy.Store.FolderOf(db.ModelVersions.Single(v => v.Id == planted.Reward)), "model.safetensors"), " ");
        await planted.Erase(id);

        using var read = planted.Toy.Database.Open();
        var change = ErasureProof.FromJson(read.ErasureRequests.AsNoTracking().Single(r => r.Id == id).ProofJson!).Serving.Single();
        Assert.Equal((null, null, null), (change.To, change.ResidualGradient, read.Projects.Single().CurrentRewardModelId));
        Assert.Contains("its hash differs", change.Why, StringComparison.Ordinal);
        Assert.Null(ErasureProof.Verify(read, read.ErasureRequests.AsNoTracking().Single(r => r.Id == id)));
    }

    /// <summary>As an operator runs them: the texts come in a file, and are never printed.</summary>
    [Fact]
    public async Task The_commands_find_what_is_there_and_check_the_proofs()
    {
        using var planted = new PlantedErasure();
        await planted.Plant();
        var list = Path.Combine(planted.Toy.Database.Directory.Root, "texts"); // in the data folder itself: it does not find itself
        await File.WriteAllLinesAsync(list, planted.Canaries.Values.Select(canary => canary.Text));
        Task<(int Code, string Output, string Errors)> Engine(params string[] arguments) => BuiltEngine.Run(TimeSpan.FromMinutes(2), [.. arguments, "--data", planted.Toy.Database.Directory.Root]);

        var before = await Engine("erasure-scan", "--texts", list);
        var id = planted.Approved(ErasureKind.Prompts);
        await planted.Erase(id);
        File.Delete(BackupRetention.All(planted.Toy.Database.Directory).Single());
        var (after, proven) = (await Engine("erasure-scan", "--texts", list, "--json"), await Engine("audit-verify"));
        using (var db = planted.Toy.Database.Open())
            await db.ErasureRequests.ExecuteUpdateAsync(set => set.SetProperty(r => r.ProofJson, r => r.ProofJson + " "));
        var tampered = await Engine("audit-verify");

        Assert.Equal((1, 0, 0, 1), (before.Code, after.Code, proven.Code, tampered.Code));
        foreach (var number in Enumerable.Range(1, planted.Canaries.Count))
            Assert.Contains($"FOUND text {number} in ", before.Output, StringComparison.Ordinal);
        Assert.All(planted.Canaries.Values, canary => Assert.DoesNotContain(canary.Text, before.Output + before.Errors, StringComparison.Ordinal));
        Assert.Contains("\"findings\":[]", after.Output, StringComparison.Ordinal);
        Assert.Contains("Erasure 1: proof", proven.Output, StringComparison.Ordinal);
        Assert.Contains("BROKEN: The proof of request 1 was changed", tampered.Output, StringComparison.Ordinal);
    }

    /// <summary>What another job reads while one erases would outlive the erasure in its files.</summary>
    [Fact]
    public void No_job_runs_beside_an_erasure_and_no_quota_keeps_an_owed_training_from_being_made()
    {
        using var database = new PortalDatabase();
        var ids = new IdFactory(TimeProvider.System);
        var (now, project) = (DateTimeOffset.UtcNow, ids.New<ProjectId>());
        var runners = new JobRunners().Add(() => new EraseDataRunner()).Add(() => new ExportDataRunner()).Add(() => new TrainRewardModelRunner());
        using var db = database.Open();
        db.Projects.Add(new Project { Id = project, Name = "Toy", CreatedAt = now, JobsPerDay = 0 });
        Job Queued(JobSpec spec)
        {
            db.SaveChanges();
            var job = AskForJob.Add(db, ids.New<JobId>(), project, spec, null, null, now);
            db.SaveChanges();
            return job;
        }
        var (export, second, erase) = (Queued(new ExportData { Format = "csv" }), Queued(new ExportData { Format = "portal" }), Queued(new EraseData { RequestId = new ErasureRequestId(Guid.NewGuid()) }));

        Assert.Equal(JobStates.Begun.Yes, Begin(export));
        Assert.Equal(JobStates.Begun.NotYet, Begin(erase)); // it waits for all
        Assert.Equal(JobStates.Begun.Yes, Begin(second)); // light ones run beside each other
        export.Succeed(null, now);
        second.Succeed(null, now);
        Assert.Equal(JobStates.Begun.Yes, Begin(erase));
        Assert.Equal(JobStates.Begun.NotYet, Begin(Queued(new ExportData { Format = "csv" }))); // and all wait for it
        erase.Succeed(null, now);

        Assert.Equal(JobStates.Begun.Never, Begin(Queued(new TrainRewardModel())));
        var owed = Queued(new TrainRewardModel());
        var request = new ErasureRequest { Id = ids.New<ErasureRequestId>(), ProjectId = project, Number = 1, Kind = ErasureKind.AnnotatorLabels, AnnotatorId = ids.New<AnnotatorId>(), Reason = "x", RadiusJson = "{}", RequestedBy = Guid.NewGuid(), RequestedAt = now };
        request.Finish(new ErasureProof(1, request.Id, 1, request.Kind, [], now, now, now, 1, [], new Dictionary<string, int>(), [], [], [new(project, ModelKind.RewardModel, default, default(ModelVersionId), "", "", 1, 1e-9, null, owed.Id)], [], [], ""), now);
        db.ErasureRequests.Add(request);
        db.SaveChanges();
        Assert.Equal(JobStates.Begun.Yes, Begin(owed));

        JobStates.Begun Begin(Job job)
        {
            db.SaveChanges();
            var begun = JobStates.Begin(db, job.Id, runners, now);
            db.SaveChanges();
            return begun;
        }
    }

    private static readonly IComparer<ModelVersionId> ById = Comparer<ModelVersionId>.Create((one, other) => one.Value.CompareTo(other.Value));

    private sealed class DiesAt(string phase) : IRecipeProgress
    {
        public void Report(int step, int stepsTotal, string now, double? secondsLeft)
        {
            if (now == phase)
                throw new SeenProgress.Killed();
        }

        public void Metric(string name, int step, double value) { }

        public void Log(JobEventLevel level, string message) { }
    }

    /// <summary>What was made of the reward model by every way there is, the third one serving as the policy; and a policy that only was scored by it.</summary>
    /// <summary>An explanation by a reward model that learned from nothing erased, with an effect on a policy.</summary>
    private static ExplanationId Explained(PlantedErasure planted, ModelVersionId policy)
    {
        var toy = planted.Toy;
        var id = toy.Ids.New<ExplanationId>();
        using var db = toy.Database.Open();
        db.Explanations.Add(new Explanation
        {
            Id = id, ProjectId = toy.Project, JobId = toy.Ids.New<JobId>(), FlagId = null, ResponseId = toy.Ids.New<ResponseId>(), RewardModelId = toy.BaseId, DatasetVersionId = planted.Dataset, PolicyId = policy, Mode = QueryMode.Raw, Space = FeatureSpace.RewardState,
            Locality = 0, References = 0, Reward = 1, Explained = 1, Residual = 0, RelativeResidual = 0, Gap = 0, Method = Explanation.Favoured, Confidence = ExplanationConfidence.NotCalibrated, Drop = 0, ExplainedAbove = null, DropAbove = null, Calibrating = 0,
            IsTruncated = false, Pairs = 1, Milliseconds = 1, Seed = 1, IsSynthetic = true, CreatedBy = null, At = DateTimeOffset.UtcNow,
        });
        db.ExplainingPairs.Add(new ExplainingPair
        {
            ExplanationId = id, JudgementId = planted.Judgements[2], OthersJson = "[]", Weight = 1, Margin = 1, Distance = 0, Influence = 0, PolicyEffect = 0.5, ProjectionRank = 1, InfluenceRank = 1, NearestRank = 1, CosineRank = 1,
        });
        db.SaveChanges();
        return id;
    }

    private static (IReadOnlyList<ModelVersionId> Children, ModelVersionId Bystander) Descendants(PlantedErasure planted)
    {
        var toy = planted.Toy;
        var number = 40;
        ModelVersionId Add(ModelKind kind, ModelVersionId? parent, JobSpec spec)
        {
            var version = toy.Version(toy.BaseId, kind, ++number, parent);
            var id = toy.Ids.New<ModelVersionId>();
            using var db = toy.Database.Open();
            db.ModelVersions.Add(new ModelVersion
            {
                Id = id, ProjectId = toy.Project, Kind = kind, Number = number, Method = spec.Kind, ParentId = parent, DatasetVersionId = null, JobId = null, SpecJson = spec.ToJson(), Seed = 1, Commit = "unknown", Folder = version.Folder, FilesJson = version.FilesJson,
                IsSynthetic = false, CreatedAt = DateTimeOffset.UtcNow,
            });
            db.SaveChanges();
            return id;
        }
        var toggled = Add(ModelKind.RewardModel, planted.Reward, new PublishToggles { ToggleSetId = new ToggleSetId(Guid.NewGuid()) });
        var sae = Add(ModelKind.SparseAutoencoder, planted.Reward, new TrainSae { ModelId = planted.Reward });
        var policy = Add(ModelKind.Policy, toy.BaseId, new TrainPreferencePolicy { ParentId = toy.BaseId, RelabelledById = toggled });
        var sarm = Add(ModelKind.RewardModel, toy.BaseId, new TrainSarm { SaeId = sae });
        var rloo = Add(ModelKind.Policy, policy, new TrainRlooPolicy { ParentId = policy, RewardModelId = sarm });
        var scored = Add(ModelKind.Policy, toy.BaseId, new TrainPreferencePolicy { ParentId = toy.BaseId, RewardModelId = planted.Reward });
        using (var db = toy.Database.Open())
        {
            db.Releases.Add(db.Projects.Single().Release(toy.Ids.New<ReleaseId>(), db.ModelVersions.Single(v => v.Id == policy), "Better.", Guid.Empty, null, DateTimeOffset.UtcNow).Value);
            db.SaveChanges();
        }
        return ([toggled, sae, policy, sarm, rloo], scored);
    }

    /// <summary>‖θ − θ_gold‖ over ‖θ_gold‖: θ as the freed model's own file has it, θ_gold fitted by hand on what is left of the data.</summary>
    private static async Task<double> DistanceToGold(ToyProject toy, ModelVersion version)
    {
        using var freed = await ExplainableReward.Open(new ExplainableSource(toy.Database.Contexts, toy.Database.Directory, toy.Store, NoProgress.Instance, default), toy.Project, version.Id, FeatureSpace.RewardState, 1);
        var gold = new PairHead(freed.Pairs.Rows, freed.Pairs.Counts, ExplainableReward.L2).Fit(default).Weights;
        return Math.Sqrt(gold.Zip(freed.Features.Head!, (wanted, found) => (wanted - found) * (wanted - found)).Sum() / gold.Sum(weight => weight * weight)); // a reward model's features have a head
    }
}
