using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Erasure;

namespace Portal.Web.Erasure;

/// <summary>What somebody wants erased.</summary>
/// <param name="Project">Where it is asked for; of prompts where they are.</param>
/// <param name="Pseudonym">Of an annotator; nothing for prompts.</param>
/// <param name="Prompts">None for an annotator.</param>
public sealed record ErasureInput(ErasureKind Kind, ProjectId Project, string? Pseudonym, IReadOnlyList<PromptId> Prompts, string Reason);

/// <summary>Refusals of this folder.</summary>
internal static class ErasureRefusals
{
    public static readonly Problem Gone = new("request", "There is no request at this address.", ProblemKind.NotFound);

    public static readonly Problem Overtaken = new("request", "Somebody changed this request since the page was opened. Nothing was changed now: load the page again, look, then decide.", ProblemKind.Conflict);
}

/// <summary>What a request would be of, checked: that it is there, here, not too much, and nobody else's already.</summary>
internal static class CheckedErasure
{
    public static Outcome<ErasureSubject> Find(PortalDbContext db, ErasureKind kind, ProjectId project, string? pseudonym, IReadOnlyList<PromptId> prompts)
    {
        if (!Enum.IsDefined(kind))
            return new Problem("kind", "There is no such erasure.");
        if (!db.Projects.Any(p => p.Id == project))
            return new Problem("project", "This project is gone.", ProblemKind.NotFound);
        AnnotatorId? annotator = null;
        if (kind is ErasureKind.Prompts)
        {
            if (prompts.Count == 0)
                return new Problem("prompts", "Choose at least one prompt.");
            if (prompts.Distinct().Count() > ErasureRequest.PromptsMax)
                return new Problem("prompts", $"{prompts.Distinct().Count()} prompts are too many for one request; at most {ErasureRequest.PromptsMax} go together. Ask for the others in another one.", ProblemKind.TooMuch);
            if (db.Prompts.IgnoreQueryFilters().Count(p => p.ProjectId == project && prompts.Contains(p.Id)) < prompts.Distinct().Count())
                return new Problem("prompts", "One of these prompts is not in this project.", ProblemKind.NotFound);
        }
        else
        {
            var name = pseudonym?.Trim() ?? "";
            annotator = db.Annotators.Where(a => a.Pseudonym == name).Select(a => (AnnotatorId?)a.Id).FirstOrDefault();
            if (annotator is null)
                return new Problem("annotator", "Nobody judges under this name. It is the name that judgements are kept under, for example heron-12.", ProblemKind.NotFound);
        }
        var subject = ErasureSubject.Of(db, kind, project, annotator, prompts);
        // Over IX_ErasureRequests_AnnotatorId and IX_ErasurePrompts_PromptId.
        var open = db.ErasureRequests.AsNoTracking().Where(r => r.State == ErasureState.Waiting || r.State == ErasureState.Approved || r.State == ErasureState.Running)
            .Where(r => (annotator != null && r.AnnotatorId == annotator) || db.ErasurePrompts.Any(p => p.RequestId == r.Id && subject.Prompts.Contains(p.PromptId))).OrderBy(r => r.Number).Select(r => (int?)r.Number).FirstOrDefault();
        return open is { } number ? new Problem("", $"Request {number} asks for some of this already. Wait until it is done, refused or taken back.", ProblemKind.Conflict) : subject;
    }
}
