using System.Security.Claims;
using System.Security.Cryptography;
using System.Text;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.Storage;
using Portal.Web.Accounts;

namespace Portal.Web.Annotate;

/// <summary>What came of asking for a task.</summary>
/// <param name="AssignmentId">The lease to open; null when there is nothing to take.</param>
/// <param name="FreeAt">When others hold everything: the moment to come back. Null otherwise.</param>
public sealed record Taken(AssignmentId? AssignmentId, DateTimeOffset? FreeAt);

/// <summary>
/// Leases the next task of a queue to an annotator. Asking twice gives the same lease, so that a double click, a reload or a retry takes one.
/// </summary>
[Needs(Permission.Vote)]
public sealed class TakeTask(WriteQueue writes, Access access, IdFactory ids, TimeProvider time)
{
    /// <summary>How long a task is held without a sign of life; activity renews it.</summary>
    public static readonly TimeSpan Lease = TimeSpan.FromMinutes(10);

    public async Task<Outcome<Taken>> Handle(ClaimsPrincipal user, Queue queue, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Vote, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var annotator = await access.AnnotatorOf(asked.Value, stop);
        return await writes.WriteAsync(db => Take(db, annotator, queue), stop);
    }

    /// <summary>Inside a write: the annotator's live lease in this queue, or the next task leased now.</summary>
    internal Taken Take(PortalDbContext db, AnnotatorId annotator, Queue queue)
    {
        var now = time.GetUtcNow();
        var purpose = queue.CandidateId is null ? TaskPurpose.Collect : TaskPurpose.BlindComparison;
        var held = db.Assignments
            .Where(a => a.AnnotatorId == annotator && a.ProjectId == queue.ProjectId && a.State == AssignmentState.Leased)
            .Where(a => db.Tasks.Any(t => t.Id == a.TaskId && t.Kind == queue.Kind && t.Purpose == purpose && t.CandidateId == queue.CandidateId
                                          && t.State == TaskState.Open))
            .OrderBy(a => a.Id).FirstOrDefault();
        if (held is not null && Hold(db, held, now))
        {
            db.SaveChanges();
            return new Taken(held.Id, null);
        }

        while (NextTask.Free(db, annotator, queue, now) is { } taskId)
        {
            db.LockTask(taskId);
            var task = db.Tasks.First(t => t.Id == taskId);
            if (FreeSlot(db, task, now) is not { } slot)
                continue; // another node took the last place between the query and the lock
            var assignment = Assignment.Take(ids.New<AssignmentId>(), task, annotator, slot, SideSeed(annotator, task.Id), now, Lease);
            db.Assignments.Add(assignment);
            db.TaskEvents.Add(new TaskEvent
            {
                ProjectId = task.ProjectId, TaskId = task.Id, AnnotatorId = annotator, Kind = TaskEventKind.Taken, At = now,
            });
            db.SaveChanges();
            return new Taken(assignment.Id, null);
        }
        return new Taken(null, NextTask.FreeAt(db, annotator, queue));
    }

    /// <summary>Renews a lease; one that was overtaken meanwhile needs a free place to count again.</summary>
    private static bool Hold(PortalDbContext db, Assignment held, DateTimeOffset now)
    {
        if (held.Slot is null)
        {
            db.LockTask(held.TaskId);
            var task = db.Tasks.First(t => t.Id == held.TaskId);
            if (FreeSlot(db, task, now) is not { } slot)
                return false;
            held.Retake(slot, now, Lease);
        }
        held.Renew(now, Lease);
        return true;
    }

    /// <summary>
    /// The lowest place among the wanted votes that nobody holds. A lease that has run out is overtaken; its late judgement will be surplus.
    /// </summary>
    /// <returns>The slot, 0-based; null when every place is judged or held.</returns>
    internal static int? FreeSlot(PortalDbContext db, AnnotationTask task, DateTimeOffset now)
    {
        var placed = db.Assignments.Where(a => a.TaskId == task.Id && a.Slot != null).ToList();
        for (var slot = 0; slot < task.VotesWanted; slot++)
            if (placed.All(a => a.Slot != slot))
                return slot;
        if (placed.Where(a => a.State is AssignmentState.Leased && a.ExpiresAt <= now).MinBy(a => a.ExpiresAt) is not { } late)
            return null;
        var freed = late.Slot;
        late.Overtake();
        db.SaveChanges(); // the unique index on (task, slot) wants the place empty before it is given again
        return freed;
    }

    /// <summary>Decides the sides: the same annotator sees the same task the same way again, and over tasks it is a fair coin.</summary>
    private static long SideSeed(AnnotatorId annotator, TaskId task)
    {
        var hash = SHA256.HashData(Encoding.ASCII.GetBytes($"{annotator}/{task}"));
        return BitConverter.ToInt64(hash) & long.MaxValue;
    }
}
