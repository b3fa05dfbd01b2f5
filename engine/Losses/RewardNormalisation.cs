using Portal.Engine.Statistics;

namespace Portal.Engine.Losses;

/// <summary>
/// The line that brings a reward model's scores on reference texts to a wanted mean and deviation.
/// <code>r' = gain · r + bias      gain = s_wanted / s      bias = m_wanted − gain · m</code>
/// </summary>
/// <remarks>
/// A Bradley-Terry reward has no zero and no unit of its own; this gives it one before it is used for RL or compared.
/// s is the sample deviation (n − 1). Source: Ziegler et al. 2019 (1909.08593), lm-human-preference-details. Checked against
/// Golden/loss_vectors.json.
/// </remarks>
/// <param name="Gain">Multiplies the reward; positive.</param>
/// <param name="Bias">Is added after.</param>
public sealed record RewardNormalisation(double Gain, double Bias)
{
    /// <summary>Fits the line to rewards of reference texts.</summary>
    /// <exception cref="ArgumentException">Fewer than two rewards, one that is not finite, or all the same.</exception>
    public static RewardNormalisation Fit(IReadOnlyList<double> rewards, double wantedMean = 0, double wantedDeviation = 1)
    {
        if (rewards.Count < 2 || !rewards.All(double.IsFinite))
        {
            throw new ArgumentException($"{rewards.Count} rewards, {rewards.Count(reward => !double.IsFinite(reward))} of them not finite: at least two finite ones are needed");
        }

        var mean = rewards.Average();
        var deviation = SampleDeviation.Of(rewards);
        if (deviation == 0)
        {
            throw new ArgumentException($"all {rewards.Count} rewards are {mean}: a constant cannot be scaled to a deviation");
        }

        var gain = wantedDeviation / deviation;
        return new RewardNormalisation(gain, wantedMean - (gain * mean));
    }

    /// <summary>The normalised reward.</summary>
    public double Apply(double reward)
    {
        return (Gain * reward) + Bias;
    }
}
