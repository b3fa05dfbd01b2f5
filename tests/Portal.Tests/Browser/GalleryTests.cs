using Microsoft.Playwright;
using Portal.Tests.Web;
using Xunit;

namespace Portal.Tests.Browser;

/// <summary>Every shared component in high contrast, hostile texts through the one that shows model text, and what a watched page notices.</summary>
[Collection(BrowserCollection.Name)]
[Trait("Speed", "slow")]
public sealed class GalleryTests(BrowserFixture browser)
{
    [Fact]
    public async Task High_contrast_is_in_order()
    {
        await using var page = await browser.Open("/dev/gallery");
        await page.Page.SelectOptionAsync("header select[name=theme]", "high");

        await page.Picture("gallery-1440-high");
        await page.IsInOrder();
    }

    [Fact]
    public async Task Hostile_texts_run_nothing_and_fetch_nothing()
    {
        foreach (var batch in HostileTexts.All.Chunk(12))
        {
            var text = Uri.EscapeDataString(string.Join("\n\n", batch).Replace("\ud800", "", StringComparison.Ordinal).Replace("\udc00", "", StringComparison.Ordinal));
            await using var page = await browser.Open("/dev/gallery/text?text=" + text);
            await page.Page.EvaluateAsync("() => { for (const link of document.querySelectorAll('#laid-out a')) link.dispatchEvent(new MouseEvent('mouseover', { bubbles: true })); }");
            await page.Page.WaitForLoadStateAsync(LoadState.NetworkIdle);

            Assert.True(page.Problems.Count == 0, string.Join("\n", page.Problems));
            Assert.Equal(0, await page.Page.Locator(":is(#laid-out, #raw) :is(script, img, svg, iframe, object, embed, style, link, form, input, video, [onclick], [onerror], [onload], [style])").CountAsync());
        }
    }

    [Fact]
    public async Task A_watched_page_notices_what_it_watches_for()
    {
        await using var page = await browser.Open("/dev/gallery/text?text=x");
        await page.Page.RunAndWaitForResponseAsync(() => page.Page.EvaluateAsync("() => { const i = document.createElement('img'); i.src = 'https://elsewhere.example/p.png'; document.body.append(i); const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s); const w = document.createElement('div'); w.style.width = '3000px'; w.textContent = 'w'; document.body.append(w); fetch('/nowhere'); }"), "**/nowhere");

        // The policy stops the script and the picture; both are told on the console.
        Assert.False(await page.Page.EvaluateAsync<bool>("() => 'ran' in window"));
        Assert.Contains(page.Problems, static problem => problem.Contains("script-src", StringComparison.Ordinal));
        Assert.Contains(page.Problems, static problem => problem.Contains("img-src", StringComparison.Ordinal));
        Assert.Contains(page.Problems, static problem => problem.StartsWith("404 ", StringComparison.Ordinal));
        await Assert.ThrowsAnyAsync<Exception>(() => page.IsInOrder());
    }
}
