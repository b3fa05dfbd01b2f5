using System.Runtime.InteropServices;
using Portal.Data;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Engine.Datasets;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Tokenizers;

namespace Portal.Engine.Jobs;

/// <summary>
/// A model's states at the responses of its project become a sparse autoencoder: texts chosen and frozen, states read into a store, trained on, measured on
/// held-out prompts, stored as a version whose parent is the model.
/// </summary>
/// <remarks>
/// The store of states lies in the job's checkpoint folder: a run after a crash finds it whole, and it goes with the folder when the job is over. It costs
/// 4·d bytes a position; the texts are at most <see cref="ResponseDataset.RowsMax"/>.
/// </remarks>
public sealed class TrainSaeRunner : IJobRunner<TrainSae>
{
    /// <summary>How an SAE's version says what it is.</summary>
    public const string Method = "SAE";

    private const string ChosenFile = "responses", StatesFolder = "states";

    /// <inheritdoc/>
    public async Task<JobResult> Run(TrainSae spec, JobRun run)
    {
        TrainingProcess.Prepare();
        var store = new ModelStore(run);
        var parent = spec.ModelId is { } id ? await store.FindModel(run.ProjectId, id, run.Stop) : await store.BasePolicy(run.ProjectId, run.Stop);
        var context = run.RecipeContext(spec.Seed);
        var rows = await ResponseDataset.Load(run.Contexts, await Chosen(spec, run, context), spec.Rules, run.Stop);
        if (rows.Erased > 0)
            context.Warn($"{rows.Erased} responses are left out: a text was erased since the job began.");
        context.Log($"Reads {parent.Label} at {rows.Split.Train.Count + rows.Split.HeldOut.Count} responses, {rows.Split.HeldOut.Count} of them held out.");
        var (model, tokenizer, owner) = await Open(store, run, parent, rows.Split, context);
        using (owner)
        {
            var (sae, report) = TrainSaeRecipe.Run(spec, model.Backbone, tokenizer, rows.Split, Path.Combine(context.CheckpointFolder, StatesFolder), context, model);
            sae.Dispose();
            return TrainedVersion.Result(run, spec, ModelKind.SparseAutoencoder, Method, parent, dataset: null, report, report.Measurements, comparedWith: parent.Id,
                $"/models/{TrainedVersion.IdOf(run)}");
        }
    }

    /// <summary>The model with what it is asked when the SAE is spliced in: a reward model the held-out pairs of its own training, as far as the SAE does not read their prompts either.</summary>
    private static async Task<(SplicedModel Model, ITokenizer Tokenizer, IDisposable Owner)> Open(ModelStore store, JobRun run, ModelVersion version, TrainingSplit<ResponseText> rows, RecipeContext context)
    {
        if (version.Kind is ModelKind.Policy)
        {
            var (policy, itsTokenizer) = store.OpenPolicy(version);
            return (SplicedModel.Of(policy), itsTokenizer, policy);
        }
        var learned = rows.Train.Select(row => row.PromptKey).ToHashSet(StringComparer.Ordinal);
        IReadOnlyList<PreferencePair> pairs = version.DatasetVersionId is { } dataset
            ? [.. (await PreferenceDataset.Load(run.Contexts, dataset, run.Stop)).Split.HeldOut.Where(pair => !learned.Contains(pair.PromptKey))]
            : [];
        if (pairs.Count == 0)
            context.Warn($"No judged pair is held out from {version.Label} and from the SAE at once, so what splicing does to its accuracy is not measured.");
        var (reward, tokenizer) = store.OpenReward(version);
        return (SplicedModel.Of(reward, pairs), tokenizer, reward);
    }

    /// <summary>The responses that the job's first run chose: responses may come in while it runs, and a run after a crash must be the same run.</summary>
    private static async Task<IReadOnlyList<ResponseId>> Chosen(TrainSae spec, JobRun run, RecipeContext context)
    {
        var note = Path.Combine(context.CheckpointFolder, ChosenFile);
        if (File.Exists(note))
            return [.. MemoryMarshal.Cast<byte, Guid>(await File.ReadAllBytesAsync(note, run.Stop)).ToArray().Select(ResponseId.From)];
        context.Report(0, 0, "collecting responses");
        var chosen = await ResponseDataset.Choose(run.Contexts, run.ProjectId, spec.Rules, spec.Seed, ResponseDataset.RowsMax, run.Stop);
        if (chosen.All > chosen.Ids.Count)
            context.Log($"Of {chosen.All} responses {chosen.Ids.Count} are drawn at random.");
        ArtefactFile.Write(note, file => file.Write(MemoryMarshal.AsBytes<Guid>(chosen.Ids.Select(response => response.Value).ToArray())));
        return chosen.Ids;
    }
}
