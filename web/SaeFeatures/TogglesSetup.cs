using System.Security.Claims;
using Microsoft.AspNetCore.Mvc;
using Portal.Data;
using Portal.Web.Accounts;
using Portal.Web.Api;

namespace Portal.Web.SaeFeatures;

/// <summary>Registers toggle sets, their forms and their tables as files.</summary>
public static class TogglesSetup
{
    public const string StartRoute = "/toggle-studio/start";
    public const string CopyRoute = "/toggle-studio/copy";

    public static IServiceCollection AddToggles(this IServiceCollection services)
    {
        services.AddSingleton<ListToggleSets>();
        services.AddSingleton<ShowToggleSet>();
        services.AddSingleton<StartToggleSet>();
        services.AddSingleton<CopyToggleSet>();
        services.AddSingleton<SaveToggleSet>();
        services.AddSingleton<PreviewToggles>();
        services.AddSingleton<ProposeToggleSet>();
        services.AddSingleton<WithdrawToggleSet>();
        services.AddSingleton<DecideToggleSet>();
        services.AddSingleton<DiffToggleSets>();
        services.AddSingleton<FindFeatures>();
        services.AddSingleton<DownloadToggleTable>();
        return services;
    }

    public static void MapToggles(this WebApplication app)
    {
        // Binding from a form makes the framework check the antiforgery token.
        app.MapPost(StartRoute, async ([FromForm] Guid model, [FromForm] string? latent, ClaimsPrincipal user, StartToggleSet start, CancellationToken stop) =>
            Answer(await start.Handle(user, new ModelVersionId(model), int.TryParse(latent, out var first) ? first : null, stop))); // an empty field comes as ""
        app.MapPost(CopyRoute, async ([FromForm] Guid set, ClaimsPrincipal user, CopyToggleSet copy, CancellationToken stop) =>
            Answer(await copy.Handle(user, new ToggleSetId(set), stop)));
        var files = app.MapGroup("").RequireRateLimiting(AccountsSetup.ApiLimit);
        files.MapGet("/toggle-studio/{set:guid}/tables/{table}.{format:regex(^(csv|json)$)}", async (Guid set, string table, string format, ClaimsPrincipal user, DownloadToggleTable download, CancellationToken stop) =>
            Enum.TryParse<ToggleTable>(table, ignoreCase: true, out var which) && Enum.IsDefined(which)
                ? (await download.Handle(user, new ToggleSetId(set), which, stop)).ToFile(format)
                : Results.NotFound());
        files.MapGet("/toggle-studio/sets.{format:regex(^(csv|json)$)}", async (Guid project, string format, ClaimsPrincipal user, ListToggleSets list, CancellationToken stop) =>
            (await list.Table(user, new ProjectId(project), stop)).ToFile(format));
        files.MapGet("/toggle-studio/{set:guid}/diff/{other:guid}/table.{format:regex(^(csv|json)$)}", async (Guid set, Guid other, string format, ClaimsPrincipal user, DiffToggleSets diff, CancellationToken stop) =>
        {
            var outcome = await diff.Handle(user, new ToggleSetId(set), new ToggleSetId(other), stop);
            return outcome.Refusal is not null ? outcome.ToResult() : new Outcome<TableFile>.Done(outcome.Value.Table()).ToFile(format);
        });

        static IResult Answer(Outcome<ToggleSetId> outcome) => Results.LocalRedirect(outcome.Refusal is { } refusal
            ? $"/toggle-studio?refused={Uri.EscapeDataString(refusal.ToString())}"
            : $"/toggle-studio/{outcome.Value}");
    }
}
