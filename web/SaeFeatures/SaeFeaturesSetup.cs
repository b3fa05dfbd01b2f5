using System.Security.Claims;
using Microsoft.AspNetCore.Mvc;
using Portal.Data;
using Portal.Web.Accounts;
using Portal.Web.Api;

namespace Portal.Web.SaeFeatures;

/// <summary>Registers the pages of features and the addresses of their tables as files.</summary>
public static class SaeFeaturesSetup
{
    public static IServiceCollection AddSaeFeatures(this IServiceCollection services)
    {
        services.AddSingleton<FeatureRanks>();
        services.AddSingleton<ShowFeatures>();
        services.AddSingleton<ExportFeatures>();
        services.AddSingleton<ShowFeature>();
        services.AddSingleton<ExportFeature>();
        services.AddSingleton<LabelFeature>();
        services.AddSingleton<StartDescription>();
        services.AddSingleton<ShowResponseXray>();
        services.AddSingleton<ShowPairXray>();
        services.AddSingleton<ListPairs>();
        services.AddSingleton<ShowBestOfN>();
        return services;
    }

    public static void MapSaeFeatures(this WebApplication app)
    {
        var files = app.MapGroup("").RequireRateLimiting(AccountsSetup.ApiLimit);
        files.MapGet("/features/{model:guid}/table.{format:regex(^(csv|json)$)}",
            async (Guid model, string format, FeatureFires? fires, bool? labelled, bool? significant, string? find, ClaimsPrincipal user, ExportFeatures export, CancellationToken stop) =>
                (await export.Handle(user, new ModelVersionId(model), new FeatureFilter(fires ?? FeatureFires.All, labelled ?? false, significant ?? false, find), stop)).ToFile(format));
        // A typed text stays out of addresses, so this file is asked for by a form; binding from one makes the framework check the antiforgery token.
        files.MapPost("/features/{model:guid}/typed.{format:regex(^(csv|json)$)}",
            async (Guid model, string format, [FromForm] string? typed, ClaimsPrincipal user, ExportFeatures export, CancellationToken stop) =>
                (await export.Found(user, new ModelVersionId(model), typed, stop)).ToFile(format));
        files.MapGet("/features/{model:guid}/{latent:int}/{kind}.{format:regex(^(csv|json)$)}",
            async (Guid model, int latent, string kind, string format, ClaimsPrincipal user, ExportFeature export, CancellationToken stop) =>
                Enum.TryParse<FeatureTableKind>(kind, ignoreCase: true, out var which) && Enum.IsDefined(which) // a bound enum would be read by its exact letters
                    ? (await export.Handle(user, new ModelVersionId(model), latent, which, stop)).ToFile(format)
                    : Results.NotFound());
        files.MapGet("/response-xray/{response:guid}/table.{format:regex(^(csv|json)$)}",
            async (Guid response, string format, Guid? version, ClaimsPrincipal user, ShowResponseXray show, CancellationToken stop) =>
                (await show.Table(user, new ResponseId(response), Version(version), stop)).ToFile(format));
        files.MapGet("/response-xray/{response:guid}/tokens.{format:regex(^(csv|json)$)}",
            async (Guid response, string format, Guid? version, int feature, ClaimsPrincipal user, ShowResponseXray show, CancellationToken stop) =>
                (await show.Heat(user, new ResponseId(response), Version(version), feature, stop)).ToFile(format));
        files.MapGet("/pair-xray/{first:guid}/{second:guid}/votes.{format:regex(^(csv|json)$)}",
            async (Guid first, Guid second, string format, ClaimsPrincipal user, ShowPairXray show, CancellationToken stop) =>
                (await show.VotesTable(user, new ResponseId(first), new ResponseId(second), stop)).ToFile(format));
        files.MapGet("/pair-xray/{first:guid}/{second:guid}/table.{format:regex(^(csv|json)$)}",
            async (Guid first, Guid second, string format, Guid? version, ClaimsPrincipal user, ShowPairXray show, CancellationToken stop) =>
                (await show.Table(user, new ResponseId(first), new ResponseId(second), Version(version), stop)).ToFile(format));

        files.MapGet("/pair-xray/table.{format:regex(^(csv|json)$)}",
            async (Guid project, string format, Guid? version, bool? disagreements, ClaimsPrincipal user, ListPairs list, CancellationToken stop) =>
                (await list.Table(user, new ProjectId(project), Version(version), disagreements ?? false, stop)).ToFile(format));
        files.MapGet("/best-of/{run:guid}/answers.{format:regex(^(csv|json)$)}",
            async (Guid run, string format, ClaimsPrincipal user, ShowBestOfN show, CancellationToken stop) => (await show.Answers(user, new JobId(run), stop)).ToFile(format));
        files.MapGet("/best-of/{run:guid}/figures.{format:regex(^(csv|json)$)}",
            async (Guid run, string format, ClaimsPrincipal user, ShowBestOfN show, CancellationToken stop) => (await show.Figures(user, new JobId(run), stop)).ToFile(format));

        static ModelVersionId? Version(Guid? id) => id is { } given ? new ModelVersionId(given) : null;
    }
}
