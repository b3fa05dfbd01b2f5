using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Engine.Models;

/// <summary>
/// The keys and values of the tokens a model has already read, so that each new token costs one position instead of all.
/// </summary>
/// <remarks>
/// One buffer a layer for keys and one for values, [B, key-value heads, capacity, head size], allocated once and written in
/// place. For generation only: gradients do not flow through it. Rows are padded on the left, so that all rows write to the
/// same slot; <see cref="LeftPadding"/> says how many slots of each row are empty.
/// </remarks>
public sealed class KvCache : IDisposable
{
    private readonly Tensor[] keys;
    private readonly Tensor[] values;

    /// <param name="config">The model's shape.</param>
    /// <param name="batchSize">B, rows.</param>
    /// <param name="capacity">The most tokens a row will hold, padding included; at most the model's context length plus padding.</param>
    /// <param name="leftPadding">Empty slots at the start of each row, [B] int64; null when no row is padded.</param>
    /// <param name="device">Where the model is; null means the CPU.</param>
    /// <param name="dtype">The number format of the model's activations.</param>
    public KvCache(LlamaConfig config, long batchSize, long capacity, Tensor? leftPadding = null, Device? device = null, ScalarType dtype = ScalarType.Float32)
    {
        long[] shape = [batchSize, config.KeyValueHeadCount, capacity, config.HeadSize];
        keys = [.. Enumerable.Range(0, config.LayerCount).Select(_ => Buffer())];
        values = [.. Enumerable.Range(0, config.LayerCount).Select(_ => Buffer())];
        Capacity = capacity;
        LeftPadding = leftPadding?.alias().DetachFromDisposeScope();

        Tensor Buffer()
        {
            return empty(shape, dtype: dtype, device: device).DetachFromDisposeScope();
        }
    }

    /// <summary>Slots a row has.</summary>
    public long Capacity { get; }

    /// <summary>Slots in use, padding included.</summary>
    public long Length { get; private set; }

    /// <summary>Where the buffers are.</summary>
    public Device Device => keys[0].device;

    /// <summary>Rows.</summary>
    public long BatchSize => keys[0].shape[0];

    /// <summary>Empty slots at the start of each row, [B] int64, or null when there are none.</summary>
    public Tensor? LeftPadding { get; private set; }

    /// <summary>Keeps only some rows, in the order given; the others are finished.</summary>
    /// <param name="rows">[B'] int64, row numbers.</param>
    public void KeepRows(Tensor rows)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        for (var layer = 0; layer < keys.Length; layer++)
        {
            keys[layer] = Keep(keys[layer]);
            values[layer] = Keep(values[layer]);
        }

        if (LeftPadding is { } padding)
        {
            LeftPadding = padding.index_select(0, rows).DetachFromDisposeScope();
            padding.Dispose();
        }

        Tensor Keep(Tensor buffer)
        {
            // Only the slots in use are copied.
            var kept = empty([rows.shape[0], .. buffer.shape[1..]], dtype: buffer.dtype, device: buffer.device).DetachFromDisposeScope();
            kept.narrow(2, 0, Length).copy_(buffer.narrow(2, 0, Length).index_select(0, rows));
            buffer.Dispose();
            return kept;
        }
    }

    /// <summary>Releases the buffers.</summary>
    public void Dispose()
    {
        foreach (var buffer in keys.Concat(values))
        {
            buffer.Dispose();
        }

        LeftPadding?.Dispose();
    }

    /// <summary>
    /// Writes the keys and values of new tokens behind the old ones and gives all of them: views, [B, heads, Length + T, head size].
    /// </summary>
    internal (Tensor Keys, Tensor Values) Append(int layer, Tensor newKeys, Tensor newValues)
    {
        var tokens = newKeys.shape[2];
        keys[layer].narrow(2, Length, tokens).copy_(newKeys);
        values[layer].narrow(2, Length, tokens).copy_(newValues);
        return (keys[layer].narrow(2, 0, Length + tokens), values[layer].narrow(2, 0, Length + tokens));
    }

    /// <summary>Counts the new tokens, after every layer has appended them.</summary>
    internal void Advance(long tokens)
    {
        Length += tokens;
    }
}
