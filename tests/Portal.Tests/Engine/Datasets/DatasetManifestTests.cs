using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Portal.Data;
using Portal.Data.Annotators;
using Portal.Data.Datasets;
using Portal.Data.Feedback;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Storage;
using Portal.Engine;
using Portal.Engine.Datasets;
using Portal.Engine.Recipes;
using Portal.Tests.Data;
using Portal.Tests.Web.Annotate;
using Xunit;

namespace Portal.Tests.Engine.Datasets;

/// <summary>
/// Freezing judgements. Expected rows and counts are written down by hand from the truth table at the head of PreferenceDataset.cs.
/// </summary>
public abstract class DatasetManifestTests : IDisposable
{
    private readonly PortalDatabase database;
    private readonly Seeding seed;
    private readonly ProjectId project;
    private readonly DatasetManifest manifest;
    private readonly AnnotatorId annotator = new(Guid.CreateVersion7());

    protected DatasetManifestTests(PostgresFixture? postgres)
    {
        database = new PortalDatabase(postgres);
        var services = database.Services;
        seed = new Seeding(database.Contexts, services.GetRequiredService<IdFactory>(), services.GetRequiredService<ContentHasher>(), TimeProvider.System);
        project = seed.Project();
        manifest = new DatasetManifest(database.Contexts, database.Writes, services.GetRequiredService<ContentHasher>(),
            services.GetRequiredService<IdFactory>(), TimeProvider.System);
        using var db = database.Open();
        db.Annotators.Add(new Annotator { Id = annotator, Pseudonym = "heron-1", CreatedAt = DateTimeOffset.UtcNow });
        db.SaveChanges();
    }

    public void Dispose()
    {
        database.Dispose();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task Each_verdict_becomes_what_the_truth_table_says()
    {
        Pair("a wins", PairwiseVerdict.Preferred, strength: 3);
        Pair("b wins", PairwiseVerdict.Preferred, strength: 1, secondWins: true);
        Pair("no strength", PairwiseVerdict.Preferred, strength: null);
        Pair("tie", PairwiseVerdict.Tie);
        Pair("good", PairwiseVerdict.BothGood);
        Pair("bad", PairwiseVerdict.BothBad);
        Pair("bad too", PairwiseVerdict.BothBad);
        Pair("dunno", PairwiseVerdict.CannotJudge);
        Pair("late", PairwiseVerdict.Preferred, strength: 2, surplus: true);
        Pair("changed", PairwiseVerdict.Preferred, strength: 2, superseded: true);
        Pair("blind", PairwiseVerdict.Preferred, strength: 2, candidate: new ModelVersionId(Guid.CreateVersion7()));
        var erased = Pair("erased", PairwiseVerdict.Preferred, strength: 2);
        Erase(erased.FirstResponseId);

        var id = await Build(TaskKind.Pairwise, new DatasetRules());
        var rows = await PreferenceDataset.Load(database.Contexts, id, CancellationToken.None);

        var version = Version(id);
        Assert.Equal(new SortedDictionary<string, int>
        {
            ["tie"] = 1, ["both good"] = 1, ["both bad"] = 2, ["cannot judge"] = 1, ["surplus"] = 1, ["superseded"] = 1, ["blind comparison"] = 1, ["erased"] = 1,
        }, JsonSerializer.Deserialize<SortedDictionary<string, int>>(version.DroppedJson));
        Assert.Equal((3, 0), (version.RowsTrain + version.RowsHeldOut, version.RowsSimulated));
        var all = rows.Split.Train.Concat(rows.Split.HeldOut).OrderBy(r => r.Prompt[^1].Content, StringComparer.Ordinal).ToList();
        Assert.Equal([("a wins", "a wins: first", "a wins: second", 1.0), ("b wins", "b wins: second", "b wins: first", 1 / 3.0), ("no strength", "no strength: first", "no strength: second", (double?)null)],
            all.Select(r => (r.Prompt[^1].Content, r.Chosen, r.Rejected, r.Margin)));
        Assert.All(all, r => Assert.Equal(1, r.Weight));
    }

    [Fact]
    public async Task Single_verdicts_become_labels()
    {
        Verdict("fine", BinaryVerdict.Good);
        Verdict("poor", BinaryVerdict.Bad);
        Verdict("hm", BinaryVerdict.Unsure);

        var id = await Build(TaskKind.Binary, new DatasetRules());
        var rows = await BinaryDataset.Load(database.Contexts, id, CancellationToken.None);

        Assert.Equal("""{"unsure":1}""", Version(id).DroppedJson);
        Assert.Equal([("fine: first", true), ("poor: first", false)],
            rows.Split.Train.Concat(rows.Split.HeldOut).OrderBy(r => r.Response, StringComparer.Ordinal).Select(r => (r.Response, r.IsGood)));
        var wrong = await Assert.ThrowsAsync<CannotTrain>(() => PreferenceDataset.Load(database.Contexts, id, CancellationToken.None));
        Assert.Equal("Dataset version 1 holds single verdicts, not pairs.", wrong.Message);
    }

    [Fact]
    public async Task Rules_leave_out_sources_topics_and_later_judgements()
    {
        Pair("kept", PairwiseVerdict.Preferred, strength: 2, topic: "sums");
        Pair("imported", PairwiseVerdict.Preferred, strength: 2, topic: "sums", source: JudgementSource.Imported);
        Pair("simulated", PairwiseVerdict.Preferred, strength: 2, topic: "sums", source: JudgementSource.Simulated);
        Pair("other", PairwiseVerdict.Preferred, strength: 2, topic: "animals");
        Pair("none", PairwiseVerdict.Preferred, strength: 2);
        await Task.Delay(20);
        var before = DateTimeOffset.UtcNow;
        Pair("later", PairwiseVerdict.Preferred, strength: 2, topic: "sums");

        var id = await Build(TaskKind.Pairwise, new DatasetRules { IncludeImported = false, IncludeSimulated = false, Topics = ["sums"], Before = before });
        var everything = await Build(TaskKind.Pairwise, new DatasetRules());

        Assert.Equal("""{"imported":1,"other topic":2,"simulated":1}""", Version(id).DroppedJson);
        Assert.Equal(1, Version(id).RowsTrain + Version(id).RowsHeldOut);
        Assert.Equal((6, 1), (Version(everything).RowsTrain + Version(everything).RowsHeldOut, Version(everything).RowsSimulated));
    }

    [Fact]
    public async Task A_prompt_is_in_one_part_only_in_every_version()
    {
        for (var i = 0; i < 120; i++)
        {
            // Three people on one pair, and a second pair about the same question in other capitals.
            var task = Pair($"Question number {i}?", PairwiseVerdict.Preferred, strength: 2);
            Judge(task, PairwiseVerdict.Preferred, 1, secondWins: true);
            Judge(task, PairwiseVerdict.Preferred, 3);
            Pair($"QUESTION number  {i}", PairwiseVerdict.Preferred, strength: 1);
        }

        var first = await Build(TaskKind.Pairwise, new DatasetRules { HeldOutShare = 0.25 });
        var parts = PartOfEachQuestion(first);
        Pair("One more?", PairwiseVerdict.Preferred, strength: 1);
        var second = await Build(TaskKind.Pairwise, new DatasetRules { HeldOutShare = 0.25 });
        var otherSeed = await Build(TaskKind.Pairwise, new DatasetRules { HeldOutShare = 0.25, SplitSeed = 2 });

        Assert.Equal(480, Version(first).RowsTrain + Version(first).RowsHeldOut);
        Assert.InRange(parts.Values.Count(p => p is DatasetPart.HeldOut), 12, 48); // binomial, 120 questions, 0.25: mean 30, 4 sigma = 19
        var later = PartOfEachQuestion(second);
        Assert.All(parts, p => Assert.Equal(p.Value, later[p.Key]));
        Assert.NotEqual(parts, PartOfEachQuestion(otherSeed).Where(p => parts.ContainsKey(p.Key)));
    }

    [Fact]
    public async Task The_same_rows_under_the_same_rules_are_one_version()
    {
        Pair("one", PairwiseVerdict.Preferred, strength: 2);
        var first = await Build(TaskKind.Pairwise, new DatasetRules());
        var again = await Build(TaskKind.Pairwise, new DatasetRules());
        var otherRules = await Build(TaskKind.Pairwise, new DatasetRules { HeldOutShare = 0.3 });

        Assert.Equal(first, again);
        Assert.NotEqual(first, otherRules);
        Assert.Equal((1, 2), (Version(first).Number, Version(otherRules).Number));
        using var db = database.Open();
        Assert.Equal(2, db.AuditEvents.Count(e => e.Action == "dataset.make"));
    }

    public static TheoryData<string> Tamperings => [.. Tamper.Keys];

    private static readonly Dictionary<string, Action<PortalDbContext, DatasetVersionId>> Tamper = new()
    {
        ["a margin"] = (db, id) => db.DatasetRows.Where(r => r.DatasetVersionId == id && r.Ordinal == 1).ExecuteUpdate(s => s.SetProperty(r => r.Margin, 0.5)),
        ["a weight"] = (db, id) => db.DatasetRows.Where(r => r.DatasetVersionId == id && r.Ordinal == 1).ExecuteUpdate(s => s.SetProperty(r => r.Weight, 2)),
        ["a part"] = (db, id) => db.DatasetRows.Where(r => r.DatasetVersionId == id && r.Ordinal == 2)
            .ExecuteUpdate(s => s.SetProperty(r => r.Part, r => r.Part == DatasetPart.Train ? DatasetPart.HeldOut : DatasetPart.Train)),
        ["a row removed"] = (db, id) => db.DatasetRows.Where(r => r.DatasetVersionId == id && r.Ordinal == 0).ExecuteDelete(),
        ["a label turned round"] = (db, id) =>
        {
            var row = db.DatasetRows.AsNoTracking().Single(r => r.DatasetVersionId == id && r.Ordinal == 0);
            db.DatasetRows.Where(r => r.DatasetVersionId == id && r.Ordinal == 0)
                .ExecuteUpdate(s => s.SetProperty(r => r.ChosenId, row.RejectedId!.Value).SetProperty(r => r.RejectedId, row.ChosenId));
        },
        ["a judgement exchanged"] = (db, id) => db.DatasetRows.Where(r => r.DatasetVersionId == id && r.Ordinal == 0)
            .ExecuteUpdate(s => s.SetProperty(r => r.JudgementId, new JudgementId(Guid.CreateVersion7()))),
        ["a text exchanged"] = (db, id) => db.Responses.Where(r => r.Id == db.DatasetRows.First(x => x.DatasetVersionId == id && x.Ordinal == 0).ChosenId)
            .ExecuteUpdate(s => s.SetProperty(r => r.ContentHash, new string('0', 64))),
        ["the rules"] = (db, id) => db.DatasetVersions.Where(v => v.Id == id).ExecuteUpdate(s => s.SetProperty(v => v.RulesJson, "{}")),
    };

    [Theory]
    [MemberData(nameof(Tamperings))]
    public async Task Verifying_notices_a_change_of(string what)
    {
        for (var i = 0; i < 5; i++)
            Pair($"q{i}", PairwiseVerdict.Preferred, strength: 1 + i % 3);
        var id = await Build(TaskKind.Pairwise, new DatasetRules());
        Assert.Null(await manifest.Verify(id, CancellationToken.None));

        using (var db = database.Open())
            Tamper[what](db, id);

        Assert.NotNull(await manifest.Verify(id, CancellationToken.None));
    }

    [Fact]
    public async Task Erasing_a_text_leaves_the_version_valid_and_the_row_out()
    {
        Pair("stays", PairwiseVerdict.Preferred, strength: 1);
        var goes = Pair("goes", PairwiseVerdict.Preferred, strength: 1);
        var id = await Build(TaskKind.Pairwise, new DatasetRules());

        Erase(goes.FirstResponseId);
        var rows = await PreferenceDataset.Load(database.Contexts, id, CancellationToken.None);

        Assert.Null(await manifest.Verify(id, CancellationToken.None));
        Assert.Equal(1, rows.Erased);
        Assert.Equal("stays", rows.Split.Train.Concat(rows.Split.HeldOut).Single().Prompt[^1].Content);
    }

    [Fact]
    public async Task Nothing_usable_says_what_there_was()
    {
        Pair("tie", PairwiseVerdict.Tie);
        Pair("tie too", PairwiseVerdict.Tie);
        Pair("bad", PairwiseVerdict.BothBad);

        var problem = await Assert.ThrowsAsync<CannotTrain>(() => Build(TaskKind.Pairwise, new DatasetRules()));
        var nothing = await Assert.ThrowsAsync<CannotTrain>(() => Build(TaskKind.Binary, new DatasetRules()));
        var share = await Assert.ThrowsAsync<CannotTrain>(() => Build(TaskKind.Binary, new DatasetRules { HeldOutShare = double.NaN }));

        Assert.Equal("There is no usable pair among 3 judgements: 1 both bad, 2 tie.", problem.Message);
        Assert.Equal("There is no usable verdict among 0 judgements.", nothing.Message);
        Assert.Equal("The held-out share is NaN; it must be between 0.02 and 0.5.", share.Message);
    }

    [Fact]
    public async Task A_version_that_a_killed_job_left_half_written_is_removed()
    {
        Pair("one", PairwiseVerdict.Preferred, strength: 1);
        var job = new Job { Id = new JobId(Guid.CreateVersion7()), Number = 1, ProjectId = project, Kind = "TrainRewardModel", SpecJson = "{}", CreatedBy = null, CreatedAt = DateTimeOffset.UtcNow };
        job.Fail("killed", DateTimeOffset.UtcNow);
        var half = new DatasetVersionId(Guid.CreateVersion7());
        using (var db = database.Open())
        {
            db.Jobs.Add(job);
            db.DatasetVersions.Add(new DatasetVersion
            {
                Id = half, ProjectId = project, Number = 1, Kind = TaskKind.Pairwise, RulesJson = "{}", ManifestHash = new string('a', 64), RowsTrain = 7, RowsHeldOut = 0,
                PromptsTrain = 7, PromptsHeldOut = 0, DroppedJson = "{}", RowsSimulated = 0, CreatedAt = DateTimeOffset.UtcNow, JobId = job.Id,
            });
            db.SaveChanges();
        }

        var id = await Build(TaskKind.Pairwise, new DatasetRules());

        using var after = database.Open();
        Assert.Equal(id, after.DatasetVersions.Single().Id);
    }

    private Task<DatasetVersionId> Build(TaskKind kind, DatasetRules rules) => manifest.Build(project, kind, rules, null, null, CancellationToken.None);

    private DatasetVersion Version(DatasetVersionId id)
    {
        using var db = database.Open();
        return db.DatasetVersions.AsNoTracking().Single(v => v.Id == id);
    }

    /// <summary>The part of each question, spelt the same way; fails when one question is in both.</summary>
    private Dictionary<string, DatasetPart> PartOfEachQuestion(DatasetVersionId id)
    {
        using var db = database.Open();
        var rows = (from r in db.DatasetRows
                    where r.DatasetVersionId == id
                    join p in db.Prompts on r.PromptId equals p.Id
                    join c in db.Contents on p.ContentId equals c.Id
                    select new { r.Part, c.Text }).ToList();
        return rows.GroupBy(r => string.Join(' ', Conversation.LastQuestion(Conversation.Parse(r.Text)).ToLowerInvariant().TrimEnd('?').Split(' ', StringSplitOptions.RemoveEmptyEntries)))
            .ToDictionary(g => g.Key, g => g.Select(r => r.Part).Distinct().Single());
    }

    private AnnotationTask Pair(string question, PairwiseVerdict verdict, int? strength = null, bool secondWins = false, bool surplus = false, bool superseded = false,
        ModelVersionId? candidate = null, string? topic = null, JudgementSource source = JudgementSource.Person)
    {
        var task = seed.Task(project, question, $"{question}: first", $"{question}: second", candidate: candidate, topic: topic);
        Judge(task, verdict, strength, secondWins, surplus, superseded, source);
        return task;
    }

    private void Judge(AnnotationTask task, PairwiseVerdict verdict, int? strength, bool secondWins = false, bool surplus = false, bool superseded = false,
        JudgementSource source = JudgementSource.Person)
    {
        var judgement = new PairwiseJudgement
        {
            Id = new JudgementId(Guid.CreateVersion7()), ProjectId = project, TaskId = task.Id, AnnotatorId = annotator, Source = source, Verdict = verdict,
            PreferredResponseId = verdict is PairwiseVerdict.Preferred ? secondWins ? task.SecondResponseId : task.FirstResponseId : null, Strength = strength,
            LeftResponseId = task.FirstResponseId, IsSurplus = surplus, SubmittedAt = DateTimeOffset.UtcNow,
        };
        if (superseded)
            judgement.MarkSuperseded(DateTimeOffset.UtcNow);
        using var db = database.Open();
        db.PairwiseJudgements.Add(judgement);
        db.SaveChanges();
    }

    private void Verdict(string question, BinaryVerdict verdict)
    {
        var task = seed.Task(project, question, $"{question}: first");
        using var db = database.Open();
        db.BinaryJudgements.Add(new BinaryJudgement
        {
            Id = new JudgementId(Guid.CreateVersion7()), ProjectId = project, TaskId = task.Id, AnnotatorId = annotator, Source = JudgementSource.Person, Verdict = verdict,
            ResponseId = task.FirstResponseId, SubmittedAt = DateTimeOffset.UtcNow,
        });
        db.SaveChanges();
    }

    private void Erase(ResponseId response)
    {
        using var db = database.Open();
        var content = db.Responses.Single(r => r.Id == response).ContentId;
        db.Contents.Single(c => c.Id == content).Erase(DateTimeOffset.UtcNow);
        db.SaveChanges();
    }
}

public sealed class DatasetManifestOnSqliteTests() : DatasetManifestTests(null);

[Collection(PostgresFixture.Collection)]
[Trait("Speed", "slow")]
public sealed class DatasetManifestOnPostgresTests(PostgresFixture postgres) : DatasetManifestTests(postgres);
