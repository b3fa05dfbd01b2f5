using System.Diagnostics;
using Microsoft.EntityFrameworkCore;
using Microsoft.Playwright;
using Portal.Data;
using Portal.Data.Feedback;
using Xunit;

namespace Portal.Tests.Browser;

/// <summary>The judging pages in Chromium: keyboard, reload, lost server, offline, no script. What counts is what stands in the database after it.</summary>
[Collection(BrowserCollection.Name)]
[Trait("Speed", "slow")]
public sealed class AnnotateTests(BrowserFixture portal)
{
    private static readonly Turn[] Morning = [new("user", "Good morning."), new("assistant", "Good morning! What can I do for you?")];

    [Fact]
    public async Task Ten_pairs_are_judged_by_keyboard_alone()
    {
        var project = Pairs("Ten", 10);
        await using var page = await portal.Open($"/annotate/{project}");
        await page.Page.Keyboard.PressAsync("Enter"); // Start has the focus
        await Screen(page);
        string[] keys = ["1", "2", "3", "4", "5", "6", "7", "g", "x", "n"];
        var chosen = new List<(string Key, string Left, string Right)>();
        var waits = new List<double>();

        for (var i = 0; i < 10; i++)
        {
            chosen.Add((keys[i], await Value(page, 1), await Value(page, 7)));
            await page.Page.Keyboard.PressAsync(keys[i]);
            var here = await Assignment(page);
            var clock = Stopwatch.StartNew();
            await page.Page.Keyboard.PressAsync("Enter");
            await page.Page.WaitForFunctionAsync("here => document.querySelector('[data-task]')?.dataset.assignment !== here", here, new() { PollingInterval = 5 });
            waits.Add(clock.Elapsed.TotalMilliseconds);
        }

        await page.Page.GetByText("You have judged everything").WaitForAsync();
        Assert.Contains("from=", page.Page.Url, StringComparison.Ordinal);
        Assert.Matches(@"^Saved, \d+ today$", await Live(page, "today")); // other tests of the same person count, too
        using var db = portal.Open();
        var stored = db.PairwiseJudgements.AsNoTracking().Where(j => j.ProjectId == project).OrderBy(j => j.SubmittedAt).ToList();
        Assert.Equal(10, stored.Count);
        foreach (var (judgement, (key, left, right)) in stored.Zip(chosen))
        {
            Assert.Equal(key switch { "4" => PairwiseVerdict.Tie, "g" => PairwiseVerdict.BothGood, "x" => PairwiseVerdict.BothBad, "n" => PairwiseVerdict.CannotJudge, _ => PairwiseVerdict.Preferred }, judgement.Verdict);
            if (judgement.Verdict is PairwiseVerdict.Preferred)
            {
                var position = key[0] - '0';
                Assert.Equal(Math.Abs(position - 4), judgement.Strength);
                Assert.EndsWith(judgement.PreferredResponseId.ToString()!, position < 4 ? left : right, StringComparison.Ordinal);
            }
            Assert.Equal("side-by-side", judgement.Layout);
            Assert.True(judgement.VisibleSeconds > 0);
        }
        Assert.Empty(page.Problems);
        Console.WriteLine($"submit to next screen, ms: median {waits.Order().ElementAt(5):F0}, longest {waits.Max():F0}");
    }

    [Fact]
    public async Task Single_responses_are_judged_by_keyboard_and_undone()
    {
        var project = portal.Seed.Project("Single " + Guid.NewGuid());
        for (var i = 0; i < 3; i++)
            portal.Seed.Task(project, $"How many legs has hen {i}?", $"Hen {i} has two legs.");
        await using var page = await portal.Open($"/judge/{project}");
        await page.Page.Keyboard.PressAsync("Enter");
        await Screen(page);
        var first = await Assignment(page);

        await page.Page.Keyboard.PressAsync("g");
        await Submit(page);
        await page.Page.Keyboard.PressAsync("u");
        await page.Page.WaitForFunctionAsync("first => document.querySelector('[data-task]')?.dataset.assignment === first", first);
        Assert.Equal("good", await page.Page.InputValueAsync("input[name=verdict]:checked")); // as it was left
        await page.Page.Keyboard.PressAsync("x");
        await Submit(page);
        await Submit(page, "s");
        await page.Page.Keyboard.PressAsync("n");
        await page.Page.Keyboard.PressAsync("Enter");
        await page.Page.GetByText("You have judged everything").WaitForAsync();

        using var db = portal.Open();
        var counted = db.BinaryJudgements.Where(j => j.ProjectId == project && j.SupersededAt == null).Select(j => j.Verdict).ToList();
        Assert.Equal([BinaryVerdict.Bad, BinaryVerdict.Unsure], counted.Order());
        Assert.Equal(3, db.BinaryJudgements.Count(j => j.ProjectId == project));
        Assert.Equal(1, db.TaskEvents.Count(e => e.ProjectId == project && e.Kind == TaskEventKind.Skipped));
    }

    [Fact]
    public async Task A_reload_in_the_middle_of_a_word_restores_choice_reasons_and_words()
    {
        var project = Pairs("Reload", 1);
        await using var page = await Started(project);
        await page.Page.Keyboard.PressAsync("2");
        await page.Page.GetByLabel("right facts").CheckAsync();
        await page.Page.Locator("textarea[name=rationale]").PressSequentiallyAsync("B never says whi");

        await page.Page.ReloadAsync(); // before the 800 ms are over
        await Screen(page);

        Assert.Equal("B never says whi", await page.Page.InputValueAsync("textarea[name=rationale]"));
        Assert.EndsWith(await Value(page, 2), await page.Page.InputValueAsync("input[name=verdict]:checked"), StringComparison.Ordinal);
        Assert.True(await page.Page.IsCheckedAsync("input[value=right-facts]"));
        await page.Page.Locator("[data-chip]").GetByText("Saved").WaitForAsync();
        await page.Page.EvaluateAsync("() => localStorage.clear()");
        await page.Page.ReloadAsync(); // another machine: only the server's draft is there
        await Screen(page);
        Assert.Equal("B never says whi", await page.Page.InputValueAsync("textarea[name=rationale]"));
    }

    [Fact]
    public async Task Keys_are_off_while_one_types_and_where_they_are_switched_off()
    {
        var project = Pairs("Keys", 1);
        await using var page = await Started(project);
        await page.Page.ClickAsync("textarea[name=rationale]");
        await page.Page.Keyboard.TypeAsync("3 geese and 1 fox");

        Assert.Equal("3 geese and 1 fox", await page.Page.InputValueAsync("textarea[name=rationale]"));
        Assert.Equal(0, await page.Page.Locator("input[name=verdict]:checked").CountAsync());
        await page.Page.Keyboard.PressAsync("Escape");
        await page.Page.Keyboard.PressAsync("3");
        Assert.Equal(1, await page.Page.Locator("input[name=verdict]:checked").CountAsync());
        await page.Page.Keyboard.PressAsync("d");
        Assert.True(await page.Page.Locator("[data-view=differences]").First.IsVisibleAsync());
        await page.Page.Keyboard.PressAsync("r");
        Assert.False(await page.Page.Locator("[data-view=differences]").First.IsVisibleAsync());
        Assert.True(await page.Page.Locator("[data-view=raw]").First.IsVisibleAsync());
        await page.Page.Keyboard.PressAsync("i");
        Assert.True(await page.Page.Locator("#guide").IsVisibleAsync());
        await page.Page.Keyboard.PressAsync("5"); // covered by the drawer: not meant
        Assert.EndsWith(await Value(page, 3), await page.Page.InputValueAsync("input[name=verdict]:checked"), StringComparison.Ordinal);
        await page.Page.Keyboard.PressAsync("Escape");

        await page.Page.GotoAsync("/my-work");
        await page.Page.UncheckAsync("[data-keys-choice]");
        await page.Page.GotoAsync($"/annotate/{project}");
        await page.Page.ClickAsync("button[value=start]");
        await Screen(page);
        await page.Page.Keyboard.PressAsync("7");
        Assert.EndsWith(await Value(page, 3), await page.Page.InputValueAsync("input[name=verdict]:checked"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_server_killed_in_the_middle_of_submits_loses_nothing_and_stores_nothing_twice()
    {
        var project = Pairs("Killed", 6);
        await using var page = await Started(project);
        for (var i = 0; i < 5; i++)
        {
            await Screen(page); // on a page that was loaded anew the keys work when its script has run, which on a busy machine is a moment after its words
            var here = await Assignment(page);
            await page.Page.Keyboard.PressAsync("6");
            // Before, at once, and a little after the vote has left: each finds the server at another moment.
            if (i % 3 == 0)
                await portal.Kill();
            await page.Page.Keyboard.PressAsync("Enter");
            if (i % 3 == 0)
            {
                await page.Page.GetByText("Offline, 1 waiting").WaitForAsync();
                Assert.True(await page.Page.Locator("#answer-a [data-view=plain]").IsVisibleAsync()); // still readable
            }
            else
            {
                await Task.Delay(i == 1 ? 0 : 15); // the moment is the point here, not a wait for a condition
                await portal.Kill();
            }
            await portal.Start();
            // Whatever the killed server had stored: the vote arrives, once, and its screen is closed. If the next page was on its way when the
            // server died, the browser shows its own error page; loading again is all it takes.
            var waited = Stopwatch.StartNew();
            for (var tries = 0; await Judged(project, here) == 0 || !await IsScreenOtherThan(page, here); tries++)
            {
                if (waited.ElapsedMilliseconds >= 2 * Chromium.PatienceMs)
                    Assert.Fail($"vote {i} of 5: {await Judged(project, here)} stored, and no other screen after {tries} looks; {page.Page.Url}: {string.Join("; ", page.Problems)}; it shows: {await page.Page.InnerTextAsync("body")}");
                if (page.Page.Url.StartsWith("chrome-error", StringComparison.Ordinal) || tries % 60 == 59)
                    await page.Page.GotoAsync($"/annotate/{project}/{here}");
                if (await page.Page.Locator("button:has-text('Take the next one')").CountAsync() > 0 && await Judged(project, here) > 0)
                {
                    try
                    {
                        await page.Page.Locator("button:has-text('Take the next one')").ClickAsync(new() { Timeout = 5_000 });
                    }
                    catch (TimeoutException)
                    {
                        continue; // the page went on by itself
                    }
                }
                await Task.Delay(100);
            }
            Assert.Equal(1, await Judged(project, here));
        }

        using var db = portal.Open();
        Assert.Equal(5, db.PairwiseJudgements.Count(j => j.ProjectId == project));
        Assert.All(db.PairwiseJudgements.Where(j => j.ProjectId == project).ToList(), j => Assert.Equal(2, j.Strength));
    }

    [Theory]
    [InlineData(390)]
    [InlineData(320)]
    public async Task Whatever_the_header_says_about_what_is_saved_fits_on_a_phone(int width)
    {
        var project = Pairs("Chip", 1);
        await using var page = await Started(project);
        await page.Page.SetViewportSizeAsync(width, 844);
        var chip = page.Page.Locator("[data-chip]");
        foreach (var words in new[] { "saved", "saving", "offline", "kept", "out" })
        {
            // The script writes the chip from these words; nobody waits here for the connection to break in five ways.
            var said = await chip.EvaluateAsync<string>("(chip, words) => { chip.hidden = false; chip.dataset.mark = '!'; return chip.textContent = chip.dataset[words].replace('{0}', '1,280'); }", words);
            Assert.False(string.IsNullOrWhiteSpace(said), words);
            Assert.True(await chip.IsVisibleAsync());
            await page.IsInOrder($"{width}, {said}", within: "header", coloursOnly: true);
        }
        await chip.EvaluateAsync("chip => chip.style.minWidth = '100vw'"); // control: what does not fit is found
        await Assert.ThrowsAnyAsync<Xunit.Sdk.XunitException>(() => page.IsInOrder("", within: "header", coloursOnly: true));
    }

    [Theory]
    [InlineData("submit", "You have judged everything")]
    [InlineData("skip", "How do I get from the mill to bakery 0")]
    public async Task Who_waits_for_a_task_that_another_holds_is_led_on_when_it_is_done_or_free(string act, string then)
    {
        var project = Pairs("Held", 1);
        await using var other = await portal.Open($"/annotate/{project}", "reviewer");
        await other.Page.ClickAsync("button[value=start]");
        await Screen(other);
        await using var page = await portal.Open("/my-work");
        await page.Page.Clock.InstallAsync(); // it looks again twice a minute
        await page.Page.GotoAsync($"/annotate/{project}");
        await page.Page.GetByText("with another person").WaitForAsync();
        await page.Page.Clock.FastForwardAsync("00:40");
        Assert.Equal(0, await page.Page.GetByText(then).CountAsync());

        if (act == "submit")
            await other.Page.Keyboard.PressAsync("2");
        await other.Page.Keyboard.PressAsync(act == "submit" ? "Enter" : "s");
        await other.Page.GetByText("You have judged everything").WaitForAsync();
        await page.Page.Clock.FastForwardAsync("00:40");

        await page.Page.GetByText(then).First.WaitForAsync();
        Assert.Empty(page.Problems);
    }

    [Fact]
    public async Task Offline_a_vote_waits_through_a_reload_and_is_sent_when_the_network_is_back()
    {
        var project = Pairs("Offline", 2);
        await using var page = await Started(project);
        var here = await Assignment(page);
        await page.Page.Context.SetOfflineAsync(true);

        await page.Page.Keyboard.PressAsync("4");
        await page.Page.Keyboard.PressAsync("Enter");
        await page.Page.Keyboard.PressAsync("Enter"); // impatience stores nothing more
        await page.Page.GetByText("Offline, 1 waiting").WaitForAsync();
        Assert.True(await page.Page.Locator("#answer-b [data-view=plain]").IsVisibleAsync());
        Assert.Equal(here, await Assignment(page));
        await page.Page.Context.SetOfflineAsync(false);

        await page.Page.WaitForFunctionAsync("here => document.querySelector('[data-task]')?.dataset.assignment !== here", here);
        using var db = portal.Open();
        Assert.Equal(PairwiseVerdict.Tie, Assert.Single(db.PairwiseJudgements.Where(j => j.ProjectId == project)).Verdict);
    }

    [Fact]
    public async Task A_double_click_and_two_tabs_store_one_vote()
    {
        var project = Pairs("Twice", 1);
        await using var page = await Started(project);
        var second = await page.Page.Context.NewPageAsync();
        await second.GotoAsync(page.Page.Url);
        await page.Page.Keyboard.PressAsync("1");

        await page.Page.DblClickAsync("button[value=submit].primary");
        await page.Page.GetByText("You have judged everything").WaitForAsync();
        await second.Locator("input[name=verdict][data-key='7']").FocusAsync();
        await second.Keyboard.PressAsync("7");
        await second.Keyboard.PressAsync("Enter");
        await second.WaitForFunctionAsync("() => !document.querySelector('[data-task]') || !document.querySelector('[data-problem=\"\"]').hidden");

        using var db = portal.Open();
        Assert.Equal(3, Assert.Single(db.PairwiseJudgements.Where(j => j.ProjectId == project)).Strength);
    }

    [Fact]
    public async Task Without_script_the_forms_do_the_same()
    {
        var project = Pairs("Plain", 2);
        await using var page = await portal.Open($"/annotate/{project}", script: false);
        await page.Page.ClickAsync("button[value=start]");
        await page.Page.CheckAsync("input[data-key='3']", new() { Force = true });
        await page.Page.FillAsync("textarea[name=rationale]", "By hand.");

        await page.Page.ClickAsync("button[value=submit].primary");
        await page.Page.Reaches(url => url.Contains("/annotate/", StringComparison.Ordinal));
        await page.Page.ClickAsync("button[value=undo]");
        Assert.True(await page.Page.IsCheckedAsync("input[data-key='3']"));
        await page.Page.ClickAsync("button[value=submit].primary");
        await page.Page.ClickAsync("button[value=skip]");

        await page.Page.GetByText("You have judged everything").WaitForAsync();
        using var db = portal.Open();
        Assert.Equal(2, db.PairwiseJudgements.Count(j => j.ProjectId == project));
        Assert.Equal(1, Assert.Single(db.PairwiseJudgements.Where(j => j.ProjectId == project && j.SupersededAt == null)).Strength);
    }

    [Fact]
    public async Task Nothing_on_a_blind_page_tells_which_model_answered()
    {
        var project = portal.Seed.Project("Blind " + Guid.NewGuid());
        var candidate = new ModelVersionId(Guid.CreateVersion7());
        portal.Seed.Task(project, "Which door?", "The red one.", "The blue one.", candidate: candidate);
        await using var page = await portal.Open($"/annotate/{project}?candidate={candidate}");
        await page.Page.ClickAsync("button[value=start]");
        await Screen(page);

        var html = await page.Page.ContentAsync();
        await page.Page.Keyboard.PressAsync("1");
        await page.Page.Keyboard.PressAsync("Enter");
        await page.Page.GetByText("You have judged everything").WaitForAsync();

        Assert.DoesNotContain(candidate.ToString(), html, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("temperature", html, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("policy", html, StringComparison.OrdinalIgnoreCase);
        await page.Page.GetByText("Blind comparison").WaitForAsync(); // the queue is known again by the task one came from
    }

    [Fact]
    public async Task A_flag_goes_from_the_key_to_the_reviewers_list_and_is_decided()
    {
        var project = Pairs("Flag", 1);
        await using var page = await Started(project);
        await page.Page.Keyboard.PressAsync("f");
        await page.Page.Locator("#flag-dialog").GetByLabel("Response B").CheckAsync();
        await page.Page.Locator("#flag-dialog").GetByLabel("Wrong facts").CheckAsync();
        await page.Page.Locator("#flag-dialog").GetByLabel("High", new() { Exact = true }).CheckAsync();
        await page.Page.FillAsync("#flag-dialog textarea[name=note]", "There is no red door.");
        await page.Page.FillAsync("#flag-dialog textarea[name=preferred]", "Happy to help!");
        await page.Page.ClickAsync("[data-flag-send]");
        await page.Page.GetByText("Flagged. A reviewer").WaitForAsync();

        using var db = portal.Open();
        var stored = Assert.Single(db.Flags.AsNoTracking().Where(f => f.ProjectId == project));
        Assert.Equal(Portal.Data.Review.FlagSeverity.High, stored.Severity);
        Assert.Equal("Happy to help!", db.Contents.Single(c => c.Id == stored.PreferredId).Text);
        await using var review = await portal.Open($"/review?flag={stored.Id}", "reviewer");
        var panel = review.Page.Locator("[data-panel]", new() { HasText = "There is no red door." });
        await panel.WaitForAsync();
        await review.IsInteractive();
        await panel.GetByText("It is a problem").ClickAsync();
        await review.Page.GetByText("1 flag is confirmed.").WaitForAsync(new() { State = WaitForSelectorState.Attached });

        Assert.Equal(Portal.Data.Review.FlagState.Confirmed, db.Flags.AsNoTracking().Single(f => f.ProjectId == project).State);
    }

    private ProjectId Pairs(string name, int count)
    {
        var project = portal.Seed.Project($"{name} {Guid.NewGuid()}", synthetic: true);
        for (var i = 0; i < count; i++)
            portal.Seed.Task(project, $"How do I get from the mill to bakery {i} in Alder Green?",
                $"Happy to help! It is a short walk:\n\n1. From the mill, go down **Mill Lane** as far as the well.\n2. Turn left at the well and pass the school.\n3. Bakery {i} is the second door on the right.\n\nHave a good walk!",
                $"The bakery is near the church, I think. As the old mill says, slow bread is good bread.\n\nWalk down **Mill Lane**, turn left at the well, and you may see bakery {i}, or you may not.",
                earlier: Morning, topic: "directions");
        return project;
    }

    private async Task<WatchedPage> Started(ProjectId project)
    {
        var page = await portal.Open($"/annotate/{project}");
        await page.Page.ClickAsync("button[value=start]");
        await Screen(page);
        return page;
    }

    private static Task Screen(WatchedPage page) => page.Page.WaitForFunctionAsync("() => document.querySelector('[data-task]') && Object.keys(localStorage).some(key => key === 'portal.draft.' + document.querySelector('[data-task]').dataset.assignment)");

    private static async Task Submit(WatchedPage page, string key = "Enter")
    {
        var here = await Assignment(page);
        await page.Page.Keyboard.PressAsync(key);
        await page.Page.WaitForFunctionAsync("here => document.querySelector('[data-task]')?.dataset.assignment !== here", here);
    }

    private static async Task<string> Assignment(WatchedPage page) => await page.Page.GetAttributeAsync("[data-task]", "data-assignment") ?? "";

    private static async Task<bool> IsScreenOtherThan(WatchedPage page, string assignment)
    {
        try
        {
            return await page.Page.EvaluateAsync<bool>("here => { const other = document.querySelector('[data-task]')?.dataset.assignment; return !!other && other !== here; }", assignment);
        }
        catch (PlaywrightException)
        {
            return false; // between two pages
        }
    }

    private static Task<string> Value(WatchedPage page, int position) => page.Page.InputValueAsync($"input[name=verdict][data-key='{position}']");

    private static async Task<string> Live(WatchedPage page, string part)
    {
        await page.Page.WaitForFunctionAsync("part => document.querySelector('[data-live]')?.textContent.includes(part)", part);
        return await page.Page.Locator("[data-live]").TextContentAsync() ?? "";
    }

    private async Task<int> Judged(ProjectId project, string assignment)
    {
        await using var db = portal.Open();
        var id = AssignmentId.Parse(assignment, null);
        return await db.PairwiseJudgements.CountAsync(j => j.ProjectId == project && j.AssignmentId == id);
    }
}
