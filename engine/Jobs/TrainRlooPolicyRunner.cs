using System.Globalization;
using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Review;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Recipes;
using Portal.Engine.Statistics;

namespace Portal.Engine.Jobs;

/// <summary>
/// A reward model becomes a policy: the project's prompts are answered by the policy in training, the reward model scores, and the result is compared with the policy that answers today on
/// held-out prompts. Judgements play a part only through the reward model.
/// </summary>
/// <remarks>
/// Where a prompt is named (<see cref="TrainRlooPolicy.LikeId"/>), it and the training prompts most like it are learnt on, and a retain term holds the policy on the others that nobody flagged. The named one is learnt on even
/// if it is held out, since its answers are what shall change; then neither this run's held-out figures nor its comparison count it.
/// Which reward model and which prompts are decided when the job first runs and noted beside its checkpoint: a run after a crash is the same run, whatever was released, asked or flagged meanwhile.
/// </remarks>
public sealed class TrainRlooPolicyRunner : IJobRunner<TrainRlooPolicy>
{
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
        var (prompts, retained, learnt) = await Prompts(spec, run, note);
        context.Log($"{parent.Label} learns from {learned.Label} on {prompts.Train.Count} prompts; {prompts.HeldOut.Count} are held out.{(retained.Count > 0 ? $" On {retained.Count} others it is held to what it is." : "")}");
        var (model, tokenizer) = store.OpenPolicy(parent);
        using (model)
        {
            TrainingReport report;
            var (reward, rewardTokenizer) = store.OpenReward(learned);
            using (reward)
                report = TrainRlooPolicyRecipe.Run(spec, model, tokenizer, prompts, [new RewardTerm(new RewardModelSource(new RewardScorer(reward, rewardTokenizer), learned.Label))], context, retained);
            var comparison = await new PolicyEvaluation(run, store, context).Compare(spec.Evaluation, spec.Rules, learnt, spec.Seed, spec.ScoredById, parent, model, tokenizer);
            return TrainedVersion.Result(run, spec, ModelKind.Policy, MethodOf(spec.Baseline), parent, dataset: null, report, [.. report.Measurements, .. comparison.Measured], comparison.Before?.Id,
                $"/models/{TrainedVersion.IdOf(run)}/results", learnedFromSynthetic: learned.IsSynthetic);
        }
    }

    /// <inheritdoc/>
    public Task Discard(TrainRlooPolicy spec, JobRun run) => PolicyEvaluation.Remove(run, TrainedVersion.IdOf(run));

    /// <summary>How a version says what it is.</summary>
    private static string MethodOf(AdvantageBaseline baseline) => baseline switch
    {
        AdvantageBaseline.Siblings => "RLOO",
        AdvantageBaseline.Greedy => "ReMax",
    };

    /// <param name="Prompts">Learnt on or held out.</param>
    private sealed record Note(ModelVersionId Parent, ModelVersionId Reward, IReadOnlyList<PromptId> Prompts)
    {
        /// <summary>Those of the retain term. Earlier notes have none.</summary>
        public IReadOnlyList<PromptId> Retained { get; init; } = [];
    }

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
        if (spec is { RetainWeight: > 0, LikeId: null })
            throw new CannotTrain("retainWeight: without likeId all training prompts are learnt on, and none is left to hold on to. Name the prompt that shall get better, or leave it at 0.");
        var (prompts, retained) = spec.LikeId is { } like ? await ChosenLike(spec, like, run, context) : (await Chosen(spec, run, context), []);
        var note = new Note(parent.Id, learned.Id, prompts) { Retained = retained };
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
        return Drawn(await prompts.ToListAsync(run.Stop), "prompts", spec, context);
    }

    /// <summary>The named prompt and the training prompts most like it, with all that are held out; and those of the retain term: other training prompts on whose responses no open or confirmed flag stands.</summary>
    private static async Task<(IReadOnlyList<PromptId> Prompts, IReadOnlyList<PromptId> Retained)> ChosenLike(TrainRlooPolicy spec, PromptId like, JobRun run, RecipeContext context)
    {
        await using var db = await run.Contexts.CreateDbContextAsync(run.Stop);
        var all = new List<(PromptId Id, string Key, bool IsHeldOut)>();
        await foreach (var (id, prompt, isHeldOut) in StoredTexts.OfProject(db, run.ProjectId, spec.Rules, run.Stop))
            all.Add((id, prompt.Key, isHeldOut));
        var holds = spec.RetainWeight > 0;
        var training = all.Count(prompt => !prompt.IsHeldOut);
        var alike = await HeldOutPrompt.Alike(run, like, holds ? Math.Min(spec.Like, Math.Max(0, training - 1) / 2) : spec.Like, fits: _ => true, spec.Rules);
        if (alike.Count == 0)
            throw new CannotTrain("likeId: this project has no such prompt, or it was erased. Name another, or leave it out to learn on all.");
        var learnt = alike.Select(prompt => prompt.Asked.Key).ToHashSet();
        var heldOut = all.Where(prompt => prompt.IsHeldOut && !learnt.Contains(prompt.Key)).Select(prompt => prompt.Id).ToList();
        PromptId[] prompts = [.. alike.Select(prompt => prompt.Id).Concat(Drawn(heldOut, "held-out prompts", spec, context)).OrderBy(id => id.Value)];
        if (!holds)
            return (prompts, []);
        var flags = from f in db.Flags.AsNoTracking()
                    where f.ProjectId == run.ProjectId && f.State != FlagState.Dismissed
                    join r in db.Responses on f.ResponseId equals r.Id
                    select r.PromptId;
        var flagged = (await flags.Distinct().ToListAsync(run.Stop)).ToHashSet();
        var others = all.Where(prompt => !prompt.IsHeldOut && !learnt.Contains(prompt.Key)).ToList();
        var spoilt = all.Where(prompt => flagged.Contains(prompt.Id)).Select(prompt => prompt.Key).ToHashSet();
        List<PromptId> retained = [.. others.Where(prompt => !spoilt.Contains(prompt.Key)).Select(prompt => prompt.Id)];
        if (retained.Count == 0)
            throw new CannotTrain($"retainWeight: no training prompt is left to hold on to. Besides those that are learnt on the project has {others.Count}, and on all of them an open or confirmed flag stands. Decide the flags, or leave it at 0.");
        return (prompts, Drawn(retained, "retained prompts", spec, context));
    }

    /// <summary>All, or some drawn by lot where they are very many; in the order given.</summary>
    private static IReadOnlyList<PromptId> Drawn(List<PromptId> all, string what, TrainRlooPolicy spec, RecipeContext context)
    {
        if (all.Count <= PromptsMax)
            return all;
        context.Log($"Of {all.Count} {what} {PromptsMax} are drawn at random.");
        var lot = all.ToArray();
        new SeededRandom((ulong)spec.Seed).Split(what).Shuffle(lot);
        var drawn = lot.Take(PromptsMax).ToHashSet();
        return [.. all.Where(drawn.Contains)];
    }

    /// <summary>The chosen prompts as they are now: one that was erased since is left out.</summary>
    /// <returns>Learnt on and held out; those of the retain term; and the named prompt's key, null where none is named or it was erased.</returns>
    private static async Task<(TrainingSplit<AskedPrompt> Split, IReadOnlyList<AskedPrompt> Retained, string? Learnt)> Prompts(TrainRlooPolicy spec, JobRun run, Note note)
    {
        var split = new PromptSplit(spec.Rules.HeldOutShare, 0, spec.Rules.SplitSeed.ToString(CultureInfo.InvariantCulture));
        await using var db = await run.Contexts.CreateDbContextAsync(run.Stop);
        var stored = await StoredTexts.Prompts(db, note.Prompts.Concat(note.Retained), run.Stop);
        var (train, heldOut) = (new List<AskedPrompt>(), new List<AskedPrompt>());
        foreach (var id in note.Prompts.Where(stored.ContainsKey))
            (id == spec.LikeId || split.PartOf(stored[id].Messages) is SplitPart.Train ? train : heldOut).Add(Asked(id));
        return (new TrainingSplit<AskedPrompt>(train, heldOut), [.. note.Retained.Where(stored.ContainsKey).Select(Asked)], spec.LikeId is { } like ? stored.GetValueOrDefault(like)?.Key : null);

        AskedPrompt Asked(PromptId id) => new(stored[id].Key, stored[id].Turns);
    }
}
