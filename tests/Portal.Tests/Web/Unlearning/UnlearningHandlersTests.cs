using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Accounts;
using Portal.Data.Datasets;
using Portal.Data.Explanations;
using Portal.Data.Feedback;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Unlearning;
using Portal.Tests.Data;
using Portal.Tests.Web.Explain;
using Portal.Tests.Web.SaeFeatures;
using Portal.Web.Datasets;
using Portal.Web.Explain;
using Portal.Web.Registry;
using Portal.Web.Shell;
using Portal.Web.Train;
using Portal.Web.Unlearning;
using Xunit;

namespace Portal.Tests.Web.Unlearning;

/// <summary>From a question over a second person's word to a release: who may, what is refused and why, what is stored and logged.</summary>
[Collection(PostgresFixture.Collection)]
public sealed class UnlearningHandlersTests(PostgresFixture postgres)
{
    private static readonly CancellationToken Stop = CancellationToken.None;

    /// <summary>A seeded explanation in data of 240 judgements, so that two of them are below a hundredth, and an engine that answers.</summary>
    private sealed class Place : IAsyncDisposable
    {
        private readonly PortalDatabase database;
        private FakeEngineDoor door = null!; // set by Open

        private Place(PostgresFixture? postgres, ExplanationConfidence confidence)
        {
            database = new PortalDatabase(postgres);
            Project = new SeededProject(database);
            Seeded = new SeededExplanation(Project, 1, confidence);
            var (template, index) = (Seeded.Judgements[11], 12);
            using var db = Project.Open();
            var row = db.DatasetRows.AsNoTracking().Single(r => r.DatasetVersionId == Seeded.Dataset.Id && r.JudgementId == template);
            Project.Add([.. Enumerable.Range(0, 228).Select(i => new DatasetRow
            {
                DatasetVersionId = row.DatasetVersionId, Ordinal = index + i, JudgementId = Project.Ids.New<JudgementId>(), PromptId = row.PromptId, Part = DatasetPart.Train, ChosenId = row.ChosenId, RejectedId = row.RejectedId, Label = null, Margin = null,
                Weight = 1, ContentHash = new string('d', 64),
            })]);
        }

        public SeededProject Project { get; }
        public SeededExplanation Seeded { get; }
        public FakeEngineDoor Door => door;
        public EngineClient Engine { get; private set; } = null!; // likewise

        public static async Task<Place> Open(PostgresFixture? postgres = null, ExplanationConfidence confidence = ExplanationConfidence.Good, bool engine = true)
        {
            var place = new Place(postgres, confidence);
            if (engine)
                place.door = await FakeEngineDoor.Open(place.Project.Directory);
            place.Engine = new EngineClient(place.Project.Directory);
            return place;
        }

        public async Task<Outcome<UnlearningRequestId>> Ask(ClaimsPrincipal by, IReadOnlyList<JudgementId>? judgements = null, UnlearningMethod method = UnlearningMethod.Newton, string reason = "They praise the mill.", UnlearningAction action = UnlearningAction.Remove, UnlearningChoice? choice = null) =>
            await new RequestUnlearning(Project.Contexts, Project.Writes, Project.Access, Engine, Project.Ids, Project.Hasher, Project.Time).Handle(by, new(Seeded.Id, choice ?? new(judgements ?? [Seeded.Judgements[0]]), method, action, reason), Stop);

        public async Task<Outcome<UnlearningState>> Decide(ClaimsPrincipal by, UnlearningRequestId id, bool approve = true, string? note = null, int? seen = null)
        {
            using var db = Project.Open();
            var version = seen ?? db.UnlearningRequests.AsNoTracking().Single(r => r.Id == id).RowVersion;
            return await new DecideUnlearning(Project.Writes, Project.Access, new StartJob(Project.Writes, Project.Access, Project.Ids, Project.Time), Project.Hasher, Project.Time).Handle(by, id, version, approve, note, Stop);
        }

        public UnlearningRequest Row(UnlearningRequestId id)
        {
            using var db = Project.Open();
            return db.UnlearningRequests.AsNoTracking().Single(r => r.Id == id);
        }

        public async ValueTask DisposeAsync()
        {
            Engine.Dispose();
            if (door is not null)
                await door.DisposeAsync();
            Project.Dispose();
            database.Dispose();
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_reviewer_asks_an_admin_approves_and_the_job_is_queued_once(bool onPostgres)
    {
        await using var place = await Place.Open(onPostgres ? postgres : null);
        var project = place.Project;
        foreach (var (person, may) in new[] { (project.Auditor, false), (project.Annotator, false), (new ClaimsPrincipal(), false) })
            Assert.Equal(may, (await place.Ask(person)).Refusal is null);

        // Judgement 1 stands for judgement 2 as well: people who judged the same pair alike go together.
        var id = (await place.Ask(project.Reviewer, [place.Seeded.Judgements[1]])).Value;
        var asked = place.Row(id);
        Assert.Equal((UnlearningState.Waiting, 2, 240, 1), (asked.State, asked.Judgements, asked.JudgementsOf, asked.ApprovalsNeeded));
        Assert.Contains("\"fall\":0.01", asked.PreviewJson, StringComparison.Ordinal); // what the explanation's pair adds to the reward
        Assert.Equal(ProblemKind.Forbidden, (await place.Decide(project.Reviewer, id)).Refusal!.Kind);
        Assert.Equal(ProblemKind.Conflict, (await place.Decide(project.Admin, id, seen: asked.RowVersion + 1)).Refusal!.Kind);
        Assert.Equal(UnlearningState.Approved, (await place.Decide(project.Admin, id, note: "Right.")).Value);
        Assert.Equal(ProblemKind.Conflict, (await place.Decide(project.Account(RoleNames.Admin), id)).Refusal!.Kind); // decided already

        using var db = project.Open();
        var job = db.Jobs.AsNoTracking().Single(j => j.Kind == nameof(UnlearnPairs));
        Assert.Equal((place.Row(id).JobId, new UnlearnPairs { RequestId = id }.ToJson()), (job.Id, job.SpecJson));
        Assert.Equal(["unlearning.request", "unlearning.approve"], db.AuditEvents.AsNoTracking().Where(e => e.EntityKind == "unlearning").OrderBy(e => e.Sequence).Select(e => e.Action).ToList());
        Assert.DoesNotContain(db.AuditEvents.AsNoTracking().Where(e => e.EntityKind == "unlearning").Select(e => e.PayloadJson).ToList(), payload => payload.Contains("praise", StringComparison.Ordinal) || payload.Contains("Right.", StringComparison.Ordinal));
    }

    /// <summary>Whoever asks decides nothing: not as an admin, not as the only one, not by another way in.</summary>
    [Fact]
    public async Task Whoever_asks_decides_nothing()
    {
        await using var place = await Place.Open();
        var id = (await place.Ask(place.Project.Admin)).Value;

        foreach (var approve in new[] { true, false })
            Assert.Equal(ProblemKind.Forbidden, (await place.Decide(place.Project.Admin, id, approve, "Mine.")).Refusal!.Kind);

        Assert.Equal((UnlearningState.Waiting, (JobId?)null), (place.Row(id).State, place.Row(id).JobId));
    }

    /// <summary>One judgement of 240 needs one approval, and on a topic that the project protects two; other topics protect nothing.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task What_a_project_protects_is_not_forgotten_on_one_word(bool onPostgres)
    {
        await using var place = await Place.Open(onPostgres ? postgres : null);
        var (project, seeded) = (place.Project, place.Seeded);
        project.Change(db =>
        {
            db.Projects.Single(p => p.Id == project.Id).Protect([" harm ", "harm", "medicine"]);
            void Topic(int at, string topic)
            {
                var judgement = seeded.Judgements[at];
                db.Prompts.Where(p => db.DatasetRows.Any(r => r.JudgementId == judgement && r.PromptId == p.Id)).ExecuteUpdate(set => set.SetProperty(p => p.Topic, topic));
            }
            Topic(0, "harm");
            Topic(5, "birds");
        });

        var (guarded, free) = ((await place.Ask(project.Reviewer, [seeded.Judgements[0]])).Value, (await place.Ask(project.Reviewer, [seeded.Judgements[5]])).Value);

        Assert.Equal((1, 1, 2), (place.Row(guarded).Judgements, place.Row(guarded).Protected, place.Row(guarded).ApprovalsNeeded));
        Assert.Contains("\"protected\":1", place.Row(guarded).PreviewJson, StringComparison.Ordinal); // whoever decides sees why
        Assert.Equal((0, 1), (place.Row(free).Protected, place.Row(free).ApprovalsNeeded));
        Assert.Equal((UnlearningState.Waiting, UnlearningState.Approved), ((await place.Decide(project.Admin, guarded)).Value, (await place.Decide(project.Admin, free)).Value));
        Assert.Equal(UnlearningState.Approved, (await place.Decide(project.Account(RoleNames.Admin), guarded)).Value);
    }

    [Fact]
    public async Task Above_a_hundredth_two_people_approve_and_above_a_tenth_nobody_can()
    {
        await using var place = await Place.Open();
        var (project, seeded) = (place.Project, place.Seeded);
        var id = (await place.Ask(project.Reviewer, [seeded.Judgements[0], seeded.Judgements[1]])).Value; // 3 of 240
        Assert.Equal(2, place.Row(id).ApprovalsNeeded);

        Assert.Equal(UnlearningState.Waiting, (await place.Decide(project.Admin, id)).Value);
        Assert.Equal(ProblemKind.Forbidden, (await place.Decide(project.Admin, id)).Refusal!.Kind); // twice is not two people
        Assert.Equal(UnlearningState.Approved, (await place.Decide(project.Account(RoleNames.Admin), id)).Value);

        project.Change(db => db.DatasetRows.Where(r => r.DatasetVersionId == seeded.Dataset.Id && r.Ordinal >= 9).ExecuteDelete()); // 9 are left
        var refused = (await place.Ask(project.Reviewer, [seeded.Judgements[5]])).Refusal!;
        Assert.Contains("1 of 9 judgements are more than 10", refused.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_cannot_be_asked_for_is_refused_beside_its_field()
    {
        await using var place = await Place.Open();
        var (project, seeded) = (place.Project, place.Seeded);
        async Task<Problem> Why(Func<Task<Outcome<UnlearningRequestId>>> ask) => (await ask()).Refusal!.Problems[0];

        Assert.Equal("judgements", (await Why(() => place.Ask(project.Reviewer, []))).Field);
        Assert.Equal(("judgements", ProblemKind.NotFound), await Why(() => place.Ask(project.Reviewer, [seeded.Judgements[11]])) is var p ? (p.Field, p.Kind) : default); // explains nothing here
        Assert.Equal("reason", (await Why(() => place.Ask(project.Reviewer, reason: " "))).Field);
        Assert.Equal("reason", (await Why(() => place.Ask(project.Reviewer, reason: new string('x', UnlearningRequest.ReasonLengthMax + 1)))).Field);
        Assert.Equal("method", (await Why(() => place.Ask(project.Reviewer, method: (UnlearningMethod)99))).Field);
        // Two overlapping requests: by an alike judgement too.
        var first = (await place.Ask(project.Reviewer, [seeded.Judgements[1]])).Value;
        Assert.Contains("Request 1 asks for some of these pairs already", (await Why(() => place.Ask(project.Admin, [seeded.Judgements[1], seeded.Judgements[0]]))).Message, StringComparison.Ordinal);
        Assert.Equal(UnlearningState.Withdrawn, (await new WithdrawUnlearning(project.Writes, project.Access, project.Hasher, project.Time).Handle(project.Reviewer, first, Stop)).Value);
        Assert.Null((await place.Ask(project.Admin, [seeded.Judgements[1]])).Refusal);
        // Of another version of the data, of a retired model, and of no explanation.
        var other = project.Dataset(9, [], project.Prompt("Other?"), seeded.Chosen[0], seeded.Chosen[1]);
        using (var db = project.Open())
            Assert.Equal(1, db.ModelVersions.Where(v => v.Id == seeded.RewardModel.Id).ExecuteUpdate(set => set.SetProperty(v => v.DatasetVersionId, other.Id)));
        Assert.Contains("another version of the data", (await Why(() => place.Ask(project.Reviewer))).Message, StringComparison.Ordinal);
        project.Change(db => db.ModelVersions.Single(v => v.Id == seeded.RewardModel.Id).Retire());
        Assert.Equal("rewardModel", (await Why(() => place.Ask(project.Reviewer))).Field);
    }

    /// <summary>Pairs whose newest mark says that they are the wrong way round are turned round unless somebody wants otherwise; what was changed is shown so, and only removed after that.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Pairs_that_were_read_and_found_wrong_are_turned_round(bool onPostgres)
    {
        await using var place = await Place.Open(onPostgres ? postgres : null);
        var (project, seeded, asked) = (place.Project, place.Seeded, new List<UnlearningAction>());
        var plain = place.Door.Removal;
        place.Door.Removal = request =>
        {
            asked.Add(request.Action);
            return plain(request);
        };
        var choose = new ChooseUnlearning(project.Contexts, project.Access, place.Engine);
        async Task<ChosenPairs> Choose(int[] pairs, UnlearningAction? action = null) => (await choose.Handle(project.Reviewer, seeded.Id, new([.. pairs.Select(at => seeded.Judgements[at])]), action, Stop)).Value;
        void Mark(int pair, PairVerdict verdict, int minute) =>
            project.Add(new PairMark { Id = project.Ids.New<PairMarkId>(), ExplanationId = seeded.Id, JudgementId = seeded.Judgements[pair], Verdict = verdict, By = Guid.Empty, At = project.Now.AddMinutes(minute) });

        Assert.Equal(UnlearningAction.Remove, (await Choose([5])).Action);
        Mark(5, PairVerdict.WrongLabel, 1);
        var turned = await Choose([5]);
        Assert.Equal((UnlearningAction.Relabel, (double?)null), (turned.Action, turned.Preview!.Fall));
        Assert.Equal(UnlearningAction.Remove, (await Choose([5, 8])).Action); // nobody said so of the other
        var less = await Choose([5, 8], UnlearningAction.DownWeight);
        Assert.Equal((UnlearningAction.DownWeight, 0.065), (less.Action, Math.Round(less.Preview!.Fall!.Value, 9))); // half of .05 + .08
        Mark(5, PairVerdict.Fine, 2);
        Assert.Equal(UnlearningAction.Remove, (await Choose([5])).Action);
        Assert.Equal([UnlearningAction.Remove, UnlearningAction.Relabel, UnlearningAction.Remove, UnlearningAction.DownWeight, UnlearningAction.Remove], asked);

        Assert.Equal("method", (await place.Ask(project.Reviewer, method: UnlearningMethod.SwapAndRetain, action: UnlearningAction.Relabel)).Refusal!.Problems[0].Field);
        Assert.Equal("action", (await place.Ask(project.Reviewer, action: (UnlearningAction)99)).Refusal!.Problems[0].Field);
        var id = (await place.Ask(project.Reviewer, [seeded.Judgements[5]], action: UnlearningAction.Relabel)).Value;
        Assert.Equal(UnlearningAction.Relabel, place.Row(id).Action);
        await place.Decide(project.Admin, id);
        var version = project.Model(ModelKind.RewardModel, 50, "unlearning, Newton, pairs turned round", seeded.RewardModel.Id, seeded.Dataset.Id);
        project.Change(db => db.UnlearningRequests.Single(r => r.Id == id).Made(version.Id, new UnlearningOutcome(1, null, new(.9, .9, .9), new(.9, .9, .9), .001, 1e-9, .01, .99, .1, .5)));
        using (var db = project.Open())
        {
            var (before, after) = ((await PairText.Read(db, seeded.RewardModel, seeded.Dataset.Id, [seeded.Judgements[5]], Stop))[0], (await PairText.Read(db, version, seeded.Dataset.Id, [seeded.Judgements[5]], Stop))[0]);
            Assert.Equal((before.Rejected, before.Chosen, null, new EarlierChange(id, 1, true)), (after.Chosen, after.Rejected, before.ChangedBy, after.ChangedBy));
        }

        // Explained by the version that goes by it the other way round, it is removed or left.
        project.Change(db => db.Explanations.Where(e => e.Id == seeded.Id).ExecuteUpdate(set => set.SetProperty(e => e.RewardModelId, version.Id)));
        foreach (var action in new[] { UnlearningAction.Relabel, UnlearningAction.DownWeight })
            Assert.Contains("Request 1 changed some of these pairs already", (await place.Ask(project.Reviewer, [seeded.Judgements[5]], action: action)).Refusal!.ToString(), StringComparison.Ordinal);
        Assert.Null((await place.Ask(project.Reviewer, [seeded.Judgements[5]])).Refusal);
        Assert.Null((await place.Ask(project.Reviewer, [seeded.Judgements[8]], action: UnlearningAction.Relabel)).Refusal);

        // In data made after the release the row itself is so: the page of the data and an explanation by it name the request, and it is not turned back by another one.
        using (var db = project.Open())
        {
            var row = db.DatasetRows.AsNoTracking().Single(r => r.DatasetVersionId == seeded.Dataset.Id && r.JudgementId == seeded.Judgements[9]);
            Assert.Equal(1, db.DatasetRows.Where(r => r.DatasetVersionId == seeded.Dataset.Id && r.Ordinal == row.Ordinal).ExecuteUpdate(set => set.SetProperty(r => r.ChangedBy, id).SetProperty(r => r.ChosenId, row.RejectedId!.Value).SetProperty(r => r.RejectedId, row.ChosenId)));
            Assert.Equal(new EarlierChange(id, 1, true), (await PairText.Read(db, seeded.RewardModel, seeded.Dataset.Id, [seeded.Judgements[9]], Stop))[0].ChangedBy);
        }
        Assert.Equal(1, (await new ShowDatasetVersion(project.Contexts, project.Access).Handle(project.Auditor, seeded.Dataset.Id, 0, Stop)).Value.Changes[id]);
        Assert.Contains("Request 1 changed", (await place.Ask(project.Reviewer, [seeded.Judgements[9]], action: UnlearningAction.Relabel)).Refusal!.ToString(), StringComparison.Ordinal);
    }

    /// <summary>All that a person gave of the model's data, or of some days: not what others gave who judged the same pairs alike; nobody whom the explanation does not show.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_request_may_be_about_all_that_one_person_gave(bool onPostgres)
    {
        await using var place = await Place.Open(onPostgres ? postgres : null);
        var (project, seeded) = (place.Project, place.Seeded);
        var heron = seeded.Annotators[0]; // judged pairs 0 to 4; pair 1 was judged alike by pair 2's row
        var today = DateOnly.FromDateTime(project.Now.UtcDateTime);
        async Task<Problem> Why(UnlearningChoice choice) => (await place.Ask(project.Reviewer, choice: choice)).Refusal!.Problems[0];

        Assert.Equal("annotator", (await Why(new([], "nobody"))).Field);
        Assert.Equal("until", (await Why(new([], heron, today, today.AddDays(-1)))).Field);
        Assert.Equal("from", (await Why(new([], heron, today.AddDays(1)))).Field);
        using (var db = project.Open())
        {
            var later = seeded.Judgements[4];
            Assert.Equal(1, db.PairwiseJudgements.Where(j => j.Id == later).ExecuteUpdate(set => set.SetProperty(j => j.SubmittedAt, project.Now.AddDays(3))));
            var wren = seeded.Judgements[6]; // held out from training: no part of it
            Assert.Equal(1, db.DatasetRows.Where(r => r.DatasetVersionId == seeded.Dataset.Id && r.JudgementId == wren).ExecuteUpdate(set => set.SetProperty(r => r.Part, DatasetPart.HeldOut)));
        }
        var some = (await place.Ask(project.Reviewer, choice: new([], heron, today, today))).Value;
        var all = (await place.Ask(project.Admin, choice: new([], seeded.Annotators[1]))).Value;
        using (var db = project.Open())
        {
            Assert.Equal(seeded.Judgements[..4].OrderBy(id => id.Value), db.UnlearningPairs.AsNoTracking().Where(p => p.RequestId == some).Select(p => p.JudgementId).ToList().OrderBy(id => id.Value));
            Assert.Equal(new[] { seeded.Judgements[5], seeded.Judgements[7] }.OrderBy(id => id.Value), db.UnlearningPairs.AsNoTracking().Where(p => p.RequestId == all).Select(p => p.JudgementId).ToList().OrderBy(id => id.Value));
        }
        Assert.Equal((4, 2), (place.Row(some).Judgements, place.Row(some).ApprovalsNeeded));
        Assert.DoesNotContain("\"fall\":0", place.Row(some).PreviewJson, StringComparison.Ordinal); // what most of them add to the reward is not kept
        Assert.Contains("asks for some of these pairs already", (await Why(new([], heron))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_nothing_explains_is_offered_for_nothing_and_without_the_engine_nothing_is_asked_for()
    {
        await using (var unexplained = await Place.Open(confidence: ExplanationConfidence.Unexplained))
            Assert.Contains("do not explain the response", (await unexplained.Ask(unexplained.Project.Reviewer)).Refusal!.ToString(), StringComparison.Ordinal);
        await using var away = await Place.Open(engine: false);
        Assert.Contains("engine is not running", (await away.Ask(away.Project.Reviewer)).Refusal!.ToString(), StringComparison.Ordinal);
        var chosen = await new ChooseUnlearning(away.Project.Contexts, away.Project.Access, away.Engine).Handle(away.Project.Reviewer, away.Seeded.Id, new([away.Seeded.Judgements[0]]), null, Stop);
        Assert.Null(chosen.Value.Preview);
        Assert.Contains("engine is not running", chosen.Value.Why!.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Whoever_floods_is_told_to_wait_and_a_job_that_failed_can_be_taken_back()
    {
        await using var place = await Place.Open();
        var project = place.Project;
        using (var db = project.Open())
        {
            for (var i = 0; i < RequestUnlearning.WaitingMax; i++)
                db.UnlearningRequests.Add(new UnlearningRequest
                {
                    Id = project.Ids.New<UnlearningRequestId>(), ProjectId = project.Id, Number = 100 + i, ExplanationId = place.Seeded.Id, RewardModelId = place.Seeded.RewardModel.Id, DatasetVersionId = place.Seeded.Dataset.Id, Method = UnlearningMethod.Newton,
                    Reason = "x", Judgements = 1, JudgementsOf = 240, PreviewJson = "{}", RequestedBy = SeededProject.AccountOf(project.Reviewer), RequestedAt = project.Now,
                });
            db.SaveChanges();
        }
        Assert.Equal(ProblemKind.TooMuch, (await place.Ask(project.Reviewer)).Refusal!.Kind);

        var id = (await place.Ask(project.Account(RoleNames.Reviewer))).Value;
        await place.Decide(project.Admin, id);
        var withdraw = new WithdrawUnlearning(project.Writes, project.Access, project.Hasher, project.Time);
        var mine = new ClaimsPrincipal(new ClaimsIdentity([new Claim(ClaimTypes.NameIdentifier, $"{place.Row(id).RequestedBy}")], "test"));
        Assert.Equal(ProblemKind.Forbidden, (await withdraw.Handle(project.Reviewer, id, Stop)).Refusal!.Kind);
        Assert.Contains("under way", (await withdraw.Handle(mine, id, Stop)).Refusal!.ToString(), StringComparison.Ordinal);
        project.Change(db => db.Jobs.Single(j => j.Id == db.UnlearningRequests.Single(r => r.Id == id).JobId).AskCancel(project.Now));
        Assert.Equal(UnlearningState.Withdrawn, (await withdraw.Handle(mine, id, Stop)).Value);
    }

    [Fact]
    public async Task A_version_is_released_and_rolled_back_through_the_one_way_there_is_and_the_request_follows()
    {
        await using var place = await Place.Open();
        var project = place.Project;
        var id = (await place.Ask(project.Reviewer)).Value;
        var early = project.Model(ModelKind.RewardModel, 50, "unlearning, Newton", place.Seeded.RewardModel.Id, place.Seeded.Dataset.Id);
        var release = new ReleaseModel(project.Writes, project.Access, project.Ids, project.Hasher, project.Time);
        var back = new RollBackModel(project.Writes, project.Access, project.Ids, project.Hasher, project.Time);
        Assert.Null((await release.Handle(project.Admin, place.Seeded.RewardModel.Id, null, "First.", null, Stop)).Refusal);

        await place.Decide(project.Admin, id);
        project.Change(db => db.UnlearningRequests.Single(r => r.Id == id).Made(early.Id, new UnlearningOutcome(1, new(2, .5, .4), new(.9, .9, .9), new(.9, .8, .9), .001, 1e-9, .01, .99, .1, .5)));
        Assert.Null((await release.Handle(project.Admin, early.Id, place.Seeded.RewardModel.Id, "Forgets the mill.", null, Stop)).Refusal);
        Assert.Equal(UnlearningState.Released, place.Row(id).State);
        using (var db = project.Open())
            Assert.Equal([KeyValuePair.Create(place.Seeded.Judgements[0], new PairStanding(id, UnlearningAction.Remove))], await UnlearntPairs.Released(db, project.Id, Stop));

        Assert.Null((await back.Handle(project.Admin, project.Id, ModelKind.RewardModel, early.Id, "Worse.", Stop)).Refusal);
        Assert.Equal(UnlearningState.RolledBack, place.Row(id).State);
        using (var db = project.Open())
            Assert.Empty(await UnlearntPairs.Released(db, project.Id, Stop)); // they count again

        // The gates of what was measured: the nearest pairs suffered, the rest is as it should be.
        var gates = place.Row(id).Outcome()!.Gates();
        Assert.Equal((true, false, true, true), (gates[UnlearningGate.HeldOut], gates[UnlearningGate.Neighbours], gates[UnlearningGate.Margins], gates[UnlearningGate.BadReward]));
        // Below what it would be without the pairs by more than a fifth of the fall: taught the opposite.
        Assert.False(new UnlearningOutcome(1, new(2, -1, .4), new(.9, .9, .9), new(.9, .9, .9), null, null, null, null, 1, 1).Gates()[UnlearningGate.BadReward]);
        Assert.Equal((false, null), (Margins(.3, .01), Margins(.2, .99))); // of five pairs D is .2 by one step
        static bool? Margins(double d, double p) => new UnlearningOutcome(5, null, new(.9, .9, .9), new(.9, .9, .9), 0, 0, d, p, 1, 1).Gates()[UnlearningGate.Margins];
        Assert.Null(new UnlearningOutcome(1, null, new(.9, .9, .9), new(.9, .9, .9), null, null, null, null, 1, 1).Gates()[UnlearningGate.BadReward]);
        var seen = await new ShowUnlearning(project.Contexts, project.Access).Handle(project.Reviewer, id, Stop);
        Assert.Equal(("heron-1-1", false, early.Id), (seen.Value.Pairs[0].Annotator, seen.Value.MayDecide, seen.Value.Made!.Id));
        Assert.Equal(1, (await new ListUnlearning(project.Contexts, project.Access).Handle(project.Admin, project.Id, 7, Stop)).Value.Total);
    }

    [Fact]
    public async Task The_trail_has_every_step_and_shows_an_event_that_was_changed()
    {
        await using var place = await Place.Open();
        var project = place.Project;
        var id = (await place.Ask(project.Reviewer)).Value;
        await place.Decide(project.Admin, id, approve: false, note: "Half of these are good.");
        var trail = new ReadTrail(project.Contexts, project.Access);

        var events = (await trail.Handle(project.Reviewer, id, Stop)).Value;
        Assert.Equal(["unlearning.request", "unlearning.refuse"], events.Select(one => one.Event.Action));
        Assert.All(events, one => Assert.True(one.Stands));
        Assert.Equal(ProblemKind.Forbidden, (await trail.Handle(project.Annotator, id, Stop)).Refusal!.Kind);
        var columns = (await trail.Table(project.Admin, id, Stop)).Value;
        Assert.Equal(2, await columns.Rows.CountAsync());

        using (var db = project.Open())
        {
            var refused = events[1].Event.Sequence;
            db.AuditEvents.Where(e => e.Sequence == refused).ExecuteUpdate(set => set.SetProperty(e => e.Action, "unlearning.approve"));
            Assert.Contains("was changed after it was written", Portal.Data.AuditLog.AuditChain.Verify(db.AuditEvents.AsNoTracking().OrderBy(e => e.Sequence)).Problem, StringComparison.Ordinal);
        }
        Assert.Equal([true, false], (await trail.Handle(project.Reviewer, id, Stop)).Value.Select(one => one.Stands));
    }

    [Fact]
    public async Task The_policy_is_trained_with_it_by_an_admin_once_at_a_time()
    {
        await using var place = await Place.Open();
        var (project, id) = (place.Project, (await place.Ask(place.Project.Reviewer)).Value);
        var repair = new RepairPolicy(project.Writes, project.Access, new StartJob(project.Writes, project.Access, project.Ids, project.Time), project.Hasher, project.Time);
        Assert.Equal(ProblemKind.Forbidden, (await repair.Handle(project.Reviewer, id, PolicyRepair.FromServing, 7, Stop)).Refusal!.Kind);
        Assert.Equal("steps", (await repair.Handle(project.Admin, id, PolicyRepair.FromServing, 0, Stop)).Refusal!.Problems[0].Field);
        Assert.Equal("how", (await repair.Handle(project.Admin, id, default, null, Stop)).Refusal!.Problems[0].Field);
        Assert.Contains("No policy serves", (await repair.Handle(project.Admin, id, PolicyRepair.FromServing, 7, Stop)).Refusal!.ToString(), StringComparison.Ordinal);
        Assert.Null((await new ReleaseModel(project.Writes, project.Access, project.Ids, project.Hasher, project.Time).Handle(project.Admin, place.Seeded.Policy.Id, null, "First.", null, Stop)).Refusal);
        Assert.Contains("no reward model", (await repair.Handle(project.Admin, id, PolicyRepair.FromBase, 7, Stop)).Refusal!.ToString(), StringComparison.Ordinal);
        var made = project.Model(ModelKind.RewardModel, 50, "unlearning, Newton", place.Seeded.RewardModel.Id, place.Seeded.Dataset.Id);
        await place.Decide(project.Admin, id);
        project.Change(db => db.UnlearningRequests.Single(r => r.Id == id).Made(made.Id, new UnlearningOutcome(1, null, new(.9, .9, .9), new(.9, .9, .9), 0, 0, 0, 1, 1, 1)));

        var started = (await repair.Handle(project.Admin, id, PolicyRepair.FromServing, 7, Stop)).Value;
        Assert.Contains("under way already", (await repair.Handle(project.Admin, id, PolicyRepair.FromBase, 7, Stop)).Refusal!.ToString(), StringComparison.Ordinal);

        using var db = project.Open();
        var spec = Assert.IsType<TrainRlooPolicy>(JobSpec.FromJson(db.Jobs.AsNoTracking().Single(j => j.Id == started.Id).SpecJson));
        Assert.Equal((place.Seeded.Policy.Id, made.Id, TrainRlooPolicy.Repair.KlBudgetNats), (spec.ParentId, spec.RewardModelId, spec.KlBudgetNats));
        Assert.Equal((7, db.Responses.AsNoTracking().Single(r => r.Id == place.Seeded.Response).PromptId), (spec.Optimization.StepsMax, spec.Evaluation.LikeId!.Value));
        Assert.Equal((AdvantageBaseline.Greedy, TrainRlooPolicy.Repair.RetainWeight, spec.Evaluation.LikeId), (spec.Baseline, spec.RetainWeight, spec.LikeId));
        Assert.Empty(SpecChecks.Of(spec));
        Assert.Equal(1, db.Jobs.Count(j => j.Kind == nameof(TrainRlooPolicy))); // what was refused left no job
        var seen = (await new ShowUnlearning(project.Contexts, project.Access).Handle(project.Reviewer, id, Stop)).Value;
        Assert.Equal((started.Id, null), (seen.Repair!.Id, seen.Repaired));

        // From the base: the judged pairs as the new reward model orders them, read once.
        project.Change(open => open.Jobs.Single(j => j.Id == started.Id).AskCancel(project.Now));
        var again = (await repair.Handle(project.Admin, id, PolicyRepair.FromBase, null, Stop)).Value;
        var dpo = Assert.IsType<TrainPreferencePolicy>(JobSpec.FromJson(db.Jobs.AsNoTracking().Single(j => j.Id == again.Id).SpecJson));
        Assert.Equal((PreferenceMethod.Dpo, null, made.Id, made.Id, spec.Evaluation.LikeId, null), (dpo.Method, dpo.ParentId, dpo.RelabelledById!.Value, dpo.RewardModelId!.Value, dpo.Evaluation.LikeId, dpo.Optimization.StepsMax));
    }
}
