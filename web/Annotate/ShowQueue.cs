using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Web.Accounts;

namespace Portal.Web.Annotate;

/// <summary>What the start page of a queue shows.</summary>
/// <param name="Offer">What waits; <see cref="Offer.FreeAt"/> says when to come back where others hold it all.</param>
/// <param name="HoldsOne">This annotator has an open task already: starting goes on with it.</param>
/// <param name="KnowsGuidelines">False until a judgement was given under this version of the guidelines.</param>
/// <param name="OtherKind">Tasks of the other kind (pairs or single responses) that wait in this project.</param>
public sealed record ShownQueue(Queue Queue, string ProjectName, bool IsSynthetic, string? ContentWarning, string Guidelines, int GuidelinesVersion,
    bool KnowsGuidelines, bool Asks, Offer Offer, bool HoldsOne, int Today, int Skipped, bool CanUndo, int OtherKind, string Pseudonym);

/// <summary>Loads the start page of a queue. Reading leases nothing.</summary>
[Needs(Permission.Vote)]
public sealed class ShowQueue(IDbContextFactory<PortalDbContext> contexts, Access access, TimeProvider time)
{
    public async Task<Outcome<ShownQueue>> Handle(ClaimsPrincipal user, Queue queue, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Vote, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var annotator = await access.AnnotatorOf(asked.Value, stop);
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (await db.Projects.AsNoTracking().FirstOrDefaultAsync(p => p.Id == queue.ProjectId && p.ArchivedAt == null, stop) is not { } project)
            return new Problem("project", "This project is archived or gone.", ProblemKind.NotFound);
        var now = time.GetUtcNow();
        var since = now - UndoJudgement.Grace;
        var mine = queue.Kind is TaskKind.Pairwise
            ? db.PairwiseJudgements.Where(j => j.AnnotatorId == annotator && j.ProjectId == queue.ProjectId)
                .Select(j => new { j.GuidelinesVersion, j.SupersededAt, j.SubmittedAt, j.AssignmentId })
            : db.BinaryJudgements.Where(j => j.AnnotatorId == annotator && j.ProjectId == queue.ProjectId)
                .Select(j => new { j.GuidelinesVersion, j.SupersededAt, j.SubmittedAt, j.AssignmentId });
        var knows = await mine.AnyAsync(j => j.GuidelinesVersion == project.GuidelinesVersion, stop);
        var canUndo = await mine.AnyAsync(j => j.SupersededAt == null && j.AssignmentId != null && j.SubmittedAt > since, stop);
        var holds = await db.Assignments.AnyAsync(a => a.AnnotatorId == annotator && a.ProjectId == queue.ProjectId
            && a.State == AssignmentState.Leased && db.Tasks.Any(t => t.Id == a.TaskId && t.State == TaskState.Open && t.Kind == queue.Kind
                                                                     && t.CandidateId == queue.CandidateId), stop);
        var skipped = await db.Assignments.CountAsync(a => a.AnnotatorId == annotator && a.ProjectId == queue.ProjectId
                                                           && a.State == AssignmentState.Skipped, stop);
        var other = queue.Kind is TaskKind.Pairwise ? TaskKind.Binary : TaskKind.Pairwise;
        var asks = queue.CandidateId is not null || project.TaskKinds.HasFlag(queue.Kind is TaskKind.Pairwise ? TaskKinds.Pairwise : TaskKinds.Binary);
        return new ShownQueue(queue, project.Name, project.IsSynthetic, project.ContentWarning, project.Guidelines, project.GuidelinesVersion, knows,
            asks, NextTask.Find(db, annotator, queue, now), holds, SubmitJudgement.Today(db, annotator, now), skipped, canUndo,
            NextTask.Open(db, annotator, new Queue(queue.ProjectId, other)),
            await db.Annotators.Where(a => a.Id == annotator).Select(a => a.Pseudonym).FirstAsync(stop));
    }
}

/// <summary>A project one can annotate in, and how much waits there.</summary>
public sealed record QueueRow(ProjectId ProjectId, string Name, bool IsSynthetic, bool Asks, int Open);

/// <summary>The queues of one kind over all projects.</summary>
[Needs(Permission.Vote)]
public sealed class ListQueues(IDbContextFactory<PortalDbContext> contexts, Access access, TimeProvider time)
{
    public const int RowsMax = 50;

    /// <returns>At most <see cref="RowsMax"/> projects, newest first.</returns>
    public async Task<Outcome<(IReadOnlyList<QueueRow> Rows, int Today)>> Handle(ClaimsPrincipal user, TaskKind kind, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Vote, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var annotator = await access.AnnotatorOf(asked.Value, stop);
        await using var db = await contexts.CreateDbContextAsync(stop);
        var now = time.GetUtcNow();
        var projects = await db.Projects.AsNoTracking().Where(p => p.ArchivedAt == null).OrderByDescending(p => p.Id).Take(RowsMax)
            .Select(p => new { p.Id, p.Name, p.IsSynthetic, p.TaskKinds }).ToListAsync(stop);
        var flag = kind is TaskKind.Pairwise ? TaskKinds.Pairwise : TaskKinds.Binary;
        List<QueueRow> rows = [.. projects.Select(p => new QueueRow(p.Id, p.Name, p.IsSynthetic, p.TaskKinds.HasFlag(flag),
            NextTask.Open(db, annotator, new Queue(p.Id, kind))))];
        return (rows, SubmitJudgement.Today(db, annotator, now));
    }
}

/// <summary>
/// The queue an assignment belongs to. Pages name the assignment only: the id of the candidate that a blind comparison informs must not stand
/// in what the annotator's browser gets.
/// </summary>
[Needs(Permission.Vote)]
public sealed class FindQueue(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    public async Task<Outcome<Queue>> Of(ClaimsPrincipal user, AssignmentId origin, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Vote, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var annotator = await access.AnnotatorOf(asked.Value, stop);
        await using var db = await contexts.CreateDbContextAsync(stop);
        var queue = await (from a in db.Assignments.AsNoTracking()
                           join t in db.Tasks on a.TaskId equals t.Id
                           where a.Id == origin && a.AnnotatorId == annotator
                           select new Queue(t.ProjectId, t.Kind, t.CandidateId)).FirstOrDefaultAsync(stop);
        return queue is null ? Refusals.NoAssignment : queue;
    }
}
