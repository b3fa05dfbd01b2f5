using System.Collections.Concurrent;
using System.Globalization;
using Deque.AxeCore.Commons;
using Deque.AxeCore.Playwright;
using Microsoft.Playwright;
using Xunit;

namespace Portal.Tests.Browser;

/// <summary>A page and what went wrong on it: console errors, script errors, failed and foreign requests, dialogs.</summary>
public sealed class WatchedPage : IAsyncDisposable
{
    private readonly ConcurrentQueue<string> problems = new();

    public WatchedPage(IPage page, Uri address)
    {
        Page = page;
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

    /// <summary>Nothing on the console, no failed or foreign request, no sideways scrolling, no serious finding of axe.</summary>
    public async Task IsInOrder()
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
        Assert.True(wide.Length == 0, "scrolls sideways: " + string.Join("; ", wide));
        var axe = await Page.RunAxe(new AxeRunOptions());
        var serious = axe.Violations.Where(static violation => violation.Impact is "serious" or "critical")
            .Select(static violation => $"{violation.Id} ({violation.Impact}): {string.Join("; ", violation.Nodes.Take(3).Select(static node => node.Html))}").ToList();
        Assert.True(serious.Count == 0, "axe: " + string.Join("\n", serious));
        Assert.True(problems.IsEmpty, string.Join("\n", problems));
    }

    /// <summary>Writes artifacts/screenshots/{name}.png for people to look at.</summary>
    public Task Picture(string name) => Page.ScreenshotAsync(new PageScreenshotOptions
    {
        Path = Path.Combine(Repository.Root, "artifacts", "screenshots", name + ".png"),
        FullPage = true,
    });

    public async ValueTask DisposeAsync() => await Page.Context.DisposeAsync();
}
