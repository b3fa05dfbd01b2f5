using Microsoft.AspNetCore.Identity;

namespace Portal.Data.Accounts;

/// <summary>A person who signs in. The user name is what they type; the display name is what colleagues see.</summary>
public sealed class Account : IdentityUser<Guid>
{
    public required string DisplayName { get; set; }
    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>Since when this person may no longer sign in; null while they may.</summary>
    public DateTimeOffset? DisabledAt { get; set; }

    /// <summary>True for the sign-ins that `./run` makes for the demo; refused when the portal listens beyond this machine.</summary>
    public bool IsDemo { get; init; }
}

/// <summary>The four roles, as Identity stores them. A person may have several.</summary>
public static class RoleNames
{
    public const string Annotator = "annotator";
    public const string Reviewer = "reviewer";
    public const string Auditor = "auditor";
    public const string Admin = "admin";

    /// <summary>All roles, weakest first.</summary>
    public static readonly IReadOnlyList<string> All = [Annotator, Reviewer, Auditor, Admin];
}

/// <summary>A link that lets one person register, with a role, until a date.</summary>
public sealed class Invitation
{
    public required InvitationId Id { get; init; }

    /// <summary>SHA-256 of the random token in the link, hex; the token itself is shown once and not kept.</summary>
    public required string TokenHash { get; init; }

    public required string Role { get; init; }

    /// <summary>For whom, in the inviting admin's words; may be empty.</summary>
    public required string Note { get; init; }

    public required Guid CreatedBy { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
    public required DateTimeOffset ExpiresAt { get; init; }
    public DateTimeOffset? RevokedAt { get; private set; }
    public DateTimeOffset? UsedAt { get; private set; }
    public Guid? UsedBy { get; private set; }

    /// <summary>True while the link still works.</summary>
    public bool IsOpen(DateTimeOffset now) => RevokedAt is null && UsedAt is null && now < ExpiresAt;

    public void Revoke(DateTimeOffset at) => RevokedAt ??= at;

    /// <summary>The link was used; it works once.</summary>
    public void MarkUsed(Guid account, DateTimeOffset at)
    {
        UsedBy = account;
        UsedAt = at;
    }
}
