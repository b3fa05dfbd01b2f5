using Microsoft.Extensions.Options;

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
        return builder;
    }
}
