using System.Text.Json;
using Portal.Data.Registry;
using Portal.Engine.Models;
using Portal.Engine.Tokenizers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Portal.Engine.Sae;

/// <summary>
/// A reward model that people can read: the first blocks of a decoder, a frozen sparse autoencoder on their last token, and one weight a latent.
/// <code>
/// r(x, y) = Σ_{i in S} w_i z_i        z, S: the codes of the state at the token that ends the response
/// </code>
/// </summary>
/// <remarks>
/// SARM (AAAI 2026, eq. 7; specs/sarm.md §1.4): blocks above the SAE's layer are not there, the final norm is not applied, the head has no bias and starts at
/// zero, so that the contributions w_i z_i add up to the reward with nothing left over. Whether the blocks train (mode 1) or only the head does
/// (mode 0) is the recipe's choice; the SAE never does.
/// </remarks>
public sealed class SarmReward : Module, IRewardModel
{
    /// <param name="backbone">The decoder cut at the SAE's layer; see <see cref="LlamaWeights.Truncated"/>. Owned from here on.</param>
    /// <param name="sae">Frozen here; owned from here on.</param>
    /// <exception cref="ArgumentException">The SAE reads states of another width or layer.</exception>
    public SarmReward(LlamaBackbone backbone, TopKSae sae)
        : base("sarm reward")
    {
        if (sae.Config.Width != backbone.Config.HiddenSize || sae.Config.Layer != backbone.Config.LayerCount)
            throw new ArgumentException($"the SAE reads {sae.Config.Width} numbers after block {sae.Config.Layer}; the decoder gives {backbone.Config.HiddenSize} after block {backbone.Config.LayerCount}");
        (Backbone, Sae) = (backbone, sae);
        HeadWeight = new Parameter(zeros(1, sae.Config.Latents));
        register_module("model", backbone);
        register_module("sae", sae);
        register_parameter("score", HeadWeight);
        foreach (var weight in sae.parameters())
            weight.requires_grad_(false);
    }

    public LlamaBackbone Backbone { get; }

    public TopKSae Sae { get; }

    /// <summary>w, one weight a latent. [1, M].</summary>
    public Parameter HeadWeight { get; }

    /// <inheritdoc/>
    public Device Device => HeadWeight.device;

    /// <inheritdoc/>
    public int ContextLength => Backbone.Config.ContextLength;

    /// <summary>The states that the SAE reads at the ends of some texts. [B, d].</summary>
    /// <inheritdoc cref="IRewardModel.Rewards"/>
    public Tensor States(Tensor ids, Tensor lastPositions, LlamaRun? run = null)
    {
        using var scope = NewDisposeScope();
        var hidden = Backbone.Hidden(ids, (run ?? new LlamaRun()) with { FinalNorm = false });
        return scope.MoveToOuter(LlamaReward.AtLast(hidden, lastPositions));
    }

    /// <summary>The codes at the ends of some texts. [B, w].</summary>
    /// <inheritdoc cref="IRewardModel.Rewards"/>
    public SparseCodes Codes(Tensor ids, Tensor lastPositions, LlamaRun? run = null)
    {
        using var scope = NewDisposeScope();
        var codes = Sae.Encode(States(ids, lastPositions, run), SaePosition.ResponseEnd);
        return new SparseCodes(scope.MoveToOuter(codes.Values), scope.MoveToOuter(codes.Indices));
    }

    /// <summary>w_i z_i of the active latents, whose sum is the reward. [B, w].</summary>
    public Tensor Contributions(SparseCodes codes)
    {
        using var scope = NewDisposeScope();
        return scope.MoveToOuter(codes.Values.mul(HeadWeight.view(-1).index_select(0, codes.Indices.flatten()).view(codes.Indices.shape)));
    }

    /// <inheritdoc/>
    public Tensor Rewards(Tensor ids, Tensor lastPositions) => Rewards(ids, lastPositions, run: null);

    /// <inheritdoc cref="IRewardModel.Rewards"/>
    /// <param name="run">Hooks; null for a plain run. The final norm is never applied.</param>
    public Tensor Rewards(Tensor ids, Tensor lastPositions, LlamaRun? run)
    {
        using var scope = NewDisposeScope();
        return scope.MoveToOuter(Contributions(Codes(ids, lastPositions, run)).sum(-1));
    }
}

/// <summary>
/// SARM reward models on disk: the cut decoder in Hugging Face's layout, the SAE in SAELens' in <c>sae/</c>, and <c>reward_head.safetensors</c> with
/// score.weight [1, M].
/// </summary>
public static class SarmFolder
{
    /// <summary>The file that holds the head, and tells a folder with such a model from others.</summary>
    public const string HeadFile = ModelVersion.FeatureHeadFile;

    private const string SaeFolderName = "sae", NotesFile = "reward_head.json", HeadTensor = "score.weight";

    /// <summary>The head and what is said about it; they stand beside an exported SAE too.</summary>
    public static IReadOnlyList<string> HeadFiles => [HeadFile, NotesFile];

    /// <summary>Whether a folder holds one.</summary>
    public static bool Is(string folder) => File.Exists(Path.Combine(folder, HeadFile));

    /// <summary>Writes a model and its tokenizer.</summary>
    /// <param name="body">How the decoder's numbers are written; SAE and head are always whole floats.</param>
    public static void Save(SarmReward model, string folder, ITokenizer? tokenizer, SafetensorsType body = SafetensorsType.F32)
    {
        HuggingFaceFolder.SaveDecoder(model.Backbone, folder, tokenizer, body);
        SaeFolder.Save(model.Sae, Path.Combine(folder, SaeFolderName), model.Sae.Config.ModelHash?[..Math.Min(12, model.Sae.Config.ModelHash.Length)] ?? "unknown");
        WriteHead(folder, model.HeadWeight);
        ArtefactFile.Write(Path.Combine(folder, NotesFile), stream => JsonSerializer.Serialize(stream, new
        {
            reads = "the codes at the token that ends the response", bias = false, sae = SaeFolderName, sae_source_layer = model.Sae.Config.Layer, sae_latent_size = model.Sae.Config.Latents, sae_k = model.Sae.Config.K,
        }));
    }

    /// <summary>Reads a model.</summary>
    /// <exception cref="InvalidDataException">A file is missing, damaged or of another shape; the message names it.</exception>
    public static SarmReward Load(string folder)
    {
        var backbone = HuggingFaceFolder.LoadDecoder(folder);
        var sae = SaeFolder.Load(Path.Combine(folder, SaeFolderName));
        if (sae.Config.Width != backbone.Config.HiddenSize || sae.Config.Layer != backbone.Config.LayerCount)
            throw new InvalidDataException($"{Path.Combine(folder, SaeFolderName)}: the SAE reads {sae.Config.Width} numbers after block {sae.Config.Layer}; the decoder beside it gives {backbone.Config.HiddenSize} after block {backbone.Config.LayerCount}.");
        var model = new SarmReward(backbone, sae);
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        model.HeadWeight.copy_(tensor(ReadHead(folder, sae.Config.Latents), [1, sae.Config.Latents]));
        return model;
    }

    /// <summary>The head's weights alone, without opening the decoder or the SAE. [M].</summary>
    /// <param name="latents">M where it is known; null takes the file's.</param>
    /// <exception cref="InvalidDataException">The file is damaged or of another shape; the message names it.</exception>
    public static float[] ReadHead(string folder, int? latents = null)
    {
        using var file = Safetensors.Open(Path.Combine(folder, HeadFile));
        if (!file.Entries.TryGetValue(HeadTensor, out var entry) || entry.Shape is not [1, var found] || found != (latents ?? found))
            throw new InvalidDataException($"{file.Path}: {HeadTensor} is {(entry is null ? "missing" : $"[{string.Join(", ", entry.Shape)}]")}; [1, {(latents is { } wanted ? wanted : "M")}] is expected.");
        using var scope = NewDisposeScope();
        return file.Read(HeadTensor).to_type(ScalarType.Float32).view(-1).ToFloats();
    }

    /// <summary>Puts other weights into the head of a folder; the rest of the model stays as it is.</summary>
    /// <param name="weights">w. [M].</param>
    public static void WriteHead(string folder, float[] weights)
    {
        using var scope = NewDisposeScope();
        WriteHead(folder, tensor(weights, [1, weights.Length]));
    }

    private static void WriteHead(string folder, Tensor weights)
    {
        using var noGrad = no_grad();
        Safetensors.Write(Path.Combine(folder, HeadFile), [new(HeadTensor, weights)], SafetensorsType.F32, new Dictionary<string, string> { ["format"] = "pt" });
    }
}
