namespace Portal.Engine.Irl;

/// <summary>
/// Brings features to mean 0 and standard deviation 1, by the training pool (completions of both policies) only; the same numbers serve every later round, method and page.
/// </summary>
/// <param name="Mean">[d].</param>
/// <param name="Deviation">Population standard deviation, [d]; 0 for a feature that is constant on the pool.</param>
/// <remarks>
/// Departure from the Auditor's code, which divides by at least 1e-6: a constant feature is scaled to 0 here. Otherwise one that first varies in a test text would count a million-fold with a
/// weight that nothing ever trained.
/// </remarks>
public sealed record FeatureScale(double[] Mean, double[] Deviation)
{
    /// <summary>Below it a feature counts as constant.</summary>
    public const double DeviationMin = 1e-6;

    /// <summary>d.</summary>
    public int Width => Mean.Length;

    /// <summary>Features that say nothing because they are constant on the training pool.</summary>
    public IReadOnlyList<int> Constant { get; } = [.. Enumerable.Range(0, Mean.Length).Where(feature => Deviation[feature] == 0)];

    /// <summary>Learns the scale.</summary>
    /// <param name="pool">Completions of the training part, at least one; all of the same width.</param>
    public static FeatureScale Learn(IReadOnlyList<float[]> pool)
    {
        var width = pool[0].Length;
        var (mean, square) = (new double[width], new double[width]);
        foreach (var features in pool)
        {
            for (var j = 0; j < width; j++)
                mean[j] += features[j];
        }
        for (var j = 0; j < width; j++)
            mean[j] /= pool.Count;
        foreach (var features in pool)
        {
            for (var j = 0; j < width; j++)
                square[j] += (features[j] - mean[j]) * (features[j] - mean[j]);
        }
        return new FeatureScale(mean, [.. square.Select(sum => Math.Sqrt(sum / pool.Count)).Select(deviation => deviation < DeviationMin ? 0 : deviation)]);
    }

    /// <summary>Standardises one completion.</summary>
    /// <param name="features">[d].</param>
    /// <param name="into">z, [d].</param>
    public void Apply(ReadOnlySpan<float> features, Span<double> into)
    {
        for (var j = 0; j < into.Length; j++)
            into[j] = Deviation[j] == 0 ? 0 : (features[j] - Mean[j]) / Deviation[j];
    }
}
