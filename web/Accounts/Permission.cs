namespace Portal.Web.Accounts;

using Portal.Data.Accounts;

/// <summary>What a person may do; each handler names one, and roles are sets of them.</summary>
public enum Permission
{
    /// <summary>See projects, guidelines and one's own work.</summary>
    Use,
    /// <summary>Give judgements, skip, flag.</summary>
    Vote,
    /// <summary>See flags and everybody's judgements; decide on flags.</summary>
    Review,
    /// <summary>See models, evaluations, audits and the audit log; audit policies.</summary>
    Audit,
    /// <summary>Import, export, make projects, invite people, start jobs, release and roll back.</summary>
    Administer,
}

/// <summary>Which role may do what.</summary>
public static class Permissions
{
    private static readonly IReadOnlyDictionary<string, Permission[]> ByRole = new Dictionary<string, Permission[]>
    {
        [RoleNames.Annotator] = [Permission.Use, Permission.Vote],
        [RoleNames.Reviewer] = [Permission.Use, Permission.Vote, Permission.Review],
        [RoleNames.Auditor] = [Permission.Use, Permission.Audit],
        [RoleNames.Admin] = [Permission.Use, Permission.Vote, Permission.Review, Permission.Audit, Permission.Administer],
    };

    /// <summary>True when one of the roles brings the permission. Unknown roles bring nothing.</summary>
    public static bool Allow(IEnumerable<string> roles, Permission permission) =>
        roles.Any(role => ByRole.TryGetValue(role, out var permissions) && permissions.Contains(permission));
}

/// <summary>Names the permission a handler checks. A tidy test asks for it on every public handler.</summary>
[AttributeUsage(AttributeTargets.Class)]
public sealed class NeedsAttribute(Permission permission) : Attribute
{
    public Permission Permission { get; } = permission;
}

/// <summary>Marks a handler that anybody may call (signing in, taking up an invitation), and says why.</summary>
[AttributeUsage(AttributeTargets.Class)]
public sealed class OpenToAllAttribute(string reason) : Attribute
{
    public string Reason { get; } = reason;
}
