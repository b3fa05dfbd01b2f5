namespace Portal.Web.Train;

/// <summary>Registers what the train page asks.</summary>
public static class TrainPagesSetup
{
    public static IServiceCollection AddTrainingPages(this IServiceCollection services)
    {
        services.AddSingleton<ShowTraining>();
        services.AddSingleton<StartTraining>();
        services.AddSingleton<ShowFeatureTraining>();
        return services;
    }
}
