using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.Review;
using Portal.Web.Accounts;
using Portal.Web.Shell;

namespace Portal.Web.Projects;

/// <summary>A project as lists of choices show it.</summary>
public sealed record ProjectChoice(ProjectId Id, string Name, bool IsSynthetic, TaskKinds TaskKinds);

/// <summary>
/// The project a person is in: the one in the address, else the one they were in last (a cookie), else the newest. Pages that have no project in
/// their address ask here.
/// </summary>
[Needs(Permission.Use)]
public sealed class CurrentProject(IDbContextFactory<PortalDbContext> contexts, Access access, IHttpContextAccessor http)
{
    public const string Cookie = "portal-project";
    private const int ChoicesMax = 200;

    /// <summary>Open projects, newest first.</summary>
    public async Task<Outcome<IReadOnlyList<ProjectChoice>>> Choices(ClaimsPrincipal user, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Use, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        var choices = await db.Projects.AsNoTracking().Where(p => p.ArchivedAt == null).OrderByDescending(p => p.Id).Take(ChoicesMax)
            .Select(p => new ProjectChoice(p.Id, p.Name, p.IsSynthetic, p.TaskKinds)).ToListAsync(stop);
        return new Outcome<IReadOnlyList<ProjectChoice>>.Done(choices); // an interface does not convert by itself
    }

    /// <summary>The current project, or null when there is none yet.</summary>
    public async Task<Outcome<ProjectChoice?>> Find(ClaimsPrincipal user, CancellationToken stop)
    {
        var choices = await Choices(user, stop);
        if (choices.Refusal is { } refusal)
            return refusal;
        var last = Remembered();
        return new Outcome<ProjectChoice?>.Done(choices.Value.FirstOrDefault(c => c.Id == last) ?? choices.Value.FirstOrDefault());
    }

    /// <summary>The project in the address of this request, else the remembered one; null when neither is there.</summary>
    public ProjectId? Remembered()
    {
        if (http.HttpContext is not { } context)
            return null;
        if (ProjectId.TryParse(context.GetRouteValue("ProjectId")?.ToString(), null, out var inAddress))
            return inAddress;
        return ProjectId.TryParse(context.Request.Cookies[Cookie], null, out var last) ? last : null;
    }

    /// <summary>Makes it the one that pages without a project in their address use. Call while the response has not started.</summary>
    public void Remember(ProjectId id)
    {
        if (http.HttpContext is { Response.HasStarted: false } context)
            context.Response.Cookies.Append(Cookie, id.ToString(), new CookieOptions
            {
                HttpOnly = true, SameSite = SameSiteMode.Lax, Secure = context.Request.IsHttps, IsEssential = true, MaxAge = TimeSpan.FromDays(180),
            });
    }
}

/// <summary>Loads name, label and waiting counts for the frame around every page: one query, each count ends at <see cref="CountMax"/>.</summary>
[Needs(Permission.Use)]
public sealed class LoadFrame(IDbContextFactory<PortalDbContext> contexts, Access access, CurrentProject current)
{
    /// <summary>Counting on would cost more than it tells.</summary>
    public const int CountMax = 999;

    public async Task<ShellFrame> Handle(ClaimsPrincipal user, CancellationToken stop)
    {
        if (await access.Find(user, stop) is not { } person || !person.May(Permission.Use))
            return ShellFrame.Empty;
        var remembered = current.Remembered();
        var votes = person.May(Permission.Vote);
        var reviews = person.May(Permission.Review);
        var annotator = person.AnnotatorId;
        await using var db = await contexts.CreateDbContextAsync(stop);
        var waiting = WaitingFor(db, annotator);
        var row = await db.Projects.AsNoTracking().Where(p => p.ArchivedAt == null || p.Id == remembered)
            .OrderByDescending(p => p.Id == remembered).ThenByDescending(p => p.Id)
            .Select(p => new
            {
                p.Name,
                p.IsSynthetic,
                Pairs = votes ? waiting.Where(t => t.ProjectId == p.Id && t.Kind == TaskKind.Pairwise).Take(CountMax).Count() : 0,
                Singles = votes ? waiting.Where(t => t.ProjectId == p.Id && t.Kind == TaskKind.Binary).Take(CountMax).Count() : 0,
                Flags = reviews ? db.Flags.Where(f => f.ProjectId == p.Id && f.State == FlagState.Open).Take(CountMax).Count() : 0,
            })
            .FirstOrDefaultAsync(stop);
        return row is null
            ? ShellFrame.Empty
            : new ShellFrame(row.Name, row.IsSynthetic, new Dictionary<string, int>
            {
                ["Annotate"] = row.Pairs, ["Judge"] = row.Singles, ["Review"] = row.Flags,
            });
    }

    /// <summary>The tasks that wait for one person's judgement, in all projects: what was neither judged nor skipped, an open screen included. Not blind comparisons.</summary>
    /// <param name="annotator">Null for a person who has seen nothing yet.</param>
    public static IQueryable<AnnotationTask> WaitingFor(PortalDbContext db, AnnotatorId? annotator) => db.Tasks.AsNoTracking().Where(t =>
        t.State == TaskState.Open && t.Purpose == TaskPurpose.Collect
        && (annotator == null || !db.Assignments.Any(a => a.TaskId == t.Id && a.AnnotatorId == annotator && a.State != AssignmentState.Leased)));
}
