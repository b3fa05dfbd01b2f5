using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Audits;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Web.Accounts;

namespace Portal.Web.Audits;

/// <summary>An audit that waits, runs, or ended without a result.</summary>
/// <param name="Names">Who is compared with whom.</param>
/// <param name="FailReason">Why it failed; null otherwise.</param>
public sealed record AuditJobRow(JobId JobId, int Number, JobState State, string Names, int Step, int StepsTotal, string Phase, string? FailReason, DateTimeOffset At);

/// <summary>One audit of the list.</summary>
/// <param name="By">Null when the system asked for it, or the account is gone.</param>
public sealed record AuditRow(PolicyAudit Audit, string? By);

/// <summary>A page of audits.</summary>
/// <param name="Jobs">Audits under way, and those that failed since the last one that ended; first page only.</param>
/// <param name="Page">0-based, within range.</param>
/// <param name="HasPolicies">There are two policies to compare, or a policy and an endpoint.</param>
public sealed record AuditList(IReadOnlyList<AuditRow> Rows, IReadOnlyList<AuditJobRow> Jobs, int Total, int Page, bool HasPolicies)
{
    public bool HasMore => (Page + 1) * ListAudits.RowsMax < Total;
}

/// <summary>The audits of a project, newest first.</summary>
[Needs(Permission.Audit)]
public sealed class ListAudits(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    public const int RowsMax = 25;
    private const int JobsMax = 10;

    /// <param name="page">0-based; outside the range the nearest is shown.</param>
    public async Task<Outcome<AuditList>> Handle(ClaimsPrincipal user, ProjectId project, int page, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Audit, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (!await db.Projects.AnyAsync(p => p.Id == project, stop))
            return new Problem("project", "This project is gone.", ProblemKind.NotFound);
        var all = db.PolicyAudits.AsNoTracking().Where(a => a.ProjectId == project);
        var total = await all.CountAsync(stop);
        var at = Math.Clamp(page, 0, Math.Max(0, (total - 1) / RowsMax));
        var rows = await all.OrderByDescending(a => a.Number).Skip(at * RowsMax).Take(RowsMax).ToListAsync(stop); // over (ProjectId, Number)
        var people = rows.Select(a => a.CreatedBy).OfType<Guid>().Distinct().ToList();
        var names = await db.Users.AsNoTracking().Where(a => people.Contains(a.Id)).ToDictionaryAsync(a => a.Id, a => a.DisplayName, stop);
        var policies = await db.ModelVersions.CountAsync(v => v.ProjectId == project && v.Kind == ModelKind.Policy, stop) + await db.PolicyEndpoints.CountAsync(e => e.ProjectId == project && e.RetiredAt == null, stop);
        return new AuditList([.. rows.Select(a => new AuditRow(a, a.CreatedBy is { } by ? names.GetValueOrDefault(by) : null))], at == 0 ? await Jobs(db, project, rows.Count > 0 ? rows[0].At : null, stop) : [], total, at, policies >= 2);
    }

    private static async Task<IReadOnlyList<AuditJobRow>> Jobs(PortalDbContext db, ProjectId project, DateTimeOffset? last, CancellationToken stop)
    {
        // Over IX_Jobs_ProjectId_Number.
        var jobs = await db.Jobs.AsNoTracking().Where(j => j.ProjectId == project && j.Kind == nameof(AuditReward) && (j.State == JobState.Queued || j.State == JobState.Running || (j.State == JobState.Failed && (last == null || j.FinishedAt > last))))
            .OrderByDescending(j => j.Number).Take(JobsMax).ToListAsync(stop);
        var specs = jobs.ConvertAll(j => (AuditReward)JobSpec.FromJson(j.SpecJson));
        var versions = specs.SelectMany(spec => new[] { spec.AuditedId, spec.BaseId }).OfType<ModelVersionId>().Distinct().ToList();
        var labels = await db.ModelVersions.AsNoTracking().Where(v => versions.Contains(v.Id)).ToDictionaryAsync(v => v.Id, v => v.Label, stop);
        var endpoints = specs.SelectMany(spec => new[] { spec.AuditedEndpointId, spec.BaseEndpointId }).OfType<PolicyEndpointId>().Distinct().ToList();
        var outside = await db.PolicyEndpoints.AsNoTracking().Where(e => endpoints.Contains(e.Id)).ToDictionaryAsync(e => e.Id, e => e.Name, stop);
        return [.. jobs.Zip(specs, (job, spec) => new AuditJobRow(job.Id, job.Number, job.State, Names(spec), job.Step, job.StepsTotal, job.Phase, job.FailReason, job.CreatedAt))];

        string Names(AuditReward spec) => string.Join(" / ", new[] { Name(spec.AuditedId, spec.AuditedEndpointId), Name(spec.BaseEndpointId is null ? spec.BaseId : null, spec.BaseEndpointId) }.OfType<string>());

        string? Name(ModelVersionId? version, PolicyEndpointId? endpoint) => endpoint is { } e ? outside.GetValueOrDefault(e) : version is { } v ? labels.GetValueOrDefault(v) : null;
    }
}
