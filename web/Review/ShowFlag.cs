using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.Review;
using Portal.Data.Storage;
using Portal.Web.Accounts;
using Portal.Web.Annotate;
using Portal.Web.Components;

namespace Portal.Web.Review;

/// <summary>The policy that wrote a flagged response.</summary>
/// <param name="Serves">It is the one that answers today.</param>
public sealed record FlagPolicy(ModelVersionId Id, int Number, bool Serves);

/// <summary>Another flag on a text that reads alike.</summary>
/// <param name="From">The pseudonym of who flagged.</param>
/// <param name="IsSameText">Letter by letter the same; false where case, white space or punctuation differ.</param>
public sealed record AlikeFlag(FlagId Id, FlagReason Reason, FlagState State, string From, DateTimeOffset At, bool IsSameText);

/// <summary>One flag with everything a reviewer needs to decide.</summary>
/// <param name="Prompt">The turns that the response answers; empty once erased.</param>
/// <param name="Preferred">The answer that the person would have wanted; null where none was given, or it is erased.</param>
/// <param name="Policy">Null where it is not known who wrote the response.</param>
/// <param name="AlikeOpen">Open flags on texts that read alike, this one too if it is open: what deciding all of them decides.</param>
/// <param name="Others">The newest of the other flags alike, at most <see cref="ShowFlag.OthersMax"/>.</param>
/// <param name="Confirmed">The share of this person's decided flags that were confirmed; null below five of them, and for suggestions.</param>
public sealed record FlagDetails(FlagRow Row, IReadOnlyList<Turn> Prompt, string? Preferred, FlagPolicy? Policy, int AlikeOpen, IReadOnlyList<AlikeFlag> Others, Measure? Confirmed);

/// <summary>Shows one flag to a reviewer; the first look at an open flag is written down, because people wait for it.</summary>
[Needs(Permission.Review)]
public sealed class ShowFlag(IDbContextFactory<PortalDbContext> contexts, WriteQueue writes, Access access, TimeProvider time)
{
    public const int OthersMax = 8;

    private static readonly Problem Gone = new("flag", "This flag is gone.", ProblemKind.NotFound);

    public async Task<Outcome<FlagDetails>> Handle(ClaimsPrincipal user, FlagId id, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (await db.Flags.AsNoTracking().FirstOrDefaultAsync(f => f.Id == id, stop) is not { } flag)
            return Gone;
        if (await FlagRows.Read(db, db.Flags.AsNoTracking().Where(f => f.Id == id), null, asked.Value.AccountId, 1, stop) is not [var row])
            return Gone; // its import is not visible
        if (flag is { FirstLookAt: null, State: FlagState.Open })
            await FlagChanges.Write<bool>(writes, (data, found) =>
            {
                found.Look(time.GetUtcNow());
                return true;
            }, id, stop);
        var about = await (from r in db.Responses.AsNoTracking()
                           where r.Id == flag.ResponseId
                           join p in db.Prompts on r.PromptId equals p.Id
                           join c in db.Contents on p.ContentId equals c.Id
                           select new { r.ContentHash, c.Text }).FirstOrDefaultAsync(stop);
        var alike = db.Flags.AsNoTracking().Where(f => f.ProjectId == flag.ProjectId && f.AlikeKey == flag.AlikeKey);
        var others = await (from f in alike
                            where f.Id != id
                            join r in db.Responses on f.ResponseId equals r.Id
                            join a in db.Annotators on f.AnnotatorId equals a.Id
                            orderby f.At descending
                            select new { f.Id, f.Reason, f.State, a.Pseudonym, f.At, r.ContentHash }).Take(OthersMax).ToListAsync(stop);
        var policy = await (from v in db.ModelVersions.AsNoTracking()
                            where v.Id == flag.ModelVersionId
                            select new FlagPolicy(v.Id, v.Number, db.Projects.Any(p => p.CurrentPolicyId == v.Id))).FirstOrDefaultAsync(stop);
        return new FlagDetails(row, Conversation.Parse(about?.Text),
            await db.Contents.AsNoTracking().Where(c => c.Id == flag.PreferredId).Select(c => c.Text).FirstOrDefaultAsync(stop), policy,
            await alike.CountAsync(f => f.State == FlagState.Open, stop),
            [.. others.Select(o => new AlikeFlag(o.Id, o.Reason, o.State, o.Pseudonym, o.At, o.ContentHash == about?.ContentHash))],
            flag.Source is FlagSource.Person ? FlagWriter.Reputation(db, flag.AnnotatorId) : null);
    }
}

/// <summary>The one way to change stored flags: of two reviewers at once the second is told.</summary>
internal static class FlagChanges
{
    public static readonly Problem Overtaken = new("flag", "Another reviewer changed this flag at the same moment. Look again, then decide.", ProblemKind.Conflict);
    private static readonly Problem Gone = new("flag", "This flag is gone.", ProblemKind.NotFound);

    public static async Task<Outcome<T>> Write<T>(WriteQueue writes, Func<PortalDbContext, Flag, Outcome<T>> change, FlagId id, CancellationToken stop)
    {
        try
        {
            return await writes.WriteAsync<T>(db => db.Flags.FirstOrDefault(f => f.Id == id) is { } flag ? change(db, flag) : Gone, stop);
        }
        catch (DbUpdateConcurrencyException)
        {
            return Overtaken; // another node was faster between reading and writing
        }
    }

    /// <summary>The other open flags on texts that read alike, oldest first. Served by IX_Flags_ProjectId_AlikeKey_State.</summary>
    public static List<Flag> Alike(PortalDbContext db, Flag flag, int max) =>
        [.. db.Flags.Where(f => f.ProjectId == flag.ProjectId && f.AlikeKey == flag.AlikeKey && f.State == FlagState.Open && f.Id != flag.Id).OrderBy(f => f.At).Take(max)];
}
