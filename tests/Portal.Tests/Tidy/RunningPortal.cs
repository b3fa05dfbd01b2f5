using System.Diagnostics;
using System.Reflection;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Portal.Web.Accounts;

namespace Portal.Tests.Tidy;

/// <summary>The portal's own entry point, run in this process on an empty folder, so that a test can look at what it has mapped and registered.</summary>
internal sealed class RunningPortal : IAsyncDisposable, IObserver<DiagnosticListener>, IObserver<KeyValuePair<string, object?>>
{
    private static readonly AsyncLocal<RunningPortal?> Current = new();

    private readonly string folder = Directory.CreateTempSubdirectory("portal-running-").FullName;
    private readonly TaskCompletionSource<IHost> started = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Thread thread;
    private IHost? host;

    private RunningPortal() => thread = new Thread(Main) { IsBackground = true, Name = "portal" };

    public IServiceProvider Services => host!.Services; // Start returns only when there is one

    public static async Task<RunningPortal> Start()
    {
        // The list of static files lies beside the portal's assembly, and is looked for beside the program that runs.
        const string assets = "Portal.Web.staticwebassets.endpoints.json";
        File.Copy(Path.Combine(BuiltEngine.Built("Portal.Web"), assets), Path.Combine(AppContext.BaseDirectory, assets), overwrite: true);

        var portal = new RunningPortal();
        using var listeners = DiagnosticListener.AllListeners.Subscribe(portal);
        portal.thread.Start();
        portal.host = await portal.started.Task.WaitAsync(TimeSpan.FromMinutes(2));
        return portal;
    }

    public async ValueTask DisposeAsync()
    {
        host?.Services.GetRequiredService<IHostApplicationLifetime>().StopApplication();
        await Task.Run(thread.Join);
        SqliteConnection.ClearAllPools();
        Directory.Delete(folder, recursive: true);
    }

    void IObserver<DiagnosticListener>.OnNext(DiagnosticListener listener)
    {
        if (listener.Name == "Microsoft.Extensions.Hosting")
            listener.Subscribe(this);
    }

    void IObserver<KeyValuePair<string, object?>>.OnNext(KeyValuePair<string, object?> news)
    {
        // Other tests build hosts of their own meanwhile.
        if (Current.Value == this && news is { Key: "HostBuilt", Value: IHost built })
            built.Services.GetRequiredService<IHostApplicationLifetime>().ApplicationStarted.Register(() => started.TrySetResult(built));
    }

    void IObserver<DiagnosticListener>.OnCompleted() { }

    void IObserver<DiagnosticListener>.OnError(Exception error) { }

    void IObserver<KeyValuePair<string, object?>>.OnCompleted() { }

    void IObserver<KeyValuePair<string, object?>>.OnError(Exception error) { }

    private void Main()
    {
        Current.Value = this;
        string[] arguments = ["--applicationName", "Portal.Web", "--contentRoot", Path.Combine(Repository.Root, "web"), "--environment", "Production", "--urls", "http://127.0.0.1:0", "--data", folder];
        try
        {
            typeof(Access).Assembly.EntryPoint!.Invoke(null, [arguments]); // a program has one
            started.TrySetException(new InvalidOperationException("The portal ended before it listened."));
        }
        catch (TargetInvocationException e)
        {
            started.TrySetException(e);
        }
    }
}
