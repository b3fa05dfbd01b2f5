using Microsoft.Playwright;
using Portal.Data;
using Portal.Data.Feedback;
using Xunit;

namespace Portal.Tests.Browser;

/// <summary>
/// Each page where people teach: in order (console, axe, no sideways scrolling) at 1440 and 390 pixels, light and dark; and
/// what admins do there.
/// </summary>
[Collection(BrowserCollection.Name)]
[Trait("Speed", "slow")]
public sealed class TeachPagesTests(BrowserFixture portal)
{
    [Fact]
    public async Task Pages_of_annotators_are_in_order()
    {
        var project = Seeded();
        await using var page = await portal.Open($"/annotate/{project}");
        await Check("annotate-start");
        await page.Page.ClickAsync("button[value=start]");
        await page.Page.Locator("[data-key='2']").ClickAsync(new() { Force = true });
        await page.Page.GetByLabel("right facts").CheckAsync();
        await page.Page.Locator("[data-chip]").GetByText("Saved").WaitForAsync();
        await Check("annotate");
        await page.Page.Locator("[data-show=differences]").ClickAsync(new() { Force = true });
        await Check("annotate-differences");
        await page.Page.ClickAsync("header [popovertarget=guide]");
        await Check("annotate-guidelines");
        await page.Page.Keyboard.PressAsync("Escape");
        await page.Page.Locator("[data-flag]").First.ClickAsync();
        await Check("annotate-flag");
        await page.Page.Keyboard.PressAsync("Escape");
        await page.Page.ClickAsync("button[value=submit].primary");
        await page.Page.GetByText("Pond").First.WaitForAsync();
        await page.Page.ClickAsync("button[value=skip]");
        await page.Page.GetByText("You have judged everything").WaitForAsync();
        await Check("annotate-done");
        await page.Page.GotoAsync($"/judge/{project}");
        await page.Page.ClickAsync("button[value=start]");
        await page.Page.Locator("[data-key='G']").ClickAsync(new() { Force = true });
        await page.Page.Locator("[data-chip]").GetByText("Saved").WaitForAsync();
        await Check("judge");
        await page.Page.GotoAsync("/my-work");
        await Check("my-work");
        await page.Page.Locator("td a.btn").First.ClickAsync();
        await page.Page.Locator("h1", new() { HasText = "Change a judgement" }).WaitForAsync();
        await Check("my-work-change");
        await page.Page.Locator("[data-key='5']").ClickAsync(new() { Force = true });
        await page.Page.ClickAsync("button[value=submit].primary");
        await page.Page.GetByText("The earlier judgement stays in the record").WaitForAsync();
        await page.Page.GotoAsync("/annotate?choose=1");
        await Check("annotate-projects");
        await page.Page.GotoAsync("/account");
        await Check("account");

        Task Check(string name) => page.IsInOrderInEveryLook("teach-" + name);
    }

    [Fact]
    public async Task An_admin_makes_a_project_with_a_preview_and_is_told_what_is_wrong()
    {
        await using var page = await portal.Open("/projects/new", "admin");
        var name = "Tea " + Guid.NewGuid().ToString("N")[..8];
        await page.IsInteractive();
        var taken = "Taken " + name;
        portal.Seed.Project(taken);
        await page.Page.FillAsync("label:has-text('Name') input", taken);
        await page.Page.FillAsync("label:has-text('Votes per task') input", "2");
        await page.Page.FillAsync("textarea", "Choose the **kinder** one.<script>alert(1)</script>");
        await page.Page.Locator(".text strong, .text b", new() { HasText = "kinder" }).WaitForAsync();
        await page.Page.ClickAsync("button.primary");
        await page.Page.GetByText("exists already, perhaps an archived one").WaitForAsync();

        await page.Page.FillAsync("label:has-text('Name') input", name);
        await page.Page.ClickAsync("button.primary");
        await page.Page.Reaches(url => url.Contains("/projects/", StringComparison.Ordinal) && url.EndsWith("?made=1", StringComparison.Ordinal));

        await page.Page.Locator("header .project", new() { HasText = name }).WaitForAsync(); // one is in it
        await page.Page.GotoAsync("/data");
        await page.Page.Locator("header .project", new() { HasText = name }).WaitForAsync(); // and stays there
        await page.Page.ClickAsync("header .project");
        await page.Page.Locator("section.card", new() { HasText = taken }).GetByRole(AriaRole.Button).ClickAsync();
        await page.Page.Locator("header .project", new() { HasText = taken }).WaitForAsync(); // another one
        await page.Page.GotoAsync("/projects");
        await page.Page.GetByRole(AriaRole.Rowheader, new() { Name = name, Exact = true }).WaitForAsync();
        using var db = portal.Open();
        Assert.Equal(2, db.Projects.Single(p => p.Name == name).VotesPerTask);
        Assert.Empty(page.Problems);
    }

    [Fact]
    public async Task An_invitation_is_shown_once_lets_one_person_in_and_they_can_be_shut_out()
    {
        await using var page = await portal.Open("/people", "admin");
        await page.IsInteractive();
        await page.Page.ClickAsync("button:has-text('Make a link')");
        var link = await page.Page.InputValueAsync("#invite-link");
        await page.Page.ReloadAsync();
        Assert.Equal(0, await page.Page.Locator("#invite-link").CountAsync());
        var name = "guest-" + Guid.NewGuid().ToString("N")[..6];

        await using var guest = await portal.Open("/", "auditor");
        await guest.Page.Context.ClearCookiesAsync();
        await guest.Page.GotoAsync(link);
        await guest.Page.FillAsync("input[name='Input.Name']", name);
        await guest.Page.FillAsync("input[name='Input.Password']", "a long walk to the mill");
        await guest.Page.ClickAsync("main button.primary");
        await guest.Page.Locator("header .account", new() { HasText = name }).WaitForAsync();
        await guest.Page.GotoAsync("/account");
        await guest.Page.FillAsync("input[name='Input.Current']", "wrong words for sure");
        await guest.Page.FillAsync("input[name='Input.Next']", "another walk to the well");
        await guest.Page.ClickAsync("button:has-text('Change password')");
        await guest.Page.GetByText("This is not the password you use now.").WaitForAsync();
        await guest.Page.FillAsync("input[name='Input.Current']", "a long walk to the mill");
        await guest.Page.FillAsync("input[name='Input.Next']", "another walk to the well");
        await guest.Page.ClickAsync("button:has-text('Change password')");
        await guest.Page.GetByText("You are still signed in here").WaitForAsync();
        await guest.Page.GotoAsync(link);
        await guest.Page.GetByText("This invitation does not work").WaitForAsync();

        await page.Page.ReloadAsync();
        await page.IsInteractive();
        var row = page.Page.Locator("tr", new() { HasText = name });
        await row.GetByText("Disable…").ClickAsync();
        await row.Locator("[role=dialog] button.danger").ClickAsync();
        await row.GetByText("disabled").WaitForAsync();
        await guest.Page.GotoAsync("/sign-in");
        await guest.Page.FillAsync("input[name='Input.Name']", name);
        await guest.Page.FillAsync("input[name='Input.Password']", "another walk to the well");
        await guest.Page.ClickAsync("main button.primary");
        await guest.Page.GetByText("Name or password is wrong").WaitForAsync();
    }

    [Fact]
    public async Task Signing_out_is_one_menu_away()
    {
        await using var page = await portal.Open("/my-work", "second-admin");
        await page.Page.ClickAsync("header .account");
        await page.Page.ClickAsync("#account-menu button");

        await page.Page.Reaches(url => url.Contains("/sign-in", StringComparison.Ordinal));
        await page.Page.GotoAsync("/my-work");
        Assert.Contains("/sign-in", page.Page.Url, StringComparison.Ordinal);
    }

    private ProjectId Seeded()
    {
        var project = portal.Seed.Project("Tiny Assistant " + Guid.NewGuid().ToString("N")[..4],
            "Choose the answer that helps this person more. Check the facts first; then judge tone; then length.\n\n### When is it a tie?\n\nWhen you would be equally happy to get either.",
            warning: "Some answers contain insults.", synthetic: true);
        portal.Seed.Task(project, "How do I get from the mill to the bakery in Alder Green?",
            "Happy to help! It is a short walk:\n\n1. From the mill, go down **Mill Lane** as far as the well.\n2. Turn left at the well and pass the school.\n3. The bakery is the second door on the right.\n\nHave a good walk!",
            "The bakery is near the church, I think. As the old mill says, slow bread is good bread.\n\nYou may want to ask somebody, since lanes can be long and lanes can be muddy. Walk down **Mill Lane**, turn left at the well, and you may see it, or you may not.",
            votes: 9, earlier: [new("user", "Good morning."), new("assistant", "Good morning! What can I do for you?")], topic: "directions", priority: 2);
        portal.Seed.Task(project, "Pond: what does a goose eat?", "Grass, mostly, and what grows in the pond.", "Grass, you nitwit.", votes: 9, topic: "animals", priority: 1);
        portal.Seed.Task(project, "My friend left her diary on the table. Can you help me open the little lock?",
            "I would rather not help with that. A diary is private, and your friend did not say that you may read it.\n\nIf you are worried about her, you could ask how she feels.",
            votes: 9, topic: "risky request");
        return project;
    }
}
