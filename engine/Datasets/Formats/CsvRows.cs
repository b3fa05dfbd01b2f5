using CsvHelper;

namespace Portal.Engine.Datasets.Formats;

/// <summary>One record of a CSV file: its number (the header is 1, empty lines do not count) and its cells, or why they were refused.</summary>
internal readonly record struct CsvRecord(long Row, string[] Cells, string? Refusal);

/// <summary>
/// A CSV file with a header line: comma, semicolon or tab (found from the header), quotes as RFC 4180 says, LF or CRLF, quoted line breaks.
/// </summary>
/// <remarks>
/// Broken UTF-8 or an endless record end the import (<see cref="CannotImportException"/>), since with a damaged quote nobody can say where the next
/// record begins. A wrong number of cells or a stray quote refuses only its record.
/// </remarks>
internal sealed class CsvRows : IDisposable
{
    private readonly CsvReader reader;
    private readonly ImportOptions options;
    private readonly string file;
    private readonly Dictionary<long, CsvMalformedReason> malformed = [];

    public CsvRows(Stream source, string file, char delimiter, ImportOptions options)
    {
        this.options = options;
        this.file = file;
        reader = CsvReader.Create(new Utf8Guard(source, file), new CsvReaderOptions
        {
            Separator = delimiter,
            HasHeader = false, // the header is read below, as the first record, so that its faults get our words
            MaxRecordSize = options.MaxRowBytes,
            OnMalformedRecord = record => malformed[record.RecordNumber] = record.Reason,
        }, leaveOpen: true);
        if (!Advance()) throw Refuse(0, null, "is empty.");
        Header = [.. Cells().Select(name => name.Trim())];
        if (malformed.Remove(1)) throw Refuse(1, null, "the header has an unclosed or stray quote.");
        if (Header.Count > options.MaxColumns) throw Refuse(1, null, $"has {Header.Count:N0} columns, more than {options.MaxColumns}.");
        if (Header.Any(name => name.Contains('\0'))) throw Refuse(1, null, "the header holds a NUL character; this is no CSV text.");
        if (Header.Contains("")) throw Refuse(1, null, $"column {Header.IndexOf("") + 1} has no name in the header.");
        string? twice = Header.GroupBy(name => name, StringComparer.OrdinalIgnoreCase).FirstOrDefault(group => group.Count() > 1)?.Key;
        if (twice is not null) throw Refuse(1, twice, "stands twice in the header; rename one of the columns.");
    }

    /// <summary>The columns' names, trimmed.</summary>
    public List<string> Header { get; }

    /// <summary>Records after the header.</summary>
    public IEnumerable<CsvRecord> Rows(CancellationToken stop)
    {
        while (true)
        {
            stop.ThrowIfCancellationRequested();
            if (!Advance()) yield break;
            string? refusal = malformed.Remove(reader.RowNumber, out CsvMalformedReason reason) ? Explain(reason)
                : reader.FieldCount != Header.Count ? $"has {reader.FieldCount} cells where the header names {Header.Count} columns." : null;
            yield return new CsvRecord(reader.RowNumber, refusal is null ? Cells() : [], refusal);
        }
    }

    public void Dispose() => reader.Dispose();

    private string[] Cells()
    {
        var cells = new string[reader.FieldCount];
        for (int i = 0; i < cells.Length; i++) cells[i] = reader.GetString(i);
        return cells;
    }

    private bool Advance()
    {
        try
        {
            return reader.Read();
        }
        catch (CsvFormatException problem)
        {
            throw Refuse(problem.RecordNumber, null, $"is longer than {options.MaxRowBytes:N0} bytes; is a closing quote missing?", problem);
        }
    }

    private CannotImportException Refuse(long row, string? field, string reason, Exception? inner = null) => new(new RowProblem(file, row, field, reason), inner);

    private static string Explain(CsvMalformedReason reason) => reason switch
    {
        CsvMalformedReason.StrayQuote => "has a quote inside an unquoted cell; quote the cell and double the quotes in it.",
        CsvMalformedReason.TextAfterClosingQuote => "has text behind a closing quote; double the quotes inside a quoted cell.",
        CsvMalformedReason.UnterminatedQuote => "has a quoted cell that is never closed: the file is cut short, or a quote is missing.",
        CsvMalformedReason.LineBreakInQuotes or CsvMalformedReason.FieldCountMismatch or CsvMalformedReason.TrailingEscape => $"is malformed ({reason}).",
    };

    /// <summary>Passes bytes through, stopping at the first invalid UTF-8 with its line and byte: the CSV reader itself would replace it.</summary>
    private sealed class Utf8Guard(Stream source, string file) : Stream
    {
        private readonly byte[] pending = new byte[4]; // the last bytes of a character cut by a read
        private int pendingCount;
        private long offset, line = 1;

        public override int Read(Span<byte> buffer)
        {
            int count = source.Read(buffer);
            ReadOnlySpan<byte> fresh = buffer[..count];
            CheckUtf8(fresh);
            offset += count;
            line += fresh.Count((byte)'\n');
            return count;
        }

        private void CheckUtf8(ReadOnlySpan<byte> fresh)
        {
            var bytes = new byte[pendingCount + fresh.Length];
            pending.AsSpan(0, pendingCount).CopyTo(bytes);
            fresh.CopyTo(bytes.AsSpan(pendingCount));
            int keep = fresh.Length == 0 ? 0 : IncompleteTail(bytes);
            if (JsonRow.InvalidUtf8At(bytes.AsSpan(0, bytes.Length - keep)) is int at)
            {
                long badLine = line + bytes.AsSpan(0, at).Count((byte)'\n');
                throw new CannotImportException(new RowProblem(file, 0, null,
                    $"is not valid UTF-8: byte 0x{bytes[at]:X2} on line {badLine:N0} (byte {offset - pendingCount + at + 1:N0} of the file)."));
            }

            bytes.AsSpan(bytes.Length - keep).CopyTo(pending);
            pendingCount = keep;
        }

        // How many bytes at the end begin a character that needs more bytes than are here.
        private static int IncompleteTail(ReadOnlySpan<byte> bytes)
        {
            for (int back = 1; back <= Math.Min(3, bytes.Length); back++)
            {
                byte value = bytes[^back];
                if ((value & 0xC0) == 0x80) continue;
                int length = value >= 0xF0 ? 4 : value >= 0xE0 ? 3 : value >= 0xC0 ? 2 : 1;
                return length > back ? back : 0;
            }

            return 0;
        }

        public override int Read(byte[] buffer, int start, int count) => Read(buffer.AsSpan(start, count));
        public override bool CanRead => true;
        public override bool CanSeek => false;
        public override bool CanWrite => false;
        public override long Length => throw new NotSupportedException();
        public override long Position { get => offset; set => throw new NotSupportedException(); }
        public override void Flush() { }
        public override long Seek(long target, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
        public override void Write(byte[] buffer, int start, int count) => throw new NotSupportedException();
    }
}
