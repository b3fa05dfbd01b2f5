using System.IO.Compression;
using System.Text;
using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Portal.Data;
using Portal.Data.Accounts;
using Portal.Data.Annotators;
using Portal.Data.Datasets;
using Portal.Data.Erasure;
using Portal.Data.Feedback;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Review;
using Portal.Data.Storage;
using Portal.Engine.Datasets;
using Portal.Engine.Erasure;
using Portal.Engine.Jobs;
using Portal.Engine.Recipes;
using Portal.Tests.Data;
using Portal.Tests.Engine.Jobs;
using Portal.Tests.Engine.Recipes;

namespace Portal.Tests.Engine.Erasure;

/// <summary>
/// A toy project whose serving reward model learned from a person's data, with a canary text in every place where such data is kept: what the scanner finds before an erasure and must not find after it.
/// </summary>
internal sealed class PlantedErasure : IDisposable
{
    private static readonly OptimizationSpec Quick = new() { LearningRate = 5e-3, HeadLearningRate = 2e-2, BatchSize = 32, Epochs = 1, CheckpointEverySteps = 0 };

    /// <summary>What each canary stands for, and the store it is planted in.</summary>
    private readonly Dictionary<string, (string Text, string Store)> canaries = [];
    private int requests;

    public PlantedErasure(PostgresFixture? postgres = null) => Toy = new ToyProject(postgres);

    public ToyProject Toy { get; }
    public bool IsOnPostgres => Toy.Database.Services.GetRequiredService<PortalDataOptions>().UsesPostgres;
    public AnnotatorId Person { get; private set; }
    public Guid Account { get; } = Guid.NewGuid();
    public PromptId Prompt { get; private set; }
    public ModelVersionId Reward { get; private set; }
    public DatasetVersionId Dataset { get; private set; }

    /// <summary>Judgements of the person, of which some are on the prompt.</summary>
    public IReadOnlyList<JudgementId> Judgements { get; private set; } = [];

    public void Dispose() => Toy.Dispose();

    /// <summary>Texts by what they stand for; those that a kind of erasure must remove.</summary>
    public IReadOnlyDictionary<string, (string Text, string Store)> Canaries => canaries;

    /// <summary>Rows first, then the reward model that learned from them and serves, then what was made of it and files.</summary>
    public async Task Plant()
    {
        Person = Toy.Ids.New<AnnotatorId>();
        using (var db = Toy.Database.Open())
        {
            db.Users.Add(new Account { Id = Account, UserName = "robin", NormalizedUserName = "ROBIN", DisplayName = "Robin", CreatedAt = Now });
            db.Annotators.Add(new Annotator { Id = Person, Pseudonym = "robin-7", CreatedAt = Now });
            db.SaveChanges();
            db.AnnotatorAccounts.Add(new AnnotatorAccount { AccountId = Account, AnnotatorId = Person });
            Rows(db);
            db.SaveChanges();
        }
        var training = Toy.Job();
        var made = await Toy.Finish(training, await new TrainRewardModelRunner().Run(new TrainRewardModel { LengthMax = 64, Optimization = Quick }, training));
        (Reward, Dataset) = (made.Id, made.Version.DatasetVersionId!.Value);
        using (var db = Toy.Database.Open())
        {
            var project = db.Projects.Single();
            db.Releases.Add(project.Release(Toy.Ids.New<ReleaseId>(), db.ModelVersions.Single(v => v.Id == Toy.BaseId), "First.", Guid.Empty, null, Now).Value);
            db.Releases.Add(project.Release(Toy.Ids.New<ReleaseId>(), db.ModelVersions.Single(v => v.Id == Reward), "First.", Guid.Empty, null, Now).Value);
            db.SaveChanges();
        }
        Notes();
        Files();
    }

    /// <summary>A request that a second person approved, for a job that is not queued.</summary>
    public ErasureRequestId Approved(ErasureKind kind, bool approve = true)
    {
        using var db = Toy.Database.Open();
        var request = new ErasureRequest
        {
            Id = Toy.Ids.New<ErasureRequestId>(), ProjectId = Toy.Project, Number = ++requests, Kind = kind, AnnotatorId = kind is ErasureKind.Prompts ? null : Person, Reason = "They asked.",
            RadiusJson = JsonSerializer.Serialize(ErasureSubject.Of(db, kind, Toy.Project, kind is ErasureKind.Prompts ? null : Person, [Prompt]).Radius(db, Toy.Database.Directory)), RequestedBy = Guid.NewGuid(), RequestedAt = Now,
        };
        db.ErasureRequests.Add(request);
        db.SaveChanges();
        if (kind is ErasureKind.Prompts)
            db.ErasurePrompts.Add(new ErasurePrompt { RequestId = request.Id, PromptId = Prompt });
        if (approve && request.Approve(Guid.NewGuid(), null, Now, () => Toy.Ids.New<JobId>()) is { } problem)
            throw new InvalidOperationException(problem.Message);
        db.SaveChanges();
        return request.Id;
    }

    public async Task<JobRun> Erase(ErasureRequestId id, IRecipeProgress? progress = null)
    {
        var job = Toy.Job(JobOf(id), progress);
        await Toy.Finish(job, await new EraseDataRunner { Grace = TimeSpan.Zero, Patience = TimeSpan.FromSeconds(20) }.Run(new EraseData { RequestId = id }, job));
        return job;
    }

    public JobId? JobOf(ErasureRequestId id)
    {
        using var db = Toy.Database.Open();
        return db.ErasureRequests.Where(r => r.Id == id).Select(r => r.JobId).FirstOrDefault();
    }

    /// <summary>Looks for every canary; of a PostgreSQL server in what it holds, not in its own log of writes.</summary>
    public async Task<IReadOnlyList<CanaryFinding>> Scan()
    {
        var scanner = new CanaryScanner([.. canaries.Values.Select(canary => canary.Text)], [ToyWorld.Tokenizer]);
        scanner.Files(Toy.Database.Directory.Root, null, null, CancellationToken.None);
        if (Toy.Database.Services.GetRequiredService<PortalDataOptions>().PostgresConnection is { } connection && await scanner.Postgres(connection, CancellationToken.None) is { } left)
            throw new InvalidOperationException($"Not looked at: {left}");
        return [.. scanner.Report().Findings.Where(one => one.Store != "database (server's own log)")];
    }

    /// <summary>The places whose canary stands where it was planted.</summary>
    public async Task<IReadOnlySet<string>> Found()
    {
        var all = await Scan();
        return canaries.Where((canary, i) => all.Any(one => one.Text == i && one.Whole > 0 && (one.Store == canary.Value.Store || (canary.Value.Store == "database" && one.Store == "database (tables)")))).Select(canary => canary.Key).ToHashSet();
    }

    private static DateTimeOffset Now => TimeProvider.System.GetUtcNow();

    private string Canary(string what, string store = "database")
    {
        // Short, so that a toy model has room for it; no two have a stretch in common.
        var text = $"{what}-{Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(Encoding.UTF8.GetBytes(what)))[..10]}";
        canaries.Add(what, (text, store));
        return text;
    }

    /// <summary>The person judges the canary prompt twice, and twelve pairs that others judged as well.</summary>
    private void Rows(PortalDbContext db)
    {
        // A prompt that is trained on: which part it is in follows from its words.
        var split = new PromptSplit(0.2, 0, "1");
        var words = Enumerable.Range(0, 100).Select(i => $"prompt{i}-7f31c6").First(text => split.PartOf([new Portal.Engine.Datasets.Formats.Message(Portal.Engine.Datasets.Formats.MessageRole.User, text)]) is SplitPart.Train);
        canaries.Add("prompt", (words, "database"));
        var content = Content(db, ContentKind.Prompt, Conversation.Serialize([new Turn("user", words)]));
        var prompt = new Prompt { Id = Toy.Ids.New<PromptId>(), ProjectId = Toy.Project, ContentId = content.Id, ContentHash = content.KeyedHash, ExternalId = Canary("external-id"), Topic = Canary("topic"), CreatedAt = Now };
        Prompt = prompt.Id;
        db.Prompts.Add(prompt);
        var (good, bad) = (Response(db, Canary("chosen")), Response(db, Canary("rejected")));
        var task = AnnotationTask.Create(Toy.Ids.New<TaskId>(), Toy.Project, TaskKind.Pairwise, Prompt, good, bad, 2, Now);
        db.Tasks.Add(task);
        var judgements = new List<PairwiseJudgement> { Vote(db, task, Person, good, Content(db, ContentKind.Rationale, Canary("rationale")).Id), Vote(db, task, Toy.Annotator, good, Content(db, ContentKind.Rationale, Canary("rationale-of-another")).Id) };
        var shared = db.PairwiseJudgements.Where(j => j.AnnotatorId == Toy.Annotator).OrderBy(j => j.Id).Take(12).Select(j => j.TaskId).ToList();
        judgements.AddRange(db.Tasks.Where(t => shared.Contains(t.Id)).ToList().Select(same => Vote(db, same, Person, same.FirstResponseId, null)));
        Judgements = [.. judgements.Where(j => j.AnnotatorId == Person).Select(j => j.Id)];
        var assignment = Assignment.Take(Toy.Ids.New<AssignmentId>(), task, Person, 0, 1, Now, TimeSpan.FromHours(1));
        db.Assignments.Add(assignment);
        db.Drafts.Add(new Draft { AssignmentId = assignment.Id, AnnotatorId = Person, Body = JsonSerializer.Serialize(new { note = Canary("draft") }), ClientTime = Now, SavedAt = Now });
        db.Flags.Add(new Flag
        {
            Id = Toy.Ids.New<FlagId>(), ProjectId = Toy.Project, ResponseId = bad, AnnotatorId = Person, Reason = FlagReason.Private, NoteId = Content(db, ContentKind.FlagNote, Canary("flag-note")).Id,
            PreferredId = Content(db, ContentKind.PreferredAnswer, Canary("better-answer")).Id, Place = "review", At = Now,
        });
    }

    private PairwiseJudgement Vote(PortalDbContext db, AnnotationTask task, AnnotatorId by, ResponseId preferred, ContentId? rationale)
    {
        task.CountVote();
        var judgement = new PairwiseJudgement
        {
            Id = Toy.Ids.New<JudgementId>(), ProjectId = Toy.Project, TaskId = task.Id, AnnotatorId = by, Source = JudgementSource.Person, SubmittedAt = Now, Verdict = PairwiseVerdict.Preferred, PreferredResponseId = preferred, Strength = 2, LeftResponseId = preferred,
            RationaleId = rationale,
        };
        db.PairwiseJudgements.Add(judgement);
        return judgement;
    }

    private ResponseId Response(PortalDbContext db, string text)
    {
        var words = Content(db, ContentKind.Response, text);
        var response = new Response { Id = Toy.Ids.New<ResponseId>(), ProjectId = Toy.Project, PromptId = Prompt, ContentId = words.Id, ContentHash = words.KeyedHash, CreatedAt = Now };
        db.Responses.Add(response);
        return response.Id;
    }

    private Content Content(PortalDbContext db, ContentKind kind, string text)
    {
        var row = new Content { Id = Toy.Ids.New<ContentId>(), ProjectId = Toy.Project, Kind = kind, Text = text, KeyedHash = Toy.Database.Services.GetRequiredService<ContentHasher>().Hash(text), CreatedAt = Now };
        db.Contents.Add(row);
        return row;
    }

    /// <summary>Imports and jobs that quote.</summary>
    private void Notes()
    {
        using var db = Toy.Database.Open();
        var import = new Import { Id = Toy.Ids.New<ImportId>(), ProjectId = Toy.Project, FileName = $"{Canary("file-name")}.jsonl", Format = "columns", AllOrNothing = false, By = Guid.Empty, CreatedAt = Now };
        import.Fail($"Row 7: {Canary("import-failure")}", Now);
        db.Imports.Add(import);
        db.ImportProblems.Add(new ImportProblem { ImportId = import.Id, Row = 7, Field = "prompt", Reason = $"names the prompt \"{Canary("import-problem")}\"" });
        var spec = new ImportData { ImportId = import.Id, Upload = "0123", FileName = $"{Canary("spec-of-a-job")}.csv", Format = "columns", Columns = new Dictionary<string, string> { ["prompt"] = Canary("column") } };
        var job = AskForJob.Add(db, Toy.Ids.New<JobId>(), Toy.Project, spec, null, null, Now);
        job.Start(Now);
        job.Fail($"Line 3 is no JSON: {Canary("reason-of-a-job")}", Now);
        db.JobEvents.Add(new JobEvent { JobId = job.Id, At = Now, Level = JobEventLevel.Warning, Message = $"skipped {Canary("message-of-a-job")}" });
        db.SaveChanges();
        var export = AskForJob.Add(db, Toy.Ids.New<JobId>(), Toy.Project, new ExportData { Format = "portal" }, null, null, Now);
        export.Start(Now);
        export.Succeed("/exports/toy-portal-2.jsonl", Now);
        db.SaveChanges();
    }

    /// <summary>A file in every folder, each in a coding of its own, also packed.</summary>
    private void Files()
    {
        var directory = Toy.Database.Directory;
        Write(Path.Combine(directory.Exports, "toy-portal-2.jsonl"), JsonSerializer.SerializeToUtf8Bytes(new { text = $"é {Canary("export", "exports")}" }));
        Write(Path.Combine(directory.Exports, "toy-portal-2.jsonl.report.json"), Packed(Encoding.UTF8.GetBytes(Canary("report-of-an-export", "exports"))));
        Write(Path.Combine(directory.Exports, "made-by-hand.zip"), Zipped(Canary("zipped-export", "exports")));
        Write(Path.Combine(directory.Uploads, "0123456789abcdef.upload"), Encoding.Unicode.GetBytes(Canary("upload", "uploads")));
        Write(directory.JobLog(1), Encoding.UTF8.GetBytes($"unexpected: {Canary("log-of-a-job", "logs")}\n"));
        Write(Path.Combine(directory.Logs, "web.log"), Encoding.UTF8.GetBytes($"unexpected: {Canary("log-of-the-portal", "logs")}\n"));
        Write(Path.Combine(directory.Checkpoints, Guid.NewGuid().ToString("N"), "tokens.bin"), [.. ToyWorld.Tokenizer.Encode(Canary("cached-tokens", "checkpoints")).SelectMany(BitConverter.GetBytes)]);
        Write(Path.Combine(directory.Checkpoints, "sae-states", "tokens.u16"), [.. ToyWorld.Tokenizer.Encode(Canary("cached-short-tokens", "checkpoints")).SelectMany(id => BitConverter.GetBytes((ushort)id))]);
        // A store of features that cannot be read: nobody can say that it is free of it.
        Write(Path.Combine(directory.Features, "pairs", "reward-of-some-model", "rows.f32"), Encoding.BigEndianUnicode.GetBytes(Canary("mapped-features", "features")));
        Write(Path.Combine(directory.Backups, "portal-20260101-030000.db"), Packed(Encoding.UTF8.GetBytes(Canary("old-backup", "backups"))));
        Write(Path.Combine(directory.Backups, $"portal-{Now:yyyyMMdd-HHmmss}.db"), Encoding.UTF8.GetBytes(Canary("young-backup", "backups")));
    }

    private static void Write(string path, byte[] bytes)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllBytes(path, bytes);
    }

    private static byte[] Packed(byte[] bytes)
    {
        using var memory = new MemoryStream();
        using (var packing = new GZipStream(memory, CompressionLevel.Optimal))
            packing.Write(bytes);
        return memory.ToArray();
    }

    private static byte[] Zipped(string text)
    {
        using var memory = new MemoryStream();
        using (var zip = new ZipArchive(memory, ZipArchiveMode.Create, leaveOpen: true))
        {
            using var entry = zip.CreateEntry("a.txt").Open();
            entry.Write(Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat("words ", 50)) + text));
        }
        return memory.ToArray();
    }
}
