using System.IO.MemoryMappedFiles;
using System.Numerics;
using System.Runtime.InteropServices;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Portal.Engine.Influence;

/// <summary>
/// Feature vectors of many pairs, one row a pair: float32, in memory or in a file that is mapped, so that a second explanation of the same model reads nothing anew.
/// </summary>
/// <remarks>
/// Products are sums of doubles whatever the rows hold, and each row's is its own: they are the same for any number of threads. Rows are only read, and threads may share them.
/// Offsets are 64 bits wide: 200,000 rows of 2,048 numbers are 1.6 GB.
/// </remarks>
public sealed unsafe class FeatureRows : IDisposable
{
    /// <summary>Rows that a thread takes at a time.</summary>
    private const int Block = 512;

    private readonly float* start;
    private readonly Action release;
    private double[]? squares;

    private FeatureRows(float* start, int count, int width, int threads, Action release)
    {
        this.start = start;
        (Count, Width, Threads, this.release) = (count, width, threads, release);
        for (var row = 0; row < Count; row++)
        {
            if (!float.IsFinite(TensorPrimitives.Sum(this[row])))
                Refuse(row);
        }
    }

    /// <summary>n, at least 0.</summary>
    public int Count { get; }

    /// <summary>d, at least 1.</summary>
    public int Width { get; }

    /// <summary>Threads that share a product; the result does not depend on them.</summary>
    public int Threads { get; }

    /// <summary>One row. [d].</summary>
    public ReadOnlySpan<float> this[int row] => row >= 0 && row < Count
        ? new ReadOnlySpan<float>(start + (long)row * Width, Width)
        : throw new ArgumentOutOfRangeException(nameof(row), row, $"There are {Count} rows.");

    /// <summary>‖v_i‖² of every row, made once. [n].</summary>
    public IReadOnlyList<double> Squares => SquaresOf();

    /// <summary>Rows in memory.</summary>
    /// <param name="values">Row after row, finite; copied. [n · d].</param>
    /// <param name="width">d, at least 1.</param>
    /// <param name="threads">Threads of a product; null for one a core.</param>
    /// <exception cref="ArgumentException">The length is no multiple of d, or a number is not finite; the message names the row.</exception>
    public static FeatureRows Of(ReadOnlySpan<float> values, int width, int? threads = null)
    {
        if (width < 1 || values.Length % width != 0)
            throw new ArgumentException($"{values.Length} numbers are no rows of {width}.", nameof(values));
        var kept = GC.AllocateUninitializedArray<float>(Math.Max(1, values.Length), pinned: true);
        values.CopyTo(kept);
        return new FeatureRows((float*)Marshal.UnsafeAddrOfPinnedArrayElement(kept, 0), values.Length / width, width, threads ?? Environment.ProcessorCount, () => GC.KeepAlive(kept));
    }

    /// <summary>Rows of a file of little-endian floats.</summary>
    /// <exception cref="InvalidDataException">Its length is no multiple of a row's.</exception>
    /// <exception cref="ArgumentException">A number is not finite; the message names the row.</exception>
    public static FeatureRows Map(string path, int width)
    {
        var length = new FileInfo(path).Length;
        if (length % (width * sizeof(float)) != 0)
            throw new InvalidDataException($"{path}: {length} bytes are no rows of {width} numbers; remove its folder, it is made again.");
        if (length == 0)
            return Of([], width);
        var file = MemoryMappedFile.CreateFromFile(path, FileMode.Open, null, 0, MemoryMappedFileAccess.Read);
        var view = file.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
        byte* start = null;
        view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
        void Release()
        {
            view.SafeMemoryMappedViewHandle.ReleasePointer();
            view.Dispose();
            file.Dispose();
        }
        try
        {
            return new FeatureRows((float*)start, checked((int)(length / (width * sizeof(float)))), width, Environment.ProcessorCount, Release);
        }
        catch
        {
            Release();
            throw;
        }
    }

    /// <summary>v_i · x of every row.</summary>
    /// <param name="x">[d].</param>
    /// <param name="into">[n], overwritten.</param>
    public void Products(double[] x, double[] into) => InBlocks((from, to) =>
    {
        for (var row = from; row < to; row++)
            into[row] = Product(this[row], x);
    });

    /// <summary>Σ_i f_i v_i. [d].</summary>
    /// <param name="factors">[n]; rows with a 0 are not read.</param>
    public double[] Sum(ReadOnlySpan<double> factors)
    {
        // Blocks are summed by themselves and then one after the other, so that threads do not change the order.
        var blocks = (Count + Block - 1) / Block;
        var sums = new double[blocks][];
        var f = factors.ToArray();
        Parallel.For(0, blocks, new ParallelOptions { MaxDegreeOfParallelism = Threads }, block =>
        {
            var sum = new double[Width];
            for (var row = block * Block; row < Math.Min(Count, (block + 1) * Block); row++)
            {
                if (f[row] != 0)
                    Add(this[row], f[row], sum);
            }
            sums[block] = sum;
        });
        var total = new double[Width];
        foreach (var sum in sums)
            TensorPrimitives.Add<double>(total, sum, total);
        return total;
    }

    /// <summary>A row as doubles, less a vector.</summary>
    /// <param name="less">[d]; empty for nothing.</param>
    /// <param name="into">[d].</param>
    public void CopyTo(int row, ReadOnlySpan<double> less, Span<double> into)
    {
        TensorPrimitives.ConvertTruncating(this[row], into);
        if (!less.IsEmpty)
            TensorPrimitives.Subtract(into, less, into);
    }

    public void Dispose() => release();

    /// <summary>v · x in doubles. [d] each.</summary>
    internal static double Product(ReadOnlySpan<float> row, ReadOnlySpan<double> x)
    {
        ref var v = ref MemoryMarshal.GetReference(row);
        ref var y = ref MemoryMarshal.GetReference(x);
        Vector<double> s0 = default, s1 = default, s2 = default, s3 = default;
        int i = 0, step = Vector<double>.Count;
        for (; i <= row.Length - 4 * step; i += 4 * step)
        {
            var (a, b) = Widen(ref v, i);
            s0 = Vector.FusedMultiplyAdd(a, Vector.LoadUnsafe(ref y, (nuint)i), s0);
            s1 = Vector.FusedMultiplyAdd(b, Vector.LoadUnsafe(ref y, (nuint)(i + step)), s1);
            (a, b) = Widen(ref v, i + 2 * step);
            s2 = Vector.FusedMultiplyAdd(a, Vector.LoadUnsafe(ref y, (nuint)(i + 2 * step)), s2);
            s3 = Vector.FusedMultiplyAdd(b, Vector.LoadUnsafe(ref y, (nuint)(i + 3 * step)), s3);
        }
        var sum = Vector.Sum(s0 + s1 + (s2 + s3));
        for (; i < row.Length; i++)
            sum += row[i] * x[i];
        return sum;

        static (Vector<double> Low, Vector<double> High) Widen(ref float at, int i)
        {
            Vector.Widen(Vector.LoadUnsafe(ref at, (nuint)i), out var low, out var high);
            return (low, high);
        }
    }

    private static void Add(ReadOnlySpan<float> row, double factor, Span<double> sum)
    {
        ref var v = ref MemoryMarshal.GetReference(row);
        ref var s = ref MemoryMarshal.GetReference(sum);
        var f = new Vector<double>(factor);
        int i = 0, step = Vector<double>.Count;
        for (; i <= row.Length - 2 * step; i += 2 * step)
        {
            Vector.Widen(Vector.LoadUnsafe(ref v, (nuint)i), out var low, out var high);
            Vector.FusedMultiplyAdd(low, f, Vector.LoadUnsafe(ref s, (nuint)i)).StoreUnsafe(ref s, (nuint)i);
            Vector.FusedMultiplyAdd(high, f, Vector.LoadUnsafe(ref s, (nuint)(i + step))).StoreUnsafe(ref s, (nuint)(i + step));
        }
        for (; i < row.Length; i++)
            sum[i] += factor * row[i];
    }

    private double[] SquaresOf()
    {
        if (squares is null)
        {
            var made = new double[Count];
            InBlocks((from, to) =>
            {
                for (var row = from; row < to; row++)
                {
                    var sum = 0.0;
                    foreach (var value in this[row])
                        sum += (double)value * value;
                    made[row] = sum;
                }
            });
            squares = made;
        }
        return squares;
    }

    private void InBlocks(Action<int, int> body) =>
        Parallel.For(0, (Count + Block - 1) / Block, new ParallelOptions { MaxDegreeOfParallelism = Threads }, block => body(block * Block, Math.Min(Count, (block + 1) * Block)));

    private void Refuse(int row)
    {
        var values = this[row];
        for (var i = 0; i < values.Length; i++)
        {
            if (!float.IsFinite(values[i]))
                throw new ArgumentException($"Row {row}: feature {i} is {values[i]}.");
        }
        throw new ArgumentException($"Row {row}: its features are too large to be added up.");
    }
}
