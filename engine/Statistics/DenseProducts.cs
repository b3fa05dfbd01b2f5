using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Portal.Engine.Statistics;

/// <summary>Products of rows of doubles that read each number once for several results: what a gradient of many pairs, a hidden layer and a Hessian spend their time on.</summary>
/// <remarks>
/// A dot product alone waits for memory: two loads for one multiplication. Two rows against four share theirs (six loads, eight multiplications), and eight running sums hide the
/// latency of the adder. Sums are therefore added in another order than one by one; the last digits differ from a naive loop's, and are the same on every run on one machine.
/// </remarks>
internal static class DenseProducts
{
    /// <summary>c[p, q] = a[rows[p]] · b[q].</summary>
    /// <param name="a">Rows of n numbers, one after the other.</param>
    /// <param name="rows">Which of them; any order, repeated ones too. [P].</param>
    /// <param name="b">[Q · n].</param>
    /// <param name="c">[P · Q], overwritten.</param>
    public static void Rows(ReadOnlySpan<double> a, ReadOnlySpan<int> rows, ReadOnlySpan<double> b, int n, Span<double> c)
    {
        var q = n == 0 ? 0 : b.Length / n;
        Span<double> sums = stackalloc double[8];
        for (var p = 0; p < rows.Length; p += 2)
        {
            var (first, second) = (rows[p], rows[Math.Min(p + 1, rows.Length - 1)]);
            for (var k = 0; k < q; k += 4)
            {
                // At the edges a row is taken twice, and its second result is not kept.
                Block(a.Slice(first * n, n), a.Slice(second * n, n), b.Slice(k * n, n), b.Slice(Math.Min(k + 1, q - 1) * n, n), b.Slice(Math.Min(k + 2, q - 1) * n, n), b.Slice(Math.Min(k + 3, q - 1) * n, n), sums);
                var width = Math.Min(4, q - k);
                sums[..width].CopyTo(c[(p * q + k)..]);
                if (p + 1 < rows.Length)
                    sums.Slice(4, width).CopyTo(c[((p + 1) * q + k)..]);
            }
        }
    }

    /// <summary>c += Σ_p factors[p] · a[rows[p]].</summary>
    /// <param name="a">Rows of n numbers.</param>
    /// <param name="rows">[P].</param>
    /// <param name="factors">[P].</param>
    /// <param name="c">[n].</param>
    public static void AddRows(ReadOnlySpan<double> a, ReadOnlySpan<int> rows, ReadOnlySpan<double> factors, Span<double> c)
    {
        var n = c.Length;
        var p = 0;
        for (; p + 4 <= rows.Length; p += 4)
        {
            AddFour(a.Slice(rows[p] * n, n), a.Slice(rows[p + 1] * n, n), a.Slice(rows[p + 2] * n, n), a.Slice(rows[p + 3] * n, n),
                factors[p], factors[p + 1], factors[p + 2], factors[p + 3], c);
        }
        for (; p < rows.Length; p++)
            TensorPrimitives.MultiplyAdd(a.Slice(rows[p] * n, n), factors[p], c, c);
    }

    /// <summary>Σ_i w_i x_ij x_ik for k ≤ j: the lower triangle of a weighted Gram matrix.</summary>
    /// <param name="x">Columns of n numbers each. [d].</param>
    /// <param name="weights">[n]; empty: all 1.</param>
    /// <param name="into">[d, d] row by row; the lower triangle is overwritten, the rest left alone.</param>
    /// <param name="scratch">At least 4 (n + d) numbers, overwritten; fits on one design can share it.</param>
    public static void Gram(ColumnMatrix x, ReadOnlySpan<double> weights, Span<double> into, double[] scratch)
    {
        var (n, d) = (x.Rows, x.Columns);
        var scaled = scratch.AsSpan(0, 4 * n);
        var products = scratch.AsSpan(4 * n, 4 * d);
        int[] order = [.. Enumerable.Range(0, d)];
        for (var j = 0; j < d; j += 4)
        {
            var width = Math.Min(4, d - j);
            for (var k = 0; k < width; k++)
            {
                if (weights.IsEmpty)
                    x.Column(j + k).CopyTo(scaled.Slice(k * n, n));
                else
                    TensorPrimitives.Multiply(x.Column(j + k), weights, scaled.Slice(k * n, n));
            }
            Rows(x.Values, order.AsSpan(0, j + width), scaled[..(width * n)], n, products); // up to the diagonal of the last of the four
            for (var k = 0; k < width; k++)
            {
                for (var column = 0; column <= j + k; column++)
                    into[(j + k) * d + column] = products[column * width + k];
            }
        }
    }

    // The two inner loops are compiled with care at once: as first compiled, vectors of each step go through memory, and a short audit would be over before the runtime looked again.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Block(ReadOnlySpan<double> x0, ReadOnlySpan<double> x1, ReadOnlySpan<double> y0, ReadOnlySpan<double> y1, ReadOnlySpan<double> y2, ReadOnlySpan<double> y3, Span<double> sums)
    {
        ref var a0 = ref MemoryMarshal.GetReference(x0);
        ref var a1 = ref MemoryMarshal.GetReference(x1);
        ref var b0 = ref MemoryMarshal.GetReference(y0);
        ref var b1 = ref MemoryMarshal.GetReference(y1);
        ref var b2 = ref MemoryMarshal.GetReference(y2);
        ref var b3 = ref MemoryMarshal.GetReference(y3);
        Vector<double> s00 = default, s01 = default, s02 = default, s03 = default, s10 = default, s11 = default, s12 = default, s13 = default;
        var i = 0;
        for (; i <= x0.Length - Vector<double>.Count; i += Vector<double>.Count)
        {
            var at = (nuint)i;
            var (p, q) = (Vector.LoadUnsafe(ref a0, at), Vector.LoadUnsafe(ref a1, at));
            var r = Vector.LoadUnsafe(ref b0, at);
            s00 = Vector.FusedMultiplyAdd(p, r, s00);
            s10 = Vector.FusedMultiplyAdd(q, r, s10);
            r = Vector.LoadUnsafe(ref b1, at);
            s01 = Vector.FusedMultiplyAdd(p, r, s01);
            s11 = Vector.FusedMultiplyAdd(q, r, s11);
            r = Vector.LoadUnsafe(ref b2, at);
            s02 = Vector.FusedMultiplyAdd(p, r, s02);
            s12 = Vector.FusedMultiplyAdd(q, r, s12);
            r = Vector.LoadUnsafe(ref b3, at);
            s03 = Vector.FusedMultiplyAdd(p, r, s03);
            s13 = Vector.FusedMultiplyAdd(q, r, s13);
        }
        (sums[0], sums[1], sums[2], sums[3]) = (Vector.Sum(s00), Vector.Sum(s01), Vector.Sum(s02), Vector.Sum(s03));
        (sums[4], sums[5], sums[6], sums[7]) = (Vector.Sum(s10), Vector.Sum(s11), Vector.Sum(s12), Vector.Sum(s13));
        for (; i < x0.Length; i++)
        {
            sums[0] += x0[i] * y0[i];
            sums[1] += x0[i] * y1[i];
            sums[2] += x0[i] * y2[i];
            sums[3] += x0[i] * y3[i];
            sums[4] += x1[i] * y0[i];
            sums[5] += x1[i] * y1[i];
            sums[6] += x1[i] * y2[i];
            sums[7] += x1[i] * y3[i];
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddFour(ReadOnlySpan<double> x0, ReadOnlySpan<double> x1, ReadOnlySpan<double> x2, ReadOnlySpan<double> x3, double f0, double f1, double f2, double f3, Span<double> c)
    {
        ref var a0 = ref MemoryMarshal.GetReference(x0);
        ref var a1 = ref MemoryMarshal.GetReference(x1);
        ref var a2 = ref MemoryMarshal.GetReference(x2);
        ref var a3 = ref MemoryMarshal.GetReference(x3);
        ref var sum = ref MemoryMarshal.GetReference(c);
        var (v0, v1, v2, v3) = (new Vector<double>(f0), new Vector<double>(f1), new Vector<double>(f2), new Vector<double>(f3));
        var i = 0;
        for (; i <= c.Length - Vector<double>.Count; i += Vector<double>.Count)
        {
            var at = (nuint)i;
            var one = Vector.FusedMultiplyAdd(Vector.LoadUnsafe(ref a0, at), v0, Vector.LoadUnsafe(ref sum, at));
            var other = Vector.LoadUnsafe(ref a1, at) * v1;
            one = Vector.FusedMultiplyAdd(Vector.LoadUnsafe(ref a2, at), v2, one);
            other = Vector.FusedMultiplyAdd(Vector.LoadUnsafe(ref a3, at), v3, other);
            (one + other).StoreUnsafe(ref sum, at);
        }
        for (; i < c.Length; i++)
            c[i] += x0[i] * f0 + x1[i] * f1 + x2[i] * f2 + x3[i] * f3;
    }
}
