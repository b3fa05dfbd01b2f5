namespace Portal.Engine.Agreement;

/// <summary>
/// Fleiss' kappa: how far many annotators agree beyond chance, with label frequencies in common.
/// <code>P_i = (Σ_k n_ik² − n_i) / (n_i (n_i − 1))      P_e = Σ_k p_k²      κ = (mean P_i − P_e) / (1 − P_e)</code>
/// </summary>
/// <remarks>
/// Items may have different numbers of votes n_i (a usual extension): those with fewer than two say nothing about agreement and are left out, also of the frequencies p_k.
/// Every item weighs the same, however many votes it has; Krippendorff's alpha weighs by votes.
/// Source: Fleiss 1971, "Measuring nominal scale agreement among many raters". Checked against golden/loss_vectors.json and golden/annotation_golden.json.
/// </remarks>
public static class FleissKappa
{
    /// <summary>Kappa of a table: row = item, column = label, cell = how many gave this label. [items][labels].</summary>
    /// <exception cref="ArgumentException">No item has two votes, rows differ in length, or a cell is negative.</exception>
    public static ChanceCorrected Compute(IReadOnlyList<IReadOnlyList<int>> counts)
    {
        double agreement = 0, votes = 0;
        int items = 0;
        double[] frequency = counts.Count == 0 ? [] : new double[counts[0].Count];
        for (int i = 0; i < counts.Count; i++)
        {
            IReadOnlyList<int> row = counts[i];
            if (row.Count != frequency.Length) throw new ArgumentException($"Item {i} has {row.Count} labels where the first has {frequency.Length}.", nameof(counts));
            double n = 0, squares = 0;
            foreach (int count in row)
            {
                if (count < 0) throw new ArgumentException($"Item {i} has a negative count.", nameof(counts));
                n += count;
                squares += (double)count * count;
            }

            if (n < 2) continue;
            items++;
            votes += n;
            agreement += (squares - n) / (n * (n - 1));
            for (int k = 0; k < frequency.Length; k++) frequency[k] += row[k];
        }

        if (items == 0) throw new ArgumentException("No item has two votes, so there is no agreement to measure.", nameof(counts));
        return ChanceCorrected.Of(agreement / items, frequency.Sum(f => f / votes * (f / votes)));
    }

    /// <summary>The table for <see cref="Compute"/> from single votes.</summary>
    public static IReadOnlyList<IReadOnlyList<int>> Table(IReadOnlyList<Vote> votes, int labelCount)
    {
        var table = new SortedDictionary<int, int[]>();
        foreach (Vote vote in votes)
        {
            if ((uint)vote.Label >= (uint)labelCount) throw new ArgumentException($"Label {vote.Label} is outside 0 to {labelCount - 1}.", nameof(votes));
            if (!table.TryGetValue(vote.Item, out int[]? row)) table[vote.Item] = row = new int[labelCount];
            row[vote.Label]++;
        }

        return [.. table.Values];
    }
}
