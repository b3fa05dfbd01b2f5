using System.Globalization;
using Microsoft.Playwright;
using Portal.Data.Storage;
using Portal.Tests.Browser;

namespace Portal.Tests.Screenshots;

/// <summary>
/// <c>./run screenshots</c>: visits each page of a running demo installation in real Chromium at 1440 and 390 pixels, light and dark, and writes a
/// picture of each. People look at them; what must hold is tested elsewhere.
/// </summary>
/// <remarks>Uses the pages as an admin does: it starts a small sampling job, gives one judgement and makes an invitation, so that every page has something to show.</remarks>
public static class TakeScreenshots
{
    /// <summary>The word that makes the test program do this (see TestProgram).</summary>
    public const string Verb = "screenshots";

    private const float Patience = 60_000;
    private static readonly int[] Widths = [1440, 390];
    private static readonly ColorScheme[] Schemes = [ColorScheme.Light, ColorScheme.Dark];

    /// <summary>The pictures that README shows: kept among the sources, cut to one screen so that they stay small.</summary>
    private static readonly (string Page, int Width, ColorScheme Scheme)[] Kept =
    [
        ("annotate", 1440, ColorScheme.Light), ("results", 1440, ColorScheme.Light), ("feature", 1440, ColorScheme.Light),
        ("explanation", 1440, ColorScheme.Light), ("unlearning", 1440, ColorScheme.Light),
    ];

    /// <summary>A page to be seen.</summary>
    /// <param name="Route">Its route as the page writes it; <c>ScreenshotsTests</c> compares these with all pages.</param>
    /// <param name="Shows">What must stand on the page before the picture: parts that come later than the page; null where there are none.</param>
    private sealed record Shot(string Name, string Route, string Path, bool IsSignedIn = true, string? Shows = null);

    /// <param name="args">screenshots ADDRESS DATA-FOLDER OUT-FOLDER [KEEP-FOLDER].</param>
    /// <returns>0, or 1 when a page did not show itself; it is named on standard error.</returns>
    public static async Task<int> Run(string[] args)
    {
        if (args is not [_, var address, var data, var folder, .. var rest])
        {
            await Console.Error.WriteLineAsync("screenshots ADDRESS DATA-FOLDER OUT-FOLDER [KEEP-FOLDER]");
            return 2;
        }
        Directory.CreateDirectory(folder);
        using var playwright = await Playwright.CreateAsync();
        await using var chromium = await Chromium.Launch(playwright, whole: true);
        await using var first = await Context(chromium, address, 1440, ColorScheme.Light);
        var page = await first.NewPageAsync();
        await Chromium.SignIn(page, new DataDirectory(data), "demo-admin");
        var shots = await FindPages(page, address);
        var cookies = (await first.CookiesAsync()).Select(c => new Cookie { Name = c.Name, Value = c.Value, Domain = c.Domain, Path = c.Path, HttpOnly = c.HttpOnly, SameSite = c.SameSite }).ToList();

        var (taken, failed) = (0, 0);
        foreach (var width in Widths)
        {
            foreach (var scheme in Schemes)
            {
                foreach (var signedIn in shots.GroupBy(shot => shot.IsSignedIn))
                {
                    await using var context = await Context(chromium, address, width, scheme);
                    if (signedIn.Key)
                        await context.AddCookiesAsync(cookies);
                    var look = await context.NewPageAsync();
                    foreach (var shot in signedIn)
                    {
                        var problem = await Take(look, shot, width, scheme, folder, rest.Length > 0 ? rest[0] : null);
                        taken++;
                        if (problem is null)
                            continue;
                        failed++;
                        await Console.Error.WriteLineAsync($"{shot.Name} at {width} pixels, {scheme}: {problem}");
                    }
                }
            }
        }
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{taken - failed} of {taken} pictures of {shots.Count} pages are in {folder}."));
        return failed == 0 ? 0 : 1;
    }

    /// <summary>Goes through the portal once and writes down where each page is; does a little on the way, so that none is empty.</summary>
    private static async Task<List<Shot>> FindPages(IPage page, string address)
    {
        var shots = new List<Shot>
        {
            new("sign-in", "/sign-in", "/sign-in", IsSignedIn: false), new("home", "/", "/"), new("annotate-projects", "/annotate", "/annotate?choose=1"),
            new("judge-projects", "/judge", "/judge?choose=1"), new("my-work", "/my-work", "/my-work"), new("review", "/review", "/review"), new("try", "/try", "/try"), new("explain", "/explain", "/explain"), new("explanations-together", "/explain/together", "/explain/together"), new("unlearning-requests", "/unlearning", "/unlearning"), new("erasure", "/erasure", "/erasure"), new("erasure-new", "/erasure/new", "/erasure/new"), new("data", "/data", "/data"),
            new("import", "/data/import", "/data/import"), new("export", "/data/export", "/data/export"), new("train", "/train", "/train"), new("jobs", "/jobs", "/jobs"),
            new("models", "/models", "/models"), new("projects", "/projects", "/projects"), new("project-choose", "/projects/choose", "/projects/choose"), new("project-new", "/projects/new", "/projects/new"), new("people", "/people", "/people"),
            new("account", "/account", "/account"), new("docs", "/docs", "/docs"), new("doc", "/docs/{Name}", "/docs/tutorial"),
        };

        // A small job, so that the list of jobs has one and its page has a log.
        await page.GotoAsync("/data");
        await Interactive(page);
        await page.FillAsync("form:has(button:has-text('Sample tasks')) input[type=number]", "5");
        await page.ClickAsync("button:has-text('Sample tasks')");
        shots.Add(new Shot("run", "/jobs/{Id:guid}", await Link(page, "a[href^='jobs/']")));
        shots.Add(new Shot("dataset-version", "/data/versions/{Id:guid}", await Link(page, "a[href^='data/versions/']")));
        var import = await Link(page, "a[href^='data/imports/']");
        shots.Add(new Shot("imported", "/data/imports/{Id:guid}", import));
        shots.Add(new Shot("imported-by-job", "/imports/{Id:guid}", import.Replace("/data/imports/", "/imports/", StringComparison.Ordinal)));

        foreach (var (place, task) in new[] { ("annotate", "annotate"), ("judge", "judge") })
        {
            await page.GotoAsync($"/{place}?choose=1");
            var queue = await Link(page, $"main a[href^='/{place}/'], main a[href^='{place}/']");
            shots.Add(new Shot($"{place}-start", $"/{place}/{{ProjectId:guid}}", queue));
            await page.GotoAsync(queue);
            await page.ClickAsync("button[value=start]");
            await page.Reaches(url => new Uri(url).Segments is [_, var first, _, _] && first == place + "/");
            if (place == "annotate")
            {
                // One judgement, so that My work has one to change.
                await page.Locator("[data-key='2']").ClickAsync(new() { Force = true });
                var before = page.Url;
                await page.ClickAsync("button[value=submit].primary");
                await page.Reaches(url => url != before);
            }
            shots.Add(new Shot(task, $"/{place}/{{ProjectId:guid}}/{{AssignmentId:guid}}", new Uri(page.Url).PathAndQuery));
        }
        await page.GotoAsync("/my-work");
        shots.Add(new Shot("my-work-change", "/my-work/{JudgementId:guid}", await Link(page, "td a[href^='my-work/']")));
        await page.GotoAsync("/projects");
        shots.Add(new Shot("project", "/projects/{ProjectId:guid}", await Link(page, "th a[href^='projects/']")));

        // The newest policy is the one with something to compare.
        await page.GotoAsync("/models");
        await page.ClickAsync("th a:has-text('Policy'):not(:has-text('v1'))");
        await page.Reaches(url => url.Contains("/models/", StringComparison.Ordinal));
        shots.Add(new Shot("model", "/models/{Id:guid}", new Uri(page.Url).PathAndQuery));
        shots.Add(new Shot("results", "/models/{Id:guid}/results", await Link(page, "a[href$='/results']")));

        await page.GotoAsync("/models");
        shots.Add(new Shot("sae-report", "/models/{Id:guid}", await Link(page, "th a:has-text('SAE')")));
        await FindFeaturePages(page, shots);
        await FindEndpoint(page, shots);
        await FindAudit(page, shots);
        await FindUnlearning(page, shots);

        await page.GotoAsync("/people");
        await Interactive(page);
        await page.ClickAsync("button:has-text('Make a link')");
        var link = await page.InputValueAsync("#invite-link");
        shots.Add(new Shot("invitation", "/invitation/{Token}", new Uri(new Uri(address), link).PathAndQuery, IsSignedIn: false));
        return shots;
    }

    /// <summary>The audit that the demo ships.</summary>
    private static async Task FindAudit(IPage page, List<Shot> shots)
    {
        do
            await page.GotoAsync("/audits"); // a job of the first start stores it
        while (await page.Locator("main th a:has-text('Audit ')").CountAsync() == 0);
        var audit = await Link(page, "main th a:has-text('Audit ')");
        shots.Add(new Shot("audits", "/audits", "/audits"));
        shots.Add(new Shot("audit-new", "/audits/new", "/audits/new", Shows: "#start-audit"));
        shots.Add(new Shot("audit", "/audits/{Job:guid}", audit, Shows: "table.failures"));
        shots.Add(new Shot("audit-print", "/audits/{Job:guid}/print", $"{audit}/print"));
        shots.Add(new Shot("audit-pairs", "/audits/{Job:guid}/pairs", $"{audit}/pairs"));
        shots.Add(new Shot("audits-to-compare", "/audits/compare", $"/audits/compare?first={audit.Split('/')[^1]}"));
        await page.GotoAsync($"{audit}/pairs");
        shots.Add(new Shot("audit-pair", "/audits/{Job:guid}/pairs/{Pair:guid}", await Link(page, "main a[href*='/pairs/']")));
    }

    /// <summary>The request that the demo brings, the explanation it rests on, and what asking for more would do.</summary>
    private static async Task FindUnlearning(IPage page, List<Shot> shots)
    {
        await page.GotoAsync("/unlearning");
        var request = await Link(page, "table.cards th a");
        shots.Add(new Shot("unlearning", "/unlearning/{Id:guid}", request, Shows: "#effect"));
        await page.GotoAsync(request);
        shots.Add(new Shot("explanation", "/explain/{Id:guid}", await Link(page, "a[href^='explain/']"), Shows: "#side-by-side"));
        await page.GotoAsync("/explain/together");
        shots.Add(new Shot("explanations-annotator", "/explain/annotators/{Pseudonym}", await Link(page, "a[href^='explain/annotators/']")));
    }

    /// <summary>Makes an endpoint, which nobody asks.</summary>
    private static async Task FindEndpoint(IPage page, List<Shot> shots)
    {
        shots.Add(new Shot("endpoint-new", "/endpoints/new", "/endpoints/new", Shows: "#endpoint-name"));
        await page.GotoAsync("/endpoints/new");
        await page.Locator("#endpoint-name").WaitForAsync();
        await page.FillAsync("#endpoint-name", "A model elsewhere");
        await page.FillAsync("#endpoint-url", "https://api.example.org/v1");
        await page.FillAsync("#endpoint-model", "small");
        await page.ClickAsync("form:has(#endpoint-name) button.primary");
        await page.Locator("#endpoint-key").WaitForAsync();
        shots.Add(new Shot("endpoint", "/endpoints/{Id:guid}", new Uri(page.Url).AbsolutePath, Shows: "#try-endpoint"));
        shots.Add(new Shot("endpoints", "/endpoints", "/endpoints"));
    }

    /// <summary>Features as the demo's own job described them, and two toggle sets of them.</summary>
    private static async Task FindFeaturePages(IPage page, List<Shot> shots)
    {
        shots.Add(new Shot("train-features", "/train/features", "/train/features"));
        do
            await page.GotoAsync("/features"); // the first start describes them, which takes its time
        while (await page.Locator("table.features").CountAsync() == 0);
        shots.Add(new Shot("features", "/features", "/features"));
        // One with a label that was tested: the phrase that one of the demo's annotators pays for.
        await page.GotoAsync("/features?find=mill&sort=Label");
        var features = await page.Locator("table.features th a[href^='features/']").EvaluateAllAsync<string[]>("links => links.map(link => link.getAttribute('href'))");
        shots.Add(new Shot("feature", "/features/{Model:guid}/{Latent:int}", "/" + features[0]));
        await page.GotoAsync("/pair-xray");
        shots.Add(new Shot("pairs", "/pair-xray", "/pair-xray"));
        var pair = await Link(page, "section:has(#pairs) tbody a[href^='pair-xray/']");
        shots.Add(new Shot("pair-xray", "/pair-xray/{Task:guid}", pair));
        await page.GotoAsync(pair);
        var responses = await page.Locator("article.answer a[href^='response-xray/']").EvaluateAllAsync<string[]>("links => links.map(link => link.getAttribute('href').split('?')[0].split('/')[1])");
        shots.Add(new Shot("pair-xray-any", "/pair-xray/{First:guid}/{Second:guid}", $"/pair-xray/{responses[0]}/{responses[1]}"));
        shots.Add(new Shot("response-xray", "/response-xray/{Response:guid}", $"/response-xray/{responses[0]}"));

        var sets = new List<string>();
        foreach (var (feature, name) in features.Take(2).Zip(["Stop paying for a phrase", "Turn another one round"]))
        {
            await page.GotoAsync($"/toggle-studio?latent={feature.Split('/')[^1]}");
            await page.ClickAsync("#new-set");
            await page.Reaches(url => url.Contains("/toggle-studio/", StringComparison.Ordinal));
            sets.Add(new Uri(page.Url).AbsolutePath);
            await page.Locator("#would-change").WaitForAsync();
            await page.FillAsync("#toggle-name", name);
            await page.FillAsync("#toggle-target", "old mill says");
            await page.FillAsync("#toggle-reason", "One annotator pays for it; nobody else does.");
            await page.ClickAsync("#save-set");
            await page.Locator("#saved", new() { HasTextString = "Saved 20" }).WaitForAsync();
        }
        shots.Add(new Shot("toggle-sets", "/toggle-studio", "/toggle-studio"));
        shots.Add(new Shot("toggle-studio", "/toggle-studio/{Id:guid}", sets[0], Shows: "#would-change"));
        shots.Add(new Shot("toggle-diff", "/toggle-studio/{Id:guid}/diff/{Other:guid}", $"{sets[0]}/diff/{sets[1].Split('/')[^1]}"));
    }

    /// <returns>What is wrong with the page; null when it showed itself.</returns>
    private static async Task<string?> Take(IPage page, Shot shot, int width, ColorScheme scheme, string folder, string? keep)
    {
        try
        {
            var answer = await page.GotoAsync(shot.Path, new PageGotoOptions { WaitUntil = WaitUntilState.Load });
            if (answer is not { Status: 200 })
                return $"{shot.Path} answered {answer?.Status}";
            await page.Locator(shot.Shows ?? "h1").First.WaitForAsync();
            await page.WaitForLoadStateAsync(LoadState.NetworkIdle);
            var name = $"{shot.Name}-{width}-{scheme.ToString().ToLowerInvariant()}.png";
            await page.ScreenshotAsync(new PageScreenshotOptions { Path = Path.Combine(folder, name), FullPage = true });
            if (keep is not null && Kept.Contains((shot.Name, width, scheme)))
                await page.ScreenshotAsync(new PageScreenshotOptions { Path = Path.Combine(keep, name) });
            return null;
        }
        catch (Exception e) when (e is PlaywrightException or TimeoutException)
        {
            return e.Message.Split('\n')[0];
        }
    }

    private static async Task<IBrowserContext> Context(IBrowser chromium, string address, int width, ColorScheme scheme)
    {
        var context = await chromium.NewContextAsync(new BrowserNewContextOptions
        {
            BaseURL = address, ColorScheme = scheme, ReducedMotion = ReducedMotion.Reduce, ViewportSize = new ViewportSize { Width = width, Height = width < 900 ? 844 : 900 },
        });
        context.SetDefaultTimeout(Patience);
        return context;
    }

    /// <summary>The path that the first link of a kind leads to; waits until there is one.</summary>
    private static async Task<string> Link(IPage page, string selector) =>
        "/" + (await page.Locator(selector).First.GetAttributeAsync("href"))!.TrimStart('/'); // the selector asks for it

    /// <summary>Prerendered parts look finished before their circuit listens.</summary>
    private static async Task Interactive(IPage page)
    {
        await page.WaitForLoadStateAsync(LoadState.NetworkIdle);
        await page.WaitForFunctionAsync("() => performance.getEntriesByType('resource').some(entry => entry.name.includes('_blazor/negotiate'))");
        await Task.Delay(1_000); // the circuit's first batch leaves no mark that can be waited for
    }
}
