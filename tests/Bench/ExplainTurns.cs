using Portal.Engine.Influence;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Portal.Bench;

/// <summary>Our side of the cases of explanations: the engine's own projection and neighbours on the bench's rows.</summary>
internal static class ExplainTurns
{
    public const string Projection = "explain-projection", Neighbours = "explain-neighbours";

    public static IReadOnlyList<string> Kinds { get; } = [Projection, Neighbours];

    /// <summary>As the engine explains where nobody says otherwise.</summary>
    public static SimplexOptions Options { get; } = new() { Tolerance = 1e-6 };

    /// <summary>One case: what must agree with the peer (each query's objective; the ten nearest rows), and one repetition: the next query.</summary>
    public static (Hello, Action) Of(string kind, string folder, int width, int threads)
    {
        var rows = FeatureRows.Map(ExplainWorld.RowsFile(folder), width);
        var queries = new ExplainWorld(rows.Count, width).MakeQueries();
        _ = rows.Squares; // as an explainer has them: made once for a reward model
        var done = 0;
        var library = $".NET {Environment.Version}";
        if (kind == Projection)
        {
            double[] objectives = [.. queries.Select(query => SimplexProjection.Project(rows, query, Options, CancellationToken.None).Residual)];
            return (new Hello(objectives[0], objectives[1..], [], 1, library, threads), () => SimplexProjection.Project(rows, queries[done++ % queries.Length], Options, CancellationToken.None));
        }
        return (new Hello(0, [], [.. queries.SelectMany(Nearest)], 1, library, threads), () => Nearest(queries[done++ % queries.Length]));

        IReadOnlyList<int> Nearest(double[] query)
        {
            var scores = new double[rows.Count];
            rows.Products(query, scores);
            var qq = TensorPrimitives.SumOfSquares<double>(query);
            for (var i = 0; i < scores.Length; i++)
                scores[i] = 2 * scores[i] - rows.Squares[i] - qq;
            return PairExplainer.Highest(scores, 10);
        }
    }
}
