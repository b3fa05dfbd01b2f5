using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Tokenizers;

namespace Portal.Engine.Jobs;

/// <summary>
/// A project's judgements become a policy (DPO on pairs, KTO on single verdicts), which is then compared with the one that answers today:
/// the same held-out prompts, the same seeds, side by side.
/// </summary>
public sealed class TrainPreferencePolicyRunner : IJobRunner<TrainPreferencePolicy>
{
    /// <inheritdoc/>
    public async Task<JobResult> Run(TrainPreferencePolicy spec, JobRun run)
    {
        TrainingProcess.Prepare();
        var store = new ModelStore(run);
        var parent = spec.ParentId is { } id ? await store.Find(run.ProjectId, id, ModelKind.Policy, run.Stop) : await store.BasePolicy(run.ProjectId, run.Stop);
        var context = run.RecipeContext(spec.Seed);
        var dataset = await TrainedVersion.Dataset(run, spec.Method is PreferenceMethod.Dpo ? TaskKind.Pairwise : TaskKind.Binary, spec.Rules, context);
        var (model, tokenizer) = store.OpenPolicy(parent);
        using (model)
        {
            var report = await Train(spec, run, dataset.Id, model, tokenizer, context);
            var comparison = await new PolicyEvaluation(run, store, context).Compare(spec, parent, model, tokenizer);
            return TrainedVersion.Result(run, spec, ModelKind.Policy, spec.Method is PreferenceMethod.Dpo ? "DPO" : "KTO", parent, dataset, report,
                [.. report.Measurements, .. comparison.Measured], comparison.Before?.Id, $"/models/{TrainedVersion.IdOf(run)}/results");
        }
    }

    /// <inheritdoc/>
    public Task Discard(TrainPreferencePolicy spec, JobRun run) => PolicyEvaluation.Remove(run, TrainedVersion.IdOf(run));

    private static async Task<TrainingReport> Train(TrainPreferencePolicy spec, JobRun run, Data.DatasetVersionId dataset, Llama model, ITokenizer tokenizer,
        RecipeContext context)
    {
        switch (spec.Method)
        {
            case PreferenceMethod.Dpo:
                var pairs = await PreferenceDataset.Load(run.Contexts, dataset, run.Stop);
                TellErased(pairs.Erased);
                return TrainPreferencePolicyRecipe.RunDpo(spec, model, tokenizer, pairs.Split, context);
            case PreferenceMethod.Kto:
                var verdicts = await BinaryDataset.Load(run.Contexts, dataset, run.Stop);
                TellErased(verdicts.Erased);
                return TrainPreferencePolicyRecipe.RunKto(spec, model, tokenizer, verdicts.Split, context);
            default:
                throw new CannotTrain($"method is {spec.Method}; it is Dpo or Kto.");
        }

        void TellErased(int rows)
        {
            if (rows > 0)
                context.Warn($"{rows} rows of the dataset version are left out: a text was erased since it was made.");
        }
    }
}
