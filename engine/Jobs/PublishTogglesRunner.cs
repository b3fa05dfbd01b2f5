using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Datasets;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;
using Portal.Data.Serving;
using Portal.Engine.Evaluation;
using Portal.Engine.Sae;
using Portal.Engine.Statistics;
using Portal.Engine.TinyAssistant;

namespace Portal.Engine.Jobs;

/// <summary>
/// A proposed toggle set becomes a version: the same files, and a head with w' = m ∘ w. Nothing is trained; agreement before and after is worked out on the cached codes.
/// </summary>
/// <remarks>
/// The version is a candidate that only a second person's approval releases. A job that fails or is cancelled stores nothing and leaves the set waiting without a version: its author takes it
/// back (<see cref="ToggleSet"/>), changes it and proposes it again. Version, results and the set's note of it are one transaction, in which state and parent are looked at once
/// more, so two jobs, or a refusal meanwhile, never leave a second or an unwanted version.
/// </remarks>
public sealed class PublishTogglesRunner : IJobRunner<PublishToggles>
{
    /// <inheritdoc/>
    public async Task<JobResult> Run(PublishToggles spec, JobRun run)
    {
        TrainingProcess.Prepare();
        var store = new ModelStore(run);
        ToggleSet set;
        await using (var db = await run.Contexts.CreateDbContextAsync(run.Stop))
            set = await db.ToggleSets.AsNoTracking().FirstOrDefaultAsync(s => s.Id == spec.ToggleSetId && s.ProjectId == run.ProjectId, run.Stop)
                ?? throw new CannotTrain($"toggleSetId: there is no toggle set {spec.ToggleSetId} in this project.");
        CheckWaits(set, run);
        var parent = await store.Find(run.ProjectId, set.ModelVersionId, ModelKind.RewardModel, run.Stop);
        if (!parent.HasFeatures)
            throw new CannotTrain($"{parent.Label} reads no sparse features, so there is nothing to toggle.");
        if (store.Verify(parent) is { } damage)
            throw new CannotTrain(damage);
        var toggles = set.Toggles();
        var before = SarmFolder.ReadHead(store.FolderOf(parent));
        if (ToggleSet.Check(toggles, before.Length) is { } problem)
            throw new CannotTrain(problem.Message);

        var kept = parent.Files().Select(file => file.Name).Where(file => file != SarmFolder.HeadFile).ToHashSet();
        var folder = store.CopyIn(store.FolderOf(parent), run.ModelFolder, kept.Contains, run.Stop);
        var weights = ToggledReward.Weights(before, toggles);
        SarmFolder.WriteHead(folder, weights);
        run.Progress.Log(Data.Jobs.JobEventLevel.Info, $"{parent.Label} with {toggles.Count} of {before.Length} weights multiplied, as toggle set {set.Number} says.");
        var measured = await Measure(run, store, parent, before, toggles, spec.Seed);

        var id = TrainedVersion.IdOf(run);
        var files = store.FilesJson(run.ModelFolder);
        return new JobResult($"/models/{id}", db =>
        {
            var now = run.Time.GetUtcNow();
            var waiting = db.ToggleSets.First(s => s.Id == spec.ToggleSetId);
            CheckWaits(waiting, run);
            if (waiting.TogglesJson != set.TogglesJson)
                throw new CannotTrain($"Toggle set {set.Number} was changed while its version was being made. Propose it again.");
            if (db.ModelVersions.First(v => v.Id == parent.Id).Status is ModelStatus.Retired)
                throw new CannotTrain($"{parent.Label} was retired while the version was being made.");
            var version = new ModelVersion
            {
                Id = id, ProjectId = run.ProjectId, Kind = ModelKind.RewardModel, Number = ModelStore.NextNumber(db, run.ProjectId, ModelKind.RewardModel), Method = ToggledVersions.Method,
                ParentId = parent.Id, DatasetVersionId = parent.DatasetVersionId, JobId = run.JobId, SpecJson = spec.ToJson(), Seed = spec.Seed, Commit = MakeDemo.Commit(), Folder = run.ModelFolder,
                FilesJson = files, IsSynthetic = parent.IsSynthetic, CreatedAt = now,
            };
            db.ModelVersions.Add(version);
            db.EvaluationResults.AddRange(measured.Select(row => ModelStore.Row(id, row, parent.Id, now)));
            waiting.Made(id);
            AuditChain.Append(db, now, run.CreatedBy, "model.toggle", "model", $"{id}", new { version.Number, parent = $"{parent.Id}", set = $"{set.Id}", toggles = waiting.TogglesJson, job = run.Number });
        });
    }

    /// <summary>The files of a version that never came to be.</summary>
    public Task Discard(PublishToggles spec, JobRun run) => TrainedVersion.Discard(run);

    private static void CheckWaits(ToggleSet set, JobRun run)
    {
        if (set.State is not ToggleSetState.Waiting)
            throw new CannotTrain(set.State switch
            {
                ToggleSetState.Draft => $"Toggle set {set.Number} is a draft; its author has to propose it first.",
                ToggleSetState.Refused => $"Toggle set {set.Number} was refused, so no version is made of it.",
                ToggleSetState.Published or ToggleSetState.Waiting => $"Toggle set {set.Number} is published already.",
            });
        if (set.PublishedVersionId is not null)
            throw new CannotTrain($"The version of toggle set {set.Number} is made already.");
        if (set.JobId != run.JobId)
            throw new CannotTrain($"Toggle set {set.Number} waits for another job, not for this one.");
    }

    /// <summary>Agreement before and after on pairs whose prompts the dataset version held out, so that no version of the line learned from them; nothing, with a warning, where there is nothing to measure on.</summary>
    private static async Task<IReadOnlyList<Measurement>> Measure(JobRun run, ModelStore store, ModelVersion parent, float[] before, IReadOnlyList<Toggle> toggles, long seed)
    {
        await using var db = await run.Contexts.CreateDbContextAsync(run.Stop);
        if (await ToggledVersions.DescriptionOf(db, parent, run.Stop) is not { } description)
        {
            run.Progress.Log(Data.Jobs.JobEventLevel.Warning, $"Nothing was measured. {CodedPairs.NotDescribed(parent)}");
            return [];
        }
        var codes = new CodedPairs(run.Contexts, run.Directory, store).Codes(description);
        if (codes.Latents != before.Length)
            throw new CannotTrain($"{parent.Label} has {before.Length} features; {codes.Latents} were described. Describe the features again.");
        var prompts = parent.DatasetVersionId is { } dataset
            ? (await db.DatasetRows.Where(r => r.DatasetVersionId == dataset && r.Part == DatasetPart.HeldOut).Select(r => r.PromptId).Distinct().ToListAsync(run.Stop)).ToHashSet()
            : [];
        List<CodedPair> heldOut = [.. codes.Pairs.Where(pair => prompts.Contains(pair.PromptId))];
        if (heldOut.Count == 0)
        {
            run.Progress.Log(Data.Jobs.JobEventLevel.Warning, $"Nothing was measured: none of the {codes.Pairs.Count} described pairs has a prompt that was held out from training {parent.Label}.");
            return [];
        }
        var toggled = new ToggledReward(new CodedRewards(codes.On(heldOut), before), toggles);
        var change = ToggleEffect.Change(toggled, _ => true, new SeededRandom((ulong)seed).Split("publish"));
        return
        [
            Row(MetricNames.PairwiseAccuracy, change.After), Row(MetricNames.BeforePrefix + MetricNames.PairwiseAccuracy, change.Before),
            Row(MetricNames.ChangePrefix + MetricNames.PairwiseAccuracy, change.Change),
        ];

        Measurement Row(string name, Estimated? measured) => new(name, MetricNames.HeldOut, measured!.Value, measured.Low, measured.High, change.Prompts); // there are pairs
    }
}
