using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Web.Accounts;

namespace Portal.Web.Projects;

/// <summary>One row of the projects page.</summary>
/// <param name="OpenTasks">Tasks that still want votes.</param>
public sealed record ProjectRow(ProjectId Id, string Name, bool IsSynthetic, TaskKinds TaskKinds, int VotesPerTask, int Prompts, int OpenTasks,
    int Judgements, DateTimeOffset CreatedAt, DateTimeOffset? ArchivedAt);

/// <summary>All projects with what is in them.</summary>
[Needs(Permission.Administer)]
public sealed class ListProjects(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    public const int RowsMax = 200;

    /// <returns>The newest <see cref="RowsMax"/> projects, open ones first.</returns>
    public async Task<Outcome<IReadOnlyList<ProjectRow>>> Handle(ClaimsPrincipal user, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        // Counts use the indexes (ProjectId, ContentHash), (ProjectId, State, ...) and (ProjectId, SubmittedAt).
        var rows = await db.Projects.AsNoTracking().OrderBy(p => p.ArchivedAt != null).ThenByDescending(p => p.Id).Take(RowsMax)
            .Select(p => new ProjectRow(p.Id, p.Name, p.IsSynthetic, p.TaskKinds, p.VotesPerTask, db.Prompts.Count(x => x.ProjectId == p.Id),
                db.Tasks.Count(t => t.ProjectId == p.Id && t.State == TaskState.Open),
                db.PairwiseJudgements.Count(j => j.ProjectId == p.Id && j.SupersededAt == null)
                + db.BinaryJudgements.Count(j => j.ProjectId == p.Id && j.SupersededAt == null),
                p.CreatedAt, p.ArchivedAt))
            .ToListAsync(stop);
        return new Outcome<IReadOnlyList<ProjectRow>>.Done(rows); // an interface does not convert by itself
    }
}

/// <summary>What the form of one project is filled with.</summary>
public sealed record ShownProject(ProjectInput Input, int RowVersion, int GuidelinesVersion, bool IsSynthetic, DateTimeOffset? ArchivedAt);

/// <summary>Loads one project for its form.</summary>
[Needs(Permission.Administer)]
public sealed class ShowProject(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    public async Task<Outcome<ShownProject>> Handle(ClaimsPrincipal user, ProjectId id, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        return await db.Projects.AsNoTracking().FirstOrDefaultAsync(p => p.Id == id, stop) is { } project
            ? new ShownProject(ProjectInput.Of(project), project.RowVersion, project.GuidelinesVersion, project.IsSynthetic, project.ArchivedAt)
            : ProjectNames.Gone;
    }
}
