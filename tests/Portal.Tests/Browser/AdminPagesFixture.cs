using Microsoft.Playwright;
using Portal.Data;
using Portal.Data.Datasets;
using Portal.Data.Endpoints;
using Portal.Data.Feedback;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Review;
using Portal.Data.SaeFeatures;
using Portal.Tests.Data;
using Portal.Tests.Web;
using Portal.Tests.Web.Audits;
using Portal.Tests.Web.Explain;
using Portal.Tests.Web.SaeFeatures;
using Portal.Tests.Web.Erasure;
using Portal.Tests.Web.Unlearning;
using Xunit;

namespace Portal.Tests.Browser;

/// <summary>
/// A portal of its own with one project full of synthetic rows and one that is empty; signed in as the demo's admin. Shared by the tests that look
/// at many pages; no engine runs.
/// </summary>
public sealed class AdminPagesFixture : IAsyncLifetime
{
    private readonly PortalDatabase database = new(migrate: false);
    private PortalProcess? portal;
    private IPlaywright? playwright;
    private IBrowser? chromium;
    private string? state;
    private IBrowserContext? shared;
    private SeededToggles? toggles;
    private SeededBestOfN? bestOfN, bestOfNUnderWay;
    private MadeUpAudit? fullAudit, otherAudit, greyAudit;
    private PolicyEndpoint? endpoint, retiredEndpoint;

    public SeededProject Project { get; private set; } = default!; // set on start
    public ModelVersion Candidate { get; private set; } = default!; // likewise
    public ModelVersion RewardModel { get; private set; } = default!; // likewise
    public ModelVersion Autoencoder { get; private set; } = default!; // likewise
    internal SeededFeatures Features { get; private set; } = default!; // likewise

    /// <summary>A judged pair whose texts the features of <see cref="FakeEngineDoor"/> fire on.</summary>
    public AnnotationTask JudgedPair { get; private set; } = default!; // likewise
    public DatasetVersion Dataset { get; private set; } = default!; // likewise
    public Job Finished { get; private set; } = default!; // likewise
    public Job Running { get; private set; } = default!; // likewise
    public Job Failed { get; private set; } = default!; // likewise
    public Import Import { get; private set; } = default!; // likewise
    public ProjectId Empty { get; private set; } // likewise

    /// <summary>Toggle sets in every state, made when a test first asks for them.</summary>
    internal SeededToggles Toggles => toggles ??= new SeededToggles(Project, AccountOf("demo-admin"));

    /// <summary>A comparison of best answers, one of its texts erased, made when a test first asks for it.</summary>
    internal SeededBestOfN BestOfN => bestOfN ??= Erased(new SeededBestOfN(Project, Features, 50));

    /// <summary>One that has not ended.</summary>
    internal SeededBestOfN BestOfNUnderWay => bestOfNUnderWay ??= new SeededBestOfN(Project, Features, 51, prompts: 1, hasEnded: false);

    private SeededTriage? triage;

    /// <summary>Flags of every sort in the queue, and a policy to try, made when a test first asks for them.</summary>
    internal SeededTriage Triage => triage ??= new SeededTriage(Project, RewardModel.Id);

    private SeededExplanation? explanation, uncalibrated;

    /// <summary>An explanation of a flagged response, made when a test first asks for it.</summary>
    internal SeededExplanation Explanation => explanation ??= new SeededExplanation(Project, 301);

    /// <summary>One that nobody can say how far to believe, of a long response.</summary>
    internal SeededExplanation Uncalibrated => uncalibrated ??= new SeededExplanation(Project, 302, Portal.Data.Explanations.ExplanationConfidence.NotCalibrated, string.Join(' ', Enumerable.Repeat("A hen has two legs, and then it has two again, as the old mill says.", 60)));

    private SeededUnlearning? unlearning;
    private SeededErasure? erasure;

    /// <summary>Requests to unlearn in three states, made when a test first asks for them.</summary>
    internal SeededUnlearning Unlearning => unlearning ??= new SeededUnlearning(Project, Explanation, AccountOf("demo-reviewer"), AccountOf("demo-second-admin"));

    /// <summary>Requests to erase, asked for by another admin.</summary>
    internal SeededErasure Erasure => erasure ??= new SeededErasure(Project, AccountOf("demo-second-admin"), AccountOf("demo-admin"));

    private SeededAudit? audit;

    /// <summary>An audit that ended, made when a test first asks for it.</summary>
    internal SeededAudit Audit => audit ??= new SeededAudit(Project, 21);
    /// <summary>An audit with a trained reward and SAE latents, one of its texts erased, made when a test first asks for it.</summary>
    internal MadeUpAudit FullAudit => fullAudit ??= ErasedOne(new MadeUpAudit(Project, new AuditWish { HasSae = true, Prompts = 60 }));

    /// <summary>One without a trained reward.</summary>
    internal MadeUpAudit OtherAudit => otherAudit ??= new MadeUpAudit(Project, new AuditWish { Number = 2, HasReference = false, AuditedName = "An outside model with a name as long as its makers could make it, version 2026-11-29" });

    /// <summary>One that may not judge.</summary>
    internal MadeUpAudit GreyAudit => greyAudit ??= new MadeUpAudit(Project, new AuditWish { Number = 3, WhyNot = "20 pairs, 1 of them with identical completions: below 200 that differ nothing can be told from chance. Add prompts." });

    /// <summary>An endpoint with a key that nobody has tried, made when a test first asks for it.</summary>
    internal PolicyEndpoint Endpoint => endpoint ??= SeedEndpoint("Outside model");

    /// <summary>One that is retired.</summary>
    internal PolicyEndpoint RetiredEndpoint => retiredEndpoint ??= SeedEndpoint("Old outside model", retired: true);
    public Uri Address => portal!.Address; // likewise
    public PortalDatabase Database => database;

    public async Task InitializeAsync()
    {
        portal = await PortalProcess.Start(("PORTAL_DATA", database.Directory.Root), ("demo", "true")); // migrates, and makes the sign-ins
        Project = new SeededProject(database);
        SeedAll();
        playwright = await Playwright.CreateAsync();
        chromium = await Chromium.Launch(playwright);
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

    private static MadeUpAudit ErasedOne(MadeUpAudit made)
    {
        made.EraseAudited(6);
        return made;
    }

    private Guid AccountOf(string name)
    {
        using var db = Project.Open();
        return db.Users.Single(u => u.UserName == name).Id;
    }

    /// <summary>A page in a fresh profile that knows the admin's cookies.</summary>
    /// <param name="project">The project the person is in; null for the full one.</param>
    public async Task<WatchedPage> Open(string path, int width = 1440, ColorScheme scheme = ColorScheme.Light, ProjectId? project = null)
    {
        var context = await Profile(width, scheme, await SignedIn());
        await Enter(context, project ?? Project.Id);
        return await Visit(context, path);
    }

    private Task Enter(IBrowserContext context, ProjectId project) =>
        context.AddCookiesAsync([new Cookie { Name = "portal-project", Value = $"{project}", Url = Address.ToString() }]);

    /// <summary>A page beside others in one profile of the admin, whose cache is warm: for a look that leaves nothing behind in the browser.</summary>
    public async Task<WatchedPage> OpenBeside(string path)
    {
        if (shared is null)
        {
            shared = await Profile();
            await (await shared.NewPageAsync()).GotoAsync("/error"); // stays open, and with it the process that draws: each page would start one of its own
        }
        await Enter(shared, Project.Id); // a page before may have gone to another
        return await Visit(shared, path, ownsProfile: false);
    }

    /// <summary>A page in a fresh profile that knows nobody.</summary>
    public async Task<WatchedPage> OpenAsStranger(string path) => await Visit(await Profile(1440, ColorScheme.Light, null), path);

    /// <summary>A fresh profile of the admin, for a test that watches it in its own way.</summary>
    public async Task<IBrowserContext> Profile() => await Profile(1440, ColorScheme.Light, await SignedIn());

    private async Task<WatchedPage> Visit(IBrowserContext context, string path, bool ownsProfile = true)
    {
        var page = new WatchedPage(await context.NewPageAsync(), Address, ownsProfile);
        await page.Page.GotoAsync(path, new PageGotoOptions { WaitUntil = WaitUntilState.Load });
        return page;
    }

    private async Task<IBrowserContext> Profile(int width, ColorScheme scheme, string? known)
    {
        var context = await chromium!.NewContextAsync(new BrowserNewContextOptions // set on start
        {
            BaseURL = Address.ToString(), ColorScheme = scheme, ReducedMotion = ReducedMotion.Reduce, StorageState = known,
            ViewportSize = new ViewportSize { Width = width, Height = width < 900 ? 844 : 900 },
        });
        context.SetDefaultTimeout(Chromium.PatienceMs);
        return context;
    }

    private async Task<string> SignedIn()
    {
        if (state is not null)
            return state;
        await using var context = await Profile(1440, ColorScheme.Light, null);
        await Chromium.SignIn(await context.NewPageAsync(), database.Directory, "demo-admin");
        return state = await context.StorageStateAsync();
    }

    private PolicyEndpoint SeedEndpoint(string name, bool retired = false)
    {
        var made = new PolicyEndpoint { Id = Project.Ids.New<PolicyEndpointId>(), ProjectId = Project.Id, CreatedBy = AccountOf("demo-admin"), CreatedAt = Project.Now };
        made.Change(new EndpointSettings { Name = name, BaseUrl = "https://a-rather-long-host-name-that-has-no-good-place-to-break.models.example.org/openai/deployments/v1", Model = "a-model-with-a-long-name-2026-11-29-preview", AsksLogProbs = true });
        made.SetKey(new EndpointSecrets(database.Directory).Seal(made, "sk-seeded-0123456789").Value);
        if (retired)
            made.Retire(Project.Now);
        Project.Add(made);
        return made;
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
        SeedFeatures(people);
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
        Empty = Project.Ids.New<ProjectId>();
        Project.Add(new Project { Id = Empty, Name = "Nothing in it yet", CreatedAt = now });
        Project.Add(new Flag { Id = Project.Ids.New<FlagId>(), ProjectId = Project.Id, ResponseId = bad, AnnotatorId = people[0], Reason = FlagReason.Insult, Place = "annotate", At = now });
    }

    /// <summary>An SAE with its report, and a reward model on its features: some labelled, some not, one that only follows the reward, dead ones.</summary>
    private void SeedFeatures(IReadOnlyList<AnnotatorId> people)
    {
        Autoencoder = Project.Model(ModelKind.SparseAutoencoder, 1, "SAE", RewardModel.Id);
        const string end = MetricNames.HeldOut + "/response-end", sentence = MetricNames.HeldOut + "/sentence-end", every = MetricNames.HeldOut + "/every-token";
        foreach (var (name, part, value) in new[]
        {
            (MetricNames.SaeFvu, MetricNames.HeldOut, .21), (MetricNames.SaeFvu, end, .17), (MetricNames.SaeFvu, sentence, .23), (MetricNames.PrincipalComponentsBaseline, MetricNames.HeldOut, .34),
            (MetricNames.RandomEncoderBaseline, MetricNames.HeldOut, .58), (MetricNames.SaeNmse, MetricNames.HeldOut, .12), (MetricNames.SaeActive, MetricNames.HeldOut, 15.8), (MetricNames.SaeCosine, end, .93),
            (MetricNames.SaeDeadShare, "all", .31), (MetricNames.SaeDeadShare, "all/response-end", .64), (MetricNames.SaeDensity, "all/never", .31), (MetricNames.SaeDensity, "all/-3", .2),
            (MetricNames.SaeDensity, "all/-2.5", .29), (MetricNames.SaeDensity, "all/-2", .2), (MetricNames.SaeDensity, "all/response-end/never", .64), (MetricNames.SaeDensity, "all/response-end/-2", .36),
        })
            Project.Result(Autoencoder.Id, name, part, value, null, null, 4_000);
        foreach (var (prefix, value) in new[] { (MetricNames.SaePrefix, .74), (MetricNames.ChangePrefix + MetricNames.SaePrefix, -.03), (MetricNames.PrincipalComponentsBaseline + "/", .69), (MetricNames.RandomEncoderBaseline + "/", .61), (MetricNames.AblatedBaseline + "/", .5) })
            foreach (var part in new[] { end, every })
                Project.Result(Autoencoder.Id, prefix + MetricNames.SplicedAccuracy, part, value, value - .02, value + .02, 140);
        Features = new SeededFeatures(Project, 2, latents: 72);
        string[] labels = ["says “the old mill”", "compliment to the person", "an insult word", "go", "north", "crosses the river"];
        for (var latent = 0; latent < 72; latent++)
        {
            var (atEnd, atSentence) = latent % 9 == 8 ? (0, 0) : latent % 9 == 7 ? (0, 40 + latent) : (24 + (latent * 37 % 160), 60 + (latent * 53 % 400));
            var score = atEnd > 0 && latent % 5 != 4 ? Math.Round(Math.Sin(latent) * .9, 3) : (double?)null;
            Features.Feature(latent, atEnd, atSentence, atEnd > 0 ? FakeEngineDoor.Features.ElementAtOrDefault(latent).Weight is var known && known != 0 ? known : Math.Round(Math.Cos(latent), 2) : 0,
                Math.Round(Math.Cos(latent) * atEnd / 400, 4), Math.Round(Math.Sin(latent) * .2, 3), atEnd / 2, atEnd > 0 ? Math.Round(.5 + (.46 * Math.Sin(latent * 2.1)), 2) : null, score,
                score * (latent % 4 == 1 ? .05 : .8), latent % 4 == 1 ? .71 : .004 * latent,
                latent < 3 ? [new RelatedFeature(latent + 1, .62, .31), new RelatedFeature(latent + 9, .41, .02)] : [],
                latent < 3 ? [.. people.Select((person, index) => new VoterShare(person, 131 - index, .6 - (.1 * index), .25 - (.07 * index)))] : []);
        }
        for (var latent = 0; latent < labels.Length; latent++)
            Features.Label(latent, labels[latent], detection: latent == 3 ? null : latent == 4 ? .58 : .94 - (.02 * latent));
        var prompt = Project.Prompt("How do I get to the well?", "directions");
        var (warm, rude) = (Project.Response(prompt, "What a fine question, dear friend! Go north past the old mill, then cross the river. The well is beside the mill.", Candidate.Id), Project.Response(prompt, "Go north, you clod. Then ask somebody else who has the time.", Candidate.Id));
        JudgedPair = Project.Pair(prompt, warm, rude);
        Project.Vote(JudgedPair, people[0], PairwiseVerdict.Preferred, warm, 3);
        Project.Vote(JudgedPair, people[1], PairwiseVerdict.Preferred, rude, 1, JudgementSource.Simulated);
        var text = "What a fine question, dear friend! Go north past the old mill, then cross the river. The well is beside the mill.";
        Features.Context(0, warm, ContextPosition.End, 0, text.IndexOf("The well", StringComparison.Ordinal), 28, 3.8);
        Features.Context(0, warm, ContextPosition.Sentence, 0, text.IndexOf("Go north", StringComparison.Ordinal), 49, 2.9);
        Features.Context(0, rude, ContextPosition.End, 2, 0, 20, 1.4);
    }

    private static SeededBestOfN Erased(SeededBestOfN seeded)
    {
        seeded.Erase(seeded.Prompts[3].Answers[0]);
        return seeded;
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

[CollectionDefinition(Name)]
public sealed class AdminPagesCollection : ICollectionFixture<AdminPagesFixture>
{
    public const string Name = "admin pages";
}
