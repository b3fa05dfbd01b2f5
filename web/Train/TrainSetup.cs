namespace Portal.Web.Train;

/// <summary>Registers what starts jobs.</summary>
public static class TrainSetup
{
    public static IServiceCollection AddTrain(this IServiceCollection services) => services.AddSingleton<StartJob>();
}
