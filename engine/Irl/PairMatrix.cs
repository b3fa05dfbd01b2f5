using Portal.Engine.Statistics;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Portal.Engine.Irl;

/// <summary>Standardised pairs of one part, each side and their difference contiguous in memory: made once, read by every method, seed and bootstrap.</summary>
public sealed class PairMatrix
{
    private readonly Lazy<ColumnMatrix> columns;

    private PairMatrix(int width, double[] audited, double[] @base, IReadOnlyList<string> prompts, IReadOnlyList<double?> logRatios)
    {
        (Width, Audited, Base, Prompts, LogRatios) = (width, audited, @base, prompts, logRatios);
        Difference = new double[audited.Length];
        TensorPrimitives.Subtract<double>(audited, @base, Difference);
        columns = new Lazy<ColumnMatrix>(() => ColumnMatrix.FromRows(Difference, Count, Width));
    }

    /// <summary>n.</summary>
    public int Count => Prompts.Count;

    /// <summary>d.</summary>
    public int Width { get; }

    /// <summary>z of the audited policy's completions, row by row. [n · d].</summary>
    public double[] Audited { get; }

    /// <summary>z of the base policy's completions. [n · d].</summary>
    public double[] Base { get; }

    /// <summary>Δ = audited − base. [n · d].</summary>
    public double[] Difference { get; }

    /// <summary>Δ with each feature together. Made when first asked for.</summary>
    public ColumnMatrix DifferenceColumns => columns.Value;

    /// <summary>[n].</summary>
    public IReadOnlyList<string> Prompts { get; }

    /// <summary>[n]; null where unknown.</summary>
    public IReadOnlyList<double?> LogRatios { get; }

    /// <summary>Standardises some pairs.</summary>
    public static PairMatrix Of(IReadOnlyList<IrlPair> pairs, FeatureScale scale)
    {
        var d = scale.Width;
        var (audited, @base) = (new double[pairs.Count * d], new double[pairs.Count * d]);
        for (var i = 0; i < pairs.Count; i++)
        {
            scale.Apply(pairs[i].Audited, audited.AsSpan(i * d, d));
            scale.Apply(pairs[i].Base, @base.AsSpan(i * d, d));
        }
        return new PairMatrix(d, audited, @base, [.. pairs.Select(pair => pair.PromptId)], [.. pairs.Select(pair => pair.LogRatio)]);
    }

    /// <summary>The same pairs, some with their sides exchanged: what shuffled labels are.</summary>
    /// <param name="isSwapped">[n].</param>
    public PairMatrix Swapped(bool[] isSwapped)
    {
        var (audited, @base) = ((double[])Audited.Clone(), (double[])Base.Clone());
        for (var i = 0; i < Count; i++)
        {
            if (!isSwapped[i])
                continue;
            Base.AsSpan(i * Width, Width).CopyTo(audited.AsSpan(i * Width));
            Audited.AsSpan(i * Width, Width).CopyTo(@base.AsSpan(i * Width));
        }
        return new PairMatrix(Width, audited, @base, Prompts, [.. LogRatios.Select((dl, i) => isSwapped[i] ? -dl : dl)]);
    }

    /// <summary>Rows of a bootstrap resample: as many prompts as there are, drawn with replacement, each with all of its pairs.</summary>
    public int[] Resample(SeededRandom random)
    {
        var byPrompt = Prompts.Index().GroupBy(entry => entry.Item, entry => entry.Index, StringComparer.Ordinal).Select(group => group.ToArray()).ToArray();
        var draws = random.Split("prompts");
        return [.. Enumerable.Range(0, byPrompt.Length).SelectMany(_ => byPrompt[draws.NextInt(byPrompt.Length)])];
    }
}
