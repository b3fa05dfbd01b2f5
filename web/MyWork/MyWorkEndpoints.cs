using System.Security.Claims;
using Microsoft.AspNetCore.Mvc;
using Portal.Data;
using Portal.Web.Annotate;

namespace Portal.Web.MyWork;

/// <summary>The forms of My work: plain posts that answer with the next page, so they need neither script nor circuit.</summary>
public static class MyWorkEndpoints
{
    public static IServiceCollection AddMyWork(this IServiceCollection services)
    {
        services.AddSingleton<ListMyWork>();
        services.AddSingleton<ChangeJudgement>();
        services.AddSingleton<ShowJudgement>();
        services.AddSingleton<TakeSkipped>();
        return services;
    }

    // Binding from a form makes the framework check the antiforgery token.
    public static void MapMyWork(this IEndpointRouteBuilder app)
    {
        app.MapPost("/my-work/take", async ([FromForm] Guid assignmentId, ClaimsPrincipal user, TakeSkipped take, CancellationToken stop) =>
        {
            var outcome = await take.Handle(user, new(assignmentId), stop);
            return Results.LocalRedirect(outcome.Refusal is { } refusal
                ? $"/my-work?problem={Uri.EscapeDataString(refusal.Kind.ToString())}#skipped"
                : FormEndpoints.PathOf(outcome.Value.Kind, outcome.Value.ProjectId, outcome.Value.Id));
        });

        app.MapPost("/my-work/change", async (HttpRequest http, [FromForm] Guid judgementId, [FromForm] Guid supersedes, [FromForm] string? verdict,
            [FromForm] string? rationale, ClaimsPrincipal user, ChangeJudgement change, CancellationToken stop) =>
        {
            if (Verdicts.Request(verdict) is not { } given)
                return Results.LocalRedirect($"/my-work/{supersedes}?refused=verdict");
            var reasons = (await http.ReadFormAsync(stop))["reason"].OfType<string>().ToList();
            var outcome = await change.Handle(user, new ChangeRequest(new(judgementId), new(supersedes), given.Verdict, given.Preferred, given.Strength,
                reasons, rationale), stop);
            return Results.LocalRedirect(outcome.Refusal is { } refusal
                ? $"/my-work/{supersedes}?refused={Uri.EscapeDataString(refusal.Problems[0].Field)}"
                : "/my-work?changed=1");
        });
    }
}
