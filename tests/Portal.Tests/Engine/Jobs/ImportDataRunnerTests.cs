using System.Diagnostics;
using System.IO.Compression;
using System.Text;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Portal.Data;
using Portal.Data.Annotators;
using Portal.Data.Datasets;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Data.Storage;
using Portal.Engine;
using Portal.Engine.Datasets;
using Portal.Engine.Jobs;
using Portal.Engine.Recipes;
using Portal.Tests.Data;
using Xunit;
using Xunit.Abstractions;

namespace Portal.Tests.Engine.Jobs;

/// <summary>Files becoming rows. Counts are those of the files below, counted by hand.</summary>
public abstract class ImportDataRunnerTests(PostgresFixture? postgres) : IDisposable
{
    private readonly RunnerBench bench = new(postgres);

    private static readonly string Votes = string.Join('\n',
        """{"prompt":"Which way to the mill?","chosen":"Left at the oak.","rejected":"No idea.","annotator":"sparrow","strength":3,"presented_left":"rejected"}""",
        """{"prompt":"Which way to the mill?","chosen":"Left at the oak.","rejected":"No idea.","annotator":"robin","strength":1}""",
        """{"prompt":"How old is the mill?","chosen":"It was built in 1802.","rejected":"Very old."}""",
        """{"prompt":"How old is the mill?","chosen":"","rejected":"Very old."}""",
        """{"prompt":"Which way to the mill?","chosen":"Left at the oak.","rejected":"No idea.","annotator":"sparrow","strength":3}""");

    public void Dispose()
    {
        bench.Dispose();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task Judged_rows_become_done_tasks_with_imported_judgements_shown_by_one_flip()
    {
        var (spec, run) = bench.Upload(Encoding.UTF8.GetBytes(Votes));
        var runner = new ImportDataRunner();

        var result = await runner.Run(spec, run);
        Assert.Equal((0, 0, 8, 0, 0), bench.Counts(visibleOnly: true) with { Texts = 8 });
        Assert.Equal((2, 4, 6, 2, 3), bench.Counts());
        await bench.Database.Writes.WriteAsync(db => result.Save!(db), default);

        Assert.Equal((2, 4, 6, 2, 3), bench.Counts(visibleOnly: true));
        var import = bench.Import(spec.ImportId);
        Assert.Equal((ImportState.Visible, 5, 3, 1, 1), (import.State, import.RowsRead, import.RowsAccepted, import.RowsRejected, import.RowsDuplicate));
        using var db = bench.Database.Open();
        var problem = db.ImportProblems.Single();
        Assert.Equal((4, "chosen"), (problem.Row, problem.Field));
        Assert.All(db.Tasks.AsNoTracking().ToList(), t => Assert.Equal((TaskState.Done, 0), (t.State, t.VotesMissing)));
        var sparrow = (from j in db.PairwiseJudgements
                       join a in db.Annotators on j.AnnotatorId equals a.Id
                       join r in db.Responses on j.PreferredResponseId equals r.Id
                       join c in db.Contents on r.ContentId equals c.Id
                       where a.Pseudonym == "sparrow"
                       select new { J = j, c.Text }).Single();
        Assert.Equal((JudgementSource.Imported, 3, "Left at the oak."), (sparrow.J.Source, sparrow.J.Strength, sparrow.Text));
        Assert.NotEqual(sparrow.J.PreferredResponseId, sparrow.J.LeftResponseId);
        Assert.Equal(["imported", "robin", "sparrow"], db.Annotators.Select(a => a.Pseudonym).Order().ToList());
        Assert.Single(db.AuditEvents, e => e.Action == "import.finish");
    }

    [Fact]
    public async Task Two_imports_that_bring_the_same_new_annotator_share_it()
    {
        var target = new ImportTarget(bench.Project, new ImportId(Guid.CreateVersion7()), 1, DateTimeOffset.UtcNow, bench.Get<ContentHasher>(), bench.Get<IdFactory>());
        await using var one = bench.Database.Open();
        await using var first = await one.Database.BeginTransactionAsync();
        var crow = new ImportStage(one, target).AnnotatorOf("crow");
        await one.SaveChangesAsync();
        var other = Task.Run(() =>
        {
            using var two = bench.Database.Open();
            using var second = two.Database.BeginTransaction();
            var id = new ImportStage(two, target).AnnotatorOf("crow");
            two.SaveChanges();
            second.Commit();
            return id;
        });
        await Task.Delay(500); // the other has looked by now; it could not see what is not committed yet
        await first.CommitAsync();

        Assert.Equal(crow, await other);
    }

    [Fact]
    public async Task The_same_file_again_brings_nothing()
    {
        await Import(Votes);
        var before = bench.Counts();

        var problem = await Assert.ThrowsAsync<CannotTrain>(() => Import(string.Join('\n', Votes.Split('\n').Where((_, i) => i != 3))));

        Assert.Equal("Nothing is new: the project holds all 4 rows already.", problem.Message);
        Assert.Equal(before, bench.Counts());
    }

    [Fact]
    public async Task All_or_nothing_takes_nothing_for_one_bad_row_and_leaves_nothing_but_the_list()
    {
        var (spec, run) = bench.Upload(Encoding.UTF8.GetBytes(Votes), allOrNothing: true);

        var problem = await Assert.ThrowsAsync<CannotTrain>(() => bench.Finish(new ImportDataRunner(), spec, run));

        Assert.StartsWith("1 of 5 rows cannot be taken", problem.Message);
        Assert.Equal((0, 0, 0, 0, 0), bench.Counts());
        Assert.Equal(ImportState.Failed, bench.Import(spec.ImportId).State);
        using var db = bench.Database.Open();
        Assert.Equal(4, db.ImportProblems.Single().Row);
        Assert.Empty(Directory.GetFiles(bench.Database.Directory.Uploads, $"{spec.Upload}*"));
    }

    [Fact]
    public async Task Unjudged_pairs_and_prompts_become_open_tasks_and_prompts()
    {
        using (var db = bench.Database.Open())
            db.Projects.Where(p => p.Id == bench.Project).ExecuteUpdate(s => s.SetProperty(p => p.VotesPerTask, 3));
        await Import("""
            {"prompt":"Name a bird.","response_a":"Heron.","response_b":"Wren."}
            {"prompt":"Name a tree.","response_a":"Oak.","response_b":"Elm."}
            """);
        await Import("""{"prompt":"Name a river."}""");

        using var after = bench.Database.Open();
        Assert.All(after.Tasks.AsNoTracking().ToList(), t => Assert.Equal((TaskState.Open, 3, 3), (t.State, t.VotesWanted, t.VotesMissing)));
        Assert.Equal((3, 4, 7, 2, 0), bench.Counts(visibleOnly: true));
    }

    [Fact]
    public async Task Single_verdicts_become_binary_judgements()
    {
        await Import("""
            {"prompt":"Name a bird.","completion":"Heron.","label":true}
            {"prompt":"Name a bird.","completion":"Oak.","label":false}
            """);

        using var db = bench.Database.Open();
        Assert.Equal([BinaryVerdict.Good, BinaryVerdict.Bad], db.BinaryJudgements.OrderBy(j => j.Verdict).Select(j => j.Verdict).ToList());
    }

    [Fact]
    public async Task A_file_cannot_speak_for_a_person_of_this_portal()
    {
        var person = bench.Seed.Person("ada");
        var account = Guid.Parse(person.FindFirst(System.Security.Claims.ClaimTypes.NameIdentifier)!.Value);
        using (var db = bench.Database.Open())
        {
            var mine = new Annotator { Id = new AnnotatorId(Guid.CreateVersion7()), Pseudonym = "sparrow", CreatedAt = DateTimeOffset.UtcNow };
            db.Annotators.Add(mine);
            db.AnnotatorAccounts.Add(new AnnotatorAccount { AccountId = account, AnnotatorId = mine.Id });
            db.SaveChanges();
        }

        await Import(Votes);

        using var after = bench.Database.Open();
        var behind = after.PairwiseJudgements.Join(after.Annotators, j => j.AnnotatorId, a => a.Id, (_, a) => a.Pseudonym).ToList();
        Assert.Contains("sparrow (imported)", behind);
        Assert.DoesNotContain("sparrow", behind);
    }

    [Fact]
    public async Task A_file_that_breaks_off_leaves_nothing_and_says_where()
    {
        var packed = new MemoryStream();
        using (var gzip = new GZipStream(packed, CompressionLevel.Fastest, leaveOpen: true))
            for (var i = 0; i < 500; i++)
                gzip.Write(Encoding.UTF8.GetBytes($$"""{"prompt":"Question {{i}}: {{Guid.NewGuid()}}","chosen":"Yes {{i}}.","rejected":"No {{i}}."}""" + "\n"));
        var (spec, run) = bench.Upload(packed.ToArray()[..(int)(packed.Length * 3 / 4)]);

        var problem = await Assert.ThrowsAsync<CannotTrain>(() => bench.Finish(new ImportDataRunner(), spec, run));

        Assert.StartsWith("votes.jsonl", problem.Message);
        Assert.Equal((0, 0, 0, 0, 0), bench.Counts());
        Assert.Equal(problem.Message, bench.Import(spec.ImportId).FailReason);
    }

    [Fact]
    public async Task A_cancelled_import_leaves_nothing_and_one_that_was_killed_begins_anew()
    {
        var lines = Enumerable.Range(0, 400).Select(i => $$"""{"prompt":"Question {{i}}?","chosen":"Yes {{i}}.","rejected":"No {{i}}."}""");
        using var stop = new CancellationTokenSource();
        var (spec, run) = bench.Upload(Encoding.UTF8.GetBytes(string.Join('\n', lines)), stop: stop.Token);

        // Killed: staged rows stay, nobody cleans up.
        var first = new ImportDataRunner().Run(spec, run);
        while (bench.Counts().Prompts < 100)
            await Task.Delay(5);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first);
        Assert.InRange(bench.Counts().Prompts, 100, 400);
        Assert.Equal(0, bench.Counts(visibleOnly: true).Prompts);
        var again = bench.Begin(spec);
        await bench.Finish(new ImportDataRunner(), spec, again);
        Assert.Equal((400, 800, 1_200, 400, 400), bench.Counts(visibleOnly: true));

        // Cancelled: cleaned up.
        using var cancel = new CancellationTokenSource();
        var other = Enumerable.Range(1_000, 400).Select(i => $$"""{"prompt":"Question {{i}}?","chosen":"Yes {{i}}.","rejected":"No {{i}}."}""");
        var (secondSpec, secondRun) = bench.Upload(Encoding.UTF8.GetBytes(string.Join('\n', other)), stop: cancel.Token);
        var second = bench.Finish(new ImportDataRunner(), secondSpec, secondRun);
        while (bench.Counts().Prompts < 450)
            await Task.Delay(5);
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => second);
        Assert.Equal((400, 800, 1_200, 400, 400), bench.Counts());
        Assert.Equal("The import was cancelled.", bench.Import(secondSpec.ImportId).FailReason);
    }

    [Fact]
    public async Task Only_the_first_thousand_problems_are_kept_and_all_are_counted()
    {
        var lines = Enumerable.Range(0, 1_200).Select(i => $$"""{"prompt":"Question {{i}}?","chosen":"","rejected":"No {{i}}."}""")
            .Append("""{"prompt":"Good?","chosen":"Yes.","rejected":"No."}""");
        var id = await Import(string.Join('\n', lines));

        using var db = bench.Database.Open();
        Assert.Equal(ImportDataRunner.ProblemsKept, db.ImportProblems.Count());
        Assert.Equal((1_201, 1, 1_200), (bench.Import(id).RowsRead, bench.Import(id).RowsAccepted, bench.Import(id).RowsRejected));
    }

    private async Task<ImportId> Import(string text)
    {
        var (spec, run) = bench.Upload(Encoding.UTF8.GetBytes(text));
        await bench.Finish(new ImportDataRunner(), spec, run);
        return spec.ImportId;
    }
}

public sealed class ImportDataRunnerOnSqliteTests() : ImportDataRunnerTests(null);

[Collection(PostgresFixture.Collection)]
[Trait("Speed", "slow")]
public sealed class ImportDataRunnerOnPostgresTests(PostgresFixture postgres) : ImportDataRunnerTests(postgres);

/// <summary>The real file, and what people who judge meanwhile notice.</summary>
[Trait("Speed", "slow")]
public sealed class ImportOfRealPairsTests(ITestOutputHelper output) : IDisposable
{
    private readonly RunnerBench bench = new();

    public void Dispose() => bench.Dispose();

    [SharedFact]
    public async Task All_of_hh_rlhf_is_taken_or_explained()
    {
        var idle = await Latencies(TimeSpan.FromSeconds(2), default);
        var (spec, run) = bench.Upload(await File.ReadAllBytesAsync(SharedData.Path("data/preferences/hh-rlhf_harmless-base_test.jsonl.gz")));
        using var done = new CancellationTokenSource();
        var clock = Stopwatch.StartNew();
        var import = bench.Finish(new ImportDataRunner(), spec, run);
        var busy = Latencies(TimeSpan.FromMinutes(5), done.Token);
        await import;
        clock.Stop();
        await done.CancelAsync();

        var row = bench.Import(spec.ImportId);
        output.WriteLine($"{row.RowsRead} rows in {clock.Elapsed.TotalSeconds:F1} s: {row.RowsAccepted} taken, {row.RowsDuplicate} duplicates, {row.RowsRejected} refused");
        output.WriteLine($"a write of another process, ms: idle {Percentiles(idle)}; during the import {Percentiles(await busy)}");
        Assert.Equal(2_312, row.RowsRead);
        Assert.Equal(13, row.RowsRejected); // counted by the formats' own test
        Assert.Equal(2_312, row.RowsAccepted + row.RowsDuplicate + row.RowsRejected);
        using var db = bench.Database.Open();
        Assert.Equal(13, db.ImportProblems.Select(p => p.Row).Distinct().Count());
        Assert.All(db.ImportProblems.ToList(), p => Assert.False(string.IsNullOrWhiteSpace(p.Reason)));
        Assert.Equal(row.RowsAccepted, db.PairwiseJudgements.Count());
    }

    /// <summary>Small writes as another process makes them: through a write queue of its own on the same file.</summary>
    private async Task<List<double>> Latencies(TimeSpan duration, CancellationToken stop)
    {
        await using var portal = new ServiceCollection().AddPortalData(new PortalDataOptions(bench.Database.Directory)).BuildServiceProvider();
        var writes = portal.GetRequiredService<WriteQueue>();
        var times = new List<double>();
        var clock = Stopwatch.StartNew();
        while (clock.Elapsed < duration && !stop.IsCancellationRequested)
        {
            var began = Stopwatch.GetTimestamp();
            await writes.WriteAsync(db => db.TaskEvents.Add(new TaskEvent
            {
                ProjectId = bench.Project, TaskId = new TaskId(Guid.CreateVersion7()), AnnotatorId = new AnnotatorId(Guid.CreateVersion7()), Kind = TaskEventKind.Skipped, At = DateTimeOffset.UtcNow,
            }), default);
            times.Add(Stopwatch.GetElapsedTime(began).TotalMilliseconds);
            await Task.Delay(10, CancellationToken.None);
        }
        return times;
    }

    private static string Percentiles(List<double> times)
    {
        var sorted = times.Order().ToList();
        return $"p50 {sorted[sorted.Count / 2]:F1}, p99 {sorted[sorted.Count * 99 / 100]:F1}, max {sorted[^1]:F1} (n {sorted.Count})";
    }
}
