using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Engine.Sae;

/// <summary>The best linear code with as many numbers as an SAE has active latents: the k first principal components of normalised states. What an SAE must beat.</summary>
public sealed class LinearCode : IDisposable
{
    private const int RowsAtOnce = 1_024;

    private readonly Tensor centre, directions; // [d], [d, k]

    private LinearCode(Tensor centre, Tensor directions) => (this.centre, this.directions) = (centre, directions);

    /// <summary>Finds the components.</summary>
    /// <param name="config">Whose normaliser and k it shares.</param>
    /// <param name="fitted">Rows of the store, at least one.</param>
    public static LinearCode Fit(SaeConfig config, ActivationStore store, IReadOnlyList<int> fitted, CancellationToken stop)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var d = store.Width;
        var (sum, product) = (zeros(d, ScalarType.Float64), zeros(d, d, ScalarType.Float64));
        foreach (var chunk in fitted.Chunk(RowsAtOnce))
        {
            stop.ThrowIfCancellationRequested();
            using var inner = NewDisposeScope();
            var x = SaeMetrics.Normalised(config, store, chunk).to_type(ScalarType.Float64);
            sum.add_(x.sum(0L));
            product.add_(x.t().mm(x));
        }
        var mean = sum.div(fitted.Count);
        var covariance = product.div(fitted.Count).sub(mean.view(d, 1).mm(mean.view(1, d)));
        var directions = linalg.eigh(covariance).Item2.narrow(1, Math.Max(0, d - config.K), Math.Min(config.K, d)).to_type(ScalarType.Float32); // ascending
        return new LinearCode(mean.to_type(ScalarType.Float32).DetachFromDisposeScope(), directions.contiguous().DetachFromDisposeScope());
    }

    /// <summary>What is left of normalised states. [N, d] to [N, d]; and the codes, [N, k].</summary>
    public (Tensor Made, Tensor Codes) Make(Tensor x)
    {
        using var scope = NewDisposeScope();
        var codes = x.sub(centre).mm(directions);
        return scope.MoveToOuter(codes.mm(directions.t()).add(centre), codes);
    }

    /// <summary>Fraction of variance unexplained on some rows, about their own mean as for SAEs.</summary>
    public double Fvu(SaeConfig config, ActivationStore store, IReadOnlyList<int> measured, CancellationToken stop)
    {
        using var noGrad = no_grad();
        var sums = new SaeFitSums(store.Width);
        foreach (var chunk in measured.Chunk(RowsAtOnce))
        {
            stop.ThrowIfCancellationRequested();
            using var inner = NewDisposeScope();
            var x = SaeMetrics.Normalised(config, store, chunk);
            var (made, codes) = Make(x);
            sums.Add(x, made, codes);
        }
        return sums.Result?.Fvu ?? throw new ArgumentException("There are no rows to measure on.");
    }

    /// <summary>Puts them in the place of states, which an SAE's normaliser brings to their scale and back.</summary>
    public Replacement Replacing(TopKSae normaliser) => (hidden, _) =>
    {
        using var scope = NewDisposeScope();
        var (x, mean, deviation) = normaliser.Normalise(hidden);
        return scope.MoveToOuter(Make(x).Made.mul(deviation).add(mean));
    };

    public void Dispose()
    {
        centre.Dispose();
        directions.Dispose();
    }
}
