using System.Text.RegularExpressions;
using Microsoft.Playwright;
using Portal.Data;
using Portal.Data.Jobs;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;
using Portal.Tests.Web.SaeFeatures;
using Xunit;

namespace Portal.Tests.Browser;

/// <summary>The toggle studio in a real browser with a fake door: features are added by keyboard, the preview follows, a set goes to a second person, and another's is published and rolled back.</summary>
[Collection(AdminPagesCollection.Name)]
[Trait("Speed", "slow")]
public sealed class ToggleStudioTests(AdminPagesFixture fixture)
{
    [Fact]
    public async Task A_set_is_made_turned_previewed_saved_and_proposed()
    {
        var toggles = fixture.Toggles;
        await using var door = await FakeEngineDoor.Open(fixture.Database.Directory);
        await using var page = await fixture.Open($"/toggle-studio?model={toggles.Features.Model.Id}&latent=402");
        var p = page.Page;
        await p.ClickAsync("#new-set");
        await p.Reaches(url => url.Contains("/toggle-studio/", StringComparison.Ordinal));
        var id = new ToggleSetId(Guid.Parse(new Uri(p.Url).Segments[^1]));
        await page.IsInteractive();
        await p.Locator("#factor-402").WaitForAsync();
        await p.GetByText("10 pairs", new() { Exact = true }).WaitForAsync(); // switched off: one unit from 1

        await p.FillAsync("#feature-search", "old mill");
        await p.PressAsync("#feature-search", "Enter");
        await p.Locator("#factor-1187").WaitForAsync();
        await p.FillAsync("#factor-1187", "-1");
        await p.GetByText("30 pairs", new() { Exact = true }).WaitForAsync(); // 402 off and 1187 turned round
        await p.FillAsync("#toggle-target", "old mill");
        await p.GetByText("30 pairs, 15 of them on target").WaitForAsync();
        await p.FillAsync("#factor-1187", "1e9");
        await p.Locator("label.field.invalid .problem").WaitForAsync();
        Assert.True(await p.Locator("#save-set").IsDisabledAsync());
        await p.FillAsync("#factor-1187", "0.5");
        await p.FillAsync("#toggle-reason", "It pays for a slogan");
        await p.GetByText("15 pairs, 7 of them on target").Or(p.GetByText("15 pairs, 8 of them on target")).WaitForAsync();
        await p.ClickAsync("#save-set");
        await p.Locator("#saved", new() { HasTextString = "Saved 20" }).WaitForAsync();
        await page.IsInOrderInEveryLook("toggle-previewed");

        await p.ClickAsync("button[popovertarget=propose]");
        await p.ClickAsync("#propose button.primary");
        await p.Locator(".badge", new() { HasTextString = "waits for a second person" }).WaitForAsync();

        using var db = fixture.Project.Open();
        var set = db.ToggleSets.Single(s => s.Id == id);
        Assert.Equal((ToggleSetState.Waiting, "old mill"), (set.State, set.Target));
        Assert.Equal([new Toggle(402, 0), new Toggle(1_187, .5)], set.Toggles());
        Assert.Equal(JobState.Queued, db.Jobs.Single(j => j.Id == set.JobId).State);
        Assert.Empty(page.Problems);
        toggles.Made(id, 61);
        await p.Locator("#not-you").WaitForAsync(); // without a reload: the rows are looked at; the author may not approve
        Assert.Equal(0, await p.Locator("button[popovertarget=approve]").CountAsync());
    }

    // Notes each time that something else than a key changes a field: the circuit, when it thinks that the field should say something else.
    private const string NoteWhatIsWritten = """
        field => {
          const input = document.querySelector(field), value = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(input), 'value');
          Object.defineProperty(input, 'value', { get() { return value.get.call(this) }, configurable: true, set(to) { (window.written ??= []).push(`${field}: ${to} over ${value.get.call(this)}`); value.set.call(this, to) } });
        }
        """;

    /// <summary>Letters come faster than the circuit answers: an answer about the first ones must not write over those that came since, not even for a moment.</summary>
    [Fact]
    public async Task What_is_typed_fast_stays_as_it_was_typed()
    {
        var toggles = fixture.Toggles;
        await using var door = await FakeEngineDoor.Open(fixture.Database.Directory);
        await using var page = await fixture.Open($"/toggle-studio?model={toggles.Features.Model.Id}&latent=402");
        var p = page.Page;
        await p.ClickAsync("#new-set");
        await p.Reaches(url => url.Contains("/toggle-studio/", StringComparison.Ordinal));
        await page.IsInteractive();
        foreach (var (field, text) in new[]
        {
            ("#toggle-name", "turn the two largest features round, and nothing else"), ("#toggle-target", "dunce|clod|oaf|fool|noodle|turnip|pumpkin|dolt"),
            ("#toggle-reason", "Insults should not decide which of two answers is the better one."), ("#feature-search", "says the old mill"), ("#factor-402", "-12.389"),
        })
        {
            await p.EvaluateAsync(NoteWhatIsWritten, field);
            await p.FillAsync(field, "");
            await p.Locator(field).PressSequentiallyAsync(text);
            await p.Locator("#saved", new() { HasTextString = "Not saved yet" }).WaitForAsync();
            await Assertions.Expect(p.Locator(field)).ToHaveValueAsync(text, new() { Timeout = 30_000 }); // on a busy machine the last key may still be on its way; what was written over never comes back
        }
        await Assertions.Expect(p.Locator("#factor-402-range")).ToHaveAttributeAsync("aria-valuetext", new Regex(@"12\.39"), new() { Timeout = 30_000 }); // the answer to the last key
        var written = await p.EvaluateAsync<string>("() => (window.written ?? []).join('; ')");
        Assert.True(written.Length == 0, $"the circuit wrote {written}");
        await p.EvaluateAsync("() => delete document.querySelector('#factor-402').value");
        Assert.Equal("-1", await p.InputValueAsync("#factor-402-range")); // as far as the slider goes
        await p.Locator("#factor-402-range").PressAsync("ArrowRight");
        await Assertions.Expect(p.Locator("#factor-402")).ToHaveValueAsync("-0.9", new() { Timeout = 30_000 });
        await p.ClickAsync("#save-set");
        await p.Locator("#saved", new() { HasTextString = "Saved 20" }).WaitForAsync();

        using var db = fixture.Project.Open();
        var id = new ToggleSetId(Guid.Parse(new Uri(p.Url).Segments[^1]));
        var set = db.ToggleSets.Single(s => s.Id == id);
        Assert.Equal(("turn the two largest features round, and nothing else", "dunce|clod|oaf|fool|noodle|turnip|pumpkin|dolt"), (set.Name, set.Target));
        Assert.Equal([new Toggle(402, -.9)], set.Toggles());
        Assert.Empty(page.Problems);
    }

    [Fact]
    public async Task The_second_person_approves_what_is_shown_and_rolls_it_back()
    {
        var id = fixture.Toggles.Waiting;
        await using var page = await fixture.Open($"/toggle-studio/{id}");
        var p = page.Page;
        await page.IsInteractive();
        await p.Locator("#flips").WaitForAsync(); // the stored preview, without any engine
        await p.GetByText("Both responses").First.ClickAsync();
        await page.IsInOrder(); // in every look: EveryPageTests

        await p.ClickAsync("button[popovertarget=approve]");
        await p.FillAsync("#approve-note", "Read 12 flips; all 12 were the slogan.");
        await p.ClickAsync("#approve button.primary");
        await p.Locator(".badge.good", new() { HasTextString = "published" }).WaitForAsync();
        await page.IsInteractive();
        await page.Picture("toggle-published");
        await p.ClickAsync("button[popovertarget=roll-back]");
        await p.FillAsync("#roll-back-reason", "It was worse");
        await p.ClickAsync("#roll-back button.danger");
        await p.GetByText("does not serve now").WaitForAsync();

        using var db = fixture.Project.Open();
        Assert.Equal(fixture.RewardModel.Id, db.Projects.Single(x => x.Id == fixture.Project.Id).CurrentRewardModelId);
        var set = db.ToggleSets.Single(s => s.Id == id);
        Assert.False(set.IsSelfApproved);
        Assert.Equal([false, true], db.Releases.Where(r => r.ToVersionId == set.PublishedVersionId || r.FromVersionId == set.PublishedVersionId).OrderBy(r => r.At).Select(r => r.IsRollBack).ToList());
        Assert.Empty(page.Problems);
    }

    [Fact]
    public async Task The_second_person_refuses_with_a_reason_that_stays_on_the_page()
    {
        var toggles = fixture.Toggles;
        var id = toggles.Made(toggles.Proposed(toggles.Set("ten times the mill", toggles.Other, [new(1_187, 10)])), 62);
        await using var page = await fixture.Open($"/toggle-studio/{id}");
        var p = page.Page;
        await page.IsInteractive();

        await p.ClickAsync("button[popovertarget=refuse]");
        await p.ClickAsync("#refuse button.danger");
        Assert.True(await p.Locator("#refuse-note").EvaluateAsync<bool>("field => field.matches(':user-invalid')")); // the browser asks for words, nothing is sent
        await p.FillAsync("#refuse-note", "Ten times is beyond what was seen.");
        await p.ClickAsync("#refuse button.danger");

        await p.Locator(".badge.bad", new() { HasTextString = "refused" }).WaitForAsync();
        Assert.Contains("Ten times is beyond what was seen.", await p.Locator("#decision-note").InnerTextAsync(), StringComparison.Ordinal);
        using var db = fixture.Project.Open();
        Assert.Equal((ToggleSetState.Refused, "Ten times is beyond what was seen."), (db.ToggleSets.Single(s => s.Id == id).State, db.ToggleSets.Single(s => s.Id == id).DecisionNote));
        Assert.Empty(page.Problems);
    }

    [Fact]
    public async Task An_SAE_training_is_started_from_its_form_and_a_wrong_number_is_named()
    {
        await using var page = await fixture.Open("/train/features");
        await page.IsInteractive();
        await page.Picture("train-features");
        await page.Page.FillAsync("#sae-k", "0");
        await page.Page.EvaluateAsync("() => document.querySelector('#train-sae').noValidate = true"); // what a browser without checks sends
        await page.Page.ClickAsync("#train-sae button.primary");
        await page.Page.Locator("#train-sae .note.bad").WaitForAsync();
        await page.Page.FillAsync("#sae-k", "32");
        await page.Page.ClickAsync("#train-sae button.primary");
        await page.Page.Locator("#train-sae .note.accent a").WaitForAsync();

        using var db = fixture.Project.Open();
        Assert.Contains("\"k\":32", db.Jobs.Where(j => j.Kind == "TrainSae").OrderByDescending(j => j.Number).First().SpecJson, StringComparison.Ordinal);
        await page.IsInOrder();
    }
}
