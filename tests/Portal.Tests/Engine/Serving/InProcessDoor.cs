using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Portal.Data;
using Portal.Data.Storage;
using Portal.Engine.Serving;
using Portal.Web.Shell;

namespace Portal.Tests.Engine.Serving;

/// <summary>The engine's door on the socket of a test's data directory, with everything that stands behind it, in this process; and the portal's client before it.</summary>
internal sealed class InProcessDoor : IAsyncDisposable
{
    private readonly WebApplication app;

    private InProcessDoor(WebApplication app, DataDirectory directory) => (this.app, Client) = (app, new EngineClient(directory));

    public EngineClient Client { get; }

    /// <summary>The port on this machine where it listens too, where a test has it do so.</summary>
    public int Port => new Uri(app.Urls.Single(url => !url.Contains("unix:", StringComparison.Ordinal))).Port;

    /// <summary>What the door asks.</summary>
    public T Part<T>() where T : notnull => app.Services.GetRequiredService<T>();

    /// <param name="prepare">Puts in what stands before the engine's own parts; null for nothing.</param>
    public static async Task<InProcessDoor> Open(DataDirectory directory, Action<WebApplicationBuilder>? prepare = null)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        prepare?.Invoke(builder);
        builder.Services.AddPortalData(new PortalDataOptions(directory));
        EngineHttp.AddTo(builder, directory);
        ModelServing.AddTo(builder.Services);
        var app = builder.Build();
        EngineHttp.Map(app, directory);
        await app.StartAsync();
        return new InProcessDoor(app, directory);
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await app.StopAsync();
        await app.DisposeAsync();
    }
}
