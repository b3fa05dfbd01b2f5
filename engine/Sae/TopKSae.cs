using Portal.Data.JobSpecs;
using Portal.Engine.Models;
using Portal.Engine.Statistics;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Portal.Engine.Sae;

/// <summary>The latents of some vectors that did not become 0.</summary>
/// <param name="Values">z, carrying gradients to the states they were read from. [N, w]; 0 where fewer than w latents are active.</param>
/// <param name="Indices">Which latents they are, best first, equal values by index. [N, w] int64.</param>
public sealed record SparseCodes(Tensor Values, Tensor Indices);

/// <summary>
/// A sparse autoencoder of a model's hidden states: few of many latents are active for a vector, and their directions add up to nearly it.
/// <code>
/// μ = mean(h)   s = √(Σ (h_j − μ)² / (d − 1))   x = (h − μ) / (s + ε)
/// p = W_enc (x − b_pre) + b_lat                 S = the k largest of p     z_i = max(0, p_i) for i in S, else 0
/// x̂ = Σ_S z_i W_dec[i] + b_pre
/// </code>
/// </summary>
/// <remarks>
/// As in SARM and its sibling SAFER (AAAI 2026; specs/sarm.md §1.2), plus the ReLU that their M makes superfluous (a flag) and, as
/// an option of ours, a pre-bias for each kind of position: at a response's end the states lie far from the origin in one direction, and a
/// centre shared with sentence ends would spend latents on it. The gradient of the selection is plain gather and scatter: what was not
/// selected gets none. Decoder rows have norm 1 after training. Works in float32, and in float64 for checks.
/// </remarks>
public sealed class TopKSae : Module
{
    /// <summary>Unset weights, for a loader to fill.</summary>
    public TopKSae(SaeConfig config)
        : base("topk sae")
    {
        config.Validate();
        Config = config;
        EncoderWeight = new Parameter(zeros(config.Latents, config.Width));
        LatentBias = new Parameter(zeros(config.Latents));
        DecoderWeight = new Parameter(zeros(config.Latents, config.Width));
        PreBias = new Parameter(zeros(config.Centres, config.Width));
        register_parameter("encoder_weight", EncoderWeight);
        register_parameter("latent_bias", LatentBias);
        register_parameter("decoder_weight", DecoderWeight);
        register_parameter("pre_bias", PreBias);
    }

    /// <summary>Its shape and preprocessing. Set again when training has found a threshold.</summary>
    public SaeConfig Config { get; private set; }

    /// <summary>W_enc, one row a latent. [M, d].</summary>
    public Parameter EncoderWeight { get; }

    /// <summary>b_lat. [M].</summary>
    public Parameter LatentBias { get; }

    /// <summary>W_dec, one row a latent, transposed as against the paper so that k rows are k stretches of memory. [M, d].</summary>
    public Parameter DecoderWeight { get; }

    /// <summary>b_pre, the centre. [1, d], or [2, d] with a row for each <see cref="SaePosition"/>.</summary>
    public Parameter PreBias { get; }

    /// <summary>Fresh weights: each number of W_enc uniform in ±1/√d, W_dec its rows scaled to norm 1, biases 0 (specs/sarm.md §1.3).</summary>
    /// <param name="seed">The same seed gives the same weights.</param>
    public static TopKSae Fresh(SaeConfig config, long seed)
    {
        var sae = new TopKSae(config);
        var random = new SeededRandom((ulong)seed).Split("sae weights");
        var bound = 1 / Math.Sqrt(config.Width);
        var values = new float[(long)config.Latents * config.Width];
        for (var i = 0; i < values.Length; i++)
            values[i] = (float)((2 * random.NextDouble() - 1) * bound);
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var weights = tensor(values, [config.Latents, config.Width]);
        sae.EncoderWeight.copy_(weights);
        sae.DecoderWeight.copy_(weights);
        sae.NormaliseDecoder();
        return sae;
    }

    /// <summary>An SAE with copies of these weights; shapes as of the properties.</summary>
    public static TopKSae Of(SaeConfig config, Tensor encoder, Tensor bias, Tensor decoder, Tensor centres)
    {
        var sae = new TopKSae(config);
        using var noGrad = no_grad();
        sae.EncoderWeight.copy_(encoder);
        sae.LatentBias.copy_(bias);
        sae.DecoderWeight.copy_(decoder);
        sae.PreBias.copy_(centres);
        return sae;
    }

    /// <summary>Remembers the threshold that BatchTopK uses after training.</summary>
    public void SetThreshold(double threshold) => Config = Config with { Threshold = threshold };

    /// <summary>Scales each row of the decoder to norm 1; rows of zeros stay.</summary>
    public void NormaliseDecoder()
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        DecoderWeight.div_(DecoderWeight.square().sum(-1, keepdim: true).sqrt().clamp_min(1e-30));
    }

    /// <summary>x, and what undoes it: h ≈ x·s + μ.</summary>
    /// <param name="hidden">h. [N, d].</param>
    /// <returns>x [N, d]; μ and s [N, 1], 0 and 1 without a normaliser.</returns>
    public (Tensor X, Tensor Mean, Tensor Deviation) Normalise(Tensor hidden)
    {
        if (hidden.shape is not [var rows, var width] || width != Config.Width)
            throw new ArgumentException($"states have the shape [{string.Join(", ", hidden.shape)}]; [N, {Config.Width}] is expected");
        if (Config.Normalisation is SaeNormalisation.None)
            return (hidden.alias(), zeros(rows, 1, hidden.dtype, hidden.device), ones(rows, 1, hidden.dtype, hidden.device));
        using var scope = NewDisposeScope();
        var mean = hidden.mean([-1], keepdim: true);
        var centred = hidden.sub(mean);
        var deviation = centred.square().sum(-1, keepdim: true).div(width - 1).sqrt();
        return scope.MoveToOuter(centred.div(deviation.add(Config.NormaliserEpsilon)), mean, deviation);
    }

    /// <summary>p of all latents. [N, d] to [N, M].</summary>
    /// <param name="x">Normalised states.</param>
    /// <param name="centre">b_pre of each row, [N, d] or [1, d]; see <see cref="CentreOf(IReadOnlyList{SaePosition})"/>.</param>
    public Tensor PreActivations(Tensor x, Tensor centre)
    {
        using var scope = NewDisposeScope();
        return scope.MoveToOuter(functional.linear(x.sub(centre), EncoderWeight, LatentBias));
    }

    /// <summary>The pre-bias of all rows, when all are of one kind. [1, d].</summary>
    public Tensor CentreOf(SaePosition position) => PreBias.narrow(0, Config.CentreOf(position), 1);

    /// <summary>The pre-bias of each row. [N, d], or [1, d] where all share one.</summary>
    public Tensor CentreOf(IReadOnlyList<SaePosition> positions)
    {
        if (!Config.CentresPositions)
            return PreBias.alias();
        using var rows = tensor(positions.Select(position => (long)Config.CentreOf(position)).ToArray(), device: PreBias.device);
        return PreBias.index_select(0, rows);
    }

    /// <summary>The codes of some states that are all of one kind of position.</summary>
    /// <param name="hidden">h. [N, d].</param>
    public SparseCodes Encode(Tensor hidden, SaePosition position)
    {
        using var scope = NewDisposeScope();
        var codes = Select(PreActivations(Normalise(hidden).X, CentreOf(position)));
        return new SparseCodes(scope.MoveToOuter(codes.Values), scope.MoveToOuter(codes.Indices));
    }

    /// <summary>Keeps the latents that the config selects. [N, M] to [N, w].</summary>
    /// <exception cref="InvalidOperationException">A BatchTopK SAE without a threshold: it was never trained to its end.</exception>
    public SparseCodes Select(Tensor preActivations)
    {
        using var scope = NewDisposeScope();
        var (rows, latents) = (preActivations.shape[0], preActivations.shape[1]);
        var numbers = preActivations.detach().to_type(ScalarType.Float32).contiguous().ToFloats();
        double? threshold = Config.Selection is SaeSelection.TopK ? null
            : Config.Threshold ?? throw new InvalidOperationException("This BatchTopK SAE has no threshold; it was not trained to its end.");
        var width = threshold is { } bound ? Math.Max(1, MostAbove(numbers, (int)latents, bound)) : Config.K;
        var indices = new long[rows * width];
        Parallel.For(0, (int)rows, row =>
        {
            var (chosen, values) = (new int[width], new float[width]);
            TopKSelection.Select(numbers.AsSpan(row * (int)latents, (int)latents), chosen, values);
            for (var i = 0; i < width; i++)
                indices[(long)row * width + i] = chosen[i];
        });
        var index = tensor(indices, [rows, width], device: preActivations.device);
        var kept = preActivations.gather(1, index);
        if (threshold is { } least)
            kept = kept.mul(kept.gt(least).to_type(kept.dtype));
        if (Config.UseRelu)
            kept = functional.relu(kept);
        return new SparseCodes(scope.MoveToOuter(kept), scope.MoveToOuter(index));
    }

    /// <summary>x̂ of some codes. [N, w] to [N, d].</summary>
    /// <param name="centre">b_pre of each row, [N, d] or [1, d].</param>
    public Tensor Decode(SparseCodes codes, Tensor centre)
    {
        using var scope = NewDisposeScope();
        var (rows, width) = (codes.Indices.shape[0], codes.Indices.shape[1]);
        var directions = DecoderWeight.index_select(0, codes.Indices.flatten()).view(rows, width, Config.Width);
        return scope.MoveToOuter(codes.Values.unsqueeze(1).bmm(directions).view(rows, Config.Width).add(centre));
    }

    /// <summary>What the SAE makes of some states, on their own scale: x̂·s + μ. For splicing it into the model. [N, d] to [N, d].</summary>
    public Tensor Reconstruct(Tensor hidden, IReadOnlyList<SaePosition> positions)
    {
        using var scope = NewDisposeScope();
        var (x, mean, deviation) = Normalise(hidden);
        var centre = CentreOf(positions);
        return scope.MoveToOuter(Decode(Select(PreActivations(x, centre)), centre).mul(deviation).add(mean));
    }

    private static int MostAbove(float[] numbers, int latents, double threshold)
    {
        var most = 0;
        foreach (var row in numbers.Chunk(latents))
            most = Math.Max(most, row.Count(value => value > threshold));
        return most;
    }
}
