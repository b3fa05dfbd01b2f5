using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Endpoints;
using Portal.Data.Storage;
using Portal.Web.Accounts;

namespace Portal.Web.Endpoints;

/// <summary>Replaces an endpoint's key, or removes it. There is no way to read one.</summary>
[Needs(Permission.Administer)]
public sealed class ChangeEndpointKey(IDbContextFactory<PortalDbContext> contexts, WriteQueue writes, Access access, EndpointSecrets secrets, TimeProvider time)
{
    /// <param name="seen">The version of the row that was on the screen: a key is sealed for the address that the person saw.</param>
    /// <param name="key">The new key as typed; null removes the one there is.</param>
    /// <returns>True where there is a key now.</returns>
    public async Task<Outcome<bool>> Handle(ClaimsPrincipal user, PolicyEndpointId id, int seen, string? key, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        byte[]? box = null;
        if (key is not null)
        {
            if (EndpointSecrets.Check(key) is { } wrong)
                return wrong;
            await using var db = await contexts.CreateDbContextAsync(stop);
            if (await db.PolicyEndpoints.AsNoTracking().FirstOrDefaultAsync(e => e.Id == id, stop) is not { } endpoint)
                return EndpointRefusals.Gone;
            var sealed_ = secrets.Seal(endpoint, key);
            if (sealed_.Refusal is { } damaged)
                return damaged;
            box = sealed_.Value;
        }
        return await EndpointRefusals.Change<bool>(writes, id, seen, (db, endpoint) =>
        {
            endpoint.SetKey(box);
            AuditChain.Append(db, time.GetUtcNow(), asked.Value.AccountId, box is null ? "endpoint.key-remove" : "endpoint.key-replace", "endpoint", $"{id}", new { address = endpoint.BaseUrl });
            return box is not null;
        }, stop);
    }
}
