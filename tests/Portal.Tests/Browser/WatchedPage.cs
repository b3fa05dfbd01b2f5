using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using Deque.AxeCore.Commons;
using Microsoft.Playwright;
using Xunit;

namespace Portal.Tests.Browser;

/// <summary>A page and what went wrong on it: console errors, script errors, failed and foreign requests, dialogs.</summary>
public sealed class WatchedPage : IAsyncDisposable
{
    private readonly ConcurrentQueue<string> problems = new();
    private const string OnlyOnPhones = ".phone-only, .btn.menu", OnlyOnWideScreens = ".wide-only, .nav, .account";
    private static readonly Lazy<string> Axe = new(() => new BundledAxeScriptProvider().GetScript());

    private readonly bool ownsProfile;
    private int drawn; // batches of the circuit that this page has drawn since it was gone to

    /// <param name="ownsProfile">The profile is closed with the page; false where pages share one.</param>
    public WatchedPage(IPage page, Uri address, bool ownsProfile = true)
    {
        Page = page;
        this.ownsProfile = ownsProfile;
        page.Console += (_, message) =>
        {
            if (message.Type is "error" or "warning")
            {
                problems.Enqueue($"console {message.Type}: {message.Text}");
            }
        };
        page.PageError += (_, error) => problems.Enqueue($"script error: {error}");
        page.Dialog += (_, dialog) =>
        {
            problems.Enqueue($"dialog: {dialog.Message}");
            _ = dialog.DismissAsync();
        };
        page.Response += (_, response) =>
        {
            if (response.Status >= 400)
            {
                problems.Enqueue($"{response.Status.ToString(CultureInfo.InvariantCulture)} {response.Url}");
            }
        };
        page.FrameNavigated += (_, frame) =>
        {
            if (frame == page.MainFrame)
            {
                Interlocked.Exchange(ref drawn, 0);
            }
        };
        page.WebSocket += (_, socket) => socket.FrameSent += (_, frame) =>
        {
            // The script tells the server of each batch once it is drawn and its events are listened to.
            if (frame.Binary is { } bytes && bytes.AsSpan().IndexOf("OnRenderCompleted"u8) >= 0)
            {
                Interlocked.Increment(ref drawn);
            }
        };
        page.Request += (_, request) =>
        {
            if (!request.Url.StartsWith(address.ToString(), StringComparison.Ordinal) && !request.Url.StartsWith("data:", StringComparison.Ordinal))
            {
                problems.Enqueue($"request to elsewhere: {request.Url}");
            }
        };
    }

    public IPage Page { get; }

    public IReadOnlyCollection<string> Problems => problems;

    /// <summary>Waits until the circuit has drawn and listens: prerendered pages look finished before.</summary>
    public async Task IsInteractive()
    {
        for (var waited = Stopwatch.StartNew(); Volatile.Read(ref drawn) == 0;)
        {
            Assert.True(waited.ElapsedMilliseconds < Chromium.PatienceMs, $"{Page.Url} did not become interactive");
            await Task.Delay(10);
        }
    }

    /// <summary>Nothing on the console, no failed or foreign request, no sideways scrolling, no serious finding of axe.</summary>
    /// <param name="look">Named in the message of a failure.</param>
    /// <param name="colorsOf">Null: all of axe's rules on the whole page. Otherwise the rules about colours, on what this selector names; all else was looked at before.</param>
    public async Task IsInOrder(string look = "", string? colorsOf = null)
    {
        var wide = await Page.EvaluateAsync<string[]>(
            """
            () => {
              const limit = document.documentElement.clientWidth;
              if (document.documentElement.scrollWidth <= limit) return [];
              return [...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > limit + 1)
                .slice(-5).map(e => `${e.tagName}.${e.className} reaches ${Math.round(e.getBoundingClientRect().right)} of ${limit}`);
            }
            """);
        Assert.True(wide.Length == 0, $"{look} scrolls sideways: {string.Join("; ", wide)}. Besides: {string.Join("; ", problems)}");
        if (!await Page.EvaluateAsync<bool>("() => 'axe' in window"))
            await Page.EvaluateAsync(Axe.Value);
        var serious = await Page.EvaluateAsync<string[]>(
            """
            async colorsOf => {
              const include = colorsOf === null ? [document] : [...document.querySelectorAll(colorsOf)].filter(e => e.checkVisibility());
              if (include.length === 0) return [];
              // One frame, and only what is violated: what passed is not described, which costs most of the time.
              const { violations } = await axe.run({ include }, { iframes: false, resultTypes: ["violations"], ...(colorsOf === null ? {} : { runOnly: ["color-contrast", "link-in-text-block"] }) });
              return violations.filter(v => ["serious", "critical"].includes(v.impact))
                .map(v => `${v.id} (${v.impact}): ${v.nodes.slice(0, 3).map(n => n.html).join("; ")}`);
            }
            """, colorsOf);
        Assert.True(serious.Length == 0, $"{look} axe: " + string.Join("\n", serious));
        Assert.True(problems.IsEmpty, $"{look} " + string.Join("\n", problems));
    }

    /// <summary>
    /// The page as it stands, at 1440 and 390 pixels, light and dark, without loading it again: in order in each. Axe sees each width and each
    /// theme whole once; in the two other looks, the colours of what only that width shows.
    /// </summary>
    /// <param name="pictured">A picture of each look too; for the others <c>./test --pictures</c> takes them, which costs as much as looking.</param>
    public async Task IsInOrderInEveryLook(string name, bool pictured = false)
    {
        pictured |= Environment.GetEnvironmentVariable("PORTAL_PICTURES") == "1";
        foreach (var (width, scheme, colorsOf) in new[]
        {
            (390, ColorScheme.Dark, null), (390, ColorScheme.Light, OnlyOnPhones), (1440, ColorScheme.Dark, OnlyOnWideScreens), (1440, ColorScheme.Light, null),
        })
        {
            await Page.SetViewportSizeAsync(width, width < 900 ? 844 : 900);
            await Page.EmulateMediaAsync(new PageEmulateMediaOptions { ColorScheme = scheme });
            await Page.EvaluateAsync("() => window.scrollTo(0, 0)");
            var look = $"{name}-{width.ToString(CultureInfo.InvariantCulture)}-{scheme.ToString().ToLowerInvariant()}";
            if (pictured)
                await Picture(look);
            await IsInOrder(look, colorsOf);
        }
    }

    /// <summary>Writes artifacts/screenshots/{name}.png for people to look at.</summary>
    public Task Picture(string name) => Page.ScreenshotAsync(new PageScreenshotOptions
    {
        Path = Path.Combine(Repository.Root, "artifacts", "screenshots", name + ".png"),
        FullPage = true,
    });

    public async ValueTask DisposeAsync()
    {
        if (ownsProfile)
            await Page.Context.DisposeAsync();
        else
            await Page.CloseAsync();
    }
}
