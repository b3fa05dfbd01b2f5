using Portal.Bench;
using Portal.Engine.Influence;
using Xunit;

namespace Portal.Tests.Bench;

/// <summary>What the bench of explanations explains: the same rows and queries on every run, queries outside the hull, as those of reward models are; its races need numpy and are not made here.</summary>
public sealed class ExplainBenchTests
{
    [Fact]
    public void Its_rows_are_the_same_on_every_run_and_its_queries_lie_outside_their_hull()
    {
        var (first, second) = (Directory.CreateTempSubdirectory("portal-explain-"), Directory.CreateTempSubdirectory("portal-explain-"));
        try
        {
            var world = new ExplainWorld(500, 24);
            world.Write(first.FullName);
            world.Write(second.FullName);

            Assert.Equal(File.ReadAllBytes(ExplainWorld.RowsFile(first.FullName)), File.ReadAllBytes(ExplainWorld.RowsFile(second.FullName)));
            Assert.Equal(ExplainWorld.Queries * 24 * sizeof(double), new FileInfo(ExplainWorld.QueriesFile(first.FullName)).Length);
            using var rows = world.Open(first.FullName);
            Assert.Equal(500, rows.Count);
            foreach (var query in world.MakeQueries())
            {
                var found = SimplexProjection.Project(rows, query, ExplainTurns.Options, default);
                Assert.InRange(found.Residual / Math.Sqrt(query.Sum(x => x * x)), 0.05, 0.95);
                Assert.InRange(found.Rows.Count, 2, 25);
            }
        }
        finally
        {
            first.Delete(recursive: true);
            second.Delete(recursive: true);
        }
    }

    /// <summary>Neighbours of the engine's side, as the peer defines them.</summary>
    [Fact]
    public void Its_neighbours_are_the_nearest_rows()
    {
        var folder = Directory.CreateTempSubdirectory("portal-explain-");
        try
        {
            var world = new ExplainWorld(300, 16);
            world.Write(folder.FullName);
            using var rows = world.Open(folder.FullName);

            var (hello, _) = ExplainTurns.Of(ExplainTurns.Neighbours, folder.FullName, 16, threads: 1);

            var expected = world.MakeQueries().SelectMany(query => Enumerable.Range(0, 300).OrderBy(row => rows[row].ToArray().Zip(query, (a, b) => (a - b) * (a - b)).Sum()).Take(10));
            Assert.Equal(expected, hello.GreedyIds);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }
}
