using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Web.Accounts;
using Portal.Web.Api;

namespace Portal.Web.Unlearning;

/// <summary>An event of a request's trail.</summary>
/// <param name="By">Who did it; null for the system.</param>
/// <param name="Stands">Its hash is that of what it says.</param>
public sealed record TrailEvent(AuditEvent Event, string? By, bool Stands);

/// <summary>What happened to a request and to the version it made, in order, from the audit chain. Ids and hashes, no texts.</summary>
[Needs(Permission.Review)]
public sealed class ReadTrail(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    public async Task<Outcome<IReadOnlyList<TrailEvent>>> Handle(ClaimsPrincipal user, UnlearningRequestId id, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (await db.UnlearningRequests.AsNoTracking().FirstOrDefaultAsync(r => r.Id == id, stop) is not { } request)
            return UnlearningRefusals.Gone;
        var (own, version) = ($"{id}", $"{request.VersionId}");
        // Over (EntityKind, EntityId). Releases are events of "modelVersion", what is trained and described of "model".
        var events = await db.AuditEvents.AsNoTracking().Where(e => (e.EntityKind == "unlearning" && e.EntityId == own) || (version != "" && (e.EntityKind == "model" || e.EntityKind == "modelVersion") && e.EntityId == version)).OrderBy(e => e.Sequence).ToListAsync(stop);
        var people = events.Select(e => e.Actor).OfType<Guid>().Distinct().ToList();
        var names = await db.Users.AsNoTracking().Where(a => people.Contains(a.Id)).ToDictionaryAsync(a => a.Id, a => a.DisplayName, stop);
        return events.ConvertAll(e => new TrailEvent(e, e.Actor is { } by ? names.GetValueOrDefault(by, "?") : null, AuditChain.Stands(e)));
    }

    /// <summary>The same as a file, with all that the hashes are of, so that they can be worked out elsewhere.</summary>
    public async Task<Outcome<TableFile>> Table(ClaimsPrincipal user, UnlearningRequestId id, CancellationToken stop)
    {
        var events = await Handle(user, id, stop);
        return events.Refusal is { } refusal ? refusal : TableFile.Of("audit-trail", ["sequence", "at_unix_ms", "actor", "action", "entity_kind", "entity_id", "payload", "previous_hash", "hash", "stands"], events.Value.Select(one => (IReadOnlyList<object?>)
        [
            one.Event.Sequence, one.Event.At.ToUnixTimeMilliseconds(), one.Event.Actor?.ToString(), one.Event.Action, one.Event.EntityKind, one.Event.EntityId, one.Event.PayloadJson, one.Event.PreviousHash, one.Event.Hash, one.Stands,
        ]));
    }
}
