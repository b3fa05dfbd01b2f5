using Portal.Data.Explanations;
using Portal.Engine.Influence;
using Portal.Engine.Statistics;
using Xunit;

namespace Portal.Tests.Engine.Influence;

/// <summary>Explanations: what they add up to (T15), what a query is, how far one may be believed, and what many have in common (T12).</summary>
public sealed class PairExplainerTests
{
    private const int Width = 8;

    /// <summary>T15: explained and unexplained add up to the reward, each computed from the definition.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(0.3)]
    public void A_reward_is_its_explained_and_its_unexplained_part(double locality)
    {
        var (rows, influence, random) = Drawn(1, 300);
        var explainer = new PairExplainer(influence, rows, null, seed: 1);
        double[] q = [.. Enumerable.Range(0, Width).Select(_ => 2 * random.NextGaussian())];

        var found = explainer.Explain(new ExplanationQuery(QueryMode.Centred, q), [AttributionMethod.Influence, AttributionMethod.NearestNeighbours, AttributionMethod.Random], locality, default);

        var left = new double[Width];
        for (var j = 0; j < Width; j++)
            left[j] = q[j] - found.Projection.Sum(pair => pair.Score * rows[pair.Row][j]);
        var reward = q.Zip(influence.Theta, (a, b) => a * b).Sum();
        Assert.Equal(reward, found.Reward, 1e-9);
        Assert.Equal(left.Zip(influence.Theta, (a, b) => a * b).Sum(), found.Unexplained, 1e-9);
        Assert.Equal(found.Projection.Sum(pair => pair.Score * pair.Margin), found.Explained, 1e-12);
        Assert.Equal(Math.Sqrt(left.Sum(x => x * x)), found.Residual, 1e-9);
        Assert.Equal(found.Residual / Math.Sqrt(q.Sum(x => x * x)), found.RelativeResidual, 1e-12);
        Assert.All(found.Projection, pair => Assert.Equal(influence.Margins[pair.Row], pair.Margin));
        Assert.Equal(10, found.By[AttributionMethod.Influence].Count);
        Assert.Equal(found.By[AttributionMethod.Influence].Select(pair => pair.Score).OrderDescending(), found.By[AttributionMethod.Influence].Select(pair => pair.Influence));
        Assert.All(found.By[AttributionMethod.NearestNeighbours], pair => Assert.Equal(-pair.Distance, pair.Score));
        Assert.All(found.Agreed(AttributionMethod.Projection, AttributionMethod.Influence), row => Assert.Contains(row, found.Projection.Select(pair => pair.Row)));
    }

    [Fact]
    public void A_query_is_what_its_mode_says()
    {
        EndFeature Of(params float[] values) => new(values, null, false);
        var (y, a, b) = (Of(5, 1), Of(1, 1), Of(3, -1));

        Assert.Equal([5.0, 1], ExplanationQuery.Of(QueryMode.Raw, y, []).Vector);
        Assert.Equal([3.0, 1], ExplanationQuery.Of(QueryMode.Centred, y, [a, b]).Vector);
        Assert.Equal([2.0, 2], ExplanationQuery.Of(QueryMode.Comparison, y, [b]).Vector);
        Assert.Throws<ArgumentException>(() => ExplanationQuery.Of(QueryMode.Centred, y, []));
        Assert.Throws<ArgumentException>(() => ExplanationQuery.Of(QueryMode.Comparison, y, [a, b]));
    }

    /// <summary>The random control: each query its own pairs, the same ones on every run.</summary>
    [Fact]
    public void Random_pairs_depend_on_seed_and_query_alone()
    {
        var (rows, influence, _) = Drawn(2, 200);
        IReadOnlyList<int> Of(long seed, long number) => [.. new PairExplainer(influence, rows, null, seed).Explain(new ExplanationQuery(QueryMode.Raw, new double[Width]), [AttributionMethod.Random], 0, default, number: number)
            .By[AttributionMethod.Random].Select(pair => pair.Row)];

        Assert.Equal(Of(1, 1), Of(1, 1));
        Assert.NotEqual(Of(1, 1), Of(1, 2));
        Assert.NotEqual(Of(1, 1), Of(2, 1));
    }

    [Fact]
    public void The_highest_scores_come_first_and_equal_ones_by_row()
    {
        Assert.Equal([3, 0, 2], PairExplainer.Highest([5, 1, 5, 9, 4], 3));
        Assert.Equal([1, 0], PairExplainer.Highest([1, 2], 5));
    }

    /// <summary>Satisfactory responses drawn from a square: of others like them a twentieth of a twentieth is called good; what lies outside is.</summary>
    [Fact]
    public void Good_is_what_satisfactory_responses_hardly_ever_show()
    {
        var random = new SeededRandom(3);
        ExplanationEvidence Drawn() => new(random.NextDouble(), random.NextDouble(), 0.5);
        var calibration = ExplanationCalibration.Of([.. Enumerable.Range(0, 2_000).Select(_ => Drawn())]);

        Assert.Equal(0.95, calibration.ExplainedAbove, 0.02);
        var like = Enumerable.Range(0, 4_000).Select(_ => calibration.Read(Drawn())).ToList();
        Assert.InRange(like.Count(confidence => confidence is ExplanationConfidence.Good), 1, 24); // 10 expected
        Assert.InRange(like.Count(confidence => confidence is ExplanationConfidence.Weak), 280, 480); // 380 expected
        Assert.Equal(ExplanationConfidence.Good, calibration.Read(new ExplanationEvidence(2, 2, 0.5)));
        Assert.Equal(ExplanationConfidence.Weak, calibration.Read(new ExplanationEvidence(2, 0.1, 0.5)));
        Assert.Equal(ExplanationConfidence.Unexplained, calibration.Read(new ExplanationEvidence(0.1, 0.1, 0.5)));
        Assert.Equal(ExplanationConfidence.Unexplained, calibration.Read(new ExplanationEvidence(2, 2, 0.96))); // too much is left over
        Assert.Contains("199 satisfactory responses are there; 200 are needed", Assert.Throws<ArgumentException>(() => ExplanationCalibration.Of([.. Enumerable.Range(0, 199).Select(_ => Drawn())])).Message, StringComparison.Ordinal);
    }

    /// <summary>Evidence is measured with the pairs that a method names: the reward falls by what removing them does.</summary>
    [Fact]
    public void A_drop_is_what_removing_the_named_pairs_does()
    {
        var (rows, influence, random) = Drawn(4, 400);
        double[] q = [.. Enumerable.Range(0, Width).Select(_ => random.NextGaussian())];
        var query = new ExplanationQuery(QueryMode.Centred, q);
        var found = new PairExplainer(influence, rows, null, 1).Explain(query, [AttributionMethod.Influence, AttributionMethod.Random], 0, default);

        var (named, lots) = (ExplanationEvidence.Of(found, AttributionMethod.Influence, query, influence), ExplanationEvidence.Of(found, AttributionMethod.Random, query, influence));
        var without = influence.NewtonWithout(new VoteChange([.. found.By[AttributionMethod.Influence].Select(pair => pair.Row)]));

        Assert.Equal(q.Zip(influence.Theta, (a, b) => a * b).Sum() - q.Zip(without, (a, b) => a * b).Sum(), named.Drop, 1e-12);
        Assert.True(named.Drop > Math.Abs(lots.Drop));
    }

    /// <summary>By hand: two explanations, three pairs; the merged row's weight is divided between its two annotators.</summary>
    [Fact]
    public void Weights_roll_up_to_annotators_with_what_their_share_of_the_data_would_give()
    {
        IReadOnlyList<string>[] annotators = [["heron", "wren"], ["heron"], ["lark"], ["lark"], ["lark"], ["lark"], ["lark"], ["wren"], ["wren"], ["wren"], ["wren"]];
        var rows = ExplanationRollUp.By([new("p", [(0, 3), (2, 1)]), new("q", [(1, 2), (3, -5)]), new("r", [(4, 0)])], annotators);

        // p: heron 3/8, wren 3/8, lark 1/4; q: heron 1; r has no weight and does not count.
        Assert.Equal(["heron", "wren", "lark"], rows.Select(row => row.Key));
        Assert.Equal([0.6875, 0.1875, 0.125], rows.Select(row => row.Weight));
        Assert.Equal([2, 5, 5], rows.Select(row => row.Judgements));
        Assert.Equal([2, 1, 1], rows.Select(row => row.Explanations));
        Assert.Equal(1, rows.Sum(row => row.Weight), 1e-12);
        Assert.Null(rows[0].Excess); // two judgements say too little
        Assert.Equal(0.1875 / (5.0 / 12), rows[1].Excess!.Value, 1e-12);
    }

    /// <summary>T12: raw queries share a large offset, and one pair comes first for nearly all of them; centred ones have their own.</summary>
    [Fact]
    public void Raw_queries_with_a_common_offset_have_a_hub_and_centred_ones_have_none()
    {
        var (rows, influence, random) = Drawn(5, 500);
        var explainer = new PairExplainer(influence, rows, null, 1);
        double[] offset = [.. Enumerable.Range(0, Width).Select(_ => 20 * random.NextGaussian())];
        var (raw, centred) = (new List<WeighedPairs>(), new List<WeighedPairs>());
        for (var i = 0; i < 40; i++)
        {
            EndFeature Text() => new([.. offset.Select(x => (float)(x + random.NextGaussian()))], null, false);
            var (response, references) = (Text(), Enumerable.Range(0, 8).Select(_ => Text()).ToList());
            raw.Add(Weighed(explainer, ExplanationQuery.Of(QueryMode.Raw, response, []), i));
            centred.Add(Weighed(explainer, ExplanationQuery.Of(QueryMode.Centred, response, references), i));
        }

        var hubs = ExplanationRollUp.Hubs(raw);

        Assert.True(hubs.Count > 0 && hubs[0].Share > 0.4, $"{hubs.Count} hubs");
        Assert.Empty(ExplanationRollUp.Hubs(centred));
        Assert.Empty(ExplanationRollUp.Hubs([.. raw.Take(19)])); // too few prompts to say
    }

    private static WeighedPairs Weighed(PairExplainer explainer, ExplanationQuery query, int prompt) =>
        new($"prompt {prompt}", [.. explainer.Explain(query, [], 0, default).Projection.Select(pair => (pair.Row, pair.Score))]);

    private static (FeatureRows Rows, PairInfluence Influence, SeededRandom Random) Drawn(ulong seed, int n)
    {
        var random = new SeededRandom(seed);
        var rows = FeatureRows.Of([.. Enumerable.Range(0, n * Width).Select(i => (float)(random.NextGaussian() + (i % Width == 0 ? 0.5 : 0)))], Width);
        var head = new PairHead(rows, [.. Enumerable.Repeat(1.0, n)], 1e-2);
        return (rows, new PairInfluence(head, head.Fit(default).Weights, default), random);
    }
}
