using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Endpoints;
using Portal.Data.Storage;
using Portal.Web.Accounts;

namespace Portal.Web.Endpoints;

/// <summary>What the form binds.</summary>
public sealed class EndpointInput
{
    public string? Name { get; set; }
    public string? BaseUrl { get; set; }
    public string? Model { get; set; }
    public EndpointApi Api { get; set; } = EndpointApi.ChatCompletions;
    public bool AsksLogProbs { get; set; }
    public int TimeoutSeconds { get; set; } = 60;
    public int ParallelRequests { get; set; } = 4;
    public int Retries { get; set; } = 4;

    /// <summary>The form filled with what an endpoint has now.</summary>
    public static EndpointInput Of(EndpointSettings settings) => new()
    {
        Name = settings.Name, BaseUrl = settings.BaseUrl, Model = settings.Model, Api = settings.Api, AsksLogProbs = settings.AsksLogProbs,
        TimeoutSeconds = settings.TimeoutSeconds, ParallelRequests = settings.ParallelRequests, Retries = settings.Retries,
    };

    /// <summary>What is sent.</summary>
    public EndpointSettings Settings => new()
    {
        Name = Name, BaseUrl = BaseUrl, Model = Model, Api = Api, AsksLogProbs = AsksLogProbs, TimeoutSeconds = TimeoutSeconds, ParallelRequests = ParallelRequests, Retries = Retries,
    };
}

/// <summary>Makes an endpoint. Its key comes afterwards (<see cref="ChangeEndpointKey"/>).</summary>
[Needs(Permission.Administer)]
public sealed class CreateEndpoint(WriteQueue writes, Access access, IdFactory ids, TimeProvider time)
{
    public async Task<Outcome<PolicyEndpointId>> Handle(ClaimsPrincipal user, ProjectId project, EndpointSettings settings, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        if (settings.Check() is { } problems)
            return problems;
        var name = settings.Name!.Trim(); // checked above
        try
        {
            return await writes.WriteAsync<PolicyEndpointId>(db =>
            {
                if (!db.Projects.Any(p => p.Id == project && p.ArchivedAt == null))
                    return new Problem("", "This project is gone.", ProblemKind.NotFound);
                if (db.PolicyEndpoints.Any(e => e.ProjectId == project && e.Name == name))
                    return EndpointRefusals.Taken(name);
                var now = time.GetUtcNow();
                var endpoint = new PolicyEndpoint { Id = ids.New<PolicyEndpointId>(), ProjectId = project, CreatedBy = asked.Value.AccountId, CreatedAt = now };
                endpoint.Change(settings);
                db.PolicyEndpoints.Add(endpoint);
                AuditChain.Append(db, now, asked.Value.AccountId, "endpoint.create", "endpoint", $"{endpoint.Id}", new { address = endpoint.BaseUrl, api = $"{endpoint.Api}" });
                return endpoint.Id;
            }, stop);
        }
        catch (DbUpdateException)
        {
            return EndpointRefusals.Taken(name); // the unique index on project and name is the only thing a checked form can break
        }
    }
}

/// <summary>Changes an endpoint's settings. Another address drops its key and its consent.</summary>
[Needs(Permission.Administer)]
public sealed class EditEndpoint(WriteQueue writes, Access access, TimeProvider time)
{
    /// <param name="seen">The version of the row that the form was filled from.</param>
    /// <returns>True where the address is another one, so that key and consent are gone.</returns>
    public async Task<Outcome<bool>> Handle(ClaimsPrincipal user, PolicyEndpointId id, EndpointSettings settings, int seen, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        if (settings.Check() is { } problems)
            return problems;
        var name = settings.Name!.Trim(); // checked above
        try
        {
            return await EndpointRefusals.Change<bool>(writes, id, seen, (db, endpoint) =>
            {
                if (db.PolicyEndpoints.Any(e => e.ProjectId == endpoint.ProjectId && e.Name == name && e.Id != id))
                    return EndpointRefusals.Taken(name);
                var moved = endpoint.Change(settings);
                AuditChain.Append(db, time.GetUtcNow(), asked.Value.AccountId, "endpoint.edit", "endpoint", $"{id}", new { address = endpoint.BaseUrl, api = $"{endpoint.Api}", moved });
                return moved;
            }, stop);
        }
        catch (DbUpdateException)
        {
            return EndpointRefusals.Taken(name); // as above
        }
    }
}
