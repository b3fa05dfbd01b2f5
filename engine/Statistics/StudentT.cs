namespace Portal.Engine.Statistics;

/// <summary>Student's t distribution for whole degrees of freedom: intervals of a mean over a few seeds.</summary>
/// <remarks>Source: Abramowitz and Stegun 26.7.3 and 26.7.4, which are finite sums, so exact up to rounding.</remarks>
public static class StudentT
{
    /// <summary>The t of a two-sided interval: 4.303 at level 0.95 and 2 degrees of freedom.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The level is not strictly between 0 and 1, or there is no degree of freedom.</exception>
    public static double TwoSided(double level, int degrees)
    {
        if (level is not (> 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(level), level, "A level lies strictly between 0 and 1.");
        if (degrees < 1) throw new ArgumentOutOfRangeException(nameof(degrees), degrees, "There must be one degree of freedom at least.");
        double low = 0, high = 1;
        while (Within(high, degrees) < level) high *= 2;
        for (int step = 0; step < 200 && high - low > 1e-14 * high; step++)
        {
            double middle = (low + high) / 2;
            if (Within(middle, degrees) < level) low = middle;
            else high = middle;
        }

        return (low + high) / 2;
    }

    /// <summary>p of a mean of 0, two-sided, of paired differences; 1 where there are fewer than two, or their mean is 0, 0 where they are all the same and not 0.</summary>
    /// <param name="rounding">A mean up to it counts as 0, and a deviation up to this share of the mean as none.</param>
    public static double PairedP(IReadOnlyCollection<double> differences, double rounding = 0)
    {
        if (differences.Count < 2) return 1;
        double mean = Math.Abs(differences.Average()), deviation = SampleDeviation.Of(differences);
        if (mean <= rounding) return 1;
        return deviation <= rounding * mean ? 0 : Math.Clamp(1 - Within(mean / deviation * Math.Sqrt(differences.Count), differences.Count - 1), 0, 1);
    }

    /// <summary>P(|T| ≤ t) for t ≥ 0, 0 to 1.</summary>
    public static double Within(double t, int degrees)
    {
        double angle = Math.Atan(t / Math.Sqrt(degrees)), sine = Math.Sin(angle), cosine = Math.Cos(angle);
        bool isOdd = degrees % 2 == 1;
        // Terms run over powers of the cosine: odd ones from 1, even ones from 0, each a fraction of the one before.
        double term = isOdd ? cosine : 1, sum = degrees == 1 ? 0 : term;
        for (int power = isOdd ? 3 : 2; power <= degrees - 2; power += 2)
            sum += term *= cosine * cosine * (power - 1) / power;
        return isOdd ? 2 / Math.PI * (angle + (sine * sum)) : sine * sum;
    }
}
