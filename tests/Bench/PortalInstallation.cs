using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Identity;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Portal.Data;
using Portal.Data.Accounts;
using Portal.Data.Annotators;
using Portal.Data.Datasets;
using Portal.Data.Feedback;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Storage;
using Portal.Engine.Jobs;
using Portal.Engine.Models;
using Portal.Engine.Statistics;
using Portal.Engine.Tokenizers;

namespace Portal.Bench;

/// <summary>
/// A fresh installation on SQLite with the published portal and engine running on it, made up for the bench: people with sign-ins, a project to
/// judge, one to import into, one to train in. Its rows are synthetic and go with it.
/// </summary>
public sealed class PortalInstallation : IDisposable
{
    private const int ResponsesPerPrompt = 8;
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);

    private readonly DataDirectory directory;
    private readonly ServiceProvider services;
    private readonly DirectoryInfo published;
    private readonly List<StreamWriter> logs = [];
    private readonly SeededRandom random = new(11);
    private Process? portal;
    private Process? engine;
    private int prompts;
    private int imports;

    private PortalInstallation(DirectoryInfo published, DataDirectory directory, Uri address)
    {
        (this.published, this.directory, Address) = (published, directory, address);
        services = new ServiceCollection().AddPortalData(new PortalDataOptions(directory)).BuildServiceProvider();
    }

    /// <summary>The password of every annotator the bench makes.</summary>
    public string Password { get; } = $"bench-{Guid.NewGuid():N}";

    public Uri Address { get; }
    public ProjectId Judged { get; private set; }
    public ProjectId Imported { get; private set; }
    public ProjectId Trained { get; private set; }

    private IdFactory Ids => services.GetRequiredService<IdFactory>();
    private ContentHasher Hasher => services.GetRequiredService<ContentHasher>();
    private static DateTimeOffset Now => TimeProvider.System.GetUtcNow();

    /// <summary>Starts both processes on an empty folder, waits until they answer, and lays the rows out.</summary>
    /// <param name="published">The folder that holds web/ and engine/.</param>
    /// <param name="root">The data directory; must not exist.</param>
    /// <param name="pairs">Judged pairs of the project to train in.</param>
    public static async Task<PortalInstallation> Start(DirectoryInfo published, string root, int pairs, CancellationToken stop)
    {
        var directory = new DataDirectory(root);
        directory.Create();
        var made = new PortalInstallation(published, directory, new Uri($"http://127.0.0.1:{FreePort()}"));
        try
        {
            await made.StartPortal(stop);
            made.StartEngine();
            made.LayOut(pairs);
            return made;
        }
        catch
        {
            made.Dispose();
            throw;
        }
    }

    /// <summary>Starts the portal, as it was left, and returns when it answers.</summary>
    public async Task StartPortal(CancellationToken stop)
    {
        var web = Path.Combine(published.FullName, "web");
        portal = Begin(Path.Combine(web, "Portal.Web"), web, "web", ["--urls", Address.GetLeftPart(UriPartial.Authority), "--data", directory.Root]);
        await UntilItAnswers(portal, stop);
    }

    public void StartEngine() => engine = Begin(Path.Combine(published.FullName, "engine", "Portal.Engine"), directory.Root, "engine",
        ["worker", "--data", directory.Root, "--notify", Address.GetLeftPart(UriPartial.Authority)]);

    /// <summary>kill -9 of the portal.</summary>
    public void KillPortal() => Kill(portal!); // started by Start

    /// <summary>kill -9 of the engine alone; its workers have to end by themselves.</summary>
    public void KillEngine() => Kill(engine!); // likewise

    private static void Kill(Process process)
    {
        process.Kill(entireProcessTree: false);
        process.WaitForExit();
    }

    public PortalDbContext Open() => services.GetRequiredService<IDbContextFactory<PortalDbContext>>().CreateDbContext();

    /// <summary>Annotators, straight into the database: an invitation each would be no part of what is measured.</summary>
    public IReadOnlyList<string> AddAnnotators(int count)
    {
        using var db = Open();
        var role = db.Roles.First(r => r.Name == RoleNames.Annotator);
        string? hash = null;
        var names = new List<string>();
        for (var i = 0; i < count; i++)
        {
            var name = $"bench-{i + 1:D3}";
            var account = new Account
            {
                Id = Guid.CreateVersion7(), UserName = name, NormalizedUserName = name.ToUpperInvariant(), DisplayName = name, CreatedAt = Now,
                SecurityStamp = Guid.NewGuid().ToString("N"), LockoutEnabled = true,
            };
            // One hash for all: it is salted, and making 500 would only take time.
            account.PasswordHash = hash ??= new PasswordHasher<Account>().HashPassword(account, Password);
            db.Users.Add(account);
            db.UserRoles.Add(new IdentityUserRole<Guid> { UserId = account.Id, RoleId = role.Id });
            names.Add(name);
        }
        db.SaveChanges();
        return names;
    }

    /// <summary>Sees to it that so many tasks are open in the judged project: prompts with eight answers each, every pair a task.</summary>
    public void EnsureTasks(int wanted)
    {
        using var check = Open();
        var missing = wanted - check.Tasks.Count(t => t.ProjectId == Judged && t.State == TaskState.Open);
        while (missing > 0)
        {
            using var db = Open();
            db.ChangeTracker.AutoDetectChangesEnabled = false;
            for (var i = 0; i < 50 && missing > 0; i++)
            {
                var (prompt, answers) = Prompt(db, Judged, ResponsesPerPrompt);
                for (var first = 0; first < answers.Count; first++)
                    for (var second = first + 1; second < answers.Count; second++, missing--)
                        db.Tasks.Add(AnnotationTask.Create(Ids.New<TaskId>(), Judged, TaskKind.Pairwise, prompt.Id, answers[first].Id, answers[second].Id, 1, Now));
            }
            db.SaveChanges();
        }
    }

    /// <summary>Queues an import of so many pairs into the project for imports, every prompt new.</summary>
    public JobId QueueImport(int rows)
    {
        var import = Ids.New<ImportId>();
        var file = $"{import.Value:N}.jsonl";
        var number = ++imports;
        using (var writer = new StreamWriter(Path.Combine(directory.Uploads, file)))
            for (var row = 0; row < rows; row++)
                writer.WriteLine($"{{\"prompt\": \"{Sentence()} ({number}-{row})\", \"response_a\": \"{Sentence()} {Sentence()}\", \"response_b\": \"{Sentence()} {Sentence()} {Sentence()}\"}}");
        using var db = Open();
        db.Imports.Add(new Import
        {
            Id = import, ProjectId = Imported, FileName = "bench.jsonl", Format = "pairs", AllOrNothing = false, By = db.Users.Select(u => u.Id).First(), CreatedAt = Now,
        });
        db.SaveChanges();
        return Queue(Imported, new ImportData { ImportId = import, Upload = file, FileName = "bench.jsonl", Format = "pairs" });
    }

    /// <summary>Queues a reward model's training.</summary>
    /// <param name="spec">Null for one that ends only when it is cancelled.</param>
    public JobId QueueTraining(TrainRewardModel? spec = null) => Queue(Trained, spec ?? new TrainRewardModel
    {
        LengthMax = 160, Optimization = new OptimizationSpec { LearningRate = 1e-4, HeadLearningRate = 1e-3, BatchSize = 32, Epochs = 1_000, EvaluateEverySteps = 50 },
    });

    /// <summary>The folder of the model that a job made.</summary>
    /// <exception cref="InvalidOperationException">It made none, or more than one.</exception>
    public string ModelOf(JobId id)
    {
        using var db = Open();
        return Path.Combine(directory.Models, db.ModelVersions.AsNoTracking().Single(v => v.JobId == id).Folder);
    }

    public Job Job(JobId id)
    {
        using var db = Open();
        return db.Jobs.AsNoTracking().Single(j => j.Id == id);
    }

    /// <summary>Asks for a job's end, as the page does.</summary>
    public Task Cancel(JobId id, CancellationToken stop) =>
        services.GetRequiredService<WriteQueue>().WriteAsync(db => db.Jobs.Single(j => j.Id == id).AskCancel(Now), stop);

    /// <summary>Waits until a job's row is as wanted.</summary>
    /// <exception cref="InvalidOperationException">It is over otherwise, or two minutes have passed.</exception>
    public async Task Until(JobId id, Func<Job, bool> wanted, string what, CancellationToken stop)
    {
        var clock = Stopwatch.StartNew();
        for (var job = Job(id); !wanted(job); job = Job(id))
        {
            if (job.IsOver || clock.Elapsed > Patience)
                throw new InvalidOperationException($"Waiting for \"{what}\", but the {job.Kind} job is {job.State} at step {job.Step}. {job.FailReason}");
            await Task.Delay(100, stop);
        }
    }

    /// <summary>
    /// What is wrong with the judgements of a run; null when each acknowledged one is stored exactly once: one row of that id, and no other
    /// judgement under its lease.
    /// </summary>
    public string? Check(IReadOnlyCollection<Acknowledged> acknowledged)
    {
        using var db = Open();
        var rows = new List<(JudgementId Id, AssignmentId? Assignment)>();
        foreach (var some in acknowledged.Chunk(500))
        {
            var (ids, leases) = (some.Select(one => one.Judgement).ToList(), some.Select(one => (AssignmentId?)one.Assignment).ToList());
            rows.AddRange(db.PairwiseJudgements.AsNoTracking().Where(j => ids.Contains(j.Id) || leases.Contains(j.AssignmentId)).Select(j => new { j.Id, j.AssignmentId })
                .AsEnumerable().Select(j => (j.Id, j.AssignmentId)));
        }
        return StoredOnce.Problem(acknowledged, rows);
    }

    public void Dispose()
    {
        // The engine first: its workers end with it.
        foreach (var process in new[] { engine, portal }.OfType<Process>())
        {
            if (!process.HasExited)
            {
                using (var kill = Process.Start("kill", ["-TERM", process.Id.ToString(CultureInfo.InvariantCulture)]))
                    kill.WaitForExit();
                if (!process.WaitForExit(TimeSpan.FromSeconds(20)))
                    process.Kill(entireProcessTree: true);
            }
            process.Dispose();
        }
        logs.ForEach(log => log.Dispose());
        services.Dispose();
        Microsoft.Data.Sqlite.SqliteConnection.ClearAllPools();
        Directory.Delete(directory.Root, recursive: true);
    }

    private JobId Queue(ProjectId project, JobSpec spec)
    {
        using var db = Open();
        var job = new Job
        {
            Id = Ids.New<JobId>(), Number = (db.Jobs.Max(j => (int?)j.Number) ?? 0) + 1, ProjectId = project, Kind = spec.Kind, SpecJson = spec.ToJson(), CreatedBy = null, CreatedAt = Now,
        };
        db.Jobs.Add(job);
        db.SaveChanges();
        return job.Id;
    }

    private void LayOut(int pairs)
    {
        using var db = Open();
        (Judged, Imported, Trained) = (Ids.New<ProjectId>(), Ids.New<ProjectId>(), Ids.New<ProjectId>());
        db.Projects.AddRange(new[] { (Judged, "Bench: judged"), (Imported, "Bench: imported"), (Trained, "Bench: trained") }
            .Select(project => new Project { Id = project.Item1, Name = project.Item2, CreatedAt = Now, IsSynthetic = true }));
        var annotator = new Annotator { Id = Ids.New<AnnotatorId>(), Pseudonym = "bench-00", IsSimulated = true, CreatedAt = Now };
        db.Annotators.Add(annotator);
        var texts = new List<string>();
        for (var i = 0; i < pairs; i++)
        {
            var (prompt, answers) = Prompt(db, Trained, 2, texts);
            var task = AnnotationTask.Create(Ids.New<TaskId>(), Trained, TaskKind.Pairwise, prompt.Id, answers[0].Id, answers[1].Id, 1, Now);
            task.CountVote();
            db.Tasks.Add(task);
            db.PairwiseJudgements.Add(new PairwiseJudgement
            {
                Id = Ids.New<JudgementId>(), ProjectId = Trained, TaskId = task.Id, AnnotatorId = annotator.Id, Source = JudgementSource.Simulated, SubmittedAt = Now,
                Verdict = PairwiseVerdict.Preferred, PreferredResponseId = answers[i % 2].Id, Strength = 2, LeftResponseId = null,
            });
        }
        db.ModelVersions.Add(BaseModel(texts));
        db.SaveChanges();
    }

    /// <summary>A small decoder with fresh weights, so that the training job has something to start from.</summary>
    private ModelVersion BaseModel(IReadOnlyList<string> texts)
    {
        var id = Ids.New<ModelVersionId>();
        var folder = id.Value.ToString("N");
        var tokenizer = new BytePairTokenizer(new BpeTrainer { VocabularySize = 512, SpecialTokens = ChatTemplate.SpecialMarkTokens }.Train(texts, CancellationToken.None)
            with { EosToken = "<|end|>", PadToken = "<|pad|>" });
        using (var model = new Llama(new LlamaConfig
        {
            HiddenSize = 192, IntermediateSize = 512, LayerCount = 4, HeadCount = 6, KeyValueHeadCount = 6, VocabularySize = tokenizer.VocabularySize, ContextLength = 192,
        }, seed: 5))
            HuggingFaceFolder.Save(model, Path.Combine(directory.Models, folder), tokenizer);
        var store = new ModelStore(services.GetRequiredService<IDbContextFactory<PortalDbContext>>(), services.GetRequiredService<WriteQueue>(), directory, Ids, TimeProvider.System);
        return new ModelVersion
        {
            Id = id, ProjectId = Trained, Kind = ModelKind.Policy, Number = 1, Method = ModelStore.BaseMethod, ParentId = null, DatasetVersionId = null, JobId = null,
            SpecJson = "{}", Seed = 5, Commit = "unknown", Folder = folder, FilesJson = store.FilesJson(folder), IsSynthetic = true, CreatedAt = Now,
        };
    }

    private (Prompt Prompt, IReadOnlyList<Response> Answers) Prompt(PortalDbContext db, ProjectId project, int answers, List<string>? texts = null)
    {
        var question = $"{Sentence()} ({++prompts})";
        var turns = Conversation.Serialize([new Turn("user", question)]);
        var prompt = new Prompt { Id = Ids.New<PromptId>(), ProjectId = project, ContentId = Content(ContentKind.Prompt, turns), ContentHash = Hasher.Hash(turns), CreatedAt = Now };
        db.Prompts.Add(prompt);
        var made = Enumerable.Range(0, answers).Select(i =>
        {
            var text = $"{Sentence()} {Sentence()} {(char)('a' + i)}.";
            texts?.AddRange([question, text]);
            return new Response
            {
                Id = Ids.New<ResponseId>(), ProjectId = project, PromptId = prompt.Id, ContentId = Content(ContentKind.Response, text), ContentHash = Hasher.Hash(text), CreatedAt = Now,
            };
        }).ToList();
        db.Responses.AddRange(made);
        return (prompt, made);

        ContentId Content(ContentKind kind, string text)
        {
            var content = new Content { Id = Ids.New<ContentId>(), ProjectId = project, Kind = kind, Text = text, KeyedHash = Hasher.Hash(text), CreatedAt = Now };
            db.Contents.Add(content);
            return content.Id;
        }
    }

    private static readonly string[] Words =
        ["the", "a", "river", "bridge", "baker", "turns", "left", "after", "before", "quiet", "market", "asks", "why", "bread", "costs", "more", "than", "apples", "seven", "people"];

    private string Sentence() => string.Join(' ', Enumerable.Range(0, 8 + random.NextInt(8)).Select(_ => random.Pick(Words)));

    private Process Begin(string program, string folder, string log, IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = folder };
        var process = Process.Start(start) ?? throw new InvalidOperationException($"{program} did not start.");
        var writer = new StreamWriter(Path.Combine(directory.Logs, $"bench-{log}-{logs.Count:D3}.log")) { AutoFlush = true };
        logs.Add(writer);
        var lines = TextWriter.Synchronized(writer);
        process.OutputDataReceived += (_, line) => lines.WriteLine(line.Data);
        process.ErrorDataReceived += (_, line) => lines.WriteLine(line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        return process;
    }

    private async Task UntilItAnswers(Process process, CancellationToken stop)
    {
        using var http = new HttpClient(new SocketsHttpHandler { UseProxy = false }) { Timeout = TimeSpan.FromSeconds(5) };
        var clock = Stopwatch.StartNew();
        while (true)
        {
            try
            {
                if ((await http.GetAsync(new Uri(Address, "/health"), stop)).IsSuccessStatusCode)
                    return;
            }
            catch (Exception e) when (e is HttpRequestException or TaskCanceledException && !stop.IsCancellationRequested)
            {
                // It does not listen yet.
            }
            if (process.HasExited || clock.Elapsed > Patience)
                throw new InvalidOperationException($"The portal does not answer at {Address}.\n{await File.ReadAllTextAsync(Directory.GetFiles(directory.Logs, "bench-web-*").Order().Last(), stop)}");
            await Task.Delay(100, stop);
        }
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}

/// <summary>The promise behind every acknowledgement: the judgement is in the database, once.</summary>
internal static class StoredOnce
{
    /// <summary>What is wrong with the stored rows; null when nothing is.</summary>
    /// <param name="rows">Rows of the acknowledged ids, and all rows under their leases.</param>
    public static string? Problem(IReadOnlyCollection<Acknowledged> acknowledged, IReadOnlyCollection<(JudgementId Id, AssignmentId? Assignment)> rows)
    {
        var byId = rows.Distinct().ToLookup(row => row.Id);
        var byLease = rows.Distinct().ToLookup(row => row.Assignment);
        var lost = acknowledged.Count(one => !byId[one.Judgement].Any(row => row.Assignment == one.Assignment));
        var doubled = acknowledged.Count(one => byLease[one.Assignment].Count() > 1);
        return lost == 0 && doubled == 0 ? null : $"of {acknowledged.Count} acknowledged judgements {lost} are not stored and {doubled} are stored more than once";
    }
}
