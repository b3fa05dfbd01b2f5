using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Accounts;
using Portal.Data.Feedback;
using Portal.Tests.Data;
using Portal.Web.Annotate;
using Xunit;

namespace Portal.Tests.Web.Annotate;

/// <summary>Taking a task and being offered one: places, sides, queues and who may see them, on the handlers that page and API share. Runs on both databases.</summary>
public abstract class TakeTaskTests(PostgresFixture? postgres) : AnnotatingTests(postgres)
{
    [Fact]
    public async Task Two_hundred_annotators_at_once_never_hold_or_give_more_votes_than_wanted()
    {
        const int Tasks = 12, Wanted = 3;
        var project = Site.Seed.Project();
        for (var i = 0; i < Tasks; i++)
            Site.Seed.Task(project, $"Question {i}?", $"First {i}", $"Second {i}", Wanted);
        var people = Enumerable.Range(0, 200).Select(i => Site.Person($"annotator-{i}")).ToList();
        var queue = new Queue(project, TaskKind.Pairwise);

        await Task.WhenAll(people.Select((person, index) => Task.Run(async () =>
        {
            var random = new Random(index); // the seed is the annotator's number, so a failure repeats
            var next = (await Site.Get<TakeTask>().Handle(person, queue, Stop)).Value;
            while (next.AssignmentId is { } id)
            {
                var dice = random.NextDouble();
                if (dice < .1)
                    return; // walks away with the lease
                next = dice < .25
                    ? (await Site.Get<SkipTask>().Handle(person, id, "hard", Stop)).Value
                    : (await Site.Get<SubmitJudgement>().Handle(person, Tie(id), Stop)).Value.Next;
            }
        })));

        using var db = Site.Open();
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
    public async Task Whoever_begins_in_many_tabs_at_once_has_one_pseudonym()
    {
        var access = Site.Get<Portal.Web.Accounts.Access>();
        for (var i = 0; i < 10; i++)
        {
            var person = (await access.Find(Site.Person($"annotator-{i}"), Stop))!; // seeded
            var given = await Task.WhenAll(Enumerable.Range(0, 16).Select(_ => Task.Run(() => access.AnnotatorOf(person, Stop))));
            Assert.Single(given.Distinct());
        }
        using var db = Site.Open();
        Assert.Equal(10, db.Annotators.Count());
    }

    [Fact]
    public async Task The_database_itself_refuses_a_second_lease_on_one_place()
    {
        var task = Site.Seed.Task(Site.Seed.Project(), "Q?", "a", "b");
        var (one, two) = (await AnnotatorOf(Site.Person("one")), await AnnotatorOf(Site.Person("two")));
        using var db = Site.Open();
        db.Assignments.Add(Lease(one));
        db.SaveChanges();

        db.Assignments.Add(Lease(two));

        Assert.Throws<DbUpdateException>(() => db.SaveChanges());

        Assignment Lease(AnnotatorId annotator) =>
            Assignment.Take(Site.Get<IdFactory>().New<AssignmentId>(), task, annotator, 0, 2, Site.Clock.GetUtcNow(), TakeTask.Lease);
    }

    [Fact]
    public async Task Nobody_sees_a_task_twice_and_an_empty_queue_says_so()
    {
        var project = Site.Seed.Project();
        var tasks = Enumerable.Range(0, 4).Select(i => Site.Seed.Task(project, $"Q{i}?", "a" + i, "b" + i, votes: 2).Id).ToList();
        var person = Site.Person("one");
        var seen = new List<TaskId>();

        var next = (await Take(person, project)).Value;
        while (next.AssignmentId is { } id)
        {
            seen.Add(TaskOf(id));
            next = seen.Count % 2 == 0 ? (await Site.Get<SkipTask>().Handle(person, id, null, Stop)).Value : (await Submit(person, Tie(id))).Value.Next;
        }

        Assert.Equal(tasks.Order(new ById()), seen.Order(new ById()));
        Assert.Equal(0, (await Site.Get<NextTask>().For(person, new Queue(project, TaskKind.Pairwise), Stop)).Value.Open);
        Assert.Null(next.FreeAt);
        Assert.Null((await Take(person, project)).Value.AssignmentId);
    }

    [Fact]
    public async Task Asking_twice_gives_the_same_lease_with_the_same_sides()
    {
        var project = Site.Seed.Project();
        Site.Seed.Task(project, "Q?", "a", "b");
        Site.Seed.Task(project, "R?", "c", "d");
        var person = Site.Person("one");

        var first = (await Take(person, project)).Value.AssignmentId;
        Site.Clock.Advance(TimeSpan.FromHours(3)); // the lease has run out, and nobody else wanted it
        var second = (await Take(person, project)).Value.AssignmentId;

        Assert.NotNull(first);
        Assert.Equal(first, second);
    }

    [Fact]
    public async Task Sides_are_drawn_for_each_person_and_task_and_the_choice_is_stored_by_id()
    {
        var project = Site.Seed.Project();
        for (var i = 0; i < 40; i++)
            Site.Seed.Task(project, $"Q{i}?", "a" + i, "b" + i);
        var person = Site.Person("one");
        var swapped = 0;

        var next = (await Take(person, project)).Value;
        while (next.AssignmentId is { } id)
        {
            var shown = (await Site.Get<ShowAssignment>().Handle(person, project, id, Stop)).Value;
            swapped += shown.Left.Text[0] == 'b' ? 1 : 0;
            var receipt = (await Submit(person, Prefer(id, shown.Left.Id, 2))).Value;
            using var db = Site.Open();
            var stored = db.PairwiseJudgements.Single(j => j.Id == receipt.JudgementId);
            Assert.Equal(shown.Left.Id, stored.PreferredResponseId);
            Assert.Equal(shown.Left.Id, stored.LeftResponseId);
            next = receipt.Next;
        }

        Assert.InRange(swapped, 5, 35); // a fair coin leaves this range once in five million runs, and annotator ids are drawn anew
    }

    [Fact]
    public async Task Only_people_who_may_vote_are_offered_anything()
    {
        var project = Site.Seed.Project();
        Site.Seed.Task(project, "Q?", "a", "b");
        var auditor = Site.Person("auditor", RoleNames.Auditor);

        var taken = await Take(auditor, project);
        var stranger = await Take(new ClaimsPrincipal(new ClaimsIdentity()), project);

        Assert.Equal(ProblemKind.Forbidden, taken.Refusal?.Kind);
        Assert.Equal(ProblemKind.Forbidden, stranger.Refusal?.Kind);
        using var db = Site.Open();
        Assert.Empty(db.Assignments);
    }

    [Fact]
    public async Task A_kind_the_project_does_not_ask_for_is_not_offered_but_blind_pairs_are()
    {
        var project = Site.Seed.Project(kinds: TaskKinds.Binary);
        Site.Seed.Task(project, "Q?", "a", "b");
        var candidate = Site.Get<IdFactory>().New<ModelVersionId>();
        var blind = Site.Seed.Task(project, "R?", "c", "d", candidate: candidate);
        var person = Site.Person("one");

        var ordinary = (await Take(person, project)).Value;
        var compared = (await Site.Get<TakeTask>().Handle(person, new Queue(project, TaskKind.Pairwise, candidate), Stop)).Value;

        Assert.Null(ordinary.AssignmentId);
        Assert.Equal(blind.Id, TaskOf(compared.AssignmentId!.Value));
        Assert.Equal(candidate, (await Site.Get<FindQueue>().Of(person, compared.AssignmentId.Value, Stop)).Value.CandidateId);
    }

    [Fact]
    public async Task An_archived_project_offers_nothing_and_closes_its_screens()
    {
        var project = Site.Seed.Project();
        Site.Seed.Task(project, "Q?", "a", "b", votes: 2);
        var (one, two) = (Site.Person("one"), Site.Person("two"));
        var id = (await Take(one, project)).Value.AssignmentId!.Value;
        await Site.Get<Portal.Web.Projects.ArchiveProject>().Handle(Site.Person("admin", RoleNames.Admin), project, true, Stop);

        Assert.Null((await Take(two, project)).Value.AssignmentId);
        Assert.Equal(ProblemKind.NotFound, (await Site.Get<ShowAssignment>().Handle(one, project, id, Stop)).Refusal?.Kind);
        Assert.Equal(ProblemKind.NotFound, (await Site.Get<ShowQueue>().Handle(one, new Queue(project, TaskKind.Pairwise), Stop)).Refusal?.Kind);
    }

    [Fact]
    public async Task Erased_texts_close_the_screen()
    {
        var project = Site.Seed.Project();
        var task = Site.Seed.Task(project, "Q?", "a", "b");
        var person = Site.Person("one");
        var id = (await Take(person, project)).Value.AssignmentId!.Value;
        using (var db = Site.Open())
        {
            var response = db.Responses.Single(r => r.Id == task.SecondResponseId);
            db.Contents.Single(c => c.Id == response.ContentId).Erase(Site.Clock.GetUtcNow());
            db.SaveChanges();
        }

        var shown = await Site.Get<ShowAssignment>().Handle(person, project, id, Stop);

        Assert.Equal(ProblemKind.NotFound, shown.Refusal?.Kind);
    }
}

public sealed class TakeTaskOnSqliteTests() : TakeTaskTests(null);

[Collection(PostgresFixture.Collection)]
[Trait("Speed", "slow")]
public sealed class TakeTaskOnPostgresTests(PostgresFixture postgres) : TakeTaskTests(postgres);
