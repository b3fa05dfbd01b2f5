using Portal.Engine.Models;
using Portal.Engine.Sae;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Portal.Tests.Engine.Sae;

/// <summary>
/// The differentiable SAE against PyTorch (sae_vectors.json, float64) and against finite differences in float64: relative errors below 1e-4 are asked
/// for (specs/sarm.md §6.2); 1e-7 is what central differences with a step of 1e-6 leave.
/// </summary>
public sealed class TopKSaeTests
{
    public static TheoryData<string> Cases => [.. SaeCase.All.Where(one => one.Selection == "TopK").Select(one => one.Name)];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Matches_the_golden_vectors(string name)
    {
        var golden = SaeCase.All.Single(one => one.Name == name);
        using var scope = NewDisposeScope();
        var sae = (TopKSae)golden.Sae().to(ScalarType.Float64);

        var (x, _, _) = sae.Normalise(tensor(golden.States(0), [golden.Rows, golden.Width]));
        var centre = sae.CentreOf(golden.Positions(0));
        var codes = sae.Select(sae.PreActivations(x, centre));
        var reconstruction = sae.Decode(codes, centre);
        var nmse = reconstruction.sub(x).square().sum(-1).div(x.square().sum(-1)).mean();
        nmse.backward();

        Assert.True(SaeValues.Distance(Values(x), golden.X) < 1e-9);
        Assert.True(SaeValues.Distance(Values(zeros(golden.Rows, golden.Latents, ScalarType.Float64).scatter(1, codes.Indices, codes.Values)), golden.Z) < 1e-9);
        Assert.True(SaeValues.Distance(Values(reconstruction), golden.Reconstruction) < 1e-9);
        Assert.Equal(golden.Nmse[0], nmse.item<double>(), 9);
        foreach (var (weight, expected) in sae.Weights().Zip([golden.Grad.Encoder, golden.Grad.Bias, golden.Grad.Decoder, golden.Grad.PreBias]))
            Assert.True(SaeValues.Distance(Values(weight.grad!), expected) < 1e-9); // has one after backward
    }

    /// <summary>Gradients to the states: through the normaliser and the selected latents, as training a reward model on codes needs them.</summary>
    [Fact]
    public void Gradients_to_the_states_are_those_of_finite_differences()
    {
        using var scope = NewDisposeScope();
        var sae = (TopKSae)TopKSae.Fresh(new SaeConfig { Width = 9, Latents = 30, K = 4, Layer = 0 }, seed: 3).to(ScalarType.Float64);
        var random = new Random(5);
        var states = Enumerable.Range(0, 4 * 9).Select(_ => random.NextDouble() * 4 - 1).ToArray();
        var weights = tensor(Enumerable.Range(0, 30).Select(_ => random.NextDouble() - 0.5).ToArray());
        double Reward(double[] at)
        {
            using var noGrad = no_grad();
            return Sum(tensor(at, [4, 9])).item<double>();
        }
        Tensor Sum(Tensor hidden)
        {
            var codes = sae.Encode(hidden, SaePosition.ResponseEnd);
            return codes.Values.mul(weights.index_select(0, codes.Indices.flatten()).view(codes.Indices.shape)).sum();
        }
        var hidden = tensor(states, [4, 9], requires_grad: true);
        Sum(hidden).backward();
        var gradient = Values(hidden.grad!); // has one after backward

        for (var i = 0; i < states.Length; i++)
        {
            const double step = 1e-6;
            var (up, down) = ((double[])states.Clone(), (double[])states.Clone());
            (up[i], down[i]) = (up[i] + step, down[i] - step);
            var numeric = (Reward(up) - Reward(down)) / (2 * step);
            Assert.True(Math.Abs(numeric - gradient[i]) <= 1e-7 * Math.Max(1, Math.Abs(numeric)), $"{i}: {gradient[i]} and by differences {numeric}");
        }
    }

    [Fact]
    public void Plain_memory_is_normalised_as_tensors_are()
    {
        using var scope = NewDisposeScope();
        var config = new SaeConfig { Width = 33, Latents = 4, K = 2, Layer = 0 };
        using var sae = TopKSae.Fresh(config, seed: 1);
        var random = new Random(2);
        var row = Enumerable.Range(0, 33).Select(_ => (float)(random.NextDouble() * 10 + 3)).ToArray();
        var tensors = sae.Normalise(tensor(row, [1, 33])).X.ToFloats();

        ZScore.Apply(config, row, row);

        Assert.True(row.Zip(tensors, (a, b) => Math.Abs(a - b)).Max() < 1e-5);
        Assert.Equal(0, row.Average(), 5);
        Assert.Equal(1, Math.Sqrt(row.Sum(value => (double)value * value) / 32), 5); // n − 1
    }

    [Fact]
    public void Splicing_undoes_the_normaliser()
    {
        // As many latents as directions and all kept: with a decoder that inverts the encoder the states come back.
        using var scope = NewDisposeScope();
        using var sae = new TopKSae(new SaeConfig { Width = 6, Latents = 6, K = 6, Layer = 0, UseRelu = false });
        using (no_grad())
        {
            sae.EncoderWeight.copy_(eye(6));
            sae.DecoderWeight.copy_(eye(6));
        }
        var hidden = tensor(new float[] { 3, -1, 4, 1, -5, 9, 200, 6, 5, 3, 5, 8 }, [2, 6]);

        var spliced = sae.Reconstruct(hidden, [SaePosition.ResponseEnd, SaePosition.SentenceEnd]);

        Assert.True(spliced.sub(hidden).abs().max().item<float>() < 1e-3, "rows of 200 keep five digits");
    }

    [Theory]
    [InlineData(1, 4, 1, 0, "SAE: width is 1; the deviation of a vector needs at least 2 numbers.")]
    [InlineData(8, 4, 5, 0, "SAE: k is 5; it must lie between 1 and the 4 latents.")]
    [InlineData(8, 4, 0, 0, "SAE: k is 0; it must lie between 1 and the 4 latents.")]
    [InlineData(8, 4, 1, -1, "SAE: layer is -1; 0 is the embedding.")]
    public void An_impossible_shape_is_refused_by_field(int width, int latents, int k, int layer, string message)
    {
        var error = Assert.Throws<ArgumentException>(() => new TopKSae(new SaeConfig { Width = width, Latents = latents, K = k, Layer = layer }));

        Assert.Equal(message, error.Message);
    }

    [Fact]
    public void An_sae_of_another_model_layer_or_tokenizer_says_so()
    {
        var config = new SaeConfig { Width = 8, Latents = 4, K = 1, Layer = 2, ModelHash = "aaaa", TokenizerHash = "bbbb" };

        Assert.Null(config.ProblemWith(width: 8, blocks: 4, "aaaa", "bbbb"));
        Assert.Contains("the model's have 16", config.ProblemWith(16, 4, "aaaa", "bbbb"), StringComparison.Ordinal);
        Assert.Contains("the model has 1", config.ProblemWith(8, 1, "aaaa", "bbbb"), StringComparison.Ordinal);
        Assert.Contains("another model", config.ProblemWith(8, 4, "cccc", "bbbb"), StringComparison.Ordinal);
        Assert.Contains("another tokenizer", config.ProblemWith(8, 4, "aaaa", "cccc"), StringComparison.Ordinal);
    }

    private static double[] Values(Tensor values)
    {
        using var data = values.detach().contiguous().data<double>();
        return data.ToArray();
    }
}
