using System.Security.Claims;
using System.Threading.RateLimiting;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Serving;
using Portal.Data.Storage;
using Portal.Web.Accounts;
using Portal.Web.Shell;

namespace Portal.Web.Endpoints;

/// <summary>Lets the engine ask an endpoint once to say hello, and notes whether log-probabilities came back.</summary>
[Needs(Permission.Administer)]
public sealed class TryEndpoint(IDbContextFactory<PortalDbContext> contexts, WriteQueue writes, Access access, EngineClient engine, TimeProvider time) : IDisposable
{
    /// <summary>Trials a minute, by person: each is a request to somebody else's machine.</summary>
    public const int TrialsPerMinute = 10;

    private readonly PartitionedRateLimiter<Guid> limit = PartitionedRateLimiter.Create<Guid, Guid>(account =>
        RateLimitPartition.GetFixedWindowLimiter(account, _ => new FixedWindowRateLimiterOptions { PermitLimit = TrialsPerMinute, Window = TimeSpan.FromMinutes(1) }));

    /// <returns>What came back, or why nothing was asked. An endpoint that fails is a result with its reason.</returns>
    public async Task<Outcome<EndpointTrialResponse>> Handle(ClaimsPrincipal user, PolicyEndpointId id, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        using var lease = limit.AttemptAcquire(asked.Value.AccountId);
        if (!lease.IsAcquired)
            return new Problem("", $"That was {TrialsPerMinute} trials in a minute. Wait a little, then try again.", ProblemKind.TooMuch);
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (await db.PolicyEndpoints.AsNoTracking().FirstOrDefaultAsync(e => e.Id == id, stop) is not { } endpoint)
            return EndpointRefusals.Gone;
        if (endpoint.RetiredAt is not null)
            return EndpointRefusals.Retired;
        var answer = await engine.TryEndpoint(new EndpointTrialRequest($"{id}"), stop);
        if (answer.Refusal is not null)
            return answer;
        var trial = answer.Value;
        var noted = await EndpointRefusals.Change<bool>(writes, id, endpoint.RowVersion, (data, row) =>
        {
            var now = time.GetUtcNow();
            if (trial.Problem is null)
                row.NoteTrial(trial.GivesLogProbs, trial.ScoresGivenTexts, now);
            AuditChain.Append(data, now, asked.Value.AccountId, "endpoint.try", "endpoint", $"{id}", new { address = row.BaseUrl, answered = trial.Problem is null });
            return true;
        }, stop);
        return noted.Refusal is { } overtaken ? overtaken : answer; // what came back is about an address that is no longer there
    }

    public void Dispose() => limit.Dispose();
}
