using System.Security.Claims;
using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Web.Accounts;
using Portal.Web.Components;

namespace Portal.Web.Annotate;

/// <summary>One response as the annotator sees it: a text and an id, never a model's name.</summary>
public sealed record ShownResponse(ResponseId Id, string Text);

/// <summary>What an annotator has chosen and typed on one screen: the body of a draft, and what a reopened screen is filled with.</summary>
/// <param name="Verdict">A <see cref="VerdictChoice"/> as text; null when nothing is chosen.</param>
/// <param name="Reasons">Codes out of <see cref="ReasonCodes"/>.</param>
/// <param name="Rationale">Free words; null for none.</param>
public sealed record ScreenForm(string? Verdict, IReadOnlyList<string>? Reasons, string? Rationale)
{
    public static readonly ScreenForm Empty = new(null, null, null);
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web);

    /// <summary>Reads a draft; what cannot be read (another version wrote it) is as good as none.</summary>
    public static ScreenForm Parse(string? json)
    {
        try
        {
            return json is null ? Empty : JsonSerializer.Deserialize<ScreenForm>(json, Json) ?? Empty;
        }
        catch (JsonException)
        {
            return Empty;
        }
    }

    public bool Has(string reason) => Reasons?.Contains(reason) ?? false;
}

/// <summary>Everything the annotate page shows of one assignment.</summary>
/// <param name="IsOvertaken">The lease ran out and somebody else has the place; a vote is kept all the same.</param>
/// <param name="GuidelinesAreNew">This annotator has not judged under this version of the guidelines yet.</param>
/// <param name="GuidelinesChanged">... but under an earlier one.</param>
/// <param name="Right">Null for a binary task.</param>
/// <param name="Form">What this annotator chose and typed on this screen: the draft, or after an undo what was judged.</param>
/// <param name="FormTime">The client time of that draft; null when there is none.</param>
/// <param name="VoteNumber">This would be vote 2 ... </param>
/// <param name="VotesWanted">... of 3.</param>
/// <param name="Open">Tasks left in the queue, this one not counted, up to <see cref="NextTask.OpenMax"/>.</param>
public sealed record ShownAssignment(AssignmentId Id, Queue Queue, AssignmentState State, bool IsOvertaken, string ProjectName, bool IsSynthetic,
    string Guidelines, int GuidelinesVersion, bool GuidelinesAreNew, bool GuidelinesChanged, IReadOnlyList<Turn> Prompt, string? Topic, ShownResponse Left,
    ShownResponse? Right, ScreenForm Form, DateTimeOffset? FormTime, int VoteNumber, int VotesWanted, int Today, int Open, bool CanUndo,
    string Pseudonym);

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
        var task = await db.Tasks.AsNoTracking().FirstOrDefaultAsync(t => t.Id == assignment.TaskId, stop);
        var project = await db.Projects.AsNoTracking().FirstAsync(p => p.Id == projectId, stop);
        if (task is null || task.State is TaskState.Withdrawn || project.ArchivedAt is not null)
            return Refusals.Withdrawn;
        var prompt = await (from p in db.Prompts.AsNoTracking()
                            join c in db.Contents on p.ContentId equals c.Id
                            where p.Id == task.PromptId
                            select new { p.Topic, c.Text }).FirstAsync(stop);
        var responses = await (from r in db.Responses.AsNoTracking()
                               join c in db.Contents on r.ContentId equals c.Id
                               where r.Id == assignment.LeftResponseId || r.Id == assignment.RightResponseId
                               select new { r.Id, c.Text }).ToListAsync(stop);
        if (prompt.Text is null || responses.Any(r => r.Text is null))
            return Refusals.Erased;
        var now = time.GetUtcNow();
        var since = now - UndoJudgement.Grace;
        var judged = task.Kind is TaskKind.Pairwise
            ? db.PairwiseJudgements.AsNoTracking().Where(j => j.AnnotatorId == annotator && j.ProjectId == projectId).Select(j => new
            {
                j.AssignmentId, j.SupersededAt, j.SubmittedAt, j.GuidelinesVersion,
            })
            : db.BinaryJudgements.AsNoTracking().Where(j => j.AnnotatorId == annotator && j.ProjectId == projectId).Select(j => new
            {
                j.AssignmentId, j.SupersededAt, j.SubmittedAt, j.GuidelinesVersion,
            });
        var canUndo = await judged.AnyAsync(j => j.SupersededAt == null && j.AssignmentId != null && j.SubmittedAt > since, stop);
        var knowsGuidelines = project.Guidelines.Length == 0 || await judged.AnyAsync(j => j.GuidelinesVersion == project.GuidelinesVersion, stop);
        var changed = !knowsGuidelines && await judged.AnyAsync(j => j.GuidelinesVersion != null, stop);
        var draft = await db.Drafts.AsNoTracking().FirstOrDefaultAsync(d => d.AssignmentId == id, stop);
        var form = draft is not null ? ScreenForm.Parse(draft.Body)
            : assignment.State is AssignmentState.Leased ? await Undone(db, assignment, task.Kind, stop)
            : ScreenForm.Empty;
        var queue = new Queue(projectId, task.Kind, task.CandidateId);
        var pseudonym = await db.Annotators.Where(a => a.Id == annotator).Select(a => a.Pseudonym).FirstAsync(stop);
        return new ShownAssignment(assignment.Id, queue, assignment.State, assignment.Slot is null, project.Name, project.IsSynthetic,
            project.Guidelines, project.GuidelinesVersion, !knowsGuidelines, changed, Conversation.Parse(prompt.Text), prompt.Topic,
            Shown(assignment.LeftResponseId), assignment.RightResponseId is { } right ? Shown(right) : null, form, draft?.ClientTime,
            Math.Min(task.VotesWanted, task.VotesWanted - task.VotesMissing + 1), task.VotesWanted,
            SubmitJudgement.Today(db, annotator, now), NextTask.Open(db, annotator, queue), canUndo, pseudonym);

        ShownResponse Shown(ResponseId response) => new(response, responses.First(r => r.Id == response).Text!); // no text is null, see above
    }

    /// <summary>The choice that an undo took back, so that the screen comes back as it was left.</summary>
    private static async Task<ScreenForm> Undone(PortalDbContext db, Assignment assignment, TaskKind kind, CancellationToken stop)
    {
        Judgement? last = kind is TaskKind.Pairwise
            ? await db.PairwiseJudgements.AsNoTracking().Where(j => j.TaskId == assignment.TaskId && j.AssignmentId == assignment.Id)
                .OrderByDescending(j => j.SubmittedAt).FirstOrDefaultAsync(stop)
            : await db.BinaryJudgements.AsNoTracking().Where(j => j.TaskId == assignment.TaskId && j.AssignmentId == assignment.Id)
                .OrderByDescending(j => j.SubmittedAt).FirstOrDefaultAsync(stop);
        if (last is null)
            return ScreenForm.Empty;
        var rationale = await db.Contents.Where(c => c.Id == last.RationaleId).Select(c => c.Text).FirstOrDefaultAsync(stop);
        return new ScreenForm(Verdicts.Of(last).ToString(), last.Reasons?.Split(','), rationale);
    }
}
