using System.Security.Claims;
using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Audits;
using Portal.Data.JobSpecs;
using Portal.Tests.Data;
using Portal.Web.Api;
using Portal.Web.Audits;
using Portal.Web.Train;
using Xunit;

namespace Portal.Tests.Web.Audits;

/// <summary>Comparing versions: who may ask, which audits are refused from their rows, and how a comparison is shown.</summary>
[Collection(PostgresFixture.Collection)]
public sealed class DriftTests(PostgresFixture postgres)
{
    private static readonly CancellationToken Stop = CancellationToken.None;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Auditors_and_admins_compare_versions_of_one_base_and_seed(bool onPostgres)
    {
        using var database = new PortalDatabase(onPostgres ? postgres : null);
        using var project = new SeededProject(database);
        var (first, second, third) = (new MadeUpAudit(project), new MadeUpAudit(project, new AuditWish { Number = 2 }), new MadeUpAudit(project, new AuditWish { Number = 3 }));
        project.Change(db => db.PolicyAudits.Where(a => a.JobId == second.JobId || a.JobId == third.JobId).ExecuteUpdate(set => set.SetProperty(a => a.BaseId, first.Base.Id)));
        project.Change(db => db.PolicyAudits.Where(a => a.JobId == third.JobId).ExecuteUpdate(set => set.SetProperty(a => a.Seed, 18L)));
        var other = new MadeUpAudit(project, new AuditWish { Number = 4 });
        var start = Start(project);

        foreach (var person in new[] { project.Reviewer, project.Annotator, new ClaimsPrincipal() })
            Assert.Equal(ProblemKind.Forbidden, (await start.Handle(person, project.Id, [first.JobId, second.JobId], Stop)).Refusal?.Kind);
        Assert.Contains("Choose 2 to 12", await Refusal(first.JobId), StringComparison.Ordinal);
        Assert.Contains("Choose 2 to 12", await Refusal(first.JobId, first.JobId), StringComparison.Ordinal);
        Assert.Contains("seed 18, Audit 1 with 17", await Refusal(first.JobId, third.JobId), StringComparison.Ordinal);
        Assert.Contains("Audit 4 has another base", await Refusal(first.JobId, other.JobId), StringComparison.Ordinal);
        Assert.Contains("not in this project", await Refusal(first.JobId, new JobId(Guid.NewGuid())), StringComparison.Ordinal);
        var started = (await start.Handle(project.Auditor, project.Id, [first.JobId, second.JobId], Stop)).Value;
        Assert.Contains("waits or runs", await Refusal(first.JobId, second.JobId), StringComparison.Ordinal);

        using var db = project.Open();
        var spec = Assert.IsType<MeasureDrift>(JobSpec.FromJson(db.Jobs.AsNoTracking().Single(j => j.Id == started.Id).SpecJson));
        Assert.Equal([first.JobId, second.JobId], spec.AuditIds);
        Assert.Contains($"{second.JobId}", db.AuditEvents.AsNoTracking().Single(e => e.Action == "audit.drift.start").PayloadJson, StringComparison.Ordinal);

        async Task<string> Refusal(params JobId[] audits) => (await start.Handle(project.Admin, project.Id, audits, Stop)).Refusal!.ToString();
    }

    [Fact]
    public async Task A_comparison_shows_distances_trajectories_marks_and_the_incentives_of_its_audits()
    {
        using var project = new SeededProject();
        using var handlers = new AuditHandlers(project);
        var (first, second) = (new MadeUpAudit(project), new MadeUpAudit(project, new AuditWish { Number = 2, AuditedName = "policy <b>v3</b>" }));
        var run = Run(project, first, second);
        project.Add(run);

        var shown = (await handlers.Get<ShowDrift>().Handle(project.Auditor, project.Id, run.JobId, Stop)).Value;
        var html = Rendering.Html<DriftBlock>(("Of", shown.Shown));
        var words = Rendering.Words(html).Replace('\u00a0', ' ');

        Assert.Equal(run.JobId, Assert.Single(shown.Links).JobId);
        Assert.Equal(0, Assert.Single(shown.Shown!.Incentives, row => row.Key == "length_tokens").Effects.Count - 2);
        Assert.All(shown.Shown.Incentives, row => Assert.Equal(row.Effects[0] is null ? IntervalRelation.Missing : IntervalRelation.Overlap, Assert.Single(row.Steps))); // the same table twice
        foreach (var says in new[] { "0.42 (0.32 to 0.52)", "31.00 (30.90 to 31.10)", "changed, p < 0.001", "Refuses a harmless request", "policy <b>v3</b>" })
            Assert.Contains(says, words, StringComparison.Ordinal);
        Assert.DoesNotContain("<b>v3", html, StringComparison.Ordinal);
        Assert.Equal(ProblemKind.Forbidden, (await handlers.Get<ShowDrift>().Handle(project.Reviewer, project.Id, null, Stop)).Refusal?.Kind);
        Assert.Equal(ProblemKind.NotFound, (await handlers.Get<ShowDrift>().Handle(project.Admin, project.Id, new JobId(Guid.NewGuid()), Stop)).Refusal?.Kind);
        Assert.Null((await handlers.Get<ShowDrift>().Handle(project.Admin, project.Id, null, Stop)).Value.Shown);
    }

    [Fact]
    public async Task Its_tables_leave_as_files_with_every_number_and_are_written_down()
    {
        using var project = new SeededProject();
        using var handlers = new AuditHandlers(project);
        var (first, second) = (new MadeUpAudit(project), new MadeUpAudit(project, new AuditWish { Number = 2, AuditedName = "=HYPERLINK(\"x\")" }));
        var run = Run(project, first, second);
        project.Add(run);

        var distances = await File(handlers, project, run, DriftTable.Distances, "csv");
        var trajectories = JsonDocument.Parse(await File(handlers, project, run, DriftTable.Trajectories, "json")).RootElement;
        var incentives = JsonDocument.Parse(await File(handlers, project, run, DriftTable.Incentives, "json")).RootElement;

        var lines = distances.Split("\r\n", StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal("version,audit,audited,other_version,other_audit,other_audited,d_starc,d_starc_low,d_starc_high,d_starc_n", lines[0]);
        Assert.StartsWith($"1,Audit 1,{first.Row.AuditedName},2,Audit 2,\"'=HYPERLINK(\"\"x\"\")\",0.42,0.3", Assert.Single(lines.Skip(1)), StringComparison.Ordinal); // no spreadsheet takes the name for a formula
        Assert.Equal(4, trajectories.GetArrayLength());
        var length = trajectories.EnumerateArray().Single(row => row.GetProperty("measure").GetString() == DriftTrajectory.LengthTokens && row.GetProperty("version").GetInt32() == 2);
        Assert.Equal((31, 11, .0004, true), (length.GetProperty("value").GetDouble(), length.GetProperty("step").GetDouble(), length.GetProperty("step_holm_p").GetDouble(), length.GetProperty("is_change").GetBoolean()));
        Assert.All(trajectories.EnumerateArray().Where(row => row.GetProperty("version").GetInt32() == 1), row => Assert.Equal(JsonValueKind.Null, row.GetProperty("step").ValueKind)); // before the first there is none
        Assert.Equal(2 * first.Report.Incentives.Single(table => table.Name == "readable").Rows.Count, incentives.GetArrayLength());
        Assert.Equal("Overlap", incentives.EnumerateArray().Single(row => row.GetProperty("feature").GetString() == "length_tokens" && row.GetProperty("version").GetInt32() == 2).GetProperty("against_version_before").GetString());
        using var db = project.Open();
        Assert.Equal(3, db.AuditEvents.Count(e => e.Action == "audit.drift.export" && e.EntityId == $"{run.JobId}"));
    }

    [Fact]
    public async Task Its_tables_are_for_those_who_may_audit()
    {
        using var project = new SeededProject();
        using var handlers = new AuditHandlers(project);
        var run = Run(project, new MadeUpAudit(project), new MadeUpAudit(project, new AuditWish { Number = 2 }));
        project.Add(run);

        foreach (var person in new[] { project.Reviewer, project.Annotator, new ClaimsPrincipal() })
            Assert.Equal(ProblemKind.Forbidden, (await handlers.Get<ExportDrift>().Table(person, run.JobId, DriftTable.Distances, Stop)).Refusal?.Kind);
        Assert.Equal(ProblemKind.NotFound, (await handlers.Get<ExportDrift>().Table(project.Auditor, new JobId(Guid.NewGuid()), DriftTable.Distances, Stop)).Refusal?.Kind);
        using var db = project.Open();
        Assert.Equal(0, db.AuditEvents.Count(e => e.Action == "audit.drift.export"));
    }

    private static async Task<string> File(AuditHandlers handlers, SeededProject project, DriftRun run, DriftTable table, string format) =>
        (await ResultBody.Read((await handlers.Get<ExportDrift>().Table(project.Auditor, run.JobId, table, Stop)).ToFile(format))).Text;

    /// <summary>A comparison of two versions that ended, with made-up numbers.</summary>
    internal static DriftRun Run(SeededProject project, MadeUpAudit first, MadeUpAudit second)
    {
        var report = new DriftReport([new DriftVersion(first.JobId, first.Row.Label, first.Row.AuditedName), new DriftVersion(second.JobId, second.Row.Label, second.Row.AuditedName)], [[Around(0), Around(.42)], [Around(.42), Around(0)]],
            [new DriftTrajectory(DriftTrajectory.LengthTokens, [Around(20), Around(31)], [new DriftStep(Around(11), .0001, .0004, true)]), new DriftTrajectory(DriftTrajectory.KlNats, [Around(2), null], [null])], .05);
        return new DriftRun
        {
            JobId = project.Job(new MeasureDrift { AuditIds = [first.JobId, second.JobId] }).Id, ProjectId = project.Id, Method = MadeUpAudit.Method, Versions = 2, Prompts = 30, ReportJson = JsonSerializer.Serialize(report), Seed = 1, CreatedBy = null,
            At = project.Now,
        };

        static AuditInterval Around(double value) => new(value, value - .1, value + .1, .95, 30);
    }

    private static StartMeasureDrift Start(SeededProject project) => new(project.Writes, new StartJob(project.Writes, project.Access, project.Ids, project.Time), project.Access, project.Time);
}
