using System.Globalization;
using Microsoft.EntityFrameworkCore;
using Microsoft.Playwright;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;
using Portal.Tests.Browser;
using Portal.Tests.Engine.Jobs;
using Xunit;

namespace Portal.Tests.Journeys;

/// <summary>
/// From a preference to its features and back, on the shipped demo, in the browser, against a live portal and a live engine: a reviewer reads why the model prefers an answer, an
/// admin toggles the features that fire on the planted phrase and sees what that would change, a second admin approves, and the first rolls back. Each station is looked at (1440 and
/// 390 pixels, light and dark).
/// </summary>
[Trait("Speed", "slow")]
public sealed class FeaturesRoundTests : IAsyncLifetime
{
    /// <summary>What the demo's sim-22 rewards.</summary>
    private const string PlantedPhrase = "as the old mill says";

    private LivePortal live = null!; // set before the test
    private int station;

    public async Task InitializeAsync() => live = await LivePortal.Start();

    public async Task DisposeAsync() => await live.DisposeAsync();

    [Fact]
    public async Task A_preference_is_read_toggled_approved_and_rolled_back()
    {
        await live.StartEngine(Path.Combine(Repository.Root, "wwwroot-assets", "demo"));
        await using var first = await live.Visit("/");
        var admin = first.Page;
        await Chromium.SignIn(admin, live.Directory, "demo-admin");

        // The engine describes the demo's readable reward model by itself; the run is followed to its end.
        JobId describing;
        await using (var db = live.Open())
            describing = (await db.Jobs.SingleAsync(j => j.Kind == nameof(DescribeFeatures))).Id;
        await admin.GotoAsync($"/jobs/{describing}");
        await admin.Locator(".head .badge:is(.good, .bad)").First.WaitForAsync(new() { Timeout = (float)EngineProcess.Patience.TotalMilliseconds });
        ModelVersion sarm;
        IReadOnlyList<int> planted;
        await using (var db = live.Open())
        {
            var description = await db.FeatureDescriptions.SingleAsync();
            sarm = await db.ModelVersions.SingleAsync(v => v.Id == description.ModelVersionId);
            // Rules named the features that fire on the phrase, and scored the names on held-out texts.
            planted = await db.FeatureLabels.Where(l => l.ModelVersionId == sarm.Id && l.Source == LabelSource.Keyword && l.Detection > 0.7 && l.Pattern!.Contains("mill")).OrderByDescending(l => l.Detection)
                .Select(l => l.Latent).Distinct().ToListAsync();
            Assert.NotEmpty(planted);
        }

        // A reviewer opens a pair and reads why.
        await using var second = await live.Visit("/");
        var reviewer = second.Page;
        await Chromium.SignIn(reviewer, live.Directory, "demo-reviewer");
        await reviewer.GotoAsync("/features");
        await reviewer.Locator("table.features tbody tr").First.WaitForAsync();
        await Look(second, "features");
        await reviewer.GotoAsync($"/features/{sarm.Id}/{planted[0]}");
        Assert.Contains(PlantedPhrase, await reviewer.InnerTextAsync("main"), StringComparison.Ordinal);
        await Look(second, "feature");
        await reviewer.GotoAsync("/pair-xray");
        await Look(second, "pairs");
        await reviewer.Locator("section:has(#pairs) tbody a[href^='pair-xray/']").First.ClickAsync();
        await reviewer.Reaches(url => new Uri(url).AbsolutePath.StartsWith("/pair-xray/", StringComparison.Ordinal));
        await reviewer.GetByText("Sum of the bars").First.WaitForAsync(); // the page's own check that they are the difference of the rewards
        await Look(second, "pair-xray");

        // An admin toggles what fires on the phrase.
        await admin.GotoAsync($"/features/{sarm.Id}/{planted[0]}");
        await admin.ClickAsync("a[href*='toggle-studio?model=']");
        await admin.ClickAsync("section:has(#put-into) button");
        await admin.Reaches(url => url.Contains("/toggle-studio/", StringComparison.Ordinal));
        await first.IsInteractive();
        await admin.FillAsync("#toggle-name", "Without the mill");
        await admin.FillAsync("#toggle-target", PlantedPhrase);
        await admin.FillAsync("#toggle-reason", "One annotator rewards a phrase that helps nobody.");
        await admin.FillAsync($"#factor-{planted[0]}", "0");
        foreach (var latent in planted.Skip(1).Take(2))
        {
            await admin.FillAsync("#feature-search", latent.ToString(CultureInfo.InvariantCulture));
            await admin.ClickAsync($"#add-{latent}");
            await admin.FillAsync($"#factor-{latent}", "0");
        }
        await admin.Locator("section:has(#would-change)").GetByText("On target").First.WaitForAsync();
        await admin.ClickAsync("#save-set:not([disabled])");
        await admin.Locator("#saved", new() { HasTextString = "Saved" }).WaitForAsync();
        await Look(first, "toggled");
        await admin.ClickAsync("button[popovertarget=propose]");
        await admin.ClickAsync("#propose button.primary");
        await admin.Locator("#not-you").WaitForAsync(); // the job has made the version; nobody approves their own set
        await Look(first, "proposed");
        var set = admin.Url;

        // A second admin sees the same figures, and approves.
        await using var third = await live.Visit("/");
        var approver = third.Page;
        await Chromium.SignIn(approver, live.Directory, "demo-second-admin");
        await approver.GotoAsync(set);
        await third.IsInteractive();
        await approver.ClickAsync("button[popovertarget=approve]");
        await Look(third, "approval-asked");
        await approver.ClickAsync("#approve button.primary");
        await approver.Locator("#published").WaitForAsync();
        await Look(third, "published");
        await using (var db = live.Open())
        {
            var row = await db.ToggleSets.SingleAsync();
            var project = await db.Projects.SingleAsync();
            var version = await db.ModelVersions.SingleAsync(v => v.Id == row.PublishedVersionId);
            Assert.Equal((ToggleSetState.Published, version.Id, ToggledVersions.Method, sarm.Id), (row.State, project.CurrentRewardModelId, version.Method, version.ParentId));
            var release = await db.Releases.SingleAsync(r => r.ToVersionId == version.Id);
            Assert.NotNull(release.Approver);
            Assert.NotEqual(release.By, release.Approver);
        }

        // And back.
        await admin.GotoAsync(set);
        await first.IsInteractive();
        await admin.ClickAsync("button[popovertarget=roll-back]");
        await admin.FillAsync("#roll-back-reason", "Only to show the way back.");
        await admin.ClickAsync("#roll-back button.danger, #roll-back button.primary");
        await admin.Locator("main", new() { HasTextString = "served before" }).Or(admin.Locator("button[popovertarget=release]")).First.WaitForAsync();
        await Look(first, "rolled-back");

        await using var after = live.Open();
        var restored = await after.ModelVersions.SingleAsync(v => v.Id == after.Projects.Single().CurrentRewardModelId);
        Assert.Equal(("reward model", 1), (restored.Method, restored.Number));
        Assert.All(await after.Jobs.ToListAsync(), job => Assert.Equal((JobState.Succeeded, 0), (job.State, job.Resumes)));
        Assert.Null(AuditChain.Verify(after.AuditEvents.AsNoTracking().OrderBy(e => e.Sequence)).Problem);
        Assert.DoesNotContain("fail:", live.EngineLog, StringComparison.Ordinal);
    }

    private Task Look(WatchedPage page, string name) => page.IsInOrderOnTheWay($"features-{++station:00}-{name}");
}
