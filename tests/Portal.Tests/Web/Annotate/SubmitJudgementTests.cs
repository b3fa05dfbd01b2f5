using Portal.Data;
using Portal.Data.Feedback;
using Portal.Tests.Data;
using Portal.Web.Annotate;
using Xunit;

namespace Portal.Tests.Web.Annotate;

/// <summary>Sending judgements: once however often they arrive, late ones as surplus, bad ones refused by field. Runs on both databases.</summary>
public abstract class SubmitJudgementTests(PostgresFixture? postgres) : AnnotatingTests(postgres)
{
    [Fact]
    public async Task Sending_a_judgement_again_stores_nothing_and_gives_the_first_receipt()
    {
        var project = Site.Seed.Project();
        var task = Site.Seed.Task(project, "Q?", "a", "b", votes: 3, priority: 1); // the one that is offered first
        Site.Seed.Task(project, "R?", "c", "d", votes: 3);
        var person = Site.Person("one");
        var request = Tie((await Take(person, project)).Value.AssignmentId!.Value);

        var receipts = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => Task.Run(() => Submit(person, request))));

        Assert.Single(receipts, r => !r.Value.Replayed);
        Assert.Single(receipts.Select(r => r.Value.Next.AssignmentId).Distinct());
        Assert.All(receipts, r => Assert.Equal(1, r.Value.Today));
        using var db = Site.Open();
        Assert.Single(db.PairwiseJudgements);
        Assert.Equal(2, db.Tasks.Single(t => t.Id == task.Id).VotesMissing);
    }

    [Fact]
    public async Task Another_persons_judgement_id_is_refused()
    {
        var project = Site.Seed.Project();
        Site.Seed.Task(project, "Q?", "a", "b", votes: 2);
        var (one, two) = (Site.Person("one"), Site.Person("two"));
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
        var project = Site.Seed.Project();
        var task = Site.Seed.Task(project, "Q?", "a", "b");
        var (slow, quick) = (Site.Person("slow"), Site.Person("quick"));
        var late = (await Take(slow, project)).Value.AssignmentId!.Value;
        var held = (await Take(quick, project)).Value;
        Assert.Null(held.AssignmentId);
        Assert.Equal(Site.Clock.GetUtcNow() + TakeTask.Lease, held.FreeAt); // says when to come back
        Site.Clock.Advance(TakeTask.Lease);

        var taken = (await Take(quick, project)).Value.AssignmentId!.Value;
        var shown = (await Site.Get<ShowAssignment>().Handle(slow, project, late, Stop)).Value;
        var surplus = (await Submit(slow, Tie(late))).Value;
        var counted = (await Submit(quick, Tie(taken))).Value;

        Assert.True(shown.IsOvertaken);
        Assert.True(surplus.IsSurplus);
        Assert.False(counted.IsSurplus);
        using var db = Site.Open();
        Assert.Equal(2, db.PairwiseJudgements.Count());
        Assert.Equal(TaskState.Done, db.Tasks.Single(t => t.Id == task.Id).State);
    }

    [Fact]
    public async Task An_overtaken_vote_counts_when_a_place_is_free_again()
    {
        var project = Site.Seed.Project();
        Site.Seed.Task(project, "Q?", "a", "b");
        var (slow, quick) = (Site.Person("slow"), Site.Person("quick"));
        var late = (await Take(slow, project)).Value.AssignmentId!.Value;
        Site.Clock.Advance(TakeTask.Lease);
        var taken = (await Take(quick, project)).Value.AssignmentId!.Value;
        await Site.Get<SkipTask>().Handle(quick, taken, null, Stop);

        var receipt = (await Submit(slow, Tie(late))).Value;

        Assert.False(receipt.IsSurplus);
    }

    [Fact]
    public async Task A_request_that_cannot_be_stored_names_the_field_and_changes_nothing()
    {
        var project = Site.Seed.Project();
        var task = Site.Seed.Task(project, "Q?", "a", "b", priority: 1); // the one that is offered first
        var elsewhere = Site.Seed.Task(project, "R?", "c", "d").FirstResponseId;
        var person = Site.Person("one");
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

        using (var db = Site.Open())
        {
            Assert.Empty(db.PairwiseJudgements);
            Assert.Empty(db.Contents.Where(c => c.Kind == ContentKind.Rationale));
        }
        Assert.Null((await Submit(person, Tie(id))).Refusal); // the same screen still takes a good one
    }
}

public sealed class SubmitJudgementOnSqliteTests() : SubmitJudgementTests(null);

[Collection(PostgresFixture.Collection)]
[Trait("Speed", "slow")]
public sealed class SubmitJudgementOnPostgresTests(PostgresFixture postgres) : SubmitJudgementTests(postgres);
