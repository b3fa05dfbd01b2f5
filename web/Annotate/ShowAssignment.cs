using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Web.Accounts;

namespace Portal.Web.Annotate;

/// <summary>One response as the annotator sees it: a text and an id, never a model's name.</summary>
public sealed record ShownResponse(ResponseId Id, string Text);

/// <summary>Everything the annotate page shows of one assignment.</summary>
/// <param name="Right">Null for a binary task.</param>
/// <param name="Draft">What this annotator typed earlier, as JSON; null when there is none.</param>
/// <param name="VoteNumber">This would be vote 2 ... </param>
/// <param name="VotesWanted">... of 3.</param>
public sealed record ShownAssignment(AssignmentId Id, Queue Queue, AssignmentState State, string ProjectName, bool IsSynthetic, string Guidelines,
    int GuidelinesVersion, string? ContentWarning, IReadOnlyList<Turn> Prompt, string? Topic, ShownResponse Left, ShownResponse? Right,
    string? Draft, int VoteNumber, int VotesWanted, int Today, int Open, bool CanUndo, string Pseudonym);

/// <summary>Loads what the annotate page shows. Reading changes nothing: leases are taken and renewed by calls of their own.</summary>
[Needs(Permission.Vote)]
public sealed class ShowAssignment(IDbContextFactory<PortalDbContext> contexts, Access access, TimeProvider time)
{
    public async Task<Outcome<ShownAssignment>> Handle(ClaimsPrincipal user, ProjectId projectId, AssignmentId id, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Vote, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var annotator = await access.AnnotatorOf(asked.Value, stop);
        await using var db = await contexts.CreateDbContextAsync(stop);
        var assignment = await db.Assignments.AsNoTracking()
            .FirstOrDefaultAsync(a => a.Id == id && a.ProjectId == projectId && a.AnnotatorId == annotator, stop);
        if (assignment is null)
            return Refusals.NoAssignment;
        var task = await db.Tasks.AsNoTracking().FirstAsync(t => t.Id == assignment.TaskId, stop);
        var project = await db.Projects.AsNoTracking().FirstAsync(p => p.Id == projectId, stop);
        var prompt = await (from p in db.Prompts.AsNoTracking()
                            join c in db.Contents on p.ContentId equals c.Id
                            where p.Id == task.PromptId
                            select new { p.Topic, c.Text }).FirstAsync(stop);
        var responses = await (from r in db.Responses.AsNoTracking()
                               join c in db.Contents on r.ContentId equals c.Id
                               where r.Id == assignment.LeftResponseId || r.Id == assignment.RightResponseId
                               select new ShownResponse(r.Id, c.Text ?? "")).ToListAsync(stop);
        if (prompt.Text is null || responses.Any(r => r.Text.Length == 0))
            return new Problem("assignment", "The texts of this task were erased. Take the next one.", ProblemKind.NotFound);
        var draft = await db.Drafts.AsNoTracking().Where(d => d.AssignmentId == id).Select(d => d.Body).FirstOrDefaultAsync(stop);
        var queue = new Queue(projectId, task.Kind, task.CandidateId);
        var now = time.GetUtcNow();
        var since = now - UndoJudgement.Grace;
        var canUndo = task.Kind is TaskKind.Pairwise
            ? await db.PairwiseJudgements.AnyAsync(j => j.AnnotatorId == annotator && j.ProjectId == projectId && j.SupersededAt == null
                                                        && j.AssignmentId != null && j.SubmittedAt > since, stop)
            : await db.BinaryJudgements.AnyAsync(j => j.AnnotatorId == annotator && j.ProjectId == projectId && j.SupersededAt == null
                                                      && j.AssignmentId != null && j.SubmittedAt > since, stop);
        var pseudonym = await db.Annotators.Where(a => a.Id == annotator).Select(a => a.Pseudonym).FirstAsync(stop);
        return new ShownAssignment(assignment.Id, queue, assignment.State, project.Name, project.IsSynthetic, project.Guidelines,
            project.GuidelinesVersion, project.ContentWarning, Conversation.Parse(prompt.Text), prompt.Topic,
            responses.First(r => r.Id == assignment.LeftResponseId),
            assignment.RightResponseId is { } right ? responses.First(r => r.Id == right) : null,
            draft, Math.Min(task.VotesWanted, task.VotesWanted - task.VotesMissing + 1), task.VotesWanted,
            SubmitJudgement.Today(db, annotator, now), NextTask.Find(db, annotator, queue, now).Open, canUndo, pseudonym);
    }
}
