using System.Security.Claims;
using Portal.Data;
using Portal.Data.Accounts;
using Portal.Data.Review;
using Portal.Tests.Data;
using Portal.Tests.Web.Annotate;
using Portal.Web.Annotate;

namespace Portal.Tests.Web.Review;

/// <summary>A project with responses, somebody who flags and two reviewers.</summary>
public abstract class FlaggingTests : IDisposable
{
    protected static readonly CancellationToken Stop = CancellationToken.None;
    private int questions;

    protected FlaggingTests(PostgresFixture? postgres)
    {
        Site = new TestPortal(postgres);
        Project = Site.Seed.Project();
        (Person, Reviewer, Second) = (Site.Person("one"), Site.Person("reviewer", RoleNames.Reviewer), Site.Person("second", RoleNames.Reviewer));
    }

    protected TestPortal Site { get; }
    protected ProjectId Project { get; }
    protected ClaimsPrincipal Person { get; }
    protected ClaimsPrincipal Reviewer { get; }
    protected ClaimsPrincipal Second { get; }

    public void Dispose() => Site.Dispose();

    protected Task<Outcome<FlagId>> Flagged(ClaimsPrincipal who, ResponseId response, FlagReason reason = FlagReason.Nonsense, FlagSeverity severity = FlagSeverity.Medium, string? preferred = null) =>
        Site.Get<FlagResponse>().Handle(who, Fresh(), response, new FlagInput { Reason = reason, Severity = severity, Preferred = preferred, Place = "judge" }, Stop);

    protected ResponseId Response(string text) => Site.Seed.Task(Project, $"Question {++questions}?", text).FirstResponseId;

    protected void Later(int minutes) => Site.Clock.Advance(TimeSpan.FromMinutes(minutes));

    protected List<Flag> Held()
    {
        using var db = Site.Open();
        return [.. db.Flags.Where(f => f.Held != FlagHold.None)];
    }

    protected static FlagId Fresh() => new(Guid.CreateVersion7());
}
