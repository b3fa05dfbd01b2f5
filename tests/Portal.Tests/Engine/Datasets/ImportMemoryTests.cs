using System.Text;
using Portal.Engine.Datasets.Formats;
using Xunit;

namespace Portal.Tests.Engine.Datasets;

/// <summary>Reading is streaming: what the reader holds does not depend on how long the file is.</summary>
[Collection(Alone.Name)]
public sealed class ImportMemoryTests
{
    [Fact]
    public void Memory_does_not_grow_with_the_number_of_rows()
    {
        Assert.True(Peak(keepRows: false) is var held && held < 4 << 20, $"the reader held {held:N0} bytes");
        Assert.True(Peak(keepRows: true) > 4 << 20, "the control, which keeps every row, must be seen by this measure");
    }

    // A stream that makes its rows up as it goes, so that only the reader's own memory counts.
    private static long Peak(bool keepRows)
    {
        var kept = new List<RowOutcome>();
        long peak = 0, count = 0, before = GC.GetTotalMemory(forceFullCollection: true);
        foreach (RowOutcome row in ImportReader.ReadAll(new EndlessRows(100_000), "rows.jsonl", new ImportOptions { FindDuplicates = false }, CancellationToken.None))
        {
            Assert.True(row.Accepted);
            if (keepRows) kept.Add(row);
            if (++count % 25_000 == 0) peak = Math.Max(peak, GC.GetTotalMemory(forceFullCollection: true) - before);
        }

        Assert.Equal(100_000, count);
        GC.KeepAlive(kept);
        return peak;
    }

    private sealed class EndlessRows(int rows) : ForwardStream
    {
        private static readonly byte[] Line = Encoding.UTF8.GetBytes("{\"prompt\":\"What colour is the sky on an ordinary day?\",\"chosen\":\"Blue.\",\"rejected\":\"Green.\"}\n");
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
