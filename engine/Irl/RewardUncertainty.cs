using Portal.Engine.Statistics;

namespace Portal.Engine.Irl;

/// <summary>How unsure a pair's preference is, and for which of two reasons. Nats.</summary>
/// <param name="Total">H(mean p): at most ln 2.</param>
/// <param name="Aleatoric">Mean H(p): what stays unsure even if the reward were known.</param>
/// <param name="Epistemic">The mutual information of preference and reward: what more data could settle. Not negative.</param>
public readonly record struct PairEntropy(double Total, double Aleatoric, double Epistemic);

/// <summary>Entropies of preferences under many rewards, or under a distribution of them.</summary>
/// <remarks>Source: the Alignment Auditor (specs/fairl.md §2): H_total = H(mean p), H_cond = mean H(p), MI their difference.</remarks>
public static class RewardUncertainty
{
    private const double NodesTo = 8, Spacing = 1 / 8.0;

    private static readonly (double Node, double Weight)[] nodes = Normalised();

    /// <summary>Of the runs' probabilities that the audited completion is preferred.</summary>
    /// <param name="probabilities">σ of each run's margin at its own scale (<see cref="PlattScaling"/>). [M], M ≥ 1, 0 to 1.</param>
    public static PairEntropy OfRuns(ReadOnlySpan<double> probabilities)
    {
        if (probabilities.IsEmpty)
            throw new ArgumentException("There are no probabilities.", nameof(probabilities));
        double mean = 0, aleatoric = 0;
        foreach (var p in probabilities)
        {
            if (!(p >= 0 && p <= 1))
                throw new ArgumentException($"A probability is {p}.", nameof(probabilities));
            (mean, aleatoric) = (mean + p / probabilities.Length, aleatoric + Entropy(p) / probabilities.Length);
        }
        return Made(Math.Min(1, mean), aleatoric);
    }

    /// <summary>Of a margin that is normally distributed.</summary>
    /// <param name="mean">Of the margin, in logits.</param>
    /// <param name="variance">At least 0.</param>
    /// <remarks>
    /// Integrated by the trapezoidal rule in 129 points from −8 to 8 deviations: its error falls as e^{−2π²/(σ h)}, so it is below 1e-15 up to a deviation of 4 and about 1e-7 at 10.
    /// The Auditor draws 128 samples instead.
    /// </remarks>
    public static PairEntropy OfNormal(double mean, double variance)
    {
        var deviation = Math.Sqrt(variance);
        double probability = 0, aleatoric = 0;
        foreach (var (node, weight) in nodes)
        {
            var p = Sigmoid(mean + deviation * node);
            (probability, aleatoric) = (probability + weight * p, aleatoric + weight * Entropy(p));
        }
        return Made(Math.Min(1, probability), aleatoric);
    }

    /// <summary>A_post: the median mutual information of some pairs under a posterior, nats.</summary>
    public static double MedianInformation(LogisticPosterior posterior, PairMatrix pairs)
    {
        var means = new RecoveredReward(posterior.Weights).Margins(pairs);
        return Bootstrap.Quantile([.. means.Select((mean, i) => OfNormal(mean, posterior.Variance(pairs.Difference.AsSpan(i * pairs.Width, pairs.Width))).Epistemic).Order()], 0.5);
    }

    private static PairEntropy Made(double probability, double aleatoric)
    {
        var total = Entropy(probability);
        return new PairEntropy(total, Math.Min(aleatoric, total), Math.Max(0, total - aleatoric)); // rounding may turn 0 into −1e-17
    }

    private static double Entropy(double p) => p is <= 0 or >= 1 ? 0 : -p * Math.Log(p) - (1 - p) * double.LogP1(-p);

    private static double Sigmoid(double x) => x >= 0 ? 1 / (1 + Math.Exp(-x)) : Math.Exp(x) / (1 + Math.Exp(x));

    private static (double, double)[] Normalised()
    {
        var count = (int)(2 * NodesTo / Spacing) + 1;
        double[] at = [.. Enumerable.Range(0, count).Select(i => -NodesTo + i * Spacing)], density = [.. at.Select(z => Math.Exp(-z * z / 2))];
        var sum = density.Sum();
        return [.. at.Zip(density, (z, weight) => (z, weight / sum))];
    }
}
