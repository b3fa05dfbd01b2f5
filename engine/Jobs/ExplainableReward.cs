using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Datasets;
using Portal.Data.Explanations;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Engine.Datasets;
using Portal.Engine.Influence;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Sae;
using Portal.Engine.Tokenizers;

namespace Portal.Engine.Jobs;

/// <summary>A reward model with the pairs it was trained on, ready to explain with: features read once, the head's loss on them, its optimum and its curvature.</summary>
internal sealed class ExplainableReward : IDisposable
{
    /// <summary>λ of the head that is fitted on the features: what influence and removal are defined by (DECISIONS.md, 22).</summary>
    public const double L2 = 1e-3;

    private readonly IDisposable opened;

    private ExplainableReward(IDisposable opened, ModelVersion version, DatasetVersionId dataset, IEndFeatures features, ITokenizer tokenizer, PairFeatures pairs, TrainingWindow window, long seed, CancellationToken stop)
    {
        (this.opened, Version, Dataset, Features, Tokenizer, Pairs, Window) = (opened, version, dataset, features, tokenizer, pairs, window);
        Head = new PairHead(pairs.Rows, pairs.Counts, L2);
        Influence = new PairInfluence(Head, Head.Fit(stop, features.Head is { } own ? [.. own.Select(weight => (double)weight)] : null, 1e-8).Weights, stop);
        Explainer = new PairExplainer(Influence, pairs.Rows, features.Head, seed);
    }

    public ModelVersion Version { get; }
    public DatasetVersionId Dataset { get; }
    public IEndFeatures Features { get; }
    public ITokenizer Tokenizer { get; }
    public PairFeatures Pairs { get; }
    public PairHead Head { get; }
    public PairInfluence Influence { get; }
    public PairExplainer Explainer { get; }

    /// <summary>Longest text that the training read, and what it did with longer ones.</summary>
    public TrainingWindow Window { get; }

    /// <summary>How a training cut its texts.</summary>
    public sealed record TrainingWindow(int LengthMax, Overlong Overlong);

    /// <summary>Opens one.</summary>
    /// <param name="named">Null: the reward model that serves, or else the newest candidate.</param>
    /// <exception cref="CannotTrain">There is none, it was trained on no judgements of this project, or it has no such features; the message says which.</exception>
    public static async Task<ExplainableReward> Open(JobRun run, ModelVersionId? named, FeatureSpace space, long seed)
    {
        var store = new ModelStore(run);
        var version = await store.RewardModel(run.ProjectId, named, run.Stop) ?? throw new CannotTrain("rewardModelId: the project has no reward model yet; train one first.");
        if (version.DatasetVersionId is not { } dataset)
            throw new CannotTrain($"{version.Label} was not trained on judgements of this project, so no pair can explain it.");
        var window = await WindowOf(version, run);
        var rows = await PreferenceDataset.LoadIdentified(run.Contexts, dataset, run.Stop);
        if (rows.Erased > 0)
            run.Progress.Log(Data.Jobs.JobEventLevel.Warning, $"{rows.Erased} rows of the data that {version.Label} was trained on are left out: a text was erased since.");
        var (opened, features, tokenizer, hash) = await OpenFeatures(store, version, space, run);
        try
        {
            var pairs = PairFeatures.Open(Path.Combine(run.Directory.Features, "pairs"), hash, features, tokenizer, rows.Split.Train, window.LengthMax, window.Overlong, (done, all) => run.Progress.Report(done, all, "reading pairs", null), run.Stop);
            try
            {
                run.Progress.Report(0, 0, "fitting the head", null);
                return new ExplainableReward(opened, version, dataset, features, tokenizer, pairs, window, seed, run.Stop);
            }
            catch
            {
                pairs.Dispose();
                throw;
            }
        }
        catch
        {
            opened.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        Pairs.Dispose();
        opened.Dispose();
    }

    private static async Task<(IDisposable Opened, IEndFeatures Features, ITokenizer Tokenizer, string Hash)> OpenFeatures(ModelStore store, ModelVersion version, FeatureSpace space, JobRun run)
    {
        if (space is FeatureSpace.PolicyState)
        {
            var (policy, words) = store.OpenPolicy(await store.BasePolicy(run.ProjectId, run.Stop));
            return (policy, new PolicyStates(policy.Backbone), words, LlamaWeights.Hash(policy.Backbone));
        }
        var (model, tokenizer) = store.OpenReward(version);
        switch (model, space)
        {
            case (LlamaReward reward, FeatureSpace.RewardState):
                reward.eval();
                return (reward, new RewardStates(reward), tokenizer, LlamaWeights.Hash(reward.Backbone));
            case (SarmReward sarm, FeatureSpace.RewardState or FeatureSpace.SarmCodes):
                // What its head reads are the codes.
                sarm.eval();
                var codes = new SarmCodes(sarm);
                return (sarm, codes, tokenizer, codes.Hash);
            default:
                model.Dispose();
                throw new CannotTrain($"space: {version.Label} reads no sparse features; explain it by the state its head reads.");
        }
    }

    /// <summary>From the spec of the training: a version that toggles made has its parent's weights, and so its parent's texts.</summary>
    private static async Task<TrainingWindow> WindowOf(ModelVersion version, JobRun run)
    {
        await using var db = await run.Contexts.CreateDbContextAsync(run.Stop);
        for (var at = version; at is not null; at = at.ParentId is { } parent ? await db.ModelVersions.AsNoTracking().FirstOrDefaultAsync(v => v.Id == parent && v.Kind == ModelKind.RewardModel, run.Stop) : null)
        {
            try
            {
                switch (JobSpec.FromJson(at.SpecJson))
                {
                    case TrainRewardModel spec:
                        return new(spec.LengthMax, spec.Overlong);
                    case TrainSarm spec:
                        return new(spec.LengthMax, spec.Overlong);
                }
            }
            catch (FormatException)
            {
                break; // an imported model's provenance is no spec
            }
        }
        return Default;
    }

    private static TrainingWindow Default => new(new TrainRewardModel().LengthMax, new TrainRewardModel().Overlong);
}
