namespace Portal.Engine.Agreement;

/// <summary>Krippendorff's alpha with its parts.</summary>
/// <param name="ObservedDisagreement">D_o, 0 to 1.</param>
/// <param name="ExpectedDisagreement">D_e, 0 to 1.</param>
/// <param name="Alpha">1 − D_o / D_e, at most 1; null where only one label was ever used.</param>
/// <param name="PairableVotes">Votes on items that have at least two.</param>
public sealed record KrippendorffResult(double ObservedDisagreement, double ExpectedDisagreement, double? Alpha, long PairableVotes);

/// <summary>
/// Krippendorff's alpha for labels without an order: agreement beyond chance with any number of annotators and missing votes.
/// <code>α = 1 − D_o / D_e      o_ck = Σ_units (pairs of label c with k) / (m_u − 1)      D_e = Σ_{c≠k} n_c n_k / (n (n − 1))</code>
/// </summary>
/// <remarks>
/// Units with one vote are left out. Source: Krippendorff 2011, "Computing Krippendorff's alpha-reliability" (coincidence matrix).
/// Checked against golden/loss_vectors.json, golden/annotation_golden.json and the worked example of that paper.
/// </remarks>
public static class KrippendorffAlpha
{
    /// <summary>Alpha of units, each with the labels given to it (missing ones left out). Labels are any non-negative numbers.</summary>
    /// <exception cref="ArgumentException">No unit has two votes, or a label is negative.</exception>
    public static KrippendorffResult Nominal(IReadOnlyList<IReadOnlyList<int>> units)
    {
        var totals = new Dictionary<int, double>();
        double disagreeing = 0, n = 0;
        foreach (IReadOnlyList<int> unit in units)
        {
            int m = unit.Count;
            if (m < 2) continue;
            var counts = new Dictionary<int, double>();
            foreach (int label in unit)
            {
                if (label < 0) throw new ArgumentException($"A unit has the negative label {label}.", nameof(units));
                counts[label] = counts.GetValueOrDefault(label) + 1;
                totals[label] = totals.GetValueOrDefault(label) + 1;
            }

            // Ordered pairs of unequal labels in this unit: m² less those of equal labels.
            disagreeing += ((double)m * m - counts.Values.Sum(count => count * count)) / (m - 1);
            n += m;
        }

        if (n < 2) throw new ArgumentException("No unit has two votes, so there is no agreement to measure.", nameof(units));
        double observed = disagreeing / n, expected = (n * n - totals.Values.Sum(total => total * total)) / (n * (n - 1));
        return new KrippendorffResult(observed, expected, expected > 0 ? 1 - observed / expected : null, (long)n);
    }
}
