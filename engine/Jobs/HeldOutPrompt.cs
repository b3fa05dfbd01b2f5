using System.Globalization;
using System.Runtime.CompilerServices;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Engine.Datasets;
using Portal.Engine.Statistics;

namespace Portal.Engine.Jobs;

/// <summary>A prompt of a project, judged or not, as policies are asked it.</summary>
/// <param name="IsHeldOut">Under the rules it was read by: its part is never trained on.</param>
internal sealed record ProjectPrompt(PromptId Id, AskedPrompt Asked, bool IsHeldOut)
{
    /// <summary>All prompts of a project that are not erased, by id.</summary>
    /// <param name="rules">The split that says which are held out.</param>
    public static async IAsyncEnumerable<ProjectPrompt> All(JobRun run, DatasetRules rules, [EnumeratorCancellation] CancellationToken stop)
    {
        var split = new PromptSplit(rules.HeldOutShare, 0, rules.SplitSeed.ToString(CultureInfo.InvariantCulture));
        await using var db = await run.Contexts.CreateDbContextAsync(stop);
        var all = from p in db.Prompts.AsNoTracking()
                  where p.ProjectId == run.ProjectId
                  join c in db.Contents on p.ContentId equals c.Id
                  where c.Text != null
                  orderby p.Id
                  select new { p.Id, c.Text };
        await foreach (var prompt in all.AsAsyncEnumerable().WithCancellation(stop))
        {
            var stored = StoredPrompt.Of(prompt.Text!, topic: null); // asked for above
            yield return new ProjectPrompt(prompt.Id, new AskedPrompt(stored.Key, stored.Turns), split.PartOf(stored.Messages) is not SplitPart.Train);
        }
    }

    /// <summary>Held-out prompts of a project, drawn by a seed.</summary>
    /// <param name="max">At most so many.</param>
    /// <param name="fits">Whether a policy has room to answer.</param>
    /// <param name="warn">Told how many were too long.</param>
    public static async Task<IReadOnlyList<ProjectPrompt>> DrawHeldOut(JobRun run, DatasetRules rules, long seed, int max, Func<IReadOnlyList<Turn>, bool> fits, Action<string> warn)
    {
        var heldOut = new List<ProjectPrompt>();
        var tooLong = 0;
        await foreach (var prompt in All(run, rules, run.Stop))
        {
            if (!prompt.IsHeldOut)
                continue;
            if (fits(prompt.Asked.Turns))
                heldOut.Add(prompt);
            else
                tooLong++;
        }
        if (tooLong > 0)
            warn($"{tooLong} held-out prompts fill the model's context and are not asked.");
        new SeededRandom((ulong)seed).Split("evaluation prompts").Shuffle(heldOut);
        return [.. heldOut.Take(max)];
    }
}
