using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Annotators;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Data.Review;
using Portal.Data.Storage;
using Portal.Engine;
using Portal.Engine.Jobs;
using Portal.Engine.Recipes;
using Xunit;

namespace Portal.Tests.Engine.Jobs;

/// <summary>What leaves in files, and that the lossless one brings everything back.</summary>
public sealed class ExportDataRunnerTests : IDisposable
{
    private readonly RunnerBench bench = new();
    private readonly AnnotatorId heron = new(Guid.CreateVersion7());
    private readonly AnnotatorId robot = new(Guid.CreateVersion7());
    private readonly DateTimeOffset start = new(2026, 3, 1, 12, 0, 0, TimeSpan.Zero);
    private int minutes;

    public ExportDataRunnerTests()
    {
        using var db = bench.Database.Open();
        db.Annotators.Add(new Annotator { Id = heron, Pseudonym = "heron-1", CreatedAt = start });
        db.Annotators.Add(new Annotator { Id = robot, Pseudonym = "sim-07", IsSimulated = true, CreatedAt = start });
        db.SaveChanges();
    }

    public void Dispose() => bench.Dispose();

    [Fact]
    public async Task A_project_comes_back_from_the_lossless_file_as_it_was()
    {
        Fill();
        var (path, lines) = await Export("portal", bench.Project);
        var second = bench.Seed.Project("The other one", guidelines: "");
        var (spec, run) = bench.Upload(await File.ReadAllBytesAsync(path), project: second);

        await bench.Finish(new ImportDataRunner(), spec, run);
        var (_, back) = await Export("portal", second);

        var problems = Problems(spec.ImportId);
        Assert.True(problems.Length == 0, problems);
        Assert.Equal(lines.Count, back.Count);
        Assert.Equal(Canonical(lines), Canonical(back));
        using var db = bench.Database.Open();
        Assert.Equal("Facts first, then tone.", db.Projects.Single(p => p.Id == second).Guidelines);
        Assert.Equal([JudgementSource.Imported, JudgementSource.Simulated],
            db.PairwiseJudgements.Where(j => j.ProjectId == second).Select(j => j.Source).Distinct().OrderBy(s => s).ToList());
    }

    [Fact]
    public async Task A_lossless_file_of_the_same_project_brings_nothing_new()
    {
        Fill();
        var (path, _) = await Export("portal", bench.Project);
        var before = bench.Counts();
        var (spec, run) = bench.Upload(await File.ReadAllBytesAsync(path));

        var problem = await Assert.ThrowsAsync<CannotTrain>(() => bench.Finish(new ImportDataRunner(), spec, run));

        Assert.StartsWith("Nothing is new", problem.Message);
        Assert.Equal(before, bench.Counts());
    }

    [Fact]
    public async Task Trl_preference_writes_current_preferences_and_says_what_it_left_out()
    {
        Fill();

        var (path, lines) = await Export("trl-preference", bench.Project);

        var report = JsonNode.Parse(await File.ReadAllTextAsync($"{path}.report.json"))!["report"]!;
        Assert.Equal((7, 2), ((int)report["rowsGiven"]!, (int)report["rowsWritten"]!));
        Assert.Equal(new Dictionary<string, int> { ["blind comparison"] = 1, ["flagged"] = 1, ["superseded by a later version"] = 1, ["surplus"] = 1, ["tie"] = 1 },
            report["dropped"]!.AsArray().ToDictionary(d => (string)d!["reason"]!, d => (int)d!["count"]!));
        Assert.Equal(2, lines.Count);
        Assert.Equal(["Left at the oak.", "Heron."], lines.Select(l => (string)l["chosen"]![0]!["content"]!));
        Assert.Equal(["people", "simulated"], lines.Select(l => (string)l["source"]!));
        Assert.Equal("rejected", (string)lines[0]["presented_left"]!);
    }

    [Fact]
    public async Task Trl_unpaired_and_csv_are_written_too()
    {
        Fill();

        var (_, unpaired) = await Export("trl-unpaired", bench.Project);
        var (csv, _) = await Export("csv", bench.Project);

        Assert.Equal([true], unpaired.Select(l => (bool)l["label"]!));
        Assert.StartsWith("id,", await File.ReadAllTextAsync(csv));
    }

    [Fact]
    public async Task An_unknown_format_is_refused_with_the_known_ones()
    {
        var spec = new ExportData { Format = "xml" };

        var problem = await Assert.ThrowsAsync<CannotTrain>(() => bench.Finish(new ExportDataRunner(), spec, bench.Begin(spec)));

        Assert.Equal("There is no export format \"xml\"; known are portal, trl-preference, trl-unpaired, csv.", problem.Message);
    }

    [Fact]
    public async Task Others_write_while_an_export_reads()
    {
        Fill();
        await using var db = bench.Database.Open();
        using var source = new Portal.Engine.Datasets.ExportSource(db, bench.Project);
        using var records = source.Records(start, "test").GetEnumerator();
        Assert.True(records.MoveNext());

        await bench.Database.Writes.WriteAsync(other => other.Projects.Single(p => p.Id == bench.Project).ContentWarning = "changed", default).WaitAsync(EngineProcess.Patience);
        bench.Seed.Task(bench.Project, "Asked meanwhile?", "Yes.", "No.");

        var rest = new List<string>();
        while (records.MoveNext())
            rest.Add(records.Current.Type);
        Assert.Equal(7, rest.Count(t => t == "prompt")); // the snapshot's, not the eighth
    }

    /// <summary>One of everything that a file can carry.</summary>
    private void Fill()
    {
        var seed = bench.Seed;
        var mill = seed.Task(bench.Project, "Which way to the mill?", "Left at the oak.", "No idea.", topic: "directions");
        var first = Judge(mill, heron, PairwiseVerdict.Preferred, second: true, strength: 1, superseded: true);
        Judge(mill, heron, PairwiseVerdict.Preferred, second: false, strength: 3, supersedes: first, rationale: "It is right — \"quoted\", ünïcode, \u2028 line.");
        Judge(seed.Task(bench.Project, "Name a bird.", "Heron.", "Oak."), robot, PairwiseVerdict.Preferred, second: false, strength: 2, source: JudgementSource.Simulated);
        Judge(seed.Task(bench.Project, "Tie?", "Yes.", "No.", votes: 2), heron, PairwiseVerdict.Tie);
        Judge(seed.Task(bench.Project, "Surplus?", "Aye.", "Nay."), heron, PairwiseVerdict.Preferred, strength: 1, surplus: true);
        Judge(seed.Task(bench.Project, "Blind?", "Old.", "New.", candidate: new ModelVersionId(Guid.CreateVersion7())), heron, PairwiseVerdict.Preferred, strength: 1);
        var rude = seed.Task(bench.Project, "Be kind.", "Certainly.", "You fool.", earlier: [new Turn("system", "Talk."), new Turn("user", "Hi."), new Turn("assistant", "Hello.")]);
        Judge(rude, heron, PairwiseVerdict.Preferred, strength: 3);
        var binary = seed.Task(bench.Project, "And to the river?", "Left at the oak!");
        using var db = bench.Database.Open();
        db.BinaryJudgements.Add(new BinaryJudgement
        {
            Id = new JudgementId(Guid.CreateVersion7()), ProjectId = bench.Project, TaskId = binary.Id, AnnotatorId = heron, Source = JudgementSource.Person, Verdict = BinaryVerdict.Good,
            ResponseId = binary.FirstResponseId, SubmittedAt = At(), Reasons = "facts,tone",
        });
        db.TaskEvents.Add(new TaskEvent { ProjectId = bench.Project, TaskId = rude.Id, AnnotatorId = robot, Kind = TaskEventKind.Skipped, Reason = "too hard", At = At() });
        var better = new Content { Id = new ContentId(Guid.CreateVersion7()), ProjectId = bench.Project, Kind = ContentKind.PreferredAnswer, Text = "Left at the oak, please.", KeyedHash = "", CreatedAt = start };
        db.Contents.Add(better);
        var flag = new Flag
        {
            Id = new FlagId(Guid.CreateVersion7()), ProjectId = bench.Project, ResponseId = rude.SecondResponseId!.Value, AnnotatorId = heron, Reason = FlagReason.Insult, Place = "annotate", At = At(),
            Severity = FlagSeverity.High, PreferredId = better.Id, Source = FlagSource.Suggested,
        };
        flag.Close(FlagState.Confirmed, Guid.CreateVersion7(), At());
        db.Flags.Add(flag);
        db.SaveChanges();
    }

    private JudgementId Judge(AnnotationTask task, AnnotatorId who, PairwiseVerdict verdict, bool second = false, int? strength = null, bool superseded = false, bool surplus = false,
        JudgementId? supersedes = null, string? rationale = null, JudgementSource source = JudgementSource.Person)
    {
        using var db = bench.Database.Open();
        ContentId? words = null;
        if (rationale is not null)
        {
            words = new ContentId(Guid.CreateVersion7());
            db.Contents.Add(new Content { Id = words.Value, ProjectId = bench.Project, Kind = ContentKind.Rationale, Text = rationale, KeyedHash = bench.Get<ContentHasher>().Hash(rationale), CreatedAt = start });
        }
        var judgement = new PairwiseJudgement
        {
            Id = new JudgementId(Guid.CreateVersion7()), ProjectId = bench.Project, TaskId = task.Id, AnnotatorId = who, Source = source, Verdict = verdict,
            PreferredResponseId = verdict is not PairwiseVerdict.Preferred ? null : second ? task.SecondResponseId : task.FirstResponseId, Strength = strength,
            LeftResponseId = task.SecondResponseId, Layout = "side-by-side", SideSeed = long.MaxValue - minutes, GuidelinesVersion = 2, VisibleSeconds = 12.5, Reasons = "facts",
            IsSurplus = surplus, SupersedesId = supersedes, RationaleId = words, SubmittedAt = At(),
        };
        if (superseded)
            judgement.MarkSuperseded(start.AddDays(1));
        db.PairwiseJudgements.Add(judgement);
        db.Tasks.Single(t => t.Id == task.Id).CountVote();
        db.SaveChanges();
        return judgement.Id;
    }

    private DateTimeOffset At() => start.AddMinutes(++minutes);

    private async Task<(string Path, IReadOnlyList<JsonNode> Lines)> Export(string format, ProjectId project)
    {
        var spec = new ExportData { Format = format };
        var result = await bench.Finish(new ExportDataRunner(), spec, bench.Begin(spec, project));
        var path = Path.Combine(bench.Database.Directory.Exports, Path.GetFileName(result!));
        return (path, format == "csv" ? [] : [.. (await File.ReadAllLinesAsync(path)).Select(l => JsonNode.Parse(l)!)]);
    }

    private string Problems(ImportId id)
    {
        using var db = bench.Database.Open();
        return string.Join('\n', db.ImportProblems.Where(p => p.ImportId == id).Select(p => p.Row + " " + p.Field + ": " + p.Reason));
    }

    /// <summary>
    /// The lines with ids replaced by the order of their first appearance, without what differs by nature: the project's own line, and the
    /// source of people's votes, which are imported ones in the second project. Sorted, since rows without times may come in another order.
    /// </summary>
    private static List<string> Canonical(IReadOnlyList<JsonNode> lines)
    {
        // Ids are named by what they stand for, so that both files give the same names.
        var names = new Dictionary<string, string>();
        foreach (var line in lines)
        {
            var id = (string?)line["id"];
            var name = (string)line["type"]! switch
            {
                "prompt" => $"prompt {line["messages"]}",
                "response" => $"response {names[(string)line["prompt_id"]!]} {line["text"]}",
                "task" => $"task {string.Join(" | ", line["response_ids"]!.AsArray().Select(r => names[(string)r!]))}",
                "pairwise" or "binary" => $"judgement {names[(string)line["task_id"]!]} {line["annotator"]} {line["judged_at"]}",
                "skip" => $"skip {names[(string)line["task_id"]!]} {line["skipped_at"]}",
                "flag" => $"flag {names[(string)line["subject_id"]!]} {line["flagged_at"]}",
                _ => null,
            };
            if (id is not null && name is not null)
                names[id] = name;
        }
        return [.. lines.Where(l => (string)l["type"]! is not "project").Select(l =>
        {
            var copy = l.DeepClone().AsObject();
            if ((string?)copy["source"] == "people")
                copy["source"] = "imported";
            return Replace(copy);
        }).Order(StringComparer.Ordinal)];

        string Replace(JsonNode node) => node switch
        {
            JsonObject o => "{" + string.Join(", ", o.OrderBy(p => p.Key, StringComparer.Ordinal).Select(p => $"{p.Key}: {(p.Value is null ? "null" : Replace(p.Value))}")) + "}",
            JsonArray a => "[" + string.Join(", ", a.Select(x => x is null ? "null" : Replace(x))) + "]",
            _ => node.GetValueKind() is JsonValueKind.String && names.TryGetValue((string)node!, out var name) ? $"<{name}>" : node.ToJsonString(),
        };
    }
}
