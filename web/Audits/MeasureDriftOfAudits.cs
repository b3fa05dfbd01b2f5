using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Audits;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Storage;
using Portal.Web.Accounts;
using Portal.Web.Train;

namespace Portal.Web.Audits;

/// <summary>Asks the engine how the rewards and answers of several versions differ, by audits that are comparable.</summary>
[Needs(Permission.Audit)]
public sealed class StartMeasureDrift(WriteQueue writes, StartJob start, Access access, TimeProvider time)
{
    /// <param name="audits">One a version, v1 first.</param>
    /// <returns>The job; or which audits cannot be compared, as far as their rows tell. The engine looks at their texts.</returns>
    public async Task<Outcome<StartedJob>> Handle(ClaimsPrincipal user, ProjectId project, IReadOnlyList<JobId> audits, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Audit, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var spec = new MeasureDrift { AuditIds = audits };
        if (SpecChecks.Of(spec) is { Count: > 0 } problems)
            return new Refusal(problems);
        return await writes.WriteAsync<StartedJob>(db =>
        {
            var found = db.PolicyAudits.AsNoTracking().Where(a => a.ProjectId == project && audits.Contains(a.JobId)).ToDictionary(a => a.JobId);
            if (audits.FirstOrDefault(id => !found.ContainsKey(id)) is { Value: var gone } && gone != Guid.Empty)
                return new Problem("auditIds", "One of these audits is not in this project, or has not ended.", ProblemKind.NotFound);
            var first = found[audits[0]];
            foreach (var other in audits.Select(id => found[id]))
            {
                if (other.Accuracy is null)
                    return new Problem("auditIds", $"Nothing was fitted in {other.Label}, so it has no reward to compare.", ProblemKind.Conflict);
                if (other.BaseId != first.BaseId || other.BaseEndpointId != first.BaseEndpointId)
                    return new Problem("auditIds", $"{other.Label} has another base ({other.BaseName}) than {first.Label} ({first.BaseName}).", ProblemKind.Conflict);
                if (other.Seed != first.Seed)
                    return new Problem("auditIds", $"{other.Label} was made with seed {other.Seed}, {first.Label} with {first.Seed}: the base answered differently in the two.", ProblemKind.Conflict);
            }
            db.LockJobs();
            if (db.Jobs.Any(j => j.ProjectId == project && j.Kind == nameof(MeasureDrift) && (j.State == JobState.Queued || j.State == JobState.Running)))
                return new Problem("auditIds", "Another comparison of versions waits or runs in this project. Start this one when it has ended.", ProblemKind.TooMuch);
            var started = StartedJob.In(db, () => start.Start(db, asked.Value, project, spec, null));
            if (started.Refusal is null)
                AuditChain.Append(db, time.GetUtcNow(), asked.Value.AccountId, "audit.drift.start", "drift", $"{started.Value.Id}", new { job = started.Value.Number, audits = audits.Select(id => $"{id}") });
            return started;
        }, stop);
    }
}

/// <summary>A comparison of versions to choose.</summary>
public sealed record DriftLink(JobId JobId, int Versions, DateTimeOffset At);

/// <summary>A feature of the incentive tables, version by version.</summary>
/// <param name="Effects">In logits per feature deviation; null where that audit does not have it. [k].</param>
/// <param name="Steps">What the intervals of neighbours say, as between two audits. [k − 1].</param>
public sealed record DriftIncentive(string Key, string Name, IReadOnlyList<AuditInterval?> Effects, IReadOnlyList<IntervalRelation> Steps);

/// <summary>How versions differ, as a page shows it.</summary>
/// <param name="WhyNoIncentives">Why effects of neighbours are not compared; empty: they are.</param>
public sealed record ShownDrift(DriftRun Run, DriftReport Report, IReadOnlyList<DriftIncentive> Incentives, IReadOnlyList<string> WhyNoIncentives);

/// <summary>Comparisons of versions of a project.</summary>
/// <param name="Links">Newest first, at most <see cref="ShowDrift.LinksMax"/>.</param>
/// <param name="Shown">The one asked for; null: none.</param>
public sealed record DriftsShown(IReadOnlyList<DriftLink> Links, ShownDrift? Shown);

/// <summary>Shows how versions differ: what the engine measured, and the incentives of their audits beside each other.</summary>
[Needs(Permission.Audit)]
public sealed class ShowDrift(IDbContextFactory<PortalDbContext> contexts, Access access, ReadAudit read)
{
    public const int LinksMax = 20;

    internal static readonly Problem NoSuch = new("drift", "There is no such comparison of versions, or it has not ended.", ProblemKind.NotFound);

    /// <param name="drift">Its job; null: the list alone.</param>
    public async Task<Outcome<DriftsShown>> Handle(ClaimsPrincipal user, ProjectId project, JobId? drift, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Audit, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        // Over the index (ProjectId, At).
        var links = await db.DriftRuns.AsNoTracking().Where(r => r.ProjectId == project).OrderByDescending(r => r.At).Take(LinksMax).Select(r => new DriftLink(r.JobId, r.Versions, r.At)).ToListAsync(stop);
        if (drift is not { } id)
            return new DriftsShown(links, null);
        if (await db.DriftRuns.AsNoTracking().FirstOrDefaultAsync(r => r.JobId == id && r.ProjectId == project, stop) is not { } run)
            return NoSuch;
        var report = run.Report();
        var audits = new List<AuditReport>();
        foreach (var version in report.Versions)
        {
            var opened = await read.Ended(user, version.AuditJobId, new Problem("drift", $"{version.Audit} is gone.", ProblemKind.NotFound), stop);
            if (opened.Refusal is { } why)
                return why;
            audits.Add(opened.Value.Report);
        }
        var (incentives, whyNot) = Incentives(audits);
        return new DriftsShown(links, new ShownDrift(run, report, incentives, whyNot));
    }

    /// <summary>Neighbours are compared as two audits are (<see cref="AuditComparison"/>).</summary>
    internal static (IReadOnlyList<DriftIncentive> Rows, IReadOnlyList<string> WhyNot) Incentives(IReadOnlyList<AuditReport> audits)
    {
        var steps = audits.Zip(audits.Skip(1), AuditComparison.Of).ToList();
        var rows = audits.SelectMany(report => report.Incentives.Where(table => table.Name == "readable").SelectMany(table => table.Rows)).DistinctBy(row => row.Key).Select(row => new DriftIncentive(row.Key, row.Name,
            [.. audits.Select(report => report.Incentives.FirstOrDefault(table => table.Name == "readable")?.Rows.FirstOrDefault(own => own.Key == row.Key)?.Effect)],
            [.. steps.Select(step => step.Incentives.FirstOrDefault(own => own.Key == row.Key)?.Effect.Relation ?? IntervalRelation.Missing)]));
        return ([.. rows], [.. steps.SelectMany(step => step.WhyNoIncentives).Distinct()]);
    }
}
