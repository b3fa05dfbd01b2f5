using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Endpoints;

namespace Portal.Engine.Endpoints;

/// <summary>Opens endpoints as policies: looks one up, opens its key, and puts the guard around it.</summary>
public sealed class EndpointPolicies(IDbContextFactory<PortalDbContext> contexts, EndpointSecrets secrets, AddressGuard guard, EndpointNetwork network, TimeProvider time)
{
    /// <summary>An endpoint, ready to be asked.</summary>
    /// <exception cref="CannotTrain">It is gone or retired, or its key cannot be opened; the message says what to do.</exception>
    public async Task<EndpointPolicy> Open(PolicyEndpointId id, EndpointLimits limits, CancellationToken stop)
    {
        await using var db = await contexts.CreateDbContextAsync(stop);
        var endpoint = await db.PolicyEndpoints.AsNoTracking().FirstOrDefaultAsync(e => e.Id == id, stop) ?? throw new CannotTrain("This endpoint is gone; choose another one.");
        if (endpoint.RetiredAt is not null)
            throw new CannotTrain($"The endpoint \"{endpoint.Name}\" is retired; choose another one.");
        var key = secrets.Open(endpoint);
        return key.Refusal is { } refusal ? throw new CannotTrain(refusal.ToString()) : new EndpointPolicy(endpoint, key.Value, guard, network, limits, time);
    }
}
