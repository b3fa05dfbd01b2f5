using System.Net;
using System.Net.Sockets;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Playwright;
using Portal.Data;
using Portal.Data.Storage;
using Portal.Tests.Web.Annotate;
using Xunit;

namespace Portal.Tests.Browser;

/// <summary>
/// A portal with a database of its own, which can be killed and started again on the same address, and one Chromium. Tests seed the same SQLite
/// file from outside and sign in through the real page.
/// </summary>
public sealed class BrowserFixture : IAsyncLifetime
{
    private readonly string root = Directory.CreateTempSubdirectory("portal-browser-").FullName;
    private readonly Dictionary<string, IReadOnlyList<BrowserContextCookiesResult>> cookies = [];
    private readonly int port = FreePort();
    private PortalProcess? portal;
    private IPlaywright? playwright;
    private IBrowser? chromium;
    private ServiceProvider? services;

    public Uri Address => new($"http://127.0.0.1:{port}/");

    public Seeding Seed { get; private set; } = null!; // set on start

    public async Task InitializeAsync()
    {
        await Start();
        var directory = new DataDirectory(root);
        services = new ServiceCollection().AddPortalData(new PortalDataOptions(directory)).BuildServiceProvider();
        Seed = new Seeding(services.GetRequiredService<IDbContextFactory<PortalDbContext>>(), services.GetRequiredService<IdFactory>(),
            services.GetRequiredService<ContentHasher>(), TimeProvider.System);
        playwright = await Playwright.CreateAsync();
        chromium = await Chromium.Launch(playwright);
    }

    public async Task DisposeAsync()
    {
        if (chromium is not null)
            await chromium.DisposeAsync();
        playwright?.Dispose();
        await Kill();
        if (services is not null)
            await services.DisposeAsync();
        SqliteConnection.ClearAllPools();
        Directory.Delete(root, recursive: true);
    }

    /// <summary>Starts the portal, as it was left.</summary>
    public async Task Start() => portal = await PortalProcess.Start(("PORTAL_DATA", root), ("demo", "true"), ("ASPNETCORE_URLS", Address.ToString().TrimEnd('/')));

    /// <summary>kill -9.</summary>
    public async Task Kill()
    {
        if (portal is not null)
            await portal.DisposeAsync();
        portal = null;
    }

    public PortalDbContext Open() => services!.GetRequiredService<IDbContextFactory<PortalDbContext>>().CreateDbContext(); // set on start

    /// <summary>A page in a fresh profile, signed in as one of the demo's people ("annotator", "reviewer", "admin", ...).</summary>
    public async Task<WatchedPage> Open(string path, string who = "annotator", int width = 1440, ColorScheme scheme = ColorScheme.Light, bool script = true)
    {
        var context = await chromium!.NewContextAsync(new BrowserNewContextOptions // set on start
        {
            BaseURL = Address.ToString(),
            ColorScheme = scheme,
            JavaScriptEnabled = script,
            ReducedMotion = ReducedMotion.Reduce,
            ViewportSize = new ViewportSize { Width = width, Height = width < 900 ? 844 : 900 },
        });
        context.SetDefaultTimeout(Chromium.PatienceMs);
        var raw = await context.NewPageAsync();
        if (cookies.TryGetValue(who, out var known))
        {
            await context.AddCookiesAsync(known.Select(c => new Microsoft.Playwright.Cookie { Name = c.Name, Value = c.Value, Domain = c.Domain, Path = c.Path, HttpOnly = c.HttpOnly, SameSite = c.SameSite }));
        }
        else
        {
            await Chromium.SignIn(raw, new DataDirectory(root), $"demo-{who}");
            cookies[who] = await context.CookiesAsync();
        }
        var page = new WatchedPage(raw, Address);
        await raw.GotoAsync(path, new PageGotoOptions { WaitUntil = WaitUntilState.Load });
        return page;
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}

[CollectionDefinition(Name)]
public sealed class BrowserCollection : ICollectionFixture<BrowserFixture>
{
    public const string Name = "browser";
}
