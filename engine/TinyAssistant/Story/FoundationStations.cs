using System.Globalization;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Datasets;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Serving;
using Portal.Data.Storage;
using Portal.Engine.CommandLine;
using Portal.Engine.Jobs;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Statistics;
using Portal.Engine.Tokenizers;

namespace Portal.Engine.TinyAssistant.Story;

/// <summary>
/// The first part of the story: a base model answers, a simulated crowd judges, the judgements become a reward model and a policy, the policy
/// is released, and its answers come back as tasks.
/// </summary>
/// <remarks>Every station works through the installation's own store and jobs and then looks, in rows and files, whether the work was done.</remarks>
internal static class FoundationStations
{
    private const string Part = "foundation";
    private const string RowsFile = "story.jsonl";

    /// <summary>The stations in order.</summary>
    public static IReadOnlyList<StoryStation> All(bool fromNothing) =>
    [
        .. fromNothing ? [new StoryStation(Part, "tokenizer", TrainTokenizer), new StoryStation(Part, "base from nothing", TrainBase)] : Array.Empty<StoryStation>(),
        new(Part, "base model", LookAtBase),
        new(Part, "installation", Install),
        new(Part, "answers", Sample),
        new(Part, "votes", Vote),
        new(Part, "import", Import),
        new(Part, "dataset version", Freeze),
        new(Part, "reward model", TrainReward),
        new(Part, "policy (DPO)", TrainPolicy),
        new(Part, "sealed truth", CompareWithTruth),
        new(Part, "release", Release),
        new(Part, "new tasks", SampleNewTasks),
        new(Part, "engine's door", Ask),
    ];

    private static Task<StationReport> TrainTokenizer(StoryRun run, CancellationToken stop)
    {
        var corpus = run.Sizes.Corpus with { Seed = run.Seed };
        var tokenizer = MakeDemo.MakeTokenizer(corpus, stop);
        // Dialogues the tokenizer has not seen: behind the last of the corpus.
        var texts = Enumerable.Range(0, 200).Select(i => new World(run.Seed).WriteDialogue(corpus.Dialogues + i).Response).ToList();
        var changed = texts.Count(text => tokenizer.Decode(tokenizer.Encode(text)) != text);
        var bytes = texts.Sum(text => System.Text.Encoding.UTF8.GetByteCount(text)) / (double)texts.Sum(text => tokenizer.Encode(text).Length);
        BytePairTokenizerFile.Save(tokenizer, Directory.CreateDirectory(run.Folders.Base).FullName);
        return Task.FromResult(new StationReport($"{tokenizer.VocabularySize:N0} tokens learned from {corpus.TokenizerDialogues:N0} dialogues; {texts.Count} unseen texts come back unchanged")
        {
            Number = new StationNumber("bytes per token", bytes, null, null, texts.Count), From = [$"seed {run.Seed}"],
            Problem = changed == 0 ? null : $"{changed} of {texts.Count} texts came back changed.",
        });
    }

    private static Task<StationReport> TrainBase(StoryRun run, CancellationToken stop)
    {
        var corpus = run.Sizes.Corpus with { Seed = run.Seed };
        var tokenizer = MakeDemo.MakeTokenizer(corpus, stop);
        var context = new RecipeContext(Path.Combine(run.Folders.Work, "base"), Path.Combine(run.Folders.Work, "checkpoints"), (long)run.Seed, run.Progress, run.Time, stop);
        var (model, report) = MakeDemo.MakeBase(Preset<TrainSft>("sft-tiny-base"), corpus, tokenizer, context);
        using var ofModel = model;
        HuggingFaceFolder.Save(model, run.Folders.Base, tokenizer, SafetensorsType.F16);
        report.Write(run.Folders.Base);
        var loss = report.Find("loss");
        return Task.FromResult(new StationReport($"{report.ExamplesTrain:N0} dialogues, {report.Steps:N0} steps; the first step's loss was {report.Losses[0].ToString("F3", CultureInfo.InvariantCulture)}")
        {
            Number = new StationNumber("held-out loss, nats a token", loss.Value, loss.Low, loss.High, loss.Count), From = [$"seed {run.Seed}", $"commit {RunCommit()}"],
            Problem = loss.Value < report.Losses[0] ? null : "The loss did not fall.",
        });
    }

    private static Task<StationReport> LookAtBase(StoryRun run, CancellationToken stop)
    {
        if (!run.FromNothing)
            TakeShippedBase(run.Folders);
        var weights = Path.Combine(run.Folders.Base, "model.safetensors");
        var (model, tokenizer) = ModelFolder.LanguageModel(run.Folders.Base);
        using var ofModel = model;
        var check = MakeDemo.CheckBase(model, tokenizer, run.Seed, run.Sizes.BaseSamples, stop);
        var answered = check.CorrectOfAnswered.Values.Sum(topic => topic.Answered);
        var parameters = model.parameters().Sum(parameter => parameter.numel());
        var readable = WilsonInterval.Compute(Math.Round(check.Readable * check.Samples), check.Samples);
        using var file = File.OpenRead(weights);
        return Task.FromResult(new StationReport($"{parameters:N0} parameters; right in {check.CorrectOfAnswered.Values.Sum(topic => topic.Correct)} of {answered} answers to questions of fact")
        {
            Number = StationNumber.Of("readable share", readable), From = [$"weights {StoryRun.Short(Convert.ToHexStringLower(SHA256.HashData(file)))}", $"seed {run.Seed}"],
            Problem = readable.Estimate >= run.Sizes.ReadableMin ? null : $"The graders must read {run.Sizes.ReadableMin:P0} of the answers.",
        });
    }

    private static void TakeShippedBase(StoryFolders folders)
    {
        var from = Path.Combine(folders.Assets, "base");
        if (!File.Exists(Path.Combine(from, "model.safetensors")))
            throw new CannotTrain($"{from} holds no base model. `./run make-demo` makes it; or start with --from-nothing.");
        Directory.CreateDirectory(folders.Base);
        foreach (var path in Directory.EnumerateFiles(from))
            File.Copy(path, Path.Combine(folders.Base, Path.GetFileName(path)), overwrite: true);
        var manifest = Path.Combine(folders.Assets, "manifest.json");
        if (File.Exists(manifest))
            File.Copy(manifest, Path.Combine(folders.World, "manifest.json"), overwrite: true);
    }

    /// <summary>The project and its first policy, by the installer that fills a fresh installation; its own rows stay out.</summary>
    private static async Task<StationReport> Install(StoryRun run, CancellationToken stop)
    {
        await InstallDemo.Run(run.Services, new DirectoryInfo(run.Folders.World), stop);
        await using var db = await run.Contexts.CreateDbContextAsync(stop);
        var project = await db.Projects.AsNoTracking().SingleAsync(stop);
        run.Project = project.Id;
        run.Base = await run.Store.BasePolicy(project.Id, stop);
        var migrations = (await db.Database.GetAppliedMigrationsAsync(stop)).Count();
        using var http = Door(run.Directory);
        var listed = await http.GetFromJsonAsync<ModelList>(ModelList.Route, ServingJson.Options, stop);
        var served = listed?.Data.Any(model => model.Id == $"{run.Base.Id}") ?? false;
        return new StationReport($"{migrations} migration{(migrations == 1 ? "" : "s")} applied; queue and door are up; {run.Base.Label} serves in project \"{project.Name}\"")
        {
            Number = StationNumber.Counted("models at the door", listed?.Data.Count ?? 0), From = [Version(run.Base), $"commit {RunCommit()}"],
            Problem = project.CurrentPolicyId != run.Base.Id ? "The base does not serve." : served ? null : "The door does not list the base.",
        };
    }

    private static Task<StationReport> Sample(StoryRun run, CancellationToken stop)
    {
        var crowd = run.Sizes.Crowd;
        var (model, tokenizer) = ModelFolder.LanguageModel(run.Store.FolderOf(run.Base));
        using var ofModel = model;
        var prompts = DemoSeed.DrawPrompts(run.Seed, crowd.Prompts);
        var answers = WorldSamples.Write(model, tokenizer, prompts, PromptDrawing.AskedFor(crowd.ResponsesPerPrompt), new SeededRandom(run.Seed).Split("story"),
            (done, all) => run.Progress.Report(done, all, "sampling", null), stop);
        var different = prompts.SelectMany(prompt => PromptDrawing.Respond(prompt, crowd.ResponsesPerPrompt, (_, _) => answers[prompt.Id])
            .Select(response => (prompt.Id, Truth: TruthScorer.Score(prompt.Turns, response.Text)))).ToList();
        run.Answers = answers;
        return Task.FromResult(new StationReport($"{crowd.Prompts:N0} prompts drawn; {run.Base.Label} wrote {different.Count:N0} different answers at temperature {WorldSamples.Temperature.ToString(CultureInfo.InvariantCulture)}")
        {
            Number = StationNumber.Of("mean r* of an answer", Bootstrap.Mean([.. different.Select(answer => answer.Truth)], [.. different.Select(answer => answer.Id)], new SeededRandom(run.Seed))), From = [Version(run.Base), $"seed {run.Seed}"],
            Problem = different.Count >= crowd.Prompts ? null : "Fewer answers than prompts.",
        });
    }

    private static Task<StationReport> Vote(StoryRun run, CancellationToken stop)
    {
        DemoSeed crowd;
        try
        {
            crowd = DemoSeed.Build(run.Seed, (prompt, _) => run.Answers[prompt.Id], run.Sizes.Crowd);
        }
        catch (ArgumentException e)
        {
            throw new CannotTrain($"The base's answers differ too little to be judged: {e.Message}", e);
        }
        run.Crowd = crowd;
        var sealedRows = crowd.Sealed.ToDictionary(row => row.JudgementId, StringComparer.Ordinal);
        var decided = crowd.Pairwise.Where(vote => vote.PreferredResponseId is not null && sealedRows[vote.Id].LeftTruth != sealedRows[vote.Id].RightTruth).ToList();
        var agrees = decided.Count(vote => sealedRows[vote.Id].LeftTruth > sealedRows[vote.Id].RightTruth == (vote.PreferredResponseId == vote.LeftResponseId));
        var planted = crowd.Sealed.Count(row => row.IsPlanted);
        return Task.FromResult(new StationReport($"{SimulatedAnnotators.All.Count} simulated annotators judged {crowd.Pairwise.Count:N0} pairs and {crowd.Binary.Count:N0} single answers; {planted} votes are planted")
        {
            Number = StationNumber.Of("preferences that agree with r*", WilsonInterval.Compute(agrees, Math.Max(1, decided.Count))),
            From = [$"judgements {StoryRun.Short(crowd.JudgementsHash())}", $"seed {run.Seed}"],
            Problem = decided.Count > 0 ? null : "No vote prefers an answer.",
        });
    }

    /// <summary>The votes as a file of the portal's own format, brought in as a person's upload is.</summary>
    private static async Task<StationReport> Import(StoryRun run, CancellationToken stop)
    {
        var upload = run.Ids.New<ImportId>().Value.ToString("N");
        var sampling = new SamplingSpec { Temperature = WorldSamples.Temperature };
        ArtefactFile.Write(Path.Combine(run.Directory.Uploads, upload), file => MakeDemo.WriteProject(run.Crowd, $"{run.Base.Id}", sampling, file));
        var id = run.Ids.New<ImportId>();
        await run.Writes.WriteAsync(db => db.Imports.Add(new Import
        {
            Id = id, ProjectId = run.Project, FileName = RowsFile, Format = "portal", AllOrNothing = true, By = Guid.Empty, CreatedAt = run.Time.GetUtcNow(),
        }), stop);
        var job = await run.RunJob(new ImportData { ImportId = id, Upload = upload, FileName = RowsFile, Format = "portal", AllOrNothing = true }, stop);
        await using var db = await run.Contexts.CreateDbContextAsync(stop);
        var import = await db.Imports.AsNoTracking().FirstAsync(i => i.Id == id, stop);
        var pairs = await db.PairwiseJudgements.CountAsync(j => j.ProjectId == run.Project && j.Source == JudgementSource.Simulated, stop);
        var singles = await db.BinaryJudgements.CountAsync(j => j.ProjectId == run.Project && j.Source == JudgementSource.Simulated, stop);
        var byBase = await db.Responses.CountAsync(r => r.ModelVersionId == run.Base.Id, stop);
        return new StationReport($"{import.RowsRead:N0} lines read, {import.RowsRejected} refused; {pairs:N0} pairwise and {singles:N0} binary judgements, {byBase:N0} answers of {run.Base.Label} in the store")
        {
            Number = StationNumber.Counted("judgements stored", pairs + singles), From = [$"job {job.Number}", $"import {StoryRun.Short(upload)}"],
            Problem = (pairs, singles, byBase) == (run.Crowd.Pairwise.Count, run.Crowd.Binary.Count, run.Crowd.Responses.Count) && import.State is ImportState.Visible
                ? null
                : $"{run.Crowd.Pairwise.Count:N0} pairs, {run.Crowd.Binary.Count:N0} single verdicts and {run.Crowd.Responses.Count:N0} answers were in the file.",
        };
    }

    private static async Task<StationReport> Freeze(StoryRun run, CancellationToken stop)
    {
        var id = await run.Manifest.Build(run.Project, TaskKind.Pairwise, RewardSpec(run).Rules, job: null, actor: null, stop);
        var broken = await run.Manifest.Verify(id, stop);
        await using var db = await run.Contexts.CreateDbContextAsync(stop);
        var version = await db.DatasetVersions.AsNoTracking().FirstAsync(v => v.Id == id, stop);
        var onBothSides = await db.DatasetRows.Where(r => r.DatasetVersionId == id).GroupBy(r => r.PromptId).CountAsync(prompt => prompt.Select(r => r.Part).Distinct().Count() > 1, stop);
        run.Dataset = version;
        var dropped = JsonSerializer.Deserialize<Dictionary<string, int>>(version.DroppedJson) ?? [];
        return new StationReport($"{version.RowsTrain:N0} pairs of {version.PromptsTrain} prompts to learn from, {version.RowsHeldOut:N0} of {version.PromptsHeldOut} held out; not used: {string.Join(", ", dropped.Select(reason => $"{reason.Value} {reason.Key}"))}")
        {
            Number = StationNumber.Counted("pairs frozen", version.RowsTrain + version.RowsHeldOut), From = [Dataset(version), $"split seed {RewardSpec(run).Rules.SplitSeed}"],
            Problem = broken ?? (onBothSides == 0 ? null : $"{onBothSides} prompts are in both parts."),
        };
    }

    private static async Task<StationReport> TrainReward(StoryRun run, CancellationToken stop)
    {
        var spec = RewardSpec(run);
        var job = await run.RunJob(spec, stop);
        var version = run.RewardModel = await run.VersionOf(job, ModelKind.RewardModel, stop);
        var accuracy = await run.Measured(version, MetricNames.PairwiseAccuracy, stop);
        var baselines = new List<string>();
        await using (var db = await run.Contexts.CreateDbContextAsync(stop))
            foreach (var (name, words) in new[] { (MetricNames.LengthBaseline, "length alone"), (MetricNames.BagOfWordsBaseline, "a bag of words") })
                if (await db.EvaluationResults.AsNoTracking().FirstOrDefaultAsync(r => r.ModelVersionId == version.Id && r.Name == name && r.Part == MetricNames.HeldOut, stop) is { } baseline)
                    baselines.Add($"{words} {baseline.Value.ToString("F3", CultureInfo.InvariantCulture)}");
        await run.Release(version, "the story's reward model: nothing scored before", stop);
        return new StationReport($"{version.Label} trained and serves; beside it {string.Join(", ", baselines)}")
        {
            Number = Number("held-out accuracy", accuracy), From = [$"job {job.Number}", $"seed {spec.Seed}", Dataset(run.Dataset), Version(version)],
            Problem = version.DatasetVersionId != run.Dataset.Id ? "It was trained on another dataset version than the frozen one."
                : run.Sizes.DemandsLearning && !(accuracy.Low > 0.5) ? "It is no better than chance." : null,
        };
    }

    private static async Task<StationReport> TrainPolicy(StoryRun run, CancellationToken stop)
    {
        var preset = Preset<TrainPreferencePolicy>("dpo");
        var spec = preset with { Seed = (long)run.Seed, Evaluation = run.Sizes.Evaluation, Optimization = preset.Optimization with { StepsMax = run.Sizes.StepsMax } };
        var job = await run.RunJob(spec, stop);
        var version = run.Policy = await run.VersionOf(job, ModelKind.Policy, stop);
        var change = await run.Measured(version, MetricNames.ChangePrefix + MetricNames.MeanReward, stop);
        var kl = await run.Measured(version, MetricNames.KlNats, stop);
        return new StationReport($"{version.Label} trained; {kl.Value.ToString("F2", CultureInfo.InvariantCulture)} nats from its parent; compared with {run.Base.Label} on held-out prompts, the same seeds")
        {
            Number = Number("change of mean reward", change), From = [$"job {job.Number}", $"seed {spec.Seed}", Dataset(run.Dataset), Version(version), $"scored by {run.RewardModel.Label}"],
            Problem = version.DatasetVersionId != run.Dataset.Id ? "It was trained on another dataset version than the frozen one."
                : change.ComparedWithId != run.Base.Id ? "It was not compared with the policy that serves."
                : run.Sizes.DemandsLearning && !(change.Low > 0) ? "The reward did not rise." : null,
        };
    }

    /// <summary>The answers that the evaluation stored, scored by r*, which no recipe and no reward model has seen.</summary>
    private static async Task<StationReport> CompareWithTruth(StoryRun run, CancellationToken stop)
    {
        await using var db = await run.Contexts.CreateDbContextAsync(stop);
        var samples = await (
            from s in db.EvaluationSamples.AsNoTracking()
            where s.CandidateId == run.Policy.Id
            join r in db.Responses on s.ResponseId equals r.Id
            join text in db.Contents on r.ContentId equals text.Id
            join p in db.Prompts on s.PromptId equals p.Id
            join asked in db.Contents on p.ContentId equals asked.Id
            orderby s.PromptId, s.Ordinal
            select new { s.PromptId, s.Ordinal, IsNew = s.SampledFromId == run.Policy.Id, Answer = text.Text, Asked = asked.Text }).ToListAsync(stop);
        var read = samples.ToDictionary(s => (s.PromptId, s.Ordinal, s.IsNew), s => Grader.Read(Conversation.LastQuestion(Conversation.Parse(s.Asked)), s.Answer ?? ""));
        var pairs = read.Keys.Where(key => key.IsNew && read.ContainsKey((key.PromptId, key.Ordinal, false))).ToList();
        if (pairs.Count == 0)
            throw new CannotTrain("The evaluation stored no answers of both policies.");
        ConfidenceInterval Change(Func<GraderReading, double> of) => Bootstrap.PairedDifference([.. pairs.Select(key => of(read[key]))],
            [.. pairs.Select(key => of(read[(key.PromptId, key.Ordinal, false)]))], [.. pairs.Select(key => $"{key.PromptId}")], new SeededRandom(run.Seed));
        var gain = Change(TruthScorer.Score);
        var readable = Change(reading => reading.Readable ? 1 : 0);
        return new StationReport($"{pairs.Count:N0} pairs of answers read by the graders; the readable share changed by {readable.Estimate.ToString("+0.000;-0.000", CultureInfo.InvariantCulture)} ({readable.Low.ToString("+0.000;-0.000;0.000", CultureInfo.InvariantCulture)} to {readable.High.ToString("+0.000;-0.000;0.000", CultureInfo.InvariantCulture)})")
        {
            Number = StationNumber.Of("change of mean r*", gain), From = [Version(run.Base), Version(run.Policy)],
            Problem = run.Sizes.DemandsLearning && !gain.IsAbove(0) ? "By the true reward the new policy is no better." : null,
        };
    }

    private static async Task<StationReport> Release(StoryRun run, CancellationToken stop)
    {
        await run.Release(run.Policy, "the story's policy: better on held-out prompts", stop);
        await using var db = await run.Contexts.CreateDbContextAsync(stop);
        var project = await db.Projects.AsNoTracking().FirstAsync(p => p.Id == run.Project, stop);
        var last = await db.Releases.AsNoTracking().Where(r => r.ProjectId == run.Project && r.Kind == ModelKind.Policy).OrderByDescending(r => r.At).ThenByDescending(r => r.Id).FirstAsync(stop);
        var verdict = AuditChain.Verify(db.AuditEvents.AsNoTracking().OrderBy(e => e.Sequence));
        return new StationReport($"{run.Policy.Label} serves in place of {run.Base.Label}; the audit chain is whole")
        {
            Number = StationNumber.Counted("audit events", (int)verdict.Intact), From = [Version(run.Policy), $"release {StoryRun.Short(last.Id.Value.ToString("N"))}"],
            Problem = verdict.Problem ?? (project.CurrentPolicyId == run.Policy.Id && last.FromVersionId == run.Base.Id ? null : "The project's pointer did not move from the base to the new policy."),
        };
    }

    private static async Task<StationReport> SampleNewTasks(StoryRun run, CancellationToken stop)
    {
        var spec = new SampleResponses { Seed = (long)run.Seed, Prompts = run.Sizes.NewPrompts, Tasks = TaskKinds.Pairwise | TaskKinds.Binary, Sampling = run.Sizes.Evaluation.Sampling };
        var job = await run.RunJob(spec, stop);
        await using var db = await run.Contexts.CreateDbContextAsync(stop);
        var tasks = await db.Tasks.AsNoTracking().Where(t => t.JobId == job.Id && t.State == TaskState.Open).ToListAsync(stop);
        var writers = await db.Responses.AsNoTracking().Where(r => r.ModelVersionId == run.Policy.Id).Select(r => r.Id).ToListAsync(stop);
        var byPolicy = writers.ToHashSet();
        var foreign = tasks.Count(task => !byPolicy.Contains(task.FirstResponseId) || (task.SecondResponseId is { } second && !byPolicy.Contains(second)));
        return new StationReport($"{run.Policy.Label} answered {run.Sizes.NewPrompts} prompts; {tasks.Count(t => t.Kind is TaskKind.Pairwise)} pairs and {tasks.Count(t => t.Kind is TaskKind.Binary)} single answers wait for people")
        {
            Number = StationNumber.Counted("open tasks", tasks.Count), From = [$"job {job.Number}", $"seed {spec.Seed}", Version(run.Policy)],
            Problem = tasks.Count == 0 ? "No task was made." : foreign == 0 ? null : $"{foreign} tasks hold answers of another version.",
        };
    }

    /// <summary>A question over the door, and what the reward model thinks of the answer.</summary>
    private static async Task<StationReport> Ask(StoryRun run, CancellationToken stop)
    {
        using var http = Door(run.Directory);
        Turn[] question = [.. MakeDemo.TurnsOf(run.Crowd.Prompts[0].Turns)];
        using var answered = await http.PostAsJsonAsync(ChatCompletionRequest.Route, new ChatCompletionRequest
        {
            Model = $"{run.Policy.Id}", Messages = question, Seed = (long)run.Seed, MaxTokens = run.Sizes.Evaluation.Sampling.TokensMax,
        }, ServingJson.Options, stop);
        if (!answered.IsSuccessStatusCode)
            throw new CannotTrain($"The door refused the question: {await answered.Content.ReadAsStringAsync(stop)}");
        var chat = await answered.Content.ReadFromJsonAsync<ChatCompletionResponse>(ServingJson.Options, stop) ?? throw new CannotTrain("The door's answer is empty.");
        using var scored = await http.PostAsJsonAsync(ScoreRequest.Route, new ScoreRequest($"{run.RewardModel.Id}", [new ScoreItem(question, chat.Choices[0].Message.Content)]), ServingJson.Options, stop);
        if (!scored.IsSuccessStatusCode)
            throw new CannotTrain($"The door refused to score: {await scored.Content.ReadAsStringAsync(stop)}");
        var score = await scored.Content.ReadFromJsonAsync<ScoreResponse>(ServingJson.Options, stop) ?? throw new CannotTrain("The door's score is empty.");
        return new StationReport($"{run.Policy.Label} answered over HTTP with {chat.Usage.CompletionTokens} tokens ({chat.Choices[0].FinishReason}); {run.RewardModel.Label} scored the answer")
        {
            Number = new StationNumber("reward", score.Scores[0].Reward, null, null, 1), From = [Version(run.Policy), Version(run.RewardModel)],
            Problem = chat.Usage.CompletionTokens > 0 ? null : "The answer is empty.",
        };
    }

    private static TrainRewardModel RewardSpec(StoryRun run)
    {
        var preset = Preset<TrainRewardModel>("reward-model");
        return preset with { Seed = (long)run.Seed, Optimization = preset.Optimization with { StepsMax = run.Sizes.StepsMax } };
    }

    private static TSpec Preset<TSpec>(string name) where TSpec : JobSpec =>
        TrainCommands.Read<TSpec>(new FileInfo(Path.Combine(AppContext.BaseDirectory, "presets", name + ".json")), name);

    private static StationNumber Number(string name, EvaluationResult row) => new(name, row.Value, row.Low, row.High, row.Count);

    private static string Version(ModelVersion version) => $"{version.Label} {StoryRun.Short(version.Id.Value.ToString("N"))}";

    private static string Dataset(DatasetVersion version) => $"dataset v{version.Number} {StoryRun.Short(version.ManifestHash)}";

    private static string RunCommit() => StoryRun.Short(MakeDemo.Commit());

    /// <summary>A client of the engine's door: the data directory's socket and token.</summary>
    private static HttpClient Door(DataDirectory directory)
    {
        var http = new HttpClient(new SocketsHttpHandler
        {
            UseProxy = false,
            ConnectCallback = async (_, stop) =>
            {
                var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                await socket.ConnectAsync(new UnixDomainSocketEndPoint(directory.EngineSocket), stop);
                return new NetworkStream(socket, ownsSocket: true);
            },
        })
        { BaseAddress = new Uri("http://engine/") };
        http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", directory.ReadEngineToken());
        return http;
    }
}
