using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Portal.Engine.Statistics;

/// <summary>
/// The root of a symmetric positive definite matrix, A = L Lᵀ with L lower triangular: solves, the determinant, and the inverse's diagonal (variances, where A is a precision).
/// </summary>
/// <remarks>Rows of L are contiguous, so that entries are dot products, sixteen of them at a time. n³/6 multiplications to factor, n² to solve, n³/6 for the inverse's diagonal. Source: Golub and Van Loan 2013, §4.2.</remarks>
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
        Span<double> sums = stackalloc double[16];
        for (var first = 0; first < size; first += 4)
        {
            var rows = Math.Min(4, size - first);
            for (var column = 0; column <= first; column += 4)
            {
                // What earlier columns take from a block of four rows by four columns, all at once; then the block itself, entry by entry. At the edge the last row is taken again, and not kept.
                DenseProducts.FourByFour(Row(first, column), Row(first + Math.Min(1, rows - 1), column), Row(first + Math.Min(2, rows - 1), column), Row(first + rows - 1, column),
                    Row(column, column), Row(Math.Min(column + 1, size - 1), column), Row(Math.Min(column + 2, size - 1), column), Row(Math.Min(column + 3, size - 1), column), sums);
                for (var i = first; i < first + rows; i++)
                {
                    for (var j = column; j <= Math.Min(i, column + 3); j++)
                    {
                        var left = matrix[i * size + j] - sums[4 * (i - first) + (j - column)];
                        for (var k = column; k < j; k++)
                            left -= matrix[i * size + k] * matrix[j * size + k];
                        if (i == j && !(left > 0))
                            throw new ArgumentException($"The matrix is not positive definite: row {i} depends on those before it (pivot {left}).", nameof(matrix));
                        matrix[i * size + j] = i == j ? Math.Sqrt(left) : left / matrix[j * size + j];
                    }
                }
            }
        }
        return new Cholesky(matrix, size);

        ReadOnlySpan<double> Row(int row, int length) => matrix.AsSpan(row * size, length);
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
