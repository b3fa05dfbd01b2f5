namespace Portal.Engine.Statistics;

/// <summary>The standard normal distribution: area to the left, and its inverse.</summary>
/// <remarks>
/// The area is computed from the error function's series (|x| small) or continued fraction (|x| large), accurate to about 1e-13 relative, also far out in the tails. The inverse is
/// found by bisection and then Newton steps on it. Source of both expansions: Abramowitz and Stegun 7.1.6 and 7.1.14.
/// </remarks>
public static class NormalDistribution
{
    /// <summary>P(Z ≤ z), 0 to 1.</summary>
    public static double Cdf(double z) => z < 0 ? UpperTail(-z) : 1 - UpperTail(z);

    /// <summary>The z with P(Z ≤ z) = probability; ±infinity at 0 and 1.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The probability is not in [0, 1].</exception>
    public static double Quantile(double probability)
    {
        if (!(probability >= 0 && probability <= 1)) throw new ArgumentOutOfRangeException(nameof(probability), probability, "A probability lies in [0, 1].");
        if (probability == 0.5) return 0;
        if (probability > 0.5) return -Quantile(1 - probability);
        if (probability == 0) return double.NegativeInfinity;
        double low = -40, high = 0;
        for (int step = 0; step < 60; step++)
        {
            double middle = (low + high) / 2;
            if (Cdf(middle) < probability) low = middle;
            else high = middle;
        }

        double z = (low + high) / 2;
        double density = Math.Exp(-z * z / 2) / Math.Sqrt(2 * Math.PI);
        return density > 0 ? z - (Cdf(z) - probability) / density : z;
    }

    /// <summary>The z of a two-sided interval: 1.96 at level 0.95.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The level is not strictly between 0 and 1.</exception>
    public static double TwoSided(double level)
    {
        if (!(level > 0 && level < 1)) throw new ArgumentOutOfRangeException(nameof(level), level, "A level lies strictly between 0 and 1.");
        return -Quantile((1 - level) / 2);
    }

    // P(Z > z) for z >= 0.
    private static double UpperTail(double z)
    {
        double x = z / Math.Sqrt(2);
        if (x < 2)
        {
            // erf(x) = 2/√π e^{-x²} Σ 2^n x^{2n+1} / (1·3·…·(2n+1)): all terms positive, no cancellation.
            double term = x, sum = x;
            for (int n = 1; term > sum * 1e-17 && n < 200; n++) sum += term *= 2 * x * x / (2 * n + 1);
            return 0.5 - sum * Math.Exp(-x * x) / Math.Sqrt(Math.PI);
        }

        // √π e^{x²} erfc(x) = 1/(x + (1/2)/(x + 1/(x + (3/2)/(x + …)))), from the back.
        double fraction = x;
        for (int n = 120; n >= 1; n--) fraction = x + n / 2.0 / fraction;
        return 0.5 * Math.Exp(-x * x) / Math.Sqrt(Math.PI) / fraction;
    }
}
