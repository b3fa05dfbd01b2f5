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

    /// <summary>Rules of axe about colours, and the one whose finding depends on the width: regions that scroll.</summary>
    private static readonly string[] colours = ["color-contrast", "link-in-text-block"], narrow = [.. colours, "scrollable-region-focusable"];
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
    /// <param name="within">What axe looks at, as a selector; null for the whole page.</param>
    /// <param name="coloursOnly">Only the rules about colours; all else was looked at before.</param>
    public Task IsInOrder(string look = "", string? within = null, bool coloursOnly = false) => IsInOrder(look, within, coloursOnly ? colours : null);

    private async Task IsInOrder(string look, string? within, string[]? rules)
    {
        await Page.WaitForLoadStateAsync(LoadState.Load); // with a style sheet on its way nothing has its place
        var wide = await Page.EvaluateAsync<string[]>(
            """
            () => {
              const limit = document.documentElement.clientWidth;
              if (document.documentElement.scrollWidth <= limit) return [];
              // What a region that scrolls by itself holds is not to blame.
              const clipped = e => { for (let p = e.parentElement; p && p !== document.body; p = p.parentElement) if (getComputedStyle(p).overflowX !== "visible") return true; return false; };
              return [...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > limit + 1 && !clipped(e)).concat(document.documentElement)
                .slice(-6).map(e => `${e.tagName}.${e.className} reaches ${Math.round(e.getBoundingClientRect().right)} of ${limit}`);
            }
            """);
        Assert.True(wide.Length == 0, $"{look} scrolls sideways: {string.Join("; ", wide)}. Besides: {string.Join("; ", problems)}");
        var serious = rules is [] ? [] : await Serious(within, rules);
        Assert.True(serious.Length == 0, $"{look} axe: " + string.Join("\n", serious));
        Assert.True(problems.IsEmpty, $"{look} " + string.Join("\n", problems));
    }

    /// <summary>What axe finds, by some of its rules or all.</summary>
    private async Task<string[]> Serious(string? within, string[]? rules)
    {
        if (!await Page.EvaluateAsync<bool>("() => 'axe' in window"))
        {
            // Past Playwright's own way of running scripts, which takes as long again to carry one of this length.
            var session = await Page.Context.NewCDPSessionAsync(Page);
            await session.SendAsync("Runtime.evaluate", new Dictionary<string, object> { ["expression"] = Axe.Value });
            await session.DetachAsync();
        }
        return await Page.EvaluateAsync<string[]>(
            """
            async ([within, rules]) => {
              const include = within === null ? [document] : [...document.querySelectorAll(within)].filter(e => e.checkVisibility());
              if (include.length === 0) return [];
              // One frame, and only what is violated: what passed is not described, which costs most of the time.
              const { violations } = await axe.run({ include }, { iframes: false, resultTypes: ["violations"], ...(rules === null ? {} : { runOnly: rules }) });
              return violations.filter(v => ["serious", "critical"].includes(v.impact))
                .map(v => `${v.id} (${v.impact}): ${v.nodes.slice(0, 3).map(n => n.html).join("; ")}`);
            }
            """, new object?[] { within, rules });
    }

    /// <summary>
    /// The page as it stands, at 1440 and 390 pixels, light and dark, without loading it again: in order in each. Axe reads the page whole on a wide screen; on a phone what only phones show, and of the rest the rules that
    /// depend on width; the colours of each theme are looked at whole once. In the two other looks only what that width alone shows could differ: they are taken where the page itself has such parts.
    /// </summary>
    /// <param name="withShell">Those looks too where only the frame around the page has such parts, which is the same on every page: for one page of each frame.</param>
    /// <param name="part">What axe looks at, as a selector: what is other than on the same page's first visit. Null for all of it.</param>
    /// <param name="isFurtherState">The same page was read in another state: on a dark phone only its edges are looked at again. What states are made of is read in both themes on the gallery.</param>
    public async Task IsInOrderInEveryLook(string name, bool withShell = false, string? part = null, bool isFurtherState = false)
    {
        foreach (var (width, scheme, within, rules) in new (int, ColorScheme, string?, string[]?)[]
        {
            (390, ColorScheme.Dark, part, isFurtherState ? [] : narrow), (390, ColorScheme.Light, OnlyOnPhones, null), (1440, ColorScheme.Dark, OnlyOnWideScreens, colours), (1440, ColorScheme.Light, part, null),
        })
        {
            if (within is { } parts && within != part && !withShell && !ArePicturesWanted && !await Page.EvaluateAsync<bool>("parts => [...document.querySelectorAll(parts)].some(e => e.closest('main'))", parts))
                continue;
            await Show(width, scheme);
            var look = NameOf(name, width, scheme);
            await Picture(look);
            await IsInOrder(look, within, rules);
        }
    }

    /// <summary>A station of a journey: within its edges on a phone and on a wide screen, and nothing on the console. Axe reads the same page in every look in <see cref="EveryPageTests"/>; with a journey's content on long rounds (<c>./test --soak</c>).</summary>
    public async Task IsInOrderOnTheWay(string name)
    {
        await Show(390, ColorScheme.Dark);
        await IsInOrder(NameOf(name, 390, ColorScheme.Dark), null, []);
        await Show(1440, ColorScheme.Light);
        await Picture(NameOf(name, 1440, ColorScheme.Light));
        await IsInOrder(NameOf(name, 1440, ColorScheme.Light), null, Soak.IsLong ? null : []);
    }

    private static string NameOf(string name, int width, ColorScheme scheme) => $"{name}-{width.ToString(CultureInfo.InvariantCulture)}-{scheme.ToString().ToLowerInvariant()}";

    private async Task Show(int width, ColorScheme scheme)
    {
        await Page.SetViewportSizeAsync(width, width < 900 ? 844 : 900);
        await Page.EmulateMediaAsync(new PageEmulateMediaOptions { ColorScheme = scheme });
        await Page.EvaluateAsync("() => window.scrollTo(0, 0)");
    }

    /// <summary>./test --pictures: a picture of a long page costs more than all that is asked of it.</summary>
    private static bool ArePicturesWanted => Environment.GetEnvironmentVariable("PORTAL_PICTURES") == "1";

    /// <summary>Writes artifacts/screenshots/{name}.png for people to look at, where pictures are wanted.</summary>
    public async Task Picture(string name)
    {
        if (ArePicturesWanted)
            await Page.ScreenshotAsync(new PageScreenshotOptions { Path = Path.Combine(Repository.Root, "artifacts", "screenshots", name + ".png"), FullPage = true });
    }

    public async ValueTask DisposeAsync()
    {
        if (ownsProfile)
            await Page.Context.DisposeAsync();
        else
            await Page.CloseAsync();
    }
}
