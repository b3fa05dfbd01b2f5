namespace Portal.Engine.Agreement;

/// <summary>Agreement corrected for chance: what was seen, what chance would give, and the coefficient.</summary>
/// <param name="Observed">Share of agreeing pairs of labels, 0 to 1.</param>
/// <param name="Expected">The share that the labels' frequencies alone would give, 0 to 1.</param>
/// <param name="Kappa">(Observed - Expected) / (1 - Expected), at most 1; null where only one label was ever used, since then chance explains all and nothing can be said.</param>
public sealed record ChanceCorrected(double Observed, double Expected, double? Kappa)
{
    internal static ChanceCorrected Of(double observed, double expected) =>
        new(observed, expected, 1 - expected > 1e-15 ? (observed - expected) / (1 - expected) : null);
}

/// <summary>
/// Cohen's kappa: how far two annotators agree beyond chance, each with label frequencies of their own.
/// <code>κ = (p_o − p_e) / (1 − p_e)      p_e = Σ_k a_k b_k / n²</code>
/// </summary>
/// <remarks>Source: Cohen 1960, "A coefficient of agreement for nominal scales". Checked against golden/loss_vectors.json and the kappas published for PandaLM's test set.</remarks>
public static class CohenKappa
{
    /// <summary>Kappa of two annotators over the same items, in the same order. [N], N ≥ 1; labels are any non-negative numbers.</summary>
    /// <exception cref="ArgumentException">The lengths differ or are 0, or a label is negative.</exception>
    public static ChanceCorrected Compute(ReadOnlySpan<int> first, ReadOnlySpan<int> second)
    {
        if (first.Length != second.Length || first.Length == 0)
            throw new ArgumentException($"Two annotators' labels must be equally many and at least one; they are {first.Length} and {second.Length}.");
        var a = new Dictionary<int, long>();
        var b = new Dictionary<int, long>();
        long agree = 0;
        for (int i = 0; i < first.Length; i++)
        {
            if (first[i] < 0 || second[i] < 0) throw new ArgumentException($"Item {i} has a negative label.");
            if (first[i] == second[i]) agree++;
            a[first[i]] = a.GetValueOrDefault(first[i]) + 1;
            b[second[i]] = b.GetValueOrDefault(second[i]) + 1;
        }

        double n = first.Length;
        double expected = a.Sum(entry => entry.Value / n * (b.GetValueOrDefault(entry.Key) / n));
        return ChanceCorrected.Of(agree / n, expected);
    }
}
