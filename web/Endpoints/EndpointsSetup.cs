namespace Portal.Web.Endpoints;

/// <summary>Registers what the pages of endpoints ask.</summary>
public static class EndpointsSetup
{
    public static IServiceCollection AddEndpoints(this IServiceCollection services)
    {
        services.AddSingleton<ListEndpoints>();
        services.AddSingleton<ShowEndpoint>();
        services.AddSingleton<CreateEndpoint>();
        services.AddSingleton<EditEndpoint>();
        services.AddSingleton<ChangeEndpointKey>();
        services.AddSingleton<ConsentToEndpoint>();
        services.AddSingleton<RetireEndpoint>();
        services.AddSingleton<TryEndpoint>();
        return services;
    }
}
