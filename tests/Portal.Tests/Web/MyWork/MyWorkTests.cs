using Portal.Data;
using Portal.Data.Feedback;
using Portal.Tests.Data;
using Portal.Tests.Web.Annotate;
using Portal.Web.Annotate;
using Portal.Web.MyWork;
using Xunit;

namespace Portal.Tests.Web.MyWork;

/// <summary>One's own judgements: changed, skipped and listed. Runs on both databases.</summary>
public abstract class MyWorkTests(PostgresFixture? postgres) : AnnotatingTests(postgres)
{
    [Fact]
    public async Task Changing_a_judgement_stores_a_new_one_and_leaves_the_count_of_votes()
    {
        var project = Site.Seed.Project();
        var task = Site.Seed.Task(project, "Q?", "a", "b", votes: 2);
        var person = Site.Person("one");
        var old = Tie((await Take(person, project)).Value.AssignmentId!.Value);
        await Submit(person, old);
        Site.Clock.Advance(TimeSpan.FromDays(3));
        var change = new ChangeRequest(NewId(), old.JudgementId, "preferred", task.SecondResponseId, 1, ["clearer"], "On second thought.");
        var changes = Site.Get<ChangeJudgement>();

        var first = await changes.Handle(person, change, Stop);
        var replay = await changes.Handle(person, change, Stop);
        var stale = await changes.Handle(person, change with { JudgementId = NewId() }, Stop);
        var foreign = await changes.Handle(Site.Person("two"), change with { JudgementId = NewId(), Supersedes = change.JudgementId }, Stop);

        Assert.Equal(change.JudgementId, first.Value);
        Assert.Equal(change.JudgementId, replay.Value);
        Assert.Equal(ProblemKind.Conflict, stale.Refusal?.Kind);
        Assert.Equal(ProblemKind.NotFound, foreign.Refusal?.Kind);
        Assert.Equal(1, Missing(task.Id));
        var row = Assert.Single((await Site.Get<ListMyWork>().Handle(person, null, Stop)).Value.Rows);
        Assert.Equal((change.JudgementId, true), (row.Id, row.IsChanged));
        using var db = Site.Open();
        Assert.Equal(2, db.PairwiseJudgements.Count());
        Assert.NotNull(db.PairwiseJudgements.Single(j => j.Id == old.JudgementId).SupersededAt);
    }

    [Fact]
    public async Task A_skipped_task_can_be_taken_up_while_a_place_is_free()
    {
        var project = Site.Seed.Project();
        Site.Seed.Task(project, "Q?", "a", "b");
        var (one, two) = (Site.Person("one"), Site.Person("two"));
        var id = (await Take(one, project)).Value.AssignmentId!.Value;
        await Site.Get<SkipTask>().Handle(one, id, null, Stop);
        var others = (await Take(two, project)).Value.AssignmentId!.Value;

        var held = await Site.Get<TakeSkipped>().Handle(one, id, Stop);
        await Site.Get<SkipTask>().Handle(two, others, null, Stop);
        var free = await Site.Get<TakeSkipped>().Handle(one, id, Stop);
        var counted = (await Submit(one, Tie(id))).Value;
        var done = await Site.Get<TakeSkipped>().Handle(two, others, Stop);

        Assert.Equal(ProblemKind.Conflict, held.Refusal?.Kind);
        Assert.Equal(id, free.Value.Id);
        Assert.False(counted.IsSurplus);
        Assert.Equal(ProblemKind.Conflict, done.Refusal?.Kind);
    }

    [Fact]
    public async Task My_work_pages_through_everything_once_and_shows_nobody_elses()
    {
        var project = Site.Seed.Project();
        for (var i = 0; i < ListMyWork.PageSize + 3; i++)
            Site.Seed.Task(project, $"Q{i}?", "a" + i, i % 2 == 0 ? "b" + i : null, votes: 2);
        var (one, two) = (Site.Person("one"), Site.Person("two"));
        foreach (var person in new[] { one, two })
            foreach (var kind in new[] { TaskKind.Pairwise, TaskKind.Binary })
            {
                var next = (await Site.Get<TakeTask>().Handle(person, new Queue(project, kind), Stop)).Value;
                while (next.AssignmentId is { } id)
                {
                    Site.Clock.Advance(TimeSpan.FromSeconds(1));
                    next = (await Submit(person, kind is TaskKind.Pairwise ? Tie(id) : Tie(id) with { Verdict = "good" })).Value.Next;
                }
            }

        var first = (await Site.Get<ListMyWork>().Handle(one, null, Stop)).Value;
        var second = (await Site.Get<ListMyWork>().Handle(one, first.Earlier, Stop)).Value;

        Assert.Equal(ListMyWork.PageSize, first.Rows.Count);
        Assert.Equal(3, second.Rows.Count);
        Assert.Null(second.Earlier);
        Assert.Equal(ListMyWork.PageSize + 3, first.Rows.Concat(second.Rows).Select(r => r.Question).Distinct().Count());
        using var db = Site.Open();
        var annotator = await AnnotatorOf(one);
        Assert.Equal(ListMyWork.PageSize + 3, db.PairwiseJudgements.Count(j => j.AnnotatorId == annotator) + db.BinaryJudgements.Count(j => j.AnnotatorId == annotator));
    }
}

public sealed class MyWorkOnSqliteTests() : MyWorkTests(null);

[Collection(PostgresFixture.Collection)]
[Trait("Speed", "slow")]
public sealed class MyWorkOnPostgresTests(PostgresFixture postgres) : MyWorkTests(postgres);
