using System.Security.Claims;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Storage;
using Portal.Web.Accounts;

namespace Portal.Web.Endpoints;

/// <summary>An admin's word that texts of annotators may be sent to an endpoint's address, or its end. Without it the engine sends none.</summary>
[Needs(Permission.Administer)]
public sealed class ConsentToEndpoint(WriteQueue writes, Access access, TimeProvider time)
{
    /// <param name="seen">The version of the row that was on the screen: the word is about the address that the person saw.</param>
    public async Task<Outcome<PolicyEndpointId>> Handle(ClaimsPrincipal user, PolicyEndpointId id, int seen, bool agree, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        return await EndpointRefusals.Change<PolicyEndpointId>(writes, id, seen, (db, endpoint) =>
        {
            var now = time.GetUtcNow();
            if (agree)
                endpoint.GiveConsent(asked.Value.AccountId, now);
            else
                endpoint.WithdrawConsent();
            AuditChain.Append(db, now, asked.Value.AccountId, agree ? "endpoint.consent" : "endpoint.consent-withdraw", "endpoint", $"{id}", new { address = endpoint.BaseUrl });
            return id;
        }, stop);
    }
}

/// <summary>Takes an endpoint out of use for good and forgets its key. The row stays, because results name it.</summary>
[Needs(Permission.Administer)]
public sealed class RetireEndpoint(WriteQueue writes, Access access, TimeProvider time)
{
    /// <param name="seen">The version of the row that was on the screen.</param>
    public async Task<Outcome<PolicyEndpointId>> Handle(ClaimsPrincipal user, PolicyEndpointId id, int seen, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        return await EndpointRefusals.Change<PolicyEndpointId>(writes, id, seen, (db, endpoint) =>
        {
            endpoint.Retire(time.GetUtcNow());
            AuditChain.Append(db, time.GetUtcNow(), asked.Value.AccountId, "endpoint.retire", "endpoint", $"{id}");
            return id;
        }, stop);
    }
}
