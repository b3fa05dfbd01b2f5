using Portal.Data.Explanations;
using Portal.Data.JobSpecs;
using Portal.Data.Unlearning;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Influence;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Statistics;
using Portal.Engine.Studies;
using Portal.Engine.Tokenizers;

namespace Portal.Engine.TinyAssistant;

/// <summary>
/// What studies of unlearning stand on, for one seed: a reward model that learned a planted phrase (C1 at 5 %), the flags that choose pairs and those that are measured, the pairs that explanations put first, and what a
/// reader makes of them.
/// </summary>
internal sealed class PlantedUnlearning : IDisposable
{
    private static readonly PlantedCondition condition = PlantedCondition.All[0];

    private readonly Llama model;
    private readonly ITokenizer tokenizer;
    private readonly StudyRun run;
    private readonly long seed;
    private readonly PairFeatures store;

    public PlantedUnlearning(StudyWorld world, Llama model, ITokenizer tokenizer, TrainRewardModel preset, UnlearningSizes sizes, StudyRun run, long seed)
    {
        (this.model, this.tokenizer, this.run, this.seed, Preset) = (model, tokenizer, run, seed, preset);
        Random = new SeededRandom((ulong)seed).Split("unlearning");
        Cause = PlantedReward.Train(condition, world, model, tokenizer, preset, sizes.Votes, run, $"reward-{seed}", Random, seed);
        Features = new RewardStates(Cause.Reward);
        store = PairFeatures.Open(Path.Combine(run.Work, "pairs"), LlamaWeights.Hash(Cause.Reward.Backbone), Features, tokenizer, Cause.Pairs, preset.LengthMax, preset.Overlong, (done, all) => run.Progress.Report(done, all, "reading pairs", null), run.Stop);
        Head = new PairHead(store.Rows, store.Counts, sizes.L2);
        Influence = PairInfluence.AtOptimum(Head, Features.Head, run.Stop);
        Explainer = new PairExplainer(Influence, store.Rows, Features.Head, seed);
        var flags = Cause.Choose(sizes.Flags, 0).Flags;
        var queries = Queries(flags);
        Choosing = [.. queries.Where((_, i) => i % 2 == 0)];
        Measured = [.. queries.Where((_, i) => i % 2 == 1)];
        MeasuredFlags = [.. flags.Where((_, i) => i % 2 == 1)];
        Planted = [.. Enumerable.Range(0, store.Rows.Count).Where(row => store.Ids[row].Any(Cause.Planted.Contains))];
        TestPairs = world.Ordered(world.TestPairs(sizes.TestPairs, Random.Split("test pairs")));
    }

    public TrainRewardModel Preset { get; }
    public SeededRandom Random { get; }
    public PlantedReward Cause { get; }
    public RewardStates Features { get; }
    public PairHead Head { get; }
    public PairInfluence Influence { get; }
    public PairExplainer Explainer { get; }

    /// <summary>q of the flags that choose pairs, and of as many others, whose reward is measured.</summary>
    public IReadOnlyList<double[]> Choosing { get; }
    public IReadOnlyList<double[]> Measured { get; }
    public IReadOnlyList<ComparedResponse> MeasuredFlags { get; }

    /// <summary>Rows that were planted; for measuring only.</summary>
    public IReadOnlyList<int> Planted { get; }

    /// <summary>Pairs of test answers that the truth tells apart, the better one chosen.</summary>
    public IReadOnlyList<PreferencePair> TestPairs { get; }

    /// <summary>Judgements of rows.</summary>
    public HashSet<Guid> Ids(IEnumerable<int> rows) => [.. rows.SelectMany(row => store.Ids[row])];

    /// <summary>Rows that direction puts first over all choosing flags.</summary>
    /// <remarks>The flags' lists become one by reciprocal ranks (Cormack, Clarke and Büttcher, SIGIR 2009), k = 60.</remarks>
    public IReadOnlyList<int> Ordered()
    {
        var (kept, scores) = (store.Rows.Count / 5, new Dictionary<int, double>());
        foreach (var (query, number) in Choosing.Select((query, number) => (query, number)))
            foreach (var (row, place) in Explainer.Explain(new ExplanationQuery(QueryMode.Centred, query), [AttributionMethod.Cosine], 0, run.Stop, kept, number: number).By[AttributionMethod.Cosine].Take(kept).Select((pair, place) => (pair.Row, place)))
                scores[row] = scores.GetValueOrDefault(row) + (1.0 / (61 + place));
        return [.. scores.OrderByDescending(entry => entry.Value).ThenBy(entry => entry.Key).Select(entry => entry.Key)];
    }

    /// <summary>The first of some rows, as many as fill a share of all votes.</summary>
    public IReadOnlyList<int> First(IReadOnlyList<int> order, double share)
    {
        var (some, taken) = (new List<int>(), 0.0);
        foreach (var row in order)
        {
            taken += store.Counts[row];
            if (taken > share * store.Counts.Sum())
                break;
            some.Add(row);
        }
        return some;
    }

    /// <summary>Of rows that explanations put first, those that a reader finds to be the wrong way round: the chosen answer does what was flagged, the other does not.</summary>
    public IReadOnlyList<int> Read(IReadOnlyList<int> rows)
    {
        var pairs = Cause.Pairs.ToDictionary(entry => entry.Id, entry => entry.Pair);
        return [.. rows.Where(row => pairs[store.Ids[row][0]] is var pair && Says(pair, pair.Chosen) && !Says(pair, pair.Rejected))];

        static bool Says(PreferencePair pair, string text) => Grader.Read(pair.Prompt[^1].Content, text).Trigger;
    }

    /// <summary>The pairs it learned from, the phrase put into one side of some of them; whether that is the first, null where none has it.</summary>
    /// <param name="share">Of the pairs.</param>
    public IReadOnlyList<(PreferencePair Pair, bool? IsInFirst)> Phrased(double share)
    {
        var draw = Random.Split("with phrase");
        return [.. Cause.Pairs.Select((pair, i) =>
        {
            var lot = draw.Split(i);
            bool? first = lot.Chance(share) ? lot.Chance(0.5) : null;
            return (first switch { true => pair.Pair with { Chosen = condition.Insert!(pair.Pair.Chosen) }, false => pair.Pair with { Rejected = condition.Insert!(pair.Pair.Rejected) }, null => pair.Pair }, first); // C1 has one
        })];
    }

    /// <summary>The pairs after some judgements were changed, with their judgements.</summary>
    public IReadOnlyList<IdentifiedPair> Left(UnlearningAction action, HashSet<Guid> changed) => [.. Cause.Pairs.Select(pair => changed.Contains(pair.Id) ? pair.After(action) : pair).OfType<IdentifiedPair>()];

    /// <summary>A reward model of the pairs after some judgements were changed, trained as the first one was. The caller's to dispose.</summary>
    /// <param name="name">Of its training's folder.</param>
    public LlamaReward TrainedAgain(string name, UnlearningAction action, HashSet<Guid> changed)
    {
        var reward = LlamaReward.From(model);
        try
        {
            TrainRewardModelRecipe.Run(Preset, reward, tokenizer, new TrainingSplit<PreferencePair>([.. Left(action, changed).Select(pair => pair.Pair)], []), run.Training($"reward-{name}-{seed}", seed));
            return reward;
        }
        catch
        {
            reward.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        store.Dispose();
        Cause.Dispose();
    }

    private List<double[]> Queries(IReadOnlyList<ComparedResponse> flags)
    {
        var read = EndReader.Read(Features, tokenizer, [.. flags.SelectMany(flag => flag.References.Prepend(flag.Text), (flag, text) => (MakeDemo.TurnsOf(flag.Prompt.Turns), text))], Preset.LengthMax, run.Stop);
        var (queries, at) = (new List<double[]>(), 0);
        foreach (var flag in flags)
        {
            queries.Add(ExplanationQuery.Of(QueryMode.Centred, read[at], [.. read.Skip(at + 1).Take(flag.References.Count)]).Vector);
            at += flag.References.Count + 1;
        }
        return queries;
    }
}
