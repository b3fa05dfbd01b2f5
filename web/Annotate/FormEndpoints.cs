using System.Security.Claims;
using Microsoft.AspNetCore.Mvc;
using Portal.Data;
using Portal.Data.Feedback;

namespace Portal.Web.Annotate;

/// <summary>
/// The same handlers behind plain forms: starting a queue, and the verdict bar where no script runs. Each answers with the next page to look at.
/// </summary>
public static class FormEndpoints
{
    /// <summary>The page of an assignment; with a refusal it names the field, and the page says the rest.</summary>
    public static string PathOf(TaskKind kind, ProjectId project, AssignmentId? assignment = null) =>
        $"/{Place(kind)}/{project}{(assignment is { } id ? $"/{id}" : "")}";

    /// <summary>The place in the menu that a kind of task belongs to.</summary>
    public static string Place(TaskKind kind) => kind switch
    {
        TaskKind.Pairwise => "annotate",
        TaskKind.Binary => "judge",
    };

    // Binding from a form makes the framework check the antiforgery token.
    public static void MapAnnotateForms(this IEndpointRouteBuilder app)
    {
        app.MapPost("/annotate/start", async ([FromForm] Guid projectId, [FromForm] string kind, [FromForm] string? candidate, [FromForm] string? act,
            ClaimsPrincipal user, TakeTask take, UndoJudgement undo, CancellationToken stop) =>
        {
            var queue = new Queue(new(projectId), AnnotateApi.KindOf(kind) ?? TaskKind.Pairwise, ModelVersionId.TryParse(candidate, null, out var id) ? id : null); // an empty field comes as ""
            var back = PathOf(queue.Kind, queue.ProjectId) + (queue.CandidateId is { } of ? $"?candidate={of}" : "");
            if (act == "undo")
            {
                var undone = await undo.Handle(user, queue, stop);
                return Results.LocalRedirect(undone.Refusal is null ? PathOf(queue.Kind, queue.ProjectId, undone.Value) : back);
            }
            var taken = await take.Handle(user, queue, stop);
            return Results.LocalRedirect(taken.Refusal is null && taken.Value.AssignmentId is { } assignment
                ? PathOf(queue.Kind, queue.ProjectId, assignment)
                : back);
        });

        app.MapPost("/annotate/verdict", async (HttpRequest http, [FromForm] Guid assignmentId, [FromForm] Guid judgementId, [FromForm] string? verdict,
            [FromForm(Name = "do")] string? act, [FromForm] string? rationale, ClaimsPrincipal user, FindQueue queues, SubmitJudgement submit, SkipTask skip,
            UndoJudgement undo, CancellationToken stop) =>
        {
            var id = new AssignmentId(assignmentId);
            var found = await queues.Of(user, id, stop);
            if (found.Refusal is not null)
                return Results.LocalRedirect("/annotate");
            var queue = found.Value;
            var here = PathOf(queue.Kind, queue.ProjectId, id);
            switch (act)
            {
                case "undo":
                    var undone = await undo.Handle(user, queue, stop);
                    return Results.LocalRedirect(undone.Refusal is null ? PathOf(queue.Kind, queue.ProjectId, undone.Value) : here);
                case "skip":
                    var skipped = await skip.Handle(user, id, null, stop);
                    return Results.LocalRedirect(skipped.Refusal is null ? Next(queue, skipped.Value, id) : here);
            }
            if (Verdicts.Request(verdict) is not { } given)
                return Results.LocalRedirect($"{here}?refused=verdict");
            var reasons = (await http.ReadFormAsync(stop))["reason"].OfType<string>().ToList();
            var outcome = await submit.Handle(user, new JudgementRequest(new(judgementId), id, given.Verdict, given.Preferred, given.Strength, reasons,
                rationale, null, null, null, false, false), stop);
            return Results.LocalRedirect(outcome.Refusal is { } refusal ? $"{here}?refused={refusal.Problems[0].Field}" : Next(queue, outcome.Value.Next, id));
        });
    }

    private static string Next(Queue queue, Taken taken, AssignmentId from) => taken.AssignmentId is { } next
        ? PathOf(queue.Kind, queue.ProjectId, next)
        : $"{PathOf(queue.Kind, queue.ProjectId)}?from={from}";
}
