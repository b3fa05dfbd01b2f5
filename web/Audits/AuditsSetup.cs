namespace Portal.Web.Audits;

/// <summary>Registers audits of policies.</summary>
public static class AuditsSetup
{
    public static IServiceCollection AddAudits(this IServiceCollection services)
    {
        services.AddSingleton<ReadAudit>();
        services.AddSingleton<ListAudits>();
        services.AddSingleton<ShowAuditChoices>();
        services.AddSingleton<EstimateAudit>();
        services.AddSingleton<StartAudit>();
        return services;
    }
}
