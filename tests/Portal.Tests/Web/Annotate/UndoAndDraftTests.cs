using Portal.Data;
using Portal.Data.Feedback;
using Portal.Tests.Data;
using Portal.Web.Annotate;
using Portal.Web.MyWork;
using Xunit;

namespace Portal.Tests.Web.Annotate;

/// <summary>Going back to the last judgement, and what was typed but not sent. Runs on both databases.</summary>
public abstract class UndoAndDraftTests(PostgresFixture? postgres) : AnnotatingTests(postgres)
{
    [Fact]
    public async Task Undo_opens_the_screen_as_it_was_and_the_next_vote_replaces_the_old_one()
    {
        var project = Site.Seed.Project();
        var task = Site.Seed.Task(project, "Q?", "a", "b");
        var person = Site.Person("one");
        var id = (await Take(person, project)).Value.AssignmentId!.Value;
        var first = Prefer(id, task.FirstResponseId, 3) with { Reasons = ["right-facts"], Rationale = "It names the door." };
        await Submit(person, first);

        var reopened = await Site.Get<UndoJudgement>().Handle(person, id, Stop);
        var shown = (await Site.Get<ShowAssignment>().Handle(person, project, id, Stop)).Value;

        Assert.Equal(id, reopened.Value);
        Assert.Equal($"prefer:3:{task.FirstResponseId}", shown.Form.Verdict);
        Assert.Equal(["right-facts"], shown.Form.Reasons);
        Assert.Equal("It names the door.", shown.Form.Rationale);
        Assert.Equal(1, Missing(task.Id));

        Site.Clock.Advance(TimeSpan.FromSeconds(1));
        var second = Tie(id);
        await Submit(person, second);
        await Site.Get<UndoJudgement>().Handle(person, id, Stop);
        Site.Clock.Advance(TimeSpan.FromSeconds(1));
        var third = Tie(id);
        await Submit(person, third);

        using var db = Site.Open();
        Assert.Equal(0, Missing(task.Id));
        Assert.Equal(first.JudgementId, db.PairwiseJudgements.Single(j => j.Id == second.JudgementId).SupersedesId);
        Assert.Equal(second.JudgementId, db.PairwiseJudgements.Single(j => j.Id == third.JudgementId).SupersedesId);
        Assert.Equal([third.JudgementId], db.PairwiseJudgements.Where(j => j.SupersededAt == null).Select(j => j.Id));
        Assert.Equal(1, (await Site.Get<ListMyWork>().Handle(person, null, Stop)).Value.Today);
    }

    [Fact]
    public async Task Undo_ends_after_half_an_hour_and_after_ten()
    {
        var project = Site.Seed.Project();
        for (var i = 0; i < 12; i++)
            Site.Seed.Task(project, $"Q{i}?", "a" + i, "b" + i);
        var person = Site.Person("one");
        var queue = new Queue(project, TaskKind.Pairwise);
        Assert.Equal("There is nothing to undo.", (await Site.Get<UndoJudgement>().Handle(person, queue, Stop)).Refusal?.ToString());
        var next = (await Take(person, project)).Value;
        while (next.AssignmentId is { } id)
            next = (await Submit(person, Tie(id))).Value.Next;

        Site.Clock.Advance(TimeSpan.FromSeconds(1));
        for (var i = 0; i < UndoJudgement.Depth; i++)
            Assert.Null((await Site.Get<UndoJudgement>().Handle(person, queue, Stop)).Refusal);
        var eleventh = await Site.Get<UndoJudgement>().Handle(person, queue, Stop);
        Site.Clock.Advance(UndoJudgement.Grace);
        var late = await Site.Get<UndoJudgement>().Handle(person, queue, Stop);

        Assert.Equal(ProblemKind.Conflict, eleventh.Refusal?.Kind);
        Assert.Equal(ProblemKind.Conflict, late.Refusal?.Kind);
    }

    [Fact]
    public async Task Of_two_drafts_the_later_client_time_counts_whatever_order_they_arrive_in()
    {
        var project = Site.Seed.Project();
        Site.Seed.Task(project, "Q?", "a", "b");
        var person = Site.Person("one");
        var id = (await Take(person, project)).Value.AssignmentId!.Value;
        var noon = Site.Clock.GetUtcNow();
        var drafts = Site.Get<SaveDraft>();

        await drafts.Handle(person, id, """{"verdict":"tie","rationale":"second"}""", noon.AddSeconds(2), Stop);
        var answer = await drafts.Handle(person, id, """{"verdict":"both-bad","rationale":"first"}""", noon.AddSeconds(1), Stop);
        Site.Clock.Advance(TakeTask.Lease - TimeSpan.FromSeconds(1)); // the draft renewed the lease
        var other = (await Take(Site.Person("two"), project)).Value;
        var shown = (await Site.Get<ShowAssignment>().Handle(person, project, id, Stop)).Value;

        Assert.Contains("second", answer.Value.Body, StringComparison.Ordinal);
        Assert.Equal(("tie", "second"), (shown.Form.Verdict, shown.Form.Rationale));
        Assert.Null(other.AssignmentId);
        await Submit(person, Tie(id));
        Assert.Equal(ProblemKind.Conflict, (await drafts.Handle(person, id, "{}", noon.AddHours(1), Stop)).Refusal?.Kind);
        using var db = Site.Open();
        Assert.Empty(db.Drafts);
    }
}

public sealed class UndoAndDraftOnSqliteTests() : UndoAndDraftTests(null);

[Collection(PostgresFixture.Collection)]
[Trait("Speed", "slow")]
public sealed class UndoAndDraftOnPostgresTests(PostgresFixture postgres) : UndoAndDraftTests(postgres);
