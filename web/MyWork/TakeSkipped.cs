using System.Security.Claims;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.Storage;
using Portal.Web.Accounts;
using Portal.Web.Annotate;

namespace Portal.Web.MyWork;

/// <summary>An assignment to open, and the kind of page that shows it.</summary>
public sealed record Retaken(AssignmentId Id, ProjectId ProjectId, TaskKind Kind);

/// <summary>Takes up a task one passed on, if a place is free. Asking twice gives the same lease.</summary>
[Needs(Permission.Vote)]
public sealed class TakeSkipped(WriteQueue writes, Access access, TimeProvider time)
{
    public async Task<Outcome<Retaken>> Handle(ClaimsPrincipal user, AssignmentId id, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Vote, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var annotator = await access.AnnotatorOf(asked.Value, stop);
        return await writes.WriteAsync<Retaken>(db =>
        {
            if (db.Assignments.FirstOrDefault(a => a.Id == id && a.AnnotatorId == annotator) is not { } assignment)
                return new Problem("assignment", "This task is not yours, or it is gone.", ProblemKind.NotFound);
            db.LockTask(assignment.TaskId);
            var task = db.Tasks.First(t => t.Id == assignment.TaskId);
            var retaken = new Retaken(id, task.ProjectId, task.Kind);
            if (assignment.State is not AssignmentState.Skipped)
                return retaken;
            var now = time.GetUtcNow();
            if (task.State is not TaskState.Open)
                return new Problem("assignment", "Others have judged this task in the meantime; it wants no more votes.", ProblemKind.Conflict);
            if (TakeTask.FreeSlot(db, task, now) is not { } slot)
                return new Problem("assignment", "Somebody else is judging this task now. Try again in a while.", ProblemKind.Conflict);
            assignment.Retake(slot, now, TakeTask.Lease);
            db.TaskEvents.Add(new TaskEvent
            {
                ProjectId = task.ProjectId, TaskId = task.Id, AnnotatorId = annotator, Kind = TaskEventKind.Taken, At = now,
            });
            return retaken;
        }, stop);
    }
}
