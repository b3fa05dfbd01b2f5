using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Serving;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Statistics;

namespace Portal.Engine.Jobs;

/// <summary>
/// One policy, n answers to each held-out prompt, and what two reward models pick from them: people read both picks side by side, with both rewards.
/// </summary>
/// <remarks>Answers are stored in small writes under the job's id before it ends; nothing shows them before the run's row is there, and a job that fails removes them.</remarks>
public sealed class CompareBestOfNRunner : IJobRunner<CompareBestOfN>
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web);

    /// <inheritdoc/>
    public async Task<JobResult> Run(CompareBestOfN spec, JobRun run)
    {
        Check(spec);
        TrainingProcess.Prepare();
        var store = new ModelStore(run);
        var policy = spec.PolicyId is { } id ? await store.Find(run.ProjectId, id, ModelKind.Policy, run.Stop) : await store.CurrentPolicy(run.ProjectId, run.Stop);
        var after = await store.Find(run.ProjectId, spec.AfterId!.Value, ModelKind.RewardModel, run.Stop); // checked above
        var before = await store.RewardModel(run.ProjectId, spec.BeforeId, run.Stop) ?? throw new CannotTrain("beforeId: the project has no reward model to compare with.");
        if (before.Id == after.Id)
            throw new CannotTrain($"beforeId and afterId both name {after.Label}; a reward model compared with itself picks the same answers.");

        var (prompts, choices) = await Ask(spec, run, store, policy, before, after);
        run.Progress.Report(0, 0, "storing answers", null);
        await Remove(run);
        await Store(spec, run, policy.Id, prompts, choices);
        var figures = Figures(choices, spec.Seed);
        run.Progress.Log(JobEventLevel.Info, $"{policy.Label} wrote {spec.Answers} answers to {prompts.Count} held-out prompts; {after.Label} picks another one than {before.Label} for {figures[0].After.Value * prompts.Count:F0} of them.");
        return new JobResult($"/best-of/{run.JobId}", db =>
        {
            db.BestOfNRuns.Add(new BestOfNRun
            {
                JobId = run.JobId, ProjectId = run.ProjectId, PolicyId = policy.Id, BeforeId = before.Id, AfterId = after.Id, Prompts = prompts.Count, AnswersPerPrompt = spec.Answers,
                FiguresJson = JsonSerializer.Serialize(figures), At = run.Time.GetUtcNow(),
            });
            AuditChain.Append(db, run.Time.GetUtcNow(), run.CreatedBy, "model.compare", "model", $"{after.Id}", new { before = $"{before.Id}", policy = $"{policy.Id}", job = run.Number });
        });
    }

    /// <inheritdoc/>
    public async Task Discard(CompareBestOfN spec, JobRun run)
    {
        await using (var db = await run.Contexts.CreateDbContextAsync(run.Stop))
            if (await db.BestOfNRuns.AnyAsync(r => r.JobId == run.JobId, run.Stop))
                return; // it came to be after all
        await Remove(run);
    }

    private static void Check(CompareBestOfN spec)
    {
        if (spec.AfterId is null)
            throw new CannotTrain("afterId: name the reward model that is compared with the one before.");
        if (spec.Prompts is < 1 or > 5_000)
            throw new CannotTrain($"prompts is {spec.Prompts}; it must be between 1 and 5,000.");
        if (spec.Answers is < 2 or > 64)
            throw new CannotTrain($"answers is {spec.Answers}; it must be between 2 and 64.");
        if (spec.Sampling is not { Temperature: > 0 and <= 10, TopK: >= 0, TopP: > 0 and <= 1, TokensMax: >= 1 })
            throw new CannotTrain("sampling is out of range: temperature above 0 to 10 (0 gives the same answer each time), topK at least 0, topP above 0 to 1, tokensMax at least 1.");
    }

    private static async Task<(IReadOnlyList<HeldOutPrompt> Prompts, IReadOnlyList<BestOfNChoice> Choices)> Ask(CompareBestOfN spec, JobRun run, ModelStore store, ModelVersion policy, ModelVersion before,
        ModelVersion after)
    {
        var (model, tokenizer) = store.OpenPolicy(policy);
        using var ofPolicy = model;
        model.eval();
        var encoder = new DialogueEncoder(tokenizer, model.Config.ContextLength, Overlong.Filter);
        var prompts = await HeldOutPrompt.Draw(run, spec.Rules, learnt: null, spec.Seed, spec.Prompts, turns => PolicySamples.Fits(model, encoder, turns),
            warning => run.Progress.Log(JobEventLevel.Warning, warning));
        if (prompts.Count == 0)
            throw new CannotTrain("No prompt of the project is held out, so there is nothing to answer. Add prompts, or hold out a larger share.");
        var (first, firstTokenizer) = store.OpenReward(before);
        using var ofBefore = first;
        var (second, secondTokenizer) = store.OpenReward(after);
        using var ofAfter = second;
        return (prompts, BestOfN.Ask(model, tokenizer, [.. prompts.Select(prompt => prompt.Asked)], spec.Answers, spec.Sampling, new RewardScorer(first, firstTokenizer), new RewardScorer(second, secondTokenizer),
            run.Stop, done => run.Progress.Report(done, prompts.Count, "answering", null)));
    }

    private static async Task Store(CompareBestOfN spec, JobRun run, ModelVersionId policy, IReadOnlyList<HeldOutPrompt> prompts, IReadOnlyList<BestOfNChoice> choices)
    {
        var sampling = JsonSerializer.Serialize(spec.Sampling, Json);
        foreach (var some in Enumerable.Range(0, prompts.Count).Chunk(Math.Max(1, SmallWrites.RowsMax / 2 / spec.Answers)))
        {
            await run.Writes.WriteAsync(db =>
            {
                var stage = new SampledResponses(db, run, sampling, [.. some.Select(i => prompts[i].Id)]);
                foreach (var i in some)
                    db.BestOfNAnswers.AddRange(choices[i].Answers.Select((text, ordinal) => new BestOfNAnswer
                    {
                        JobId = run.JobId, PromptId = prompts[i].Id, ResponseId = stage.Of(prompts[i].Id, policy, text).Id, Ordinal = ordinal, RewardBefore = choices[i].Before[ordinal],
                        RewardAfter = choices[i].After[ordinal], IsBestBefore = ordinal == choices[i].BestBefore, IsBestAfter = ordinal == choices[i].BestAfter,
                    }));
            }, run.Stop);
            await Task.Delay(SmallWrites.Pause, run.Time, run.Stop);
        }
    }

    private static async Task Remove(JobRun run)
    {
        while (await run.Writes.WriteAsync(db => db.BestOfNAnswers.Where(a => a.JobId == run.JobId).OrderBy(a => a.Id).Take(SmallWrites.RowsMax).ExecuteDelete(), run.Stop) > 0)
            await Task.Delay(SmallWrites.Pause, run.Time, run.Stop);
    }

    private static IReadOnlyList<BestOfNFigure> Figures(IReadOnlyList<BestOfNChoice> choices, long seed)
    {
        var (before, after) = (Deviation(choices.SelectMany(choice => choice.Before)), Deviation(choices.SelectMany(choice => choice.After)));
        return
        [
            Of("changed", (choice, picked) => choice.Answers[picked] == choice.Answers[choice.BestBefore] ? 0 : 1),
            Of("reward_before", (choice, picked) => choice.Before[picked] / before),
            Of("reward_after", (choice, picked) => choice.After[picked] / after),
            Of("length_words", (choice, picked) => choice.Answers[picked].Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).Length),
        ];

        BestOfNFigure Of(string name, Func<BestOfNChoice, int, double> figure)
        {
            var (first, second, change) = BestOfN.Compare(choices, figure, seed);
            var prompts = choices.Select(choice => choice.PromptKey).Distinct(StringComparer.Ordinal).Count();
            return new BestOfNFigure(name, Estimate(first, prompts), Estimate(second, prompts), Estimate(change, prompts));
        }

        static Estimated Estimate(ConfidenceInterval interval, int prompts) =>
            prompts >= MetricNames.PromptsForInterval ? new(interval.Estimate, interval.Low, interval.High) : new(interval.Estimate, null, null);

        static double Deviation(IEnumerable<double> rewards)
        {
            var all = rewards.ToList();
            var mean = all.Average();
            return Math.Sqrt(all.Average(reward => (reward - mean) * (reward - mean))) is > 0 and var deviation ? deviation : 1; // all equal: nothing to scale by
        }
    }
}
