namespace Portal.Web.Home;

/// <summary>Registers Home.</summary>
public static class HomeSetup
{
    public static IServiceCollection AddHome(this IServiceCollection services) => services.AddSingleton<ShowHome>();
}
