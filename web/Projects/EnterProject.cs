using System.Security.Claims;
using Microsoft.AspNetCore.Mvc;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Web.Accounts;
using Portal.Web.Shell;

namespace Portal.Web.Projects;

/// <summary>Makes a project the one a person is in: pages without a project in their address show it from now on.</summary>
[Needs(Permission.Use)]
public sealed class EnterProject(IDbContextFactory<PortalDbContext> contexts, Access access, CurrentProject current)
{
    /// <summary>Remembers the project in a cookie; call while the response has not started.</summary>
    public async Task<Outcome<ProjectId>> Handle(ClaimsPrincipal user, ProjectId id, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Use, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (!await db.Projects.AnyAsync(p => p.Id == id && p.ArchivedAt == null, stop))
            return new Problem("project", "This project is gone, or it is archived.", ProblemKind.NotFound);
        current.Remember(id);
        return id;
    }
}

/// <summary>The form behind the list of projects: a plain post that answers with the next page.</summary>
public static class EnterProjectEndpoint
{
    public const string Route = "/projects/enter";

    // Binding from a form makes the framework check the antiforgery token.
    public static void MapProjects(this IEndpointRouteBuilder app) =>
        app.MapPost(Route, async ([FromForm] Guid project, [FromForm] string? back, ClaimsPrincipal user, EnterProject enter, CancellationToken stop) =>
            Results.LocalRedirect((await enter.Handle(user, new(project), stop)).Refusal is null ? LocalPath.Of(back) : "/projects/choose"));
}
