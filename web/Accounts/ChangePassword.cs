using System.Security.Claims;
using Microsoft.AspNetCore.Identity;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Accounts;
using Portal.Data.AuditLog;
using Portal.Data.Storage;

namespace Portal.Web.Accounts;

/// <summary>Replaces one's own password. Sign-ins of this account in other browsers end within a minute; this one goes on.</summary>
[Needs(Permission.Use)]
public sealed class ChangePassword(UserManager<Account> users, SignInManager<Account> signIn, WriteQueue writes, Access access, TimeProvider time)
{
    /// <param name="current">The password that is typed today; wrong ones count towards the lock-out, as at sign-in.</param>
    public async Task<Outcome<Guid>> Handle(ClaimsPrincipal user, string? current, string? next, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Use, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        if (string.IsNullOrEmpty(current))
            return new Problem("current", "Type the password you use now.");
        if (string.IsNullOrEmpty(next))
            return new Problem("next", "Type the new password.");
        if (next == current)
            return new Problem("next", "The new password is the old one.");
        if (await users.FindByIdAsync(asked.Value.AccountId.ToString()) is not { } account)
            return new Problem("", "This account is gone.", ProblemKind.NotFound);
        var known = await signIn.CheckPasswordSignInAsync(account, current, lockoutOnFailure: true);
        if (known.IsLockedOut)
            return new Problem("current", "Too many wrong tries. The account rests for ten minutes.", ProblemKind.TooMuch);
        if (!known.Succeeded)
            return new Problem("current", "This is not the password you use now.");
        var changed = await users.ChangePasswordAsync(account, current, next);
        if (!changed.Succeeded)
            return new Problem("next", string.Join(" ", changed.Errors.Select(e => e.Description)));
        await signIn.RefreshSignInAsync(account);
        await writes.WriteAsync(db =>
        {
            AuditChain.Append(db, time.GetUtcNow(), account.Id, "account.password", "account", account.Id.ToString());
            return db.SaveChanges();
        }, stop);
        return account.Id;
    }
}

/// <summary>What a person's own page shows.</summary>
/// <param name="Pseudonym">The name judgements are kept under; null before the first one.</param>
public sealed record ShownAccount(string Name, IReadOnlyList<string> Roles, string? Pseudonym, bool IsDemo);

/// <summary>Loads one's own account.</summary>
[Needs(Permission.Use)]
public sealed class ShowAccount(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    public async Task<Outcome<ShownAccount>> Handle(ClaimsPrincipal user, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Use, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var person = asked.Value;
        await using var db = await contexts.CreateDbContextAsync(stop);
        var isDemo = await db.Users.Where(a => a.Id == person.AccountId).Select(a => a.IsDemo).FirstOrDefaultAsync(stop);
        var pseudonym = await db.Annotators.Where(a => a.Id == person.AnnotatorId).Select(a => a.Pseudonym).FirstOrDefaultAsync(stop);
        return new ShownAccount(person.DisplayName, person.Roles, pseudonym, isDemo);
    }
}
