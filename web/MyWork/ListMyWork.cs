using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Web.Accounts;
using Portal.Web.Annotate;
using Portal.Web.Components;

namespace Portal.Web.MyWork;

/// <summary>One judgement of one's own, in a line.</summary>
/// <param name="Side">For a preference: true when the response on the right (B) was preferred; null otherwise.</param>
/// <param name="IsChanged">It replaces an earlier judgement.</param>
public sealed record WorkRow(JudgementId Id, TaskKind Kind, string ProjectName, bool IsSynthetic, string Question, VerdictChoice Verdict, bool? Side,
    bool IsSurplus, bool IsChanged, DateTimeOffset SubmittedAt);

/// <summary>A task one passed on.</summary>
public sealed record SkippedRow(AssignmentId Id, TaskKind Kind, string ProjectName, string Question, bool IsOpen, DateTimeOffset TakenAt);

/// <summary>A queue and what waits in it, for the lines that say when to return.</summary>
public sealed record WaitingRow(ProjectId ProjectId, TaskKind Kind, string ProjectName, Offer Offer);

/// <summary>What the page of one's own work shows.</summary>
/// <param name="Earlier">Cursor of the next page; null on the last.</param>
public sealed record MyWorkShown(IReadOnlyList<WorkRow> Rows, DateTimeOffset? Earlier, IReadOnlyList<SkippedRow> Skipped,
    IReadOnlyList<WaitingRow> Waiting, int Today, string Pseudonym);

/// <summary>Lists one's own judgements, newest first, one page at a time; tasks passed on; and what waits.</summary>
/// <remarks>Uses the indexes (AnnotatorId, SubmittedAt) of both kinds of judgements and (AnnotatorId, ProjectId, State) of assignments.</remarks>
[Needs(Permission.Vote)]
public sealed class ListMyWork(IDbContextFactory<PortalDbContext> contexts, Access access, TimeProvider time)
{
    public const int PageSize = 25;
    public const int SkippedMax = 50;
    private const int ProjectsMax = 10;

    /// <param name="before">The cursor of the page before; null for the first page.</param>
    public async Task<Outcome<MyWorkShown>> Handle(ClaimsPrincipal user, DateTimeOffset? before, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Vote, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var annotator = await access.AnnotatorOf(asked.Value, stop);
        await using var db = await contexts.CreateDbContextAsync(stop);
        var until = before ?? DateTimeOffset.MaxValue.AddDays(-1);
        var pairs = await db.PairwiseJudgements.AsNoTracking()
            .Where(j => j.AnnotatorId == annotator && j.SupersededAt == null && j.AssignmentId != null && j.SubmittedAt < until)
            .OrderByDescending(j => j.SubmittedAt).Take(PageSize + 1).ToListAsync(stop);
        var singles = await db.BinaryJudgements.AsNoTracking()
            .Where(j => j.AnnotatorId == annotator && j.SupersededAt == null && j.AssignmentId != null && j.SubmittedAt < until)
            .OrderByDescending(j => j.SubmittedAt).Take(PageSize + 1).ToListAsync(stop);
        var judgements = pairs.Concat<Judgement>(singles).OrderByDescending(j => j.SubmittedAt).ToList();
        var page = judgements.Take(PageSize).ToList();
        var skipped = await db.Assignments.AsNoTracking().Where(a => a.AnnotatorId == annotator && a.State == AssignmentState.Skipped)
            .OrderByDescending(a => a.Id).Take(SkippedMax).ToListAsync(stop);
        var taskIds = page.Select(j => j.TaskId).Concat(skipped.Select(a => a.TaskId)).Distinct().ToList();
        var tasks = await (from t in db.Tasks.AsNoTracking()
                           join p in db.Prompts on t.PromptId equals p.Id
                           join c in db.Contents on p.ContentId equals c.Id
                           join x in db.Projects on t.ProjectId equals x.Id
                           where taskIds.Contains(t.Id)
                           select new { t.Id, t.Kind, t.State, c.Text, x.Name, x.IsSynthetic, x.ArchivedAt }).ToDictionaryAsync(t => t.Id, stop);
        var now = time.GetUtcNow();
        return new MyWorkShown(
            [.. page.Where(j => tasks.ContainsKey(j.TaskId)).Select(j =>
            {
                var task = tasks[j.TaskId];
                return new WorkRow(j.Id, task.Kind, task.Name, task.IsSynthetic, Question(task.Text), Verdicts.Of(j), SideOf(j), j.IsSurplus,
                    j.SupersedesId is not null, j.SubmittedAt);
            })],
            judgements.Count > PageSize ? page[^1].SubmittedAt : null,
            [.. skipped.Where(a => tasks.ContainsKey(a.TaskId)).Select(a =>
            {
                var task = tasks[a.TaskId];
                return new SkippedRow(a.Id, task.Kind, task.Name, Question(task.Text), task.State is TaskState.Open && task.ArchivedAt is null, a.TakenAt);
            })],
            await Waiting(db, annotator, now, stop), SubmitJudgement.Today(db, annotator, now),
            await db.Annotators.Where(a => a.Id == annotator).Select(a => a.Pseudonym).FirstAsync(stop));
    }

    private static async Task<IReadOnlyList<WaitingRow>> Waiting(PortalDbContext db, AnnotatorId annotator, DateTimeOffset now, CancellationToken stop)
    {
        var projects = await db.Projects.AsNoTracking().Where(p => p.ArchivedAt == null).OrderByDescending(p => p.Id).Take(ProjectsMax)
            .Select(p => new { p.Id, p.Name, p.TaskKinds }).ToListAsync(stop);
        return [.. from project in projects
                   from kind in new[] { TaskKind.Pairwise, TaskKind.Binary }
                   where project.TaskKinds.HasFlag(kind is TaskKind.Pairwise ? TaskKinds.Pairwise : TaskKinds.Binary)
                   select new WaitingRow(project.Id, kind, project.Name, NextTask.Find(db, annotator, new Queue(project.Id, kind), now))];
    }

    private static bool? SideOf(Judgement judgement) => judgement is PairwiseJudgement { PreferredResponseId: { } preferred, LeftResponseId: { } left }
        ? preferred != left
        : null;

    private static string Question(string? text) => Conversation.LastQuestion(Conversation.Parse(text));
}
