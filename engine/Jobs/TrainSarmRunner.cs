using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Engine.Datasets;
using Portal.Engine.Recipes;

namespace Portal.Engine.Jobs;

/// <summary>
/// A project's pairwise judgements become a reward model on the features of an SAE: the body is the model the SAE was trained on, its parent is the SAE, so
/// that the line from reward to features to states can be walked back version by version.
/// </summary>
public sealed class TrainSarmRunner : IJobRunner<TrainSarm>
{
    /// <summary>How a version says that blocks and head learned (mode 1), and that only the head did (mode 0).</summary>
    public const string BodyMethod = "SARM", HeadMethod = "SARM, head only";

    /// <inheritdoc/>
    public async Task<JobResult> Run(TrainSarm spec, JobRun run)
    {
        TrainingProcess.Prepare();
        var store = new ModelStore(run);
        var sae = await store.Find(run.ProjectId, spec.SaeId ?? throw new CannotTrain("saeId: name the SAE that the reward model reads with; a job of the kind TrainSae makes one."),
            ModelKind.SparseAutoencoder, run.Stop);
        var body = await store.FindModel(run.ProjectId, sae.ParentId ?? throw new CannotTrain($"{sae.Label} does not say which model it was trained on, so there is no body to start from."), run.Stop);
        var context = run.RecipeContext(spec.Seed);
        var dataset = await TrainedVersion.Dataset(run, TaskKind.Pairwise, spec.Rules, context);
        var rows = await PreferenceDataset.Load(run.Contexts, dataset.Id, run.Stop);
        if (rows.Erased > 0)
            context.Warn($"{rows.Erased} rows of dataset version {dataset.Number} are left out: a text was erased since it was made.");
        context.Log($"{sae.Label} on {body.Label}.");
        var (model, tokenizer) = store.OpenDecoder(body);
        using (model)
        {
            var (sarm, report) = TrainSarmRecipe.Run(spec, model, store.OpenSae(sae), tokenizer, rows.Split, context);
            sarm.Dispose();
            return TrainedVersion.Result(run, spec, ModelKind.RewardModel, spec.Mode is SarmMode.Body ? BodyMethod : HeadMethod, sae, dataset, report, report.Measurements,
                comparedWith: null, $"/models/{TrainedVersion.IdOf(run)}");
        }
    }
}
