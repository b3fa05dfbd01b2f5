namespace Portal.Web.Explain;

/// <summary>Registers explanations of responses and their pages.</summary>
public static class ExplainSetup
{
    public static IServiceCollection AddExplanations(this IServiceCollection services)
    {
        services.AddSingleton<StartExplanation>();
        services.AddSingleton<ListExplanations>();
        services.AddSingleton<ShowExplanation>();
        services.AddSingleton<RollUpExplanations>();
        services.AddSingleton<RollUpFeatures>();
        services.AddSingleton<CountMarks>();
        services.AddSingleton<ShowAnnotator>();
        services.AddSingleton<MarkPair>();
        services.AddSingleton<FindExplanation>();
        return services;
    }
}
