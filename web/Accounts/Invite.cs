using System.Security.Claims;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Identity;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Accounts;
using Portal.Data.AuditLog;
using Portal.Data.Storage;

namespace Portal.Web.Accounts;

/// <summary>A fresh invitation.</summary>
/// <param name="Token">Goes into the link; shown once, only its hash is kept.</param>
public sealed record FreshInvitation(InvitationId Id, string Token, DateTimeOffset ExpiresAt);

/// <summary>Makes a link that lets one person register with a role. There is no other way to register.</summary>
[Needs(Permission.Administer)]
public sealed class Invite(WriteQueue writes, Access access, IdFactory ids, TimeProvider time)
{
    public const int NoteLengthMax = 200;

    public async Task<Outcome<FreshInvitation>> Handle(ClaimsPrincipal user, string role, string? note, int validDays, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var person = asked.Value;
        if (!RoleNames.All.Contains(role))
            return new Problem("role", $"\"{role}\" is no role.");
        if (validDays is < 1 or > 90)
            return new Problem("validDays", "A link is valid for 1 to 90 days.");
        if (note is { Length: > NoteLengthMax })
            return new Problem("note", $"The note has {note.Length} characters; at most {NoteLengthMax} are kept.");
        var token = RandomNumberGenerator.GetHexString(40, lowercase: true);
        var now = time.GetUtcNow();
        var invitation = new Invitation
        {
            Id = ids.New<InvitationId>(), TokenHash = HashOf(token), Role = role, Note = note?.Trim() ?? "", CreatedBy = person.AccountId,
            CreatedAt = now, ExpiresAt = now.AddDays(validDays),
        };
        await writes.WriteAsync(db =>
        {
            db.Invitations.Add(invitation);
            AuditChain.Append(db, now, person.AccountId, "invitation.create", "invitation", invitation.Id.ToString(), new { role, validDays });
            return db.SaveChanges();
        }, stop);
        return new FreshInvitation(invitation.Id, token, invitation.ExpiresAt);
    }

    internal static string HashOf(string token) => Convert.ToHexStringLower(SHA256.HashData(Encoding.ASCII.GetBytes(token)));
}

/// <summary>Ends an invitation that has not been used.</summary>
[Needs(Permission.Administer)]
public sealed class RevokeInvitation(WriteQueue writes, Access access, TimeProvider time)
{
    public async Task<Outcome<InvitationId>> Handle(ClaimsPrincipal user, InvitationId id, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var person = asked.Value;
        return await writes.WriteAsync<Outcome<InvitationId>>(db =>
        {
            if (db.Invitations.FirstOrDefault(i => i.Id == id) is not { } invitation)
                return new Problem("invitation", "This invitation is gone.", ProblemKind.NotFound);
            if (invitation.UsedAt is not null)
                return new Problem("invitation", "This invitation was used already; disable the person instead.", ProblemKind.Conflict);
            invitation.Revoke(time.GetUtcNow());
            AuditChain.Append(db, time.GetUtcNow(), person.AccountId, "invitation.revoke", "invitation", id.ToString());
            db.SaveChanges();
            return id;
        }, stop);
    }
}

/// <summary>Registers the person who holds an invitation's link.</summary>
[OpenToAll("The invitation's token is the permission; it works once and ends.")]
public sealed class AcceptInvitation(UserManager<Account> users, SignInManager<Account> signIn, PortalDbContext db, WriteQueue writes,
    TimeProvider time)
{
    private static readonly Problem Closed =
        new("token", "This invitation is used, revoked or over. Ask the admin who sent it for a new one.", ProblemKind.NotFound);

    /// <summary>The role an open invitation brings, or a refusal.</summary>
    public async Task<Outcome<string>> Look(string token, CancellationToken stop)
    {
        var found = await Find(token, stop);
        return found is null ? (Outcome<string>)Closed : found.Role;
    }

    public async Task<Outcome<Account>> Handle(string token, string? name, string? password, CancellationToken stop)
    {
        if (await Find(token, stop) is not { } invitation)
            return Closed;
        name = name?.Trim() ?? "";
        if (name.Length is < 3 or > 40 || !name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.'))
            return new Problem("name", "A name has 3 to 40 letters, digits, dots, dashes or underscores.");
        var account = new Account { UserName = name, DisplayName = name, CreatedAt = time.GetUtcNow() };
        // The invitation is taken first, in one durable write: of two people with one link, one gets in.
        var taken = await writes.WriteAsync(data =>
        {
            var row = data.Invitations.First(i => i.Id == invitation.Id);
            if (!row.IsOpen(time.GetUtcNow()))
                return false;
            row.MarkUsed(account.Id, time.GetUtcNow());
            data.SaveChanges();
            return true;
        }, stop);
        if (!taken)
            return Closed;
        var created = await users.CreateAsync(account, password ?? "");
        if (!created.Succeeded)
        {
            await writes.WriteAsync(data => data.Invitations.Where(i => i.Id == invitation.Id)
                .ExecuteUpdate(set => set.SetProperty(i => i.UsedAt, (DateTimeOffset?)null).SetProperty(i => i.UsedBy, (Guid?)null)), stop);
            var field = created.Errors.Any(e => e.Code.StartsWith("Password", StringComparison.Ordinal)) ? "password" : "name";
            return new Problem(field, string.Join(" ", created.Errors.Select(e => e.Description)));
        }
        await users.AddToRoleAsync(account, invitation.Role);
        await writes.WriteAsync(data =>
        {
            data.Invitations.Where(i => i.Id == invitation.Id).ExecuteUpdate(set => set.SetProperty(i => i.UsedBy, account.Id));
            AuditChain.Append(data, time.GetUtcNow(), account.Id, "account.register", "account", account.Id.ToString(),
                new { invitation = invitation.Id, role = invitation.Role });
            return data.SaveChanges();
        }, stop);
        await signIn.SignInAsync(account, isPersistent: false);
        return account;
    }

    private async Task<Invitation?> Find(string token, CancellationToken stop)
    {
        var hash = Invite.HashOf(token);
        var invitation = await db.Invitations.AsNoTracking().FirstOrDefaultAsync(i => i.TokenHash == hash, stop);
        return invitation is not null && invitation.IsOpen(time.GetUtcNow()) ? invitation : null;
    }
}
