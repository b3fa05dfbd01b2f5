using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;
using Portal.Data.Storage;
using Portal.Web.Accounts;

namespace Portal.Web.Registry;

/// <summary>Makes a version the one that serves. Release and audit event are one write: both are stored or neither.</summary>
[Needs(Permission.Administer)]
public sealed class ReleaseModel(WriteQueue writes, Access access, IdFactory ids, ContentHasher hasher, TimeProvider time)
{
    /// <param name="versionId">The version to release.</param>
    /// <param name="seen">What served when the person decided (null: nothing). Serves something else now, then somebody was faster and this is refused.</param>
    /// <param name="reason">Why, in the person's words; kept with the release. The audit log holds its keyed hash.</param>
    /// <param name="approver">The second person who agreed; null where none was asked.</param>
    public async Task<Outcome<ReleaseRecord>> Handle(ClaimsPrincipal user, ModelVersionId versionId, ModelVersionId? seen, string? reason, Guid? approver,
        CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        if (reason?.Length > ReasonLengthMax)
            return ReleaseRefusals.ReasonTooLong(reason.Length);
        try
        {
            return await writes.WriteAsync<ReleaseRecord>(db =>
            {
                if (db.ModelVersions.FirstOrDefault(v => v.Id == versionId) is not { } version)
                    return ReleaseRefusals.NoVersion;
                if (db.ToggleSets.FirstOrDefault(s => s.PublishedVersionId == versionId && s.State != ToggleSetState.Published) is { } undecided)
                    return ReleaseRefusals.NotApproved(version, undecided); // this way round there is no second person
                var project = db.Projects.First(p => p.Id == version.ProjectId);
                if (project.CurrentOf(version.Kind) is { } serves && serves != seen && serves != versionId)
                    return ReleaseRefusals.Overtaken;
                var unlearning = db.UnlearningRequests.FirstOrDefault(r => r.VersionId == versionId);
                if (unlearning?.Release() is { } early)
                    return early;
                if (approver is { } second && !db.Users.Any(a => a.Id == second && a.DisabledAt == null))
                    return new Problem("approver", "The approver has no account here that can sign in.");
                var now = time.GetUtcNow();
                var released = project.Release(ids.New<ReleaseId>(), version, reason ?? "", asked.Value.AccountId, approver, now);
                if (released.Refusal is { } why)
                    return why;
                ReleaseAudit.Append(db, hasher, "model.release", released.Value);
                return released;
            }, stop);
        }
        catch (DbUpdateConcurrencyException)
        {
            return ReleaseRefusals.Overtaken; // another node moved the pointer between reading and writing
        }
    }

    /// <summary>Characters of a reason.</summary>
    public const int ReasonLengthMax = 2_000;
}

/// <summary>Puts back the version that served before. Nothing is removed: the version that served stays stored and can be released again.</summary>
[Needs(Permission.Administer)]
public sealed class RollBackModel(WriteQueue writes, Access access, IdFactory ids, ContentHasher hasher, TimeProvider time)
{
    /// <param name="seen">What served when the person decided.</param>
    public async Task<Outcome<ReleaseRecord>> Handle(ClaimsPrincipal user, ProjectId projectId, ModelKind kind, ModelVersionId seen, string? reason,
        CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        if (reason?.Length > ReleaseModel.ReasonLengthMax)
            return ReleaseRefusals.ReasonTooLong(reason.Length);
        try
        {
            return await writes.WriteAsync<ReleaseRecord>(db =>
            {
                if (db.Projects.FirstOrDefault(p => p.Id == projectId) is not { } project)
                    return ReleaseRefusals.NoVersion;
                if (project.CurrentOf(kind) != seen)
                    return ReleaseRefusals.Overtaken;
                if (Before(db, projectId, kind, seen) is not { } last || last.FromVersionId is not { } previousId)
                    return new Problem("version", "Nothing served before this version, so there is nothing to go back to.", ProblemKind.Conflict);
                var previous = db.ModelVersions.First(v => v.Id == previousId);
                db.UnlearningRequests.FirstOrDefault(r => r.VersionId == seen)?.RollBack();
                var back = project.RollBack(ids.New<ReleaseId>(), last, previous, reason ?? "", asked.Value.AccountId, time.GetUtcNow());
                if (back.Refusal is { } why)
                    return why;
                ReleaseAudit.Append(db, hasher, "model.rollback", back.Value);
                return back;
            }, stop);
        }
        catch (DbUpdateConcurrencyException)
        {
            return ReleaseRefusals.Overtaken;
        }
    }

    /// <summary>
    /// The release that first put this version where it serves; its <see cref="ReleaseRecord.FromVersionId"/> is what a roll-back restores.
    /// Roll-backs themselves do not count, or a second one would put the bad version back.
    /// </summary>
    internal static ReleaseRecord? Before(PortalDbContext db, ProjectId projectId, ModelKind kind, ModelVersionId serves) =>
        db.Releases.AsNoTracking().Where(r => r.ProjectId == projectId && r.Kind == kind && r.ToVersionId == serves && !r.IsRollBack)
            .OrderByDescending(r => r.At).ThenByDescending(r => r.Id).FirstOrDefault();

    /// <summary>What a roll-back would put back, for pages to offer; null where nothing served before, or what did is retired (an erasure is never rolled back).</summary>
    public static ModelVersionId? Target(PortalDbContext db, ProjectId projectId, ModelKind kind, ModelVersionId serves) =>
        Before(db, projectId, kind, serves)?.FromVersionId is { } previous && db.ModelVersions.Any(v => v.Id == previous && v.Status != ModelStatus.Retired) ? previous : null;
}

/// <summary>The audit event of a pointer's move: ids and a keyed hash of the reason, never its text.</summary>
internal static class ReleaseAudit
{
    public static void Append(PortalDbContext db, ContentHasher hasher, string action, ReleaseRecord release)
    {
        db.Releases.Add(release);
        AuditChain.Append(db, release.At, release.By, action, "modelVersion", release.ToVersionId.ToString(), new
        {
            release = release.Id.ToString(), kind = release.Kind.ToString(), from = release.FromVersionId?.ToString(), approver = release.Approver,
            reasonHash = hasher.Hash(release.Reason),
        });
    }
}

/// <summary>Refusals of this folder.</summary>
internal static class ReleaseRefusals
{
    public static readonly Problem NoVersion = new("version", "This version is gone.", ProblemKind.NotFound);

    public static readonly Problem Overtaken =
        new("version", "Somebody changed what serves since this page was opened. Nothing was changed now: load the page again, look, then decide.",
            ProblemKind.Conflict);

    public static Problem NotApproved(ModelVersion version, ToggleSet set) => new("version",
        $"{version.Label} was made by toggle set {set.Number}, which {(set.State is ToggleSetState.Refused ? "was refused" : "waits for a second person")}. It is released in the toggle studio or not at all.",
        ProblemKind.Conflict);

    public static Problem ReasonTooLong(int length) =>
        new("reason", $"The reason has {length} characters, at most {ReleaseModel.ReasonLengthMax} are kept.");
}
