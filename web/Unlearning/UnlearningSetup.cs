using System.Globalization;
using System.Security.Claims;
using Microsoft.AspNetCore.Mvc;
using Portal.Data;
using Portal.Data.Unlearning;
using Portal.Web.Accounts;
using Portal.Web.Api;

namespace Portal.Web.Unlearning;

/// <summary>Registers requests to unlearn, and their forms.</summary>
public static class UnlearningSetup
{
    public const string AskRoute = "/unlearning/ask", DecideRoute = "/unlearning/decide", WithdrawRoute = "/unlearning/withdraw", RepairRoute = "/unlearning/repair";

    public static IServiceCollection AddUnlearning(this IServiceCollection services)
    {
        services.AddSingleton<ListUnlearning>();
        services.AddSingleton<ShowUnlearning>();
        services.AddSingleton<ChooseUnlearning>();
        services.AddSingleton<RequestUnlearning>();
        services.AddSingleton<DecideUnlearning>();
        services.AddSingleton<WithdrawUnlearning>();
        services.AddSingleton<RepairPolicy>();
        services.AddSingleton<ReadTrail>();
        return services;
    }

    public static void MapUnlearning(this WebApplication app)
    {
        // Binding from a form makes the framework check the antiforgery token.
        app.MapPost(AskRoute, async ([FromForm] Guid explanation, [FromForm] Guid[]? pair, [FromForm] string? annotator, [FromForm] string? from, [FromForm] string? until, [FromForm] string? method, [FromForm] string? action, [FromForm] string? reason, ClaimsPrincipal user, RequestUnlearning ask, CancellationToken stop) =>
        {
            var choice = UnlearningWords.Choice(pair ?? [], annotator, from, until);
            var wanted = Enum.TryParse<UnlearningAction>(action, out var named) ? named : default;
            var outcome = await ask.Handle(user, new(new(explanation), choice, Enum.TryParse<UnlearningMethod>(method, out var chosen) ? chosen : default, wanted, reason ?? ""), stop);
            return Results.LocalRedirect(outcome.Refusal is { } refusal ? $"{UnlearningWords.New(new(explanation), choice, wanted)}&refused={Uri.EscapeDataString(refusal.ToString())}" : $"/unlearning/{outcome.Value}");
        });
        app.MapPost(DecideRoute, async ([FromForm] Guid request, [FromForm] int seen, [FromForm] bool approve, [FromForm] string? note, ClaimsPrincipal user, DecideUnlearning decide, CancellationToken stop) =>
            Back(request, (await decide.Handle(user, new(request), seen, approve, note, stop)).Refusal));
        app.MapPost(WithdrawRoute, async ([FromForm] Guid request, ClaimsPrincipal user, WithdrawUnlearning withdraw, CancellationToken stop) => Back(request, (await withdraw.Handle(user, new(request), stop)).Refusal));
        app.MapPost(RepairRoute, async ([FromForm] Guid request, [FromForm] string? how, [FromForm] string? steps, ClaimsPrincipal user, RepairPolicy repair, CancellationToken stop) =>
            Back(request, (await repair.Handle(user, new(request), Enum.TryParse<PolicyRepair>(how, out var way) ? way : default, string.IsNullOrWhiteSpace(steps) ? null : int.TryParse(steps, NumberStyles.None, CultureInfo.InvariantCulture, out var most) ? most : 0, stop)).Refusal));
        app.MapGet("/unlearning/{id:guid}/trail.{format:regex(^(csv|json)$)}", async (Guid id, string format, ClaimsPrincipal user, ReadTrail trail, CancellationToken stop) => (await trail.Table(user, new(id), stop)).ToFile(format))
            .RequireRateLimiting(AccountsSetup.ApiLimit);

        static IResult Back(Guid request, Refusal? refusal) => Results.LocalRedirect($"/unlearning/{request}{(refusal is null ? "" : $"?refused={Uri.EscapeDataString(refusal.ToString())}")}");
    }
}
