using Microsoft.AspNetCore.Identity;
using Portal.Data;
using Portal.Data.Accounts;
using Portal.Data.AuditLog;
using Portal.Data.Storage;

namespace Portal.Web.Accounts;

/// <summary>Checks a user name and a password and sets the cookie. Wrong names and wrong passwords get the same answer in the same time.</summary>
[OpenToAll("Nobody is known before they sign in; rate-limited by address, locked out by account.")]
public sealed class SignIn(SignInManager<Account> signIn, UserManager<Account> users, WriteQueue writes, TimeProvider time)
{
    private static readonly Problem Wrong = new("password", "Name or password is wrong. After five wrong tries the account rests for ten minutes.");

    // Any valid hash will do: it is only there to take as long as a real check.
    private static readonly string DecoyHash = new PasswordHasher<Account>().HashPassword(null!, Guid.NewGuid().ToString()); // the hasher never reads the user

    public async Task<Outcome<Account>> Handle(string? name, string? password, bool remember, CancellationToken stop)
    {
        if (string.IsNullOrWhiteSpace(name))
            return new Problem("name", "Type your name.");
        if (string.IsNullOrEmpty(password))
            return new Problem("password", "Type your password.");
        var account = await users.FindByNameAsync(name.Trim());
        if (account is null)
        {
            users.PasswordHasher.VerifyHashedPassword(null!, DecoyHash, password);
            return Wrong;
        }
        var result = await signIn.CheckPasswordSignInAsync(account, password, lockoutOnFailure: true);
        if (!result.Succeeded || account.DisabledAt is not null)
        {
            if (result.IsLockedOut)
                await Audit("account.locked", account, stop);
            return Wrong;
        }
        await signIn.SignInAsync(account, remember);
        await Audit("account.sign-in", account, stop);
        return account;
    }

    private Task Audit(string action, Account account, CancellationToken stop) => writes.WriteAsync(db =>
    {
        AuditChain.Append(db, time.GetUtcNow(), account.Id, action, "account", account.Id.ToString());
        return db.SaveChanges();
    }, stop);
}
