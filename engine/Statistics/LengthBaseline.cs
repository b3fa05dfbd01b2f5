namespace Portal.Engine.Statistics;

/// <summary>
/// The baseline that looks at nothing but length: one number learnt from training pairs says whether, and how much, people there preferred the longer response.
/// <code>P(first better) = σ(w · (ln(1 + |first|) − ln(1 + |second|)))</code>
/// </summary>
/// <remarks>Lengths are characters (Unicode code points), so no tokenizer takes part. A reward model that does not beat this has learnt length.</remarks>
public sealed class LengthBaseline
{
    private LengthBaseline(double weight) => Weight = weight;

    /// <summary>w: positive where the longer response was preferred.</summary>
    public double Weight { get; }

    /// <summary>Learns the direction from training pairs.</summary>
    /// <param name="pairs">Preferred and other response; at least one pair.</param>
    /// <param name="stop">Looked at before every step of the fit.</param>
    public static LengthBaseline Fit(IReadOnlyList<(string Chosen, string Rejected)> pairs, CancellationToken stop)
    {
        SparseVector[] rows = [.. pairs.Select(pair => new SparseVector([0], [LogLength(pair.Chosen) - LogLength(pair.Rejected)]))];
        // The penalty only keeps w finite where one direction explains every pair.
        return new LengthBaseline(LogisticRegression.Fit(rows, [.. Enumerable.Repeat(true, rows.Length)], 1, 1e-4, intercept: false, stop).Weights[0]);
    }

    /// <summary>Log-odds that the first is better; 0 where both are equally long.</summary>
    public double Difference(string first, string second) => Weight * (LogLength(first) - LogLength(second));

    private static double LogLength(string text) => Math.Log(1 + text.EnumerateRunes().Count());
}
