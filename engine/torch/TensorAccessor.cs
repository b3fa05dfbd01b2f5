using System.Collections;
using Portal.Torch.Native;
using static TorchSharp.torch;

namespace TorchSharp.Utils;

/// <summary>The values of a CPU tensor in row-major order of its shape, whatever its strides; writing changes the tensor.</summary>
/// <remarks>Shares the ownership of the memory, so that lives as long as the accessor, but counts as no tensor.</remarks>
public sealed class TensorAccessor<T> : IDisposable, IEnumerable<T> where T : unmanaged
{
    private nint shared;
    private readonly unsafe T* start;
    private readonly long[] shape, strides;
    private readonly bool contiguous;

    internal unsafe TensorAccessor(Tensor tensor)
    {
        shared = Shim.Check(Shim.pt_tensor_share(tensor.Live));
        start = (T*)tensor.Data();
        shape = tensor.shape;
        strides = tensor.stride();
        contiguous = tensor.is_contiguous();
        Count = tensor.numel();
    }

    /// <summary>How many values.</summary>
    public long Count { get; }

    public bool IsReadOnly => false;

    /// <summary>One value, by an index for each dimension; a single index into a tensor of several counts in row-major order.</summary>
    public unsafe T this[params long[] indices]
    {
        get
        {
            var value = Start[Offset(indices)];
            GC.KeepAlive(this);
            return value;
        }
        set
        {
            Start[Offset(indices)] = value;
            GC.KeepAlive(this);
        }
    }

    /// <summary>A copy of all values.</summary>
    public T[] ToArray()
    {
        var array = new T[Count];
        CopyTo(array.AsSpan());
        return array;
    }

    public void CopyTo(T[] array, int arrayIndex = 0, long tensorIndex = 0) => CopyTo(array.AsSpan(), arrayIndex, tensorIndex);

    /// <summary>Copies the values from <paramref name="tensorIndex"/> on, as many as fit.</summary>
    public unsafe void CopyTo(Span<T> array, int arrayIndex = 0, long tensorIndex = 0)
    {
        var target = array[arrayIndex..];
        var length = (int)Math.Min(target.Length, Count - tensorIndex);
        if (length <= 0) return;
        if (contiguous) new Span<T>(Start + tensorIndex, length).CopyTo(target);
        else for (var k = 0; k < length; k++) target[k] = Start[OffsetOf(tensorIndex + k)];
        GC.KeepAlive(this);
    }

    public void CopyFrom(T[] array, int arrayIndex = 0, long tensorIndex = 0) => CopyFrom((ReadOnlySpan<T>)array, arrayIndex, tensorIndex);

    /// <summary>Writes values from <paramref name="tensorIndex"/> on, as many as fit.</summary>
    public unsafe void CopyFrom(ReadOnlySpan<T> array, int arrayIndex = 0, long tensorIndex = 0)
    {
        var source = array[arrayIndex..];
        var length = (int)Math.Min(source.Length, Count - tensorIndex);
        if (length <= 0) return;
        if (contiguous) source[..length].CopyTo(new Span<T>(Start + tensorIndex, length));
        else for (var k = 0; k < length; k++) Start[OffsetOf(tensorIndex + k)] = source[k];
        GC.KeepAlive(this);
    }

    public IEnumerator<T> GetEnumerator()
    {
        for (long k = 0; k < Count; k++) yield return At(k);
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>Gives up its share of the memory; it cannot be read afterwards.</summary>
    public void Dispose()
    {
        var owned = Interlocked.Exchange(ref shared, 0);
        if (owned != 0) Shim.pt_tensor_free(owned);
        GC.SuppressFinalize(this);
    }

    // The finalizer is no part of TorchSharp's class, but callers cannot tell.
    ~TensorAccessor() => Dispose();

    private unsafe T* Start => shared != 0 ? start : throw new ObjectDisposedException(nameof(TensorAccessor<T>));

    private unsafe T At(long k)
    {
        var value = Start[OffsetOf(k)];
        GC.KeepAlive(this);
        return value;
    }

    private long Offset(long[] indices)
    {
        if (indices.Length == 1 && shape.Length != 1)
        {
            if (indices[0] < 0 || indices[0] >= Count) throw new IndexOutOfRangeException($"Index {indices[0]} of {Count} values.");
            return OffsetOf(indices[0]);
        }
        if (indices.Length != shape.Length) throw new ArgumentException($"{indices.Length} indices for a tensor of {shape.Length} dimensions.", nameof(indices));
        long offset = 0;
        for (var d = 0; d < shape.Length; d++)
        {
            if (indices[d] < 0 || indices[d] >= shape[d]) throw new IndexOutOfRangeException($"Index {indices[d]} in dimension {d} of size {shape[d]}.");
            offset += indices[d] * strides[d];
        }
        return offset;
    }

    private long OffsetOf(long k)
    {
        if (contiguous) return k;
        long offset = 0;
        for (var d = shape.Length - 1; d >= 0; d--)
        {
            offset += k % shape[d] * strides[d];
            k /= shape[d];
        }
        return offset;
    }
}
