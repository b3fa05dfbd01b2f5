using Portal.Data.Storage;
using Portal.Web.Shell;

namespace Portal.Web.Jobs;

/// <summary>Registers what shows and ends jobs, and the way to and from the engine.</summary>
public static class JobsSetup
{
    public static IServiceCollection AddJobs(this IServiceCollection services)
    {
        services.AddSingleton<CancelJob>();
        services.AddSingleton<ListJobs>();
        services.AddSingleton<ShowJob>();
        services.AddSingleton<EngineClient>();
        services.AddSingleton<LiveRows>();
        services.AddHostedService(provider => provider.GetRequiredService<LiveRows>());
        services.AddSignalR(hub => hub.MaximumReceiveMessageSize = 4 * 1024); // clients only listen
        return services;
    }

    public static void MapJobs(this WebApplication app)
    {
        app.MapHub<JobsHub>(JobsHub.Route);
        NoticeEndpoint.Map(app, app.Services.GetRequiredService<DataDirectory>());
    }
}
