using System.Security.Claims;
using Microsoft.Extensions.Options;
using Portal.Data;
using Portal.Web.Accounts;
using Portal.Web.Api;

namespace Portal.Web.Registry;

/// <summary>Registers versions, results and releases.</summary>
public static class RegistrySetup
{
    public static WebApplicationBuilder AddRegistry(this WebApplicationBuilder builder)
    {
        var services = builder.Services;
        services.AddOptions<ReleaseOptions>().BindConfiguration(ReleaseOptions.Section).ValidateDataAnnotations().ValidateOnStart();
        services.AddSingleton(provider => provider.GetRequiredService<IOptions<ReleaseOptions>>().Value);
        services.AddSingleton<ListModels>();
        services.AddSingleton<ShowModel>();
        services.AddSingleton<ShowResults>();
        services.AddSingleton<ReleaseModel>();
        services.AddSingleton<RollBackModel>();
        services.AddSingleton<StartBlindVote>();
        services.AddSingleton<StartBestOfN>();
        services.AddSingleton<StartRelabelledPolicy>();
        services.AddSingleton<ExportMeasurements>();
        return builder;
    }

    public static void MapRegistry(this WebApplication app) =>
        app.MapGet("/models/{id:guid}/measurements.{format:regex(^(csv|json)$)}",
            async (Guid id, string format, ClaimsPrincipal user, ExportMeasurements export, CancellationToken stop) => (await export.Handle(user, new ModelVersionId(id), stop)).ToFile(format))
            .RequireRateLimiting(AccountsSetup.ApiLimit);
}
