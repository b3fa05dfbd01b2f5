using System.Security.Claims;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Review;
using Portal.Data.Storage;
using Portal.Web.Accounts;

namespace Portal.Web.Review;

/// <summary>A reviewer takes a flag, and with it the open ones alike that nobody has, or gives them back. Whoever comes second is told; nobody is kept from deciding.</summary>
[Needs(Permission.Review)]
public sealed class AssignFlag(WriteQueue writes, Access access, TimeProvider time)
{
    /// <param name="take">False releases.</param>
    /// <returns>How many flags were taken or released.</returns>
    public async Task<Outcome<int>> Handle(ClaimsPrincipal user, FlagId id, bool take, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var by = asked.Value.AccountId;
        return await FlagChanges.Write<int>(writes, (db, flag) =>
        {
            var now = time.GetUtcNow();
            if ((take ? flag.AssignTo(by, now) : flag.Release(by)) is { } problem)
                return problem;
            var alike = FlagChanges.Alike(db, flag, CloseFlag.AtOnceMax - 1).Where(f => take ? f.AssignedTo is null : f.AssignedTo == by).ToList();
            foreach (var other in alike)
                _ = take ? other.AssignTo(by, now) : other.Release(by); // nobody else has it
            AuditChain.Append(db, now, by, take ? "flag.assign" : "flag.release", "flag", $"{id}", new { alike = alike.Count + 1 });
            return alike.Count + 1;
        }, id, stop);
    }
}
