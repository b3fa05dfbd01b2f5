using System.Security.Claims;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Tests.Data;
using Portal.Web.Annotate;

namespace Portal.Tests.Web.Annotate;

/// <summary>A portal of a test's own, and the annotator's moves in one word each. Topics derive from it, once for each database.</summary>
public abstract class AnnotatingTests(PostgresFixture? postgres) : IDisposable
{
    protected static CancellationToken Stop => CancellationToken.None;

    protected TestPortal Site { get; } = new(postgres);

    public void Dispose()
    {
        Site.Dispose();
        GC.SuppressFinalize(this);
    }

    protected Task<Outcome<Taken>> Take(ClaimsPrincipal person, ProjectId project) =>
        Site.Get<TakeTask>().Handle(person, new Queue(project, TaskKind.Pairwise), Stop);

    protected Task<Outcome<Receipt>> Submit(ClaimsPrincipal person, JudgementRequest request) => Site.Get<SubmitJudgement>().Handle(person, request, Stop);

    protected static JudgementId NewId() => new(Guid.NewGuid());

    protected static JudgementRequest Tie(AssignmentId id) => new(NewId(), id, "tie", null, null, null, null, "side-by-side", 4.5, null, false, false);

    protected static JudgementRequest Prefer(AssignmentId id, ResponseId response, int strength) =>
        Tie(id) with { Verdict = "preferred", PreferredResponseId = response, Strength = strength };

    protected TaskId TaskOf(AssignmentId id)
    {
        using var db = Site.Open();
        return db.Assignments.Single(a => a.Id == id).TaskId;
    }

    protected int Missing(TaskId id)
    {
        using var db = Site.Open();
        return db.Tasks.Single(t => t.Id == id).VotesMissing;
    }

    protected async Task<AnnotatorId> AnnotatorOf(ClaimsPrincipal person)
    {
        var access = Site.Get<Portal.Web.Accounts.Access>();
        return await access.AnnotatorOf((await access.Find(person, Stop))!, Stop); // seeded
    }

    protected sealed class ById : IComparer<TaskId>
    {
        public int Compare(TaskId x, TaskId y) => x.Value.CompareTo(y.Value);
    }
}
