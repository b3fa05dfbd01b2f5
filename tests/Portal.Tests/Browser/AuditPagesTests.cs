using System.Text;
using Microsoft.EntityFrameworkCore;
using Microsoft.Playwright;
using Portal.Data.JobSpecs;
using Portal.Tests.Web;
using Portal.Tests.Web.Audits;
using Portal.Web.Audits;
using Xunit;

namespace Portal.Tests.Browser;

/// <summary>An audit in a real browser: read, followed to its texts, its failures sent on, and its file opened where there is no network.</summary>
[Collection(AdminPagesCollection.Name)]
[Trait("Speed", "slow")]
public sealed class AuditPagesTests(AdminPagesFixture fixture)
{
    [Fact]
    public async Task Read_and_followed_to_its_texts()
    {
        var seeded = fixture.FullAudit;
        await using var page = await fixture.Open(seeded.Page);
        var p = page.Page;

        await p.GetByText("Centre per prompt").ClickAsync();
        await p.Reaches(url => url.Contains("centred=true", StringComparison.Ordinal));
        await p.ClickAsync("a:has-text('5 example pairs')");
        await p.Reaches(url => url.Contains("show=Incentive", StringComparison.Ordinal));
        await p.Locator("h1:has-text('Examples')").WaitForAsync();
        Assert.Equal(5, await p.Locator("table.failures tbody tr").CountAsync());
        await p.Locator("table.failures a").First.ClickAsync();
        await p.Locator("article.card").First.WaitForAsync();
        Assert.Contains("I would rather not help with that, 0.", await p.InnerTextAsync("main"), StringComparison.Ordinal);
        Assert.Empty(page.Problems);
    }

    [Fact]
    public async Task Failures_are_sent_on_once()
    {
        var seeded = fixture.FullAudit;
        await using var page = await fixture.Open(seeded.Page);
        var p = page.Page;
        await page.IsInteractive();
        Assert.True(await p.Locator("#send-review").IsDisabledAsync()); // nothing is chosen

        foreach (var (button, says) in new[] { ("#send-review", "1 text was flagged for the reviewers."), ("#send-review", "1 is there already."), ("#send-tasks", "1 task was made."), ("#send-tasks", "1 is there already.") })
        {
            await p.Locator("table.failures input[type=checkbox]").First.CheckAsync();
            await p.ClickAsync(button);
            await p.Locator("#sent", new() { HasTextString = says }).WaitForAsync();
            await p.Locator($"{button}:disabled").WaitForAsync();
        }
        await page.IsInOrderInEveryLook("audit-sent");
        using var db = fixture.Project.Open();
        Assert.Equal((1, 1), (db.Flags.Count(f => f.Place == "audit"), db.Tasks.Count(t => t.JobId == seeded.JobId)));
    }

    /// <summary>On an audit of its own; the jobs it asks for are taken back, since other tests look at the queue.</summary>
    [Fact]
    public async Task A_copy_is_trained_by_one_click_and_versions_are_compared()
    {
        var (first, second) = (new MadeUpAudit(fixture.Project, new AuditWish { Number = 31 }), new MadeUpAudit(fixture.Project, new AuditWish { Number = 32 }));
        var (checkedOnce, drift) = (CheckReRlTests.Run(fixture.Project, first, fixture.Project.Job(new CheckReRl { AuditId = first.JobId }).Id, hasReachedBudget: false), DriftTests.Run(fixture.Project, first, second));
        fixture.Project.Add(checkedOnce, drift);
        fixture.Project.Change(db => db.Jobs.Where(j => j.Id == checkedOnce.JobId || j.Id == drift.JobId).ExecuteDelete());
        await using var page = await fixture.Open(first.Page);
        var p = page.Page;
        await page.IsInteractive();

        await p.SelectOptionAsync("#re-rl-method", "max-entropy");
        await p.ClickAsync("#re-rl-start");
        await p.Locator("#re-rl [role=status] a[href^='jobs/']").WaitForAsync();
        Assert.True(await p.Locator("#re-rl-start").IsDisabledAsync());
        await page.IsInOrderInEveryLook("audit-re-rl");
        await p.GotoAsync(new Uri(fixture.Address, $"/audits/compare?drift={drift.JobId}").ToString());
        await page.IsInteractive();
        await p.ClickAsync("summary:has-text('Compare versions')");
        foreach (var audit in new[] { first, second })
            await p.CheckAsync($"#drift-{audit.JobId}");
        await p.ClickAsync("#drift-start");
        await p.Locator("[role=alert]:has-text('another base')").WaitForAsync(); // each made-up audit has a base of its own
        await page.IsInOrderInEveryLook("audit-drift");
        foreach (var table in Enum.GetNames<DriftTable>())
        {
            Assert.Equal(1, await p.Locator($"a[download][href='audits/drift/{drift.JobId}/{table.ToLowerInvariant()}.csv']").CountAsync());
            Assert.Equal((200, "text/csv; charset=utf-8"), ((await p.APIRequest.GetAsync(new Uri(fixture.Address, $"/audits/drift/{drift.JobId}/{table.ToLowerInvariant()}.csv").ToString())) is var answer ? answer.Status : 0, answer.Headers["content-type"]));
        }
        Assert.Equal(404, (await p.APIRequest.GetAsync(new Uri(fixture.Address, $"/audits/drift/{drift.JobId}/nothing.csv").ToString())).Status);
        await p.GotoAsync(new Uri(fixture.Address, $"/audits/compare?first={first.JobId}&second={second.JobId}").ToString());
        await p.Locator("#compare-checks").WaitForAsync();
        await page.IsInOrderInEveryLook("audits-side-by-side");

        Assert.Empty(page.Problems);
        using var db = fixture.Project.Open();
        var job = Assert.Single(db.Jobs.AsNoTracking().Where(j => j.Kind == nameof(CheckReRl)).ToList());
        Assert.Equal((first.JobId, "max-entropy"), (((CheckReRl)JobSpec.FromJson(job.SpecJson)).AuditId!.Value, ((CheckReRl)JobSpec.FromJson(job.SpecJson)).Method));
        fixture.Project.Change(db => db.Jobs.Where(j => j.Id == job.Id).ExecuteDelete());
    }

    [Fact]
    public async Task Handed_over_as_files()
    {
        var seeded = fixture.FullAudit;
        await using var page = await fixture.Open(seeded.Page);
        var request = page.Page.APIRequest;

        var html = await request.GetAsync($"{seeded.Page}/report.html");
        Assert.True(html.Status == 200, $"{html.Status} {await html.TextAsync()}");
        Assert.StartsWith("attachment; filename=audit-1.html", html.Headers["content-disposition"], StringComparison.Ordinal);
        Assert.Equal(seeded.Report.ToJson(), await (await request.GetAsync($"{seeded.Page}/report.json")).BodyAsync());
        foreach (var table in Enum.GetNames<AuditTable>())
            Assert.Equal((200, "text/csv; charset=utf-8"), ((await request.GetAsync($"{seeded.Page}/tables/{table.ToLowerInvariant()}.csv")) is var answer ? answer.Status : 0, answer.Headers["content-type"]));
        Assert.Equal(404, (await request.GetAsync($"{seeded.Page}/tables/nothing.csv")).Status);
    }

    [Fact]
    public async Task Hostile_texts_stay_text_on_the_pages()
    {
        var seeded = new MadeUpAudit(fixture.Project, new AuditWish { Number = 9, Prompts = 40, Texts = HostileTexts.Forty, AuditedName = HostileTexts.Forty[0] });
        var context = await fixture.Profile();
        await context.AddInitScriptAsync(HostileWatch.Script);
        await context.AddCookiesAsync([new Cookie { Name = "portal-project", Value = $"{fixture.Project.Id}", Url = fixture.Address.ToString() }]);
        await using var page = new WatchedPage(await context.NewPageAsync(), fixture.Address);

        foreach (var path in new[] { seeded.Page, $"{seeded.Page}/print", $"{seeded.Page}/pairs?show=All", $"{seeded.Page}/pairs?show=All&page=1", $"{seeded.Page}/pairs/{seeded.Prompts[0].Prompt}", $"/audits/compare?first={seeded.JobId}&second={seeded.JobId}" })
            await HostileWatch.Go(page, path, HostileTexts.Forty[0]);
    }

    /// <summary>Offline, from the disk, with every hostile text in it: nothing is asked for, nothing runs, nothing but text is shown.</summary>
    [Fact]
    public async Task The_file_opens_without_a_network_and_hostile_texts_stay_text()
    {
        using var project = new SeededProject();
        using var handlers = new AuditHandlers(project);
        var seeded = new MadeUpAudit(project, new AuditWish { Prompts = 80, Texts = HostileTexts.Forty, AuditedName = HostileTexts.Forty[0] });
        var bytes = (await handlers.Get<ExportAudit>().Html(project.Auditor, seeded.JobId, CancellationToken.None)).Value.Bytes;
        var path = Path.Combine(project.Directory.Root, "audit.html");
        await File.WriteAllBytesAsync(path, bytes);

        var (requests, problems, words) = await OpenOffline(path, picture: "audit-file");

        Assert.Equal([new Uri(path).ToString()], requests);
        Assert.Empty(problems);
        Assert.All(HostileTexts.Forty, text => Assert.Contains(Plain(text), Plain(words), StringComparison.Ordinal));
    }

    /// <summary>The watch sees what it is for: the same texts written without a second thought.</summary>
    [Fact]
    public async Task A_careless_file_is_noticed()
    {
        using var project = new SeededProject();
        var path = Path.Combine(project.Directory.Root, "careless.html");
        await File.WriteAllTextAsync(path, $"<!DOCTYPE html><meta charset=utf-8><main>{string.Join("\n", HostileTexts.Forty.Where(text => !text.Contains("http-equiv", StringComparison.Ordinal) && !text.Contains("<noscript", StringComparison.Ordinal)))}</main>", Encoding.UTF8);

        var (requests, problems, _) = await OpenOffline(path, null);

        Assert.True(requests.Count > 1, "no request was seen");
        Assert.NotEmpty(problems);
    }

    private async Task<(IReadOnlyList<string> Requests, IReadOnlyList<string> Problems, string Words)> OpenOffline(string path, string? picture)
    {
        using var playwright = await Playwright.CreateAsync();
        await using var chromium = await Chromium.Launch(playwright);
        await using var context = await chromium.NewContextAsync(new BrowserNewContextOptions { Offline = true, ViewportSize = new ViewportSize { Width = 1440, Height = 900 } });
        await context.AddInitScriptAsync(HostileWatch.Script);
        var page = await context.NewPageAsync();
        List<string> requests = [], problems = [];
        page.Request += (_, request) => requests.Add(request.Url);
        page.Console += (_, message) => problems.Add($"console: {message.Text}");
        page.PageError += (_, error) => problems.Add($"error: {error}");
        page.Dialog += (_, dialog) => { problems.Add($"dialog: {dialog.Message}"); _ = dialog.DismissAsync(); };
        await page.GotoAsync(new Uri(path).ToString(), new PageGotoOptions { WaitUntil = WaitUntilState.Load });
        await page.EvaluateAsync(HostileWatch.Touch);
        var words = await page.EvaluateAsync<string>("() => document.body.textContent");
        if (picture is not null)
        {
            await page.ScreenshotAsync(new PageScreenshotOptions { Path = Path.Combine(Repository.Root, "artifacts", "screenshots", picture + ".png"), FullPage = true });
            Assert.Equal("rgb(246, 247, 246)", await page.EvaluateAsync<string>("() => getComputedStyle(document.documentElement).backgroundColor")); // its sheet is in force
        }
        return (requests, problems, words);
    }

    private static string Plain(string text) => string.Concat(text.Where(c => !char.IsWhiteSpace(c) && char.GetUnicodeCategory(c) is not System.Globalization.UnicodeCategory.Format));
}
