namespace Portal.Engine.Statistics;

/// <summary>An estimate that says how sure it is.</summary>
/// <param name="Estimate">The number itself.</param>
/// <param name="Low">Lower end.</param>
/// <param name="High">Upper end.</param>
/// <param name="Level">How often such an interval holds the truth, e.g. 0.95.</param>
/// <param name="Count">How many independent observations it rests on (pairs, or groups where these were resampled).</param>
public readonly record struct ConfidenceInterval(double Estimate, double Low, double High, double Level, int Count)
{
    /// <summary>Whether the whole interval lies above a value.</summary>
    public bool IsAbove(double value) => Low > value;

    /// <summary>Whether the value lies in the interval, ends included.</summary>
    public bool Holds(double value) => Low <= value && value <= High;
}

/// <summary>
/// Wilson's score interval for a share: sound for small n and near 0 and 1, where "p ± 1.96 s" is not.
/// <code>centre = (p + z²/2n) / (1 + z²/n)      half = z √(p(1−p)/n + z²/4n²) / (1 + z²/n)</code>
/// </summary>
/// <remarks>Takes trials for independent: pairs that share a prompt are not; then use <see cref="Bootstrap"/> by prompt and show both. Source: Wilson 1927.</remarks>
public static class WilsonInterval
{
    /// <summary>The interval of a share; 0 ≤ Low ≤ Estimate ≤ High ≤ 1.</summary>
    /// <param name="successes">0 to <paramref name="trials"/>; half successes (a tie of two scores) are allowed.</param>
    /// <param name="trials">At least 1.</param>
    /// <param name="level">Strictly between 0 and 1.</param>
    /// <exception cref="ArgumentException">No trials, or successes outside their range.</exception>
    public static ConfidenceInterval Compute(double successes, int trials, double level = 0.95)
    {
        if (trials < 1 || !(successes >= 0 && successes <= trials)) throw new ArgumentException($"There must be at least one trial and 0 to that many successes, not {successes} of {trials}.");
        double z = NormalDistribution.TwoSided(level), n = trials, p = successes / n, zz = z * z;
        double centre = (p + zz / (2 * n)) / (1 + zz / n), half = z * Math.Sqrt(p * (1 - p) / n + zz / (4 * n * n)) / (1 + zz / n);
        // Rounding may put an end a hair on the wrong side of the estimate at 0 and 1.
        return new ConfidenceInterval(p, Math.Clamp(centre - half, 0, p), Math.Clamp(centre + half, p, 1), level, trials);
    }
}
