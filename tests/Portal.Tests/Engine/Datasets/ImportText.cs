using System.IO.Compression;
using System.Text;
using Portal.Engine.Datasets.Formats;

namespace Portal.Tests.Engine.Datasets;

/// <summary>Shorthands of the import tests: a file from text or bytes, read whole.</summary>
internal static class ImportText
{
    public const string Name = "votes.jsonl";

    public static List<RowOutcome> Read(string text, ImportOptions? options = null) => Read(Encoding.UTF8.GetBytes(text), options);

    public static List<RowOutcome> Read(byte[] bytes, ImportOptions? options = null) =>
        [.. ImportReader.ReadAll(new MemoryStream(bytes), Name, options ?? new ImportOptions(), CancellationToken.None)];

    public static ParsedRow ReadOne(string text, ImportOptions? options = null)
    {
        RowOutcome row = Xunit.Assert.Single(Read(text, options));
        Xunit.Assert.True(row.Accepted, string.Join(" ", row.Problems));
        return row.Parsed!;
    }

    public static RowProblem Refused(string text, ImportOptions? options = null) =>
        Xunit.Assert.Single(Xunit.Assert.Single(Read(text, options), row => !row.Accepted).Problems);

    public static byte[] Gzip(byte[] content)
    {
        var target = new MemoryStream();
        using (var gzip = new GZipStream(target, CompressionLevel.Optimal, leaveOpen: true)) gzip.Write(content);
        return target.ToArray();
    }
}
