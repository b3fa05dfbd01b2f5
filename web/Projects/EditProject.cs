using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Feedback;
using Portal.Data.Storage;
using Portal.Web.Accounts;

namespace Portal.Web.Projects;

/// <summary>Makes a project.</summary>
[Needs(Permission.Administer)]
public sealed class CreateProject(WriteQueue writes, Access access, IdFactory ids, TimeProvider time)
{
    public async Task<Outcome<ProjectId>> Handle(ClaimsPrincipal user, ProjectInput input, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        if (input.Check() is { } problems)
            return problems;
        return await ProjectNames.Guard(input, () => writes.WriteAsync<ProjectId>(db =>
        {
            if (ProjectNames.IsTaken(db, input.Name!, null)) // checked above
                return ProjectNames.Taken(input);
            var now = time.GetUtcNow();
            var project = new Project { Id = ids.New<ProjectId>(), Name = input.Name!, CreatedAt = now };
            input.ApplyTo(project);
            db.Projects.Add(project);
            AuditChain.Append(db, now, asked.Value.AccountId, "project.create", "project", project.Id.ToString());
            return project.Id;
        }, stop));
    }
}

/// <summary>Changes a project's name, guidelines, warning, kinds of tasks, votes per task, jobs per day and protected topics.</summary>
[Needs(Permission.Administer)]
public sealed class EditProject(WriteQueue writes, Access access, TimeProvider time)
{
    private static readonly Problem Overtaken =
        new("", "Somebody changed this project since you opened it. Your text is still here: copy it, reload, and decide.", ProblemKind.Conflict);

    /// <param name="rowVersion">The version of the row that the form was filled from.</param>
    /// <returns>The guidelines' version after the change.</returns>
    public async Task<Outcome<int>> Handle(ClaimsPrincipal user, ProjectId id, ProjectInput input, int rowVersion, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        if (input.Check() is { } problems)
            return problems;
        try
        {
            return await ProjectNames.Guard(input, () => writes.WriteAsync<int>(db =>
            {
                if (db.Projects.FirstOrDefault(p => p.Id == id) is not { } project)
                    return ProjectNames.Gone;
                if (project.RowVersion != rowVersion)
                    return Overtaken;
                if (ProjectNames.IsTaken(db, input.Name!, id)) // checked above
                    return ProjectNames.Taken(input);
                input.ApplyTo(project);
                AuditChain.Append(db, time.GetUtcNow(), asked.Value.AccountId, "project.edit", "project", id.ToString(),
                    new { project.GuidelinesVersion, project.VotesPerTask, kinds = project.TaskKinds.ToString(), project.JobsPerDay, protectedTopics = project.ProtectedTopics().Count });
                return project.GuidelinesVersion;
            }, stop));
        }
        catch (DbUpdateConcurrencyException)
        {
            return Overtaken; // another node was faster between reading and writing
        }
    }
}

/// <summary>Takes a project out of the lists and queues, or puts it back. Nothing in it is removed.</summary>
[Needs(Permission.Administer)]
public sealed class ArchiveProject(WriteQueue writes, Access access, TimeProvider time)
{
    public async Task<Outcome<ProjectId>> Handle(ClaimsPrincipal user, ProjectId id, bool archived, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        return await writes.WriteAsync<ProjectId>(db =>
        {
            if (db.Projects.FirstOrDefault(p => p.Id == id) is not { } project)
                return ProjectNames.Gone;
            var now = time.GetUtcNow();
            if (project.ArchivedAt is not null == archived)
                return id;
            project.Archive(archived ? now : null);
            AuditChain.Append(db, now, asked.Value.AccountId, archived ? "project.archive" : "project.restore", "project", id.ToString());
            return id;
        }, stop);
    }
}

/// <summary>Names are unique in an installation; two people who choose the same one at once are told so, too.</summary>
internal static class ProjectNames
{
    public static readonly Problem Gone = new("", "This project is gone.", ProblemKind.NotFound);

    public static Problem Taken(ProjectInput input) =>
        new("name", $"A project named \"{input.Name?.Trim()}\" exists already, perhaps an archived one.", ProblemKind.Conflict);

    public static bool IsTaken(PortalDbContext db, string name, ProjectId? except)
    {
        var wanted = name.Trim();
        return db.Projects.Any(p => p.Name == wanted && p.Id != except);
    }

    public static async Task<Outcome<T>> Guard<T>(ProjectInput input, Func<Task<Outcome<T>>> write)
    {
        try
        {
            return await write();
        }
        catch (DbUpdateException e) when (e is not DbUpdateConcurrencyException)
        {
            return Taken(input); // the unique index on the name is the only thing a checked form can break
        }
    }
}
