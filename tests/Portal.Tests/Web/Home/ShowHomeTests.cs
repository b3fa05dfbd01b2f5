using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Annotators;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Tests.Web.Erasure;
using Portal.Tests.Web.Explain;
using Portal.Tests.Web.Unlearning;
using Portal.Web.Home;
using Portal.Web.Jobs;
using Portal.Web.Shell;
using Portal.Web.Train;
using Xunit;

namespace Portal.Tests.Web.Home;

/// <summary>Home and the pages of runs, read from rows; no engine runs here, and Home says so.</summary>
public sealed class ShowHomeTests : IDisposable
{
    private readonly SeededProject project = new();
    private readonly EngineClient engine;

    public ShowHomeTests() => engine = new EngineClient(project.Directory);

    private ShowHome Home => new(project.Contexts, project.Access, engine, project.Directory, project.Time);
    private ShowRun Run => new(project.Contexts, new ShowJob(project.Contexts, project.Access), project.Access, project.Time);

    public void Dispose()
    {
        engine.Dispose();
        project.Dispose();
    }

    [Fact]
    public async Task The_first_run_is_told_from_rows()
    {
        var empty = (await Home.Handle(project.Admin, project.Id, CancellationToken.None)).Value;
        var prompt = project.Prompt("question");
        var (good, bad) = (project.Response(prompt, "good"), project.Response(prompt, "bad"));
        var vote = project.Vote(project.Pair(prompt, good, bad), project.Person("heron-1"), PairwiseVerdict.Preferred, good, 1);
        project.Pair(prompt, good, bad);
        project.Model(ModelKind.RewardModel, 1);
        project.Model(ModelKind.Policy, 1, "base");
        var policy = project.Model(ModelKind.Policy, 2, "DPO", dataset: project.Dataset(1, [vote], prompt, good, bad).Id);

        var home = (await Home.Handle(project.Admin, project.Id, CancellationToken.None)).Value;

        Assert.Equal(new FirstRun(0, 0, 0, 0, 0, 0, false, null), empty.FirstRun);
        Assert.Equal(new FirstRun(1, 2, 1, 1, 1, 1, false, policy.Id), home.FirstRun);
        Assert.Equal(1, home.Days[^1].Count);
        Assert.Equal(ShowHome.Days, home.Days.Count);
        Assert.Contains(home.Waits, w => w is { Key: "Candidate" } && w.Href == $"models/{policy.Id}/results");
        Assert.Contains(home.Waits, w => w is { Key: "Pairs", Count: 2 });
        Assert.False(home.Health.Single(h => h.Key == "Engine").IsWell);
    }

    [Fact]
    public async Task What_the_person_skipped_does_not_wait_for_that_person()
    {
        var prompt = project.Prompt("question");
        var task = project.Pair(prompt, project.Response(prompt, "good"), project.Response(prompt, "bad"));
        project.Pair(prompt, project.Response(prompt, "this"), project.Response(prompt, "that"));
        var annotator = project.Person("heron-2");
        var skipped = Assignment.Take(project.Ids.New<AssignmentId>(), task, annotator, slot: 0, sideSeed: 1, project.Now, TimeSpan.FromMinutes(30));
        skipped.MarkSkipped();
        project.Add(new AnnotatorAccount { AccountId = SeededProject.AccountOf(project.Annotator), AnnotatorId = annotator }, skipped);

        var home = (await Home.Handle(project.Annotator, project.Id, CancellationToken.None)).Value;
        var admin = (await Home.Handle(project.Admin, project.Id, CancellationToken.None)).Value;

        Assert.Equal(1, home.Waits.Single(w => w.Key == "Pairs").Count);
        Assert.Equal(2, admin.Waits.Single(w => w.Key == "Pairs").Count);
    }

    [Fact]
    public async Task Each_role_sees_what_it_may_do()
    {
        var annotator = (await Home.Handle(project.Annotator, project.Id, CancellationToken.None)).Value;
        var auditor = (await Home.Handle(project.Auditor, project.Id, CancellationToken.None)).Value;

        Assert.Equal((false, false, 0), (annotator.MayAdminister, annotator.SeesModels, annotator.Health.Count));
        Assert.Equal((false, true, 0), (auditor.MayAdminister, auditor.SeesModels, auditor.Health.Count));
    }

    [Fact]
    public async Task A_failure_waits_until_a_newer_job_of_its_kind_is_there()
    {
        var failed = project.Job(new TrainRewardModel());
        project.Change(db =>
        {
            var row = db.Jobs.Single(j => j.Id == failed.Id);
            row.Start(project.Now);
            row.Fail("The loss is not a number.", project.Now);
        });
        var before = (await Home.Handle(project.Admin, project.Id, CancellationToken.None)).Value;

        var again = await new RestartJob(project.Contexts, new StartJob(project.Writes, project.Access, project.Ids, project.Time), project.Access).Handle(project.Admin, failed.Id, CancellationToken.None);
        var after = (await Home.Handle(project.Admin, project.Id, CancellationToken.None)).Value;

        Assert.Contains(before.Waits, w => w.Key == "Failed");
        Assert.DoesNotContain(after.Waits, w => w.Key == "Failed");
        using var db = project.Open();
        Assert.Equal(db.Jobs.Single(j => j.Id == failed.Id).SpecJson, db.Jobs.Single(j => j.Id == again.Value).SpecJson);
    }

    /// <summary>What needs a second person waits for every admin but the one who asked; a body that an erasure left as it was waits until it is trained again, and says when that is overdue.</summary>
    [Fact]
    public async Task What_needs_a_second_person_waits_for_others_and_an_erasure_until_the_body_is_trained_again()
    {
        async Task<List<string>> Keys() => [.. (await Home.Handle(project.Admin, project.Id, CancellationToken.None)).Value.Waits.Select(w => w.Key)];
        var seeded = new SeededErasure(project, Guid.NewGuid(), Guid.NewGuid());
        var explanation = new SeededExplanation(project, 1);
        _ = new SeededUnlearning(project, explanation, Guid.NewGuid(), Guid.NewGuid());
        var waits = (await Home.Handle(project.Admin, project.Id, CancellationToken.None)).Value.Waits;
        Assert.Equal((1, 1, 1), (waits.Single(w => w.Key == "Erasure").Count, waits.Single(w => w.Key == "Unlearning").Count, waits.Single(w => w.Key == "Body").Count));
        Assert.DoesNotContain("BodyOverdue", waits.Select(w => w.Key));
        Assert.DoesNotContain((await Home.Handle(project.Reviewer, project.Id, CancellationToken.None)).Value.Waits, w => w.Key is "Erasure" or "Body");

        using (var db = project.Open())
        {
            Assert.Equal(1, db.ErasureRequests.Where(r => r.Id == seeded.Done).ExecuteUpdate(set => set.SetProperty(r => r.BodyDueAt, project.Now.AddDays(-1))));
            Assert.Equal(1, db.ErasureRequests.Where(r => r.Id == seeded.Waiting).ExecuteUpdate(set => set.SetProperty(r => r.RequestedBy, SeededProject.AccountOf(project.Admin))));
        }
        Assert.DoesNotContain("Erasure", await Keys()); // whoever looks has asked for it
        var overdue = (await Home.Handle(project.Admin, project.Id, CancellationToken.None)).Value.Waits.Single(w => w.Key == "BodyOverdue");
        Assert.Equal((1, $"erasure/{seeded.Done}"), (overdue.Count, overdue.Href));

        project.Change(db =>
        {
            foreach (var body in db.Jobs.Where(j => j.Kind == nameof(TrainRewardModel)).ToList())
            {
                body.Start(project.Now);
                body.Succeed("/models", project.Now);
            }
        });
        Assert.DoesNotContain(await Keys(), key => key.StartsWith("Body", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_run_leads_back_to_its_data_and_on_to_its_model()
    {
        var job = project.Job(new TrainRewardModel { Seed = 7 });
        var prompt = project.Prompt("question");
        var (good, bad) = (project.Response(prompt, "good"), project.Response(prompt, "bad"));
        var dataset = project.Dataset(3, [project.Vote(project.Pair(prompt, good, bad), project.Person("heron-1"), PairwiseVerdict.Preferred, good, 1)], prompt, good, bad);
        var model = project.Model(ModelKind.RewardModel, 4, "reward model", dataset: dataset.Id, job: job.Id);
        project.Result(model.Id, MetricNames.BagOfWordsBaseline, MetricNames.HeldOut, .7, .6, .8, 100);
        project.Result(model.Id, MetricNames.PairwiseAccuracy, MetricNames.HeldOut, .75, .7, .8, 100);

        var run = (await Run.Handle(project.Auditor, job.Id, CancellationToken.None)).Value;

        Assert.Equal((3, model.Id, false), (run.DatasetNumber, run.ModelId, run.MayAct));
        Assert.Equal([(MetricNames.BagOfWordsBaseline, .7)], run.Baselines);
        Assert.Equal(ProblemKind.Forbidden, (await Run.Handle(project.Annotator, job.Id, CancellationToken.None)).Refusal?.Kind);
    }

    [Fact]
    public async Task The_queue_stands_in_the_order_in_which_it_will_run()
    {
        var first = project.Job(new TrainRewardModel());
        project.Job(new TrainPreferencePolicy(), after: first.Id);
        var running = project.Job(new SampleResponses());
        project.Change(db => db.Jobs.Single(j => j.Id == running.Id).Start(project.Now));

        var open = (await new ListOpenJobs(project.Contexts, project.Access).Handle(project.Admin, project.Id, CancellationToken.None)).Value;

        Assert.Equal([3, 1, 2], open.Rows.Select(r => r.Number));
        Assert.Equal(new int?[] { null, null, 1 }, open.Rows.Select(r => r.AfterNumber));
    }
}
