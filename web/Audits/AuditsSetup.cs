namespace Portal.Web.Audits;

/// <summary>Registers audits of policies.</summary>
public static class AuditsSetup
{
    public static IServiceCollection AddAudits(this IServiceCollection services)
    {
        services.AddSingleton<ReadAudit>();
        return services;
    }
}
