using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Portal.Engine.Statistics;

/// <summary>
/// The root of a symmetric positive definite matrix, A = L Lᵀ with L lower triangular: solves, the determinant, and the inverse's diagonal (variances, where A is a precision).
/// </summary>
/// <remarks>Rows of L are contiguous, so that each entry is one dot product. n³/6 multiplications to factor, n² to solve, n³/6 for the inverse's diagonal. Source: Golub and Van Loan 2013, §4.2.</remarks>
public sealed class Cholesky
{
    private readonly double[] root; // [n, n] row by row; what stands above the diagonal is not read

    private Cholesky(double[] root, int size) => (this.root, Size) = (root, size);

    /// <summary>n.</summary>
    public int Size { get; }

    /// <summary>ln det A.</summary>
    public double LogDeterminant
    {
        get
        {
            var sum = 0.0;
            for (var i = 0; i < Size; i++)
                sum += Math.Log(root[i * Size + i]);
            return 2 * sum;
        }
    }

    /// <summary>Factors a matrix in place.</summary>
    /// <param name="matrix">[n, n] row by row; its lower triangle is read, and all of it belongs to the result afterwards.</param>
    /// <param name="size">n, at least 0.</param>
    /// <exception cref="ArgumentException">The length is not n², or the matrix is not positive definite; the message names the row.</exception>
    public static Cholesky Factor(double[] matrix, int size)
    {
        if (matrix.Length != (long)size * size)
            throw new ArgumentException($"{matrix.Length} numbers are no matrix of {size} by {size}.", nameof(matrix));
        for (var i = 0; i < size; i++)
        {
            var row = matrix.AsSpan(i * size, size);
            for (var j = 0; j < i; j++)
                row[j] = (row[j] - TensorPrimitives.Dot<double>(row[..j], matrix.AsSpan(j * size, j))) / matrix[j * size + j];
            var pivot = row[i] - (i == 0 ? 0 : TensorPrimitives.SumOfSquares<double>(row[..i]));
            if (!(pivot > 0))
                throw new ArgumentException($"The matrix is not positive definite: row {i} depends on those before it (pivot {pivot}).", nameof(matrix));
            row[i] = Math.Sqrt(pivot);
        }
        return new Cholesky(matrix, size);
    }

    /// <summary>x with A x = right.</summary>
    /// <param name="right">[n], left alone.</param>
    public double[] Solve(ReadOnlySpan<double> right)
    {
        var x = right.ToArray();
        SolveLower(x);
        SolveUpper(x);
        return x;
    }

    /// <summary>Replaces x by L⁻¹ x. Its square afterwards is xᵀ A⁻¹ x. [n].</summary>
    public void SolveLower(Span<double> x)
    {
        for (var i = 0; i < Size; i++)
            x[i] = (x[i] - TensorPrimitives.Dot<double>(root.AsSpan(i * Size, i), x[..i])) / root[i * Size + i];
    }

    /// <summary>Replaces x by L⁻ᵀ x: a standard normal x becomes a draw with covariance A⁻¹. [n].</summary>
    public void SolveUpper(Span<double> x)
    {
        for (var i = Size - 1; i >= 0; i--)
        {
            x[i] /= root[i * Size + i];
            TensorPrimitives.MultiplyAdd(root.AsSpan(i * Size, i), -x[i], x[..i], x[..i]);
        }
    }

    /// <summary>(A⁻¹)_ii. [n].</summary>
    public double[] InverseDiagonal()
    {
        var diagonal = new double[Size];
        var inverse = new double[(long)Size * Size]; // L⁻¹, row by row
        for (var i = 0; i < Size; i++)
        {
            var row = inverse.AsSpan(i * Size, i + 1);
            row[i] = 1;
            for (var k = 0; k < i; k++)
                TensorPrimitives.MultiplyAdd(inverse.AsSpan(k * Size, k + 1), -root[i * Size + k], row[..(k + 1)], row[..(k + 1)]);
            var pivot = 1 / root[i * Size + i];
            for (var k = 0; k <= i; k++)
            {
                row[k] *= pivot;
                diagonal[k] += row[k] * row[k];
            }
        }
        return diagonal;
    }
}
