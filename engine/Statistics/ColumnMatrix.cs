namespace Portal.Engine.Statistics;

/// <summary>A dense matrix of doubles that keeps each column together in memory: what a Hessian, Σ over rows of x_j x_k, is made from.</summary>
/// <param name="rows">n, at least 0.</param>
/// <param name="columns">d, at least 0.</param>
public sealed class ColumnMatrix(int rows, int columns)
{
    /// <summary>n.</summary>
    public int Rows { get; } = rows;

    /// <summary>d.</summary>
    public int Columns { get; } = columns;

    /// <summary>Column after column. [d · n].</summary>
    public double[] Values { get; } = new double[(long)rows * columns];

    /// <summary>One column. [n].</summary>
    public Span<double> Column(int column) => Values.AsSpan(column * Rows, Rows);

    /// <summary>The same numbers out of a matrix that keeps its rows together.</summary>
    /// <param name="values">Row after row. [n · d].</param>
    /// <exception cref="ArgumentException">Their number is not n · d.</exception>
    public static ColumnMatrix FromRows(ReadOnlySpan<double> values, int rows, int columns)
    {
        if (values.Length != (long)rows * columns)
            throw new ArgumentException($"{values.Length} numbers are no matrix of {rows} rows and {columns} columns.", nameof(values));
        var matrix = new ColumnMatrix(rows, columns);
        const int tile = 32; // both sides of a tile fit into the first cache
        for (var row = 0; row < rows; row += tile)
        {
            for (var column = 0; column < columns; column += tile)
            {
                for (var j = column; j < Math.Min(columns, column + tile); j++)
                {
                    for (var i = row; i < Math.Min(rows, row + tile); i++)
                        matrix.Values[j * rows + i] = values[i * columns + j];
                }
            }
        }
        return matrix;
    }

    /// <summary>X w: one number a row.</summary>
    /// <param name="weights">[d].</param>
    /// <param name="into">[n], overwritten.</param>
    public void Multiply(ReadOnlySpan<double> weights, Span<double> into)
    {
        into.Clear();
        for (var column = 0; column < Columns; column++)
        {
            if (weights[column] != 0)
                System.Numerics.Tensors.TensorPrimitives.MultiplyAdd(Column(column), weights[column], into, into);
        }
    }

    /// <summary>Some rows of it, in the order asked for; a row may be asked for more than once.</summary>
    public ColumnMatrix Take(ReadOnlySpan<int> rows)
    {
        var taken = new ColumnMatrix(rows.Length, Columns);
        for (var column = 0; column < Columns; column++)
        {
            var from = Column(column);
            var to = taken.Column(column);
            for (var i = 0; i < rows.Length; i++)
                to[i] = from[rows[i]];
        }
        return taken;
    }
}
