using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Accounts;
using Portal.Data.Jobs;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;
using Portal.Data.Storage;
using Portal.Web.Accounts;
using Portal.Web.Registry;

namespace Portal.Web.SaeFeatures;

/// <summary>
/// A second person's word on a proposed set. Approving releases its version in the same write: decision, release and audit events are all stored, or
/// none of them.
/// </summary>
[Needs(Permission.Administer)]
public sealed class DecideToggleSet(WriteQueue writes, Access access, IdFactory ids, ContentHasher hasher, TimeProvider time)
{
    /// <param name="seen"><see cref="ToggleSet.RowVersion"/> of the proposal that the person looked at.</param>
    /// <param name="serving">The reward model that served when the person decided (null: none). Serves another one now, then this is refused.</param>
    /// <param name="note">The person's own words, kept with the set, and with the release beside the author's reason. An approval may come without, a refusal not.</param>
    public async Task<Outcome<ToggleSetState>> Handle(ClaimsPrincipal user, ToggleSetId id, int seen, bool approve, ModelVersionId? serving, string? note, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var by = asked.Value.AccountId;
        try
        {
            return await writes.WriteAsync<ToggleSetState>(db =>
            {
                db.LockJobs();
                if (db.ToggleSets.FirstOrDefault(s => s.Id == id) is not { } set)
                    return ToggleRefusals.Gone;
                if (set.State is ToggleSetState.Waiting && set.RowVersion != seen)
                    return ToggleRefusals.Overtaken;
                var now = time.GetUtcNow();
                if (set.Decide(approve, by, IsAlone(db, by), note, now) is { } problem)
                    return problem;
                if (!approve && db.Jobs.FirstOrDefault(j => j.Id == set.JobId) is { } job)
                    job.AskCancel(now); // nobody wants its version any more
                ToggleAudit.Append(db, hasher, now, by, approve ? "toggles.approve" : "toggles.refuse", set,
                    new { version = $"{set.PublishedVersionId}", selfApproved = set.IsSelfApproved, noteHash = hasher.Hash(set.DecisionNote ?? "") });
                if (approve && Release(db, set, serving, now).Refusal is { } why)
                    return why;
                return set.State;
            }, stop);
        }
        catch (DbUpdateConcurrencyException)
        {
            return ToggleRefusals.Overtaken; // on another node somebody decided, or moved what serves
        }
    }

    /// <summary>True where no other account could approve: none with the admin's role that can sign in.</summary>
    internal static bool IsAlone(PortalDbContext db, Guid person) =>
        !(from link in db.UserRoles
          join role in db.Roles on link.RoleId equals role.Id
          join account in db.Users on link.UserId equals account.Id
          where role.Name == RoleNames.Admin && account.DisabledAt == null && account.Id != person
          select account.Id).Any();

    private Outcome<ReleaseRecord> Release(PortalDbContext db, ToggleSet set, ModelVersionId? serving, DateTimeOffset now)
    {
        var source = db.ModelVersions.First(v => v.Id == set.ModelVersionId);
        if (source.Status is ModelStatus.Retired)
            return ToggleRefusals.Retired(source);
        var version = db.ModelVersions.First(v => v.Id == set.PublishedVersionId); // Decide asks that it is there
        var project = db.Projects.First(p => p.Id == set.ProjectId);
        if (project.CurrentOf(ModelKind.RewardModel) != serving)
            return ReleaseRefusals.Overtaken;
        // One person: the record names no approver, and the reason says so wherever it is shown.
        var reason = string.Join(" ", new[] { set.IsSelfApproved ? "Self-approved:" : "", set.Reason, set.DecisionNote is { } note ? $"(Approved: {note})" : "" }.Where(part => part.Length > 0));
        var released = project.Release(ids.New<ReleaseId>(), version, reason, set.Author, set.IsSelfApproved ? null : set.DecidedBy, now);
        if (released.Refusal is null)
            ReleaseAudit.Append(db, hasher, "model.release", released.Value);
        return released;
    }
}
