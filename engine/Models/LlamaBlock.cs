using TorchSharp;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Portal.Engine.Models;

/// <summary>One decoder block: x += attention(norm(x)); x += feed-forward(norm(x)).</summary>
internal sealed class LlamaBlock : Module
{
    /// <summary>Queries of a stretch; a sequence no longer than this is attended at once.</summary>
    private const long QueriesAtOnce = 128;

    private readonly LlamaConfig config;

    public LlamaBlock(LlamaConfig config)
        : base("block")
    {
        this.config = config;
        var (hidden, inner) = (config.HiddenSize, config.IntermediateSize);
        var heads = config.HeadCount + (2 * config.KeyValueHeadCount);
        AttentionNorm = new WeightHolder(ones(hidden));
        QueryKeyValue = new WeightHolder(empty(heads * config.HeadSize, hidden));
        AttentionOutput = new WeightHolder(empty(hidden, config.HeadCount * config.HeadSize));
        FeedForwardNorm = new WeightHolder(ones(hidden));
        Gate = new WeightHolder(empty(inner, hidden));
        Up = new WeightHolder(empty(inner, hidden));
        Down = new WeightHolder(empty(hidden, inner));

        register_module("input_layernorm", AttentionNorm);
        register_module("self_attn", new Group(("qkv_proj", QueryKeyValue), ("o_proj", AttentionOutput)));
        register_module("post_attention_layernorm", FeedForwardNorm);
        register_module("mlp", new Group(("gate_proj", Gate), ("up_proj", Up), ("down_proj", Down)));
    }

    public WeightHolder AttentionNorm { get; }

    /// <summary>Queries of all heads, then keys, then values, stacked; rotary pairs side by side.</summary>
    public WeightHolder QueryKeyValue { get; }

    public WeightHolder AttentionOutput { get; }

    public WeightHolder FeedForwardNorm { get; }

    public WeightHolder Gate { get; }

    public WeightHolder Up { get; }

    public WeightHolder Down { get; }

    /// <summary>RMSNorm: x / √(mean x² + ε) · weight, over the last dimension.</summary>
    public static Tensor Normalise(Tensor x, Tensor weight, double epsilon)
    {
        var scale = x.square().mean([-1], keepdim: true).add(epsilon).rsqrt();
        return x.mul(scale).mul(weight);
    }

    /// <summary>Runs the block. [B, T, hidden] to the same shape.</summary>
    public Tensor Run(Tensor x, AttentionInputs inputs, int layer)
    {
        // Handles of what the block no longer needs are dropped here; autograd keeps what the backward pass needs.
        using var scope = NewDisposeScope();
        var attended = Attend(Normalise(x, AttentionNorm.weight, config.NormEpsilon), inputs, layer);
        var middle = x.add(functional.linear(attended, AttentionOutput.weight));
        var normed = Normalise(middle, FeedForwardNorm.weight, config.NormEpsilon);
        var gated = functional.silu(functional.linear(normed, Gate.weight)).mul(functional.linear(normed, Up.weight));
        return scope.MoveToOuter(middle.add(functional.linear(gated, Down.weight)));
    }

    /// <summary>
    /// Attention of all heads at once. The query heads that share a key head are stacked as if they were more positions, so
    /// grouping costs no copies of keys and values.
    /// </summary>
    private Tensor Attend(Tensor x, AttentionInputs inputs, int layer)
    {
        var (batch, tokens) = (x.shape[0], x.shape[1]);
        long size = config.HeadSize, queryHeads = config.HeadCount, keyHeads = config.KeyValueHeadCount;
        var group = queryHeads / keyHeads;

        var projected = functional.linear(x, QueryKeyValue.weight).split([(queryHeads + keyHeads) * size, keyHeads * size], -1);
        var rotated = Rotate(projected[0].view(batch, tokens, queryHeads + keyHeads, size), inputs.Rotation).split([queryHeads, keyHeads], 2);
        var queries = rotated[0].transpose(1, 2).reshape(batch * keyHeads, group * tokens, size);
        var keys = rotated[1].transpose(1, 2); // [B, K, T, size]
        var values = projected[1].view(batch, tokens, keyHeads, size).transpose(1, 2);
        if (inputs.Cache is { } cache)
        {
            (keys, values) = cache.Append(layer, keys, values);
        }

        var length = keys.shape[2];
        var (allKeys, allValues) = (keys.reshape(batch * keyHeads, length, size), values.reshape(batch * keyHeads, length, size));
        var attended = inputs.CausalBias is { } bias && tokens == length && tokens > QueriesAtOnce
            ? InStretches(queries.view(batch * keyHeads, group, tokens, size), allKeys, allValues, bias, inputs, batch)
            : Scores(queries, allKeys.transpose(1, 2), inputs, batch).softmax(-1).bmm(allValues);
        return attended.view(batch, queryHeads, tokens, size).transpose(1, 2).reshape(batch, tokens, queryHeads * size);
    }

    /// <summary>
    /// Attention of a long sequence, some queries after others: each stretch multiplies only the keys up to its own end, so the scores
    /// that a causal mask would throw away are for the greater part never made.
    /// </summary>
    /// <param name="queries">[B · K, group, T, size].</param>
    /// <param name="keys">[B · K, T, size].</param>
    /// <param name="values">[B · K, T, size].</param>
    /// <param name="causal">[group · T, T].</param>
    /// <returns>[B · K, group, T, size].</returns>
    private Tensor InStretches(Tensor queries, Tensor keys, Tensor values, Tensor causal, AttentionInputs inputs, long batch)
    {
        var (rows, group, tokens, size) = (queries.shape[0], queries.shape[1], queries.shape[2], queries.shape[3]);
        var parts = new List<Tensor>();
        for (long start = 0; start < tokens; start += QueriesAtOnce)
        {
            var count = Math.Min(QueriesAtOnce, tokens - start);
            var end = start + count;
            var mask = causal.narrow(0, start, count).narrow(1, 0, end).repeat(group, 1); // the first T rows are one head's
            var scores = Scores(queries.narrow(2, start, count).reshape(rows, group * count, size), keys.narrow(1, 0, end).transpose(1, 2), inputs with { CausalBias = mask }, batch);
            parts.Add(scores.softmax(-1).bmm(values.narrow(1, 0, end)).view(rows, group, count, size));
        }

        return cat(parts, 2);
    }

    private Tensor Scores(Tensor queries, Tensor keys, AttentionInputs inputs, long batch)
    {
        var scale = 1 / Math.Sqrt(config.HeadSize);
        if (inputs.CausalBias is { } causal)
        {
            // [group · T, length], the same for every row and head: it rides on the product.
            return baddbmm(causal.expand(queries.shape[0], -1, -1), queries, keys, beta: 1, alpha: (float)scale);
        }

        var scores = queries.mul(scale).bmm(keys);
        if (inputs.PaddedBias is { } padded)
        {
            // [B, 1, T, length] onto [B, heads, T, length]: in place, the product does not need its result.
            scores.view(batch, config.HeadCount, -1, scores.shape[2]).add_(padded);
        }

        return scores;
    }

    /// <summary>Turns each pair of neighbouring numbers by its position's angle: a complex multiplication.</summary>
    private static Tensor Rotate(Tensor heads, Tensor rotation)
    {
        // Complex numbers exist in float32 only; narrower formats turn there and come back.
        var pairs = heads.to_type(ScalarType.Float32).view([.. heads.shape[..3], heads.shape[3] / 2, 2]);
        return pairs.view_as_complex().mul(rotation).view_as_real().view(heads.shape).to_type(heads.dtype);
    }

    /// <summary>A named group of weights, so that parameter names read like a checkpoint's.</summary>
    private sealed class Group : Module
    {
        public Group(params (string Name, Module Part)[] parts)
            : base("group")
        {
            foreach (var (name, part) in parts)
            {
                register_module(name, part);
            }
        }
    }
}

/// <summary>What every block's attention needs besides the residual stream.</summary>
/// <param name="Rotation">e^(i·angle) of each position, complex [T, 1, size/2] or [B, T, 1, size/2].</param>
/// <param name="CausalBias">0 where a query may look, −∞ elsewhere, [group · T, length]; null for a single new token or padded rows.</param>
/// <param name="PaddedBias">The same with left padding, [B, 1, T, length]; null when no row is padded.</param>
internal sealed record AttentionInputs(Tensor Rotation, Tensor? CausalBias, Tensor? PaddedBias)
{
    public KvCache? Cache { get; init; }
}

/// <summary>The rotation table and the causal masks of a model, made when first needed and kept.</summary>
internal sealed class LlamaTables(LlamaConfig config) : IDisposable
{
    private readonly Lock gate = new();
    private Tensor? rotation;
    private Tensor? causal;

    /// <summary>Rotation and mask for tokens past … past + tokens − 1. Results belong to this object or the caller's scope.</summary>
    public AttentionInputs For(Tensor? leftPadding, long past, long tokens, Device device, ScalarType dtype)
    {
        lock (gate)
        {
            var table = Rotation(device);
            if (leftPadding is null)
            {
                return new AttentionInputs(
                    table.narrow(0, past, tokens).unsqueeze(1),
                    tokens == 1 ? null : CausalMask(past, tokens, device, dtype),
                    null);
            }

            var queries = arange(past, past + tokens, dtype: ScalarType.Int64, device: device).view(1, tokens, 1);
            var slots = arange(past + tokens, dtype: ScalarType.Int64, device: device).view(1, 1, -1);
            var padding = leftPadding.view(-1, 1, 1);
            // A padded position may look at itself, or its softmax would be 0/0 and spoil the rows' other positions.
            var visible = slots.le(queries).logical_and(slots.ge(padding).logical_or(slots.eq(queries)));
            var bias = zeros(visible.shape, dtype: dtype, device: device).masked_fill(visible.logical_not(), double.NegativeInfinity);
            var positions = queries.sub(padding).clamp_min(0).flatten();
            return new AttentionInputs(
                table.index_select(0, positions).view(leftPadding.shape[0], tokens, 1, config.HeadSize / 2),
                null,
                bias.unsqueeze(1));
        }
    }

    public void Dispose()
    {
        rotation?.Dispose();
        causal?.Dispose();
        (rotation, causal) = (null, null);
    }

    private Tensor Rotation(Device device)
    {
        if (rotation is null || rotation.device != device)
        {
            Dispose();
            var pairs = config.HeadSize / 2;
            var table = new float[config.ContextLength * pairs * 2];
            for (var position = 0; position < config.ContextLength; position++)
            {
                for (var i = 0; i < pairs; i++)
                {
                    var angle = position / Math.Pow(config.RopeTheta, 2.0 * i / config.HeadSize);
                    var at = ((position * pairs) + i) * 2;
                    (table[at], table[at + 1]) = ((float)Math.Cos(angle), (float)Math.Sin(angle));
                }
            }

            using var scope = NewDisposeScope();
            rotation = tensor(table, [config.ContextLength, pairs, 2]).to(device).view_as_complex().DetachFromDisposeScope();
        }

        return rotation;
    }

    /// <summary>0 where a query may look, −∞ after it: a window of one big mask, repeated for each query head of a group.</summary>
    private Tensor CausalMask(long past, long tokens, Device device, ScalarType dtype)
    {
        var length = past + tokens;
        if (causal is null || causal.shape[0] < length || causal.device != device || causal.dtype != dtype)
        {
            causal?.Dispose();
            using var scope = NewDisposeScope();
            var size = (long)System.Numerics.BitOperations.RoundUpToPowerOf2((ulong)length);
            causal = full([size, size], double.NegativeInfinity, dtype: dtype, device: device).triu(1).DetachFromDisposeScope();
        }

        var window = causal.narrow(0, past, tokens).narrow(1, 0, length);
        var group = config.HeadCount / config.KeyValueHeadCount;
        return group == 1 ? window : window.expand(group, -1, -1).reshape(group * tokens, length);
    }
}
