using System.Security.Claims;
using System.Threading.RateLimiting;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Storage;
using Portal.Web.Accounts;
using Portal.Web.Train;

namespace Portal.Web.Audits;

/// <summary>Asks the engine for an audit. Retired versions may be audited: they are exhibits. An endpoint needs an admin's word that texts of people may be sent to it.</summary>
[Needs(Permission.Audit)]
public sealed class StartAudit(WriteQueue writes, StartJob start, Access access, DataDirectory directory, TimeProvider time) : IDisposable
{
    /// <summary>Audits that one person may start in ten minutes.</summary>
    public const int StartsMax = 10;

    /// <summary>Audits of a project that may wait or run at once: each keeps the engine busy for a while.</summary>
    public const int OpenMax = 5;

    private readonly PartitionedRateLimiter<Guid> limit = PartitionedRateLimiter.Create<Guid, Guid>(account =>
        RateLimitPartition.GetFixedWindowLimiter(account, _ => new FixedWindowRateLimiterOptions { PermitLimit = StartsMax, Window = TimeSpan.FromMinutes(10) }));

    /// <returns>The job, whose id is the audit's address; or what is wrong, field by field.</returns>
    public async Task<Outcome<StartedJob>> Handle(ClaimsPrincipal user, ProjectId project, AuditReward spec, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Audit, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        if (SpecChecks.Of(spec) is { Count: > 0 } problems)
            return new Refusal(problems);
        if (spec.Lexicon is { } words && !File.Exists(Path.Combine(directory.Lexicons, $"{words}.json"))) // a name of letters and digits: checked
            return new Problem("lexicon", "There is no list of words of this name any more. Choose another one, or none.", ProblemKind.NotFound);
        using var lease = limit.AttemptAcquire(asked.Value.AccountId);
        if (!lease.IsAcquired)
            return new Problem("", $"That was {StartsMax} audits in ten minutes. Wait a little, then try again.", ProblemKind.TooMuch);
        return await writes.WriteAsync<StartedJob>(db =>
        {
            if (MissingIn(db, project, spec) is { Count: > 0 } missing)
                return new Refusal(missing);
            db.LockJobs();
            if (db.Jobs.Count(j => j.ProjectId == project && j.Kind == nameof(AuditReward) && (j.State == JobState.Queued || j.State == JobState.Running)) >= OpenMax)
                return new Problem("", $"{OpenMax} audits of this project wait or run already. Start this one when one of them has ended.", ProblemKind.TooMuch);
            var started = StartedJob.In(db, () => start.Start(db, asked.Value, project, spec, null));
            if (started.Refusal is null)
                AuditChain.Append(db, time.GetUtcNow(), asked.Value.AccountId, "audit.start", "audit", $"{started.Value.Id}", new
                {
                    job = started.Value.Number, audited = $"{spec.AuditedId?.Value ?? spec.AuditedEndpointId?.Value}", @base = $"{spec.BaseEndpointId?.Value ?? spec.BaseId?.Value}", outside = spec.AuditedEndpointId is not null || spec.BaseEndpointId is not null,
                });
            return started;
        }, stop);
    }

    public void Dispose() => limit.Dispose();

    private static List<Problem> MissingIn(PortalDbContext db, ProjectId project, AuditReward spec)
    {
        var problems = new List<Problem>();
        foreach (var (field, id, kind) in new[]
                 {
                     ("auditedId", spec.AuditedId, ModelKind.Policy), ("baseId", spec.BaseId, ModelKind.Policy), ("referenceId", spec.ReferenceId, ModelKind.RewardModel), ("saeId", spec.SaeId, ModelKind.SparseAutoencoder),
                 })
        {
            if (id is { } version && !db.ModelVersions.Any(v => v.Id == version && v.ProjectId == project && v.Kind == kind))
                problems.Add(new Problem(field, $"This project has no such {kind.Noun()}.", ProblemKind.NotFound));
        }
        foreach (var (field, id) in new[] { ("auditedEndpointId", spec.AuditedEndpointId), ("baseEndpointId", spec.BaseEndpointId) })
        {
            if (id is not { } named)
                continue;
            var endpoint = db.PolicyEndpoints.AsNoTracking().FirstOrDefault(e => e.Id == named && e.ProjectId == project);
            if (endpoint is null or { RetiredAt: not null })
                problems.Add(new Problem(field, "This project has no such endpoint, or it is retired.", ProblemKind.NotFound));
            else if (!endpoint.HasConsent)
                problems.Add(new Problem(field, $"Nobody has agreed that texts of annotators may be sent to “{endpoint.Name}”. An admin gives consent on the endpoint's page.", ProblemKind.Conflict));
        }
        // A version is compared with the one it was trained from unless somebody says otherwise.
        if (spec is { AuditedId: { } audited, BaseId: null, BaseEndpointId: null } && db.ModelVersions.Any(v => v.Id == audited && v.ParentId == null))
            problems.Add(new Problem("baseId", "A base model was trained from no other version: choose what it is compared with."));
        return problems;
    }
}
