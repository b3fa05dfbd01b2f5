using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Identity;
using Portal.Data;
using Portal.Data.Accounts;
using Portal.Data.Storage;

namespace Portal.Web.Accounts;

/// <summary>
/// The sign-ins of a fresh installation: one admin, or with the demo one per role. Passwords are random per install and lie in a file that
/// only the installing user can read.
/// </summary>
public sealed class FirstAccounts(IServiceScopeFactory scopes, DataDirectory directory, TimeProvider time)
{
    /// <summary>Makes roles always, accounts only where there are none. Returns how many accounts were made.</summary>
    public async Task<int> Ensure(bool demo)
    {
        await using var scope = scopes.CreateAsyncScope();
        var roles = scope.ServiceProvider.GetRequiredService<RoleManager<IdentityRole<Guid>>>();
        foreach (var role in RoleNames.All)
            if (!await roles.RoleExistsAsync(role))
                Must(await roles.CreateAsync(new IdentityRole<Guid>(role)));

        var users = scope.ServiceProvider.GetRequiredService<UserManager<Account>>();
        if (users.Users.Any())
            return 0;
        (string Name, string Role)[] wanted = demo
            ? [("demo-admin", RoleNames.Admin), ("demo-second-admin", RoleNames.Admin), ("demo-annotator", RoleNames.Annotator),
               ("demo-reviewer", RoleNames.Reviewer), ("demo-auditor", RoleNames.Auditor)]
            : [("admin", RoleNames.Admin)];
        var sheet = new StringBuilder("Sign-ins of this installation (made at random; change them under your name)\n");
        foreach (var (name, role) in wanted)
        {
            var password = NewPassword();
            var account = new Account { UserName = name, DisplayName = name, CreatedAt = time.GetUtcNow(), IsDemo = demo };
            Must(await users.CreateAsync(account, password));
            Must(await users.AddToRoleAsync(account, role));
            sheet.Append($"{name,-20} {password}   {role}\n");
        }
        DataDirectory.WritePrivate(directory.SignIns, Encoding.UTF8.GetBytes(sheet.ToString()));
        return wanted.Length;
    }

    /// <summary>20 letters and digits without look-alikes: about 98 bits.</summary>
    private static string NewPassword() => RandomNumberGenerator.GetString("abcdefghjkmnpqrstuvwxyz23456789", 20);

    private static void Must(IdentityResult result)
    {
        if (!result.Succeeded)
            throw new InvalidOperationException("First accounts: " + string.Join(" ", result.Errors.Select(e => e.Description)));
    }
}
