using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Engine.Datasets;
using Portal.Engine.Recipes;

namespace Portal.Engine.Jobs;

/// <summary>A project's pairwise judgements become a reward model: frozen, trained on, measured on held-out prompts, stored as a candidate.</summary>
public sealed class TrainRewardModelRunner : IJobRunner<TrainRewardModel>
{
    /// <inheritdoc/>
    public async Task<JobResult> Run(TrainRewardModel spec, JobRun run)
    {
        TrainingProcess.Prepare();
        var store = new ModelStore(run);
        var parent = spec.BackboneId is { } id ? await store.Find(run.ProjectId, id, ModelKind.Policy, run.Stop) : await store.BasePolicy(run.ProjectId, run.Stop);
        var context = run.RecipeContext(spec.Seed);
        var dataset = await TrainedVersion.Dataset(run, TaskKind.Pairwise, spec.Rules, context);
        var rows = await PreferenceDataset.Load(run.Contexts, dataset.Id, run.Stop);
        if (rows.Erased > 0)
            context.Warn($"{rows.Erased} rows of dataset version {dataset.Number} are left out: a text was erased since it was made.");
        var (model, tokenizer) = store.OpenWithFreshHead(parent);
        using (model)
        {
            var report = TrainRewardModelRecipe.Run(spec, model, tokenizer, rows.Split, context);
            return TrainedVersion.Result(run, spec, ModelKind.RewardModel, "reward model", parent, dataset, report, report.Measurements, comparedWith: null,
                $"/models/{TrainedVersion.IdOf(run)}");
        }
    }
}
