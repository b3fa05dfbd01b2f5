using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Engine.Audits;
using Portal.Engine.Datasets;
using Portal.Engine.Statistics;

namespace Portal.Engine.Jobs;

/// <summary>Which prompts of a project an audit asks: decided once, when the job first runs.</summary>
/// <param name="Ids">In order of their ids.</param>
/// <param name="OfTraining">Those of the part that the project's models are trained on.</param>
internal sealed record ProjectPrompts(IReadOnlyList<PromptId> Ids, IReadOnlyList<PromptId> OfTraining)
{
    /// <summary>Draws them.</summary>
    /// <exception cref="CannotTrain">There is none; the message says what to do.</exception>
    public static async Task<ProjectPrompts> Draw(AuditReward spec, DatasetRules rules, JobRun run)
    {
        var (heldOut, training) = (new List<PromptId>(), new List<PromptId>());
        await using var db = await run.Contexts.CreateDbContextAsync(run.Stop);
        await foreach (var (id, _, isHeldOut) in StoredTexts.OfProject(db, run.ProjectId, rules, run.Stop))
            (isHeldOut ? heldOut : training).Add(id);
        PromptId[] pool = spec.PromptSource is AuditPromptSource.HeldOut ? [.. heldOut] : [.. heldOut, .. training];
        if (pool.Length == 0)
            throw new CannotTrain(training.Count == 0 ? "The project has no prompts to ask. Import some first."
                : $"promptSource: none of the project's {training.Count} prompts is held out. Ask all of them, or add prompts.");
        if (pool.Length > spec.PromptsMax)
        {
            new SeededRandom((ulong)spec.Seed).Split("audited prompts").Shuffle(pool);
            pool = [.. pool.Take(spec.PromptsMax)];
        }
        var known = training.ToHashSet();
        return new ProjectPrompts([.. pool.OrderBy(id => id.Value)], [.. pool.Where(known.Contains)]);
    }

    /// <summary>The prompts as they are now, for the recipe: one that was erased since is left out, one whose text another has counts as a duplicate.</summary>
    public async Task<AuditPrompts> Read(JobRun run)
    {
        await using var db = await run.Contexts.CreateDbContextAsync(run.Stop);
        var stored = await StoredTexts.Prompts(db, Ids, run.Stop);
        // A topic says what a prompt is about; only where some are marked as risky does it say which are not.
        var areMarked = stored.Values.Any(prompt => string.Equals(prompt.Topic, ReadableFeatures.RiskyTag, StringComparison.OrdinalIgnoreCase));
        return AuditPrompts.Of(Ids.Where(stored.ContainsKey).Select(id => ($"{id}", stored[id].Turns, (IReadOnlyList<string>)(areMarked && stored[id].Topic is { } topic ? [topic] : []), (Data.Audits.AuditPart?)null)));
    }

    /// <summary>The split that the audited policy was trained by: its spec's rules, or else the usual ones.</summary>
    public static DatasetRules RulesOf(AuditReward spec, ModelVersion? audited)
    {
        if (spec.Rules is { } said)
            return said;
        if (audited?.JobId is null)
            return new DatasetRules(); // imported or a base model: its spec is no job's
        try
        {
            return JobSpec.FromJson(audited.SpecJson) switch
            {
                TrainPreferencePolicy preference => preference.Rules,
                TrainRlooPolicy rloo => rloo.Rules,
                _ => new DatasetRules(),
            };
        }
        catch (FormatException)
        {
            return new DatasetRules(); // of a version that this program does not read any more
        }
    }
}
