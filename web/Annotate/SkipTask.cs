using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.Storage;
using Portal.Web.Accounts;

namespace Portal.Web.Annotate;

/// <summary>Passes a task on and leases the next one. Skipping is an event, not a judgement; skipping twice is one skip.</summary>
[Needs(Permission.Vote)]
public sealed class SkipTask(WriteQueue writes, Access access, TakeTask takeTask, TimeProvider time)
{
    public const int ReasonLengthMax = 200;

    /// <param name="reason">Why, at most 200 characters; null for none.</param>
    public async Task<Outcome<Taken>> Handle(ClaimsPrincipal user, AssignmentId id, string? reason, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Vote, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        if (reason is { Length: > ReasonLengthMax })
            return new Problem("reason", $"The reason has {reason.Length} characters; at most {ReasonLengthMax} are kept.");
        var annotator = await access.AnnotatorOf(asked.Value, stop);
        return await writes.WriteAsync<Outcome<Taken>>(db =>
        {
            var assignment = db.Assignments.FirstOrDefault(a => a.Id == id && a.AnnotatorId == annotator);
            if (assignment is null)
                return Refusals.NoAssignment;
            var task = db.Tasks.First(t => t.Id == assignment.TaskId);
            if (assignment.State is AssignmentState.Submitted)
                return new Problem("assignment", "You have judged this task already; undo it first.", ProblemKind.Conflict);
            if (assignment.State is AssignmentState.Leased)
            {
                assignment.MarkSkipped();
                db.TaskEvents.Add(new TaskEvent
                {
                    ProjectId = task.ProjectId, TaskId = task.Id, AnnotatorId = annotator, Kind = TaskEventKind.Skipped,
                    Reason = string.IsNullOrWhiteSpace(reason) ? null : reason.Trim(), At = time.GetUtcNow(),
                });
                db.Drafts.Where(d => d.AssignmentId == id).ExecuteDelete();
                db.SaveChanges();
            }
            return takeTask.Take(db, annotator, new Queue(task.ProjectId, task.Kind, task.CandidateId));
        }, stop);
    }
}
