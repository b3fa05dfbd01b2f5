using System.Runtime.InteropServices;
using Portal.Engine.Influence;
using Portal.Engine.Statistics;

namespace Portal.Bench;

/// <summary>
/// What the bench of explanations explains: feature differences with a few strong directions and noise in all of them, as reward models have them, a hidden reward that most pairs agree with, and queries that are differences of the same
/// sort, drawn out a little so that they lie outside the hull. Drawn row by row from the row's number, so that any side can make any part.
/// </summary>
/// <param name="Count">n.</param>
/// <param name="Width">d.</param>
internal sealed record ExplainWorld(int Count, int Width)
{
    private const int Directions = 32;

    /// <summary>λ of the head, as the engine's.</summary>
    public const double L2 = 1e-3;

    public const int Queries = 8;

    /// <summary>Row after row. [n · d] floats in a file, and the queries as doubles behind their own name.</summary>
    public void Write(string folder)
    {
        using (var file = File.Create(RowsFile(folder)))
        {
            var directions = MakeDirections();
            foreach (var block in Enumerable.Range(0, Count).Chunk(4_096))
            {
                var rows = new float[block.Length * Width];
                Parallel.For(0, block.Length, i => Row(block[i], 1, directions, rows.AsSpan(i * Width, Width)));
                file.Write(MemoryMarshal.AsBytes(rows.AsSpan()));
            }
        }
        File.WriteAllBytes(QueriesFile(folder), [.. MakeQueries().SelectMany(query => MemoryMarshal.AsBytes<double>(query).ToArray())]);
    }

    public static string RowsFile(string folder) => Path.Combine(folder, "rows.f32");

    public static string QueriesFile(string folder) => Path.Combine(folder, "queries.f64");

    /// <summary>The queries. [<see cref="Queries"/>] of [d].</summary>
    public double[][] MakeQueries()
    {
        var directions = MakeDirections();
        return
        [
            .. Enumerable.Range(0, Queries).Select(query =>
            {
                var q = new float[Width];
                Row(-1 - query, 2, directions, q);
                return q.Select(value => (double)value).ToArray();
            }),
        ];
    }

    /// <summary>Opens the rows.</summary>
    public FeatureRows Open(string folder) => FeatureRows.Map(RowsFile(folder), Width);

    private float[][] MakeDirections()
    {
        var random = new SeededRandom(11).Split("directions").Split(Width);
        return [.. Enumerable.Range(0, Directions).Select(k => Enumerable.Range(0, Width).Select(_ => (float)(random.NextGaussian() / (1 + k / 4.0))).ToArray())];
    }

    /// <summary>The first direction is the reward's: pairs have on average some of it.</summary>
    private void Row(int number, double strength, float[][] directions, Span<float> into)
    {
        var random = new SeededRandom(12).Split(number);
        for (var j = 0; j < into.Length; j++)
            into[j] = 0.3f * (float)random.NextGaussian();
        for (var k = 0; k < Directions; k++)
        {
            var z = (float)(strength * (random.NextGaussian() + (k == 0 ? 0.4 : 0)) / Math.Sqrt(Directions));
            System.Numerics.Tensors.TensorPrimitives.MultiplyAdd(directions[k], z, into, into);
        }
    }
}
