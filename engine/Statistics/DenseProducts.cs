using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
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
        if (q == 1)
        {
            // Against a single row the blocks below would make each product four times: eight rows share it instead. The same sums in the same order.
            for (var p = 0; p < rows.Length; p += 8)
            {
                Eight(a, rows[p..], b[..n], sums);
                sums[..Math.Min(8, rows.Length - p)].CopyTo(c[p..]);
            }
            return;
        }
        var done = 0;
        if (IsWide && q >= 4)
        {
            Span<double> all = stackalloc double[16];
            for (; done + 4 <= rows.Length; done += 4)
            {
                for (var k = 0; k < q; k += 4)
                {
                    Sixteen(a.Slice(rows[done] * n, n), a.Slice(rows[done + 1] * n, n), a.Slice(rows[done + 2] * n, n), a.Slice(rows[done + 3] * n, n),
                        b.Slice(k * n, n), b.Slice(Math.Min(k + 1, q - 1) * n, n), b.Slice(Math.Min(k + 2, q - 1) * n, n), b.Slice(Math.Min(k + 3, q - 1) * n, n), all);
                    for (var row = 0; row < 4; row++)
                        all.Slice(4 * row, Math.Min(4, q - k)).CopyTo(c[((done + row) * q + k)..]);
                }
            }
        }
        for (var p = done; p < rows.Length; p += 2)
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

    /// <summary>c[k] += Σ_p factors[p, k] · a[rows[p]]: <see cref="AddRows"/> for several results, which reads each row once for all of them. The same numbers, bit by bit.</summary>
    /// <param name="a">Rows of n numbers.</param>
    /// <param name="rows">[P].</param>
    /// <param name="factors">[P · K].</param>
    /// <param name="c">[K · n].</param>
    public static void AddRowsToAll(ReadOnlySpan<double> a, ReadOnlySpan<int> rows, ReadOnlySpan<double> factors, int n, Span<double> c)
    {
        var results = n == 0 ? 0 : c.Length / n;
        var p = 0;
        for (; p + 4 <= rows.Length; p += 4)
        {
            var f = factors.Slice(p * results, 4 * results);
            for (var k = 0; k < results; k++)
            {
                AddFour(a.Slice(rows[p] * n, n), a.Slice(rows[p + 1] * n, n), a.Slice(rows[p + 2] * n, n), a.Slice(rows[p + 3] * n, n),
                    f[k], f[results + k], f[2 * results + k], f[3 * results + k], c.Slice(k * n, n));
            }
        }
        for (; p < rows.Length; p++)
        {
            for (var k = 0; k < results; k++)
                TensorPrimitives.MultiplyAdd(a.Slice(rows[p] * n, n), factors[p * results + k], c.Slice(k * n, n), c.Slice(k * n, n));
        }
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

    /// <summary>The products of four rows with four others, all of one length: sums[4 i + j] = x_i · y_j.</summary>
    public static void FourByFour(ReadOnlySpan<double> x0, ReadOnlySpan<double> x1, ReadOnlySpan<double> x2, ReadOnlySpan<double> x3,
        ReadOnlySpan<double> y0, ReadOnlySpan<double> y1, ReadOnlySpan<double> y2, ReadOnlySpan<double> y3, Span<double> sums)
    {
        if (IsWide)
        {
            Sixteen(x0, x1, x2, x3, y0, y1, y2, y3, sums);
            return;
        }
        Block(x0, x1, y0, y1, y2, y3, sums[..8]);
        Block(x2, x3, y0, y1, y2, y3, sums[8..]);
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

    /// <summary>Whether a register holds two vectors: then two rows' sums share one, each half added as it would be alone.</summary>
    private static bool IsWide => Vector512.IsHardwareAccelerated && Vector<double>.Count == 4;

    // Four rows against four, two rows in a register: with as many additions in flight as Block, half the instructions. The same sums in the same order.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Sixteen(ReadOnlySpan<double> x0, ReadOnlySpan<double> x1, ReadOnlySpan<double> x2, ReadOnlySpan<double> x3,
        ReadOnlySpan<double> y0, ReadOnlySpan<double> y1, ReadOnlySpan<double> y2, ReadOnlySpan<double> y3, Span<double> sums)
    {
        ref var a0 = ref MemoryMarshal.GetReference(x0);
        ref var a1 = ref MemoryMarshal.GetReference(x1);
        ref var a2 = ref MemoryMarshal.GetReference(x2);
        ref var a3 = ref MemoryMarshal.GetReference(x3);
        ref var b0 = ref MemoryMarshal.GetReference(y0);
        ref var b1 = ref MemoryMarshal.GetReference(y1);
        ref var b2 = ref MemoryMarshal.GetReference(y2);
        ref var b3 = ref MemoryMarshal.GetReference(y3);
        Vector512<double> s00 = default, s01 = default, s02 = default, s03 = default, s20 = default, s21 = default, s22 = default, s23 = default;
        var i = 0;
        for (; i <= x0.Length - 4; i += 4)
        {
            var at = (nuint)i;
            var p = Vector512.Create(Vector256.LoadUnsafe(ref a0, at), Vector256.LoadUnsafe(ref a1, at));
            var q = Vector512.Create(Vector256.LoadUnsafe(ref a2, at), Vector256.LoadUnsafe(ref a3, at));
            var r = Vector512.Create(Vector256.LoadUnsafe(ref b0, at));
            s00 = Vector512.FusedMultiplyAdd(p, r, s00);
            s20 = Vector512.FusedMultiplyAdd(q, r, s20);
            r = Vector512.Create(Vector256.LoadUnsafe(ref b1, at));
            s01 = Vector512.FusedMultiplyAdd(p, r, s01);
            s21 = Vector512.FusedMultiplyAdd(q, r, s21);
            r = Vector512.Create(Vector256.LoadUnsafe(ref b2, at));
            s02 = Vector512.FusedMultiplyAdd(p, r, s02);
            s22 = Vector512.FusedMultiplyAdd(q, r, s22);
            r = Vector512.Create(Vector256.LoadUnsafe(ref b3, at));
            s03 = Vector512.FusedMultiplyAdd(p, r, s03);
            s23 = Vector512.FusedMultiplyAdd(q, r, s23);
        }
        (sums[0], sums[1], sums[2], sums[3]) = (Lower(s00), Lower(s01), Lower(s02), Lower(s03));
        (sums[4], sums[5], sums[6], sums[7]) = (Upper(s00), Upper(s01), Upper(s02), Upper(s03));
        (sums[8], sums[9], sums[10], sums[11]) = (Lower(s20), Lower(s21), Lower(s22), Lower(s23));
        (sums[12], sums[13], sums[14], sums[15]) = (Upper(s20), Upper(s21), Upper(s22), Upper(s23));
        for (; i < x0.Length; i++)
        {
            var (r0, r1, r2, r3) = (y0[i], y1[i], y2[i], y3[i]);
            sums[0] += x0[i] * r0;
            sums[1] += x0[i] * r1;
            sums[2] += x0[i] * r2;
            sums[3] += x0[i] * r3;
            sums[4] += x1[i] * r0;
            sums[5] += x1[i] * r1;
            sums[6] += x1[i] * r2;
            sums[7] += x1[i] * r3;
            sums[8] += x2[i] * r0;
            sums[9] += x2[i] * r1;
            sums[10] += x2[i] * r2;
            sums[11] += x2[i] * r3;
            sums[12] += x3[i] * r0;
            sums[13] += x3[i] * r1;
            sums[14] += x3[i] * r2;
            sums[15] += x3[i] * r3;
        }

        static double Lower(Vector512<double> sum) => Vector.Sum(sum.GetLower().AsVector());
        static double Upper(Vector512<double> sum) => Vector.Sum(sum.GetUpper().AsVector());
    }

    // Eight rows (of fewer the last is taken again) against one.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Eight(ReadOnlySpan<double> a, ReadOnlySpan<int> rows, ReadOnlySpan<double> y, Span<double> sums)
    {
        var (n, last) = (y.Length, rows.Length - 1);
        ref var b = ref MemoryMarshal.GetReference(y);
        ref var a0 = ref MemoryMarshal.GetReference(a.Slice(rows[0] * n, n));
        ref var a1 = ref MemoryMarshal.GetReference(a.Slice(rows[Math.Min(1, last)] * n, n));
        ref var a2 = ref MemoryMarshal.GetReference(a.Slice(rows[Math.Min(2, last)] * n, n));
        ref var a3 = ref MemoryMarshal.GetReference(a.Slice(rows[Math.Min(3, last)] * n, n));
        ref var a4 = ref MemoryMarshal.GetReference(a.Slice(rows[Math.Min(4, last)] * n, n));
        ref var a5 = ref MemoryMarshal.GetReference(a.Slice(rows[Math.Min(5, last)] * n, n));
        ref var a6 = ref MemoryMarshal.GetReference(a.Slice(rows[Math.Min(6, last)] * n, n));
        ref var a7 = ref MemoryMarshal.GetReference(a.Slice(rows[Math.Min(7, last)] * n, n));
        Vector<double> s0 = default, s1 = default, s2 = default, s3 = default, s4 = default, s5 = default, s6 = default, s7 = default;
        var i = 0;
        for (; i <= n - Vector<double>.Count; i += Vector<double>.Count)
        {
            var at = (nuint)i;
            var r = Vector.LoadUnsafe(ref b, at);
            s0 = Vector.FusedMultiplyAdd(Vector.LoadUnsafe(ref a0, at), r, s0);
            s1 = Vector.FusedMultiplyAdd(Vector.LoadUnsafe(ref a1, at), r, s1);
            s2 = Vector.FusedMultiplyAdd(Vector.LoadUnsafe(ref a2, at), r, s2);
            s3 = Vector.FusedMultiplyAdd(Vector.LoadUnsafe(ref a3, at), r, s3);
            s4 = Vector.FusedMultiplyAdd(Vector.LoadUnsafe(ref a4, at), r, s4);
            s5 = Vector.FusedMultiplyAdd(Vector.LoadUnsafe(ref a5, at), r, s5);
            s6 = Vector.FusedMultiplyAdd(Vector.LoadUnsafe(ref a6, at), r, s6);
            s7 = Vector.FusedMultiplyAdd(Vector.LoadUnsafe(ref a7, at), r, s7);
        }
        (sums[0], sums[1], sums[2], sums[3]) = (Vector.Sum(s0), Vector.Sum(s1), Vector.Sum(s2), Vector.Sum(s3));
        (sums[4], sums[5], sums[6], sums[7]) = (Vector.Sum(s4), Vector.Sum(s5), Vector.Sum(s6), Vector.Sum(s7));
        for (; i < n; i++)
        {
            for (var p = 0; p < 8; p++)
                sums[p] += a[rows[Math.Min(p, last)] * n + i] * y[i];
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
        if (IsWide)
        {
            var (w0, w1, w2, w3) = (Vector512.Create(f0), Vector512.Create(f1), Vector512.Create(f2), Vector512.Create(f3));
            for (; i <= c.Length - 8; i += 8)
            {
                var at = (nuint)i;
                var one = Vector512.FusedMultiplyAdd(Vector512.LoadUnsafe(ref a0, at), w0, Vector512.LoadUnsafe(ref sum, at));
                var other = Vector512.LoadUnsafe(ref a1, at) * w1;
                one = Vector512.FusedMultiplyAdd(Vector512.LoadUnsafe(ref a2, at), w2, one);
                other = Vector512.FusedMultiplyAdd(Vector512.LoadUnsafe(ref a3, at), w3, other);
                (one + other).StoreUnsafe(ref sum, at);
            }
        }
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
