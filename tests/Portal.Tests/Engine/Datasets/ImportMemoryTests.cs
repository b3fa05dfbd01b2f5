using System.Text;
using Portal.Engine.Datasets.Formats;
using Xunit;

namespace Portal.Tests.Engine.Datasets;

/// <summary>Reading is streaming: what the reader holds does not depend on how long the file is.</summary>
[Collection(Alone.Name)]
public sealed class ImportMemoryTests
{
    private const int Rows = 20_000;

    [Fact]
    public void Memory_does_not_grow_with_the_number_of_rows()
    {
        Assert.True(Peak(keepRows: false) is var held && held < 4 << 20, $"the reader held {held:N0} bytes");
        Assert.True(Peak(keepRows: true) is var kept && kept > 60 << 20, $"the control keeps every row, but this measure saw {kept:N0} bytes");
    }

    // A stream that makes its rows up as it goes, so that only the reader's own memory counts. The measure is of the
    // whole process, where what other tests have left is freed at any time: all the rows together (some 200 MB) are far
    // more than that.
    private static long Peak(bool keepRows)
    {
        var kept = new List<RowOutcome>();
        long peak = 0, count = 0, before = Settled();
        foreach (RowOutcome row in ImportReader.ReadAll(new EndlessRows(Rows), "rows.jsonl", new ImportOptions { FindDuplicates = false }, CancellationToken.None))
        {
            Assert.True(row.Accepted);
            if (keepRows) kept.Add(row);
            if (++count % (Rows / 4) == 0) peak = Math.Max(peak, GC.GetTotalMemory(forceFullCollection: true) - before);
        }

        Assert.Equal(Rows, count);
        GC.KeepAlive(kept);
        return peak;
    }

    private static long Settled()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        return GC.GetTotalMemory(forceFullCollection: true);
    }

    private sealed class EndlessRows(int rows) : ForwardStream
    {
        private static readonly byte[] Line = Encoding.UTF8.GetBytes($"{{\"prompt\":\"What colour is the sky?\",\"chosen\":\"{new string('b', 2500)}\",\"rejected\":\"{new string('g', 2500)}\"}}\n");
        private long left = (long)rows * Line.Length;

        public override int Read(Span<byte> buffer)
        {
            int made = (int)Math.Min(buffer.Length, left);
            long start = (long)rows * Line.Length - left;
            for (int i = 0; i < made; i++) buffer[i] = Line[(start + i) % Line.Length];
            left -= made;
            return made;
        }
    }
}
