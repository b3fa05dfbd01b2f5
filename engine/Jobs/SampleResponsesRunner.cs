using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Datasets;
using Portal.Data.Feedback;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Statistics;

namespace Portal.Engine.Jobs;

/// <summary>
/// A policy answers prompts and its answers become tasks: the way back from a model to people. With a candidate named, the candidate and
/// the policy that answers today each write one answer to a prompt, and people compare the two without knowing which is which.
/// </summary>
/// <remarks>
/// Written in small transactions with pauses. What a run will ask is decided once and kept in the job's folder, so a run after a crash
/// asks the same and finds what it had stored. Tasks that nobody has touched go with a job that fails.
/// </remarks>
public sealed class SampleResponsesRunner : IJobRunner<SampleResponses>
{
    private const string PlanFile = "plan.json";

    /// <summary>A blind comparison informs a decision that somebody waits for: it is offered before the rest.</summary>
    private const int BlindPriority = 1;

    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web);

    /// <inheritdoc/>
    public async Task<JobResult> Run(SampleResponses spec, JobRun run)
    {
        Check(spec);
        TrainingProcess.Prepare();
        var store = new ModelStore(run);
        var plan = await MakePlan(spec, run, store);
        var policy = await store.Find(run.ProjectId, plan.Policy, ModelKind.Policy, run.Stop);
        var candidate = spec.CandidateId is { } id ? await store.Find(run.ProjectId, id, ModelKind.Policy, run.Stop) : null;
        var prompts = await Read(plan.Prompts, run);
        if (prompts.Count == 0)
            throw new CannotTrain("The project has no prompt to answer. Import some first.");
        var sampling = spec.Sampling with { Seed = plan.Seed };
        var made = candidate is null
            ? await Collect(spec, run, store, policy, prompts, sampling)
            : await CompareBlind(spec, run, store, policy, candidate, prompts, sampling);
        if (made.Tasks == 0 && candidate is not null)
            throw new CannotTrain($"There is nothing to vote on: {candidate.Label} and {policy.Label} wrote the same answers, or blank ones, to all {prompts.Count} prompts, {spec.ResponsesPerPrompt} each.");
        if (made.Tasks == 0)
            throw new CannotTrain($"No task came of {prompts.Count} prompts: all answers were blank, equal or in tasks already. Try a higher temperature or more answers a prompt.");
        run.Progress.Log(JobEventLevel.Info, $"{made.Responses} new answers by {(candidate ?? policy).Label}, {made.Tasks} tasks for people, {made.Dropped} blank or equal answers dropped.");
        return new JobResult($"/{(spec.Tasks is TaskKinds.Binary && candidate is null ? "judge" : "annotate")}/{run.ProjectId}", db => AuditChain.Append(db, run.Time.GetUtcNow(), run.CreatedBy, "task.sample", "project", $"{run.ProjectId}",
            new { job = run.Number, policy = $"{policy.Id}", candidate = candidate?.Id.ToString(), made.Responses, made.Tasks }));
    }

    /// <inheritdoc/>
    public Task Discard(SampleResponses spec, JobRun run) => run.Writes.WriteAsync(db =>
    {
        var mine = db.Tasks.Where(t => t.JobId == run.JobId);
        mine.Where(t => !db.Assignments.Any(a => a.TaskId == t.Id) && !db.PairwiseJudgements.Any(j => j.TaskId == t.Id) && !db.BinaryJudgements.Any(j => j.TaskId == t.Id))
            .ExecuteDelete();
        foreach (var task in mine.Where(t => t.State == TaskState.Open).ToList())
            task.Withdraw();
    }, run.Stop);

    private static void Check(SampleResponses spec)
    {
        if (spec.Prompts is < 1 or > 5_000)
            throw new CannotTrain($"prompts is {spec.Prompts}; it must be between 1 and 5,000.");
        if (spec.ResponsesPerPrompt is < 2 or > 16)
            throw new CannotTrain($"responsesPerPrompt is {spec.ResponsesPerPrompt}; it must be between 2 and 16.");
        if (spec.PairsPerPrompt is < 1 or > 16)
            throw new CannotTrain($"pairsPerPrompt is {spec.PairsPerPrompt}; it must be between 1 and 16.");
        if (spec.NearTieShare is not (>= 0 and <= 1))
            throw new CannotTrain($"nearTieShare is {spec.NearTieShare}; it must be between 0 and 1.");
        if (spec.Tasks is TaskKinds.None)
            throw new CannotTrain("tasks names no kind; it must be Pairwise, Binary or both.");
        if (spec.Sampling is not { Temperature: >= 0 and <= 10, TopK: >= 0, TopP: > 0 and <= 1, TokensMax: >= 1 })
            throw new CannotTrain("sampling is out of range: temperature 0 to 10, topK at least 0, topP above 0 to 1, tokensMax at least 1.");
        if (spec.Sampling.Temperature == 0 && spec.CandidateId is null)
            throw new CannotTrain("sampling.temperature is 0, which gives the same answer each time; there would be nothing to compare.");
    }

    /// <summary>What one run asks: which policy, which prompts, from which seed.</summary>
    private sealed record Plan(ModelVersionId Policy, IReadOnlyList<PromptId> Prompts, long Seed);

    private static async Task<Plan> MakePlan(SampleResponses spec, JobRun run, ModelStore store)
    {
        var folder = JobRun.CheckpointFolder(run.Directory, run.JobId);
        Directory.CreateDirectory(folder);
        var path = Path.Combine(folder, PlanFile);
        if (File.Exists(path) && JsonSerializer.Deserialize<Plan>(File.ReadAllText(path), Json) is { } before)
            return before;
        var policy = spec.PolicyId is { } id ? await store.Find(run.ProjectId, id, ModelKind.Policy, run.Stop) : await store.CurrentPolicy(run.ProjectId, run.Stop);
        if (policy.Id == spec.CandidateId)
            throw new CannotTrain($"{policy.Label} answers today; there is no candidate to compare it with.");
        await using var db = await run.Contexts.CreateDbContextAsync(run.Stop);
        var prompts = spec.CandidateId is { } candidate ? await PromptsForCandidate(db, spec, run, candidate) : await PromptsWithFewest(db, spec, run, policy.Id);
        var answered = await db.Responses.CountAsync(r => r.ProjectId == run.ProjectId && r.ModelVersionId == policy.Id, run.Stop);
        // The same spec asked again shall not write the same answers again: the stream depends on how many there are already.
        var plan = new Plan(policy.Id, prompts, (long)(new SeededRandom((ulong)spec.Sampling.Seed).Split("job").Split(answered).NextBits() >> 1));
        ArtefactFile.Write(path, file => JsonSerializer.Serialize(file, plan, Json));
        return plan;
    }

    private static async Task<IReadOnlyList<PromptId>> PromptsWithFewest(PortalDbContext db, SampleResponses spec, JobRun run, ModelVersionId policy) =>
        await db.Prompts.AsNoTracking().Where(p => p.ProjectId == run.ProjectId && !p.IsTrial && db.Contents.Any(c => c.Id == p.ContentId && c.Text != null))
            .OrderBy(p => db.Responses.Count(r => r.PromptId == p.Id && r.ModelVersionId == policy)).ThenBy(p => p.Id)
            .Select(p => p.Id).Take(spec.Prompts).ToListAsync(run.Stop);

    /// <summary>Prompts that the candidate never learned from come first; none that it was compared on already.</summary>
    private static async Task<IReadOnlyList<PromptId>> PromptsForCandidate(PortalDbContext db, SampleResponses spec, JobRun run, ModelVersionId candidate)
    {
        var learned = (from v in db.ModelVersions
                       where v.Id == candidate
                       join r in db.DatasetRows on v.DatasetVersionId equals r.DatasetVersionId
                       where r.Part == DatasetPart.Train
                       select r.PromptId).Distinct();
        return await db.Prompts.AsNoTracking()
            .Where(p => p.ProjectId == run.ProjectId && !p.IsTrial && db.Contents.Any(c => c.Id == p.ContentId && c.Text != null)
                        && !db.Tasks.Any(t => t.PromptId == p.Id && t.CandidateId == candidate && t.State != TaskState.Withdrawn))
            .OrderBy(p => learned.Contains(p.Id)).ThenBy(p => p.Id).Select(p => p.Id).Take(spec.Prompts).ToListAsync(run.Stop);
    }

    private sealed record Question(PromptId Id, AskedPrompt Asked);

    private static async Task<IReadOnlyList<Question>> Read(IReadOnlyList<PromptId> ids, JobRun run)
    {
        await using var db = await run.Contexts.CreateDbContextAsync(run.Stop);
        var found = await StoredTexts.Prompts(db, ids, run.Stop);
        return [.. ids.Where(found.ContainsKey).Select(id => new Question(id, new AskedPrompt(found[id].Key, found[id].Turns)))];
    }

    private sealed record Made(int Responses, int Tasks, int Dropped);

    /// <summary>Answers of one policy become pairs and single tasks.</summary>
    private static async Task<Made> Collect(SampleResponses spec, JobRun run, ModelStore store, ModelVersion policy, IReadOnlyList<Question> asked, SamplingSpec sampling)
    {
        var (prompts, texts) = Answer(run, store, policy, asked, spec.ResponsesPerPrompt, sampling, 0, asked.Count);
        var different = texts.Select(answers => answers.Where(text => text.Length > 0).Distinct(StringComparer.Ordinal).ToList()).ToList();
        var dropped = texts.Sum(answers => answers.Count) - different.Sum(answers => answers.Count);
        var rewards = spec.NearTieShare > 0 && spec.Tasks.HasFlag(TaskKinds.Pairwise) ? await Score(run, store, prompts, different) : null;
        var random = new SeededRandom((ulong)sampling.Seed).Split("pairs");
        var votes = await VotesPerTask(run);
        var samplingJson = JsonSerializer.Serialize(sampling, Json);
        var (pairNumber, responses, tasks) = (0, 0, 0);
        var promptsAtOnce = Math.Max(1, SmallWrites.RowsMax / (2 * spec.ResponsesPerPrompt + 2 * spec.PairsPerPrompt));
        foreach (var some in Enumerable.Range(0, prompts.Count).Chunk(promptsAtOnce))
        {
            // Chosen outside the write, which may run twice.
            var chosen = some.ToDictionary(i => i, i => new
            {
                Pairs = spec.Tasks.HasFlag(TaskKinds.Pairwise) ? Pairs(different[i].Count, rewards?[i], spec, ref pairNumber, random.Split(i)) : [],
                Singles = spec.Tasks.HasFlag(TaskKinds.Binary) ? Singles(different[i].Count, spec.PairsPerPrompt, random.Split("single").Split(i)) : [],
            });
            var counts = await run.Writes.WriteAsync(db =>
            {
                var ids = some.Select(i => prompts[i].Id).ToList();
                var stage = new SampledResponses(db, run, samplingJson, ids);
                var tasksThere = TasksThere(db, ids);
                var (newResponses, newTasks) = (0, 0);
                foreach (var i in some)
                {
                    var written = different[i].Select(text => stage.Of(prompts[i].Id, policy.Id, text)).ToList();
                    newResponses += written.Count(response => response.IsNew);
                    foreach (var (first, second) in chosen[i].Pairs)
                        newTasks += Add(TaskKind.Pairwise, prompts[i].Id, written[first].Id, written[second].Id);
                    foreach (var single in chosen[i].Singles)
                        newTasks += Add(TaskKind.Binary, prompts[i].Id, written[single].Id, null);
                }
                return (newResponses, newTasks);

                int Add(TaskKind kind, PromptId prompt, ResponseId first, ResponseId? second)
                {
                    if (!tasksThere.Add(KeyOf(kind, first, second)))
                        return 0;
                    db.Tasks.Add(AnnotationTask.Create(run.Ids.New<TaskId>(), run.ProjectId, kind, prompt, first, second, votes, run.Time.GetUtcNow(), job: run.JobId));
                    return 1;
                }
            }, run.Stop);
            (responses, tasks) = (responses + counts.newResponses, tasks + counts.newTasks);
            run.Progress.Report(some[^1] + 1, prompts.Count, "storing", null);
            await Task.Delay(SmallWrites.Pause, run.Time, run.Stop);
        }
        return new Made(responses, await TasksOf(run), dropped);
    }

    /// <summary>One answer of each policy to a prompt becomes a blind pair; where they write the same, their next answers do.</summary>
    private static async Task<Made> CompareBlind(SampleResponses spec, JobRun run, ModelStore store, ModelVersion policy, ModelVersion candidate,
        IReadOnlyList<Question> asked, SamplingSpec sampling)
    {
        var (prompts, old) = Answer(run, store, policy, asked, spec.ResponsesPerPrompt, sampling, 0, 2 * asked.Count);
        var (_, fresh) = Answer(run, store, candidate, prompts, spec.ResponsesPerPrompt, sampling, asked.Count, 2 * asked.Count);
        var votes = await VotesPerTask(run);
        var samplingJson = JsonSerializer.Serialize(sampling, Json);
        var random = new SeededRandom((ulong)sampling.Seed).Split("order");
        var (responses, dropped) = (0, 0);
        foreach (var some in Enumerable.Range(0, prompts.Count).Chunk(SmallWrites.RowsMax / 5))
        {
            responses += await run.Writes.WriteAsync(db =>
            {
                var ids = some.Select(i => prompts[i].Id).ToList();
                var stage = new SampledResponses(db, run, samplingJson, ids);
                var done = db.Tasks.Where(t => t.JobId == run.JobId && ids.Contains(t.PromptId)).Select(t => t.PromptId).ToHashSet();
                var added = 0;
                foreach (var i in some)
                {
                    if (done.Contains(prompts[i].Id) || Differing(old[i], fresh[i]) is not { } pair)
                        continue;
                    var (a, b) = (stage.Of(prompts[i].Id, policy.Id, pair.Old), stage.Of(prompts[i].Id, candidate.Id, pair.Fresh));
                    added += (a.IsNew ? 1 : 0) + (b.IsNew ? 1 : 0);
                    var (first, second) = random.Split(i).Chance(0.5) ? (a.Id, b.Id) : (b.Id, a.Id);
                    db.Tasks.Add(AnnotationTask.Create(run.Ids.New<TaskId>(), run.ProjectId, TaskKind.Pairwise, prompts[i].Id, first, second, votes, run.Time.GetUtcNow(),
                        TaskPurpose.BlindComparison, BlindPriority, candidate.Id, job: run.JobId));
                }
                return added;
            }, run.Stop);
            dropped += some.Count(i => Differing(old[i], fresh[i]) is null);
            await Task.Delay(SmallWrites.Pause, run.Time, run.Stop);
        }
        return new Made(responses, await TasksOf(run), dropped);

        static (string Old, string Fresh)? Differing(IReadOnlyList<string> old, IReadOnlyList<string> fresh) =>
            old.Zip(fresh).Where(pair => pair.First.Length > 0 && pair.Second.Length > 0 && pair.First != pair.Second)
                .Select(pair => ((string, string)?)(pair.First, pair.Second)).FirstOrDefault();
    }

    private static (IReadOnlyList<Question> Prompts, IReadOnlyList<IReadOnlyList<string>> Texts) Answer(JobRun run, ModelStore store, ModelVersion version,
        IReadOnlyList<Question> asked, int count, SamplingSpec sampling, int done, int total)
    {
        var (model, tokenizer) = store.OpenPolicy(version);
        using (model)
        {
            model.eval();
            var encoder = new DialogueEncoder(tokenizer, model.Config.ContextLength, Overlong.Filter);
            var prompts = asked.Where(prompt => PolicySamples.Fits(model, encoder, prompt.Asked.Turns)).ToList();
            if (prompts.Count < asked.Count)
                run.Progress.Log(JobEventLevel.Warning, $"{asked.Count - prompts.Count} prompts fill the context of {version.Label} and are not asked.");
            var (texts, unstorable) = Storable(PolicySamples.Texts(model, tokenizer, [.. prompts.Select(prompt => prompt.Asked)], count, sampling, run.Stop,
                finished => run.Progress.Report(done + finished, total, "answering", null)));
            if (unstorable > 0)
                run.Progress.Log(JobEventLevel.Warning, $"{unstorable} answers of {version.Label} hold a NUL character, which the portal's databases do not store. They are dropped like blank ones.");
            return (prompts, texts);
        }
    }

    /// <summary>Answers with a NUL character count as blank: PostgreSQL stores none, and with it taken out the text would be another than the policy wrote. A model with byte tokens can write one.</summary>
    internal static (IReadOnlyList<IReadOnlyList<string>> Texts, int Unstorable) Storable(IReadOnlyList<IReadOnlyList<string>> texts)
    {
        var unstorable = texts.Sum(answers => answers.Count(text => text.Contains('\0', StringComparison.Ordinal)));
        return (unstorable == 0 ? texts : [.. texts.Select(answers => (IReadOnlyList<string>)[.. answers.Select(text => text.Contains('\0', StringComparison.Ordinal) ? "" : text)])], unstorable);
    }

    /// <summary>Rewards of the answers, prompt by prompt; null when the project has no reward model.</summary>
    private static async Task<IReadOnlyList<IReadOnlyList<double>>?> Score(JobRun run, ModelStore store, IReadOnlyList<Question> prompts, List<List<string>> texts)
    {
        if (await store.RewardModel(run.ProjectId, named: null, run.Stop) is not { } version)
        {
            run.Progress.Log(JobEventLevel.Info, "The project has no reward model yet, so all pairs are drawn at random.");
            return null;
        }
        var (model, tokenizer) = store.OpenReward(version);
        using (model)
        {
            var scores = new RewardScorer(model, tokenizer).Score([.. prompts.SelectMany((prompt, i) => texts[i].Select(text => (prompt.Asked.Turns, text)))], run.Stop);
            var at = 0;
            return [.. texts.Select(answers =>
            {
                var own = scores.Skip(at).Take(answers.Count).ToList();
                at += answers.Count;
                return own;
            })];
        }
    }

    /// <summary>
    /// The pairs of one prompt. Over all prompts the wanted share is near ties, spread evenly: the pair whose rewards are nearest to each
    /// other among those not taken yet. The rest are random.
    /// </summary>
    /// <param name="number">Pairs made so far over all prompts.</param>
    internal static IReadOnlyList<(int First, int Second)> Pairs(int answers, IReadOnlyList<double>? rewards, SampleResponses spec, ref int number, SeededRandom random)
    {
        var open = (from first in Enumerable.Range(0, answers) from second in Enumerable.Range(first + 1, answers - first - 1) select (First: first, Second: second)).ToList();
        var pairs = new List<(int, int)>();
        while (pairs.Count < spec.PairsPerPrompt && open.Count > 0)
        {
            var isNearTie = rewards is not null && Math.Floor((number + 1) * spec.NearTieShare) > Math.Floor(number * spec.NearTieShare);
            var pair = isNearTie ? open.MinBy(p => Math.Abs(rewards![p.First] - rewards[p.Second])) : random.Pick(open); // near ties have rewards
            open.Remove(pair);
            pairs.Add(pair);
            number++;
        }
        return pairs;
    }

    private static IReadOnlyList<int> Singles(int answers, int wanted, SeededRandom random)
    {
        var order = Enumerable.Range(0, answers).ToArray();
        random.Shuffle(order);
        return [.. order.Take(wanted)];
    }

    private static async Task<int> VotesPerTask(JobRun run)
    {
        await using var db = await run.Contexts.CreateDbContextAsync(run.Stop);
        return await db.Projects.Where(p => p.Id == run.ProjectId).Select(p => p.VotesPerTask).FirstAsync(run.Stop);
    }

    /// <summary>All tasks this job has made, by an earlier run of it too.</summary>
    private static async Task<int> TasksOf(JobRun run)
    {
        await using var db = await run.Contexts.CreateDbContextAsync(run.Stop);
        return await db.Tasks.CountAsync(t => t.JobId == run.JobId, run.Stop);
    }

    private static HashSet<(TaskKind, ResponseId, ResponseId?)> TasksThere(PortalDbContext db, List<PromptId> prompts) =>
        [.. db.Tasks.Where(t => prompts.Contains(t.PromptId) && t.Purpose == TaskPurpose.Collect).Select(t => new { t.Kind, t.FirstResponseId, t.SecondResponseId })
            .AsEnumerable().Select(t => KeyOf(t.Kind, t.FirstResponseId, t.SecondResponseId))];

    private static (TaskKind, ResponseId, ResponseId?) KeyOf(TaskKind kind, ResponseId first, ResponseId? second) =>
        second is { } other && other.Value.CompareTo(first.Value) < 0 ? (kind, other, first) : (kind, first, second);
}
