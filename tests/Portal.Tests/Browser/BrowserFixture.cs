using Microsoft.Playwright;
using Xunit;

namespace Portal.Tests.Browser;

/// <summary>One portal and one Chromium for all tests of the collection "browser"; each test opens a page with a profile of its own.</summary>
public sealed class BrowserFixture : IAsyncLifetime
{
    private PortalProcess? portal;
    private IPlaywright? playwright;
    private IBrowser? chromium;

    /// <summary>Debian's Chromium, or what PORTAL_CHROMIUM names.</summary>
    private static string ChromiumPath => Environment.GetEnvironmentVariable("PORTAL_CHROMIUM") ?? "/usr/bin/chromium";

    public Uri Address => (portal ?? throw new InvalidOperationException("The fixture has not started.")).Address;

    public async Task InitializeAsync()
    {
        if (!File.Exists(ChromiumPath))
        {
            throw new InvalidOperationException($"The browser tests need Chromium at '{ChromiumPath}' (Debian package chromium), or its path in PORTAL_CHROMIUM.");
        }

        portal = await PortalProcess.Start();
        playwright = await Playwright.CreateAsync();
        chromium = await playwright.Chromium.LaunchAsync(new BrowserTypeLaunchOptions
        {
            ExecutablePath = ChromiumPath, // Playwright makes an empty profile folder for it
            Args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
        });
    }

    public async Task DisposeAsync()
    {
        if (chromium is not null)
        {
            await chromium.DisposeAsync();
        }

        playwright?.Dispose();
        if (portal is not null)
        {
            await portal.DisposeAsync();
        }
    }

    /// <summary>A page in a fresh profile that remembers everything that went wrong on it.</summary>
    /// <param name="width">Pixels; heights are those of a desk (900) or a phone (844).</param>
    public async Task<WatchedPage> Open(string path, int width = 1440, ColorScheme scheme = ColorScheme.Light, bool script = true)
    {
        var context = await (chromium ?? throw new InvalidOperationException("The fixture has not started.")).NewContextAsync(new BrowserNewContextOptions
        {
            BaseURL = Address.ToString(),
            ColorScheme = scheme,
            JavaScriptEnabled = script,
            ReducedMotion = ReducedMotion.Reduce,
            ViewportSize = new ViewportSize { Width = width, Height = width < 900 ? 844 : 900 },
        });
        var page = new WatchedPage(await context.NewPageAsync(), Address);
        await page.Page.GotoAsync(path, new PageGotoOptions { WaitUntil = WaitUntilState.Load });
        return page;
    }
}

[CollectionDefinition("browser")]
public sealed class BrowserCollection : ICollectionFixture<BrowserFixture>;
