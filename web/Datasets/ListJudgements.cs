using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Web.Accounts;

namespace Portal.Web.Datasets;

/// <summary>Which judgements are listed. Every choice is from a closed set; an unknown value filters nothing out by accident but is refused.</summary>
/// <param name="Annotator">A pseudonym, exactly; null for all.</param>
/// <param name="Verdict">The name of a verdict of this kind; null for all.</param>
/// <param name="From">First UTC day; null for no limit.</param>
/// <param name="To">Last UTC day, included.</param>
/// <param name="Page">0 for the newest.</param>
public sealed record JudgementFilter(TaskKind Kind = TaskKind.Pairwise, JudgementSource? Source = null, string? Annotator = null, string? Verdict = null,
    DateOnly? From = null, DateOnly? To = null, int Page = 0);

/// <summary>One judgement in the list.</summary>
/// <param name="Question">The last user turn; empty once erased.</param>
/// <param name="Verdict">The verdict's name.</param>
public sealed record JudgementRow(JudgementId Id, string Question, string? Topic, string Verdict, int? Strength, string Pseudonym, bool IsSimulated,
    JudgementSource Source, bool IsSurplus, DateTimeOffset At);

/// <summary>A page of judgements.</summary>
/// <param name="Total">All that fit the filter.</param>
public sealed record JudgementList(IReadOnlyList<JudgementRow> Rows, int Total);

/// <summary>The judgements of a project that count now, newest first; superseded ones are left out.</summary>
[Needs(Permission.Administer)]
public sealed class ListJudgements(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    public const int RowsMax = 50;

    public async Task<Outcome<JudgementList>> Handle(ClaimsPrincipal user, ProjectId projectId, JudgementFilter filter, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        AnnotatorId? annotator = null;
        if (filter.Annotator is { Length: > 0 } pseudonym)
        {
            annotator = await db.Annotators.Where(a => a.Pseudonym == pseudonym).Select(a => (AnnotatorId?)a.Id).FirstOrDefaultAsync(stop);
            if (annotator is null)
                return new Problem("annotator", $"Nobody judges under the pseudonym \"{pseudonym}\".");
        }
        return filter.Kind switch
        {
            TaskKind.Pairwise => await List<PairwiseJudgement, PairwiseVerdict>(db, Matching(db.PairwiseJudgements, projectId, filter, annotator), filter,
                (judgements, verdict) => judgements.Where(j => j.Verdict == verdict), j => (j.Verdict.ToString(), j.Strength), stop),
            TaskKind.Binary => await List<BinaryJudgement, BinaryVerdict>(db, Matching(db.BinaryJudgements, projectId, filter, annotator), filter,
                (judgements, verdict) => judgements.Where(j => j.Verdict == verdict), j => (j.Verdict.ToString(), null), stop),
        };
    }

    /// <param name="with">Only those with a verdict.</param>
    /// <param name="said">A judgement's verdict by name, and its strength.</param>
    private static async Task<Outcome<JudgementList>> List<T, TVerdict>(PortalDbContext db, IQueryable<T> judgements, JudgementFilter filter,
        Func<IQueryable<T>, TVerdict, IQueryable<T>> with, Func<T, (string Verdict, int? Strength)> said, CancellationToken stop)
        where T : Judgement where TVerdict : struct, Enum
    {
        if (filter.Verdict is { Length: > 0 } name)
        {
            if (!Enum.TryParse<TVerdict>(name, out var verdict) || !Enum.IsDefined(verdict))
                return new Problem("verdict", $"\"{name}\" is no verdict of this kind of task.");
            judgements = with(judgements, verdict);
        }
        var total = await judgements.CountAsync(stop);
        var page = judgements.OrderByDescending(j => j.SubmittedAt).ThenByDescending(j => j.Id).Skip(Math.Clamp(filter.Page, 0, 1_000_000) * RowsMax).Take(RowsMax);
        var rows = await (from j in page
                          join a in db.Annotators on j.AnnotatorId equals a.Id
                          join t in db.Tasks on j.TaskId equals t.Id
                          join p in db.Prompts on t.PromptId equals p.Id
                          join c in db.Contents on p.ContentId equals c.Id
                          orderby j.SubmittedAt descending, j.Id descending
                          select new { Judgement = j, c.Text, p.Topic, a.Pseudonym, a.IsSimulated }).ToListAsync(stop);
        return new JudgementList([.. rows.Select(r => RowOf(r.Judgement, said(r.Judgement), Conversation.LastQuestion(Conversation.Parse(r.Text)), r.Topic, r.Pseudonym, r.IsSimulated))], total);
    }

    private static JudgementRow RowOf(Judgement j, (string Verdict, int? Strength) said, string question, string? topic, string pseudonym, bool isSimulated) =>
        new(j.Id, question, topic, said.Verdict, said.Strength, pseudonym, isSimulated, j.Source, j.IsSurplus, j.SubmittedAt);

    /// <summary>Uses (ProjectId, SubmittedAt), or (AnnotatorId, SubmittedAt) where a person is asked for.</summary>
    private static IQueryable<T> Matching<T>(IQueryable<T> judgements, ProjectId projectId, JudgementFilter filter, AnnotatorId? annotator) where T : Judgement
    {
        judgements = judgements.AsNoTracking().Where(j => j.ProjectId == projectId && j.SupersededAt == null);
        if (filter.Source is { } source)
            judgements = judgements.Where(j => j.Source == source);
        if (annotator is { } who)
            judgements = judgements.Where(j => j.AnnotatorId == who);
        if (filter.From is { } from)
        {
            var start = new DateTimeOffset(from.ToDateTime(TimeOnly.MinValue), TimeSpan.Zero);
            judgements = judgements.Where(j => j.SubmittedAt >= start);
        }
        if (filter.To is { } to)
        {
            var end = new DateTimeOffset(to.AddDays(1).ToDateTime(TimeOnly.MinValue), TimeSpan.Zero);
            judgements = judgements.Where(j => j.SubmittedAt < end);
        }
        return judgements;
    }
}
