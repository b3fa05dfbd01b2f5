namespace Portal.Web.Components;

/// <summary>
/// Wilson's score interval of a share: good for small n and for shares near 0 and 1, where the plain ±1.96 standard errors leave [0, 1].
/// </summary>
public static class WilsonInterval
{
    private const double Z = 1.959963984540054; // the 97.5 % point of the normal distribution

    /// <summary>The share with its 95 % interval; null for n = 0, where nothing can be said.</summary>
    /// <param name="successes">0 to <paramref name="count"/>; halves are allowed (a tie is half a win), which makes the interval a little too wide.</param>
    /// <param name="count">n, independent cases.</param>
    /// <exception cref="ArgumentOutOfRangeException">More successes than cases, or a negative number.</exception>
    /// <remarks>Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".</remarks>
    public static Measure? Of(double successes, int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfNegative(successes);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(successes, count);
        if (count == 0)
            return null;
        var share = successes / count;
        var z2 = Z * Z / count;
        var centre = (share + z2 / 2) / (1 + z2);
        var half = Z * Math.Sqrt((share * (1 - share) / count) + (z2 / 4 / count)) / (1 + z2);
        return new Measure(share, Math.Max(0, centre - half), Math.Min(1, centre + half), count);
    }
}
