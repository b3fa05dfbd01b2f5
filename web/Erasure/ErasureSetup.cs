using System.Security.Claims;
using Microsoft.AspNetCore.Mvc;
using Portal.Data;
using Portal.Data.Erasure;
using Portal.Web.Accounts;
using Portal.Web.Api;

namespace Portal.Web.Erasure;

/// <summary>Registers requests to erase, and their forms.</summary>
public static class ErasureSetup
{
    public const string FindRoute = "/erasure/find", AskRoute = "/erasure/ask", DecideRoute = "/erasure/decide", WithdrawRoute = "/erasure/withdraw", AgainRoute = "/erasure/again";

    public static IServiceCollection AddErasure(this IServiceCollection services)
    {
        services.AddSingleton<ListErasures>();
        services.AddSingleton<ShowErasure>();
        services.AddSingleton<ChooseErasure>();
        services.AddSingleton<FindPrompts>();
        services.AddSingleton<RequestErasure>();
        services.AddSingleton<DecideErasure>();
        services.AddSingleton<WithdrawErasure>();
        services.AddSingleton<RunErasureAgain>();
        services.AddSingleton<DownloadProof>();
        return services;
    }

    public static void MapErasure(this WebApplication app)
    {
        // Binding from a form makes the framework check the antiforgery token.
        app.MapPost(FindRoute, async ([FromForm] Guid project, [FromForm] string? words, ClaimsPrincipal user, FindPrompts find, CancellationToken stop) =>
        {
            var found = await find.Handle(user, new(project), words, stop);
            return Results.LocalRedirect(found.Refusal is { } refusal ? $"/erasure/new?refused={Uri.EscapeDataString(refusal.ToString())}" : ErasureWords.New(ErasureKind.Prompts, null, found.Value));
        }).RequireRateLimiting(AccountsSetup.ApiLimit);
        app.MapPost(AskRoute, async ([FromForm] Guid project, [FromForm] string? kind, [FromForm] string? annotator, [FromForm] Guid[]? prompt, [FromForm] string? reason, ClaimsPrincipal user, RequestErasure ask, CancellationToken stop) =>
        {
            var what = Enum.TryParse<ErasureKind>(kind, out var chosen) ? chosen : default;
            IReadOnlyList<PromptId> prompts = [.. (prompt ?? []).Select(id => new PromptId(id))];
            var outcome = await ask.Handle(user, new(what, new(project), annotator, prompts, reason ?? ""), stop);
            return Results.LocalRedirect(outcome.Refusal is { } refusal ? $"{ErasureWords.New(what, annotator, prompts)}&refused={Uri.EscapeDataString(refusal.ToString())}" : $"/erasure/{outcome.Value}");
        });
        app.MapPost(DecideRoute, async ([FromForm] Guid request, [FromForm] int seen, [FromForm] bool approve, [FromForm] string? note, ClaimsPrincipal user, DecideErasure decide, CancellationToken stop) =>
            Back(request, (await decide.Handle(user, new(request), seen, approve, note, stop)).Refusal));
        app.MapPost(WithdrawRoute, async ([FromForm] Guid request, ClaimsPrincipal user, WithdrawErasure withdraw, CancellationToken stop) => Back(request, (await withdraw.Handle(user, new(request), stop)).Refusal));
        app.MapPost(AgainRoute, async ([FromForm] Guid request, ClaimsPrincipal user, RunErasureAgain again, CancellationToken stop) => Back(request, (await again.Handle(user, new(request), stop)).Refusal));
        app.MapGet("/erasure/{id:guid}/proof.json", async (Guid id, ClaimsPrincipal user, DownloadProof download, CancellationToken stop) =>
        {
            var proof = await download.Handle(user, new(id), stop);
            return proof.Refusal is null ? Results.File(proof.Value.Bytes, "application/json", proof.Value.Name) : proof.ToResult();
        }).RequireRateLimiting(AccountsSetup.ApiLimit);

        static IResult Back(Guid request, Refusal? refusal) => Results.LocalRedirect($"/erasure/{request}{(refusal is null ? "" : $"?refused={Uri.EscapeDataString(refusal.ToString())}")}");
    }
}
