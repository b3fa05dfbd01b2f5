using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Endpoints;
using Portal.Data.Storage;

namespace Portal.Web.Endpoints;

/// <summary>What is said where an endpoint cannot be changed, and the one way to change a stored one.</summary>
internal static class EndpointRefusals
{
    public static readonly Problem Gone = new("", "This endpoint is gone.", ProblemKind.NotFound);
    public static readonly Problem Retired = new("", "This endpoint is retired. It stays for what was made with it; make a new one.", ProblemKind.Conflict);
    public static readonly Problem Overtaken = new("", "Somebody changed this endpoint since you opened it. Nothing was stored now: load the page again, look, then decide.", ProblemKind.Conflict);

    public static Problem Taken(string? name) => new("name", $"This project has an endpoint named \"{name?.Trim()}\" already, perhaps a retired one.", ProblemKind.Conflict);

    /// <summary>Changes an endpoint in use that is as the person saw it.</summary>
    /// <param name="seen"><see cref="PolicyEndpoint.RowVersion"/> of what was on the screen.</param>
    public static async Task<Outcome<T>> Change<T>(WriteQueue writes, PolicyEndpointId id, int seen, Func<PortalDbContext, PolicyEndpoint, Outcome<T>> change, CancellationToken stop)
    {
        try
        {
            return await writes.WriteAsync<T>(db =>
            {
                if (db.PolicyEndpoints.FirstOrDefault(e => e.Id == id) is not { } endpoint)
                    return Gone;
                if (endpoint.RetiredAt is not null)
                    return Retired;
                return endpoint.RowVersion == seen ? change(db, endpoint) : Overtaken;
            }, stop);
        }
        catch (DbUpdateConcurrencyException)
        {
            return Overtaken; // another node was faster between reading and writing
        }
    }
}
