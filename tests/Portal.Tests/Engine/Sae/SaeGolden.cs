using System.Text.Json;
using Portal.Data.JobSpecs;
using Portal.Engine.Sae;
using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Tests.Engine.Sae;

/// <summary>A case of tests/Golden/sae_vectors.json: PyTorch's autograd and Adam in float64, made by the script beside it.</summary>
/// <param name="Start">Weights before the first step, row by row; <paramref name="End"/> after the last.</param>
/// <param name="Grad">Gradients of the first step.</param>
internal sealed record SaeCase(string Name, int Width, int Latents, int K, int Rows, int Steps, bool Relu, string Selection, double Aux, long DeadAfter, int Centres,
    double LearningRate, double[] Hidden, int[] Kinds, double[] X, double[] Z, double[] Reconstruction, double[] Nmse, double[] AuxLoss, int[] Dead,
    SaeWeights Start, SaeWeights Grad, SaeWeights End)
{
    public SaeConfig Config { get; } = new()
    {
        Width = Width, Latents = Latents, K = K, Layer = 1, UseRelu = Relu, Selection = Enum.Parse<SaeSelection>(Selection), CentresPositions = Centres > 1,
    };

    public SaeTrainerOptions Options => new() { AuxiliaryCoefficient = Aux, DeadAfterVectors = DeadAfter };

    public static IReadOnlyList<SaeCase> All { get; } = JsonSerializer.Deserialize<SaeFile>(File.ReadAllText(GoldenFiles.Path("sae_vectors.json")),
        new JsonSerializerOptions { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower })!.Cases;

    /// <summary>The SAE with the case's start weights.</summary>
    public TopKSae Sae()
    {
        var sae = new TopKSae(Config);
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        foreach (var (weight, values) in sae.Weights().Zip([Start.Encoder, Start.Bias, Start.Decoder, Start.PreBias]))
            weight.copy_(tensor(values).view(weight.shape));
        return sae;
    }

    public IReadOnlyList<SaePosition> Positions(int step) => [.. Kinds.Skip(step * Rows).Take(Rows).Select(kind => (SaePosition)kind)];

    /// <summary>Hidden states of a step. [rows, width], row by row.</summary>
    public double[] States(int step) => Hidden[(step * Rows * Width)..((step + 1) * Rows * Width)];

    /// <summary>The same, normalised.</summary>
    public float[] Normalised(int step)
    {
        var values = States(step).Select(value => (float)value).ToArray();
        for (var row = 0; row < Rows; row++)
            ZScore.Apply(Config, values.AsSpan(row * Width, Width), values.AsSpan(row * Width, Width));
        return values;
    }
}

internal sealed record SaeWeights(double[] Encoder, double[] Bias, double[] Decoder, double[] PreBias);

internal sealed record SaeFile(IReadOnlyList<SaeCase> Cases);

internal static class SaeValues
{
    public static IReadOnlyList<Tensor> Weights(this TopKSae sae) => [sae.EncoderWeight, sae.LatentBias, sae.DecoderWeight, sae.PreBias];

    /// <summary>The greatest difference of any two numbers.</summary>
    public static double Distance(IEnumerable<double> one, IEnumerable<double> other) => one.Zip(other, (a, b) => Math.Abs(a - b)).Max();
}
