using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Accounts;
using Portal.Data.Feedback;
using Portal.Tests.Data;
using Portal.Web.Annotate;
using Portal.Web.MyWork;
using Xunit;

namespace Portal.Tests.Web.Annotate;

/// <summary>Taking, judging, skipping, undoing and changing, on the handlers that page and API share. Runs on both databases.</summary>
public abstract class AnnotateTests : IDisposable
{
    private static readonly CancellationToken Stop = CancellationToken.None;
    private readonly TestPortal portal;

    protected AnnotateTests(PostgresFixture? postgres) => portal = new TestPortal(postgres);

    public void Dispose() => portal.Dispose();

    [Fact]
    public async Task Two_hundred_annotators_at_once_never_hold_or_give_more_votes_than_wanted()
    {
        const int Tasks = 12, Wanted = 3;
        var project = portal.Seed.Project();
        for (var i = 0; i < Tasks; i++)
            portal.Seed.Task(project, $"Question {i}?", $"First {i}", $"Second {i}", Wanted);
        var people = Enumerable.Range(0, 200).Select(i => portal.Person($"annotator-{i}")).ToList();
        var queue = new Queue(project, TaskKind.Pairwise);

        await Task.WhenAll(people.Select((person, index) => Task.Run(async () =>
        {
            var random = new Random(index); // the seed is the annotator's number, so a failure repeats
            var next = (await portal.Get<TakeTask>().Handle(person, queue, Stop)).Value;
            while (next.AssignmentId is { } id)
            {
                var dice = random.NextDouble();
                if (dice < .1)
                    return; // walks away with the lease
                next = dice < .25
                    ? (await portal.Get<SkipTask>().Handle(person, id, "hard", Stop)).Value
                    : (await portal.Get<SubmitJudgement>().Handle(person, Tie(id), Stop)).Value.Next;
            }
        })));

        using var db = portal.Open();
        foreach (var task in db.Tasks.AsNoTracking().ToList())
        {
            var votes = db.PairwiseJudgements.Count(j => j.TaskId == task.Id && !j.IsSurplus);
            var leases = db.Assignments.Count(a => a.TaskId == task.Id && a.State == AssignmentState.Leased && a.Slot != null);
            Assert.True(votes + leases <= Wanted, $"{votes} votes and {leases} leases where {Wanted} are wanted");
            Assert.Equal(Wanted - votes, task.VotesMissing);
        }
        Assert.Empty(db.PairwiseJudgements.Where(j => j.IsSurplus)); // nobody was late: the clock stood
        Assert.Empty(db.Assignments.GroupBy(a => new { a.TaskId, a.AnnotatorId }).Where(g => g.Count() > 1).Select(g => g.Key));
    }

    [Fact]
    public async Task The_database_itself_refuses_a_second_lease_on_one_place()
    {
        var task = portal.Seed.Task(portal.Seed.Project(), "Q?", "a", "b");
        var (one, two) = (await AnnotatorOf(portal.Person("one")), await AnnotatorOf(portal.Person("two")));
        using var db = portal.Open();
        db.Assignments.Add(Lease(one));
        db.SaveChanges();

        db.Assignments.Add(Lease(two));

        Assert.Throws<DbUpdateException>(() => db.SaveChanges());

        Assignment Lease(AnnotatorId annotator) =>
            Assignment.Take(portal.Get<IdFactory>().New<AssignmentId>(), task, annotator, 0, 2, portal.Clock.GetUtcNow(), TakeTask.Lease);
    }

    [Fact]
    public async Task Nobody_sees_a_task_twice_and_an_empty_queue_says_so()
    {
        var project = portal.Seed.Project();
        var tasks = Enumerable.Range(0, 4).Select(i => portal.Seed.Task(project, $"Q{i}?", "a" + i, "b" + i, votes: 2).Id).ToList();
        var person = portal.Person("one");
        var seen = new List<TaskId>();

        var next = (await Take(person, project)).Value;
        while (next.AssignmentId is { } id)
        {
            seen.Add(TaskOf(id));
            next = seen.Count % 2 == 0 ? (await portal.Get<SkipTask>().Handle(person, id, null, Stop)).Value : (await Submit(person, Tie(id))).Value.Next;
        }

        Assert.Equal(tasks.Order(new ById()), seen.Order(new ById()));
        Assert.Equal(0, next.Open);
        Assert.Null(next.FreeAt);
        Assert.Null((await Take(person, project)).Value.AssignmentId);
    }

    [Fact]
    public async Task Asking_twice_gives_the_same_lease_with_the_same_sides()
    {
        var project = portal.Seed.Project();
        portal.Seed.Task(project, "Q?", "a", "b");
        portal.Seed.Task(project, "R?", "c", "d");
        var person = portal.Person("one");

        var first = (await Take(person, project)).Value.AssignmentId;
        portal.Clock.Advance(TimeSpan.FromHours(3)); // the lease has run out, and nobody else wanted it
        var second = (await Take(person, project)).Value.AssignmentId;

        Assert.NotNull(first);
        Assert.Equal(first, second);
    }

    [Fact]
    public async Task Sides_are_drawn_for_each_person_and_task_and_the_choice_is_stored_by_id()
    {
        var project = portal.Seed.Project();
        for (var i = 0; i < 40; i++)
            portal.Seed.Task(project, $"Q{i}?", "a" + i, "b" + i);
        var person = portal.Person("one");
        var swapped = 0;

        var next = (await Take(person, project)).Value;
        while (next.AssignmentId is { } id)
        {
            var shown = (await portal.Get<ShowAssignment>().Handle(person, project, id, Stop)).Value;
            swapped += shown.Left.Text[0] == 'b' ? 1 : 0;
            var receipt = (await Submit(person, Prefer(id, shown.Left.Id, 2))).Value;
            using var db = portal.Open();
            var stored = db.PairwiseJudgements.Single(j => j.Id == receipt.JudgementId);
            Assert.Equal(shown.Left.Id, stored.PreferredResponseId);
            Assert.Equal(shown.Left.Id, stored.LeftResponseId);
            next = receipt.Next;
        }

        Assert.InRange(swapped, 5, 35); // a fair coin leaves this range once in five million runs, and annotator ids are drawn anew
    }

    [Fact]
    public async Task Sending_a_judgement_again_stores_nothing_and_gives_the_first_receipt()
    {
        var project = portal.Seed.Project();
        var task = portal.Seed.Task(project, "Q?", "a", "b", votes: 3, priority: 1); // the one that is offered first
        portal.Seed.Task(project, "R?", "c", "d", votes: 3);
        var person = portal.Person("one");
        var request = Tie((await Take(person, project)).Value.AssignmentId!.Value);

        var receipts = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => Task.Run(() => Submit(person, request))));

        Assert.Single(receipts, r => !r.Value.Replayed);
        Assert.Single(receipts.Select(r => r.Value.Next.AssignmentId).Distinct());
        Assert.All(receipts, r => Assert.Equal(1, r.Value.Today));
        using var db = portal.Open();
        Assert.Single(db.PairwiseJudgements);
        Assert.Equal(2, db.Tasks.Single(t => t.Id == task.Id).VotesMissing);
    }

    [Fact]
    public async Task Another_persons_judgement_id_is_refused()
    {
        var project = portal.Seed.Project();
        portal.Seed.Task(project, "Q?", "a", "b", votes: 2);
        var (one, two) = (portal.Person("one"), portal.Person("two"));
        var first = Tie((await Take(one, project)).Value.AssignmentId!.Value);
        await Submit(one, first);
        var own = (await Take(two, project)).Value.AssignmentId!.Value;

        var refused = await Submit(two, Tie(own) with { JudgementId = first.JudgementId });
        var foreign = await Submit(two, Tie(first.AssignmentId));

        Assert.NotNull(refused.Refusal?.About("judgementId"));
        Assert.Equal(ProblemKind.NotFound, foreign.Refusal?.Kind);
    }

    [Fact]
    public async Task A_lease_that_ran_out_is_overtaken_and_the_late_vote_is_kept_as_surplus()
    {
        var project = portal.Seed.Project();
        var task = portal.Seed.Task(project, "Q?", "a", "b");
        var (slow, quick) = (portal.Person("slow"), portal.Person("quick"));
        var late = (await Take(slow, project)).Value.AssignmentId!.Value;
        var held = (await Take(quick, project)).Value;
        Assert.Null(held.AssignmentId);
        Assert.Equal(portal.Clock.GetUtcNow() + TakeTask.Lease, held.FreeAt); // says when to come back
        portal.Clock.Advance(TakeTask.Lease);

        var taken = (await Take(quick, project)).Value.AssignmentId!.Value;
        var shown = (await portal.Get<ShowAssignment>().Handle(slow, project, late, Stop)).Value;
        var surplus = (await Submit(slow, Tie(late))).Value;
        var counted = (await Submit(quick, Tie(taken))).Value;

        Assert.True(shown.IsOvertaken);
        Assert.True(surplus.IsSurplus);
        Assert.False(counted.IsSurplus);
        using var db = portal.Open();
        Assert.Equal(2, db.PairwiseJudgements.Count());
        Assert.Equal(TaskState.Done, db.Tasks.Single(t => t.Id == task.Id).State);
    }

    [Fact]
    public async Task An_overtaken_vote_counts_when_a_place_is_free_again()
    {
        var project = portal.Seed.Project();
        portal.Seed.Task(project, "Q?", "a", "b");
        var (slow, quick) = (portal.Person("slow"), portal.Person("quick"));
        var late = (await Take(slow, project)).Value.AssignmentId!.Value;
        portal.Clock.Advance(TakeTask.Lease);
        var taken = (await Take(quick, project)).Value.AssignmentId!.Value;
        await portal.Get<SkipTask>().Handle(quick, taken, null, Stop);

        var receipt = (await Submit(slow, Tie(late))).Value;

        Assert.False(receipt.IsSurplus);
    }

    [Fact]
    public async Task Undo_opens_the_screen_as_it_was_and_the_next_vote_replaces_the_old_one()
    {
        var project = portal.Seed.Project();
        var task = portal.Seed.Task(project, "Q?", "a", "b");
        var person = portal.Person("one");
        var id = (await Take(person, project)).Value.AssignmentId!.Value;
        var first = Prefer(id, task.FirstResponseId, 3) with { Reasons = ["right-facts"], Rationale = "It names the door." };
        await Submit(person, first);

        var reopened = await portal.Get<UndoJudgement>().Handle(person, id, Stop);
        var shown = (await portal.Get<ShowAssignment>().Handle(person, project, id, Stop)).Value;

        Assert.Equal(id, reopened.Value);
        Assert.Equal($"prefer:3:{task.FirstResponseId}", shown.Form.Verdict);
        Assert.Equal(["right-facts"], shown.Form.Reasons);
        Assert.Equal("It names the door.", shown.Form.Rationale);
        Assert.Equal(1, Missing(task.Id));

        portal.Clock.Advance(TimeSpan.FromSeconds(1));
        var second = Tie(id);
        await Submit(person, second);
        await portal.Get<UndoJudgement>().Handle(person, id, Stop);
        portal.Clock.Advance(TimeSpan.FromSeconds(1));
        var third = Tie(id);
        await Submit(person, third);

        using var db = portal.Open();
        Assert.Equal(0, Missing(task.Id));
        Assert.Equal(first.JudgementId, db.PairwiseJudgements.Single(j => j.Id == second.JudgementId).SupersedesId);
        Assert.Equal(second.JudgementId, db.PairwiseJudgements.Single(j => j.Id == third.JudgementId).SupersedesId);
        Assert.Equal([third.JudgementId], db.PairwiseJudgements.Where(j => j.SupersededAt == null).Select(j => j.Id));
        Assert.Equal(1, (await portal.Get<ListMyWork>().Handle(person, null, Stop)).Value.Today);
    }

    [Fact]
    public async Task Undo_ends_after_half_an_hour_and_after_ten()
    {
        var project = portal.Seed.Project();
        for (var i = 0; i < 12; i++)
            portal.Seed.Task(project, $"Q{i}?", "a" + i, "b" + i);
        var person = portal.Person("one");
        var queue = new Queue(project, TaskKind.Pairwise);
        Assert.Equal("There is nothing to undo.", (await portal.Get<UndoJudgement>().Handle(person, queue, Stop)).Refusal?.ToString());
        var next = (await Take(person, project)).Value;
        while (next.AssignmentId is { } id)
            next = (await Submit(person, Tie(id))).Value.Next;

        portal.Clock.Advance(TimeSpan.FromSeconds(1));
        for (var i = 0; i < UndoJudgement.Depth; i++)
            Assert.Null((await portal.Get<UndoJudgement>().Handle(person, queue, Stop)).Refusal);
        var eleventh = await portal.Get<UndoJudgement>().Handle(person, queue, Stop);
        portal.Clock.Advance(UndoJudgement.Grace);
        var late = await portal.Get<UndoJudgement>().Handle(person, queue, Stop);

        Assert.Equal(ProblemKind.Conflict, eleventh.Refusal?.Kind);
        Assert.Equal(ProblemKind.Conflict, late.Refusal?.Kind);
    }

    [Fact]
    public async Task Of_two_drafts_the_later_client_time_counts_whatever_order_they_arrive_in()
    {
        var project = portal.Seed.Project();
        portal.Seed.Task(project, "Q?", "a", "b");
        var person = portal.Person("one");
        var id = (await Take(person, project)).Value.AssignmentId!.Value;
        var noon = portal.Clock.GetUtcNow();
        var drafts = portal.Get<SaveDraft>();

        await drafts.Handle(person, id, """{"verdict":"tie","rationale":"second"}""", noon.AddSeconds(2), Stop);
        var answer = await drafts.Handle(person, id, """{"verdict":"both-bad","rationale":"first"}""", noon.AddSeconds(1), Stop);
        portal.Clock.Advance(TakeTask.Lease - TimeSpan.FromSeconds(1)); // the draft renewed the lease
        var other = (await Take(portal.Person("two"), project)).Value;
        var shown = (await portal.Get<ShowAssignment>().Handle(person, project, id, Stop)).Value;

        Assert.Contains("second", answer.Value.Body, StringComparison.Ordinal);
        Assert.Equal(("tie", "second"), (shown.Form.Verdict, shown.Form.Rationale));
        Assert.Null(other.AssignmentId);
        await Submit(person, Tie(id));
        Assert.Equal(ProblemKind.Conflict, (await drafts.Handle(person, id, "{}", noon.AddHours(1), Stop)).Refusal?.Kind);
        using var db = portal.Open();
        Assert.Empty(db.Drafts);
    }

    [Fact]
    public async Task A_request_that_cannot_be_stored_names_the_field_and_changes_nothing()
    {
        var project = portal.Seed.Project();
        var task = portal.Seed.Task(project, "Q?", "a", "b", priority: 1); // the one that is offered first
        var elsewhere = portal.Seed.Task(project, "R?", "c", "d").FirstResponseId;
        var person = portal.Person("one");
        var id = (await Take(person, project)).Value.AssignmentId!.Value;
        (string Field, JudgementRequest Request)[] wrong =
        [
            ("verdict", Tie(id) with { Verdict = "good" }),
            ("verdict", Tie(id) with { Verdict = "nonsense" }),
            ("preferredResponseId", Tie(id) with { Verdict = "preferred", Strength = 1 }),
            ("preferredResponseId", Prefer(id, elsewhere, 1)),
            ("preferredResponseId", Tie(id) with { PreferredResponseId = task.FirstResponseId }),
            ("strength", Prefer(id, task.FirstResponseId, 4)),
            ("strength", Prefer(id, task.FirstResponseId, 1) with { Strength = null }),
            ("reasons", Tie(id) with { Reasons = ["right-facts", "made-up"] }),
            ("rationale", Tie(id) with { Rationale = new string('x', SubmitJudgement.RationaleLengthMax + 1) }),
            ("rationale", Tie(id) with { Rationale = "a\0b" }),
            ("layout", Tie(id) with { Layout = "diagonal" }),
            ("visibleSeconds", Tie(id) with { VisibleSeconds = double.NaN }),
            ("visibleSeconds", Tie(id) with { VisibleSeconds = -1 }),
            ("judgementId", Tie(id) with { JudgementId = new(Guid.Empty) }),
        ];

        foreach (var (field, request) in wrong)
            Assert.True((await Submit(person, request)).Refusal?.About(field) is not null, $"{field}: {request}");

        using (var db = portal.Open())
        {
            Assert.Empty(db.PairwiseJudgements);
            Assert.Empty(db.Contents.Where(c => c.Kind == ContentKind.Rationale));
        }
        Assert.Null((await Submit(person, Tie(id))).Refusal); // the same screen still takes a good one
    }

    [Fact]
    public async Task Only_people_who_may_vote_are_offered_anything()
    {
        var project = portal.Seed.Project();
        portal.Seed.Task(project, "Q?", "a", "b");
        var auditor = portal.Person("auditor", RoleNames.Auditor);

        var taken = await Take(auditor, project);
        var stranger = await Take(new ClaimsPrincipal(new ClaimsIdentity()), project);

        Assert.Equal(ProblemKind.Forbidden, taken.Refusal?.Kind);
        Assert.Equal(ProblemKind.Forbidden, stranger.Refusal?.Kind);
        using var db = portal.Open();
        Assert.Empty(db.Assignments);
    }

    [Fact]
    public async Task A_kind_the_project_does_not_ask_for_is_not_offered_but_blind_pairs_are()
    {
        var project = portal.Seed.Project(kinds: TaskKinds.Binary);
        portal.Seed.Task(project, "Q?", "a", "b");
        var candidate = portal.Get<IdFactory>().New<ModelVersionId>();
        var blind = portal.Seed.Task(project, "R?", "c", "d", candidate: candidate);
        var person = portal.Person("one");

        var ordinary = (await Take(person, project)).Value;
        var compared = (await portal.Get<TakeTask>().Handle(person, new Queue(project, TaskKind.Pairwise, candidate), Stop)).Value;

        Assert.Null(ordinary.AssignmentId);
        Assert.Equal(blind.Id, TaskOf(compared.AssignmentId!.Value));
        Assert.Equal(candidate, (await portal.Get<FindQueue>().Of(person, compared.AssignmentId.Value, Stop)).Value.CandidateId);
    }

    [Fact]
    public async Task An_archived_project_offers_nothing_and_closes_its_screens()
    {
        var project = portal.Seed.Project();
        portal.Seed.Task(project, "Q?", "a", "b", votes: 2);
        var (one, two) = (portal.Person("one"), portal.Person("two"));
        var id = (await Take(one, project)).Value.AssignmentId!.Value;
        await portal.Get<Portal.Web.Projects.ArchiveProject>().Handle(portal.Person("admin", RoleNames.Admin), project, true, Stop);

        Assert.Null((await Take(two, project)).Value.AssignmentId);
        Assert.Equal(ProblemKind.NotFound, (await portal.Get<ShowAssignment>().Handle(one, project, id, Stop)).Refusal?.Kind);
        Assert.Equal(ProblemKind.NotFound, (await portal.Get<ShowQueue>().Handle(one, new Queue(project, TaskKind.Pairwise), Stop)).Refusal?.Kind);
    }

    [Fact]
    public async Task Erased_texts_close_the_screen()
    {
        var project = portal.Seed.Project();
        var task = portal.Seed.Task(project, "Q?", "a", "b");
        var person = portal.Person("one");
        var id = (await Take(person, project)).Value.AssignmentId!.Value;
        using (var db = portal.Open())
        {
            var response = db.Responses.Single(r => r.Id == task.SecondResponseId);
            db.Contents.Single(c => c.Id == response.ContentId).Erase(portal.Clock.GetUtcNow());
            db.SaveChanges();
        }

        var shown = await portal.Get<ShowAssignment>().Handle(person, project, id, Stop);

        Assert.Equal(ProblemKind.NotFound, shown.Refusal?.Kind);
    }

    [Fact]
    public async Task Changing_a_judgement_stores_a_new_one_and_leaves_the_count_of_votes()
    {
        var project = portal.Seed.Project();
        var task = portal.Seed.Task(project, "Q?", "a", "b", votes: 2);
        var person = portal.Person("one");
        var old = Tie((await Take(person, project)).Value.AssignmentId!.Value);
        await Submit(person, old);
        portal.Clock.Advance(TimeSpan.FromDays(3));
        var change = new ChangeRequest(NewId(), old.JudgementId, "preferred", task.SecondResponseId, 1, ["clearer"], "On second thought.");
        var changes = portal.Get<ChangeJudgement>();

        var first = await changes.Handle(person, change, Stop);
        var replay = await changes.Handle(person, change, Stop);
        var stale = await changes.Handle(person, change with { JudgementId = NewId() }, Stop);
        var foreign = await changes.Handle(portal.Person("two"), change with { JudgementId = NewId(), Supersedes = change.JudgementId }, Stop);

        Assert.Equal(change.JudgementId, first.Value);
        Assert.Equal(change.JudgementId, replay.Value);
        Assert.Equal(ProblemKind.Conflict, stale.Refusal?.Kind);
        Assert.Equal(ProblemKind.NotFound, foreign.Refusal?.Kind);
        Assert.Equal(1, Missing(task.Id));
        var row = Assert.Single((await portal.Get<ListMyWork>().Handle(person, null, Stop)).Value.Rows);
        Assert.Equal((change.JudgementId, true), (row.Id, row.IsChanged));
        using var db = portal.Open();
        Assert.Equal(2, db.PairwiseJudgements.Count());
        Assert.NotNull(db.PairwiseJudgements.Single(j => j.Id == old.JudgementId).SupersededAt);
    }

    [Fact]
    public async Task A_skipped_task_can_be_taken_up_while_a_place_is_free()
    {
        var project = portal.Seed.Project();
        portal.Seed.Task(project, "Q?", "a", "b");
        var (one, two) = (portal.Person("one"), portal.Person("two"));
        var id = (await Take(one, project)).Value.AssignmentId!.Value;
        await portal.Get<SkipTask>().Handle(one, id, null, Stop);
        var others = (await Take(two, project)).Value.AssignmentId!.Value;

        var held = await portal.Get<TakeSkipped>().Handle(one, id, Stop);
        await portal.Get<SkipTask>().Handle(two, others, null, Stop);
        var free = await portal.Get<TakeSkipped>().Handle(one, id, Stop);
        var counted = (await Submit(one, Tie(id))).Value;
        var done = await portal.Get<TakeSkipped>().Handle(two, others, Stop);

        Assert.Equal(ProblemKind.Conflict, held.Refusal?.Kind);
        Assert.Equal(id, free.Value.Id);
        Assert.False(counted.IsSurplus);
        Assert.Equal(ProblemKind.Conflict, done.Refusal?.Kind);
    }

    [Fact]
    public async Task My_work_pages_through_everything_once_and_shows_nobody_elses()
    {
        var project = portal.Seed.Project();
        for (var i = 0; i < ListMyWork.PageSize + 3; i++)
            portal.Seed.Task(project, $"Q{i}?", "a" + i, i % 2 == 0 ? "b" + i : null, votes: 2);
        var (one, two) = (portal.Person("one"), portal.Person("two"));
        foreach (var person in new[] { one, two })
            foreach (var kind in new[] { TaskKind.Pairwise, TaskKind.Binary })
            {
                var next = (await portal.Get<TakeTask>().Handle(person, new Queue(project, kind), Stop)).Value;
                while (next.AssignmentId is { } id)
                {
                    portal.Clock.Advance(TimeSpan.FromSeconds(1));
                    next = (await Submit(person, kind is TaskKind.Pairwise ? Tie(id) : Tie(id) with { Verdict = "good" })).Value.Next;
                }
            }

        var first = (await portal.Get<ListMyWork>().Handle(one, null, Stop)).Value;
        var second = (await portal.Get<ListMyWork>().Handle(one, first.Earlier, Stop)).Value;

        Assert.Equal(ListMyWork.PageSize, first.Rows.Count);
        Assert.Equal(3, second.Rows.Count);
        Assert.Null(second.Earlier);
        Assert.Equal(ListMyWork.PageSize + 3, first.Rows.Concat(second.Rows).Select(r => r.Question).Distinct().Count());
        using var db = portal.Open();
        var annotator = await AnnotatorOf(one);
        Assert.Equal(ListMyWork.PageSize + 3, db.PairwiseJudgements.Count(j => j.AnnotatorId == annotator) + db.BinaryJudgements.Count(j => j.AnnotatorId == annotator));
    }

    private Task<Outcome<Taken>> Take(ClaimsPrincipal person, ProjectId project) =>
        portal.Get<TakeTask>().Handle(person, new Queue(project, TaskKind.Pairwise), Stop);

    private Task<Outcome<Receipt>> Submit(ClaimsPrincipal person, JudgementRequest request) => portal.Get<SubmitJudgement>().Handle(person, request, Stop);

    private static JudgementId NewId() => new(Guid.NewGuid());

    private static JudgementRequest Tie(AssignmentId id) => new(NewId(), id, "tie", null, null, null, null, "side-by-side", 4.5, null, false, false);

    private static JudgementRequest Prefer(AssignmentId id, ResponseId response, int strength) =>
        Tie(id) with { Verdict = "preferred", PreferredResponseId = response, Strength = strength };

    private TaskId TaskOf(AssignmentId id)
    {
        using var db = portal.Open();
        return db.Assignments.Single(a => a.Id == id).TaskId;
    }

    private int Missing(TaskId id)
    {
        using var db = portal.Open();
        return db.Tasks.Single(t => t.Id == id).VotesMissing;
    }

    private async Task<AnnotatorId> AnnotatorOf(ClaimsPrincipal person)
    {
        var access = portal.Get<Portal.Web.Accounts.Access>();
        return await access.AnnotatorOf((await access.Find(person, Stop))!, Stop); // seeded
    }

    private sealed class ById : IComparer<TaskId>
    {
        public int Compare(TaskId x, TaskId y) => x.Value.CompareTo(y.Value);
    }
}

public sealed class AnnotateOnSqliteTests() : AnnotateTests(null);

[Collection(PostgresFixture.Collection)]
public sealed class AnnotateOnPostgresTests(PostgresFixture postgres) : AnnotateTests(postgres);
