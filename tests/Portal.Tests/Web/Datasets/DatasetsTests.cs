using System.Text;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Storage;
using Portal.Web.Datasets;
using Portal.Web.Train;
using Xunit;

namespace Portal.Tests.Web.Datasets;

/// <summary>What the data pages list, count, take in and hand out, on real SQLite and real files.</summary>
public sealed class DatasetsTests : IDisposable
{
    private readonly SeededProject project = new();
    private readonly DatasetsOptions limits = new() { UploadBytesMax = 1_000 };

    private ListJudgements List => new(project.Contexts, project.Access);
    private ReceiveUpload Receive => new(project.Directory, limits, project.Access, project.Time);
    private StartImport Import => new(project.Writes, new StartJob(project.Writes, project.Access, project.Ids, project.Time), Receive, project.Access, project.Ids, project.Time);

    public void Dispose() => project.Dispose();

    [Fact]
    public async Task Filters_leave_exactly_what_fits()
    {
        var prompt = project.Prompt("Which way to the mill?", "directions");
        var (good, bad) = (project.Response(prompt, "good"), project.Response(prompt, "bad"));
        var (heron, sim) = (project.Person("heron-1"), project.Person("sim-07", simulated: true));
        var monday = new DateTimeOffset(2026, 11, 16, 23, 59, 0, TimeSpan.Zero);
        project.Vote(project.Pair(prompt, good, bad), heron, PairwiseVerdict.Preferred, good, 3, at: monday);
        project.Vote(project.Pair(prompt, good, bad), heron, PairwiseVerdict.Tie, at: monday.AddMinutes(2));
        project.Vote(project.Pair(prompt, good, bad), sim, PairwiseVerdict.Tie, source: JudgementSource.Simulated, at: monday.AddDays(1));
        var old = project.Vote(project.Pair(prompt, good, bad), heron, PairwiseVerdict.BothBad, at: monday);
        project.Change(db => db.PairwiseJudgements.Single(j => j.Id == old.Id).MarkSuperseded(project.Now));
        project.Vote(project.Single(prompt, good), heron, BinaryVerdict.Good);

        Assert.Equal(3, await Total(new()));
        Assert.Equal(1, await Total(new(Kind: TaskKind.Binary)));
        Assert.Equal(1, await Total(new(Source: JudgementSource.Simulated)));
        Assert.Equal(2, await Total(new(Annotator: "heron-1")));
        Assert.Equal(2, await Total(new(Verdict: "Tie")));
        Assert.Equal(1, await Total(new(To: new DateOnly(2026, 11, 16))));
        Assert.Equal(2, await Total(new(From: new DateOnly(2026, 11, 17))));
        Assert.Equal(0, await Total(new(Annotator: "heron-1", Source: JudgementSource.Simulated)));
        var newest = (await List.Handle(project.Admin, project.Id, new(), CancellationToken.None)).Value.Rows;
        Assert.Equal(["sim-07", "heron-1", "heron-1"], newest.Select(r => r.Pseudonym));
        Assert.Equal(("Which way to the mill?", "directions", "Preferred", 3), (newest[2].Question, newest[2].Topic, newest[2].Verdict, newest[2].Strength));

        async Task<int> Total(JudgementFilter filter) => (await List.Handle(project.Admin, project.Id, filter, CancellationToken.None)).Value.Total;
    }

    [SmallDiskFact]
    public async Task An_upload_that_does_not_fit_on_the_disk_is_refused_by_name_and_not_kept()
    {
        using var disk = new SmallDisk(64);
        var directory = new DataDirectory(disk.Folder);
        Directory.CreateDirectory(directory.Uploads);
        using var file = new MemoryStream(new byte[1 << 20]);

        var refused = await new ReceiveUpload(directory, new(), project.Access, project.Time).Handle(project.Admin, project.Id, "votes.jsonl", file, CancellationToken.None);

        var problem = Assert.Single(refused.Refusal?.Problems ?? []);
        Assert.Equal("file", problem.Field);
        Assert.Contains("\"votes.jsonl\" could not be stored (No space left on device", problem.Message, StringComparison.Ordinal);
        Assert.Empty(disk.Files);
    }

    [Theory]
    [InlineData("Preferred' OR 1=1 --", null)]
    [InlineData("99", null)]
    [InlineData("Good", null)]
    [InlineData(null, "nobody-1")]
    public async Task A_filter_that_names_nothing_we_know_is_refused(string? verdict, string? annotator) =>
        Assert.NotNull((await List.Handle(project.Admin, project.Id, new(Verdict: verdict, Annotator: annotator), CancellationToken.None)).Refusal);

    [Fact]
    public async Task More_than_a_page_with_one_and_the_same_time_is_listed_without_gap_or_repeat()
    {
        var prompt = project.Prompt("question");
        var (good, bad) = (project.Response(prompt, "good"), project.Response(prompt, "bad"));
        var person = project.Person("sim-01", simulated: true);
        var at = project.Now;
        for (var index = 0; index < ListJudgements.RowsMax + 7; index++)
            project.Vote(project.Pair(prompt, good, bad), person, PairwiseVerdict.Tie, at: at);

        var first = (await List.Handle(project.Admin, project.Id, new(Page: 0), CancellationToken.None)).Value;
        var second = (await List.Handle(project.Admin, project.Id, new(Page: 1), CancellationToken.None)).Value;

        Assert.Equal((ListJudgements.RowsMax, 7, ListJudgements.RowsMax + 7), (first.Rows.Count, second.Rows.Count, first.Total));
        Assert.Equal(first.Total, first.Rows.Concat(second.Rows).Select(r => r.Id).Distinct().Count());
    }

    [Fact]
    public async Task An_export_says_before_what_it_leaves_out()
    {
        var prompt = project.Prompt("question");
        var (good, bad) = (project.Response(prompt, "good"), project.Response(prompt, "bad"));
        var person = project.Person("heron-1");
        foreach (var verdict in new[] { PairwiseVerdict.Tie, PairwiseVerdict.Tie, PairwiseVerdict.BothBad })
            project.Vote(project.Pair(prompt, good, bad), person, verdict);
        project.Vote(project.Pair(prompt, good, bad), person, PairwiseVerdict.Preferred, good, 1);
        project.Vote(project.Single(prompt, good), person, BinaryVerdict.Good);
        project.Vote(project.Single(prompt, bad), person, BinaryVerdict.Unsure);

        var plans = (await new PlanExport(project.Contexts, project.Access).Handle(project.Admin, project.Id, CancellationToken.None)).Value;

        var preference = plans.Single(p => p.Format == ExportFormats.Preference);
        Assert.Equal(1, preference.Kept);
        Assert.Equal([("BothBad", 1), ("NotAPair", 2), ("Tie", 2)], preference.Dropped.OrderBy(d => d.Reason));
        var unpaired = plans.Single(p => p.Format == ExportFormats.Unpaired);
        Assert.Equal((1, 5), (unpaired.Kept, unpaired.Dropped.Sum(d => d.Count)));
        Assert.Equal(6, plans.Single(p => p.Format == ExportFormats.Portal).Kept);
    }

    [Fact]
    public async Task An_upload_waits_under_a_name_of_our_own_for_its_project_only()
    {
        using var other = new SeededProject();

        var upload = (await Receive.Handle(project.Admin, project.Id, "..\\..\\etc/votes\u202e.jsonl", Content("{}"), CancellationToken.None)).Value;

        Assert.Equal(("votes.jsonl", 2L), (upload.FileName, upload.Bytes));
        Assert.Equal(upload, Receive.Find(project.Id, upload.Name));
        Assert.Null(Receive.Find(other.Id, upload.Name));
        Assert.Null(Receive.Find(project.Id, "../keys/engine-token"));
        Assert.Equal("{}", File.ReadAllText(Path.Combine(project.Directory.Uploads, upload.Name)));
    }

    [Theory]
    [InlineData(1_001, "x.jsonl", ProblemKind.TooMuch)]
    [InlineData(0, "x.jsonl", ProblemKind.Invalid)]
    [InlineData(5, "", ProblemKind.Invalid)]
    public async Task A_file_too_large_empty_or_nameless_leaves_nothing_behind(int bytes, string name, ProblemKind kind)
    {
        var outcome = await Receive.Handle(project.Admin, project.Id, name, Content(new string('x', bytes)), CancellationToken.None);

        Assert.Equal(kind, outcome.Refusal?.Kind);
        Assert.Empty(Directory.EnumerateFiles(project.Directory.Uploads));
    }

    [Fact]
    public async Task An_import_is_one_row_and_one_job_and_only_for_admins()
    {
        var upload = (await Receive.Handle(project.Admin, project.Id, "prompts.jsonl", Content("{\"prompt\":\"a\"}"), CancellationToken.None)).Value;

        var refused = await Import.Handle(project.Reviewer, project.Id, upload.Name, "prompts", new Dictionary<string, string>(), false, CancellationToken.None);
        var gone = await Import.Handle(project.Admin, project.Id, Guid.NewGuid().ToString("N"), "prompts", new Dictionary<string, string>(), false, CancellationToken.None);
        var started = await Import.Handle(project.Admin, project.Id, upload.Name, "prompts", new Dictionary<string, string>(), true, CancellationToken.None);

        Assert.Equal((ProblemKind.Forbidden, ProblemKind.NotFound), (refused.Refusal?.Kind, gone.Refusal?.Kind));
        using var db = project.Open();
        Assert.Equal(started.Value, db.Imports.Single().Id);
        var spec = Assert.IsType<ImportData>(JobSpec.FromJson(db.Jobs.Single().SpecJson));
        Assert.Equal((started.Value, upload.Name, "prompts.jsonl", true), (spec.ImportId, spec.Upload, spec.FileName, spec.AllOrNothing));
        var view = (await new ShowImport(project.Contexts, project.Access).Handle(project.Admin, started.Value, 0, CancellationToken.None)).Value;
        Assert.Equal(db.Jobs.Single().Id, view.Job!.Id);
    }

    [Fact]
    public async Task A_file_is_handed_out_only_as_the_result_of_an_export()
    {
        var job = project.Job(new ExportData { Format = "portal" });
        project.Change(db =>
        {
            var row = db.Jobs.Single(j => j.Id == job.Id);
            row.Start(project.Now);
            row.Succeed("/exports/demo-portal-1.jsonl", project.Now);
        });
        File.WriteAllText(Path.Combine(project.Directory.Exports, "demo-portal-1.jsonl"), "line");
        File.WriteAllText(Path.Combine(project.Directory.Exports, "other.jsonl"), "line");
        var download = new DownloadExport(project.Contexts, new ExportFiles(project.Directory), project.Access);

        Assert.Equal("demo-portal-1.jsonl", (await download.Handle(project.Admin, "demo-portal-1.jsonl", CancellationToken.None)).Value.Name);
        Assert.Equal(ProblemKind.NotFound, (await download.Handle(project.Admin, "other.jsonl", CancellationToken.None)).Refusal?.Kind);
        Assert.Equal(ProblemKind.NotFound, (await download.Handle(project.Admin, "../portal.db", CancellationToken.None)).Refusal?.Kind);
        Assert.Equal(ProblemKind.Forbidden, (await download.Handle(project.Auditor, "demo-portal-1.jsonl", CancellationToken.None)).Refusal?.Kind);
    }

    private static MemoryStream Content(string text) => new(Encoding.UTF8.GetBytes(text));
}
