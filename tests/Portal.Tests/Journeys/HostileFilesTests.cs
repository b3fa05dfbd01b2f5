using System.Text;
using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Microsoft.Playwright;
using Portal.Data.Feedback;
using Portal.Tests.Browser;
using Portal.Tests.Web;
using Xunit;

namespace Portal.Tests.Journeys;

/// <summary>Forty hostile texts come in from files, as names of files, names of columns and rows, through a live engine: nothing runs on the way.</summary>
[Trait("Speed", "slow")]
public sealed class HostileFilesTests : IAsyncLifetime
{
    private readonly DirectoryInfo nothing = Directory.CreateTempSubdirectory("portal-nothing-");
    private LivePortal live = null!; // set before the test

    public async Task InitializeAsync()
    {
        live = await LivePortal.Start();
        await live.StartEngine(nothing.FullName); // an empty demo project
    }

    public async Task DisposeAsync()
    {
        await live.DisposeAsync();
        nothing.Delete();
    }

    [Fact]
    public async Task Nothing_runs_where_files_come_in()
    {
        await using var watched = await live.Visit("/sign-in");
        var page = watched.Page;
        await page.Context.AddInitScriptAsync(HostileWatch.Script);
        await Chromium.SignIn(page, live.Directory, "demo-admin");
        for (var part = 0; part < 4; part++)
        {
            var texts = HostileTexts.Forty.Skip(10 * part).Take(10).ToList();
            var isKnown = part % 2 == 0; // else the file names the columns itself
            var rows = isKnown
                ? texts.Select(text => JsonSerializer.Serialize(new { prompt = text, response_a = text + " 1", response_b = text + " 2" }))
                : texts.Select(text => JsonSerializer.Serialize(new Dictionary<string, string> { [text] = text, ["question"] = text }));
            await HostileWatch.Go(watched, "/data/import");
            await page.SetInputFilesAsync("input[type=file]", new FilePayload { Name = texts[part] + ".jsonl", MimeType = "application/json", Buffer = Encoding.UTF8.GetBytes(string.Join('\n', rows)) });
            await page.ClickAsync("main button.primary");
            await page.Locator("#format").WaitForAsync();
            await HostileWatch.Look(watched);
            Assert.EndsWith(".jsonl", await page.Locator("#format").TextContentAsync(), StringComparison.Ordinal);
            if (isKnown)
                Assert.Equal(10, await page.Locator("section:has(#first) tbody tr").CountAsync());
            await watched.IsInteractive();
            if (await page.Locator(".mapping").CountAsync() == 0) // else nothing fits and the page asks by itself
                await page.Locator("section:has(#format) select").First.SelectOptionAsync("columns");
            await page.Locator(".mapping").WaitForAsync();
            await HostileWatch.Look(watched);
            if (!isKnown)
                continue;
            await page.Locator("section:has(#format) select").First.SelectOptionAsync("auto");
            await page.Locator(".mapping").WaitForAsync(new() { State = WaitForSelectorState.Detached });
            await page.ClickAsync("section:has(#decide) button.primary");
            await page.Reaches(url => url.Contains("/data/imports/", StringComparison.Ordinal));
            await page.Locator("main .badge.good").First.WaitForAsync();
            await HostileWatch.Look(watched);
        }
        await HostileWatch.Go(watched, "/data/import?refused=" + Uri.EscapeDataString(string.Join(' ', HostileTexts.Forty)), shows: "alert(1)");
        await HostileWatch.Go(watched, "/data", shows: ".jsonl");
        await HostileWatch.Go(watched, "/jobs");

        await using var db = live.Open();
        Assert.Equal(20, await db.Prompts.CountAsync());
        Assert.Equal(20, await db.Tasks.CountAsync(t => t.Kind == TaskKind.Pairwise)); // two of the four files were taken in
    }
}
