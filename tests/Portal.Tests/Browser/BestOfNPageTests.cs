using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Xunit;

namespace Portal.Tests.Browser;

/// <summary>The policy after toggles in a real browser: an admin asks for both comparisons on the page of a toggled reward model and reads one that is there.</summary>
[Collection(AdminPagesCollection.Name)]
[Trait("Speed", "slow")]
public sealed class BestOfNPageTests(AdminPagesFixture fixture)
{
    [Fact]
    public async Task Asked_for_on_the_model_page_and_read_side_by_side()
    {
        var seeded = fixture.BestOfN;
        await using var page = await fixture.Open($"/models/{seeded.Toggled.Id}");
        var p = page.Page;
        await p.FillAsync("#best-of-answers", "4");
        await p.FillAsync("#best-of-prompts", "6000");
        await p.EvaluateAsync("() => document.querySelector('#best-of-prompts').removeAttribute('max')"); // a browser that does not check
        await p.ClickAsync("form:has(#best-of-answers) button");
        await p.GetByText("must be between 1 and 5000").WaitForAsync();
        await p.FillAsync("#best-of-prompts", "20");
        await p.ClickAsync("form:has(#best-of-answers) button");
        await p.Locator("main .note.accent").WaitForAsync();
        await p.GetByText("Retrain the policy on pairs re-labelled").ClickAsync();
        await p.Locator("main .note.accent").Nth(1).WaitForAsync();
        await page.IsInOrderInEveryLook("best-of-asked");
        Asked(out var compare, out var retrain);
        Assert.Equal((seeded.Toggled.Id, 4, 20), (compare.AfterId!.Value, compare.Answers, compare.Prompts));
        Assert.Equal(seeded.Toggled.Id, retrain.RelabelledById);

        await p.ClickAsync($"main a[href='best-of/{seeded.JobId}']");
        await p.Locator("main del").First.WaitForAsync();
        await p.GetByText("Changed only").ClickAsync();
        await p.Locator("a[href*='show=changed'][aria-current=true]").WaitForAsync();
        Assert.Equal(seeded.Changed.Count, await p.Locator("main section:has(> header > h3)").CountAsync());
        var link = await p.Locator("a[download][href*='answers.csv']").GetAttributeAsync("href");
        Assert.Equal((3 * seeded.Prompts.Count) + 1, (await (await p.APIRequest.GetAsync("/" + link)).TextAsync()).TrimEnd().Split("\r\n").Length);
    }

    /// <summary>The two jobs; no engine runs, so they are ended here.</summary>
    private void Asked(out CompareBestOfN compare, out TrainPreferencePolicy retrain)
    {
        using var db = fixture.Project.Open();
        var jobs = db.Jobs.Where(j => j.State == JobState.Queued).OrderByDescending(j => j.Number).Take(2).ToList();
        (retrain, compare) = ((TrainPreferencePolicy)JobSpec.FromJson(jobs[0].SpecJson), (CompareBestOfN)JobSpec.FromJson(jobs[1].SpecJson));
        foreach (var job in jobs)
        {
            job.Start(fixture.Project.Now);
            job.Fail("not run in this test", fixture.Project.Now);
        }
        db.SaveChanges();
    }
}
