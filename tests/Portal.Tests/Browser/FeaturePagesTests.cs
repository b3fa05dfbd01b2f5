using System.Globalization;
using Microsoft.Playwright;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Tests.Web.SaeFeatures;
using Xunit;

namespace Portal.Tests.Browser;

/// <summary>Features and X-rays in a real browser, of the version that is named: tests of toggles beside these let others serve; with a door that answers: a reviewer's way from a pair over its waterfall to a feature and its label.</summary>
[Collection(AdminPagesCollection.Name)]
[Trait("Speed", "slow")]
public sealed class FeaturePagesTests(AdminPagesFixture fixture)
{
    [Fact]
    public async Task From_a_disagreement_over_its_waterfall_to_a_label()
    {
        await using var door = await FakeEngineDoor.Open(fixture.Database.Directory);
        await using var page = await fixture.Open($"/pair-xray?version={fixture.Features.Model.Id}");
        await page.Page.ClickAsync($"main a[href^='pair-xray/{fixture.JudgedPair.Id}']");
        await page.Page.Locator("svg.fall").WaitForAsync();
        await page.IsInOrderInEveryLook("features-pair-xray");

        // The model's own numbers: the bars must name the difference of the two rewards that stand over the texts.
        var rewards = await page.Page.Locator("article.answer header b").AllTextContentsAsync();
        var difference = rewards.Select(Number).Aggregate((a, b) => a - b);
        Assert.Contains(Math.Abs(difference).ToString("N4", CultureInfo.InvariantCulture), await page.Page.Locator("figure.chart figcaption b").TextContentAsync(), StringComparison.Ordinal);
        await page.Page.Locator(".heat .token").First.FocusAsync();
        await page.Picture("features-token-focus");

        await page.Page.ClickAsync("nav[aria-label='Heat shows'] a[href*='feature=2']");
        await page.Page.Locator("nav[aria-label='Heat shows'] a[href*='feature=2'][aria-current=true]").WaitForAsync();
        await page.Page.ClickAsync("figure.chart summary");
        await page.Page.ClickAsync("figure.chart tbody tr.chosen a");
        await page.Page.Locator("#label-text").WaitForAsync();

        await page.Page.FillAsync("#label-text", "rude <b>words</b>");
        await page.Page.FillAsync("#label-pattern", "clod | dunce");
        await page.Page.ClickAsync("form:has(#label-text) button.primary");
        await page.Page.Locator("h1", new PageLocatorOptions { HasTextString = "rude <b>words</b>" }).WaitForAsync();
        await page.Page.Locator("main .note.accent").WaitForAsync();
        await page.IsInOrder();
        using var db = fixture.Project.Open();
        Assert.Single(db.FeatureLabels, label => label.Text == "rude <b>words</b>" && label.Detection == .9 && label.Pattern == "clod|dunce");
    }

    [Fact]
    public async Task A_response_is_read_and_a_typed_text_finds_features()
    {
        await using var door = await FakeEngineDoor.Open(fixture.Database.Directory);
        await using var page = await fixture.Open($"/response-xray/{fixture.JudgedPair.FirstResponseId}");
        await page.Page.Locator("svg.fall").WaitForAsync();
        await page.IsInOrderInEveryLook("features-response-xray");

        await page.Page.GotoAsync($"/features?version={fixture.Features.Model.Id}");
        await page.Page.FillAsync("textarea[name=Typed]", "Dear friend, go to the mill.");
        await page.Page.GetByText("Find its features").ClickAsync();
        await page.Page.GetByText("3 features fire on this text").WaitForAsync();
        Assert.DoesNotContain("friend", page.Page.Url, StringComparison.OrdinalIgnoreCase);
        await page.IsInOrderInEveryLook("features-typed");

        // The found features as a file: the browser saves it and stays, and the text is in no address.
        var saved = await page.Page.RunAndWaitForDownloadAsync(() => page.Page.ClickAsync("button.linkish:has-text('CSV')"));
        Assert.Equal("features-on-a-text-reward-model-v2.csv", saved.SuggestedFilename);
        Assert.DoesNotContain("friend", saved.Url, StringComparison.OrdinalIgnoreCase);
        Assert.Equal(3 + 1, File.ReadAllLines((await saved.PathAsync())!).Length); // saved
        await page.Page.GetByText("3 features fire on this text").WaitForAsync();

        // The table as a file, asked for as the link asks.
        await page.Page.GotoAsync($"/features?version={fixture.Features.Model.Id}&fires=Dead");
        var link = await page.Page.Locator("a[download][href*='table.csv']").GetAttributeAsync("href");
        var file = await page.Page.APIRequest.GetAsync("/" + link);
        Assert.Equal(8 + 1, (await file.TextAsync()).TrimEnd().Split("\r\n").Length); // 72 / 9 dead ones, and the head
    }

    /// <summary>Every table of these pages has its files: each link answers with as many rows as it should have columns for.</summary>
    [Fact]
    public async Task Every_file_that_a_page_offers_is_there()
    {
        await using var door = await FakeEngineDoor.Open(fixture.Database.Directory);
        await using var page = await fixture.Open($"/features?version={fixture.Features.Model.Id}");
        var model = fixture.Features.Model.Id;
        var seen = new HashSet<string>();
        foreach (var path in new[] { $"/features?version={model}", $"/features/{model}/0", $"/pair-xray?version={model}", $"/pair-xray/{fixture.JudgedPair.Id}?version={model}", $"/response-xray/{fixture.JudgedPair.FirstResponseId}?version={model}",
            "/toggle-studio", $"/toggle-studio/{fixture.Toggles.Published}", $"/models/{fixture.Autoencoder.Id}", $"/best-of/{fixture.BestOfN.JobId}" })
        {
            await page.Page.GotoAsync(path);
            foreach (var link in await page.Page.Locator("main a[download]").EvaluateAllAsync<string[]>("links => links.map(link => link.getAttribute('href'))"))
            {
                if (!seen.Add(link))
                    continue;
                var file = await page.Page.APIRequest.GetAsync("/" + link);
                Assert.True(file.Status == 200, $"{path}: {link} answered {file.Status}");
                var text = await file.TextAsync();
                Assert.True(link.Contains(".json", StringComparison.Ordinal) ? text.StartsWith('[') : text.Split("\r\n")[0].Contains(',', StringComparison.Ordinal), $"{path}: {link} holds {text[..Math.Min(80, text.Length)]}");
            }
            // What the pages draw or list has a link beside it. (The list of a version's files is of another part.)
            Assert.Empty(await page.Page.EvaluateAsync<string[]>("""
                () => [...document.querySelectorAll("main table")].map(table => table.closest("section, article")).filter(card => !card.querySelector("a[download], button.linkish"))
                  .map(card => card.innerText.slice(0, 60)).filter(text => !text.startsWith("Files"))
                """));
        }
        Assert.Contains(seen, link => link.Contains("/tokens.csv", StringComparison.Ordinal));
        Assert.Contains(seen, link => link.Contains("/votes.json", StringComparison.Ordinal));
        Assert.Contains(seen, link => link.Contains("/selection.csv", StringComparison.Ordinal));
        Assert.Contains(seen, link => link.Contains("/tables/features.csv", StringComparison.Ordinal));
        Assert.Contains(seen, link => link.Contains("toggle-studio/sets.csv", StringComparison.Ordinal));
    }

    [Fact]
    public async Task What_tracks_the_reward_may_be_its_cause_and_the_page_says_so()
    {
        await using var door = await FakeEngineDoor.Open(fixture.Database.Directory);
        await using var page = await fixture.Open($"/features?version={fixture.Features.Model.Id}");
        await page.Page.Locator("tr:has(.badge.warn:has-text('tracks the reward')) th a").First.ClickAsync();
        await page.Page.GetByText("no number on this page tells them apart").WaitForAsync();
        await page.Page.Locator(".iv.big").First.Or(page.Page.Locator("section:has(#adds) .thin").First).WaitForAsync();
        await page.IsInOrderInEveryLook("feature-tracks-reward");
        await page.Page.Locator(".note.warn a").ClickAsync();
        await page.Page.Reaches(url => url.Contains("/toggle-studio?model=", StringComparison.Ordinal) && url.Contains("latent=", StringComparison.Ordinal));
    }

    [Fact]
    public async Task What_is_not_described_yet_is_described_with_one_click()
    {
        var other = fixture.Project.Model(ModelKind.RewardModel, 31, "SARM");
        await using var page = await fixture.Open($"/features?version={other.Id}");
        await page.IsInteractive();
        await page.IsInOrderInEveryLook("features-not-described");
        await page.Page.ClickAsync("main .empty button.primary");
        await page.Page.Locator("main .note.accent a").WaitForAsync();

        fixture.Project.Change(db =>
        {
            var job = db.Jobs.Single(j => j.Kind == nameof(DescribeFeatures) && j.State == JobState.Queued);
            Assert.Equal(other.Id, ((DescribeFeatures)JobSpec.FromJson(job.SpecJson)).RewardModelId);
            job.Start(fixture.Project.Now);
            job.Fail("not described in this test", fixture.Project.Now);
        });
    }

    private static double Number(string text) => double.Parse(text.Replace('−', '-').Replace("reward", "", StringComparison.Ordinal).Trim(), NumberStyles.Float, CultureInfo.InvariantCulture);
}
