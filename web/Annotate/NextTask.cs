using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Web.Accounts;

namespace Portal.Web.Annotate;

/// <summary>Which queue is meant: a project's tasks of one kind, or the blind pairs that inform one candidate's release.</summary>
/// <param name="CandidateId">Set for blind old/new pairs; null for the tasks that feed training.</param>
public sealed record Queue(ProjectId ProjectId, TaskKind Kind, ModelVersionId? CandidateId = null);

/// <summary>What a queue holds for one annotator.</summary>
/// <param name="TaskId">The task to take next; null when there is none now.</param>
/// <param name="Open">Tasks this annotator could still be offered, taken ones of others included; counted up to <see cref="NextTask.OpenMax"/>.</param>
/// <param name="FreeAt">When nothing can be taken because others hold it all: the moment the first lease ends. Null otherwise.</param>
public sealed record Offer(TaskId? TaskId, int Open, DateTimeOffset? FreeAt);

/// <summary>The task an annotator should see next.</summary>
/// <remarks>
/// Highest priority first, ties by id, so the answer repeats. Never offers a task the annotator has seen before, or one whose missing
/// votes are all covered by live leases, or anything of an archived project or of a kind the project does not ask for. Whether a lease is live is told by its time. Promises nothing: two annotators may be offered
/// the last place, and <see cref="TakeTask"/> decides who gets it. Walks the index (ProjectId, State, Kind, Priority, Id) in its order, sorting nothing, and
/// asks (TaskId, AnnotatorId) for each.
/// </remarks>
[Needs(Permission.Vote)]
public sealed class NextTask(IDbContextFactory<PortalDbContext> contexts, Access access, TimeProvider time)
{
    /// <summary>Counting stops here: on a project of a million tasks, counting on would cost more than it tells.</summary>
    public const int OpenMax = 1_000;

    /// <summary>The offer for the signed-in annotator.</summary>
    public async Task<Outcome<Offer>> For(ClaimsPrincipal user, Queue queue, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Vote, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var annotator = await access.AnnotatorOf(asked.Value, stop);
        await using var db = await contexts.CreateDbContextAsync(stop);
        return Find(db, annotator, queue, time.GetUtcNow());
    }

    /// <summary>What a page says about a queue: all of the offer.</summary>
    internal static Offer Find(PortalDbContext db, AnnotatorId annotator, Queue queue, DateTimeOffset now)
    {
        var (next, count) = (Free(db, annotator, queue, now), Open(db, annotator, queue));
        return new Offer(next, count, next is null && count > 0 ? FreeAt(db, annotator, queue) : null);
    }

    /// <summary>The task to take next, also used inside the write that takes it: nothing is counted there while others wait.</summary>
    internal static TaskId? Free(PortalDbContext db, AnnotatorId annotator, Queue queue, DateTimeOffset now) => Unseen(db, annotator, queue)
        .Where(t => db.Assignments.Count(a => a.TaskId == t.Id && a.State == AssignmentState.Leased && a.Slot != null && a.ExpiresAt > now) < t.VotesMissing)
        .OrderByDescending(t => t.Priority).ThenBy(t => t.Id).Select(t => (TaskId?)t.Id).FirstOrDefault();

    /// <summary>Tasks this annotator could still be offered, up to <see cref="OpenMax"/>.</summary>
    internal static int Open(PortalDbContext db, AnnotatorId annotator, Queue queue) => Unseen(db, annotator, queue).Take(OpenMax).Count();

    /// <summary>The moment the first lease of a task ends that this annotator could be offered; null when there is none.</summary>
    internal static DateTimeOffset? FreeAt(PortalDbContext db, AnnotatorId annotator, Queue queue) => Unseen(db, annotator, queue)
        .SelectMany(t => db.Assignments.Where(a => a.TaskId == t.Id && a.State == AssignmentState.Leased && a.Slot != null))
        .Select(a => (DateTimeOffset?)a.ExpiresAt).Min();

    private static IQueryable<AnnotationTask> Unseen(PortalDbContext db, AnnotatorId annotator, Queue queue)
    {
        var purpose = queue.CandidateId is null ? TaskPurpose.Collect : TaskPurpose.BlindComparison;
        var kinds = queue.Kind is TaskKind.Pairwise ? TaskKinds.Pairwise : TaskKinds.Binary;
        return db.Tasks.AsNoTracking().Where(t =>
            t.ProjectId == queue.ProjectId && t.State == TaskState.Open && t.Kind == queue.Kind && t.Purpose == purpose
            && t.CandidateId == queue.CandidateId
            && db.Projects.Any(p => p.Id == queue.ProjectId && p.ArchivedAt == null && (queue.CandidateId != null || (p.TaskKinds & kinds) != 0))
            && !db.Assignments.Any(a => a.TaskId == t.Id && a.AnnotatorId == annotator));
    }
}

/// <summary>Refusals that several slices of this folder share.</summary>
internal static class Refusals
{
    public static readonly Problem NoAssignment =
        new("assignment", "This task is not yours, or it is gone.", ProblemKind.NotFound);

    public static readonly Problem Withdrawn =
        new("assignment", "This task was withdrawn from the queue. Nothing of yours is lost; take the next one.", ProblemKind.NotFound);

    public static readonly Problem Erased =
        new("assignment", "The texts of this task were erased. Take the next one.", ProblemKind.NotFound);
}
