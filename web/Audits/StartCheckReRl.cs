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

/// <summary>Has a copy of an audit's base trained with the recovered reward, as far from the base as the audited policy is. The copy is measured and never becomes a version.</summary>
[Needs(Permission.Administer)]
public sealed class StartCheckReRl(WriteQueue writes, StartJob start, Access access, TimeProvider time)
{
    /// <param name="method">Whose reward; null for the method of the audit's verdict.</param>
    /// <returns>The job; or why there is nothing to train with, or that a check of this audit is under way.</returns>
    public async Task<Outcome<StartedJob>> Handle(ClaimsPrincipal user, JobId audit, string? method, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        return await writes.WriteAsync<StartedJob>(db =>
        {
            if (db.PolicyAudits.AsNoTracking().FirstOrDefault(a => a.JobId == audit) is not { } row)
                return new Problem("audit", "There is no audit at this address, or it has not ended.", ProblemKind.NotFound);
            if (WhyNot(row) is { } why)
                return new Problem("audit", why, ProblemKind.Conflict);
            db.LockJobs();
            if (Open(db, row).FirstOrDefault() is { } open)
                return new Problem("audit", $"Job {open.Number} checks {row.Label} already. Wait until it has ended.", ProblemKind.Conflict);
            var sampling = ((AuditReward)JobSpec.FromJson(db.Jobs.Where(j => j.Id == audit).Select(j => j.SpecJson).First())).Sampling;
            var usual = new CheckReRl();
            // What was answered greedily is asked at the usual temperature: a policy that never tries anything cannot be trained.
            var spec = usual with { AuditId = audit, Method = method, Seed = row.Seed, TokensMax = sampling.TokensMax, Temperature = sampling.Temperature > 0 ? sampling.Temperature : usual.Temperature };
            if (SpecChecks.Of(spec) is { Count: > 0 } problems)
                return new Refusal(problems);
            var started = StartedJob.In(db, () => start.Start(db, asked.Value, row.ProjectId, spec, null));
            if (started.Refusal is null)
                AuditChain.Append(db, time.GetUtcNow(), asked.Value.AccountId, "audit.re-rl.start", "audit", $"{audit}", new { job = started.Value.Number, method = method ?? row.Method });
            return started;
        }, stop);
    }

    /// <summary>Why a check of this audit cannot be; null where it can.</summary>
    internal static string? WhyNot(PolicyAudit row) => row is not { AuditedEndpointId: null, BaseEndpointId: null } ? $"An endpoint took part in {row.Label}: how far a policy is from its base is only known where both are models of the portal."
        : row.Accuracy is null ? $"Nothing was fitted in {row.Label}, so there is no reward to train with." : null;

    /// <summary>Checks of an audit that wait or run: a project has few.</summary>
    internal static IReadOnlyList<Job> Open(PortalDbContext db, PolicyAudit row) =>
        [.. db.Jobs.AsNoTracking().Where(j => j.ProjectId == row.ProjectId && j.Kind == nameof(CheckReRl) && (j.State == JobState.Queued || j.State == JobState.Running)).OrderBy(j => j.Number).AsEnumerable()
            .Where(job => JobSpec.FromJson(job.SpecJson) is CheckReRl spec && spec.AuditId == row.JobId)];
}
