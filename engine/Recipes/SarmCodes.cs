using System.Security.Cryptography;
using System.Text;
using Portal.Engine.Influence;
using Portal.Engine.Models;
using Portal.Engine.Sae;
using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Engine.Recipes;

/// <summary>The codes of a reward model on sparse features, all latents written out: r = w · z exactly, and a row names features that people have labels for.</summary>
public sealed class SarmCodes(SarmReward model) : IEndFeatures
{
    /// <inheritdoc/>
    public string Space => "sarm-codes";

    /// <summary>Of everything that codes depend on.</summary>
    public string Hash
    {
        get
        {
            using var scope = NewDisposeScope();
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            hash.AppendData(Encoding.ASCII.GetBytes($"{LlamaWeights.Hash(model.Backbone)} {model.Sae.Config.Layer} {model.Sae.Config.K}"));
            foreach (var weight in new[] { model.Sae.EncoderWeight, model.Sae.LatentBias, model.Sae.PreBias })
                hash.AppendData(weight.detach().to_type(ScalarType.Float32).cpu().contiguous().bytes);
            return Convert.ToHexStringLower(hash.GetHashAndReset());
        }
    }

    /// <inheritdoc/>
    public int Width => model.Sae.Config.Latents;

    /// <inheritdoc/>
    public int ContextLength => model.ContextLength;

    /// <inheritdoc/>
    public Device Device => model.Device;

    /// <inheritdoc/>
    public float[] Head { get; } = model.HeadWeight.ToFloats();

    /// <inheritdoc/>
    public Tensor Read(Tensor ids, Tensor lastPositions)
    {
        using var scope = NewDisposeScope();
        var codes = model.Codes(ids, lastPositions);
        return scope.MoveToOuter(zeros(codes.Values.shape[0], Width, device: Device).scatter_add_(1, codes.Indices, codes.Values.to_type(ScalarType.Float32)));
    }

    /// <inheritdoc/>
    public Tensor Rewards(Tensor ids, Tensor lastPositions) => model.Rewards(ids, lastPositions);
}
