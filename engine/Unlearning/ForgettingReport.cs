using Portal.Engine.Influence;
using Portal.Engine.Statistics;

namespace Portal.Engine.Unlearning;

/// <summary>Margins of a model, on what forgetting is measured by.</summary>
/// <param name="Gone">Of the pairs that went.</param>
/// <param name="HeldOut">Of pairs that no model was trained on; at least one.</param>
/// <param name="Neighbours">Of pairs that are kept and lie nearest to those that went.</param>
/// <param name="BadReward">Mean reward of the bad responses above what they are compared with; null where there are none.</param>
public sealed record ForgettingMargins(double[] Gone, double[] HeldOut, double[] Neighbours, double? BadReward);

/// <summary>What unlearning did to a reward model, beside the one that never saw the pairs.</summary>
/// <param name="Distance">Of a head ‖θ − θ_gold‖ over ‖θ₀ − θ_gold‖: 0 is gold, 1 is as before. Null for whole models, which differ in weights that change nothing.</param>
/// <param name="HeldOutAccuracy">Share of held-out pairs whose chosen answer scores higher; ties count half.</param>
/// <param name="NeighbourAccuracy">The same on the pairs that are kept and lie nearest to those that went: where damage shows first.</param>
/// <param name="BadReward">Mean reward of the bad responses above what they are compared with; null where there are none.</param>
/// <param name="MarginDistance">Kolmogorov-Smirnov between the margins of the pairs that went and gold's.</param>
/// <param name="ProbabilityDifference">Mean |p − p_gold| over held-out pairs, p the preference probability.</param>
/// <param name="MembershipAuc">How well a pair's loss tells pairs that went from held-out ones: .5 is not at all.</param>
/// <param name="PrivLeak">((1 − AUC) − (1 − AUC_gold)) / (1 − AUC_gold), in per cent: 0 is gold's, below 0 is too little forgotten, above too much.</param>
public sealed record ForgettingReport(double? Distance, double HeldOutAccuracy, double NeighbourAccuracy, double? BadReward, KolmogorovSmirnovResult MarginDistance, double ProbabilityDifference, double MembershipAuc, double PrivLeak)
{
    /// <summary>A model beside gold.</summary>
    public static ForgettingReport Of(ForgettingMargins own, ForgettingMargins gold, double? distance = null)
    {
        var (auc, aucGold) = (Membership(own), Membership(gold));
        return new ForgettingReport(distance, Accuracy(own.HeldOut), Accuracy(own.Neighbours), own.BadReward, KolmogorovSmirnov.Compare(own.Gone, gold.Gone),
            own.HeldOut.Zip(gold.HeldOut, (one, other) => Math.Abs(PairHead.Slack(-one) - PairHead.Slack(-other))).Average(), auc, 100 * (aucGold - auc) / Math.Max(1e-9, 1 - aucGold));
    }

    /// <summary>Share of margins above 0; ties count half. NaN for none.</summary>
    public static double Accuracy(IReadOnlyList<double> margins) => margins.Count == 0 ? double.NaN : margins.Average(margin => margin > 0 ? 1 : margin == 0 ? 0.5 : 0);

    /// <summary>The area under the curve of "larger margin, so smaller loss: it was trained on".</summary>
    private static double Membership(ForgettingMargins margins) =>
        AreaUnderCurve.Compute([.. margins.Gone, .. margins.HeldOut], [.. margins.Gone.Select(_ => true), .. margins.HeldOut.Select(_ => false)]) ?? 0.5; // both sides have some
}

/// <summary>Measures heads after unlearning. Source: specs/xrlhf.md §4.2 ("Reward-model analogues"), §5.3; MUSE (2407.06460) for PrivLeak.</summary>
/// <param name="all">The pairs the head was trained on, S included.</param>
/// <param name="gone">S.</param>
/// <param name="heldOut">Δφ of pairs that no head was trained on; at least one.</param>
/// <param name="bad">q of bad responses.</param>
/// <param name="before">θ₀. [d].</param>
/// <param name="gold">θ of the head trained without S. [d].</param>
public sealed class ForgettingMeasure(PairHead all, IReadOnlyCollection<int> gone, FeatureRows heldOut, IReadOnlyList<double[]> bad, double[] before, double[] gold)
{
    /// <summary>Pairs that are kept and counted as neighbours.</summary>
    public const int Neighbours = 500;

    private readonly int[] neighbours = Nearest(all, gone);

    /// <summary>Measures a head.</summary>
    public ForgettingReport Of(double[] theta) => ForgettingReport.Of(Margins(theta), Margins(gold), Length(theta, gold) / Math.Max(1e-300, Length(before, gold)));

    private ForgettingMargins Margins(double[] theta)
    {
        var own = all.Margins(theta);
        return new ForgettingMargins([.. gone.Select(row => own[row])], Products(heldOut, theta), [.. neighbours.Select(row => own[row])], bad.Count == 0 ? null : bad.Average(query => System.Numerics.Tensors.TensorPrimitives.Dot<double>(theta, query)));
    }

    private static double[] Products(FeatureRows rows, double[] theta)
    {
        var products = new double[rows.Count];
        rows.Products(theta, products);
        return products;
    }

    private static double Length(double[] one, double[] other) => Math.Sqrt(one.Zip(other, (a, b) => (a - b) * (a - b)).Sum());

    /// <summary>Rows that are kept, by their distance to the nearest of those that went.</summary>
    internal static int[] Nearest(PairHead all, IReadOnlyCollection<int> gone)
    {
        var least = new double[all.Rows.Count];
        Array.Fill(least, double.PositiveInfinity);
        var products = new double[all.Rows.Count];
        var v = new double[all.Rows.Width];
        foreach (var row in gone)
        {
            all.Rows.CopyTo(row, [], v);
            all.Rows.Products(v, products);
            for (var i = 0; i < least.Length; i++)
                least[i] = Math.Min(least[i], all.Rows.Squares[i] - 2 * products[i] + all.Rows.Squares[row]);
        }
        var isGone = gone.ToHashSet();
        return [.. Enumerable.Range(0, least.Length).Where(row => all.Counts[row] > 0 && !isGone.Contains(row)).OrderBy(row => least[row]).ThenBy(row => row).Take(Neighbours)];
    }
}
