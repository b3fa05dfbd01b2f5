using Portal.Data.Explanations;
using Portal.Engine.Statistics;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Portal.Engine.Influence;

/// <summary>One pair of an explanation.</summary>
/// <param name="Row">Of the <see cref="PairFeatures"/>.</param>
/// <param name="Score">By the explanation's method; of the projection its weight ω.</param>
/// <param name="Margin">m = θ · Δφ: how much the model prefers the pair's chosen answer.</param>
/// <param name="RewardShare">ω m, for the projection; null for other methods, whose scores do not add up to a reward.</param>
/// <param name="Distance">‖Δφ − q‖.</param>
/// <param name="Influence">What the pair adds to θ · q through the head, whichever method found it.</param>
public sealed record ExplainingRow(int Row, double Score, double Margin, double? RewardShare, double Distance, double Influence);

/// <summary>
/// What a response's reward consists of, in pairs.
/// <code>θ·q = Σ ω_i m_i + θ·(q − Σ ω_i Δφ_i)        explained + not explained, exactly</code>
/// </summary>
/// <param name="Reward">θ · q: by how much the reward of the response is above that of what it is compared with.</param>
/// <param name="Explained">Σ ω_i m_i.</param>
/// <param name="Residual">‖Σ ω_i Δφ_i − q‖.</param>
/// <param name="RelativeResidual">The same over ‖q‖.</param>
/// <param name="Gap">The projection's certificate.</param>
/// <param name="Projection">All pairs with a weight, the heaviest first.</param>
/// <param name="By">The first pairs of each method asked for, the best first.</param>
public sealed record PairExplanation(QueryMode Mode, double Locality, double Reward, double Explained, double Residual, double RelativeResidual, double Gap, IReadOnlyList<ExplainingRow> Projection,
    IReadOnlyDictionary<AttributionMethod, IReadOnlyList<ExplainingRow>> By)
{
    /// <summary>θ · (q − Σ ω_i Δφ_i).</summary>
    public double Unexplained => Reward - Explained;

    /// <summary>Σ ω_i m_i over θ · q; null where the response's reward is not above what it is compared with, and there is nothing to explain.</summary>
    public double? ExplainedShare => Reward > 0 ? Explained / Reward : null;

    /// <summary>Pairs that are among the first of both methods, in the order of the first one.</summary>
    public IReadOnlyList<int> Agreed(AttributionMethod one, AttributionMethod other)
    {
        var rows = By[other].Select(pair => pair.Row).ToHashSet();
        return [.. By[one].Select(pair => pair.Row).Where(rows.Contains)];
    }
}

/// <summary>Explains responses of one reward model by the pairs it was trained on. Made once, then asked; threads may share it.</summary>
/// <remarks>
/// Two heads: the reward that is taken apart is the model's own, θ; influence is measured at the optimum of the head's loss on these features, because what leaving a pair out does is defined there. They are the same where the
/// features carry no reward and the head was fitted on them.
/// </remarks>
/// <param name="influence">The head at its optimum and its curvature, on the pairs.</param>
/// <param name="rows">Δφ of the pairs.</param>
/// <param name="theta">The model's own head; null where it has none. [d].</param>
/// <param name="seed">Of the random control.</param>
public sealed class PairExplainer(PairInfluence influence, FeatureRows rows, IReadOnlyList<float>? theta, long seed)
{
    private readonly double[] head = theta is null ? influence.Theta : [.. theta.Select(weight => (double)weight)];
    private readonly double[] margins = theta is null ? influence.Margins : MarginsOf(rows, theta);

    /// <summary>Pairs of each method that are kept where nobody says otherwise.</summary>
    public const int DefaultPairs = 10;

    /// <summary>Explains a query.</summary>
    /// <param name="methods">Besides the projection, which is always made.</param>
    /// <param name="number">Of the query: the random control draws other pairs for each.</param>
    public PairExplanation Explain(ExplanationQuery query, IReadOnlyList<AttributionMethod> methods, double locality, CancellationToken stop, int pairs = DefaultPairs, double tolerance = 1e-6, long number = 0)
    {
        var q = query.Vector;
        var nearness = influence.Nearness(q);
        var effects = influence.Influence(q);
        var mixture = SimplexProjection.Project(rows, q, new SimplexOptions { Locality = locality, Tolerance = tolerance }, stop);
        ExplainingRow Pair(int row, double score, bool hasShare) => new(row, score, margins[row], hasShare ? score * margins[row] : null, -nearness[row], effects[row]);
        ExplainingRow[] weighted = [.. mixture.Rows.Zip(mixture.Weights, (row, weight) => Pair(row, weight, hasShare: true))];
        var by = new Dictionary<AttributionMethod, IReadOnlyList<ExplainingRow>> { [AttributionMethod.Projection] = [.. weighted.Take(pairs)] };
        foreach (var method in methods.Where(method => method is not AttributionMethod.Projection))
        {
            var scores = method switch
            {
                AttributionMethod.Influence => effects,
                AttributionMethod.NearestNeighbours => nearness,
                AttributionMethod.Cosine => influence.Cosine(q),
                AttributionMethod.Representer => influence.Representer(q),
                AttributionMethod.TrakLinear => influence.TrakLinear(q),
                AttributionMethod.Random => Lots(number),
                AttributionMethod.Projection => throw new InvalidOperationException("The projection is not scored row by row."), // left out above
            };
            by[method] = [.. Highest(scores, pairs).Select(row => Pair(row, scores[row], hasShare: false))];
        }
        var reward = TensorPrimitives.Dot<double>(head, q);
        var length = PairHead.Norm(q);
        return new PairExplanation(query.Mode, locality, reward, weighted.Sum(pair => pair.RewardShare!.Value), mixture.Residual, length > 0 ? mixture.Residual / length : 0, mixture.Gap, weighted, by); // shares are set just above
    }

    /// <summary>The rows with the highest scores, the highest first; equal scores by row.</summary>
    public static IReadOnlyList<int> Highest(IReadOnlyList<double> scores, int count)
    {
        var best = new PriorityQueue<int, (double, int)>(); // the worst of the best first
        var least = double.NegativeInfinity;
        for (var row = 0; row < scores.Count; row++)
        {
            // Rows come in order, so that one as good as the worst comes after it.
            if (best.Count == count && !(scores[row] > least))
                continue;
            best.Enqueue(row, (scores[row], -row));
            if (best.Count > count)
                best.Dequeue();
            if (best.Count == count && best.TryPeek(out _, out var worst))
                least = worst.Item1;
        }
        var found = new int[best.Count];
        for (var i = found.Length - 1; i >= 0; i--)
            found[i] = best.Dequeue();
        return found;
    }

    private static double[] MarginsOf(FeatureRows rows, IReadOnlyList<float> theta)
    {
        var margins = new double[rows.Count];
        rows.Products([.. theta.Select(weight => (double)weight)], margins);
        return margins;
    }

    private double[] Lots(long number)
    {
        var random = new SeededRandom((ulong)seed).Split("random pairs").Split(number);
        return [.. Enumerable.Range(0, rows.Count).Select(_ => random.NextDouble())];
    }
}
