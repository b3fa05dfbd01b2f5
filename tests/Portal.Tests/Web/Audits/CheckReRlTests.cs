using System.Security.Claims;
using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Audits;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Serving;
using Portal.Tests.Data;
using Portal.Web.Audits;
using Portal.Web.Train;
using Xunit;

namespace Portal.Tests.Web.Audits;

/// <summary>The re-RL check on an audit's page: who may ask for one, once at a time, what is refused, and how its numbers are shown and leave.</summary>
[Collection(PostgresFixture.Collection)]
public sealed class CheckReRlTests(PostgresFixture postgres)
{
    private static readonly CancellationToken Stop = CancellationToken.None;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task An_admin_starts_one_at_a_time_and_the_log_says_so(bool onPostgres)
    {
        using var database = new PortalDatabase(onPostgres ? postgres : null);
        using var project = new SeededProject(database);
        var seeded = new MadeUpAudit(project);
        var start = Start(project);

        foreach (var person in new[] { project.Auditor, project.Reviewer, project.Annotator, new ClaimsPrincipal() })
            Assert.Equal(ProblemKind.Forbidden, (await start.Handle(person, seeded.JobId, null, Stop)).Refusal?.Kind);
        var started = (await start.Handle(project.Admin, seeded.JobId, "max-entropy", Stop)).Value;
        var again = (await start.Handle(project.Admin, seeded.JobId, null, Stop)).Refusal;

        using var db = project.Open();
        var spec = Assert.IsType<CheckReRl>(JobSpec.FromJson(db.Jobs.AsNoTracking().Single(j => j.Id == started.Id).SpecJson));
        Assert.Equal((seeded.JobId, "max-entropy", null, 17L, 0.8, true), (spec.AuditId!.Value, spec.Method, spec.KlBudgetNats, spec.Seed, spec.Temperature, spec.IsTraining));
        Assert.Contains($"Job {started.Number} checks Audit 1 already", again!.ToString(), StringComparison.Ordinal);
        Assert.Equal(SeededProject.AccountOf(project.Admin), db.AuditEvents.AsNoTracking().Single(e => e.Action == "audit.re-rl.start").Actor);
        project.Add(Run(project, seeded, started.Id));
        using var handlers = new AuditHandlers(project);
        var shown = (await handlers.Get<ReadAudit>().Handle(project.Auditor, seeded.JobId, Stop)).Value.Ended!; // it was seeded ended
        Assert.Equal((1, started.Id, false), (shown.ReRlRuns.Count, Assert.Single(shown.ReRlUnderWay).Id, shown.MayCheckReRl));
        Assert.True((await handlers.Get<ReadAudit>().Handle(project.Admin, seeded.JobId, Stop)).Value.Ended!.MayCheckReRl); // likewise
    }

    [Fact]
    public async Task Where_nothing_was_fitted_or_an_endpoint_took_part_nothing_is_started()
    {
        using var project = new SeededProject();
        var (fitted, outside) = (new MadeUpAudit(project), new MadeUpAudit(project, new AuditWish { Number = 2 }));
        project.Change(db => db.PolicyAudits.Where(a => a.JobId == fitted.JobId).ExecuteUpdate(set => set.SetProperty(a => a.Accuracy, (double?)null)));
        project.Change(db => db.PolicyAudits.Where(a => a.JobId == outside.JobId).ExecuteUpdate(set => set.SetProperty(a => a.AuditedEndpointId, (PolicyEndpointId?)new PolicyEndpointId(Guid.NewGuid()))));
        var start = Start(project);

        Assert.Contains("Nothing was fitted in Audit 1", (await start.Handle(project.Admin, fitted.JobId, null, Stop)).Refusal!.ToString(), StringComparison.Ordinal);
        Assert.Contains("An endpoint took part in Audit 2", (await start.Handle(project.Admin, outside.JobId, null, Stop)).Refusal!.ToString(), StringComparison.Ordinal);
        Assert.Equal(ProblemKind.NotFound, (await start.Handle(project.Admin, new JobId(Guid.NewGuid()), null, Stop)).Refusal?.Kind);
        Assert.Empty(project.Open().Jobs.Where(j => j.Kind == nameof(CheckReRl)));
    }

    [Theory]
    [InlineData("stepsMax")]
    [InlineData("klBudgetNats")]
    [InlineData("auditId")]
    [InlineData("temperature")]
    public void A_number_that_cannot_be_is_refused_beside_its_field(string field)
    {
        var good = new CheckReRl { AuditId = new JobId(Guid.NewGuid()) };
        var wrong = field switch { "stepsMax" => good with { StepsMax = 0 }, "klBudgetNats" => good with { KlBudgetNats = double.NaN }, "auditId" => good with { AuditId = null }, _ => good with { Temperature = 0 } };

        Assert.Empty(SpecChecks.Of(good));
        Assert.Equal(field, Assert.Single(SpecChecks.Of(wrong)).Field);
    }

    [Fact]
    public async Task Its_numbers_stand_on_the_page_and_in_every_file_with_their_ranges()
    {
        using var project = new SeededProject();
        var seeded = new MadeUpAudit(project);
        using var handlers = new AuditHandlers(project);
        var before = await Ended(handlers, project, seeded);
        Assert.Contains("Nobody has checked this yet", Words(before), StringComparison.Ordinal);
        project.Add(Run(project, seeded, project.Job(new CheckReRl { AuditId = seeded.JobId }).Id, hasReachedBudget: false));

        var words = Words(await Ended(handlers, project, seeded)).Replace('\u00a0', ' ');
        var html = Rendering.Words(System.Text.Encoding.UTF8.GetString((await handlers.Get<ExportAudit>().Html(project.Auditor, seeded.JobId, Stop)).Value.Bytes)).Replace('\u00a0', ' ');
        var table = await (await handlers.Get<ExportAudit>().Table(project.Auditor, seeded.JobId, AuditTable.ReRl, Stop)).Value.Rows.ToListAsync(Stop);

        foreach (var says in new[] { "Score by reward model v1", "0.50 (0.40 to 0.60)", "+0.30 (+0.10 to +0.50)", "Answers with a word of the lexicon", "12.5 %", "−10.0 pts (−15.0 to −5.0)", "Not at matched divergence: after 40 steps the copy had not got to 6.00 nats" })
        {
            Assert.Contains(says, words, StringComparison.Ordinal);
            Assert.Contains(says, html, StringComparison.Ordinal);
        }
        Assert.Equal(2, table.Count);
        Assert.Contains(0.3, table[0].OfType<double>());
    }

    private static async Task<EndedAudit> Ended(AuditHandlers handlers, SeededProject project, MadeUpAudit seeded) => (await handlers.Get<ReadAudit>().Handle(project.Auditor, seeded.JobId, Stop)).Value.Ended!; // it was seeded ended

    private static string Words(EndedAudit audit) => Rendering.Words(Rendering.Html<ReRlBlock>(("Of", audit)));

    private static StartCheckReRl Start(SeededProject project) => new(project.Writes, new StartJob(project.Writes, project.Access, project.Ids, project.Time), project.Access, project.Time);

    /// <summary>A check that ended, with made-up figures.</summary>
    internal static ReRlRun Run(SeededProject project, MadeUpAudit seeded, JobId job, bool hasReachedBudget = true) => new()
    {
        JobId = job, AuditJobId = seeded.JobId, ProjectId = project.Id, Method = MadeUpAudit.Method, KlBudgetNats = 6, IsBudgetMeasured = true, Steps = 40, HasReachedBudget = hasReachedBudget, Prompts = 30, AnswersPerPrompt = 4, ScoredBy = "reward model v1",
        FiguresJson = JsonSerializer.Serialize(new[]
        {
            new ReRlFigure(MetricNames.MeanReward, new Estimated(.2, .1, .3), new Estimated(.9, .8, 1), new Estimated(.5, .4, .6), new Estimated(.3, .1, .5), new Estimated(-.4, -.6, -.2)),
            new ReRlFigure(ReRlFigure.LexiconShare, new Estimated(.225, .2, .25), new Estimated(.05, .01, .1), new Estimated(.125, .1, .15), new Estimated(-.1, -.15, -.05), new Estimated(.075, .01, .1)),
        }),
        Seed = 17, CreatedBy = null, At = project.Now,
    };
}
