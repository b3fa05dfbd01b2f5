using System.Security.Claims;
using Portal.Data;
using Portal.Web.Accounts;

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
        files.MapGet("/features/{model:guid}/{latent:int}/{kind}.{format:regex(^(csv|json)$)}",
            async (Guid model, int latent, FeatureTableKind kind, string format, ClaimsPrincipal user, ExportFeature export, CancellationToken stop) =>
                (await export.Handle(user, new ModelVersionId(model), latent, kind, stop)).ToFile(format));
        files.MapGet("/response-xray/{response:guid}/table.{format:regex(^(csv|json)$)}",
            async (Guid response, string format, Guid? version, ClaimsPrincipal user, ShowResponseXray show, CancellationToken stop) =>
                (await show.Table(user, new ResponseId(response), Version(version), stop)).ToFile(format));
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
