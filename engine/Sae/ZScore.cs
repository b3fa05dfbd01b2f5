using System.Numerics.Tensors;

namespace Portal.Engine.Sae;

/// <summary>The normaliser of SAEs on plain memory: each vector to mean 0 and deviation 1. <see cref="TopKSae.Normalise"/> is the same with gradients.</summary>
public static class ZScore
{
    /// <summary>x = (h − mean) / (s + ε), s the deviation with d − 1.</summary>
    /// <param name="hidden">h, d ≥ 2 finite numbers.</param>
    /// <param name="normalised">Receives x; may be the same memory.</param>
    /// <returns>Mean and deviation, which undo it: h = x·(s + ε) + mean.</returns>
    public static (float Mean, float Deviation) Apply(ReadOnlySpan<float> hidden, Span<float> normalised, double epsilon)
    {
        var mean = TensorPrimitives.Sum(hidden) / hidden.Length;
        TensorPrimitives.Subtract(hidden, mean, normalised);
        var deviation = MathF.Sqrt(TensorPrimitives.SumOfSquares<float>(normalised) / (hidden.Length - 1));
        TensorPrimitives.Divide(normalised, deviation + (float)epsilon, normalised);
        return (mean, deviation);
    }

    /// <summary>Normalises a row as an SAE's config says.</summary>
    public static void Apply(SaeConfig config, ReadOnlySpan<float> hidden, Span<float> normalised)
    {
        if (config.Normalisation is SaeNormalisation.ZScore)
            Apply(hidden, normalised, config.NormaliserEpsilon);
        else
            hidden.CopyTo(normalised);
    }
}
