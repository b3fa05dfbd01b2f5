using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.Storage;
using Portal.Web.Accounts;
using Portal.Web.Annotate;

namespace Portal.Web.MyWork;

/// <summary>A new verdict for a judgement one gave earlier.</summary>
/// <param name="JudgementId">Made by the page when it loads: sending twice changes once.</param>
/// <param name="Supersedes">The judgement as the page showed it.</param>
public sealed record ChangeRequest(JudgementId JudgementId, JudgementId Supersedes, string Verdict, ResponseId? PreferredResponseId, int? Strength,
    IReadOnlyList<string>? Reasons, string? Rationale);

/// <summary>
/// Changes one's own judgement: a new one is stored and supersedes it. The record keeps both; the task's count of votes stays as it is.
/// </summary>
[Needs(Permission.Vote)]
public sealed class ChangeJudgement(WriteQueue writes, Access access, SubmitJudgement submit, TimeProvider time)
{
    private static readonly Problem Gone = new("judgement", "This judgement is not yours, or it is gone.", ProblemKind.NotFound);

    private static readonly Problem Overtaken =
        new("judgement", "You changed this judgement elsewhere in the meantime. Open it again from the list.", ProblemKind.Conflict);

    public async Task<Outcome<JudgementId>> Handle(ClaimsPrincipal user, ChangeRequest request, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Vote, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        if (request.JudgementId.Value == Guid.Empty || request.JudgementId == request.Supersedes)
            return new Problem("judgementId", "The change has no id of its own; reload the page.");
        if (SubmitJudgement.CheckWords(request.Reasons, request.Rationale) is { } problem)
            return problem;
        var annotator = await access.AnnotatorOf(asked.Value, stop);
        try
        {
            return await writes.WriteAsync(db => Store(db, annotator, request), stop);
        }
        catch (DbUpdateException)
        {
            return Overtaken; // the unique index on SupersedesId: another node was faster
        }
    }

    private Outcome<JudgementId> Store(PortalDbContext db, AnnotatorId annotator, ChangeRequest request)
    {
        if (SubmitJudgement.FindJudgement(db, request.Supersedes) is not { } old || old.AnnotatorId != annotator || old.AssignmentId is null)
            return Gone;
        if (SubmitJudgement.FindJudgement(db, request.JudgementId) is { } stored)
            return stored.AnnotatorId == annotator && stored.SupersedesId == old.Id
                ? stored.Id
                : new Problem("judgementId", "This judgement id is taken by another judgement.", ProblemKind.Conflict);
        if (old.SupersededAt is not null)
            return Overtaken;
        var now = time.GetUtcNow();
        var task = db.Tasks.First(t => t.Id == old.TaskId);
        var rationale = submit.Keep(db, request.Rationale, task.ProjectId, now);
        var reasons = request.Reasons is { Count: > 0 } codes ? string.Join(',', codes.Distinct()) : null;
        var guidelines = db.Projects.Where(p => p.Id == task.ProjectId).Select(p => p.GuidelinesVersion).First();
        switch (old)
        {
            case PairwiseJudgement pair:
                if (SubmitJudgement.PairwiseOf(request.Verdict) is not { } verdict)
                    return Unknown(request);
                if (PairwiseJudgement.Check(verdict, request.PreferredResponseId, request.Strength, task) is { } problem)
                    return problem;
                if (verdict is PairwiseVerdict.Preferred && request.Strength is null)
                    return new Problem("strength", "Say how much better: 1 slightly, 2 better, 3 much better.");
                db.Add(new PairwiseJudgement
                {
                    Id = request.JudgementId, ProjectId = old.ProjectId, TaskId = old.TaskId, AssignmentId = old.AssignmentId, AnnotatorId = annotator,
                    SupersedesId = old.Id, Source = JudgementSource.Person, RationaleId = rationale, Reasons = reasons, SideSeed = old.SideSeed,
                    GuidelinesVersion = guidelines, IsSurplus = old.IsSurplus, SubmittedAt = now, Verdict = verdict,
                    PreferredResponseId = request.PreferredResponseId, Strength = request.Strength, LeftResponseId = pair.LeftResponseId,
                });
                break;
            case BinaryJudgement single:
                if (SubmitJudgement.BinaryOf(request.Verdict) is not { } binary)
                    return Unknown(request);
                db.Add(new BinaryJudgement
                {
                    Id = request.JudgementId, ProjectId = old.ProjectId, TaskId = old.TaskId, AssignmentId = old.AssignmentId, AnnotatorId = annotator,
                    SupersedesId = old.Id, Source = JudgementSource.Person, RationaleId = rationale, Reasons = reasons, SideSeed = old.SideSeed,
                    GuidelinesVersion = guidelines, IsSurplus = old.IsSurplus, SubmittedAt = now, Verdict = binary, ResponseId = single.ResponseId,
                });
                break;
        }
        old.MarkSuperseded(now);
        return request.JudgementId;
    }

    private static Problem Unknown(ChangeRequest request) => new("verdict", $"\"{request.Verdict}\" is no verdict for this task.");
}

/// <summary>A judgement as it is shown for changing: the screen as it was, and what was said.</summary>
public sealed record ShownJudgement(JudgementId Id, TaskKind Kind, string ProjectName, bool IsSynthetic, IReadOnlyList<Turn> Prompt, ShownResponse Left,
    ShownResponse? Right, ScreenForm Form, DateTimeOffset SubmittedAt, string Guidelines, int GuidelinesVersion);

/// <summary>Loads one's own judgement with the screen it was given on.</summary>
[Needs(Permission.Vote)]
public sealed class ShowJudgement(IDbContextFactory<PortalDbContext> contexts, Access access)
{
    public async Task<Outcome<ShownJudgement>> Handle(ClaimsPrincipal user, JudgementId id, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Vote, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var annotator = await access.AnnotatorOf(asked.Value, stop);
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (SubmitJudgement.FindJudgement(db, id) is not { } judgement || judgement.AnnotatorId != annotator || judgement.AssignmentId is null)
            return new Problem("judgement", "This judgement is not yours, or it is gone.", ProblemKind.NotFound);
        if (judgement.SupersededAt is not null)
            return new Problem("judgement", "You changed or took back this judgement. The list shows the one that counts.", ProblemKind.Conflict);
        var assignment = await db.Assignments.AsNoTracking().FirstAsync(a => a.Id == judgement.AssignmentId, stop);
        var task = await db.Tasks.AsNoTracking().FirstAsync(t => t.Id == judgement.TaskId, stop);
        var project = await db.Projects.AsNoTracking().FirstAsync(p => p.Id == judgement.ProjectId, stop);
        var prompt = await (from p in db.Prompts.AsNoTracking() join c in db.Contents on p.ContentId equals c.Id where p.Id == task.PromptId select c.Text)
            .FirstAsync(stop);
        var texts = await (from r in db.Responses.AsNoTracking()
                           join c in db.Contents on r.ContentId equals c.Id
                           where r.Id == assignment.LeftResponseId || r.Id == assignment.RightResponseId
                           select new { r.Id, c.Text }).ToListAsync(stop);
        if (prompt is null || texts.Any(t => t.Text is null))
            return new Problem("judgement", "The texts of this task were erased, so it can no longer be judged.", ProblemKind.NotFound);
        var rationale = await db.Contents.Where(c => c.Id == judgement.RationaleId).Select(c => c.Text).FirstOrDefaultAsync(stop);
        return new ShownJudgement(id, task.Kind, project.Name, project.IsSynthetic, Conversation.Parse(prompt), Shown(assignment.LeftResponseId),
            assignment.RightResponseId is { } right ? Shown(right) : null,
            new ScreenForm(Verdicts.Of(judgement).ToString(), judgement.Reasons?.Split(','), rationale), judgement.SubmittedAt, project.Guidelines,
            project.GuidelinesVersion);

        ShownResponse Shown(ResponseId response) => new(response, texts.First(t => t.Id == response).Text!); // no text is null, see above
    }
}
