using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Engine.Datasets;
using Portal.Engine.Statistics;

namespace Portal.Engine.Jobs;

/// <summary>A prompt as policies are asked it; of a part that is never trained on, but for those that are named by likeness.</summary>
internal sealed record HeldOutPrompt(PromptId Id, AskedPrompt Asked)
{
    /// <summary>Held-out prompts of a project, judged or not, drawn by a seed.</summary>
    /// <param name="rules">The split whose held-out part is meant.</param>
    /// <param name="learnt">What a prompt shares with those that count as the same (<see cref="PromptSplit.Key"/>), if the policy learnt on it though it is held out: left out. Null for none.</param>
    /// <param name="max">At most so many.</param>
    /// <param name="fits">Whether a policy has room to answer.</param>
    /// <param name="warn">Told how many were too long.</param>
    public static async Task<IReadOnlyList<HeldOutPrompt>> Draw(JobRun run, DatasetRules rules, string? learnt, long seed, int max, Func<IReadOnlyList<Turn>, bool> fits, Action<string> warn)
    {
        var heldOut = new List<HeldOutPrompt>();
        var tooLong = 0;
        await using var db = await run.Contexts.CreateDbContextAsync(run.Stop);
        await foreach (var (id, prompt, isHeldOut) in StoredTexts.OfProject(db, run.ProjectId, rules, run.Stop))
        {
            if (!isHeldOut || prompt.Key == learnt)
                continue;
            if (fits(prompt.Turns))
                heldOut.Add(new HeldOutPrompt(id, new AskedPrompt(prompt.Key, prompt.Turns)));
            else
                tooLong++;
        }
        if (tooLong > 0)
            warn($"{tooLong} held-out prompts fill the model's context and are not asked.");
        new SeededRandom((ulong)seed).Split("evaluation prompts").Shuffle(heldOut);
        return [.. heldOut.Take(max)];
    }

    /// <summary>A prompt and those of the project most like it: by the cosine of their words' inverse document frequencies.</summary>
    /// <param name="count">Besides the prompt itself; fewer where no more share a word with it.</param>
    /// <param name="fits">Whether a policy has room to answer.</param>
    /// <param name="trainedBy">The split whose training part those like it are of; null for all, held out or not. The prompt itself may be of either part, or a trial.</param>
    /// <returns>The prompt first; nothing where the project has no such prompt, or it was erased or is too long.</returns>
    public static async Task<IReadOnlyList<HeldOutPrompt>> Alike(JobRun run, PromptId id, int count, Func<IReadOnlyList<Turn>, bool> fits, DatasetRules? trainedBy = null)
    {
        await using var db = await run.Contexts.CreateDbContextAsync(run.Stop);
        var isOurs = await db.Prompts.AnyAsync(p => p.Id == id && p.ProjectId == run.ProjectId, run.Stop);
        if (!isOurs || (await StoredTexts.Prompts(db, [id], run.Stop)).GetValueOrDefault(id) is not { } asked || !fits(asked.Turns))
            return [];
        var likeness = new PromptLikeness(asked.Turns);
        await foreach (var (_, prompt, _) in StoredTexts.OfProject(db, run.ProjectId, new DatasetRules(), run.Stop))
            likeness.Count(prompt.Turns);
        // Read once more instead of kept: what a word weighs is known only now, and a project may have very many prompts.
        var found = new List<(double Likeness, HeldOutPrompt Prompt)>();
        await foreach (var (other, prompt, isHeldOut) in StoredTexts.OfProject(db, run.ProjectId, trainedBy ?? new DatasetRules(), run.Stop))
            if (!(trainedBy is not null && isHeldOut) && other != id && prompt.Key != asked.Key && likeness.Of(prompt.Turns) is > 0 and var like && fits(prompt.Turns))
                found.Add((like, new HeldOutPrompt(other, new AskedPrompt(prompt.Key, prompt.Turns))));
        return [new HeldOutPrompt(id, new AskedPrompt(asked.Key, asked.Turns)), .. found.OrderByDescending(entry => entry.Likeness).ThenBy(entry => entry.Prompt.Id.Value).Take(count).Select(entry => entry.Prompt)];
    }
}
