using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.Storage;
using Portal.Web.Accounts;

namespace Portal.Web.Annotate;

/// <summary>
/// Takes back the annotator's latest judgement and opens its screen again. The judgement stays in the record, superseded; the next submit on
/// that screen names it as the one it replaces.
/// </summary>
[Needs(Permission.Vote)]
public sealed class UndoJudgement(WriteQueue writes, Access access, FindQueue queues, TimeProvider time)
{
    /// <summary>Only judgements this young can be taken back with one key; older ones are changed under My work.</summary>
    public static readonly TimeSpan Grace = TimeSpan.FromMinutes(30);

    /// <summary>How many of the latest judgements can be taken back, one after the other.</summary>
    public const int Depth = 10;

    /// <summary>Takes back the latest judgement of the queue that an assignment of one's own belongs to: pages need not name the queue.</summary>
    /// <returns>The assignment that is open again.</returns>
    public async Task<Outcome<AssignmentId>> Handle(ClaimsPrincipal user, AssignmentId from, CancellationToken stop)
    {
        var queue = await queues.Of(user, from, stop);
        return queue.Refusal is { } refusal ? refusal : await Handle(user, queue.Value, stop);
    }

    /// <returns>The assignment that is open again.</returns>
    public async Task<Outcome<AssignmentId>> Handle(ClaimsPrincipal user, Queue queue, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Vote, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var annotator = await access.AnnotatorOf(asked.Value, stop);
        return await writes.WriteAsync<Outcome<AssignmentId>>(db =>
        {
            var now = time.GetUtcNow();
            var last = queue.Kind is TaskKind.Pairwise
                ? Latest(db, db.PairwiseJudgements, annotator, queue)
                : Latest(db, db.BinaryJudgements, annotator, queue);
            if (last is null)
                return new Problem("", "There is nothing to undo.", ProblemKind.Conflict);
            if (now - last.SubmittedAt > Grace)
                return new Problem("", "Your last judgement is older than half an hour. Change it under My work.", ProblemKind.Conflict);
            var undone = db.TaskEvents.Count(e => e.AnnotatorId == annotator && e.ProjectId == queue.ProjectId && e.Kind == TaskEventKind.Undone
                                                  && e.At > last.SubmittedAt);
            if (undone >= Depth)
                return new Problem("", $"The last {Depth} judgements are undone. Change earlier ones under My work.", ProblemKind.Conflict);
            var assignment = db.Assignments.First(a => a.Id == last.AssignmentId);
            db.LockTask(last.TaskId);
            var task = db.Tasks.First(t => t.Id == last.TaskId);
            last.MarkSuperseded(now);
            if (!last.IsSurplus)
                task.UncountVote();
            assignment.Reopen(now, TakeTask.Lease);
            db.TaskEvents.Add(new TaskEvent
            {
                ProjectId = task.ProjectId, TaskId = task.Id, AnnotatorId = annotator, Kind = TaskEventKind.Undone, At = now,
            });
            db.SaveChanges();
            return assignment.Id;
        }, stop);
    }

    private static Judgement? Latest<T>(PortalDbContext db, DbSet<T> judgements, AnnotatorId annotator, Queue queue) where T : Judgement =>
        judgements
            .Where(j => j.AnnotatorId == annotator && j.ProjectId == queue.ProjectId && j.SupersededAt == null && j.AssignmentId != null)
            .Where(j => db.Tasks.Any(t => t.Id == j.TaskId && t.CandidateId == queue.CandidateId))
            .OrderByDescending(j => j.SubmittedAt)
            .FirstOrDefault();
}
