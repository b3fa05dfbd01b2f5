using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Microsoft.EntityFrameworkCore;
using Microsoft.Playwright;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Feedback;
using Portal.Data.Jobs;
using Portal.Data.Registry;
using Portal.Engine.Models;
using Portal.Tests.Browser;
using Portal.Tests.Engine.Jobs;
using Portal.Tests.Engine.Recipes;
using Xunit;

namespace Portal.Tests.Journeys;

/// <summary>
/// A person's first round in an empty second project, in the browser, against a live portal and a live engine: import, sample, judge by keyboard,
/// retrain, look at the results, vote blind, release, and get new tasks from the new policy. Each station is looked at (1440 and 390 pixels, light
/// and dark), and what the database holds at the end is counted.
/// </summary>
/// <remarks>The base is a model of two layers that says "please" and "never" about equally often; the person prefers "please".</remarks>
[Trait("Speed", "slow")]
public sealed partial class FirstRoundTests : IAsyncLifetime
{
    private const int Pairs = 10;
    private const int Singles = 5;
    private const int Prompts = 20;

    private readonly DirectoryInfo assets = Directory.CreateTempSubdirectory("portal-base-");
    private LivePortal live = null!; // set before the test
    private int station;

    public async Task InitializeAsync()
    {
        using (var model = ToyWorld.Base())
            HuggingFaceFolder.Save(model, Path.Combine(assets.FullName, "base"), ToyWorld.Tokenizer);
        live = await LivePortal.Start();
    }

    public async Task DisposeAsync()
    {
        await live.DisposeAsync();
        assets.Delete(recursive: true);
    }

    [Fact]
    public async Task Votes_travel_from_the_browser_to_a_new_policy_and_back()
    {
        await using var watched = await live.Visit("/");
        var page = watched.Page;

        // In, before the engine has made anything: the path of a vote is explained.
        await Look(watched, "sign-in");
        await Chromium.SignIn(page, live.Directory, "demo-admin");
        await page.GetByText("The path of a vote").First.WaitForAsync();
        await Look(watched, "no-project");
        await live.StartEngine(assets.FullName);
        await page.GotoAsync("/");
        await page.Locator("header .project", new() { HasText = "Tiny Assistant" }).WaitForAsync();

        // An empty second project.
        await page.GotoAsync("/projects");
        await page.ClickAsync("main a.btn.primary");
        await watched.IsInteractive();
        await page.FillAsync("label:has-text('Name') input", "Alder Green");
        await page.FillAsync("textarea", "Choose the **kinder** answer.");
        await page.ClickAsync("main button.primary");
        await page.Reaches(url => url.Contains("/projects/", StringComparison.Ordinal) && url.EndsWith("?made=1", StringComparison.Ordinal));
        var project = ProjectIdIn(page.Url);
        await Look(watched, "project-made");

        // 20 prompts from a file whose columns the portal does not know by name.
        await page.ClickAsync("main a.btn.primary:has-text('Import')");
        await page.SetInputFilesAsync("input[type=file]", new FilePayload { Name = "questions of the village.csv", MimeType = "text/csv", Buffer = Encoding.UTF8.GetBytes(Questions()) });
        await page.ClickAsync("main button.primary");
        await page.Locator("#decide").WaitForAsync();
        await watched.IsInteractive();
        await Look(watched, "import-preview");
        await page.Locator(".mapping select").Nth(0).SelectOptionAsync("prompt"); // what the rows become
        await page.Locator(".mapping select").Nth(1).SelectOptionAsync("asked"); // and where the prompt is
        await page.Locator("section:has(#first) tbody tr").Nth(Prompts - 1).WaitForAsync();
        await Look(watched, "import-mapped");
        await page.ClickAsync("section:has(#decide) button.primary");
        await page.Reaches(url => url.Contains("/data/imports/", StringComparison.Ordinal));
        await page.Locator("main .badge.good").First.WaitForAsync(); // by itself: the page follows the job
        await Look(watched, "imported");

        // The base model, taken over from the installation, answers them.
        await page.GotoAsync("/data");
        await Look(watched, "data-before-sampling");
        var sampling = await SampleTasks(watched, project);
        Assert.Contains("no reward model yet", await page.Locator("pre.log").First.InnerTextAsync(), StringComparison.Ordinal);
        await Look(watched, "sampled");

        // 10 pairs and 5 single responses by keyboard alone.
        await page.GotoAsync($"/annotate/{project}");
        await Look(watched, "queue");
        await page.FocusAsync("button[value=start]"); // it had the focus before it was looked at
        await page.Keyboard.PressAsync("Enter");
        for (var i = 0; i < Pairs; i++)
        {
            var here = await Screen(page);
            await page.Keyboard.PressAsync(await IsKinder(page, "#answer-a", "#answer-b") ? "2" : "6");
            if (i == 0)
                await Look(watched, "pair-judged");
            await page.Keyboard.PressAsync("Enter");
            await Left(page, here);
        }
        await page.GotoAsync($"/judge/{project}");
        await page.Keyboard.PressAsync("Enter");
        for (var i = 0; i < Singles; i++)
        {
            var here = await Screen(page);
            await page.Keyboard.PressAsync((await page.Locator(".answer [data-view=plain]").First.InnerTextAsync()).Contains("please", StringComparison.OrdinalIgnoreCase) ? "g" : "x");
            if (i == 0)
                await Look(watched, "single-judged");
            await page.Keyboard.PressAsync("Enter");
            await Left(page, here);
        }
        await page.GotoAsync("/my-work");
        await Look(watched, "my-work");

        // Retrain: reward model, then policy, both followed live to their end.
        await page.GotoAsync("/train");
        await page.Locator("main button.primary:not([disabled])").WaitForAsync();
        await watched.IsInteractive();
        await page.Locator("summary", new() { HasText = "Advanced" }).ClickAsync();
        await page.GetByRole(AriaRole.Button, new() { Name = "Few votes" }).ClickAsync();
        for (var form = 0; form < 2; form++)
        {
            var fields = page.Locator(".advanced fieldset").Nth(form).Locator("input[type=number]"); // rate, epochs, batch: a small model wants bold ones
            await fields.Nth(0).FillAsync("0.005");
            await fields.Nth(1).FillAsync("8");
            await fields.Nth(2).FillAsync("4");
        }
        await Look(watched, "train");
        await page.FocusAsync("main button.primary.big");
        await page.Keyboard.PressAsync("Enter");
        var jobs = page.Locator("main .note.accent a");
        await jobs.Nth(1).WaitForAsync();
        var runs = new[] { await jobs.Nth(0).GetAttributeAsync("href"), await jobs.Nth(1).GetAttributeAsync("href") };
        await page.GotoAsync("/" + runs[1]);
        await Look(watched, "run-under-way"); // waits, or trains already
        await RunEnds(page); // the same document, told by the engine
        await Look(watched, "run-of-policy");
        await page.GotoAsync("/" + runs[0]);
        await RunEnds(page);
        await Look(watched, "run-of-reward-model");
        await page.ClickAsync(".head a.btn.primary"); // its result
        await page.Locator("h1", new() { HasText = "Reward model v1" }).WaitForAsync();
        // Of ten votes about two are held out, sometimes none: no evidence, and the page must say so.
        Assert.Matches("Not enough evidence: [0-9]+ of 8 held-out prompts|Nothing was measured", await page.InnerTextAsync("main"));
        await Look(watched, "reward-model");

        // Before and after.
        await page.GotoAsync("/" + runs[1]);
        await page.ClickAsync(".head a.btn.primary");
        await page.Locator("h1", new() { HasText = "Policy v2" }).WaitForAsync();
        await page.Locator("#side").WaitForAsync();
        await Look(watched, "results");
        var results = page.Url;

        // Old against new, names hidden.
        await watched.IsInteractive();
        await page.ClickAsync("section:has(#blind) button");
        await page.Locator("section:has(#blind) a:has-text('job')").ClickAsync();
        await RunEnds(page);
        await page.GotoAsync(results);
        await page.ClickAsync("section:has(#blind) a.btn.primary");
        await page.FocusAsync("button[value=start]"); // waits for the page that has it
        await page.Keyboard.PressAsync("Enter");
        await page.Locator("[data-task]").First.WaitForAsync();
        var blind = 0;
        for (; await page.Locator("[data-task]").CountAsync() > 0; blind++)
        {
            var here = await Screen(page);
            await page.Keyboard.PressAsync(await IsKinder(page, "#answer-a", "#answer-b") ? "1" : "7");
            await page.Keyboard.PressAsync("Enter");
            await Left(page, here);
        }
        await page.GetByText("You have judged everything").WaitForAsync();
        await Look(watched, "blind-done");
        await page.GotoAsync(results);
        await Look(watched, "results-voted");

        // Released, with a reason.
        await watched.IsInteractive();
        await page.ClickAsync("button[popovertarget=release]");
        await page.FillAsync("#release-reason", "It says please more often.");
        await Look(watched, "release-asked");
        await page.ClickAsync("#release button.primary");
        await page.Locator("main .badge.good", new() { HasTextString = "serves now" }).WaitForAsync();
        await Look(watched, "released");

        // And the new policy asks.
        await page.GotoAsync("/data");
        var again = await SampleTasks(watched, project);
        await page.GotoAsync($"/annotate/{project}");
        var waiting = 1 + int.Parse((await page.GetAttributeAsync("[data-waits]", "data-waits"))!, CultureInfo.InvariantCulture); // the eleventh pair was opened
        await Look(watched, "queue-again");
        await page.GotoAsync("/");
        await Look(watched, "home");
        await page.GotoAsync("/models");
        await Look(watched, "models");

        await using var db = live.Open();
        var id = ProjectId.Parse(project, null);
        var policy = await db.ModelVersions.SingleAsync(v => v.ProjectId == id && v.Kind == ModelKind.Policy && v.DatasetVersionId != null);
        Assert.Equal(policy.Id, (await db.Projects.SingleAsync(p => p.Id == id)).CurrentPolicyId);
        Assert.Equal(Prompts, await db.Prompts.CountAsync(p => p.ProjectId == id));
        var votes = await db.PairwiseJudgements.Where(j => j.ProjectId == id && j.Source == JudgementSource.Person).ToListAsync();
        Assert.Equal((Pairs + blind, true), (votes.Count, votes.All(v => v.Verdict == PairwiseVerdict.Preferred)));
        Assert.Equal(Singles, await db.BinaryJudgements.CountAsync(j => j.ProjectId == id && j.Source == JudgementSource.Person));
        Assert.InRange(blind, 1, 10);
        var open = await db.Tasks.Where(t => t.ProjectId == id && t.Kind == TaskKind.Pairwise && t.State == TaskState.Open).ToListAsync();
        Assert.Equal(waiting, open.Count);
        var fresh = open.Where(t => t.JobId == again).ToList();
        Assert.NotEmpty(fresh);
        var writers = await db.Responses.Where(r => r.ProjectId == id).ToDictionaryAsync(r => r.Id, r => r.ModelVersionId);
        Assert.All(fresh, task => Assert.Equal((policy.Id, policy.Id), (writers[task.FirstResponseId], writers[task.SecondResponseId!.Value]))); // a pair
        Assert.All(open.Where(t => t.JobId == sampling), task => Assert.Equal(policy.ParentId, writers[task.FirstResponseId]));
        Assert.All(await db.Jobs.Where(j => j.ProjectId == id).ToListAsync(), job => Assert.Equal((JobState.Succeeded, 0), (job.State, job.Resumes)));
        Assert.Null(AuditChain.Verify(db.AuditEvents.AsNoTracking().OrderBy(e => e.Sequence)).Problem);
        Assert.DoesNotContain("fail:", live.EngineLog, StringComparison.Ordinal);
    }

    private Task Look(WatchedPage page, string name) => page.IsInOrderOnTheWay($"journey-{++station:00}-{name}");

    /// <summary>Asks for new tasks on the data page, follows the job to its end, and gives its id.</summary>
    private static async Task<JobId> SampleTasks(WatchedPage watched, string project)
    {
        var page = watched.Page;
        await watched.IsInteractive();
        await page.ClickAsync("section:has(#sample) button");
        await page.ClickAsync("section:has(#sample) .note a");
        await page.Reaches(url => url.Contains("/jobs/", StringComparison.Ordinal));
        await RunEnds(page);
        Assert.EndsWith($"/annotate/{project}", await page.GetAttributeAsync(".head a.btn.primary", "href"), StringComparison.Ordinal);
        return JobId.Parse(new Uri(page.Url).Segments[^1], null);
    }

    /// <summary>Waits until the page of a run says, without being loaded again, that it succeeded.</summary>
    private static async Task RunEnds(IPage page)
    {
        var state = page.Locator(".head .badge").First;
        await page.Locator(".head .badge:is(.good, .bad)").First.WaitForAsync(new() { Timeout = (float)EngineProcess.Patience.TotalMilliseconds });
        var failed = await page.Locator("main .note.bad").AllInnerTextsAsync();
        Assert.True((await state.GetAttributeAsync("class"))!.Contains("good", StringComparison.Ordinal), string.Join('\n', failed)); // a badge has classes
    }

    private static async Task<bool> IsKinder(IPage page, string first, string second) => await Kindness(page, first) >= await Kindness(page, second);

    private static async Task<int> Kindness(IPage page, string answer)
    {
        var text = await page.Locator($"{answer} [data-view=plain]").InnerTextAsync();
        return Please().Count(text) - Never().Count(text);
    }

    /// <summary>Waits until the judging page listens, and gives its assignment.</summary>
    private static async Task<string> Screen(IPage page)
    {
        await page.WaitForFunctionAsync("() => document.querySelector('[data-task]') && Object.keys(localStorage).some(key => key === 'portal.draft.' + document.querySelector('[data-task]').dataset.assignment)");
        return await page.GetAttributeAsync("[data-task]", "data-assignment") ?? "";
    }

    private static async Task Left(IPage page, string assignment)
    {
        await page.WaitForFunctionAsync("here => document.querySelector('[data-task]')?.dataset.assignment !== here", assignment);
        await page.Locator("[data-task], [data-queue]").First.WaitForAsync();
    }

    private static string ProjectIdIn(string url) => new Uri(url).Segments[^1].TrimEnd('/');

    /// <summary>A CSV of 20 prompts, every fourth of the toy world's, under a name that is no known column.</summary>
    private static string Questions() => "number,asked\n" + string.Concat(ToyWorld.Prompts.Where((_, i) => i % 4 == 0).Select((prompt, i) => $"{i + 1},{prompt}\n"));

    [GeneratedRegex("please", RegexOptions.IgnoreCase)]
    private static partial Regex Please();

    [GeneratedRegex("never", RegexOptions.IgnoreCase)]
    private static partial Regex Never();
}
