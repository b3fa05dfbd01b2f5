using Portal.Data.Explanations;
using Portal.Data.JobSpecs;
using Portal.Engine;
using Portal.Engine.Datasets;
using Portal.Engine.Influence;
using Portal.Engine.Models;
using Portal.Tests.Engine.Recipes;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Portal.Tests.Engine.Influence;

/// <summary>The store of feature differences: rows are named by judgements, whatever their order (T8), and only pairs that were trained on have one (T9).</summary>
public sealed class PairFeaturesTests : IDisposable
{
    private readonly DirectoryInfo cache = Directory.CreateTempSubdirectory("portal-pairs-");
    private readonly LlamaReward reward;
    private readonly RewardStates features;

    public PairFeaturesTests()
    {
        using var model = ToyWorld.Base();
        reward = LlamaReward.From(model);
        using (no_grad())
        using (NewDisposeScope())
            reward.ScoreWeight.copy_(tensor([.. Enumerable.Range(0, 16).Select(j => (float)Math.Sin(j + 1))]).view(1, -1));
        features = new RewardStates(reward);
    }

    public void Dispose()
    {
        reward.Dispose();
        cache.Delete(recursive: true);
    }

    private static List<IdentifiedPair> Pairs { get; } = [.. ToyWorld.Pairs().Train.Select((pair, i) => new IdentifiedPair(Id(i), pair))];

    private static Guid Id(int number) => new(number + 1, 0, 0, [0, 0, 0, 0, 0, 0, 0, 0]);

    private PairFeatures Open(IReadOnlyList<IdentifiedPair> pairs, Overlong overlong = Overlong.Filter, int lengthMax = 64, IEndFeatures? from = null, Action<int, int>? told = null) =>
        PairFeatures.Open(cache.FullName, new string('a', 64), from ?? features, ToyWorld.Tokenizer, pairs, lengthMax, overlong, told ?? ((_, _) => { }), default);

    /// <summary>T8: one unique pair at row 0.2 n + 7 (where the authors' code reads another pair than it measured); its own Δφ, made by itself, must lead back to its id.</summary>
    [Fact]
    public void A_planted_pair_is_named_by_its_own_id()
    {
        List<IdentifiedPair> pairs = [.. Pairs];
        var at = (int)(0.2 * pairs.Count) + 7;
        var planted = new IdentifiedPair(Id(9_999), new PreferencePair("p", ToyWorld.TurnsOf("May I take the moon?"), "Yes please, the moon.", "No."));
        pairs.Insert(at, planted);
        using var store = Open(pairs);

        var read = EndReader.Read(features, ToyWorld.Tokenizer, [(planted.Pair.Prompt, planted.Pair.Chosen), (planted.Pair.Prompt, planted.Pair.Rejected)], 64, default);
        var query = ExplanationQuery.Of(QueryMode.Comparison, read[0], [read[1]]);
        var found = SimplexProjection.Project(store.Rows, query.Vector, new SimplexOptions(), default);

        Assert.Equal([planted.Id], store.Ids[found.Rows[0]]);
        Assert.InRange(found.Residual, 0, 1e-4);
        Assert.Equal(store.RowOf(planted.Id), found.Rows[0]);
    }

    /// <summary>T9: held-out pairs have no row, and no row has an id that was not trained on.</summary>
    [Fact]
    public void Only_pairs_that_were_trained_on_have_a_row()
    {
        using var store = Open(Pairs);

        Assert.Equal(Pairs.Select(pair => pair.Id).Order(), store.Ids.SelectMany(ids => ids).Order());
        Assert.Null(store.RowOf(Id(100_000)));
        Assert.All(Pairs, pair => Assert.Contains(pair.Id, store.Ids[store.RowOf(pair.Id)!.Value])); // each has one
    }

    [Fact]
    public void A_margin_is_the_difference_of_rewards()
    {
        using var store = Open(Pairs);
        double[] theta = [.. reward.ScoreWeight.ToFloats().Select(x => (double)x)];

        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        foreach (var pair in Pairs.Take(5))
        {
            float Reward(string answer)
            {
                var text = new DialogueEncoder(ToyWorld.Tokenizer, 64, Overlong.Filter).Answer(pair.Pair.Prompt, answer)!;
                return reward.Rewards(tensor(text.Ids.Select(id => (long)id).ToArray()).unsqueeze(0), tensor(new[] { text.Ids.Length - 1L })).item<float>();
            }
            var margin = FeatureRows.Of(store.Rows[store.RowOf(pair.Id)!.Value], 16); // trained on
            var product = new double[1];
            margin.Products(theta, product);
            Assert.Equal(Reward(pair.Pair.Chosen) - Reward(pair.Pair.Rejected), product[0], 1e-3);
        }
    }

    [Fact]
    public void Equal_pairs_are_one_row_and_pairs_without_a_difference_none()
    {
        var pair = Pairs[0].Pair;
        List<IdentifiedPair> pairs = [Pairs[0], new(Id(500), pair with { Weight = 0.5 }), Pairs[1], new(Id(501), pair with { Rejected = pair.Chosen }), new(Id(502), pair with { Chosen = pair.Rejected, Rejected = pair.Chosen })];
        using var store = Open(pairs);

        Assert.Equal(3, store.Rows.Count);
        Assert.Equal([Pairs[0].Id, Id(500)], store.Ids[0]);
        Assert.Equal([1.5, 1, 1], store.Counts);
        Assert.Equal((1, 0), (store.Identical, store.Filtered));
        Assert.Equal((0, 0, (int?)null), (store.RowOf(Id(500)), store.RowOf(Pairs[0].Id), store.RowOf(Id(501))));
        // Who judged the other way is a row of its own, the opposite one.
        Assert.All(Enumerable.Range(0, 16), j => Assert.Equal(-store.Rows[0][j], store.Rows[2][j], 1e-5));
    }

    [Fact]
    public void What_the_training_left_out_explains_nothing_and_a_cut_text_says_so()
    {
        var length = new DialogueEncoder(ToyWorld.Tokenizer, 64, Overlong.Filter).Answer(Pairs[0].Pair.Prompt, Pairs[0].Pair.Chosen)!.Ids.Length;
        var lengthy = Pairs[0].Pair with { Chosen = string.Join(' ', Enumerable.Repeat("please", 80)) };
        using (var store = Open([new(Id(600), lengthy), Pairs[1]]))
            Assert.Equal((1, 1, (int?)null), (store.Rows.Count, store.Filtered, store.RowOf(Id(600))));
        using (var cut = Open([new(Id(600), lengthy), Pairs[1]], Overlong.TruncateLeft))
            Assert.Equal((2, 0), (cut.Rows.Count, cut.Filtered));

        var read = EndReader.Read(features, ToyWorld.Tokenizer, [(lengthy.Prompt, lengthy.Chosen), (lengthy.Prompt, lengthy.Rejected)], 64, default);
        Assert.Equal([true, false], read.Select(feature => feature.IsTruncated));
        Assert.InRange(length, 2, 63);
        Assert.Contains("1 have a side longer than 64 tokens", Assert.Throws<CannotTrain>(() => Open([new(Id(600), lengthy)])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_store_is_made_once_and_anew_for_other_pairs_texts_or_windows()
    {
        var reads = 0;
        void Count(Action<Action<int, int>> open)
        {
            reads = 0;
            open((_, _) => reads++);
        }
        Count(told => Open(Pairs, told: told).Dispose());
        Assert.True(reads > 0);
        Count(told => Open(Pairs, told: told).Dispose());
        Assert.Equal(0, reads);
        Count(told => Open([.. Pairs.Skip(1)], told: told).Dispose());
        Assert.True(reads > 0);
        Count(told => Open([Pairs[0] with { Pair = Pairs[0].Pair with { Weight = 2 } }, .. Pairs.Skip(1)], told: told).Dispose());
        Assert.True(reads > 0);
        Count(told => Open(Pairs, lengthMax: 40, told: told).Dispose());
        Assert.True(reads > 0);

        // Half a folder is no store.
        var whole = cache.GetDirectories().First(folder => folder.Name.EndsWith("-64", StringComparison.Ordinal));
        File.Delete(Path.Combine(whole.FullName, "key.json"));
        Count(told => Open(Pairs, told: told).Dispose());
        Count(told => Open(Pairs, told: told).Dispose());
        Assert.Equal(0, reads);
    }

    /// <summary>The negative control of |θ · φ − r| ≤ 1e-3: states of one position earlier, and states before the final norm, are refused before anything is stored.</summary>
    [Theory]
    [InlineData("one token earlier")]
    [InlineData("before the final norm")]
    public void Features_that_the_head_does_not_read_are_refused(string which)
    {
        var wrong = new WrongStates(reward, which == "one token earlier");

        var refusal = Assert.Throws<InvalidOperationException>(() => Open(Pairs, from: wrong)).Message;

        Assert.Contains("these are not the features that the head reads", refusal, StringComparison.Ordinal);
        Assert.Empty(cache.GetDirectories());
    }

    /// <summary>Through the engine's reader in batches, and alone: the same numbers.</summary>
    [Fact]
    public void A_text_has_the_same_features_in_any_batch()
    {
        var items = Pairs.Take(70).Select(pair => (pair.Pair.Prompt, pair.Pair.Chosen)).ToList();
        var together = EndReader.Read(features, ToyWorld.Tokenizer, items, 64, default);

        for (var i = 0; i < 70; i += 23)
        {
            var alone = EndReader.Read(features, ToyWorld.Tokenizer, [items[i]], 64, default)[0];
            Assert.All(alone.Values.Zip(together[i].Values), pair => Assert.Equal(pair.First, pair.Second, 1e-4f));
            Assert.Equal(alone.Reward!.Value, together[i].Reward!.Value, 1e-3);
        }
    }

    private sealed class WrongStates(LlamaReward model, bool isEarlier) : IEndFeatures
    {
        public string Space => "wrong";
        public int Width => 16;
        public int ContextLength => 64;
        public Device Device => model.Device;
        public float[] Head { get; } = model.ScoreWeight.ToFloats();
        public Tensor? Rewards(Tensor ids, Tensor lastPositions) => model.Rewards(ids, lastPositions);

        public Tensor Read(Tensor ids, Tensor lastPositions) => isEarlier
            ? LlamaReward.AtLast(model.Backbone.Hidden(ids), lastPositions.sub(1))
            : LlamaReward.AtLast(model.Backbone.Hidden(ids, new LlamaRun { FinalNorm = false }), lastPositions);
    }
}
