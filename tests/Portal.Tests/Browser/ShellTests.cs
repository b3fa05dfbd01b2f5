using System.Net;
using System.Text.RegularExpressions;
using Microsoft.Playwright;
using Portal.Web.Shell;
using Xunit;

namespace Portal.Tests.Browser;

/// <summary>The frame around every page: menu, theme, navigation, headers, and what happens when the connection goes.</summary>
[Collection(BrowserCollection.Name)]
[Trait("Speed", "slow")]
public sealed class ShellTests(BrowserFixture browser)
{
    [Fact]
    public async Task The_phone_menu_opens_without_script()
    {
        await using var page = await browser.Open("/", width: 390, script: false);
        var home = page.Page.Locator("#nav a[aria-current=page]");
        Assert.False(await home.IsVisibleAsync());

        await page.Page.ClickAsync("header .menu");

        await home.WaitForAsync();
        Assert.True((await home.BoundingBoxAsync())!.Height >= 44); // a thumb's target
        await page.Page.Keyboard.PressAsync("Escape");
        await home.WaitForAsync(new LocatorWaitForOptions { State = WaitForSelectorState.Hidden });
    }

    [Fact]
    public async Task A_chosen_theme_applies_at_once_keeps_what_was_typed_and_is_remembered()
    {
        await using var page = await browser.Open("/dev/gallery/interactive");
        await page.Page.Locator("#clicks[data-ready=yes]").WaitForAsync(); // the circuit replaces what was prerendered
        await page.Page.FillAsync("#typed", "not saved");

        await page.Page.RunAndWaitForResponseAsync(() => page.Page.SelectOptionAsync("header select[name=theme]", "dark"), "**/theme");

        Assert.Equal("rgb(19, 23, 26)", await Background(page)); // --paper, dark
        Assert.Equal("not saved", await page.Page.InputValueAsync("#typed"));
        await page.Page.GotoAsync("/");
        Assert.Equal("dark", await page.Page.GetAttributeAsync("html", "data-theme"));
        Assert.Equal("rgb(19, 23, 26)", await Background(page));
    }

    [Fact]
    public async Task A_theme_can_be_chosen_without_script()
    {
        await using var page = await browser.Open("/dev/gallery/focus?single=true", script: false);
        await page.Page.SelectOptionAsync("header select[name=theme]", "dark");

        await page.Page.ClickAsync("header noscript button, header form.theme button");

        Assert.EndsWith("/dev/gallery/focus?single=true", page.Page.Url, StringComparison.Ordinal);
        Assert.Equal("dark", await page.Page.GetAttributeAsync("html", "data-theme"));
    }

    [Fact]
    public async Task Moving_between_pages_keeps_the_document_and_moves_the_focus_to_the_heading()
    {
        await using var page = await browser.Open("/", width: 390);
        await page.Page.EvaluateAsync("() => { window.same = true; }");
        await page.Page.ClickAsync("header .menu");

        await page.Page.ClickAsync("#nav a[href='/dev/gallery']");

        await page.Page.WaitForFunctionAsync("() => document.activeElement?.matches('main h1') && document.activeElement.textContent === 'Components'");
        Assert.True(await page.Page.EvaluateAsync<bool>("() => window.same === true"));
        Assert.False(await page.Page.Locator("#nav").IsVisibleAsync()); // the menu closed behind
    }

    [Theory]
    [InlineData("/")]
    [InlineData("/not-there")]
    [InlineData("/css/site.css")]
    [InlineData("/api/not-there")]
    public async Task Every_answer_carries_the_strict_policy(string path)
    {
        using var http = new HttpClient { BaseAddress = browser.Address };

        using var answer = await http.GetAsync(new Uri(path, UriKind.Relative));

        Assert.Equal(SecurityHeaders.ContentSecurityPolicy, Assert.Single(answer.Headers.GetValues("Content-Security-Policy")));
        Assert.Equal("nosniff", Assert.Single(answer.Headers.GetValues("X-Content-Type-Options")));
        Assert.Equal("DENY", Assert.Single(answer.Headers.GetValues("X-Frame-Options")));
    }

    [Fact]
    public async Task Style_sheets_and_scripts_travel_compressed()
    {
        using var http = new HttpClient { BaseAddress = browser.Address };
        var page = await http.GetStringAsync(new Uri("/", UriKind.Relative));
        var files = Regex.Matches(page, "(?:href|src)=\"([^\"]+\\.(?:css|js))\"").Select(static match => match.Groups[1].Value).ToList();

        Assert.InRange(files.Count, 8, 40);
        foreach (var file in files)
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, file) { Headers = { { "Accept-Encoding", "gzip" } } };
            using var answer = await http.SendAsync(request);
            var bytes = (await answer.Content.ReadAsByteArrayAsync()).Length;
            Assert.True(answer.Content.Headers.ContentEncoding.Contains("gzip") || bytes < 1_000, $"{file}: {bytes} bytes, not compressed");
        }
    }

    [Fact]
    public void The_policy_lets_no_inline_script_and_no_eval_through()
    {
        var scripts = SecurityHeaders.ContentSecurityPolicy.Split("; ").Single(static part => part.StartsWith("script-src", StringComparison.Ordinal));

        Assert.Equal("script-src 'self'", scripts);
    }

    [Theory]
    [InlineData("https://elsewhere.example", HttpStatusCode.Forbidden)]
    [InlineData("null", HttpStatusCode.Forbidden)]
    [InlineData("own", HttpStatusCode.OK)]
    public async Task A_circuit_cannot_be_opened_from_another_site(string origin, HttpStatusCode expected)
    {
        using var http = new HttpClient { BaseAddress = browser.Address };
        using var request = new HttpRequestMessage(HttpMethod.Post, "_blazor/negotiate?negotiateVersion=1");
        request.Headers.Add("Origin", origin == "own" ? browser.Address.GetLeftPart(UriPartial.Authority) : origin);

        using var answer = await http.SendAsync(request);

        Assert.Equal(expected, answer.StatusCode);
    }

    [Theory]
    [InlineData("//elsewhere.example")]
    [InlineData("/\\elsewhere.example")]
    [InlineData("https://elsewhere.example")]
    public async Task The_theme_form_leads_back_to_this_site_only(string back)
    {
        await using var page = await browser.Open("/", script: false);
        await page.Page.SetContentAsync(await FormWith(page, back));

        await page.Page.ClickAsync("#go");

        Assert.Equal(browser.Address.ToString(), page.Page.Url);
    }

    [Fact]
    public async Task The_gallery_is_not_there_outside_development()
    {
        await using var portal = await PortalProcess.Start(("ASPNETCORE_ENVIRONMENT", "Production"));
        using var http = new HttpClient { BaseAddress = portal.Address };

        Assert.Equal(HttpStatusCode.OK, (await http.GetAsync(new Uri("/", UriKind.Relative))).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await http.GetAsync(new Uri("/dev/gallery", UriKind.Relative))).StatusCode);
    }

    [Theory]
    [InlineData("not saved")]
    [InlineData("")]
    public async Task A_restarted_server_never_costs_typed_text(string typed)
    {
        await using var page = await browser.Open("/dev/gallery/interactive");
        await page.Page.Locator("#clicks[data-ready=yes]").WaitForAsync();
        await page.Page.EvaluateAsync("() => { window.same = true; }");
        if (typed.Length > 0)
        {
            await page.Page.FillAsync("#typed", typed);
        }

        await browser.Kill();
        try
        {
            await page.Page.Locator(".when-lost").WaitForAsync();
            Assert.Equal(0, await page.Page.Locator("dialog[open], :modal").CountAsync());
        }
        finally
        {
            await browser.Start();
        }

        if (typed.Length > 0)
        {
            await page.Page.Locator(".when-rejected").WaitForAsync(); // says so, and waits for the person
            Assert.Equal(typed, await page.Page.InputValueAsync("#typed"));
            Assert.True(await page.Page.EvaluateAsync<bool>("() => window.same === true"));
        }
        else
        {
            await page.Page.WaitForFunctionAsync("() => window.same === undefined && document.querySelector('#clicks[data-ready=yes]')");
        }
    }

    private static async Task<string> FormWith(WatchedPage page, string back)
    {
        var token = await page.Page.Locator("header form.theme input[name=__RequestVerificationToken]").GetAttributeAsync("value");
        return $"<form method=post action=/theme><input name=__RequestVerificationToken value='{token}'><input name=theme value=dark><input name=back value='{WebUtility.HtmlEncode(back)}'><button id=go>go</button></form>";
    }

    private static Task<string> Background(WatchedPage page) => page.Page.EvaluateAsync<string>("() => getComputedStyle(document.documentElement).backgroundColor");
}
