using Portal.Data;
using Portal.Data.Accounts;
using Portal.Data.AuditLog;
using Portal.Data.Feedback;
using Portal.Data.Review;
using Portal.Tests.Data;
using Portal.Web.Annotate;
using Portal.Web.Projects;
using Portal.Web.Review;
using Xunit;

namespace Portal.Tests.Web.Annotate;

/// <summary>Projects and flags, on the handlers that the pages call. Runs on both databases.</summary>
public abstract class ProjectsAndFlagsTests : IDisposable
{
    private static readonly CancellationToken Stop = CancellationToken.None;
    private readonly TestPortal portal;

    protected ProjectsAndFlagsTests(PostgresFixture? postgres) => portal = new TestPortal(postgres);

    public void Dispose() => portal.Dispose();

    [Fact]
    public async Task Every_wrong_field_of_a_project_is_named_at_once()
    {
        var admin = portal.Person("admin", RoleNames.Admin);
        var input = new ProjectInput
        {
            Name = " ", Guidelines = new string('x', Project.GuidelinesLengthMax + 1), ContentWarning = "a\0b", Pairwise = false, Binary = false,
            VotesPerTask = 26, JobsPerDay = -1, ProtectedTopics = $"harm\n{new string('x', Project.TopicLengthMax + 1)}",
        };

        var outcome = await portal.Get<CreateProject>().Handle(admin, input, Stop);

        Assert.Equal(["contentWarning", "guidelines", "jobsPerDay", "name", "protectedTopics", "taskKinds", "votesPerTask"], outcome.Refusal!.Problems.Select(p => p.Field).Order());
        Assert.Contains("Line 2 is no topic", outcome.Refusal.About("protectedTopics"), StringComparison.Ordinal);
        using var db = portal.Open();
        Assert.Empty(db.Projects);
    }

    [Fact]
    public async Task Topics_are_protected_one_a_line_and_shown_again()
    {
        var admin = portal.Person("admin", RoleNames.Admin);
        var many = new ProjectInput { Name = "Tea", ProtectedTopics = string.Join('\n', Enumerable.Range(0, Project.ProtectedTopicsMax + 1)) };
        Assert.NotNull((await portal.Get<CreateProject>().Handle(admin, many, Stop)).Refusal!.About("protectedTopics"));

        var id = (await portal.Get<CreateProject>().Handle(admin, new ProjectInput { Name = "Tea", ProtectedTopics = " medicine \r\n\r\nharm\nharm" }, Stop)).Value;

        var shown = (await portal.Get<ShowProject>().Handle(admin, id, Stop)).Value;
        Assert.Equal("harm\nmedicine", shown.Input.ProtectedTopics);
        shown.Input.ProtectedTopics = "";
        await portal.Get<EditProject>().Handle(admin, id, shown.Input, shown.RowVersion, Stop);
        using var db = portal.Open();
        Assert.Null(db.Projects.Single().ProtectedTopicsJson);
    }

    [Fact]
    public async Task A_name_is_given_once_even_by_two_admins_at_the_same_moment()
    {
        var admin = portal.Person("admin", RoleNames.Admin);

        var outcomes = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() =>
            portal.Get<CreateProject>().Handle(admin, new ProjectInput { Name = "Tea" }, Stop))));

        Assert.Single(outcomes, o => o.Refusal is null);
        Assert.All(outcomes.Where(o => o.Refusal is not null), o => Assert.NotNull(o.Refusal!.About("name")));
    }

    [Fact]
    public async Task A_project_is_entered_by_everybody_unless_it_is_gone_or_archived()
    {
        var admin = portal.Person("admin", RoleNames.Admin);
        var id = (await portal.Get<CreateProject>().Handle(admin, new ProjectInput { Name = "Tea" }, Stop)).Value;

        foreach (var role in RoleNames.All)
            Assert.Equal(id, (await portal.Get<EnterProject>().Handle(portal.Person("one-" + role, role), id, Stop)).Value);
        Assert.Equal(ProblemKind.NotFound, (await portal.Get<EnterProject>().Handle(admin, new(Guid.NewGuid()), Stop)).Refusal?.Kind);
        await portal.Get<ArchiveProject>().Handle(admin, id, true, Stop);
        Assert.Equal(ProblemKind.NotFound, (await portal.Get<EnterProject>().Handle(admin, id, Stop)).Refusal?.Kind);
    }

    [Fact]
    public async Task Of_two_admins_who_edit_at_once_the_second_is_told()
    {
        var admin = portal.Person("admin", RoleNames.Admin);
        var id = (await portal.Get<CreateProject>().Handle(admin, new ProjectInput { Name = "Tea", Guidelines = "One" }, Stop)).Value;
        var shown = (await portal.Get<ShowProject>().Handle(admin, id, Stop)).Value;

        shown.Input.Guidelines = "Two";
        var first = await portal.Get<EditProject>().Handle(admin, id, shown.Input, shown.RowVersion, Stop);
        shown.Input.Guidelines = "Three";
        var second = await portal.Get<EditProject>().Handle(admin, id, shown.Input, shown.RowVersion, Stop);

        Assert.Equal(shown.GuidelinesVersion + 1, first.Value);
        Assert.Equal(ProblemKind.Conflict, second.Refusal?.Kind);
        var after = (await portal.Get<ShowProject>().Handle(admin, id, Stop)).Value;
        Assert.Equal(("Two", shown.GuidelinesVersion + 1), (after.Input.Guidelines, after.GuidelinesVersion));
        using var db = portal.Open();
        Assert.Null(AuditChain.Verify(db.AuditEvents.OrderBy(e => e.Sequence)).Problem);
        Assert.Equal(["project.create", "project.edit"], db.AuditEvents.OrderBy(e => e.Sequence).Select(e => e.Action));
    }

    [Fact]
    public async Task Projects_are_an_admins_business()
    {
        var reviewer = portal.Person("reviewer", RoleNames.Reviewer);
        var id = portal.Seed.Project();

        Assert.Equal(ProblemKind.Forbidden, (await portal.Get<CreateProject>().Handle(reviewer, new ProjectInput { Name = "Tea" }, Stop)).Refusal?.Kind);
        Assert.Equal(ProblemKind.Forbidden, (await portal.Get<EditProject>().Handle(reviewer, id, new ProjectInput { Name = "Tea" }, 1, Stop)).Refusal?.Kind);
        Assert.Equal(ProblemKind.Forbidden, (await portal.Get<ArchiveProject>().Handle(reviewer, id, true, Stop)).Refusal?.Kind);
        Assert.Equal(ProblemKind.Forbidden, (await portal.Get<ListProjects>().Handle(reviewer, Stop)).Refusal?.Kind);
    }

    [Fact]
    public async Task The_frame_counts_what_waits_for_this_person()
    {
        var project = portal.Seed.Project(synthetic: true);
        portal.Seed.Task(project, "Q?", "a", "b");
        portal.Seed.Task(project, "R?", "c", "d");
        var single = portal.Seed.Task(project, "S?", "e");
        var person = portal.Person("one");
        var reviewer = portal.Person("reviewer", RoleNames.Reviewer);
        await portal.Get<FlagResponse>().Handle(person, Fresh(), single.FirstResponseId, FlagReason.Unsafe, null, "judge", Stop);
        var taken = (await portal.Get<TakeTask>().Handle(person, new Queue(project, TaskKind.Pairwise), Stop)).Value;

        var open = await portal.Get<LoadFrame>().Handle(person, Stop);
        await portal.Get<SkipTask>().Handle(person, taken.AssignmentId!.Value, null, Stop); // there was one
        var frame = await portal.Get<LoadFrame>().Handle(person, Stop);
        var reviewers = await portal.Get<LoadFrame>().Handle(reviewer, Stop);

        Assert.Equal(("Alder Green", true), (frame.ProjectName, frame.IsSynthetic));
        Assert.Equal(2, open.Waiting["Annotate"]); // the open screen waits too
        Assert.Equal((1, 1, 0), (frame.Waiting["Annotate"], frame.Waiting["Judge"], frame.Waiting["Review"]));
        Assert.Equal((2, 1, 1), (reviewers.Waiting["Annotate"], reviewers.Waiting["Judge"], reviewers.Waiting["Review"]));
    }

    [Fact]
    public async Task A_flag_is_stored_once_and_decided_once()
    {
        var project = portal.Seed.Project();
        var task = portal.Seed.Task(project, "Q?", "a", "b");
        var (person, reviewer, second) = (portal.Person("one"), portal.Person("reviewer", RoleNames.Reviewer), portal.Person("second", RoleNames.Reviewer));
        var flags = portal.Get<FlagResponse>();
        var id = Fresh();

        await flags.Handle(person, id, task.FirstResponseId, FlagReason.Insult, "Rude.", "annotate", Stop);
        await flags.Handle(person, id, task.FirstResponseId, FlagReason.Insult, "Rude.", "annotate", Stop);
        var again = await flags.Handle(person, Fresh(), task.FirstResponseId, FlagReason.Other, "Again.", "annotate", Stop);
        var row = Assert.Single((await portal.Get<ListFlags>().Handle(reviewer, FlagState.Open, null, Stop)).Value.Rows);

        Assert.Equal(id, again.Value);
        Assert.Equal(("a", "Rude.", "Q?", FlagReason.Insult), (row.Text, row.Note, row.Question, row.Reason));
        Assert.Equal(ProblemKind.Forbidden, (await portal.Get<CloseFlag>().Handle(person, id, FlagState.Dismissed, Stop)).Refusal?.Kind);
        Assert.NotNull((await portal.Get<CloseFlag>().Handle(reviewer, id, FlagState.Open, Stop)).Refusal?.About("decision"));
        Assert.Null((await portal.Get<CloseFlag>().Handle(reviewer, id, FlagState.Confirmed, Stop)).Refusal);
        Assert.Null((await portal.Get<CloseFlag>().Handle(second, id, FlagState.Confirmed, Stop)).Refusal);
        Assert.Equal(ProblemKind.Conflict, (await portal.Get<CloseFlag>().Handle(second, id, FlagState.Dismissed, Stop)).Refusal?.Kind);
        using var db = portal.Open();
        Assert.Equal(["flag.confirm"], db.AuditEvents.Select(e => e.Action));
        Assert.DoesNotContain("Rude", db.AuditEvents.Single().PayloadJson, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Open_flags_come_oldest_first_and_every_page_is_new()
    {
        var project = portal.Seed.Project();
        var person = portal.Person("one");
        var reviewer = portal.Person("reviewer", RoleNames.Reviewer);
        for (var i = 0; i < ListFlags.PageSize + 2; i++)
        {
            var task = portal.Seed.Task(project, $"Q{i}?", "a" + i);
            portal.Clock.Advance(TimeSpan.FromSeconds(31)); // slower than the limit of one person
            await portal.Get<FlagResponse>().Handle(person, Fresh(), task.FirstResponseId, FlagReason.Nonsense, null, "judge", Stop);
        }

        var first = (await portal.Get<ListFlags>().Handle(reviewer, FlagState.Open, null, Stop)).Value;
        var second = (await portal.Get<ListFlags>().Handle(reviewer, FlagState.Open, first.Earlier, Stop)).Value;
        var newest = (await portal.Get<ListFlags>().Handle(reviewer, null, null, Stop)).Value;

        Assert.Equal(ListFlags.PageSize + 2, first.Open);
        Assert.Equal(Enumerable.Range(0, ListFlags.PageSize + 2).Select(i => $"Q{i}?"), first.Rows.Concat(second.Rows).Select(r => r.Question));
        Assert.Null(second.Earlier);
        Assert.Equal($"Q{ListFlags.PageSize + 1}?", newest.Rows[0].Question);
    }

    private static FlagId Fresh() => new(Guid.NewGuid());
}

public sealed class ProjectsAndFlagsOnSqliteTests() : ProjectsAndFlagsTests(null);

[Collection(PostgresFixture.Collection)]
[Trait("Speed", "slow")]
public sealed class ProjectsAndFlagsOnPostgresTests(PostgresFixture postgres) : ProjectsAndFlagsTests(postgres);
