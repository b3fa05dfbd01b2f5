using System.Security.Claims;
using Microsoft.AspNetCore.Identity;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Accounts;
using Portal.Data.AuditLog;
using Portal.Data.Storage;

namespace Portal.Web.Accounts;

/// <summary>Lets a person in or keeps them out, and sets their roles. The last admin cannot be locked out, nor lock themselves out.</summary>
[Needs(Permission.Administer)]
public sealed class ManagePeople(IServiceScopeFactory scopes, WriteQueue writes, Access access, TimeProvider time)
{
    /// <summary>Ends (or allows again) a person's sign-in. Open circuits and cookies stop working within a minute.</summary>
    public async Task<Outcome<Guid>> Disable(ClaimsPrincipal user, Guid accountId, bool disabled, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var person = asked.Value;
        if (accountId == person.AccountId && disabled)
            return new Problem("account", "You cannot disable yourself; ask another admin.", ProblemKind.Conflict);
        await using var scope = scopes.CreateAsyncScope();
        var users = scope.ServiceProvider.GetRequiredService<UserManager<Account>>();
        if (await users.FindByIdAsync(accountId.ToString()) is not { } account)
            return new Problem("account", "This person is gone.", ProblemKind.NotFound);
        account.DisabledAt = disabled ? account.DisabledAt ?? time.GetUtcNow() : null;
        await users.UpdateAsync(account);
        await users.UpdateSecurityStampAsync(account); // cookies given before are no longer valid
        access.Forget(accountId);
        await Audit(person, disabled ? "account.disable" : "account.enable", accountId, null, stop);
        return accountId;
    }

    /// <summary>Replaces a person's roles.</summary>
    public async Task<Outcome<Guid>> SetRoles(ClaimsPrincipal user, Guid accountId, IReadOnlyList<string> roles, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var person = asked.Value;
        if (roles.FirstOrDefault(role => !RoleNames.All.Contains(role)) is { } unknown)
            return new Problem("roles", $"\"{unknown}\" is no role.");
        await using var scope = scopes.CreateAsyncScope();
        var users = scope.ServiceProvider.GetRequiredService<UserManager<Account>>();
        if (await users.FindByIdAsync(accountId.ToString()) is not { } account)
            return new Problem("account", "This person is gone.", ProblemKind.NotFound);
        var before = await users.GetRolesAsync(account);
        if (before.Contains(RoleNames.Admin) && !roles.Contains(RoleNames.Admin))
        {
            var admins = await users.GetUsersInRoleAsync(RoleNames.Admin);
            if (admins.Count(a => a.DisabledAt is null) <= 1)
                return new Problem("roles", "This is the last admin; make another one first.", ProblemKind.Conflict);
        }
        await users.RemoveFromRolesAsync(account, before.Except(roles));
        await users.AddToRolesAsync(account, roles.Except(before));
        await users.UpdateSecurityStampAsync(account);
        access.Forget(accountId);
        await Audit(person, "account.roles", accountId, new { before, after = roles }, stop);
        return accountId;
    }

    private Task Audit(Person person, string action, Guid accountId, object? payload, CancellationToken stop) => writes.WriteAsync(db =>
    {
        AuditChain.Append(db, time.GetUtcNow(), person.AccountId, action, "account", accountId.ToString(), payload);
        return db.SaveChanges();
    }, stop);
}

/// <summary>One row of the people page.</summary>
public sealed record PersonRow(Guid Id, string Name, IReadOnlyList<string> Roles, DateTimeOffset CreatedAt, DateTimeOffset? DisabledAt, bool IsDemo,
    bool IsLockedOut);

/// <summary>Who can sign in, and which invitations are open.</summary>
[Needs(Permission.Administer)]
public sealed class ListPeople(IDbContextFactory<PortalDbContext> contexts, Access access, TimeProvider time)
{
    public async Task<Outcome<(IReadOnlyList<PersonRow> People, IReadOnlyList<Invitation> Invitations)>> Handle(ClaimsPrincipal user,
        CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        var accounts = await db.Users.AsNoTracking().OrderBy(a => a.UserName).Take(500).ToListAsync(stop);
        var links = await (from link in db.UserRoles join role in db.Roles on link.RoleId equals role.Id select new { link.UserId, role.Name })
            .ToListAsync(stop);
        var now = time.GetUtcNow();
        var people = accounts.Select(a => new PersonRow(a.Id, a.UserName ?? a.DisplayName,
            [.. links.Where(l => l.UserId == a.Id).Select(l => l.Name ?? "").Order()], a.CreatedAt, a.DisabledAt, a.IsDemo,
            a.LockoutEnd > now)).ToList();
        var invitations = await db.Invitations.AsNoTracking().OrderByDescending(i => i.CreatedAt).Take(100).ToListAsync(stop);
        return (people, invitations);
    }
}
