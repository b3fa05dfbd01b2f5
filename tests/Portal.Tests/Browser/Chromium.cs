using System.Diagnostics;
using Microsoft.Playwright;
using Portal.Data.Storage;

namespace Portal.Tests.Browser;

/// <summary>The machine's own Chromium, started alike for all tests, and the way in through the real sign-in page.</summary>
internal static class Chromium
{
    private const string Whole = "/usr/bin/chromium", Shell = "/usr/bin/chromium-headless-shell";

    /// <summary>How long a page may take; only a failure takes so long, and a busy machine is no failure.</summary>
    public const int PatienceMs = 60_000;

    /// <summary>One process for all pages of a profile, none kept ready for the next, and drawing in the browser's own: on two cores processes wait for each other, and starting them takes a fifth of a page's time.</summary>
    private static readonly string[] Alone = ["--renderer-process-limit=1", "--in-process-gpu", "--disable-software-rasterizer"];

    /// <summary>Starts it. PORTAL_CHROMIUM names another one for all tests.</summary>
    /// <remarks>Its scripts are compiled once and not again with more care: pages here live for seconds, and that compiling took a third of their processor time.</remarks>
    /// <param name="whole">
    /// The browser that people have. Otherwise its headless shell where that is installed: the same engine of the same version, without the services
    /// around it, which take as long as the page.
    /// </param>
    public static Task<IBrowser> Launch(IPlaywright playwright, bool whole = false) => playwright.Chromium.LaunchAsync(new BrowserTypeLaunchOptions
    {
        ExecutablePath = Environment.GetEnvironmentVariable("PORTAL_CHROMIUM") ?? (whole || !File.Exists(Shell) ? Whole : Shell),
        Args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--js-flags=--no-opt,--no-maglev",
            .. Alone],
    });

    /// <summary>Signs in and waits until the page behind the door is on its way.</summary>
    /// <param name="directory">Where the first sign-ins were written.</param>
    public static async Task SignIn(IPage page, DataDirectory directory, string name)
    {
        await page.GotoAsync("/sign-in");
        await page.FillAsync("input[name='Input.Name']", name);
        await page.FillAsync("input[name='Input.Password']", Password(directory, name));
        await page.ClickAsync("main button.primary");
        await page.Reaches(url => !url.Contains("sign-in", StringComparison.Ordinal));
    }

    /// <summary>Waits until the page is where it should be, and loaded.</summary>
    /// <remarks>Not WaitForURLAsync: that misses a navigation which ends between its first look and its waiting, and waits for ever.</remarks>
    public static async Task Reaches(this IPage page, Func<string, bool> place)
    {
        for (var waited = Stopwatch.StartNew(); !place(page.Url) || !await IsLoaded(page); await Task.Delay(10))
            if (waited.ElapsedMilliseconds > PatienceMs)
                throw new TimeoutException($"The page stayed at {page.Url}, which says: {await page.InnerTextAsync("body")}");
    }

    /// <summary>Goes there, also where the page itself is about to go somewhere: what was done on it is answered by a page of its own, sooner or later.</summary>
    public static async Task Goes(this IPage page, string address)
    {
        for (var tries = 3; ; tries--)
        {
            try
            {
                await page.GotoAsync(address);
                return;
            }
            catch (PlaywrightException e) when (tries > 1 && e.Message.Contains("interrupted by another navigation", StringComparison.Ordinal))
            {
                await page.WaitForLoadStateAsync();
            }
        }
    }

    private static async Task<bool> IsLoaded(IPage page)
    {
        try
        {
            return await page.EvaluateAsync<string>("document.readyState") == "complete";
        }
        catch (PlaywrightException)
        {
            return false; // between two pages
        }
    }

    /// <summary>A first account's password, from the file that the portal wrote.</summary>
    public static string Password(DataDirectory directory, string name) => File.ReadLines(directory.SignIns)
        .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries)).First(words => words[0] == name)[1];
}
