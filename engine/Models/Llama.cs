using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Portal.Engine.Models;

/// <summary>What a caller may look at, or replace, between two blocks.</summary>
/// <param name="block">Blocks run so far: 0 right after the embedding, LayerCount after the last block.</param>
/// <param name="residual">The residual stream there, before any final norm. [B, T, hidden].</param>
/// <returns>The residual to go on with: the same tensor, or another of the same shape.</returns>
public delegate Tensor ResidualHook(int block, Tensor residual);

/// <summary>How much of the model a forward pass runs.</summary>
public sealed record LlamaRun
{
    /// <summary>Empty positions at the start of each row, [B] int64; null when no row is padded on the left. Padding on the
    /// right needs no mask: a causal model's real tokens cannot see what comes after them.</summary>
    public Tensor? LeftPadding { get; init; }

    /// <summary>Keys and values of earlier tokens; needs no_grad. Its own left padding is used.</summary>
    public KvCache? Cache { get; init; }

    /// <summary>Stop after this many blocks; null runs all.</summary>
    public int? Blocks { get; init; }

    /// <summary>Called after the embedding and after every block that runs.</summary>
    public ResidualHook? AfterBlock { get; init; }

    /// <summary>Whether the final norm is applied; false gives the raw residual stream.</summary>
    public bool FinalNorm { get; init; } = true;
}

/// <summary>
/// The Llama decoder without a head: token embedding, blocks of grouped-query attention with rotary positions and a SwiGLU
/// feed-forward, RMSNorm before each and at the end.
/// </summary>
/// <remarks>
/// Built for CPU speed: queries, keys and values come from one fused projection; rotary pairs lie side by side, so that a
/// rotation is one complex multiplication; mask and scale ride on the score product (baddbmm); tables are cached. Checkpoints
/// in Hugging Face's layout (three projections, pairs half a head apart) are converted by <see cref="LlamaWeights"/>.
/// Source: Touvron et al. 2023 (2302.13971) §2.2, GQA: Ainslie et al. 2023 (2305.13245), RoPE: Su et al. 2021 (2104.09864).
/// Checked against Golden/stories260K (an independent float64 forward pass).
/// </remarks>
public sealed class LlamaBackbone : Module
{
    private readonly Embedding embedding;
    private readonly ModuleList<LlamaBlock> blocks;
    private readonly LlamaTables tables;

    internal LlamaBackbone(LlamaConfig config)
        : base("model")
    {
        config.Validate();
        Config = config;
        tables = new LlamaTables(config);
        embedding = nn.Embedding(config.VocabularySize, config.HiddenSize);
        blocks = nn.ModuleList(Enumerable.Range(0, config.LayerCount).Select(_ => new LlamaBlock(config)).ToArray());
        Norm = new WeightHolder(ones(config.HiddenSize));
        register_module("embed_tokens", embedding);
        register_module("layers", blocks);
        register_module("norm", Norm);
    }

    /// <summary>The model's shape.</summary>
    public LlamaConfig Config { get; }

    /// <summary>The embedding matrix, [vocabulary, hidden].</summary>
    public Parameter EmbeddingWeight => embedding.weight;

    internal WeightHolder Norm { get; }

    internal IEnumerable<LlamaBlock> Blocks => blocks;

    /// <summary>Runs the decoder.</summary>
    /// <param name="ids">Token ids, [B, T] int64, on the model's device.</param>
    /// <param name="run">Padding, cache and where to stop; null runs everything.</param>
    /// <returns>Hidden states, [B, T, hidden], in the caller's scope. Positions of padding hold numbers without meaning.</returns>
    /// <exception cref="ArgumentException">The sequence is longer than the context, or the cache is full.</exception>
    public Tensor Hidden(Tensor ids, LlamaRun? run = null)
    {
        run ??= new LlamaRun();
        using var scope = NewDisposeScope();
        var (tokens, past) = (ids.shape[1], run.Cache?.Length ?? 0);
        Check(ids, run, past + tokens);
        var attention = tables.For(run.Cache?.LeftPadding ?? run.LeftPadding, past, tokens, ids.device, EmbeddingWeight.dtype) with { Cache = run.Cache };

        var residual = embedding.call(ids);
        residual = run.AfterBlock?.Invoke(0, residual) ?? residual;
        var wanted = run.Blocks ?? Config.LayerCount;
        for (var layer = 0; layer < wanted; layer++)
        {
            residual = blocks[layer].Run(residual, attention, layer);
            residual = run.AfterBlock?.Invoke(layer + 1, residual) ?? residual;
        }

        run.Cache?.Advance(tokens);
        return scope.MoveToOuter(run.FinalNorm ? LlamaBlock.Normalise(residual, Norm.weight, Config.NormEpsilon) : residual.alias());
    }

    /// <summary>Runs the blocks that are left, and the final norm, on a residual stream that <see cref="Hidden"/> gave.</summary>
    /// <param name="residual">After some blocks, without the final norm: whole texts from their first token, padded on the right only. [B, T, hidden].</param>
    /// <param name="blocks">Blocks run so far, 0 to LayerCount.</param>
    /// <returns>Hidden states, [B, T, hidden], in the caller's scope.</returns>
    public Tensor HiddenFrom(Tensor residual, int blocks)
    {
        if (residual.shape.Length != 3 || residual.shape[1] > Config.ContextLength || blocks < 0 || blocks > Config.LayerCount)
        {
            throw new ArgumentException($"a residual [{string.Join(", ", residual.shape)}] after {blocks} blocks does not fit {Config.LayerCount} blocks and a context of {Config.ContextLength}");
        }

        using var scope = NewDisposeScope();
        var attention = tables.For(null, 0, residual.shape[1], residual.device, residual.dtype);
        for (var layer = blocks; layer < Config.LayerCount; layer++)
        {
            residual = this.blocks[layer].Run(residual, attention, layer);
        }

        return scope.MoveToOuter(LlamaBlock.Normalise(residual, Norm.weight, Config.NormEpsilon));
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            tables.Dispose();
        }

        base.Dispose(disposing);
    }

    private void Check(Tensor ids, LlamaRun run, long length)
    {
        if (ids.shape.Length != 2)
        {
            throw new ArgumentException($"ids have the shape [{string.Join(", ", ids.shape)}]; [batch, tokens] is expected");
        }

        // With left padding the real tokens may still fit; then the rotary table decides in LlamaTables.
        var padded = run.LeftPadding is not null || run.Cache?.LeftPadding is not null;
        if (!padded && length > Config.ContextLength)
        {
            throw new ArgumentException($"{length} tokens do not fit into the context of {Config.ContextLength}");
        }

        if (run.Cache is { } cache && (length > cache.Capacity || cache.BatchSize != ids.shape[0]))
        {
            throw new ArgumentException($"the cache holds {cache.BatchSize} rows of {cache.Capacity} tokens; {ids.shape[0]} rows of {length} were asked for");
        }

        if (run.Cache is not null && is_grad_enabled())
        {
            throw new ArgumentException("a cache is for generation: call this inside no_grad()");
        }

        if (run.Blocks is { } blocksWanted && (blocksWanted < 0 || blocksWanted > Config.LayerCount))
        {
            throw new ArgumentException($"the model has {Config.LayerCount} blocks; {blocksWanted} were asked for");
        }
    }
}

/// <summary>A Llama language model: the decoder and its output head, tied to the embedding or not.</summary>
public sealed class Llama : Module
{
    private readonly WeightHolder? head;

    /// <summary>A model with fresh weights: normal with deviation 0.02, projections into the residual stream scaled by
    /// 1/√(2·layers) as in GPT-2, norms at one.</summary>
    /// <param name="config">The shape.</param>
    /// <param name="seed">The same seed gives the same weights; null leaves them unset, for a loader to fill.</param>
    public Llama(LlamaConfig config, long? seed = null)
        : base("llama")
    {
        Backbone = new LlamaBackbone(config);
        register_module("model", Backbone);
        if (!config.TieWordEmbeddings)
        {
            head = new WeightHolder(empty(config.VocabularySize, config.HiddenSize));
            register_module("lm_head", head);
        }

        if (seed is { } value)
        {
            LlamaWeights.Initialise(Backbone, head, value);
        }
    }

    /// <summary>The model's shape.</summary>
    public LlamaConfig Config => Backbone.Config;

    /// <summary>The decoder without the head.</summary>
    public LlamaBackbone Backbone { get; }

    /// <summary>Where the weights are.</summary>
    public Device Device => Backbone.EmbeddingWeight.device;

    /// <summary>The output projection, [vocabulary, hidden]; the embedding itself where tied.</summary>
    public Parameter HeadWeight => head?.weight ?? Backbone.EmbeddingWeight;

    /// <summary>Hidden states after the final norm, [B, T, hidden]; see <see cref="LlamaBackbone.Hidden"/>.</summary>
    public Tensor Hidden(Tensor ids, LlamaRun? run = null)
    {
        return Backbone.Hidden(ids, run);
    }

    /// <summary>
    /// Scores of the next token for some hidden states, [..., vocabulary]. The head is the dearest layer of a small model:
    /// ask only where needed (the last position while generating, completion positions while training).
    /// </summary>
    public Tensor Logits(Tensor hidden)
    {
        return functional.linear(hidden, HeadWeight);
    }

    /// <summary>Scores of the token after the last one, [B, vocabulary].</summary>
    public Tensor NextTokenLogits(Tensor ids, LlamaRun? run = null)
    {
        using var scope = NewDisposeScope();
        var hidden = Hidden(ids, run);
        return scope.MoveToOuter(Logits(hidden.select(1, hidden.shape[1] - 1)));
    }
}

/// <summary>One learned matrix or vector under the name "weight", as checkpoints call it.</summary>
internal sealed class WeightHolder : Module
{
    public WeightHolder(Tensor initial)
        : base("weight holder")
    {
        weight = new Parameter(initial);
        register_parameter("weight", weight);
    }

#pragma warning disable IDE1006 // named as in checkpoints, like TorchSharp's own modules
    public Parameter weight { get; }
#pragma warning restore IDE1006
}
