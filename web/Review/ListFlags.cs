using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.Review;
using Portal.Web.Accounts;

namespace Portal.Web.Review;

/// <summary>Which flags the queue shows.</summary>
/// <param name="State">Null for all.</param>
/// <param name="Reason">Null for all.</param>
/// <param name="HeldOnly">Only those that two reviewers must confirm.</param>
public readonly record struct FlagFilter(FlagState? State, FlagReason? Reason = null, bool HeldOnly = false);

/// <summary>One flag with what it is about.</summary>
/// <param name="Text">The response; null once erased.</param>
/// <param name="From">The pseudonym of who flagged; of a suggestion who asked for it.</param>
/// <param name="JudgeNumber">The reward model whose suggestion it is; null for flags of people.</param>
/// <param name="Alike">Flags on texts that read alike, this one too, whatever their reason: in the state that the list is asked for.</param>
/// <param name="With">The reviewer who took it; null while nobody has.</param>
/// <param name="IsMine">It is with the person who asks.</param>
/// <param name="IsConfirmedOnce">Held, and confirmed by the first of two reviewers.</param>
/// <param name="ClosedBy">Who decided; null while open.</param>
public sealed record FlagRow(FlagId Id, ProjectId ProjectId, string ProjectName, bool IsSynthetic, FlagState State, FlagReason Reason, FlagSeverity Severity, FlagSource Source, FlagHold Held, string Place,
    string From, int? JudgeNumber, string? Note, string Question, ResponseId ResponseId, string? Text, int Alike, DateTimeOffset At, string? With, bool IsMine, bool IsConfirmedOnce, string? ClosedBy,
    DateTimeOffset? ClosedAt);

/// <summary>What the flags page shows.</summary>
/// <param name="Rows">One row for all flags alike: the worst of them, the oldest of those.</param>
/// <param name="Earlier">Cursor of the next page; null on the last.</param>
/// <param name="Open">Open flags, up to <see cref="ListFlags.CountMax"/>.</param>
/// <param name="OldestOpen">Since when the oldest open flag waits; null when none is open.</param>
/// <param name="MaySuggest">The person may ask for suggestions.</param>
public sealed record ShownFlags(IReadOnlyList<FlagRow> Rows, FlagId? Earlier, int Open, DateTimeOffset? OldestOpen, bool MaySuggest);

/// <summary>
/// Flags by state, alike ones as one row: open ones by severity, then waiting; others newest first. One page at a time, in one statement: IX_Flags_State_Severity_At_Id gives open flags in their
/// order, so that the page ends the search; IX_Flags_ProjectId_AlikeKey_State tells for each whether another stands for it, and counts.
/// </summary>
[Needs(Permission.Review)]
public sealed class ListFlags(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    public const int PageSize = 20;
    public const int CountMax = 999;

    /// <param name="state">Null for all.</param>
    /// <param name="after">The last flag of the page before; null for the first page.</param>
    public Task<Outcome<ShownFlags>> Handle(ClaimsPrincipal user, FlagState? state, FlagId? after, CancellationToken stop) => Handle(user, new FlagFilter(state), after, stop);

    /// <param name="after">The last flag of the page before; null for the first page.</param>
    public async Task<Outcome<ShownFlags>> Handle(ClaimsPrincipal user, FlagFilter filter, FlagId? after, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        var flags = db.Flags.AsNoTracking().Where(f => db.Projects.Any(p => p.Id == f.ProjectId && p.ArchivedAt == null));
        var open = flags.Where(f => f.State == FlagState.Open);
        var all = db.Flags.AsNoTracking().AsQueryable();
        if (filter.State is { } state)
            (flags, all) = (flags.Where(f => f.State == state), all.Where(f => f.State == state));
        if (filter.Reason is { } reason)
            (flags, all) = (flags.Where(f => f.Reason == reason), all.Where(f => f.Reason == reason));
        if (filter.HeldOnly)
            (flags, all) = (flags.Where(f => f.Held != FlagHold.None), all.Where(f => f.Held != FlagHold.None));
        var first = flags.Where(f => !all.Any(o => o.ProjectId == f.ProjectId && o.AlikeKey == f.AlikeKey
            && (o.Severity > f.Severity || (o.Severity == f.Severity && (o.At < f.At || (o.At == f.At && o.Id < f.Id))))));
        var cursor = after is null ? null : await db.Flags.AsNoTracking().FirstOrDefaultAsync(f => f.Id == after, stop);
        var rows = await FlagRows.Read(db, After(first, cursor, filter.State is FlagState.Open), filter.State, asked.Value.AccountId, PageSize + 1, stop);
        return new ShownFlags([.. rows.Take(PageSize)], rows.Count > PageSize ? rows[PageSize - 1].Id : null, await open.Take(CountMax).CountAsync(stop),
            await open.MinAsync(f => (DateTimeOffset?)f.At, stop), asked.Value.May(Permission.Administer));
    }

    private static IQueryable<Flag> After(IQueryable<Flag> flags, Flag? cursor, bool areOpen)
    {
        if (cursor is { } last)
            flags = areOpen
                ? flags.Where(f => f.Severity < last.Severity || (f.Severity == last.Severity && (f.At > last.At || (f.At == last.At && f.Id > last.Id))))
                : flags.Where(f => f.At < last.At || (f.At == last.At && f.Id < last.Id));
        return areOpen ? flags.OrderByDescending(f => f.Severity).ThenBy(f => f.At).ThenBy(f => f.Id) : flags.OrderByDescending(f => f.At).ThenByDescending(f => f.Id);
    }
}

/// <summary>Reads flags with what they are about, in their order.</summary>
internal static class FlagRows
{
    /// <param name="counted">In which state flags alike are counted; null for any.</param>
    public static async Task<IReadOnlyList<FlagRow>> Read(PortalDbContext db, IQueryable<Flag> flags, FlagState? counted, Guid reader, int max, CancellationToken stop)
    {
        var alike = db.Flags.AsNoTracking().AsQueryable();
        if (counted is { } state)
            alike = alike.Where(f => f.State == state);
        var rows = await (from f in flags
                          join r in db.Responses on f.ResponseId equals r.Id
                          join c in db.Contents on r.ContentId equals c.Id
                          join p in db.Prompts on r.PromptId equals p.Id
                          join pc in db.Contents on p.ContentId equals pc.Id
                          join x in db.Projects on f.ProjectId equals x.Id
                          join a in db.Annotators on f.AnnotatorId equals a.Id
                          select new
                          {
                              Flag = f, c.Text, Prompt = pc.Text, x.Name, x.IsSynthetic, a.Pseudonym,
                              Note = db.Contents.Where(n => n.Id == f.NoteId).Select(n => n.Text).FirstOrDefault(),
                              Judge = db.ModelVersions.Where(v => v.Id == f.SuggestedById).Select(v => (int?)v.Number).FirstOrDefault(),
                              Alike = alike.Count(o => o.ProjectId == f.ProjectId && o.AlikeKey == f.AlikeKey),
                              With = db.Users.Where(u => u.Id == f.AssignedTo).Select(u => u.DisplayName).FirstOrDefault(),
                              By = db.Users.Where(u => u.Id == f.ClosedBy).Select(u => u.DisplayName).FirstOrDefault(),
                          }).Take(max).ToListAsync(stop);
        return [.. rows.Select(r => new FlagRow(r.Flag.Id, r.Flag.ProjectId, r.Name, r.IsSynthetic, r.Flag.State, r.Flag.Reason, r.Flag.Severity, r.Flag.Source, r.Flag.Held, r.Flag.Place, r.Pseudonym,
            r.Judge, r.Note, Conversation.LastQuestion(Conversation.Parse(r.Prompt)), r.Flag.ResponseId, r.Text, r.Alike, r.Flag.At, r.With, r.Flag.AssignedTo == reader,
            r.Flag.ConfirmedFirstBy is not null, r.By, r.Flag.ClosedAt))];
    }
}
