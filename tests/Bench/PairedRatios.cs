namespace Portal.Bench;

/// <summary>What a row of a bench may claim.</summary>
public enum Verdict
{
    /// <summary>The target is reached, and the pairs agree well enough to say so.</summary>
    Ok,

    /// <summary>The pairs agree, and the target is not reached.</summary>
    Missed,

    /// <summary>Too few pairs, or they differ too much: nothing is claimed.</summary>
    Inconclusive,

    /// <summary>The two sides did not compute the same, or the run broke its own rules: the times mean nothing.</summary>
    Invalid,
}

/// <summary>
/// Ratios of pairs, each measured side by side so that what disturbs the machine disturbs both, and the rule that turns them into a verdict.
/// </summary>
/// <param name="Tries">The ratios of each try; all of them count, none is left out.</param>
public sealed record PairedRatios(IReadOnlyList<IReadOnlyList<double>> Tries)
{
    /// <summary>A verdict needs at least so many pairs.</summary>
    public const int PairsMin = 7;

    /// <summary>And their spread must not be above this.</summary>
    public const double SpreadMax = 0.10;

    /// <summary>The pairs of all tries together.</summary>
    public IReadOnlyList<double> Pooled { get; } = [.. Tries.SelectMany(pairs => pairs)];

    /// <summary>The middle ratio; NaN without pairs.</summary>
    public double Median => Quantile(Pooled, 0.5);

    /// <summary>Interquartile range over median; NaN without pairs.</summary>
    public double Spread => (Quantile(Pooled, 0.75) - Quantile(Pooled, 0.25)) / Median;

    /// <summary>The verdict on a ratio that must be at least <paramref name="target"/>.</summary>
    /// <param name="invalid">Why the row is invalid; null when it is not.</param>
    public Verdict AtLeast(double target, string? invalid = null) =>
        invalid is not null ? Verdict.Invalid
        : Pooled.Count < PairsMin || !(Spread <= SpreadMax) ? Verdict.Inconclusive
        : Median >= target ? Verdict.Ok
        : Verdict.Missed;

    /// <summary>
    /// The verdict on a latency that may be at most <paramref name="target"/> times the idle one. Single tail latencies scatter by nature, so
    /// their range is printed and not judged; the number of runs is.
    /// </summary>
    public Verdict AtMost(double target, string? invalid = null) =>
        invalid is not null ? Verdict.Invalid
        : Pooled.Count < PairsMin || double.IsNaN(Median) ? Verdict.Inconclusive
        : Median <= target ? Verdict.Ok
        : Verdict.Missed;

    /// <summary>The value below which a share of the values lies, linear between neighbours (Hyndman and Fan's type 7, numpy's default); NaN for none.</summary>
    public static double Quantile(IReadOnlyList<double> values, double share)
    {
        if (share is not (>= 0 and <= 1))
            throw new ArgumentOutOfRangeException(nameof(share), share, "A share is between 0 and 1.");
        if (values.Count == 0)
            return double.NaN;
        var sorted = values.Order().ToArray();
        var place = share * (sorted.Length - 1);
        var below = (int)Math.Floor(place);
        var above = Math.Min(below + 1, sorted.Length - 1);
        return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
    }
}
