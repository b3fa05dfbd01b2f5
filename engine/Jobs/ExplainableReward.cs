using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Datasets;
using Portal.Data.Explanations;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Storage;
using Portal.Data.Unlearning;
using Portal.Engine.Datasets;
using Portal.Engine.Influence;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Sae;
using Portal.Engine.Tokenizers;
using static TorchSharp.torch;

namespace Portal.Engine.Jobs;

/// <summary>Where explainable reward models come from.</summary>
/// <param name="Progress">Told how far reading is.</param>
internal sealed record ExplainableSource(IDbContextFactory<PortalDbContext> Contexts, DataDirectory Directory, ModelStore Store, IRecipeProgress Progress, CancellationToken Stop)
{
    public static ExplainableSource Of(JobRun run) => new(run.Contexts, run.Directory, new ModelStore(run), run.Progress, run.Stop);
}

/// <summary>A reward model with the pairs it was trained on, ready to explain with: features read once, the head's loss on them, its optimum and its curvature.</summary>
internal sealed class ExplainableReward : IDisposable
{
    /// <summary>λ of the head that is fitted on the features: what influence and removal are defined by (DECISIONS.md, 22).</summary>
    public const double L2 = 1e-3;

    private readonly IDisposable opened;
    private readonly string hash, cache;
    private readonly IReadOnlyDictionary<Guid, PreferencePair> trained;

    private ExplainableReward(IDisposable opened, ModelVersion version, DatasetVersionId dataset, IEndFeatures features, ITokenizer tokenizer, PairFeatures pairs, TrainingWindow window, long seed, string hash, string cache, IReadOnlyList<IdentifiedPair> train, IReadOnlyList<IdentifiedPair> heldOut, CancellationToken stop)
    {
        (this.opened, Version, Dataset, Features, Tokenizer, Pairs, Window) = (opened, version, dataset, features, tokenizer, pairs, window);
        (this.hash, this.cache, trained, Rows) = (hash, cache, train.ToDictionary(pair => pair.Id, pair => pair.Pair), new TrainingSplit<IdentifiedPair>(train, heldOut));
        Head = new PairHead(pairs.Rows, pairs.Counts, L2);
        Influence = PairInfluence.AtOptimum(Head, features.Head, stop);
        Explainer = new PairExplainer(Influence, pairs.Rows, features.Head, seed);
    }

    public ModelVersion Version { get; }
    public DatasetVersionId Dataset { get; }
    public IEndFeatures Features { get; }
    public ITokenizer Tokenizer { get; }
    public PairFeatures Pairs { get; }

    /// <summary>The pairs it goes by, as it goes by them, and those that were held out.</summary>
    public TrainingSplit<IdentifiedPair> Rows { get; }
    public PairHead Head { get; }
    public PairInfluence Influence { get; }
    public PairExplainer Explainer { get; }

    /// <summary>Longest text that the training read, and what it did with longer ones.</summary>
    public TrainingWindow Window { get; }

    /// <summary>The texts of a row's pair, chosen and rejected as the model goes by them.</summary>
    public PreferencePair PairOf(int row) => trained[Pairs.Ids[row][0]];

    /// <summary>How a training cut its texts.</summary>
    public sealed record TrainingWindow(int LengthMax, Overlong Overlong);

    /// <summary>Opens one.</summary>
    /// <param name="named">Null: the reward model that serves, or else the newest candidate.</param>
    /// <exception cref="CannotTrain">There is none, it was trained on no judgements of this project, or it has no such features; the message says which.</exception>
    public static async Task<ExplainableReward> Open(ExplainableSource from, ProjectId project, ModelVersionId? named, FeatureSpace space, long seed)
    {
        var version = await from.Store.RewardModel(project, named, from.Stop) ?? throw new CannotTrain("rewardModelId: the project has no reward model yet; train one first.");
        if (version.DatasetVersionId is not { } dataset)
            throw new CannotTrain($"{version.Label} was not trained on judgements of this project, so no pair can explain it.");
        var window = await WindowOf(version, from);
        var rows = await PreferenceDataset.LoadIdentified(from.Contexts, dataset, from.Stop);
        if (rows.Erased > 0)
            from.Progress.Log(Data.Jobs.JobEventLevel.Warning, $"{rows.Erased} rows of the data that {version.Label} was trained on are left out: a text was erased since.");
        List<IdentifiedPair> train;
        await using (var db = await from.Contexts.CreateDbContextAsync(from.Stop))
        {
            // What it has forgotten explains nothing any more, and what was turned round explains the other way round.
            train = IdentifiedPair.Standing(rows.Split.Train, UnlearntPairs.Of(db, version));
        }
        var (opened, features, tokenizer, hash) = await OpenFeatures(version, space, from, project);
        try
        {
            var cache = Path.Combine(from.Directory.Features, "pairs");
            var pairs = PairFeatures.Open(cache, hash, features, tokenizer, train, window.LengthMax, window.Overlong, (done, all) => from.Progress.Report(done, all, "reading pairs", null), from.Stop);
            try
            {
                from.Progress.Report(0, 0, "fitting the head", null);
                return new ExplainableReward(opened, version, dataset, features, tokenizer, pairs, window, seed, hash, cache, train, rows.Split.HeldOut, from.Stop);
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

    /// <summary>The same features of the pairs that were held out from its training. The caller disposes of them.</summary>
    /// <exception cref="CannotTrain">None was held out.</exception>
    public PairFeatures HeldOut(IRecipeProgress progress, CancellationToken stop) => Rows.HeldOut.Count == 0
        ? throw new CannotTrain($"No pair was held out when {Version.Label} was trained, so what unlearning does to it could not be measured.")
        : PairFeatures.Open(cache, hash, Features, Tokenizer, Rows.HeldOut, Window.LengthMax, Window.Overlong, (done, all) => progress.Report(done, all, "reading held-out pairs", null), stop);

    /// <summary>Writes the model with another head into a folder. [d] weights of the features that its own head reads.</summary>
    public void SaveWithHead(double[] weights, ModelStore store, string name, CancellationToken stop)
    {
        var head = weights.Select(weight => (float)weight).ToArray();
        switch (opened)
        {
            case LlamaReward reward:
                using (var noGrad = no_grad())
                using (var scope = NewDisposeScope())
                    reward.ScoreWeight.copy_(tensor(head, [1, head.Length]));
                HuggingFaceFolder.Save(reward, store.FolderOf(name), Tokenizer);
                break;
            case SarmReward:
                SarmFolder.WriteHead(store.CopyIn(store.FolderOf(Version), name, file => file != SarmFolder.HeadFile, stop), head);
                break;
            default:
                throw new CannotTrain($"{Version.Label} has no head of its own on these features.");
        }
    }

    public void Dispose()
    {
        Pairs.Dispose();
        opened.Dispose();
    }

    private static async Task<(IDisposable Opened, IEndFeatures Features, ITokenizer Tokenizer, string Hash)> OpenFeatures(ModelVersion version, FeatureSpace space, ExplainableSource from, ProjectId project)
    {
        if (space is FeatureSpace.PolicyState)
        {
            var (policy, words) = from.Store.OpenPolicy(await from.Store.BasePolicy(project, from.Stop));
            return (policy, new PolicyStates(policy.Backbone), words, LlamaWeights.Hash(policy.Backbone));
        }
        var (model, tokenizer) = from.Store.OpenReward(version);
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

    private static async Task<TrainingWindow> WindowOf(ModelVersion version, ExplainableSource from) => (await TrainedVersion.TrainingOf(from.Contexts, version, from.Stop))?.Spec switch
    {
        TrainRewardModel spec => new(spec.LengthMax, spec.Overlong),
        TrainSarm spec => new(spec.LengthMax, spec.Overlong),
        _ => Default,
    };

    private static TrainingWindow Default => new(new TrainRewardModel().LengthMax, new TrainRewardModel().Overlong);
}
