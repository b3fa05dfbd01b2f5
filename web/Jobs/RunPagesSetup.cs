namespace Portal.Web.Jobs;

/// <summary>Registers what the pages of runs ask.</summary>
public static class RunPagesSetup
{
    public static IServiceCollection AddRunPages(this IServiceCollection services)
    {
        services.AddSingleton<ShowRun>();
        services.AddSingleton<ListOpenJobs>();
        services.AddSingleton<RestartJob>();
        return services;
    }
}
