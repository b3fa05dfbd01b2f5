using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Accounts;
using Portal.Data.Datasets;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Storage;
using Portal.Tests.Data;
using Portal.Tests.Web.Annotate;
using Portal.Web.Accounts;
using Portal.Web.Jobs;
using Portal.Web.Train;
using Xunit;

namespace Portal.Tests.Web.Jobs;

/// <summary>Starting, listing, showing and cancelling jobs: who may, what is refused, and what is written.</summary>
public abstract class JobHandlersTests : IDisposable
{
    private readonly TestPortal portal;
    private readonly ProjectId project;
    private readonly StartJob start;
    private readonly CancelJob cancel;
    private readonly ListJobs list;
    private readonly ShowJob show;
    private readonly System.Security.Claims.ClaimsPrincipal admin;

    protected JobHandlersTests(PostgresFixture? postgres)
    {
        portal = new TestPortal(postgres);
        var (writes, access, contexts) = (portal.Get<WriteQueue>(), portal.Get<Access>(), portal.Get<IDbContextFactory<PortalDbContext>>());
        start = new StartJob(writes, access, portal.Get<IdFactory>(), portal.Clock);
        cancel = new CancelJob(writes, access, portal.Get<DataDirectory>(), portal.Clock);
        list = new ListJobs(contexts, access);
        show = new ShowJob(contexts, access);
        project = portal.Seed.Project();
        admin = portal.Person("ada", RoleNames.Admin);
    }

    public void Dispose()
    {
        portal.Dispose();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task A_started_job_waits_in_the_table_and_the_audit_log_says_who()
    {
        var spec = new TrainRewardModel { Seed = 7, UseMargins = true };
        var first = await start.Handle(admin, project, spec, null, default);
        var second = await start.Handle(admin, project, new TrainPreferencePolicy(), first.Value, default);

        using var db = portal.Open();
        var jobs = db.Jobs.AsNoTracking().OrderBy(j => j.Number).ToList();
        Assert.Equal([(1, "TrainRewardModel", JobState.Queued, (JobId?)null), (2, "TrainPreferencePolicy", JobState.Queued, first.Value)],
            jobs.Select(j => (j.Number, j.Kind, j.State, j.AfterJobId)));
        Assert.Equal(spec, JobSpec.FromJson(jobs[0].SpecJson));
        Assert.Equal(jobs[1].Id, second.Value);
        Assert.Equal(2, db.AuditEvents.Count(e => e.Action == "job.start" && e.Actor != null));
    }

    [Theory]
    [InlineData(RoleNames.Annotator, false)]
    [InlineData(RoleNames.Reviewer, false)]
    [InlineData(RoleNames.Auditor, true)]
    public async Task Only_admins_start_and_cancel_and_only_those_who_may_look_see(string role, bool maySee)
    {
        var id = (await start.Handle(admin, project, new TrainSft(), null, default)).Value;
        var person = portal.Person("bob", role);

        Assert.Equal(ProblemKind.Forbidden, (await start.Handle(person, project, new TrainSft(), null, default)).Refusal?.Kind);
        Assert.Equal(ProblemKind.Forbidden, (await cancel.Handle(person, id, default)).Refusal?.Kind);
        Assert.Equal(maySee, (await list.Handle(person, null, null, default)).Refusal is null);
        Assert.Equal(maySee, (await show.Handle(person, id, default)).Refusal is null);
        using var db = portal.Open();
        Assert.Equal(JobState.Queued, db.Jobs.Single().State);
    }

    [Fact]
    public async Task The_quota_counts_training_jobs_of_the_project_and_day()
    {
        using (var db = portal.Open())
            db.Projects.ExecuteUpdate(s => s.SetProperty(p => p.JobsPerDay, 2));
        var other = portal.Seed.Project("Another");

        Assert.Null((await start.Handle(admin, project, new TrainSft(), null, default)).Refusal);
        Assert.Null((await start.Handle(admin, project, new TrainRewardModel(), null, default)).Refusal);
        var over = await start.Handle(admin, project, new TrainRewardModel(), null, default);
        Assert.Equal(ProblemKind.TooMuch, over.Refusal?.Kind);
        Assert.Contains("all its quota of 2", over.Refusal!.ToString());
        Assert.Null((await start.Handle(admin, project, new ExportData { Format = "portal" }, null, default)).Refusal);
        Assert.Null((await start.Handle(admin, other, new TrainSft(), null, default)).Refusal);
        portal.Clock.Advance(TimeSpan.FromDays(1));
        Assert.Null((await start.Handle(admin, project, new TrainRewardModel(), null, default)).Refusal);
    }

    [Fact]
    public async Task Two_who_start_at_once_get_two_numbers()
    {
        var both = await Task.WhenAll(Enumerable.Range(0, 12).Select(_ => Task.Run(() => start.Handle(admin, project, new ExportData { Format = "portal" }, null, default))));

        Assert.All(both, b => Assert.Null(b.Refusal));
        using var db = portal.Open();
        Assert.Equal(Enumerable.Range(1, 12), db.Jobs.Select(j => j.Number).Order().ToList());
    }

    public static TheoryData<JobSpec, string> BadSpecs => new()
    {
        { new TrainSft { LengthMax = 4 }, "lengthMax" },
        { new TrainSft { Optimization = new() { LearningRate = double.NaN } }, "optimization.learningRate" },
        { new TrainSft { Optimization = new() { BatchSize = 0 } }, "optimization.batchSize" },
        { new TrainRewardModel { Rules = new() { HeldOutShare = 0.9 } }, "rules.heldOutShare" },
        { new TrainPreferencePolicy { Beta = 0 }, "beta" },
        { new TrainPreferencePolicy { LabelSmoothing = 0.5 }, "labelSmoothing" },
        { new TrainRlooPolicy { SamplesPerPrompt = 1 }, "samplesPerPrompt" },
        { new TrainRlooPolicy { SamplesPerPrompt = 0, Baseline = AdvantageBaseline.Greedy }, "samplesPerPrompt" },
        { new TrainRlooPolicy { RetainWeight = 1 }, "retainWeight" },
        { new TrainRlooPolicy { RetainWeight = double.NaN, LikeId = new(Guid.NewGuid()) }, "retainWeight" },
        { new TrainRlooPolicy { KlBudgetNats = double.NaN }, "klBudgetNats" },
        { new TrainRlooPolicy { Optimization = new() { BatchSize = 0 } }, "optimization.batchSize" },
        { new TrainRlooPolicy(), "rewardModelId" },
        { new SampleResponses { ResponsesPerPrompt = 1 }, "responsesPerPrompt" },
        { new SampleResponses { Tasks = Portal.Data.Feedback.TaskKinds.None }, "tasks" },
        { new TrainRewardModel { BackboneId = new ModelVersionId(Guid.NewGuid()) }, "backboneId" },
    };

    [Theory]
    [MemberData(nameof(BadSpecs))]
    public async Task A_spec_that_makes_no_sense_is_refused_by_field(JobSpec spec, string field)
    {
        var outcome = await start.Handle(admin, project, spec, null, default);

        Assert.NotNull(outcome.Refusal?.About(field));
        using var db = portal.Open();
        Assert.Empty(db.Jobs);
    }

    [Fact]
    public async Task A_waiting_job_is_cancelled_at_once_and_a_running_one_is_asked()
    {
        var waiting = (await start.Handle(admin, project, new TrainSft(), null, default)).Value;
        var running = (await start.Handle(admin, project, new TrainSft(), null, default)).Value;
        using (var db = portal.Open())
        {
            db.Jobs.Single(j => j.Id == running).Start(portal.Clock.GetUtcNow());
            db.SaveChanges();
        }

        Assert.Equal(JobState.Cancelled, (await cancel.Handle(admin, waiting, default)).Value);
        Assert.Equal(JobState.Running, (await cancel.Handle(admin, running, default)).Value);
        Assert.Equal(JobState.Running, (await cancel.Handle(admin, running, default)).Value);

        using var after = portal.Open();
        Assert.Equal(portal.Clock.GetUtcNow(), after.Jobs.Single(j => j.Id == running).CancelAskedAt);
        Assert.Equal(2, after.AuditEvents.Count(e => e.Action == "job.cancel"));
        Assert.True((await list.Handle(admin, project, null, default)).Value.Rows.Single(r => r.Id == running).IsCancelAsked);
    }

    [Fact]
    public async Task An_import_cancelled_before_it_began_is_over_and_its_upload_gone()
    {
        var import = new ImportId(Guid.CreateVersion7());
        var upload = Path.Combine(portal.Get<DataDirectory>().Uploads, "u1");
        await File.WriteAllTextAsync(upload, "{}");
        using (var db = portal.Open())
        {
            db.Imports.Add(new Import { Id = import, ProjectId = project, FileName = "a", Format = "auto", AllOrNothing = false, By = Guid.NewGuid(), CreatedAt = portal.Clock.GetUtcNow() });
            db.SaveChanges();
        }
        var job = (await start.Handle(admin, project, new ImportData { ImportId = import, Upload = "u1", FileName = "a", Format = "auto" }, null, default)).Value;

        await cancel.Handle(admin, job, default);

        using var after = portal.Open();
        Assert.Equal(ImportState.Failed, after.Imports.Single().State);
        Assert.False(File.Exists(upload));
    }

    [Fact]
    public async Task A_shown_job_has_its_place_thinned_curves_and_the_end_of_its_log()
    {
        var first = (await start.Handle(admin, project, new TrainSft(), null, default)).Value;
        var id = (await start.Handle(admin, project, new TrainSft(), first, default)).Value;
        using (var db = portal.Open())
        {
            db.MetricPoints.AddRange(Enumerable.Range(1, 1_000).Select(i => new MetricPoint { JobId = id, Name = "loss", Step = i, Value = 1.0 / i }));
            db.JobEvents.AddRange(Enumerable.Range(1, 250).Select(i => new JobEvent { JobId = id, At = portal.Clock.GetUtcNow(), Level = JobEventLevel.Info, Message = $"line {i}" }));
            db.SaveChanges();
        }

        var shown = (await show.Handle(admin, id, default)).Value;

        Assert.Equal((1, first), (shown.Waiting, shown.After!.Id));
        var curve = Assert.Single(shown.Curves);
        Assert.InRange(curve.Points.Count, 300, ShowJob.PointsMax);
        Assert.Equal(new CurvePoint(1_000, 0.001), curve.Points[^1]);
        Assert.Equal((ShowJob.LinesMax, "line 51", "line 250"), (shown.Log.Count, shown.Log[0].Message, shown.Log[^1].Message));
        Assert.Equal(id, (await show.Find(admin, 2, default)).Value);
        Assert.Equal(ProblemKind.NotFound, (await show.Find(admin, 99, default)).Refusal?.Kind);
    }

    [Fact]
    public async Task The_list_is_paged_newest_first()
    {
        for (var i = 0; i < ListJobs.RowsMax + 3; i++)
            await start.Handle(admin, project, new ExportData { Format = "portal" }, null, default);

        var first = (await list.Handle(admin, project, null, default)).Value;
        var rest = (await list.Handle(admin, project, first.Before, default)).Value;

        Assert.Equal((ListJobs.RowsMax + 3, ListJobs.RowsMax), (first.Rows[0].Number, first.Rows.Count));
        Assert.Equal([3, 2, 1], rest.Rows.Select(r => r.Number));
        Assert.Null(rest.Before);
    }
}

public sealed class JobHandlersOnSqliteTests() : JobHandlersTests(null);

[Collection(PostgresFixture.Collection)]
[Trait("Speed", "slow")]
public sealed class JobHandlersOnPostgresTests(PostgresFixture postgres) : JobHandlersTests(postgres);
