using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Endpoints;
using Portal.Web.Accounts;

namespace Portal.Web.Endpoints;

/// <summary>One row of the list. Whether there is a key, never which.</summary>
public sealed record EndpointRow(PolicyEndpointId Id, string Name, string BaseUrl, string Model, EndpointApi Api, bool HasKey, bool HasConsent, DateTimeOffset? TriedAt, bool? GivesLogProbs,
    DateTimeOffset? RetiredAt);

/// <summary>The endpoints of a project, those in use first.</summary>
[Needs(Permission.Administer)]
public sealed class ListEndpoints(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    public const int RowsMax = 200;

    public async Task<Outcome<IReadOnlyList<EndpointRow>>> Handle(ClaimsPrincipal user, ProjectId project, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        // Few rows; the unique index (ProjectId, Name) finds them.
        var rows = await db.PolicyEndpoints.AsNoTracking().Where(e => e.ProjectId == project).OrderBy(e => e.RetiredAt != null).ThenBy(e => e.Name).Take(RowsMax)
            .Select(e => new EndpointRow(e.Id, e.Name, e.BaseUrl, e.Model, e.Api, e.SealedKey != null, e.ConsentAt != null, e.TriedAt, e.GivesLogProbs, e.RetiredAt)).ToListAsync(stop);
        return new Outcome<IReadOnlyList<EndpointRow>>.Done(rows); // an interface does not convert by itself
    }
}

/// <summary>What the page of one endpoint shows.</summary>
/// <param name="Consenter">Who agreed that texts of annotators may be sent; null where nobody did, or the account is gone.</param>
public sealed record ShownEndpoint(PolicyEndpointId Id, EndpointSettings Settings, int RowVersion, bool HasKey, string? Consenter, DateTimeOffset? ConsentAt, DateTimeOffset? TriedAt,
    bool? GivesLogProbs, bool? ScoresGivenTexts, DateTimeOffset CreatedAt, DateTimeOffset? RetiredAt);

/// <summary>Loads one endpoint for its page.</summary>
[Needs(Permission.Administer)]
public sealed class ShowEndpoint(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    public async Task<Outcome<ShownEndpoint>> Handle(ClaimsPrincipal user, PolicyEndpointId id, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (await db.PolicyEndpoints.AsNoTracking().FirstOrDefaultAsync(e => e.Id == id, stop) is not { } e)
            return EndpointRefusals.Gone;
        var consenter = e.ConsentBy is { } by ? await db.Users.AsNoTracking().Where(a => a.Id == by).Select(a => a.DisplayName).FirstOrDefaultAsync(stop) : null;
        var settings = new EndpointSettings
        {
            Name = e.Name, BaseUrl = e.BaseUrl, Model = e.Model, Api = e.Api, AsksLogProbs = e.AsksLogProbs, TimeoutSeconds = e.TimeoutSeconds, ParallelRequests = e.ParallelRequests, Retries = e.Retries,
        };
        return new ShownEndpoint(e.Id, settings, e.RowVersion, e.HasKey, consenter, e.ConsentAt, e.TriedAt, e.GivesLogProbs, e.ScoresGivenTexts, e.CreatedAt, e.RetiredAt);
    }
}
