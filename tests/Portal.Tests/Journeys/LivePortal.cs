using System.Diagnostics;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Playwright;
using Portal.Data;
using Portal.Data.Jobs;
using Portal.Data.Storage;
using Portal.Tests.Browser;
using Portal.Tests.Engine.Jobs;
using Xunit;

namespace Portal.Tests.Journeys;

/// <summary>
/// An installation as `./run` starts it: the real portal and the real engine, two processes on one data directory, the engine telling the portal
/// when a job has news. And one Chromium.
/// </summary>
public sealed class LivePortal : IAsyncDisposable
{
    private readonly string root;
    private readonly ServiceProvider services;
    private readonly PortalProcess portal;
    private readonly IPlaywright playwright;
    private readonly IBrowser chromium;
    private Process? engine;

    private LivePortal(string root, PortalProcess portal, IPlaywright playwright, IBrowser chromium)
    {
        (this.root, this.portal, this.playwright, this.chromium) = (root, portal, playwright, chromium);
        Directory = new DataDirectory(root);
        services = new ServiceCollection().AddPortalData(new PortalDataOptions(Directory)).BuildServiceProvider();
    }

    public DataDirectory Directory { get; }

    /// <summary>Starts portal and browser; the engine follows with <see cref="StartEngine"/>.</summary>
    public static async Task<LivePortal> Start()
    {
        var root = System.IO.Directory.CreateTempSubdirectory("portal-live-").FullName;
        var portal = await PortalProcess.Start(("PORTAL_DATA", root), ("demo", "true"));
        var playwright = await Playwright.CreateAsync();
        return new LivePortal(root, portal, playwright, await Chromium.Launch(playwright, whole: true));
    }

    /// <summary>Starts the engine that was built beside these tests, and returns when its door is open.</summary>
    /// <param name="demo">The folder the demo is installed from.</param>
    public async Task StartEngine(string demo)
    {
        var assembly = Path.Combine(BuiltEngine.Built("Portal.Engine"), "Portal.Engine.dll");
        var start = new ProcessStartInfo("dotnet", ["exec", assembly, "worker", "--data", root, "--demo", demo, "--notify", $"{portal.Address}"])
        {
            RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true,
        };
        var log = TextWriter.Synchronized(new StreamWriter(LogFile) { AutoFlush = true });
        var ready = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        engine = new Process { StartInfo = start, EnableRaisingEvents = true };
        engine.OutputDataReceived += Read;
        engine.ErrorDataReceived += Read;
        engine.Exited += (_, _) => ready.TrySetException(new InvalidOperationException("The engine ended before it was ready."));
        engine.Start();
        engine.BeginOutputReadLine();
        engine.BeginErrorReadLine();
        try
        {
            await ready.Task.WaitAsync(TimeSpan.FromSeconds(120));
        }
        catch (Exception problem)
        {
            throw new InvalidOperationException($"The engine did not start. It says:\n{EngineLog}", problem);
        }

        void Read(object sender, DataReceivedEventArgs line)
        {
            log.WriteLine(line.Data);
            if (line.Data?.Contains("The engine is ready", StringComparison.Ordinal) is true)
                ready.TrySetResult();
        }
    }

    /// <summary>Waits until the newest job of a kind has succeeded; fails where it does not.</summary>
    public Task Ended(string kind) => Until(async db =>
    {
        var job = await db.Jobs.AsNoTracking().Where(j => j.Kind == kind).OrderByDescending(j => j.Number).FirstOrDefaultAsync();
        Assert.False(job?.State is JobState.Failed or JobState.Cancelled, $"{kind}: {job?.FailReason}");
        return job?.State is JobState.Succeeded;
    }, kind);

    /// <summary>Waits until the database is so.</summary>
    /// <param name="what">For the message when it does not come.</param>
    public async Task Until(Func<PortalDbContext, Task<bool>> isSo, string what)
    {
        for (var waited = Stopwatch.StartNew(); ; await Task.Delay(200))
        {
            await using var db = Open();
            if (await isSo(db))
                return;
            Assert.True(waited.Elapsed < EngineProcess.Patience, $"{what} did not come. The engine says:\n{EngineLog}");
        }
    }

    /// <summary>What the engine has said so far.</summary>
    public string EngineLog
    {
        get
        {
            using var reader = new StreamReader(new FileStream(LogFile, FileMode.Open, FileAccess.Read, FileShare.ReadWrite));
            return reader.ReadToEnd();
        }
    }

    public IdFactory Ids => services.GetRequiredService<IdFactory>();

    public ContentHasher Hasher => services.GetRequiredService<ContentHasher>();

    public PortalDbContext Open() => services.GetRequiredService<IDbContextFactory<PortalDbContext>>().CreateDbContext();

    /// <summary>A page in a fresh profile that knows nobody.</summary>
    public async Task<WatchedPage> Visit(string path)
    {
        var context = await chromium.NewContextAsync(new BrowserNewContextOptions
        {
            BaseURL = portal.Address.ToString(), ReducedMotion = ReducedMotion.Reduce, ViewportSize = new ViewportSize { Width = 1440, Height = 900 },
        });
        context.SetDefaultTimeout((float)EngineProcess.Patience.TotalMilliseconds); // jobs run at lower priority; what is waited for here may be the end of one
        var page = new WatchedPage(await context.NewPageAsync(), portal.Address);
        await page.Page.GotoAsync(path);
        return page;
    }

    public async ValueTask DisposeAsync()
    {
        await chromium.DisposeAsync();
        playwright.Dispose();
        if (engine is { HasExited: false })
        {
            engine.Kill(entireProcessTree: true);
            await engine.WaitForExitAsync();
        }
        engine?.Dispose();
        await portal.DisposeAsync();
        await services.DisposeAsync();
        SqliteConnection.ClearAllPools();
        System.IO.Directory.Delete(root, recursive: true);
    }

    private string LogFile => Path.Combine(root, "logs", "engine.log");
}
