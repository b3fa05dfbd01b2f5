using System.Security.Claims;
using Portal.Data;
using Portal.Web.Accounts;

namespace Portal.Web.Registry;

/// <summary>Models are open to reviewers, auditors and admins: to all but annotators, who must not know what they judge.</summary>
internal static class ModelReaders
{
    public static async Task<Outcome<Person>> Check(Access access, ClaimsPrincipal user, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        return asked.Refusal is null ? asked : await access.Check(user, Permission.Audit, stop);
    }
}
