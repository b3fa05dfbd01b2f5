using System.Globalization;
using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Recipes;
using Portal.Engine.Statistics;

namespace Portal.Engine.Jobs;

/// <summary>
/// A reward model becomes a policy: the project's prompts are answered by the policy in training, the reward model scores, and the result is compared with the policy that answers today on
/// held-out prompts. Judgements play a part only through the reward model.
/// </summary>
/// <remarks>Which reward model and which prompts are decided when the job first runs and noted beside its checkpoint: a run after a crash is the same run, whatever was released or asked meanwhile.</remarks>
public sealed class TrainRlooPolicyRunner : IJobRunner<TrainRlooPolicy>
{
    /// <summary>How a version says what it is.</summary>
    public const string Method = "RLOO";

    /// <summary>More prompts than a run gets to see would only take memory.</summary>
    private const int PromptsMax = 20_000;

    private const string NoteFile = "learned-from.json";

    /// <inheritdoc/>
    public async Task<JobResult> Run(TrainRlooPolicy spec, JobRun run)
    {
        TrainingProcess.Prepare();
        var store = new ModelStore(run);
        var context = run.RecipeContext(spec.Seed);
        var note = await Noted(spec, run, store, context);
        var parent = await store.Find(run.ProjectId, note.Parent, ModelKind.Policy, run.Stop);
        var learned = await store.Find(run.ProjectId, note.Reward, ModelKind.RewardModel, run.Stop);
        // What the version keeps names all models, also those that the spec left to the project.
        spec = spec with { ParentId = parent.Id, RewardModelId = learned.Id, ScoredById = spec.ScoredById ?? learned.Id };
        var prompts = await Prompts(spec, run, note);
        context.Log($"{parent.Label} learns from {learned.Label} on {prompts.Train.Count} prompts; {prompts.HeldOut.Count} are held out.");
        var (model, tokenizer) = store.OpenPolicy(parent);
        using (model)
        {
            TrainingReport report;
            var (reward, rewardTokenizer) = store.OpenReward(learned);
            using (reward)
                report = TrainRlooPolicyRecipe.Run(spec, model, tokenizer, prompts, [new RewardTerm(new RewardModelSource(new RewardScorer(reward, rewardTokenizer), learned.Label))], context);
            var comparison = await new PolicyEvaluation(run, store, context).Compare(spec.Evaluation, spec.Rules, spec.Seed, spec.ScoredById, parent, model, tokenizer);
            return TrainedVersion.Result(run, spec, ModelKind.Policy, Method, parent, dataset: null, report, [.. report.Measurements, .. comparison.Measured], comparison.Before?.Id,
                $"/models/{TrainedVersion.IdOf(run)}/results", learnedFromSynthetic: learned.IsSynthetic);
        }
    }

    /// <inheritdoc/>
    public Task Discard(TrainRlooPolicy spec, JobRun run) => PolicyEvaluation.Remove(run, TrainedVersion.IdOf(run));

    private sealed record Note(ModelVersionId Parent, ModelVersionId Reward, IReadOnlyList<PromptId> Prompts);

    private static async Task<Note> Noted(TrainRlooPolicy spec, JobRun run, ModelStore store, RecipeContext context)
    {
        var path = Path.Combine(context.CheckpointFolder, NoteFile);
        if (File.Exists(path))
            return JsonSerializer.Deserialize<Note>(await File.ReadAllTextAsync(path, run.Stop))!; // we wrote it
        context.Report(0, 0, "collecting prompts");
        var parent = spec.ParentId is { } id ? await store.Find(run.ProjectId, id, ModelKind.Policy, run.Stop) : await store.BasePolicy(run.ProjectId, run.Stop);
        var learned = await store.RewardModel(run.ProjectId, spec.RewardModelId, run.Stop)
            ?? throw new CannotTrain("rewardModelId: the project has no reward model to learn from. Train one first.");
        if (spec.ScoredById is { } scorer)
            await store.Find(run.ProjectId, scorer, ModelKind.RewardModel, run.Stop); // refused now, not after the training
        var note = new Note(parent.Id, learned.Id, await Chosen(spec, run, context));
        ArtefactFile.Write(path, file => JsonSerializer.Serialize(file, note));
        return note;
    }

    /// <summary>All prompts of the project that are neither erased nor trials, or some of them drawn by lot; in order of their ids.</summary>
    private static async Task<IReadOnlyList<PromptId>> Chosen(TrainRlooPolicy spec, JobRun run, RecipeContext context)
    {
        await using var db = await run.Contexts.CreateDbContextAsync(run.Stop);
        var prompts = from p in db.Prompts.AsNoTracking()
                      where p.ProjectId == run.ProjectId && !p.IsTrial
                      join c in db.Contents on p.ContentId equals c.Id
                      where c.Text != null
                      orderby p.Id
                      select p.Id;
        var all = await prompts.ToListAsync(run.Stop);
        if (all.Count <= PromptsMax)
            return all;
        context.Log($"Of {all.Count} prompts {PromptsMax} are drawn at random.");
        var lot = all.ToArray();
        new SeededRandom((ulong)spec.Seed).Split("prompts").Shuffle(lot);
        var drawn = lot.Take(PromptsMax).ToHashSet();
        return [.. all.Where(drawn.Contains)];
    }

    /// <summary>The chosen prompts as they are now: one that was erased since is left out.</summary>
    private static async Task<TrainingSplit<AskedPrompt>> Prompts(TrainRlooPolicy spec, JobRun run, Note note)
    {
        var split = new PromptSplit(spec.Rules.HeldOutShare, 0, spec.Rules.SplitSeed.ToString(CultureInfo.InvariantCulture));
        await using var db = await run.Contexts.CreateDbContextAsync(run.Stop);
        var stored = await StoredTexts.Prompts(db, note.Prompts, run.Stop);
        var (train, heldOut) = (new List<AskedPrompt>(), new List<AskedPrompt>());
        foreach (var prompt in note.Prompts.Where(stored.ContainsKey).Select(id => stored[id]))
            (split.PartOf(prompt.Messages) is SplitPart.Train ? train : heldOut).Add(new AskedPrompt(prompt.Key, prompt.Turns));
        return new TrainingSplit<AskedPrompt>(train, heldOut);
    }
}
