using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Statistics;
using Portal.Engine.TinyAssistant;
using Portal.Engine.Tokenizers;

namespace Portal.Engine.Jobs;

/// <summary>
/// A candidate beside the policy that answers today (its parent where none does): both answer the same held-out prompts with the same
/// seeds, the reward model scores, and every answer is stored so that people can read them side by side.
/// </summary>
/// <remarks>
/// Held out are the prompts that the split of the job's own rules never trains on, judged or not. Answers are stored in small writes with
/// pauses before the job ends, under the id the candidate will have; nothing shows them before it exists, and a job that fails removes them.
/// </remarks>
internal sealed class PolicyEvaluation(JobRun run, ModelStore store, RecipeContext context)
{
    /// <summary>Prompts that are asked for readers, at most.</summary>
    private const int LikeMax = 200;

    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web);

    /// <summary>What was measured.</summary>
    /// <param name="Before">The version the candidate was compared with; null when nothing was compared.</param>
    public sealed record Comparison(ModelVersion? Before, IReadOnlyList<Measurement> Measured);

    /// <summary>Samples, scores, stores and measures.</summary>
    /// <param name="rules">The split whose held-out prompts are asked.</param>
    /// <param name="scoredById">The reward model that scores; null for the project's own.</param>
    /// <param name="parent">The candidate's parent, which is also what its divergence is measured from.</param>
    /// <param name="learnt">The key of a prompt that the candidate learnt on though the split may hold it out: no figure counts it. Null for none.</param>
    public async Task<Comparison> Compare(EvaluationSpec asked, DatasetRules rules, string? learnt, long seed, ModelVersionId? scoredById, ModelVersion parent, Llama candidate, ITokenizer tokenizer)
    {
        if (asked.Prompts < 1 || asked.SamplesPerPrompt < 1)
            return new Comparison(null, []);
        var encoder = new DialogueEncoder(tokenizer, candidate.Config.ContextLength, Overlong.Filter);
        var prompts = await HeldOutPrompt.Draw(run, rules, learnt, seed, asked.Prompts, turns => PolicySamples.Fits(candidate, encoder, turns), context.Warn);
        var heldOut = prompts.Count;
        // Read by people beside the figures; a prompt that is held out as well is asked once.
        IReadOnlyList<HeldOutPrompt> alike = asked.LikeId is { } like ? await HeldOutPrompt.Alike(run, like, Math.Clamp(asked.Like, 0, LikeMax), turns => PolicySamples.Fits(candidate, encoder, turns)) : [];
        if (heldOut > 0)
            prompts = [.. prompts, .. alike.ExceptBy(prompts.Select(prompt => prompt.Id), prompt => prompt.Id)];
        if (prompts.Count == 0)
        {
            context.Warn("No prompt of the project is held out, so the policy is compared with nothing. Add prompts, or hold out a larger share.");
            return new Comparison(null, []);
        }
        var before = await store.CurrentPolicy(run.ProjectId, run.Stop);
        var scoredBy = await store.RewardModel(run.ProjectId, scoredById, run.Stop);
        context.Log($"Compared with {before.Label} on {heldOut} held-out prompts{(alike.Count > 0 ? $" and {alike.Count} for readers" : "")}, {asked.SamplesPerPrompt} answers each, "
            + $"scored by {scoredBy?.Label ?? "no reward model"}.");

        candidate.eval();
        var (reference, _) = store.OpenPolicy(parent);
        using var ofReference = reference;
        var (reward, rewardTokenizer) = scoredBy is null ? default : store.OpenReward(scoredBy);
        using var ofReward = reward;
        var scorer = reward is null ? null : new RewardScorer(reward, rewardTokenizer!); // both or neither
        var total = 2 * prompts.Count;
        var questions = prompts.Select(prompt => prompt.Asked).ToList();
        var after = PolicySamples.Write(candidate, reference, tokenizer, questions, asked.SamplesPerPrompt, asked.Sampling, scorer, run.Stop,
            done => context.Report(done, total, "comparing"));
        IReadOnlyList<SampledAnswer> earlier;
        if (before.Id == parent.Id)
        {
            earlier = Earlier(reference, tokenizer);
        }
        else
        {
            var (current, itsTokenizer) = store.OpenPolicy(before);
            using var ofCurrent = current;
            earlier = Earlier(current, itsTokenizer);
        }
        context.Report(0, 0, "storing answers");
        var id = TrainedVersion.IdOf(run);
        await RemoveSamples(run, id);
        var ranks = alike.Select((prompt, rank) => (prompt.Id, rank)).ToDictionary(entry => entry.Id, entry => entry.rank);
        await Store(id, before.Id, prompts, earlier, asked, ranks);
        await Store(id, id, prompts, after, asked, ranks);
        (earlier, after) = ([.. earlier.Take(heldOut * asked.SamplesPerPrompt)], [.. after.Take(heldOut * asked.SamplesPerPrompt)]);

        var more = await IsOfTheDemoWorld(parent) ? WorldFigures.All : [];
        return new Comparison(before,
        [
            .. PolicyComparison.Measure(after, seed, more: more),
            .. PolicyComparison.Measure(earlier, seed, MetricNames.BeforePrefix, more),
            .. PolicyComparison.Compare(earlier, after, seed, more),
        ]);

        IReadOnlyList<SampledAnswer> Earlier(Llama policy, ITokenizer its) => PolicySamples.Write(policy, reference, its, questions, asked.SamplesPerPrompt,
            asked.Sampling, scorer, run.Stop, done => context.Report(prompts.Count + done, total, "comparing"));
    }

    /// <summary>Removes what the evaluation of a version that will never be has stored.</summary>
    public static async Task Remove(JobRun run, ModelVersionId candidate)
    {
        await using (var db = await run.Contexts.CreateDbContextAsync(run.Stop))
            if (await db.ModelVersions.AnyAsync(v => v.Id == candidate, run.Stop))
                return; // it came to be after all
        await RemoveSamples(run, candidate);
        while (await run.Writes.WriteAsync(db =>
               {
                   var contents = db.Responses.Where(r => r.ModelVersionId == candidate).OrderBy(r => r.Id).Take(SmallWrites.RowsMax).Select(r => r.ContentId).ToList();
                   db.Responses.Where(r => contents.Contains(r.ContentId)).ExecuteDelete();
                   db.Contents.Where(c => contents.Contains(c.Id)).ExecuteDelete();
                   return contents.Count;
               }, run.Stop) > 0)
            await Task.Delay(SmallWrites.Pause, run.Time, run.Stop);
    }

    private static async Task RemoveSamples(JobRun run, ModelVersionId candidate)
    {
        while (await run.Writes.WriteAsync(db => db.EvaluationSamples.Where(s => s.CandidateId == candidate).OrderBy(s => s.Id).Take(SmallWrites.RowsMax).ExecuteDelete(), run.Stop) > 0)
            await Task.Delay(SmallWrites.Pause, run.Time, run.Stop);
    }

    private async Task Store(ModelVersionId candidate, ModelVersionId sampledFrom, IReadOnlyList<HeldOutPrompt> prompts, IReadOnlyList<SampledAnswer> answers, EvaluationSpec asked, IReadOnlyDictionary<PromptId, int> ranks)
    {
        var sampling = JsonSerializer.Serialize(asked.Sampling, Json);
        var rows = answers.Select((answer, i) => (Answer: answer, Prompt: prompts[i / asked.SamplesPerPrompt].Id, Ordinal: i % asked.SamplesPerPrompt)).ToList();
        // All answers to a prompt in one write, so that equal ones find each other.
        foreach (var some in rows.Chunk(Math.Max(1, SmallWrites.RowsMax / 2 / asked.SamplesPerPrompt) * asked.SamplesPerPrompt))
        {
            await run.Writes.WriteAsync(db =>
            {
                var stage = new SampledResponses(db, run, sampling, [.. some.Select(row => row.Prompt).Distinct()]);
                db.EvaluationSamples.AddRange(some.Select(row => new EvaluationSample
                {
                    CandidateId = candidate, SampledFromId = sampledFrom, PromptId = row.Prompt, ResponseId = stage.Of(row.Prompt, sampledFrom, row.Answer.Text).Id, Ordinal = row.Ordinal,
                    Reward = row.Answer.Reward, LengthTokens = row.Answer.LengthTokens, SimilarRank = ranks.TryGetValue(row.Prompt, out var rank) ? rank : null,
                }));
            }, run.Stop);
            await Task.Delay(SmallWrites.Pause, run.Time, run.Stop);
        }
    }

    /// <summary>The graders know the demo's own prompts only: a project of its rows, and a model that was trained on its world.</summary>
    private async Task<bool> IsOfTheDemoWorld(ModelVersion parent)
    {
        await using var db = await run.Contexts.CreateDbContextAsync(run.Stop);
        if (!await db.Projects.AnyAsync(p => p.Id == run.ProjectId && p.IsSynthetic, run.Stop))
            return false;
        var root = await store.BasePolicy(run.ProjectId, run.Stop);
        return parent.IsSynthetic && JsonNode.Parse(root.SpecJson) is JsonObject provenance && provenance["world"]?.GetValue<string>() == WorldFigures.WorldName;
    }
}
