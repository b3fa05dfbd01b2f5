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
        services.AddSignalR()
            // Clients only listen. For this hub alone: Blazor's own needs room for typed text and for pages with several interactive parts.
            .AddHubOptions<JobsHub>(hub => hub.MaximumReceiveMessageSize = 4 * 1024);
        return services;
    }

    public static void MapJobs(this WebApplication app)
    {
        app.MapHub<JobsHub>(JobsHub.Route);
        NoticeEndpoint.Map(app, app.Services.GetRequiredService<DataDirectory>());
    }
}
