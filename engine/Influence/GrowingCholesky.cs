namespace Portal.Engine.Influence;

/// <summary>
/// The root of a symmetric positive definite matrix whose rows come and go one at a time, A = L Lᵀ: a row more is one triangular solve, a row less a few rotations, instead of a factorisation each.
/// </summary>
/// <remarks>n²/2 multiplications for a row more, at most 2 n² for a row less. Source: Golub and Van Loan 2013, §6.5.</remarks>
internal sealed class GrowingCholesky
{
    private readonly List<double[]> rows = []; // of row i the first i + 1 numbers count

    /// <summary>n.</summary>
    public int Size => rows.Count;

    /// <summary>Adds a row and column at the end.</summary>
    /// <param name="column">Its products with the rows that are there. [n].</param>
    /// <param name="diagonal">Its product with itself.</param>
    /// <param name="pivotMin">The square of the new diagonal entry of L is at least this: a row that depends on the others makes a nearly singular matrix, never one that cannot be solved.</param>
    public void Add(ReadOnlySpan<double> column, double diagonal, double pivotMin)
    {
        var row = new double[Size + 1];
        column.CopyTo(row);
        for (var i = 0; i < Size; i++)
        {
            var above = rows[i];
            var sum = row[i];
            for (var j = 0; j < i; j++)
                sum -= above[j] * row[j];
            row[i] = sum / above[i];
            diagonal -= row[i] * row[i];
        }
        row[^1] = Math.Sqrt(Math.Max(diagonal, pivotMin));
        rows.Add(row);
    }

    /// <summary>Takes a row and column out.</summary>
    public void RemoveAt(int index)
    {
        rows.RemoveAt(index);
        for (var k = index; k < Size; k++)
        {
            // Row k has one number too many now; a rotation of columns k and k + 1 moves it into the diagonal.
            var (a, b) = (rows[k][k], rows[k][k + 1]);
            var length = Math.Sqrt(a * a + b * b);
            var (cosine, sine) = (a / length, b / length);
            rows[k][k] = length;
            for (var i = k + 1; i < Size; i++)
            {
                var (u, v) = (rows[i][k], rows[i][k + 1]);
                rows[i][k] = cosine * u + sine * v;
                rows[i][k + 1] = cosine * v - sine * u;
            }
        }
    }

    /// <summary>x with A x = right. [n].</summary>
    public double[] Solve(ReadOnlySpan<double> right)
    {
        var x = right.ToArray();
        for (var i = 0; i < Size; i++)
        {
            var row = rows[i];
            var sum = x[i];
            for (var j = 0; j < i; j++)
                sum -= row[j] * x[j];
            x[i] = sum / row[i];
        }
        for (var i = Size - 1; i >= 0; i--)
        {
            var row = rows[i];
            x[i] /= row[i];
            for (var j = 0; j < i; j++)
                x[j] -= row[j] * x[i];
        }
        return x;
    }
}
