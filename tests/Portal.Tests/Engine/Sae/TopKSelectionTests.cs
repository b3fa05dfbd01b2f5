using Portal.Engine.Sae;
using Xunit;

namespace Portal.Tests.Engine.Sae;

/// <summary>Against a sort of the whole row.</summary>
public sealed class TopKSelectionTests
{
    [Theory]
    [InlineData(1, 1)]
    [InlineData(5, 5)]
    [InlineData(40, 1)]
    [InlineData(1_000, 16)]
    [InlineData(1_000, 999)]
    [InlineData(4_099, 32)]
    public void The_largest_come_first_and_equal_ones_by_index(int length, int k)
    {
        var random = new Random(length + k);
        for (var round = 0; round < 20; round++)
        {
            // Every other row has only nine different values: ties everywhere, at the border of the selection too.
            var row = Enumerable.Range(0, length).Select(_ => round % 2 == 0 ? (float)random.NextDouble() - 0.5f : random.Next(9) - 4f).ToArray();
            var (indices, values) = (new int[k], new float[k]);

            TopKSelection.Select(row, indices, values);

            var expected = Enumerable.Range(0, length).OrderByDescending(i => row[i]).ThenBy(i => i).Take(k).ToArray();
            Assert.Equal(expected, indices);
            Assert.Equal(expected.Select(i => row[i]), values);
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(4)]
    public void More_than_there_are_or_none_is_refused(int k)
    {
        var error = Assert.Throws<ArgumentException>(() => TopKSelection.Select(new float[3], new int[k], new float[k]));

        Assert.Equal($"{k} of 3 numbers cannot be selected into {k} places", error.Message);
    }
}
