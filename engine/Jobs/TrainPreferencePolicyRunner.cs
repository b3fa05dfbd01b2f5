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
        if (spec is { RelabelledById: not null, Method: not PreferenceMethod.Dpo })
            throw new CannotTrain("relabelledById: only pairs can be labelled anew by a reward model; choose the method Dpo, or leave it out.");
        var relabelledBy = spec.RelabelledById is { } by ? await store.Find(run.ProjectId, by, ModelKind.RewardModel, run.Stop) : null;
        var context = run.RecipeContext(spec.Seed);
        var dataset = await TrainedVersion.Dataset(run, spec.Method is PreferenceMethod.Dpo ? TaskKind.Pairwise : TaskKind.Binary, spec.Rules, context);
        var (model, tokenizer) = store.OpenPolicy(parent);
        using (model)
        {
            var (report, relabelled) = await Train(spec, run, dataset.Id, model, tokenizer, context, relabelledBy, store);
            var comparison = await new PolicyEvaluation(run, store, context).Compare(spec.Evaluation, spec.Rules, learnt: null, spec.Seed, spec.RewardModelId, parent, model, tokenizer);
            return TrainedVersion.Result(run, spec, ModelKind.Policy, spec.Method is PreferenceMethod.Dpo ? "DPO" : "KTO", parent, dataset, report,
                [.. report.Measurements, .. relabelled, .. comparison.Measured], comparison.Before?.Id, $"/models/{TrainedVersion.IdOf(run)}/results");
        }
    }

    /// <inheritdoc/>
    public Task Discard(TrainPreferencePolicy spec, JobRun run) => PolicyEvaluation.Remove(run, TrainedVersion.IdOf(run));

    /// <returns>The recipe's report, and what labelling anew did; nothing where people's labels stayed.</returns>
    private static async Task<(TrainingReport Report, IReadOnlyList<Measurement> Relabelled)> Train(TrainPreferencePolicy spec, JobRun run, Data.DatasetVersionId dataset, Llama model, ITokenizer tokenizer,
        RecipeContext context, ModelVersion? relabelledBy, ModelStore store)
    {
        switch (spec.Method)
        {
            case PreferenceMethod.Dpo:
                var pairs = await PreferenceDataset.Load(run.Contexts, dataset, run.Stop);
                TellErased(pairs.Erased);
                var (split, relabelled) = relabelledBy is null ? (pairs.Split, []) : Relabel(relabelledBy, store, pairs.Split, context);
                return (TrainPreferencePolicyRecipe.RunDpo(spec, model, tokenizer, split, context), relabelled);
            case PreferenceMethod.Kto:
                var verdicts = await BinaryDataset.Load(run.Contexts, dataset, run.Stop);
                TellErased(verdicts.Erased);
                return (TrainPreferencePolicyRecipe.RunKto(spec, model, tokenizer, verdicts.Split, context), []);
            default:
                throw new CannotTrain($"method is {spec.Method}; it is Dpo or Kto.");
        }

        void TellErased(int rows)
        {
            if (rows > 0)
                context.Warn($"{rows} rows of the dataset version are left out: a text was erased since it was made.");
        }
    }

    private static (TrainingSplit<PreferencePair> Split, IReadOnlyList<Measurement> Measured) Relabel(ModelVersion by, ModelStore store, TrainingSplit<PreferencePair> rows, RecipeContext context)
    {
        context.Report(0, 0, "labelling anew");
        var (reward, tokenizer) = store.OpenReward(by);
        using (reward)
        {
            var relabelled = Relabelling.By(new RewardScorer(reward, tokenizer), rows, context.Stop);
            context.Log($"Labelled anew by {by.Label}: of {relabelled.Pairs} pairs {relabelled.Turned} are turned round and {relabelled.Ties} left out, because it finds both answers equal.");
            return (relabelled.Split, relabelled.Measured());
        }
    }
}
