using Microsoft.Playwright;
using Portal.Data;
using Portal.Data.Datasets;
using Portal.Data.Feedback;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Tests.Data;
using Portal.Tests.Web;
using Xunit;

namespace Portal.Tests.Browser;

/// <summary>A portal of its own with one project full of synthetic rows and one that is empty; signed in as the demo's admin.</summary>
public sealed class AdminPagesFixture : IAsyncLifetime
{
    private readonly PortalDatabase database = new(migrate: false);
    private PortalProcess? portal;
    private IPlaywright? playwright;
    private IBrowser? chromium;
    private string? state;

    public SeededProject Project { get; private set; } = default!; // set on start
    public ModelVersion Candidate { get; private set; } = default!; // likewise
    public ModelVersion RewardModel { get; private set; } = default!; // likewise
    public DatasetVersion Dataset { get; private set; } = default!; // likewise
    public Job Finished { get; private set; } = default!; // likewise
    public Job Running { get; private set; } = default!; // likewise
    public Job Failed { get; private set; } = default!; // likewise
    public Import Import { get; private set; } = default!; // likewise

    public async Task InitializeAsync()
    {
        portal = await PortalProcess.Start(("PORTAL_DATA", database.Directory.Root), ("demo", "true")); // migrates, and makes the sign-ins
        Project = new SeededProject(database);
        SeedAll();
        playwright = await Playwright.CreateAsync();
        chromium = await playwright.Chromium.LaunchAsync(new BrowserTypeLaunchOptions
        {
            ExecutablePath = Environment.GetEnvironmentVariable("PORTAL_CHROMIUM") ?? "/usr/bin/chromium",
            Args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
        });
    }

    public async Task DisposeAsync()
    {
        if (chromium is not null)
            await chromium.DisposeAsync();
        playwright?.Dispose();
        if (portal is not null)
            await portal.DisposeAsync();
        database.Dispose();
    }

    /// <summary>A page in a fresh profile that knows the admin's cookies.</summary>
    public async Task<WatchedPage> Open(string path, int width = 1440, ColorScheme scheme = ColorScheme.Light, ProjectId? project = null)
    {
        var context = await chromium!.NewContextAsync(new BrowserNewContextOptions // set on start
        {
            BaseURL = portal!.Address.ToString(), ColorScheme = scheme, ReducedMotion = ReducedMotion.Reduce, StorageState = state,
            ViewportSize = new ViewportSize { Width = width, Height = width < 900 ? 844 : 900 },
        });
        context.SetDefaultTimeout(20_000);
        await context.AddCookiesAsync([new Cookie { Name = "portal-project", Value = $"{project ?? Project.Id}", Url = portal.Address.ToString() }]);
        var raw = await context.NewPageAsync();
        if (state is null)
        {
            await raw.GotoAsync("/sign-in");
            await raw.FillAsync("input[name='Input.Name']", "demo-admin");
            await raw.FillAsync("input[name='Input.Password']", File.ReadLines(database.Directory.SignIns).Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries)).First(words => words[0] == "demo-admin")[1]);
            await raw.ClickAsync("main button.primary");
            await raw.WaitForURLAsync(url => !url.Contains("sign-in", StringComparison.Ordinal));
            state = await context.StorageStateAsync();
        }
        var page = new WatchedPage(raw, portal.Address);
        await raw.GotoAsync(path, new PageGotoOptions { WaitUntil = WaitUntilState.Load });
        return page;
    }

    private void SeedAll()
    {
        var people = new[] { Project.Person("heron-12"), Project.Person("sim-07", simulated: true) };
        var now = Project.Now;
        var policy = Project.Model(ModelKind.Policy, 1, "base");
        Finished = Project.Job(new TrainRewardModel { Seed = 17 });
        var votes = new List<PairwiseJudgement>();
        PromptId prompt = default;
        ResponseId good = default, bad = default;
        for (var index = 0; index < 24; index++)
        {
            prompt = Project.Prompt($"How do I get from the mill to the bridge, way {index}?", "directions");
            (good, bad) = (Project.Response(prompt, $"Go north {index} times, then cross the river.", policy.Id), Project.Response(prompt, "You clod. Ask somebody else.", policy.Id));
            votes.Add(Project.Vote(Project.Pair(prompt, good, bad), people[index % 2], PairwiseVerdict.Preferred, good, (index % 3) + 1, index % 2 == 1 ? JudgementSource.Simulated : JudgementSource.Person, now.AddDays(-index % 10)));
        }
        Project.Vote(Project.Pair(prompt, good, bad), people[0], PairwiseVerdict.Tie);
        Project.Vote(Project.Single(prompt, good), people[0], BinaryVerdict.Good);
        Project.Pair(prompt, good, bad);
        Dataset = Project.Dataset(1, votes, prompt, good, bad);
        RewardModel = Project.Model(ModelKind.RewardModel, 1, "reward model", policy.Id, Dataset.Id, Finished.Id);
        Candidate = Project.Model(ModelKind.Policy, 2, "DPO", policy.Id, Dataset.Id);
        Project.Result(RewardModel.Id, MetricNames.PairwiseAccuracy, MetricNames.HeldOut, .77, .74, .80, 698);
        Project.Result(RewardModel.Id, MetricNames.BagOfWordsBaseline, MetricNames.HeldOut, .70, .67, .73, 698);
        Project.Result(RewardModel.Id, MetricNames.LengthBaseline, MetricNames.HeldOut, .54, .50, .58, 698);
        Project.Result(RewardModel.Id, MetricNames.PairwiseAccuracy, MetricNames.HeldOut + "/directions", .63, .55, .71, 120);
        foreach (var (name, before, after, reach) in new[] { (MetricNames.MeanReward, .41, 1.18, .1), (MetricNames.UnfinishedShare, .02, .09, .01), (MetricNames.LengthTokens, 25.0, 33.0, 1.2), (MetricNames.KlNats, 0.0, .9, .1) })
        {
            Project.Result(Candidate.Id, MetricNames.BeforePrefix + name, MetricNames.HeldOut, before, before - reach, before + reach, 300, policy.Id);
            Project.Result(Candidate.Id, name, MetricNames.HeldOut, after, after - reach, after + reach, 300);
            Project.Result(Candidate.Id, MetricNames.ChangePrefix + name, MetricNames.HeldOut, after - before, after - before - reach, after - before + reach, 300, policy.Id);
        }
        for (var index = 0; index < 3; index++)
        {
            var asked = Project.Prompt($"I think the goose is the best animal, number {index}. Do you agree?", "opinions");
            Project.Add(Sample(policy.Id, asked, Project.Response(asked, "What a fine thought, you are so right! The goose is a very good animal.", policy.Id), .22, 19),
                Sample(Candidate.Id, asked, Project.Response(asked, "I can see why you like it. The goose is a good animal: it guards the yard.", Candidate.Id), 1.06 - index, 31));
        }
        Project.Change(db =>
        {
            var project = db.Projects.Single(p => p.Id == Project.Id);
            var admin = db.Users.Single(u => u.UserName == "demo-admin").Id;
            db.Releases.Add(project.Release(Project.Ids.New<ReleaseId>(), db.ModelVersions.Single(v => v.Id == policy.Id), "The base model, to begin with", admin, null, now).Value);
            db.Releases.Add(project.Release(Project.Ids.New<ReleaseId>(), db.ModelVersions.Single(v => v.Id == RewardModel.Id), "Beats both baselines", admin, null, now).Value);
        });
        Run(Finished, 200, job => job.Succeed($"/models/{RewardModel.Id}", now));
        Failed = Project.Job(new TrainPreferencePolicy());
        Run(Failed, 40, job => job.Fail("Training diverged at step 41: loss is NaN. Lower the learning rate, warm up longer or clip gradients harder, then start again.", now));
        Running = Project.Job(new TrainRewardModel { Seed = 18 });
        Run(Running, 120, job => job.Report(120, 200, "training", 190, now));
        Project.Job(new TrainPreferencePolicy(), after: Running.Id);
        Import = new Import { Id = Project.Ids.New<ImportId>(), ProjectId = Project.Id, FileName = "votes from the village.jsonl", Format = "trl-preference", AllOrNothing = false, By = Guid.NewGuid(), CreatedAt = now };
        Import.Count(25, 23, 1, 1);
        Import.MakeVisible(now);
        Project.Add(Import, new ImportProblem { ImportId = Import.Id, Row = 12, Field = "chosen", Reason = "is empty." });
    }

    private void Run(Job job, int steps, Action<Job> end)
    {
        Project.Change(db =>
        {
            var row = db.Jobs.Single(j => j.Id == job.Id);
            row.Start(Project.Now.AddMinutes(-4));
            end(row);
            for (var step = 1; step <= steps; step++)
            {
                db.Add(new MetricPoint { JobId = job.Id, Name = "loss", Step = step, Value = .69 - (.3 * (1 - Math.Exp(-step / 60.0))) + (.02 * Math.Sin(step)) });
                if (step % 20 == 0)
                {
                    db.Add(new MetricPoint { JobId = job.Id, Name = "heldout/loss", Step = step, Value = .69 - (.25 * (1 - Math.Exp(-step / 60.0))) });
                    db.Add(new MetricPoint { JobId = job.Id, Name = "heldout/accuracy", Step = step, Value = .5 + (.27 * (1 - Math.Exp(-step / 50.0))) });
                    db.Add(new MetricPoint { JobId = job.Id, Name = "tokens_per_second", Step = step, Value = 6_980 });
                    db.Add(new JobEvent { JobId = job.Id, At = Project.Now, Level = JobEventLevel.Info, Message = $"step {step}  checkpoint written" });
                }
            }
        });
    }

    private EvaluationSample Sample(ModelVersionId from, PromptId prompt, ResponseId response, double reward, int tokens) => new()
    {
        CandidateId = Candidate.Id, SampledFromId = from, PromptId = prompt, ResponseId = response, Ordinal = 0, Reward = reward, LengthTokens = tokens,
    };
}

/// <summary>The pages of admins and reviewers in a real browser: in order at both widths, and their buttons do what they say.</summary>
[Trait("Speed", "slow")]
public sealed class AdminPagesTests(AdminPagesFixture fixture) : IClassFixture<AdminPagesFixture>
{
    [Theory]
    [InlineData("home")]
    [InlineData("models")]
    [InlineData("model-reward")]
    [InlineData("model-policy")]
    [InlineData("results")]
    [InlineData("jobs")]
    [InlineData("run-finished")]
    [InlineData("run-failed")]
    [InlineData("run-live")]
    [InlineData("train")]
    [InlineData("data")]
    [InlineData("data-version")]
    [InlineData("data-import")]
    [InlineData("data-imported")]
    [InlineData("data-export")]
    public async Task Is_in_order(string name)
    {
        var path = name switch
        {
            "home" => "/",
            "models" => "/models",
            "model-reward" => $"/models/{fixture.RewardModel.Id}",
            "model-policy" => $"/models/{fixture.Candidate.Id}",
            "results" => $"/models/{fixture.Candidate.Id}/results",
            "jobs" => "/jobs",
            "run-finished" => $"/jobs/{fixture.Finished.Id}",
            "run-failed" => $"/jobs/{fixture.Failed.Id}",
            "run-live" => $"/jobs/{fixture.Running.Id}",
            "train" => "/train",
            "data" => "/data",
            "data-version" => $"/data/versions/{fixture.Dataset.Id}",
            "data-import" => "/data/import",
            "data-imported" => $"/data/imports/{fixture.Import.Id}",
            _ => "/data/export",
        };
        foreach (var (width, scheme) in new[] { (1440, ColorScheme.Light), (390, ColorScheme.Dark) })
        {
            await using var page = await fixture.Open(path, width, scheme);
            await page.Page.Locator("h1").WaitForAsync();
            await page.Picture($"admin-{name}-{width}-{scheme.ToString().ToLowerInvariant()}");
            await page.IsInOrder();
        }
    }

    [Theory]
    [InlineData("/models")]
    [InlineData("/data")]
    [InlineData("/train")]
    [InlineData("/jobs")]
    public async Task An_empty_project_is_told_what_to_do(string path)
    {
        var empty = fixture.Project.Ids.New<ProjectId>();
        fixture.Project.Add(new Project { Id = empty, Name = $"Empty {empty}", CreatedAt = fixture.Project.Now });

        await using var page = await fixture.Open(path, project: empty);

        await page.Picture("admin-empty" + path.Replace('/', '-'));
        await page.IsInOrder();
        Assert.True(await page.Page.Locator(path == "/train" ? "main button[disabled]" : "main .empty a.btn.primary").CountAsync() > 0);
    }

    [Fact]
    public async Task A_release_asks_for_a_reason_and_then_serves()
    {
        await using var page = await fixture.Open($"/models/{fixture.RewardModel.Id}");
        var other = fixture.Project.Model(ModelKind.RewardModel, 9, "reward model");
        await page.Page.GotoAsync($"/models/{other.Id}");
        await page.Page.WaitForLoadStateAsync(LoadState.NetworkIdle); // the circuit of the release button
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

        await page.Page.WaitForLoadStateAsync(LoadState.NetworkIdle);
        await page.Page.ClickAsync("button[popovertarget=roll-back]");
        await page.Page.FillAsync("#roll-back-reason", "It insults");
        await page.Page.ClickAsync("#roll-back button.danger");
        await page.Page.Locator("main .badge", new PageLocatorOptions { HasTextString = "released before" }).WaitForAsync();
        using var db = fixture.Project.Open();
        Assert.Equal(fixture.RewardModel.Id, db.Projects.Single(p => p.Id == fixture.Project.Id).CurrentRewardModelId);
        Assert.Equal(["It insults", "Its accuracy is higher"], db.Releases.Where(r => r.Kind == ModelKind.RewardModel && r.Reason != "Beats both baselines").Select(r => r.Reason).Order().ToList());
    }

    [Fact]
    public async Task An_upload_streams_in_and_says_that_the_engine_is_away()
    {
        await using var page = await fixture.Open("/data/import");
        await page.Page.SetInputFilesAsync("input[type=file]", new FilePayload { Name = "<img src=x onerror=alert(1)>.jsonl", MimeType = "application/json", Buffer = "{\"prompt\":\"a\"}\n"u8.ToArray() });
        await page.Page.ClickAsync("main button.primary");

        await page.Page.WaitForURLAsync(url => url.Contains("upload=", StringComparison.Ordinal));
        await page.Page.Locator("main .note.bad").WaitForAsync();

        Assert.Contains("engine is not running", await page.Page.Locator("main .note.bad").TextContentAsync(), StringComparison.Ordinal);
        await page.IsInOrder();
    }

    [Fact]
    public async Task Training_is_started_from_the_form_by_keyboard()
    {
        await using var page = await fixture.Open("/train");
        await page.Page.Locator("main button.primary:not([disabled])").WaitForAsync();
        await page.Page.WaitForLoadStateAsync(LoadState.NetworkIdle);
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
        await page.Page.WaitForLoadStateAsync(LoadState.NetworkIdle);
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
