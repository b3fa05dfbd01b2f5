using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Portal.Engine.Models;

/// <summary>
/// The names and layout of Llama weights in Hugging Face's checkpoints, and the way between that layout and ours.
/// </summary>
/// <remarks>
/// Two differences: we hold one fused projection where a checkpoint has q_proj, k_proj and v_proj; and our rotary pairs are
/// neighbours (2i, 2i+1), as in the paper and llama2.c, where Hugging Face's are half a head apart (i, i + size/2), so rows of
/// q_proj and k_proj are reordered. The functions are exactly the same; only numbers change places.
/// </remarks>
public static class LlamaWeights
{
    /// <summary>One weight of a checkpoint.</summary>
    /// <param name="Name">Its name in the checkpoint.</param>
    /// <param name="Shape">Its shape there.</param>
    /// <param name="Load">Copies a tensor of that shape into the model, converting the number format.</param>
    /// <param name="Save">Gives the weight as the checkpoint holds it; a copy or a view, in the caller's scope.</param>
    public sealed record Slot(string Name, IReadOnlyList<long> Shape, Action<Tensor> Load, Func<Tensor> Save);

    /// <summary>The weights of a language model; without <c>lm_head.weight</c> where it is tied to the embedding.</summary>
    public static IReadOnlyList<Slot> Of(Llama model)
    {
        return [.. Of(model.Backbone), .. model.Config.TieWordEmbeddings ? [] : new[] { Whole("lm_head.weight", model.HeadWeight) }];
    }

    /// <summary>The weights of a reward model (Hugging Face's LlamaForSequenceClassification).</summary>
    public static IReadOnlyList<Slot> Of(LlamaReward model)
    {
        return [.. Of(model.Backbone), Whole("score.weight", model.ScoreWeight)];
    }

    /// <summary>The weights of the decoder alone.</summary>
    public static IReadOnlyList<Slot> Of(LlamaBackbone model)
    {
        var config = model.Config;
        var (queryRows, keyRows) = ((long)config.HeadCount * config.HeadSize, (long)config.KeyValueHeadCount * config.HeadSize);
        var slots = new List<Slot> { Whole("model.embed_tokens.weight", model.EmbeddingWeight) };
        foreach (var (block, layer) in model.Blocks.Select((block, layer) => (block, layer)))
        {
            var prefix = $"model.layers.{layer}.";
            var fused = block.QueryKeyValue.weight;
            slots.Add(Whole(prefix + "input_layernorm.weight", block.AttentionNorm.weight));
            slots.Add(Rotary(prefix + "self_attn.q_proj.weight", fused, 0, queryRows, config.HeadSize));
            slots.Add(Rotary(prefix + "self_attn.k_proj.weight", fused, queryRows, keyRows, config.HeadSize));
            slots.Add(Rows(prefix + "self_attn.v_proj.weight", fused, queryRows + keyRows, keyRows));
            slots.Add(Whole(prefix + "self_attn.o_proj.weight", block.AttentionOutput.weight));
            slots.Add(Whole(prefix + "post_attention_layernorm.weight", block.FeedForwardNorm.weight));
            slots.Add(Whole(prefix + "mlp.gate_proj.weight", block.Gate.weight));
            slots.Add(Whole(prefix + "mlp.up_proj.weight", block.Up.weight));
            slots.Add(Whole(prefix + "mlp.down_proj.weight", block.Down.weight));
        }

        slots.Add(Whole("model.norm.weight", model.Norm.weight));
        return slots;
    }

    /// <summary>
    /// All weights of a module by checkpoint name, copied to the CPU as float32: for checkpoints and comparisons. The tensors
    /// are in the caller's scope.
    /// </summary>
    public static Dictionary<string, Tensor> Export(IEnumerable<Slot> slots)
    {
        using var noGrad = no_grad();
        return slots.ToDictionary(slot => slot.Name, slot => slot.Save().to_type(ScalarType.Float32).cpu().clone());
    }

    /// <summary>A copy of a decoder's first blocks, with its embedding and final norm.</summary>
    /// <param name="blocks">How many, 0 to all.</param>
    public static LlamaBackbone Truncated(LlamaBackbone model, int blocks)
    {
        if (blocks < 0 || blocks > model.Config.LayerCount)
        {
            throw new ArgumentException($"the model has {model.Config.LayerCount} blocks; the first {blocks} cannot be taken");
        }

        var shorter = new LlamaBackbone(model.Config with { LayerCount = blocks });
        var values = Of(model).ToDictionary(slot => slot.Name, StringComparer.Ordinal);
        using var noGrad = no_grad();
        foreach (var slot in Of(shorter))
        {
            using var scope = NewDisposeScope();
            slot.Load(values[slot.Name].Save());
        }

        return shorter;
    }

    /// <summary>SHA-256 of a decoder's weights as float32, in hexadecimal: the same for a policy and a reward model that share one, whatever file they lie in.</summary>
    public static string Hash(LlamaBackbone model)
    {
        using var noGrad = no_grad();
        using var hash = System.Security.Cryptography.IncrementalHash.CreateHash(System.Security.Cryptography.HashAlgorithmName.SHA256);
        foreach (var slot in Of(model))
        {
            using var scope = NewDisposeScope();
            hash.AppendData(slot.Save().to_type(ScalarType.Float32).cpu().contiguous().bytes);
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>Copies one model's decoder into another of the same shape (a policy into its reference, a base into a reward model).</summary>
    /// <exception cref="ArgumentException">The shapes differ.</exception>
    public static void Copy(LlamaBackbone from, LlamaBackbone to)
    {
        if (from.Config with { TieWordEmbeddings = true } != to.Config with { TieWordEmbeddings = true })
        {
            throw new ArgumentException($"cannot copy weights of {from.Config} into {to.Config}");
        }

        using var noGrad = no_grad();
        foreach (var (source, target) in from.parameters().Zip(to.parameters()))
        {
            target.copy_(source);
        }
    }

    /// <summary>A model that stays as this one is now, on the same device: the reference of a policy in training. The caller disposes of it.</summary>
    public static Llama FrozenCopy(Llama model)
    {
        var copy = new Llama(model.Config);
        copy.to(model.Device);
        Copy(model.Backbone, copy.Backbone);
        if (!model.Config.TieWordEmbeddings)
        {
            using var noGrad = no_grad();
            copy.HeadWeight.copy_(model.HeadWeight);
        }

        copy.eval();
        return copy;
    }

    internal static void Initialise(LlamaBackbone model, WeightHolder? head, long seed)
    {
        const double Deviation = 0.02;
        using var noGrad = no_grad();
        using var random = new Generator((ulong)seed);
        var residualDeviation = Deviation / Math.Sqrt(2.0 * model.Config.LayerCount);
        Fill(model.EmbeddingWeight, Deviation);
        foreach (var block in model.Blocks)
        {
            Fill(block.QueryKeyValue.weight, Deviation);
            Fill(block.AttentionOutput.weight, residualDeviation);
            Fill(block.Gate.weight, Deviation);
            Fill(block.Up.weight, Deviation);
            Fill(block.Down.weight, residualDeviation);
        }

        if (head is not null)
        {
            Fill(head.weight, Deviation);
        }

        void Fill(Parameter weight, double deviation)
        {
            weight.normal_(0, deviation, random);
        }
    }

    private static Slot Whole(string name, Parameter weight)
    {
        return new Slot(name, weight.shape, source => Set(weight, source), () => weight.detach());
    }

    private static Slot Rows(string name, Parameter weight, long first, long count)
    {
        return new Slot(
            name,
            [count, weight.shape[1]],
            source => Set(weight.detach().narrow(0, first, count), source),
            () => weight.detach().narrow(0, first, count));
    }

    private static Slot Rotary(string name, Parameter weight, long first, long count, long headSize)
    {
        var columns = weight.shape[1];
        var (heads, half) = (count / headSize, headSize / 2);
        return new Slot(
            name,
            [count, columns],
            source => Set(weight.detach().narrow(0, first, count), source.view(heads, 2, half, columns).transpose(1, 2).reshape(count, columns)),
            () => weight.detach().narrow(0, first, count).view(heads, half, 2, columns).transpose(1, 2).reshape(count, columns));
    }

    private static void Set(Tensor target, Tensor source)
    {
        using var noGrad = no_grad();
        target.copy_(source);
    }
}
