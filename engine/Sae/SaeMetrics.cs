using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Engine.Sae;

/// <summary>How well codes stand for the vectors they were made from.</summary>
/// <param name="Count">Vectors.</param>
/// <param name="Nmse">Mean over vectors of ‖x̂ − x‖² / ‖x‖²: what training lowers. Not the share of variance left over.</param>
/// <param name="Fvu">Fraction of variance unexplained: Σ ‖x̂ − x‖² / Σ ‖x − mean‖², both summed over all vectors before dividing.</param>
/// <param name="Active">L0, mean number of latents above 0.</param>
/// <param name="Cosine">Mean cosine of x̂ and x.</param>
/// <param name="LengthRatio">Mean of ‖x̂‖ / ‖x‖; below 1 is shrinkage.</param>
public sealed record SaeFit(int Count, double Nmse, double Fvu, double Active, double Cosine, double LengthRatio);

/// <summary>Sums from which <see cref="SaeFit"/> is made; batches may be added in any order.</summary>
/// <remarks>
/// Numerator and denominator of FVU are summed apart: a mean of ratios, or a variance about zero, gives another number (SAELens #443, #659). The variance is
/// about the mean of the vectors measured, so that a centre common to all of them counts for nothing.
/// </remarks>
public sealed class SaeFitSums(int width)
{
    private readonly double[] sum = new double[width];
    private double squares, errors, ratios, active, cosines, lengths;
    private int count;

    /// <summary>Adds a batch.</summary>
    /// <param name="x">[N, d].</param>
    /// <param name="reconstruction">[N, d].</param>
    /// <param name="codes">z. [N, w].</param>
    public void Add(Tensor x, Tensor reconstruction, Tensor codes)
    {
        using var scope = NewDisposeScope();
        var (wide, made) = (x.to_type(ScalarType.Float64), reconstruction.to_type(ScalarType.Float64));
        var (size, madeSize) = (wide.square().sum(-1), made.square().sum(-1));
        var error = made.sub(wide).square().sum(-1);
        using (var column = wide.sum(0L).data<double>())
        {
            var at = 0;
            foreach (var value in column)
                sum[at++] += value;
        }
        squares += size.sum().item<double>();
        errors += error.sum().item<double>();
        ratios += error.div(size).sum().item<double>();
        active += codes.gt(0).sum().item<long>();
        cosines += wide.mul(made).sum(-1).div(size.mul(madeSize).sqrt().clamp_min(1e-30)).sum().item<double>();
        lengths += madeSize.div(size).sqrt().sum().item<double>();
        count += (int)x.shape[0];
    }

    /// <summary>The figures; null when nothing was added.</summary>
    public SaeFit? Result => count == 0 ? null
        : new SaeFit(count, ratios / count, errors / Math.Max(squares - sum.Sum(value => value * value) / count, 1e-30), active / count, cosines / count, lengths / count);
}

/// <summary>What is measured on an SAE: fit at each kind of position, and which latents are ever used.</summary>
/// <param name="All">All vectors; <paramref name="End"/> and <paramref name="Sentence"/> those of a kind, null where there is none.</param>
/// <param name="Firing">For each latent the vectors in which it is above 0.</param>
/// <param name="FiringAtEnd">The same at the ends of responses only.</param>
public sealed record SaeUse(SaeFit All, SaeFit? End, SaeFit? Sentence, IReadOnlyList<int> Firing, IReadOnlyList<int> FiringAtEnd)
{
    /// <summary>Share of latents that no vector uses.</summary>
    public double DeadShare => Firing.Count(count => count == 0) / (double)Firing.Count;

    /// <summary>Share of latents never above 0 where a reward is read: a head can do nothing with them.</summary>
    public double DeadShareAtEnd => FiringAtEnd.Count(count => count == 0) / (double)FiringAtEnd.Count;
}

/// <summary>Measures SAEs, and what they must be better than, on the vectors of a store.</summary>
public static class SaeMetrics
{
    private const int RowsAtOnce = 1_024;

    /// <summary>Runs an SAE over some rows.</summary>
    /// <param name="rows">Rows of the store, at least one.</param>
    public static SaeUse Measure(TopKSae sae, ActivationStore store, IReadOnlyList<int> rows, CancellationToken stop)
    {
        using var noGrad = no_grad();
        var (all, end, sentence) = (new SaeFitSums(store.Width), new SaeFitSums(store.Width), new SaeFitSums(store.Width));
        var (firing, atEnd) = (new int[sae.Config.Latents], new int[sae.Config.Latents]);
        foreach (var kind in rows.GroupBy(row => store.Places[row].Position))
        {
            foreach (var chunk in kind.Chunk(RowsAtOnce))
            {
                stop.ThrowIfCancellationRequested();
                using var scope = NewDisposeScope();
                var x = Normalised(sae.Config, store, chunk);
                var centre = sae.CentreOf(kind.Key);
                var codes = sae.Select(sae.PreActivations(x, centre));
                var made = sae.Decode(codes, centre);
                all.Add(x, made, codes.Values);
                (kind.Key is SaePosition.ResponseEnd ? end : sentence).Add(x, made, codes.Values);
                Count(codes, firing);
                if (kind.Key is SaePosition.ResponseEnd)
                    Count(codes, atEnd);
            }
        }
        return new SaeUse(all.Result ?? throw new ArgumentException("There are no rows to measure on."), end.Result, sentence.Result, firing, atEnd);
    }

    /// <summary>FVU of the best linear code with as many numbers as an SAE has active latents: the k first principal components, found on other rows.</summary>
    /// <returns>On <paramref name="measured"/>, about their own mean as for SAEs.</returns>
    public static double PrincipalComponents(SaeConfig config, ActivationStore store, IReadOnlyList<int> fitted, IReadOnlyList<int> measured, CancellationToken stop)
    {
        using var code = LinearCode.Fit(config, store, fitted, stop);
        return code.Fvu(config, store, measured, stop);
    }

    /// <summary>
    /// The control of every claim about features: an encoder that was never trained, with the best decoder that its codes allow (least squares with a
    /// little ridge). FVU and dead latents of a trained SAE mean something only where they are better.
    /// </summary>
    /// <param name="sae">Whose shape, normaliser and centres the control shares.</param>
    public static TopKSae RandomFrozen(TopKSae sae, ActivationStore store, IReadOnlyList<int> fitted, long seed, CancellationToken stop)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var config = sae.Config with { Selection = Portal.Data.JobSpecs.SaeSelection.TopK };
        var random = TopKSae.Fresh(config, new Statistics.SeededRandom((ulong)seed).Split("random frozen").Split(0).NextInt(int.MaxValue));
        random.PreBias.copy_(sae.PreBias);
        var (gram, target) = (zeros(config.Latents, config.Latents), zeros(config.Latents, config.Width));
        foreach (var kind in fitted.GroupBy(row => store.Places[row].Position))
        {
            foreach (var chunk in kind.Chunk(RowsAtOnce))
            {
                stop.ThrowIfCancellationRequested();
                using var inner = NewDisposeScope();
                var x = Normalised(config, store, chunk);
                var centre = random.CentreOf(kind.Key);
                var codes = random.Select(random.PreActivations(x, centre));
                var dense = zeros(chunk.Length, config.Latents).scatter(1, codes.Indices, codes.Values);
                gram.add_(dense.t().mm(dense));
                target.add_(dense.t().mm(x.sub(centre)));
            }
        }
        var ridge = 1e-4 * gram.diagonal().mean().item<float>() + 1e-6;
        random.DecoderWeight.copy_(linalg.solve(gram.add(eye(config.Latents).mul(ridge)), target));
        return random;
    }

    /// <summary>Rows of a store, normalised. [N, d].</summary>
    public static Tensor Normalised(SaeConfig config, ActivationStore store, IReadOnlyList<int> rows)
    {
        var values = new float[(long)rows.Count * store.Width];
        for (var i = 0; i < rows.Count; i++)
            ZScore.Apply(config, store[rows[i]], values.AsSpan(i * store.Width, store.Width));
        return tensor(values, [rows.Count, store.Width]);
    }

    private static void Count(SparseCodes codes, int[] firing)
    {
        using var indices = codes.Indices.data<long>();
        using var values = codes.Values.contiguous().data<float>();
        foreach (var (index, value) in indices.Zip(values))
        {
            if (value > 0)
                firing[index]++;
        }
    }
}
