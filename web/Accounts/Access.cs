using System.Collections.Concurrent;
using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Annotators;
using Portal.Data.Storage;

namespace Portal.Web.Accounts;

/// <summary>Who is asking, as the database knows them now.</summary>
/// <param name="AnnotatorId">The pseudonym this account judges under; null until the first judgement is about to be given.</param>
public sealed record Person(Guid AccountId, string DisplayName, IReadOnlyList<string> Roles, AnnotatorId? AnnotatorId)
{
    /// <summary>True when one of this person's roles brings the permission.</summary>
    public bool May(Permission permission) => Permissions.Allow(Roles, permission);
}

/// <summary>
/// The one place where a handler asks "may this person do this?". Looks in the database rather than in the cookie, so that a revoked role or a
/// disabled account loses its rights on circuits that are already open, within <see cref="Freshness"/>.
/// </summary>
public sealed class Access(IDbContextFactory<PortalDbContext> contexts, WriteQueue writes, IdFactory ids, TimeProvider time)
{
    /// <summary>How long an answer is remembered.</summary>
    public static readonly TimeSpan Freshness = TimeSpan.FromSeconds(20);

    private readonly ConcurrentDictionary<Guid, (DateTimeOffset Until, Person? Person)> _known = new();

    /// <summary>The person behind a principal, if they may do this.</summary>
    /// <returns>The person, or a refusal that can be shown.</returns>
    public async Task<Outcome<Person>> Check(ClaimsPrincipal principal, Permission permission, CancellationToken stop)
    {
        if (await Find(principal, stop) is not { } person)
            return new Problem("", "Your sign-in has ended. Sign in again; what you typed is kept in this browser.", ProblemKind.Forbidden);
        if (!person.May(permission))
            return new Problem("", "Your role does not allow this. Ask an admin of this portal.", ProblemKind.Forbidden);
        return person;
    }

    /// <summary>The person behind a principal, or null when nobody is signed in or the account is disabled or gone.</summary>
    public async Task<Person?> Find(ClaimsPrincipal principal, CancellationToken stop)
    {
        if (!Guid.TryParse(principal.FindFirstValue(ClaimTypes.NameIdentifier), out var accountId))
            return null;
        var now = time.GetUtcNow();
        if (_known.TryGetValue(accountId, out var known) && now < known.Until)
            return known.Person;

        await using var db = await contexts.CreateDbContextAsync(stop);
        var account = await db.Users.AsNoTracking()
            .Where(a => a.Id == accountId && a.DisabledAt == null)
            .Select(a => new { a.DisplayName })
            .FirstOrDefaultAsync(stop);
        Person? person = null;
        if (account is not null)
        {
            var roles = await (from link in db.UserRoles
                               join role in db.Roles on link.RoleId equals role.Id
                               where link.UserId == accountId
                               select role.Name!).ToListAsync(stop); // role names are set when roles are made
            var annotator = await db.AnnotatorAccounts.AsNoTracking().Where(l => l.AccountId == accountId)
                .Select(l => (AnnotatorId?)l.AnnotatorId).FirstOrDefaultAsync(stop);
            person = new Person(accountId, account.DisplayName, roles, annotator);
        }
        _known[accountId] = (now + Freshness, person);
        return person;
    }

    /// <summary>
    /// The pseudonym this person judges under, made on first use: an animal and a number that says nothing about the account.
    /// </summary>
    public async Task<AnnotatorId> AnnotatorOf(Person person, CancellationToken stop)
    {
        if (person.AnnotatorId is { } known)
            return known;
        var id = await writes.WriteAsync(db =>
        {
            db.LockAnnotators();
            var existing = db.AnnotatorAccounts.Where(l => l.AccountId == person.AccountId).Select(l => (AnnotatorId?)l.AnnotatorId).FirstOrDefault();
            if (existing is { } found)
                return found;
            var annotator = new Annotator { Id = ids.New<AnnotatorId>(), Pseudonym = FreshPseudonym(db), CreatedAt = time.GetUtcNow() };
            db.Annotators.Add(annotator);
            db.AnnotatorAccounts.Add(new AnnotatorAccount { AccountId = person.AccountId, AnnotatorId = annotator.Id });
            db.SaveChanges();
            return annotator.Id;
        }, stop);
        Forget(person.AccountId);
        return id;
    }

    /// <summary>The next question about this account is answered from the database: call it when roles or the account change.</summary>
    public void Forget(Guid accountId) => _known.TryRemove(accountId, out _);

    private static string FreshPseudonym(PortalDbContext db)
    {
        while (true)
        {
            var name = $"{Animals[Random.Shared.Next(Animals.Length)]}-{Random.Shared.Next(1, 1000)}";
            if (!db.Annotators.Any(a => a.Pseudonym == name))
                return name;
        }
    }

    private static readonly string[] Animals =
    [
        "heron", "otter", "finch", "badger", "lynx", "marten", "plover", "salmon", "stoat", "swift", "teal", "vole", "wren", "hare", "kestrel",
        "newt", "owl", "perch", "quail", "raven", "seal", "toad", "ibex", "crane",
    ];
}
