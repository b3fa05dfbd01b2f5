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

    /// <summary>The deviation within groups, pooled: √(Σ_g Σ (x − mean_g)² / Σ_g (n_g − 1)); 0 where no group has two values.</summary>
    public static double Within(IEnumerable<IReadOnlyCollection<double>> groups)
    {
        var (squares, free) = (0.0, 0);
        foreach (var own in groups.Where(own => own.Count > 1))
        {
            var deviation = Of(own);
            (squares, free) = (squares + deviation * deviation * (own.Count - 1), free + own.Count - 1);
        }
        return free == 0 ? 0 : Math.Sqrt(squares / free);
    }
}
