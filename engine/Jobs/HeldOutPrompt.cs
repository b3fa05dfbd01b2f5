using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Engine.Datasets;
using Portal.Engine.Statistics;

namespace Portal.Engine.Jobs;

/// <summary>A prompt whose part is never trained on, as policies are asked it.</summary>
internal sealed record HeldOutPrompt(PromptId Id, AskedPrompt Asked)
{
    /// <summary>Held-out prompts of a project, judged or not, drawn by a seed.</summary>
    /// <param name="rules">The split whose held-out part is meant.</param>
    /// <param name="max">At most so many.</param>
    /// <param name="fits">Whether a policy has room to answer.</param>
    /// <param name="warn">Told how many were too long.</param>
    public static async Task<IReadOnlyList<HeldOutPrompt>> Draw(JobRun run, DatasetRules rules, long seed, int max, Func<IReadOnlyList<Turn>, bool> fits, Action<string> warn)
    {
        var heldOut = new List<HeldOutPrompt>();
        var tooLong = 0;
        await using var db = await run.Contexts.CreateDbContextAsync(run.Stop);
        await foreach (var (id, prompt, isHeldOut) in StoredTexts.OfProject(db, run.ProjectId, rules, run.Stop))
        {
            if (!isHeldOut)
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
}
