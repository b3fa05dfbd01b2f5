namespace Portal.Engine.Statistics;

/// <summary>The standard deviation of a sample.</summary>
public static class SampleDeviation
{
    /// <summary>√(Σ (x − mean)² / (n − 1)); 0 for fewer than two values.</summary>
    public static double Of(IReadOnlyCollection<double> values)
    {
        if (values.Count < 2)
            return 0;
        var mean = values.Average();
        return Math.Sqrt(values.Sum(value => (value - mean) * (value - mean)) / (values.Count - 1));
    }
}
