using Microsoft.EntityFrameworkCore;
using Microsoft.Playwright;
using Portal.Data;
using Portal.Data.Annotators;
using Portal.Data.AuditLog;
using Portal.Data.Feedback;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Unlearning;
using Portal.Engine.Models;
using Portal.Tests.Browser;
using Portal.Tests.Engine.Jobs;
using Portal.Tests.Engine.Recipes;
using Xunit;

namespace Portal.Tests.Journeys;

/// <summary>
/// From a bad answer to a model without what caused it and back, in the browser, against a live portal and a live engine: a reviewer tries a prompt, flags the answer, has it explained and asks that pairs be forgotten; they cannot approve it by page
/// or by a form sent again; an admin approves, the model is made and measured, the policy trained with it, old and new compared blind; released, and rolled back.
/// </summary>
[Trait("Speed", "slow")]
public sealed class UnlearningRoundTests : IAsyncLifetime
{
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
    public async Task A_bad_answer_leads_to_a_model_that_never_learned_it_and_back()
    {
        await live.StartEngine(assets.FullName);
        await using var first = await live.Visit("/");
        var admin = first.Page;
        await Chromium.SignIn(admin, live.Directory, "demo-admin");
        await admin.Locator("header .project", new() { HasText = "Tiny Assistant" }).WaitForAsync();
        var (project, reward) = await Taught();

        // The reward model serves, so that there is something to go back to.
        await admin.GotoAsync($"/models/{reward}");
        await first.IsInteractive();
        await Release(admin, "The first one.");

        // A reviewer tries a prompt and flags what they get.
        await using var second = await live.Visit("/");
        var reviewer = second.Page;
        await Chromium.SignIn(reviewer, live.Directory, "demo-reviewer");
        await reviewer.GotoAsync("/try");
        await reviewer.FillAsync("#try-prompt", ToyWorld.Prompts[0]);
        await reviewer.FillAsync("#try-count", "1");
        await reviewer.ClickAsync("#try-ask");
        await reviewer.Locator("article button", new() { HasText = "Flag" }).First.ClickAsync();
        var form = reviewer.Locator("article form");
        await form.GetByLabel("Wrong facts").CheckAsync();
        await form.GetByText("Send the flag").ClickAsync();
        await reviewer.GetByText("Flagged, and stored with its prompt.").WaitForAsync();
        FlagId flag;
        await using (var db = live.Open())
            flag = (await db.Flags.SingleAsync()).Id;

        // Has it explained.
        await reviewer.GotoAsync($"/review?state=open&flag={flag}");
        await second.IsInteractive();
        await Look(second, "flag");
        await reviewer.ClickAsync("#ask-explanation");
        await reviewer.Locator("[role=status] a[href^='jobs/']").First.WaitForAsync();
        await live.Ended(nameof(ExplainResponses));
        await reviewer.GotoAsync("/explain");
        await reviewer.Locator("table.cards th a").First.ClickAsync();
        await reviewer.Locator("#side-by-side").WaitForAsync();
        await Look(second, "explanation");

        // Asks that one pair be forgotten: a hundredth of the data.
        foreach (var box in await reviewer.Locator("input[name=pair]").AllAsync())
            await box.UncheckAsync();
        await reviewer.Locator("input[name=pair]").First.CheckAsync();
        await reviewer.ClickAsync("#unlearn");
        await reviewer.Locator("#ask-unlearning").WaitForAsync();
        await Look(second, "what-it-would-do");
        await reviewer.FillAsync("#reason", "It teaches the wrong answer.");
        await reviewer.ClickAsync("#ask-unlearning");
        await reviewer.Locator("#not-you").WaitForAsync();
        await Look(second, "asked");
        var request = reviewer.Url;
        var id = new Uri(request).Segments[^1];

        // And cannot approve it: there is no button, and a form sent by hand is refused, by them and by whoever has no right to.
        Assert.Equal(0, await reviewer.Locator("button[popovertarget=approve]").CountAsync());
        Assert.Equal((302, true), await Replayed(reviewer, id));
        await using (var db = live.Open())
            Assert.Equal(UnlearningState.Waiting, (await db.UnlearningRequests.SingleAsync()).State);

        // An admin approves; the model is made and measured.
        await admin.Goes(request);
        await admin.ClickAsync("button[popovertarget=approve]");
        await Look(first, "approval-asked");
        await admin.FillAsync("#approve-note", "Right.");
        await admin.ClickAsync("#approve button.primary");
        await live.Ended(nameof(UnlearnPairs));
        await admin.Goes(request);
        await admin.Locator("#result").WaitForAsync();
        await Look(first, "made");

        // The policy is trained with it, and compared blind with the one before.
        await admin.CheckAsync("input[value=FromServing]");
        await admin.FillAsync("input[name=steps]", "2");
        await admin.ClickAsync("#repair");
        await live.Ended(nameof(TrainRlooPolicy));
        await admin.Goes(request);
        await admin.ClickAsync("#compare");
        await admin.Locator("#side").WaitForAsync();
        await first.IsInteractive();
        await admin.ClickAsync("section:has(#blind) button");
        await live.Ended(nameof(SampleResponses));
        await reviewer.GotoAsync(admin.Url);
        await reviewer.ClickAsync("section:has(#blind) a.btn.primary");
        await reviewer.FocusAsync("button[value=start]");
        await reviewer.Keyboard.PressAsync("Enter");
        await reviewer.Locator("[data-task]").First.WaitForAsync();
        Assert.DoesNotContain("policy v", (await reviewer.InnerTextAsync("main")).ToLowerInvariant(), StringComparison.Ordinal); // nothing tells which is which
        await Look(second, "blind");

        // Released, and rolled back.
        await admin.Goes(request);
        await first.IsInteractive();
        await Release(admin, "It forgets the pair.");
        await admin.Goes(request);
        await Look(first, "released");
        await using (var db = live.Open())
        {
            var row = await db.UnlearningRequests.SingleAsync();
            Assert.Equal((UnlearningState.Released, row.VersionId), (row.State, (await db.Projects.SingleAsync(p => p.Id == project)).CurrentRewardModelId));
            Assert.NotEqual(row.RequestedBy, row.DecidedBy);
        }
        await first.IsInteractive();
        await admin.ClickAsync("button[popovertarget=roll-back]");
        await admin.FillAsync("#roll-back-reason", "Only to show the way back.");
        await admin.ClickAsync("#roll-back button.danger, #roll-back button.primary");
        await live.Until(async db => (await db.UnlearningRequests.SingleAsync()).State is UnlearningState.RolledBack, "the roll-back");
        await admin.Goes(request);
        await Look(first, "rolled-back");

        await using var after = live.Open();
        Assert.Equal(reward, (await after.Projects.SingleAsync(p => p.Id == project)).CurrentRewardModelId);
        Assert.Null(AuditChain.Verify(after.AuditEvents.AsNoTracking().OrderBy(e => e.Sequence)).Problem);
        Assert.Equal(["unlearning.request", "unlearning.approve", "unlearning.make", "unlearning.repair"], await after.AuditEvents.Where(e => e.EntityKind == "unlearning").OrderBy(e => e.Sequence).Select(e => e.Action).ToListAsync());
        Assert.DoesNotContain("fail:", live.EngineLog, StringComparison.Ordinal);
    }

    /// <summary>The demo's project gets the toy world's votes, and a reward model of them.</summary>
    private async Task<(ProjectId Project, ModelVersionId Reward)> Taught()
    {
        await using var db = live.Open();
        var project = (await db.Projects.SingleAsync()).Id;
        var annotator = new Annotator { Id = live.Ids.New<AnnotatorId>(), Pseudonym = "heron-12", CreatedAt = DateTimeOffset.UtcNow };
        db.Annotators.Add(annotator);
        foreach (var words in ToyWorld.Prompts)
            ToyVotes.Add(db, live.Ids, live.Hasher, project, annotator.Id, words);
        var spec = new TrainRewardModel { LengthMax = 64, Optimization = new OptimizationSpec { LearningRate = 5e-3, HeadLearningRate = 2e-2, BatchSize = 32, Epochs = 1, CheckpointEverySteps = 0 } };
        var job = new Job { Id = live.Ids.New<JobId>(), Number = ((await db.Jobs.MaxAsync(j => (int?)j.Number)) ?? 0) + 1, ProjectId = project, Kind = spec.Kind, SpecJson = spec.ToJson(), AfterJobId = null, CreatedBy = null, CreatedAt = DateTimeOffset.UtcNow };
        db.Jobs.Add(job);
        await db.SaveChangesAsync();
        await live.Ended(nameof(TrainRewardModel));
        return (project, ModelVersionId.From(job.Id.Value));
    }

    private static async Task Release(IPage page, string reason)
    {
        await page.ClickAsync("button[popovertarget=release]");
        await page.FillAsync("#release-reason", reason);
        await page.ClickAsync("#release button.primary");
        await page.Locator("button.primary[popovertarget=release]").WaitForAsync(new() { State = WaitForSelectorState.Detached });
    }

    /// <summary>Sends the form of an approval with the antiforgery token of another form of the same page: its status, and whether the answer says no.</summary>
    private static async Task<(int Status, bool IsRefused)> Replayed(IPage page, string request)
    {
        var answer = await page.EvaluateAsync<System.Text.Json.JsonElement>("""
            async request => {
              const body = new FormData(); body.set("request", request); body.set("seen", "0"); body.set("approve", "true"); body.set("note", "");
              body.set("__RequestVerificationToken", document.querySelector("input[name=__RequestVerificationToken]").value);
              const got = await fetch("/unlearning/decide", { method: "POST", body });
              return { redirected: got.redirected, refused: got.url.includes("refused=") }; }
            """, request);
        return (answer.GetProperty("redirected").GetBoolean() ? 302 : 0, answer.GetProperty("refused").GetBoolean());
    }

    private Task Look(WatchedPage page, string name) => page.IsInOrderOnTheWay($"unlearning-{++station:00}-{name}");
}
