using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Portal.Web.Audits;

namespace Portal.Tests.Web.Audits;

/// <summary>The handlers of audits over a seeded project, as the portal registers them.</summary>
internal sealed class AuditHandlers : IDisposable
{
    private readonly ServiceProvider services;

    public AuditHandlers(SeededProject project)
    {
        var collection = new ServiceCollection();
        collection.AddLogging().AddLocalization();
        services = collection.AddSingleton(project.Contexts).AddSingleton(project.Writes).AddSingleton(project.Access).AddSingleton(project.Directory).AddSingleton(project.Ids).AddSingleton(project.Hasher)
            .AddSingleton(project.Time).AddSingleton<Portal.Web.Shell.EngineClient>().AddAudits().BuildServiceProvider();
    }

    public T Get<T>() where T : notnull => services.GetRequiredService<T>();

    public void Dispose() => services.Dispose();
}
