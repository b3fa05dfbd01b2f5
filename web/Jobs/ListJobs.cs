using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Jobs;
using Portal.Web.Accounts;

namespace Portal.Web.Jobs;

/// <summary>One row of the list of jobs.</summary>
/// <param name="IsCancelAsked">Somebody asked for its end and it still runs.</param>
public sealed record JobRow(JobId Id, int Number, ProjectId ProjectId, string Project, string Kind, JobState State, int Step, int StepsTotal, string Phase,
    double? SecondsLeft, bool IsCancelAsked, DateTimeOffset CreatedAt, DateTimeOffset? StartedAt, DateTimeOffset? FinishedAt, string? FailReason, string? ResultPath);

/// <summary>A page of jobs, newest first.</summary>
/// <param name="Before">What to ask for the next page; null on the last.</param>
/// <param name="EngineSeenAt">The last sign of life of any job's process; null when none ever ran.</param>
public sealed record JobPage(IReadOnlyList<JobRow> Rows, int? Before, DateTimeOffset? EngineSeenAt);

/// <summary>Jobs of one project or of all.</summary>
[Needs(Permission.Audit)]
public sealed class ListJobs(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    public const int RowsMax = 50;

    /// <param name="project">Null for all projects.</param>
    /// <param name="before">Only jobs with a smaller number; null for the newest.</param>
    public async Task<Outcome<JobPage>> Handle(ClaimsPrincipal user, ProjectId? project, int? before, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Audit, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        // Over IX_Jobs_Number, or IX_Jobs_ProjectId_Number for one project.
        var rows = await (
            from j in db.Jobs.AsNoTracking()
            where (project == null || j.ProjectId == project) && (before == null || j.Number < before)
            join p in db.Projects on j.ProjectId equals p.Id
            orderby j.Number descending
            select new JobRow(j.Id, j.Number, j.ProjectId, p.Name, j.Kind, j.State, j.Step, j.StepsTotal, j.Phase, j.SecondsLeft,
                j.CancelAskedAt != null && j.State == JobState.Running, j.CreatedAt, j.StartedAt, j.FinishedAt, j.FailReason, j.ResultPath))
            .Take(RowsMax + 1).ToListAsync(stop);
        var seen = await db.Jobs.MaxAsync(j => j.HeartbeatAt, stop);
        return new JobPage(rows.Count > RowsMax ? rows[..RowsMax] : rows, rows.Count > RowsMax ? rows[RowsMax - 1].Number : null, seen);
    }
}
