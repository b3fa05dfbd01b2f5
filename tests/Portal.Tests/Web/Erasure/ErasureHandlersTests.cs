using System.Security.Claims;
using System.Text;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Accounts;
using Portal.Data.Datasets;
using Portal.Data.Erasure;
using Portal.Data.Feedback;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Tests.Data;
using Portal.Web.Erasure;
using Portal.Web.Registry;
using Portal.Web.Train;
using Xunit;

namespace Portal.Tests.Web.Erasure;

/// <summary>From a question over a second admin's word to a proof that can be downloaded: who may, what is refused and why, what is counted, stored and logged.</summary>
[Collection(PostgresFixture.Collection)]
public sealed class ErasureHandlersTests(PostgresFixture postgres)
{
    private static readonly CancellationToken Stop = CancellationToken.None;

    /// <summary>An annotator with two judgements on two prompts, of which one is in the data of the reward model that serves.</summary>
    private sealed class Place : IDisposable
    {
        private readonly PortalDatabase database;

        public Place(PostgresFixture? postgres = null)
        {
            database = new PortalDatabase(postgres);
            Project = new SeededProject(database);
            Person = Project.Person("heron-12");
            Prompts = [Project.Prompt("Where does O'Neil & sons live?"), Project.Prompt("What is 2 + 2?")];
            var answers = Prompts.Select(prompt => (Project.Response(prompt, "In Elm Street 7."), Project.Response(prompt, "I do not know."))).ToList();
            Votes = [.. Prompts.Select((prompt, i) => Project.Vote(Project.Pair(prompt, answers[i].Item1, answers[i].Item2), Person, PairwiseVerdict.Preferred, answers[i].Item1, 2))];
            Data = Project.Dataset(1, [Votes[0]], Prompts[0], answers[0].Item1, answers[0].Item2);
            Reward = Project.Model(ModelKind.RewardModel, 1, "reward model", null, Data.Id);
            Release = new ReleaseModel(Project.Writes, Project.Access, Project.Ids, Project.Hasher, Project.Time);
        }

        public SeededProject Project { get; }
        public AnnotatorId Person { get; }
        public IReadOnlyList<PromptId> Prompts { get; }
        public IReadOnlyList<PairwiseJudgement> Votes { get; }
        public DatasetVersion Data { get; }
        public ModelVersion Reward { get; }
        public ReleaseModel Release { get; }

        public Task<Outcome<ErasureRequestId>> Ask(ClaimsPrincipal by, ErasureKind kind = ErasureKind.AnnotatorLabels, string? name = "heron-12", IReadOnlyList<PromptId>? prompts = null, string reason = "Case 7.", ProjectId? project = null) =>
            new RequestErasure(Project.Writes, Project.Access, Project.Directory, Project.Ids, Project.Hasher, Project.Time).Handle(by, new(kind, project ?? Project.Id, name, prompts ?? [], reason), Stop);

        public Task<Outcome<ErasureState>> Decide(ClaimsPrincipal by, ErasureRequestId id, bool approve = true, string? note = null, int? seen = null) =>
            new DecideErasure(Project.Writes, Project.Access, Start, Project.Hasher, Project.Time).Handle(by, id, seen ?? Row(id).RowVersion, approve, note, Stop);

        public Task<Outcome<ErasureState>> Withdraw(ClaimsPrincipal by, ErasureRequestId id) => new WithdrawErasure(Project.Writes, Project.Access, Project.Hasher, Project.Time).Handle(by, id, Stop);

        public Task<Outcome<ErasureState>> Again(ClaimsPrincipal by, ErasureRequestId id) => new RunErasureAgain(Project.Writes, Project.Access, Start, Project.Hasher, Project.Time).Handle(by, id, Stop);

        public StartJob Start => new(Project.Writes, Project.Access, Project.Ids, Project.Time);

        public ErasureRequest Row(ErasureRequestId id)
        {
            using var db = Project.Open();
            return db.ErasureRequests.AsNoTracking().Single(r => r.Id == id);
        }

        public void Dispose()
        {
            Project.Dispose();
            database.Dispose();
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task An_admin_asks_another_one_approves_and_the_job_is_queued_once(bool onPostgres)
    {
        using var place = new Place(onPostgres ? postgres : null);
        var project = place.Project;
        Assert.Null((await place.Release.Handle(project.Admin, place.Reward.Id, null, "First.", null, Stop)).Refusal);
        foreach (var person in new[] { project.Reviewer, project.Auditor, project.Annotator, new ClaimsPrincipal() })
            Assert.Equal(ProblemKind.Forbidden, (await place.Ask(person)).Refusal!.Kind);

        var id = (await place.Ask(project.Admin)).Value;
        var asked = place.Row(id);
        var radius = asked.Radius();
        Assert.Equal((ErasureState.Waiting, 2, 1, 1, 1), (asked.State, radius.Judgements, radius.DatasetRows, radius.Datasets, asked.Number));
        Assert.Equal([place.Reward.Label], radius.Retired);
        Assert.Equal([place.Reward.Label], radius.Serving);
        Assert.Equal(ProblemKind.Conflict, (await place.Decide(project.Account(RoleNames.Admin), id, seen: asked.RowVersion + 1)).Refusal!.Kind);
        Assert.Equal(ProblemKind.Forbidden, (await place.Decide(project.Reviewer, id)).Refusal!.Kind);
        Assert.Equal(ErasureState.Approved, (await place.Decide(project.Account(RoleNames.Admin), id, note: "Right.")).Value);
        Assert.Equal(ProblemKind.Conflict, (await place.Decide(project.Account(RoleNames.Admin), id)).Refusal!.Kind);

        using var db = project.Open();
        var job = db.Jobs.AsNoTracking().Single(j => j.Kind == nameof(EraseData));
        Assert.Equal((place.Row(id).JobId, new EraseData { RequestId = id }.ToJson()), (job.Id, job.SpecJson));
        var events = db.AuditEvents.AsNoTracking().Where(e => e.EntityKind == ErasureProof.EntityKind).OrderBy(e => e.Sequence).ToList();
        Assert.Equal(["erasure.request", "erasure.approve"], events.Select(e => e.Action));
        Assert.All(events, e => Assert.All(["heron", $"{place.Person}", "Case 7", "Right."], word => Assert.DoesNotContain(word, e.PayloadJson, StringComparison.Ordinal))); // nobody's name or id
    }

    /// <summary>Not as an admin, not as the only one, not by either answer.</summary>
    [Fact]
    public async Task Whoever_asks_decides_nothing()
    {
        using var place = new Place();
        var id = (await place.Ask(place.Project.Admin)).Value;

        foreach (var approve in new[] { true, false })
            Assert.Equal(ProblemKind.Forbidden, (await place.Decide(place.Project.Admin, id, approve, "Mine.")).Refusal!.Kind);

        Assert.Equal((ErasureState.Waiting, (JobId?)null), (place.Row(id).State, place.Row(id).JobId));
    }

    [Fact]
    public async Task What_cannot_be_asked_for_is_refused_beside_its_field()
    {
        using var place = new Place();
        var project = place.Project;
        async Task<Problem> Why(Task<Outcome<ErasureRequestId>> ask) => (await ask).Refusal!.Problems[0];

        Assert.Equal("reason", (await Why(place.Ask(project.Admin, reason: " "))).Field);
        Assert.Equal("reason", (await Why(place.Ask(project.Admin, reason: new string('x', ErasureRequest.ReasonLengthMax + 1)))).Field);
        Assert.Equal("kind", (await Why(place.Ask(project.Admin, (ErasureKind)99))).Field);
        Assert.Equal(("annotator", ProblemKind.NotFound), await Why(place.Ask(project.Admin, name: "nobody-1")) is var nobody ? (nobody.Field, nobody.Kind) : default);
        Assert.Equal("annotator", (await Why(place.Ask(project.Admin, name: null))).Field);
        Assert.Equal("project", (await Why(place.Ask(project.Admin, project: new ProjectId(Guid.NewGuid())))).Field);
        Assert.Equal("prompts", (await Why(place.Ask(project.Admin, ErasureKind.Prompts, null))).Field);
        Assert.Equal(("prompts", ProblemKind.NotFound), await Why(place.Ask(project.Admin, ErasureKind.Prompts, null, [new PromptId(Guid.NewGuid())])) is var strange ? (strange.Field, strange.Kind) : default);
        Assert.Equal(ProblemKind.TooMuch, (await Why(place.Ask(project.Admin, ErasureKind.Prompts, null, [.. Enumerable.Range(0, ErasureRequest.PromptsMax + 1).Select(_ => new PromptId(Guid.NewGuid()))]))).Kind);
        // A prompt of another project is not this one's to erase.
        var elsewhere = new Project { Id = project.Ids.New<ProjectId>(), Name = "Elsewhere", CreatedAt = project.Now };
        project.Add(elsewhere);
        Assert.Equal("prompts", (await Why(place.Ask(project.Admin, ErasureKind.Prompts, null, [place.Prompts[0]], project: elsewhere.Id))).Field);

        // The same person twice, and the same prompt within another request.
        var first = (await place.Ask(project.Admin)).Value;
        Assert.Contains("Request 1 asks for some of this already", (await Why(place.Ask(project.Admin, ErasureKind.AnnotatorLink))).Message, StringComparison.Ordinal);
        Assert.Null((await place.Ask(project.Admin, ErasureKind.Prompts, null, [place.Prompts[0]])).Refusal);
        Assert.Contains("Request 2", (await Why(place.Ask(project.Admin, ErasureKind.Prompts, null, [place.Prompts[1], place.Prompts[0]]))).Message, StringComparison.Ordinal);
        Assert.Equal(ErasureState.Withdrawn, (await place.Withdraw(project.Admin, first)).Value);
        Assert.Null((await place.Ask(project.Admin, ErasureKind.AnnotatorLink)).Refusal);
        Assert.Equal("note", (await place.Decide(project.Account(RoleNames.Admin), place.Row((await place.Ask(project.Admin, ErasureKind.Prompts, null, [place.Prompts[1]])).Value).Id, approve: false, note: " ")).Refusal!.Problems[0].Field);
    }

    [Fact]
    public async Task Whoever_floods_is_told_to_wait_and_what_ended_early_runs_again_or_is_taken_back()
    {
        using var place = new Place();
        var project = place.Project;
        for (var i = 0; i < RequestErasure.WaitingMax; i++)
            Assert.Null((await place.Ask(project.Admin, ErasureKind.AnnotatorLink, Named($"robin-{i}"))).Refusal);
        Assert.Equal(ProblemKind.TooMuch, (await place.Ask(project.Admin)).Refusal!.Kind);

        var mine = project.Account(RoleNames.Admin);
        var id = (await place.Ask(mine)).Value;
        Assert.Equal(ProblemKind.Conflict, (await place.Again(mine, id)).Refusal!.Kind); // nobody approved it
        await place.Decide(project.Admin, id);
        Assert.Equal(ProblemKind.Forbidden, (await place.Withdraw(project.Admin, id)).Refusal!.Kind);
        Assert.Contains("under way", (await place.Withdraw(mine, id)).Refusal!.ToString(), StringComparison.Ordinal);
        Assert.Contains("under way", (await place.Again(mine, id)).Refusal!.ToString(), StringComparison.Ordinal);
        project.Change(db => db.Jobs.Single(j => j.Id == db.ErasureRequests.Single(r => r.Id == id).JobId).AskCancel(project.Now));
        var earlier = place.Row(id).JobId;
        Assert.Equal(ErasureState.Approved, (await place.Again(project.Admin, id)).Value);
        Assert.NotEqual(earlier, place.Row(id).JobId);

        // Once it has begun to remove there is no way back, only on.
        project.Change(db =>
        {
            var request = db.ErasureRequests.Single(r => r.Id == id);
            request.Note(new ErasureWork());
            db.Jobs.Single(j => j.Id == request.JobId).AskCancel(project.Now);
        });
        Assert.Contains("does not come back", (await place.Withdraw(mine, id)).Refusal!.ToString(), StringComparison.Ordinal);
        Assert.Equal(ErasureState.Running, (await place.Again(mine, id)).Value);

        string Named(string name)
        {
            project.Person(name);
            return name;
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Prompts_are_found_by_words_in_them_or_in_their_responses_as_they_were_typed(bool onPostgres)
    {
        using var place = new Place(onPostgres ? postgres : null);
        var find = new FindPrompts(place.Project.Contexts, place.Project.Access);
        async Task<Outcome<IReadOnlyList<PromptId>>> Found(string? words, ClaimsPrincipal? by = null) => await find.Handle(by ?? place.Project.Admin, place.Project.Id, words, Stop);

        Assert.Equal([place.Prompts[0]], (await Found(" O'Neil & sons ")).Value); // stored as JSON, where ' and & are written otherwise
        Assert.Equal([place.Prompts[1]], (await Found("2 + 2")).Value);
        Assert.Equal(place.Prompts, (await Found("Elm Street 7")).Value);
        foreach (var (words, kind) in new[] { ("ab", ProblemKind.Invalid), (new string('x', FindPrompts.WordsMax + 1), ProblemKind.Invalid), (null, ProblemKind.Invalid), ("no such words", ProblemKind.NotFound), ("100 % \" of _", ProblemKind.NotFound) })
            Assert.Equal(kind, (await Found(words)).Refusal!.Kind);
        Assert.Equal(ProblemKind.Forbidden, (await Found("Elm Street", place.Project.Reviewer)).Refusal!.Kind);
        for (var i = 0; i < FindPrompts.FoundMax; i++)
            place.Project.Prompt($"Elm Street 7, flat {i}?");
        Assert.Equal(ProblemKind.TooMuch, (await Found("Elm Street 7")).Refusal!.Kind);
        // Twins go along: the same words, typed on the try page.
        var chosen = (await new ChooseErasure(place.Project.Contexts, place.Project.Access, place.Project.Directory).Handle(place.Project.Admin, ErasureKind.Prompts, place.Project.Id, null, [place.Prompts[0]], Stop)).Value;
        Assert.Equal(("Where does O'Neil & sons live?", 3, 1), (Assert.Single(chosen.Prompts).Question, chosen.Radius.Texts, chosen.Radius.Judgements));
        Assert.Equal(ProblemKind.Forbidden, (await new ChooseErasure(place.Project.Contexts, place.Project.Access, place.Project.Directory).Names(place.Project.Reviewer, Stop)).Refusal!.Kind);
    }

    [Fact]
    public async Task A_proof_is_shown_as_verified_until_somebody_changes_it_and_is_handed_out_as_it_is_hashed()
    {
        using var place = new Place();
        var project = place.Project;
        var seeded = new SeededErasure(project, SeededProject.AccountOf(project.Admin), SeededProject.AccountOf(project.Reviewer));
        var show = new ShowErasure(project.Contexts, project.Access);

        var seen = (await show.Handle(project.Admin, seeded.Done, Stop)).Value;
        Assert.Equal((null, 1, true), (seen.WhatIsWrong, seen.Bodies.Count, seen.IsMine));
        Assert.True((await show.Handle(project.Admin, seeded.Stuck, Stop)).Value.IsStuck);
        var proof = (await new DownloadProof(project.Contexts, project.Access).Handle(project.Admin, seeded.Done, Stop)).Value;
        Assert.Equal(place.Row(seeded.Done).ProofSha256, ErasureProof.HashOf(Encoding.UTF8.GetString(proof.Bytes)));
        Assert.Equal(ProblemKind.NotFound, (await new DownloadProof(project.Contexts, project.Access).Handle(project.Admin, seeded.Waiting, Stop)).Refusal!.Kind);
        Assert.Equal(ProblemKind.NotFound, (await show.Handle(project.Admin, new ErasureRequestId(Guid.NewGuid()), Stop)).Refusal!.Kind);
        foreach (var person in new[] { project.Reviewer, project.Auditor, project.Annotator })
        {
            Assert.Equal(ProblemKind.Forbidden, (await show.Handle(person, seeded.Done, Stop)).Refusal!.Kind);
            Assert.Equal(ProblemKind.Forbidden, (await new DownloadProof(project.Contexts, project.Access).Handle(person, seeded.Done, Stop)).Refusal!.Kind);
        }
        var list = (await new ListErasures(project.Contexts, project.Access).Handle(project.Admin, 9, Stop)).Value;
        Assert.Equal((4, 0, seeded.Done, true), (list.Total, list.Page, list.Rows[0].Request.Id, list.Rows.Single(row => row.Request.Id == seeded.Stuck).IsStuck));

        project.Change(db => db.ErasureRequests.Where(r => r.Id == seeded.Done).ExecuteUpdate(set => set.SetProperty(r => r.ProofJson, "{}")));
        var broken = (await show.Handle(project.Admin, seeded.Done, Stop)).Value;
        Assert.Contains("was changed after it was written", broken.WhatIsWrong, StringComparison.Ordinal);
        Assert.Null(broken.Proof); // it says nothing that a page could show
    }

    /// <summary>By the handlers that pages call: what was retired is not released, not rolled back to, and not offered.</summary>
    [Fact]
    public async Task What_an_erasure_retired_is_not_released_nor_rolled_back_to()
    {
        using var place = new Place();
        var project = place.Project;
        var freed = project.Model(ModelKind.RewardModel, 2, "erasure, Newton", place.Reward.Id, place.Data.Id);
        Assert.Null((await place.Release.Handle(project.Admin, place.Reward.Id, null, "First.", null, Stop)).Refusal);
        Assert.Null((await place.Release.Handle(project.Admin, freed.Id, place.Reward.Id, "Freed.", null, Stop)).Refusal);
        using (var db = project.Open())
            Assert.Equal(place.Reward.Id, RollBackModel.Target(db, project.Id, ModelKind.RewardModel, freed.Id)); // before it is retired, it is offered
        project.Change(db => db.ModelVersions.Single(v => v.Id == place.Reward.Id).Retire());

        var back = await new RollBackModel(project.Writes, project.Access, project.Ids, project.Hasher, project.Time).Handle(project.Admin, project.Id, ModelKind.RewardModel, freed.Id, "Back.", Stop);
        Assert.Contains("never leads back", back.Refusal!.ToString(), StringComparison.Ordinal);
        Assert.Contains("retired", (await place.Release.Handle(project.Admin, place.Reward.Id, freed.Id, "Again.", null, Stop)).Refusal!.ToString(), StringComparison.Ordinal);
        using var read = project.Open();
        Assert.Equal(((ModelVersionId?)null, freed.Id), (RollBackModel.Target(read, project.Id, ModelKind.RewardModel, freed.Id), read.Projects.Single(p => p.Id == project.Id).CurrentRewardModelId!.Value));

        // A later version may be rolled back to the freed one: that does not cross the erasure.
        var next = project.Model(ModelKind.RewardModel, 3, "reward model");
        Assert.Null((await place.Release.Handle(project.Admin, next.Id, freed.Id, "Trained again.", null, Stop)).Refusal);
        Assert.Null((await new RollBackModel(project.Writes, project.Access, project.Ids, project.Hasher, project.Time).Handle(project.Admin, project.Id, ModelKind.RewardModel, next.Id, "Worse.", Stop)).Refusal);
    }
}
