using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.Review;
using Portal.Web.Accounts;

namespace Portal.Web.Review;

/// <summary>One flag with what it is about.</summary>
/// <param name="Text">The response; null once erased.</param>
/// <param name="From">The pseudonym of who flagged.</param>
/// <param name="ClosedBy">Who decided; null while open.</param>
public sealed record FlagRow(FlagId Id, ProjectId ProjectId, string ProjectName, bool IsSynthetic, FlagState State, FlagReason Reason, string Place,
    string From, string? Note, string Question, ResponseId ResponseId, string? Text, int Alike, DateTimeOffset At, string? ClosedBy, DateTimeOffset? ClosedAt);

/// <summary>What the flags page shows.</summary>
/// <param name="Earlier">Cursor of the next page; null on the last.</param>
/// <param name="Open">Open flags, up to <see cref="ListFlags.CountMax"/>.</param>
/// <param name="OldestOpen">Since when the oldest open flag waits; null when none is open.</param>
public sealed record ShownFlags(IReadOnlyList<FlagRow> Rows, FlagId? Earlier, int Open, DateTimeOffset? OldestOpen);

/// <summary>Flags by state: open ones oldest first (they wait), decided ones newest first. One page at a time.</summary>
[Needs(Permission.Review)]
public sealed class ListFlags(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    public const int PageSize = 20;
    public const int CountMax = 999;

    /// <param name="state">Null for all.</param>
    /// <param name="after">The last flag of the page before; null for the first page.</param>
    public async Task<Outcome<ShownFlags>> Handle(ClaimsPrincipal user, FlagState? state, FlagId? after, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        var flags = db.Flags.AsNoTracking().Where(f => db.Projects.Any(p => p.Id == f.ProjectId && p.ArchivedAt == null));
        var open = flags.Where(f => f.State == FlagState.Open);
        var chosen = state is { } wanted ? flags.Where(f => f.State == wanted) : flags;
        // Ids sort by time; the moment settles the order for the page, the id for ties.
        var cursor = after is null ? null : await db.Flags.AsNoTracking().Where(f => f.Id == after).Select(f => (DateTimeOffset?)f.At).FirstOrDefaultAsync(stop);
        var ordered = state is FlagState.Open
            ? chosen.Where(f => cursor == null || f.At > cursor).OrderBy(f => f.At).ThenBy(f => f.Id)
            : chosen.Where(f => cursor == null || f.At < cursor).OrderByDescending(f => f.At).ThenByDescending(f => f.Id);
        var rows = await (from f in ordered
                          join r in db.Responses on f.ResponseId equals r.Id
                          join c in db.Contents on r.ContentId equals c.Id
                          join p in db.Prompts on r.PromptId equals p.Id
                          join pc in db.Contents on p.ContentId equals pc.Id
                          join x in db.Projects on f.ProjectId equals x.Id
                          join a in db.Annotators on f.AnnotatorId equals a.Id
                          select new
                          {
                              Flag = f, Text = c.Text, Prompt = pc.Text, x.Name, x.IsSynthetic, a.Pseudonym,
                              Note = db.Contents.Where(n => n.Id == f.NoteId).Select(n => n.Text).FirstOrDefault(),
                              Alike = db.Flags.Count(o => o.ResponseId == f.ResponseId),
                              By = db.Users.Where(u => u.Id == f.ClosedBy).Select(u => u.DisplayName).FirstOrDefault(),
                          }).Take(PageSize + 1).ToListAsync(stop);
        var shown = rows.Take(PageSize).Select(r => new FlagRow(r.Flag.Id, r.Flag.ProjectId, r.Name, r.IsSynthetic, r.Flag.State, r.Flag.Reason,
            r.Flag.Place, r.Pseudonym, r.Note, Conversation.LastQuestion(Conversation.Parse(r.Prompt)), r.Flag.ResponseId, r.Text, r.Alike, r.Flag.At,
            r.By, r.Flag.ClosedAt)).ToList();
        return new ShownFlags(shown, rows.Count > PageSize ? shown[^1].Id : null, await open.Take(CountMax).CountAsync(stop),
            await open.MinAsync(f => (DateTimeOffset?)f.At, stop));
    }
}
