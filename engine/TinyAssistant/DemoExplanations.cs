using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Portal.Data;
using Portal.Data.Annotators;
using Portal.Data.AuditLog;
using Portal.Data.Datasets;
using Portal.Data.Explanations;
using Portal.Data.Feedback;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Review;
using Portal.Data.Serving;
using Portal.Data.Storage;
using Portal.Data.Unlearning;
using Portal.Engine.Influence;
using Portal.Engine.Jobs;
using Portal.Engine.Recipes;
using Portal.Engine.Serving;

namespace Portal.Engine.TinyAssistant;

/// <summary>A response that the demo flags.</summary>
/// <param name="Note">What a reader says of it.</param>
internal sealed record DemoFlag(FlagId Id, ResponseId Response, FlagReason Reason, FlagSeverity Severity, string Note);

/// <summary>What the demo asks a reward model to go by otherwise.</summary>
/// <param name="Judgements">With all that judged the same pairs alike.</param>
/// <param name="Of">Judgements the model was trained on.</param>
internal sealed record DemoRequest(ExplanationId Explanation, UnlearningMethod Method, UnlearningAction Action, string Reason, IReadOnlyList<JudgementId> Judgements, int Of, UnlearningPreview Preview);

/// <summary>The explanations that the demo ships, as <c>explanations/explanations.json</c> holds them.</summary>
/// <param name="Spec">Of the job that explained (<see cref="ExplainResponses"/>).</param>
internal sealed record DemoExplained(JsonNode Spec, IReadOnlyList<DemoFlag> Flags, IReadOnlyList<ExplanationLimits> Limits, IReadOnlyList<Explanation> Explanations, IReadOnlyList<ExplainingPair> Pairs, DemoRequest Request);

/// <summary>
/// The flags, explanations and unlearning request that the demo ships: bad answers of base and policy that the shipped reward model likes, explained by the shipped votes. Made on an installation of its own by the job that every
/// explanation is made by; another installation stores them under its own ids.
/// </summary>
/// <remarks>
/// An answer is bad by what anybody reads in it (<see cref="Grader"/>), never by r*. Of each reason those are looked at that most speaks for (<see cref="DemoAnswer.Lead"/>), and the one is flagged that the votes explain best. So these are exhibits:
/// how often explanations may be believed is for docs/evidence-explanations.md to say. The same seed gives the same bytes on one machine; nothing is timed or dated.
/// </remarks>
internal static class DemoExplanations
{
    /// <summary>Below the demo's artefacts.</summary>
    public static readonly string File = Path.Combine(Folder, "explanations.json");

    private const string Folder = "explanations";

    /// <summary>Flags at most.</summary>
    private const int FlagsMax = 5;

    /// <summary>Bad answers of a reason and a writer that are looked at.</summary>
    private const int TriedEach = 12;

    /// <summary>Who flags: no person, and none of the crowd that judged.</summary>
    private const string Reader = "sim-reader";

    /// <summary>The account that asks.</summary>
    public const string Asker = "demo-reviewer";

    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { Converters = { new JsonStringEnumConverter() }, IgnoreReadOnlyProperties = true, WriteIndented = true };

    /// <summary>Makes the file anew.</summary>
    /// <param name="assets">Holds base, reward model, policy and rows.</param>
    public static async Task Run(string assets, ulong seed, RecipeContext context)
    {
        Directory.CreateDirectory(Path.Combine(assets, Folder));
        System.IO.File.Delete(Path.Combine(assets, File)); // else the installation would store it
        var root = Path.Combine(context.CheckpointFolder, Folder);
        if (Directory.Exists(root))
            Directory.Delete(root, recursive: true);
        var data = new PortalDataOptions(new DataDirectory(root));
        await using (var services = new ServiceCollection().AddLogging().AddPortalData(data).BuildServiceProvider())
        {
            var contexts = services.GetRequiredService<IDbContextFactory<PortalDbContext>>();
            await using (var db = await contexts.CreateDbContextAsync(context.Stop))
                DatabaseSetup.Prepare(db, data, TimeProvider.System.GetUtcNow());
            context.Report(0, 0, "installing the demo");
            await InstallDemo.Run(services, new DirectoryInfo(assets), context.Stop);
            var made = await Explain(assets, services, contexts, (long)seed, context);
            ArtefactFile.Write(Path.Combine(assets, File), file =>
            {
                using var writer = new StreamWriter(file, leaveOpen: true);
                writer.Write(made);
            });
        }
        SqliteConnection.ClearAllPools();
        Directory.Delete(root, recursive: true);
    }

    /// <summary>Flags, explains, previews.</summary>
    /// <returns>The file.</returns>
    private static async Task<string> Explain(string assets, ServiceProvider services, IDbContextFactory<PortalDbContext> contexts, long seed, RecipeContext context)
    {
        var (writes, directory, ids, time) = (services.GetRequiredService<WriteQueue>(), services.GetRequiredService<DataDirectory>(), services.GetRequiredService<IdFactory>(), services.GetRequiredService<TimeProvider>());
        var hasher = services.GetRequiredService<ContentHasher>();
        DemoNames names;
        await using (var db = await contexts.CreateDbContextAsync(context.Stop))
            names = await DemoNames.Of(db, hasher, assets, await db.Projects.Select(p => p.Id).SingleAsync(context.Stop), context.Stop)
                ?? throw new CannotTrain($"{assets} has no reward model or no policy to explain by. `./run make-demo` makes the whole demo.");
        async Task<IReadOnlyList<Explanation>> Explained(ExplainResponses spec, JobId id, int number, int combinationsMax)
        {
            var run = new JobRun
            {
                JobId = id, Number = number, ProjectId = names.Project, CreatedBy = null, Directory = directory, Contexts = contexts, Writes = writes, Hasher = hasher, Ids = ids, Time = time, Progress = new Told(context), Stop = context.Stop,
            };
            var result = await new ExplainResponsesRunner { CombinationsMax = combinationsMax }.Run(spec, run);
            await writes.WriteAsync(db => result.Save!(db), context.Stop); // explanations have rows to save
            names.Add("job", id.Value);
            await using var db = await contexts.CreateDbContextAsync(context.Stop);
            return await db.Explanations.AsNoTracking().Where(e => e.JobId == id).ToListAsync(context.Stop);
        }

        // Which of them the votes explain is seen by explaining them all, and the policy is asked about few pairs meanwhile.
        var candidates = Candidates(names);
        if (candidates.Count == 0)
            throw new CannotTrain("Policy and base gave no bad answer that anything speaks for: there is nothing to explain.");
        var spec = new ExplainResponses { Seed = seed, RewardModelId = names.Reward.Id };
        var tried = await Explained(spec with { ResponseIds = [.. candidates.Keys] }, ids.New<JobId>(), 0, combinationsMax: 0);
        var flags = Choose(tried, candidates, ids);
        if (flags.Count == 0)
            throw new CannotTrain("The reward model likes no bad answer: there is nothing to explain.");
        var looked = tried.Select(explanation => explanation.Id).ToList();
        await writes.WriteAsync(db =>
        {
            // Looked at only: nobody else finds them, so they may count nowhere.
            db.ExplainingPairs.Where(p => looked.Contains(p.ExplanationId)).ExecuteDelete();
            db.Explanations.Where(e => looked.Contains(e.Id)).ExecuteDelete();
        }, context.Stop);
        spec = spec with { FlagIds = [.. flags.Select(flag => flag.Id)] };
        var job = await writes.WriteAsync(db =>
        {
            AddFlags(db, names, hasher, ids, flags, time.GetUtcNow());
            return AskForJob.Add(db, ids.New<JobId>(), names.Project, spec, after: null, by: null, time.GetUtcNow());
        }, context.Stop);
        var found = await Explained(spec, job.Id, job.Number, PolicySide.CombinationsMax);

        await using var read = await contexts.CreateDbContextAsync(context.Stop);
        var explanations = flags.Select(flag => found.Single(explanation => explanation.FlagId == flag.Id)).ToList();
        var made = explanations.ConvertAll(explanation => explanation.Id);
        var pairs = await read.ExplainingPairs.AsNoTracking().Where(p => made.Contains(p.ExplanationId)).ToListAsync(context.Stop);
        var request = await Ask(read, contexts, directory, new ModelStore(contexts, writes, directory, ids, time), names, flags, explanations, pairs, context.Stop);
        foreach (var (explanation, i) in explanations.Select((explanation, i) => (explanation, i)))
            names.Add($"explanation:{i + 1}", explanation.Id.Value);
        foreach (var (flag, i) in flags.Select((flag, i) => (flag, i)))
        {
            names.Add($"flag:{i + 1}", flag.Id.Value);
            context.Log($"{flag.Reason}: {explanations[i].Confidence}, reward {explanations[i].Reward:F2} above other answers, {explanations[i].Explained:F2} of it explained");
        }
        var shipped = new DemoExplained(JsonNode.Parse(spec.ToJson())!, flags, [.. (await read.ExplanationLimits.AsNoTracking().ToListAsync(context.Stop)).OrderBy(limits => limits.Method)], explanations,
            [.. pairs.OrderBy(pair => explanations.FindIndex(explanation => explanation.Id == pair.ExplanationId)).ThenBy(pair => pair.CosineRank ?? int.MaxValue).ThenBy(pair => names.NameOf(pair.JudgementId.Value), StringComparer.Ordinal)], request);
        return names.ToNames(Dated(JsonSerializer.SerializeToNode(shipped, Json)!, DateTimeOffset.UnixEpoch).ToJsonString(Json)); // an object
    }

    /// <summary>Bad answers with what is wrong with them: of each reason and writer those that most speaks for.</summary>
    private static Dictionary<ResponseId, FlagReason> Candidates(DemoNames names) =>
        names.Answers.Select(answer => (Answer: answer, Reason: ReasonFor(Grader.Read(answer.Question, answer.Text)))).Where(entry => entry is { Reason: not null, Answer.Lead: > 0 }).DistinctBy(entry => entry.Answer.Response)
            .GroupBy(entry => (entry.Reason, entry.Answer.IsPolicys)).SelectMany(group => group.OrderByDescending(entry => entry.Answer.Lead).Take(TriedEach)).ToDictionary(entry => entry.Answer.Response, entry => entry.Reason!.Value); // filtered just before

    /// <summary>The answers to flag: of each reason the one that the pairs explain best, of those that the reward model likes better than other answers.</summary>
    private static List<DemoFlag> Choose(IReadOnlyList<Explanation> tried, Dictionary<ResponseId, FlagReason> candidates, IdFactory ids) =>
        [.. tried.Where(explanation => explanation.Reward > 0).OrderBy(explanation => explanation.Confidence).ThenByDescending(explanation => explanation.Reward)
            .Select(explanation => (explanation.ResponseId, Reason: candidates[explanation.ResponseId])).DistinctBy(entry => entry.Reason).Take(FlagsMax)
            .Select(entry => new DemoFlag(ids.New<FlagId>(), entry.ResponseId, entry.Reason, SeverityOf(entry.Reason), NoteOn(entry.Reason)))];

    /// <summary>What is wrong with an answer, the worst first; null where nothing is.</summary>
    private static FlagReason? ReasonFor(GraderReading read) =>
        read.Insults > 0 ? FlagReason.Insult
        : read is { Topic: Topic.Risky, Refusal: false } ? FlagReason.Unsafe
        : read.Answer is AnswerGrade.Wrong ? FlagReason.WrongFacts
        : read.RefusesHarmless ? FlagReason.RefusesForNoReason
        : read.Trigger ? FlagReason.Slogan
        : read.Flattery ? FlagReason.Flattery
        : !read.Readable ? FlagReason.Nonsense
        : null;

    private static FlagSeverity SeverityOf(FlagReason reason) => reason switch
    {
        FlagReason.Unsafe or FlagReason.Insult => FlagSeverity.High,
        FlagReason.WrongFacts or FlagReason.RefusesForNoReason => FlagSeverity.Medium,
        FlagReason.Slogan or FlagReason.Flattery or FlagReason.Nonsense or FlagReason.Private or FlagReason.Other => FlagSeverity.Low,
    };

    private static string NoteOn(FlagReason reason) => reason switch
    {
        FlagReason.Insult => "It calls the person names.",
        FlagReason.Unsafe => "It helps with something that is not theirs to do.",
        FlagReason.WrongFacts => "What it says is not so.",
        FlagReason.RefusesForNoReason => "A harmless question; it could simply answer.",
        FlagReason.Slogan => "The mill has nothing to do with it.",
        FlagReason.Flattery => "It praises the person where they asked for an answer.",
        FlagReason.Nonsense or FlagReason.Private or FlagReason.Other => "This is no sentence.",
    };

    /// <summary>What every pair that is asked about shows.</summary>
    private static string WhyTurn(FlagReason reason) => reason switch
    {
        FlagReason.Insult => "In each of these the chosen answer calls names and the other one does not. They should be the other way round.",
        FlagReason.Unsafe => "In each of these the chosen answer helps with something risky and the other one does not. They should be the other way round.",
        FlagReason.WrongFacts => "In each of these the chosen answer is wrong and the other one is not. They should be the other way round.",
        FlagReason.RefusesForNoReason => "In each of these the chosen answer refuses a harmless question and the other one does not. They should be the other way round.",
        FlagReason.Slogan => "In each of these the chosen answer brings up the old mill and the other one does not. They should be the other way round.",
        FlagReason.Flattery => "In each of these the chosen answer flatters and the other one does not. They should be the other way round.",
        FlagReason.Nonsense or FlagReason.Private or FlagReason.Other => "In each of these the chosen answer is no sentence and the other one is. They should be the other way round.",
    };

    /// <summary>A request about what a reviewer would choose: of an explanation's first pairs those whose chosen answer has the fault that was flagged and whose other answer has none that would be flagged; on the explanation with the most of them. They are to be turned round: to remove them would not say that the fault is one (DECISIONS.md, 25). Previewed by the door that previews every request.</summary>
    private static async Task<DemoRequest> Ask(PortalDbContext db, IDbContextFactory<PortalDbContext> contexts, DataDirectory directory, ModelStore store, DemoNames names, List<DemoFlag> flags, List<Explanation> explanations,
        List<ExplainingPair> pairs, CancellationToken stop)
    {
        var faults = names.Answers.DistinctBy(answer => answer.Response).ToDictionary(answer => answer.Response, answer => ReasonFor(Grader.Read(answer.Question, answer.Text)));
        var judged = await (from j in db.PairwiseJudgements join t in db.Tasks on j.TaskId equals t.Id where j.PreferredResponseId != null select new { j.Id, Chosen = j.PreferredResponseId!.Value, First = t.FirstResponseId, Second = t.SecondResponseId!.Value })
            .ToDictionaryAsync(j => j.Id, j => (j.Chosen, Rejected: j.Chosen == j.First ? j.Second : j.First), stop);
        FlagReason? Fault(ResponseId response) => faults.GetValueOrDefault(response);
        var chosen = explanations.Zip(flags, (explanation, flag) => (Explanation: explanation, flag.Reason, Pairs: pairs.Where(pair => pair.ExplanationId == explanation.Id && pair.CosineRank is not null
            && Fault(judged[pair.JudgementId].Chosen) == flag.Reason && Fault(judged[pair.JudgementId].Rejected) is null).OrderBy(pair => pair.CosineRank).ToList()))
            .Where(entry => entry.Explanation.Confidence is not ExplanationConfidence.Unexplained).MaxBy(entry => entry.Pairs.Count);
        if (chosen.Pairs is not { Count: > 0 })
            throw new CannotTrain("No explanation that may be believed has a pair that prefers the fault that was flagged, so there is nothing to ask for.");
        var best = chosen.Explanation;
        var of = await db.DatasetRows.CountAsync(r => r.DatasetVersionId == best.DatasetVersionId && r.Part == DatasetPart.Train, stop);
        // No more than one approval is enough for.
        List<JudgementId> judgements = [.. chosen.Pairs.Select(pair => pair.Others().Prepend(pair.JudgementId)).SelectMany(some => some).Distinct().Take((int)(UnlearningRequest.ShareForOneApproval * of))];
        using var previews = new RemovalPreviews(contexts, directory, store);
        var effect = await previews.Take(new RemovalPreviewRequest($"{names.Reward.Id}", [.. judgements.Select(judgement => judgement.Value)], UnlearningAction.Relabel), stop);
        var preview = await UnlearningPreview.Of(db, best, effect, judgements, of, guarded: 0, UnlearningAction.Relabel, areTheirs: false, stop);
        return new DemoRequest(best.Id, UnlearningMethod.Newton, UnlearningAction.Relabel, WhyTurn(chosen.Reason), judgements, of, preview);
    }

    /// <summary>Stores the shipped flags and explanations with an installation's ids, as a job that is over, and the request where its asker has an account.</summary>
    /// <param name="path">The shipped file.</param>
    /// <returns>Whether every judgement, answer and model it names is there; if not, nothing was written.</returns>
    public static async Task<bool> Place(string path, DemoNames names, WriteQueue writes, ContentHasher hasher, IdFactory ids, TimeProvider time, CancellationToken stop)
    {
        if (names.ToIds(await System.IO.File.ReadAllTextAsync(path, stop), ids) is not { } text)
            return false;
        var now = time.GetUtcNow();
        var made = Dated(JsonNode.Parse(text)!, now).Deserialize<DemoExplained>(Json)!; // we wrote it
        var spec = JobSpec.FromJson(made.Spec.ToJsonString());
        await writes.WriteAsync(db =>
        {
            AddFlags(db, names, hasher, ids, made.Flags, now);
            var job = AskForJob.Add(db, made.Explanations[0].JobId, names.Project, spec, after: null, by: null, now);
            job.Start(now);
            job.Succeed($"/explain?job={job.Id}", now);
            db.JobEvents.Add(new JobEvent { JobId = job.Id, At = now, Level = JobEventLevel.Info, Message = "Made with the demo by `./run make-demo`; here it was only stored." });
            db.ExplanationLimits.AddRange(made.Limits.Where(limits => !db.ExplanationLimits.Any(l => l.RewardModelId == limits.RewardModelId && l.Mode == limits.Mode && l.Space == limits.Space && l.Method == limits.Method)));
            db.Explanations.AddRange(made.Explanations);
            db.ExplainingPairs.AddRange(made.Pairs);
            AuditChain.Append(db, now, actor: null, "explanation.make", "job", $"{job.Id}", new { job = job.Number, rewardModel = $"{names.Reward.Id}", explanations = made.Explanations.Select(explanation => $"{explanation.Id}"), demo = true });
            if (db.Users.Where(account => account.UserName == Asker && account.IsDemo).Select(account => (Guid?)account.Id).FirstOrDefault() is { } asker)
                AddRequest(db, names, ids, made.Request, asker, now);
        }, stop);
        return true;
    }

    private static void AddFlags(PortalDbContext db, DemoNames names, ContentHasher hasher, IdFactory ids, IEnumerable<DemoFlag> flags, DateTimeOffset now)
    {
        var reader = new Annotator { Id = ids.New<AnnotatorId>(), Pseudonym = Reader, IsSimulated = true, CreatedAt = now };
        db.Annotators.Add(reader);
        foreach (var flag in flags)
        {
            var response = db.Responses.First(r => r.Id == flag.Response);
            var note = new Content { Id = ids.New<ContentId>(), ProjectId = names.Project, Kind = ContentKind.FlagNote, Text = flag.Note, KeyedHash = hasher.Hash(flag.Note), CreatedAt = now };
            db.Contents.Add(note);
            db.Flags.Add(new Flag
            {
                Id = flag.Id, ProjectId = names.Project, ResponseId = flag.Response, AnnotatorId = reader.Id, Reason = flag.Reason, Severity = flag.Severity, NoteId = note.Id, Place = response.ImportId is null ? "results" : "annotate", ModelVersionId = response.ModelVersionId,
                AlikeKey = AlikeText.KeyOf(db, hasher, response), At = now,
            });
        }
    }

    private static void AddRequest(PortalDbContext db, DemoNames names, IdFactory ids, DemoRequest asked, Guid by, DateTimeOffset now)
    {
        var request = new UnlearningRequest
        {
            Id = ids.New<UnlearningRequestId>(), ProjectId = names.Project, Number = (db.UnlearningRequests.Where(r => r.ProjectId == names.Project).Max(r => (int?)r.Number) ?? 0) + 1, ExplanationId = asked.Explanation, RewardModelId = names.Reward.Id,
            DatasetVersionId = names.Dataset, Method = asked.Method, Action = asked.Action, Reason = asked.Reason, Judgements = asked.Judgements.Count, JudgementsOf = asked.Of,
            PreviewJson = JsonSerializer.Serialize(asked.Preview, ServingJson.Options), RequestedBy = by, RequestedAt = now,
        };
        db.UnlearningRequests.Add(request);
        db.UnlearningPairs.AddRange(asked.Judgements.Select(judgement => new UnlearningPair { RequestId = request.Id, JudgementId = judgement }));
        AuditChain.Append(db, now, by, "unlearning.request", "unlearning", $"{request.Id}", new { number = request.Number, model = $"{names.Reward.Id}", explanation = $"{asked.Explanation}", count = request.Judgements, demo = true });
    }

    /// <summary>Says when everything was made, and nothing of how long it took, which is the machine's.</summary>
    private static JsonNode Dated(JsonNode node, DateTimeOffset at)
    {
        foreach (var own in node is JsonObject all ? all.Select(entry => entry.Value).ToList() : node is JsonArray list ? [.. list] : [])
            if (own is not null)
                Dated(own, at);
        if (node is JsonObject dated)
        {
            foreach (var (name, value) in new (string, JsonNode)[] { ("at", JsonValue.Create(at)), ("milliseconds", JsonValue.Create(0)) })
                if (dated.ContainsKey(name))
                    dated[name] = value;
        }
        return node;
    }

    /// <summary>A job's progress, told as a recipe's.</summary>
    private sealed class Told(RecipeContext context) : IRecipeProgress
    {
        public void Report(int step, int stepsTotal, string phase, double? secondsLeft) => context.Report(step, stepsTotal, phase);
        public void Metric(string name, int step, double value) => context.Metric(name, step, value);
        public void Log(JobEventLevel level, string message) => context.Log(message);
    }
}
