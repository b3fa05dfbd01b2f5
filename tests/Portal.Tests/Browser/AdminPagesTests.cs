using Microsoft.Playwright;
using Portal.Data.Registry;
using Xunit;

namespace Portal.Tests.Browser;

/// <summary>The pages of admins and reviewers in a real browser: their buttons do what they say. How they look is <see cref="EveryPageTests"/>.</summary>
[Collection(AdminPagesCollection.Name)]
[Trait("Speed", "slow")]
public sealed class AdminPagesTests(AdminPagesFixture fixture)
{
    [Theory]
    [InlineData("/models")]
    [InlineData("/data")]
    [InlineData("/train")]
    [InlineData("/jobs")]
    [InlineData("/features")]
    [InlineData("/endpoints")]
    public async Task An_empty_project_is_told_what_to_do(string path)
    {
        await using var page = await fixture.Open(path, project: fixture.Empty);

        await page.IsInOrderInEveryLook("empty" + path.Replace('/', '-'));
        Assert.True(await page.Page.Locator(path == "/train" ? "main button[disabled]" : "main .empty a.btn.primary").CountAsync() > 0);
    }

    [Fact]
    public async Task A_release_asks_for_a_reason_and_then_serves()
    {
        await using var page = await fixture.Open($"/models/{fixture.RewardModel.Id}");
        var other = fixture.Project.Model(ModelKind.RewardModel, 9, "reward model");
        await page.Page.GotoAsync($"/models/{other.Id}");
        await page.IsInteractive(); // the circuit of the release button
        await page.Page.ClickAsync("button[popovertarget=release]");
        await page.Picture("admin-release-asked");
        await page.Page.FillAsync("#release-reason", "   "); // the browser asks for some text, the portal for words
        await page.Page.ClickAsync("#release button.primary");
        await page.Page.Locator("main .note.bad").WaitForAsync();
        await page.Page.ClickAsync("button[popovertarget=release]");
        await page.Page.FillAsync("#release-reason", "Its accuracy is higher");
        await page.Page.ClickAsync("#release button.primary");
        await page.Page.Locator("main .badge.good", new PageLocatorOptions { HasTextString = "serves now" }).WaitForAsync();
        await page.IsInOrder();

        await page.IsInteractive();
        await page.Page.ClickAsync("button[popovertarget=roll-back]");
        await page.Page.FillAsync("#roll-back-reason", "It insults");
        await page.Page.ClickAsync("#roll-back button.danger");
        await page.Page.Locator("main .badge", new PageLocatorOptions { HasTextString = "released before" }).WaitForAsync();
        using var db = fixture.Project.Open();
        Assert.Equal(fixture.RewardModel.Id, db.Projects.Single(p => p.Id == fixture.Project.Id).CurrentRewardModelId);
        Assert.Equal(["It insults", "Its accuracy is higher"], db.Releases.Where(r => r.ToVersionId == other.Id || r.FromVersionId == other.Id).Select(r => r.Reason).Order().ToList());
    }

    [Fact]
    public async Task An_upload_streams_in_and_says_that_the_engine_is_away()
    {
        await using var page = await fixture.Open("/data/import");
        await page.Page.SetInputFilesAsync("input[type=file]", new FilePayload { Name = "<img src=x onerror=alert(1)>.jsonl", MimeType = "application/json", Buffer = "{\"prompt\":\"a\"}\n"u8.ToArray() });
        await page.Page.ClickAsync("main button.primary");

        await page.Page.Reaches(url => url.Contains("upload=", StringComparison.Ordinal));
        await page.Page.Locator("main .note.bad").WaitForAsync();

        Assert.Contains("engine is not running", await page.Page.Locator("main .note.bad").TextContentAsync(), StringComparison.Ordinal);
        await page.IsInOrder();
    }

    [Fact]
    public async Task Training_is_started_from_the_form_by_keyboard()
    {
        await using var page = await fixture.Open("/train");
        await page.Page.Locator("main button.primary:not([disabled])").WaitForAsync();
        await page.IsInteractive();
        await page.Page.FocusAsync("main button.primary.big");
        await page.Page.Keyboard.PressAsync("Enter");

        await page.Page.Locator("main .note.accent a").First.WaitForAsync();

        Assert.Equal(2, await page.Page.Locator("main .note.accent a").CountAsync());
        await page.Picture("admin-train-started");
        await page.IsInOrder();
    }

    [Fact]
    public async Task A_live_run_shows_new_rows_and_that_its_end_was_asked()
    {
        await using var page = await fixture.Open($"/jobs/{fixture.Running.Id}");
        await page.IsInteractive();
        fixture.Project.Change(db => db.Jobs.Single(j => j.Id == fixture.Running.Id).Report(150, 200, "training", 100, fixture.Project.Now));
        await page.Page.GetByText("Step 150 of 200").First.WaitForAsync();

        await page.Page.ClickAsync("button[popovertarget=cancel]");
        await page.Page.ClickAsync("#cancel button.danger");
        await page.Page.Locator("main .note.warn").First.WaitForAsync();

        using var db = fixture.Project.Open();
        Assert.NotNull(db.Jobs.Single(j => j.Id == fixture.Running.Id).CancelAskedAt);
        await page.IsInOrder();
    }
}
