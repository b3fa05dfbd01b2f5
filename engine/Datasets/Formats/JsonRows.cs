using System.Text.Json;
using System.Text.Unicode;

namespace Portal.Engine.Datasets.Formats;

/// <summary>The bytes of one row as it lies in a JSON file.</summary>
/// <param name="Row">Line of a JSONL file, or element of an array; 1-based.</param>
/// <param name="Line">Line on which it begins; 1-based.</param>
/// <param name="Offset">Its first byte, counted in the (decompressed) file from 0.</param>
/// <param name="Bytes">Valid until the next row is taken.</param>
/// <param name="Refusal">Why the row's bytes were not kept; null where they were.</param>
internal readonly record struct RawRow(long Row, long Line, long Offset, ReadOnlyMemory<byte> Bytes, string? Refusal);

/// <summary>
/// Cuts a JSON file into rows without parsing it: lines of JSONL, or the elements of one outer array. Memory is one row, at most
/// <see cref="ImportOptions.MaxRowBytes"/>; a longer row is skipped and says so, the rows behind it are still read.
/// </summary>
internal sealed class JsonRows(Stream source, string file, ImportOptions options, long startOffset)
{
    private const int ChunkBytes = 64 << 10;
    private readonly byte[] chunk = new byte[ChunkBytes];
    private int chunkStart, chunkEnd;
    private long chunkOffset = startOffset; // of chunk[0] in the file
    private byte[] row = new byte[4096];
    private int rowLength;
    private bool tooLong;

    /// <summary>Rows of a JSONL file. Blank lines are counted but not returned; LF and CRLF both end a line.</summary>
    public IEnumerable<RawRow> Lines(CancellationToken stop)
    {
        long line = 0;
        while (Fill())
        {
            stop.ThrowIfCancellationRequested();
            line++;
            long offset = chunkOffset + chunkStart;
            StartRow();
            while (Fill())
            {
                int end = Array.IndexOf(chunk, (byte)'\n', chunkStart, chunkEnd - chunkStart);
                Keep(chunkStart, (end < 0 ? chunkEnd : end) - chunkStart);
                chunkStart = end < 0 ? chunkEnd : end + 1;
                if (end >= 0) break;
            }

            if (rowLength > 0 && row[rowLength - 1] == '\r') rowLength--;
            if (!tooLong && IsBlank(row.AsSpan(0, rowLength))) continue;
            yield return Take(line, line, offset);
        }
    }

    /// <summary>Elements of the outer array; the stream must stand at its '['.</summary>
    /// <exception cref="CannotImportException">The array is not closed, or something stands behind it, or a comma is missing or doubled.</exception>
    public IEnumerable<RawRow> Elements(CancellationToken stop)
    {
        long line = 1, element = 0;
        int next = NextNonSpace(ref line);
        if (next != '[') throw Refuse(0, "does not begin with '['.");
        bool first = true;
        while (true)
        {
            stop.ThrowIfCancellationRequested();
            next = NextNonSpace(ref line);
            if (next == ']' && first) break;
            if (next < 0) throw Refuse(element, "is cut short: the outer array is not closed.");
            if (next is ',' or ']') throw Refuse(element + 1, $"on line {line}, an element is missing beside a comma.");
            first = false;
            element++;
            long startLine = line, offset = chunkOffset + chunkStart - 1;
            int end = ReadElement((byte)next, ref line);
            if (end < 0) throw Refuse(element, $"which begins on line {startLine}, is cut short: the file ends inside it.");
            yield return Take(element, startLine, offset);
            if (end == ']') break;
        }

        if (NextNonSpace(ref line) >= 0) throw Refuse(element, $"is the last one, yet on line {line} something stands behind the array's ']'.");
    }

    // Copies one element up to the ',' or ']' behind it, which is returned; -1 where the file ends first.
    private int ReadElement(byte start, ref long line)
    {
        StartRow();
        int depth = 0;
        bool inString = false, escaped = false;
        byte current = start;
        chunkStart--; // take the first byte again, now as part of the row
        while (true)
        {
            if (!Fill()) return -1;
            int from = chunkStart;
            for (; chunkStart < chunkEnd; chunkStart++)
            {
                current = chunk[chunkStart];
                if (inString)
                {
                    if (escaped) escaped = false;
                    else if (current == '\\') escaped = true;
                    else if (current == '"') inString = false;
                    else if (current == '\n') line++;
                    continue;
                }

                if (depth == 0 && current is (byte)',' or (byte)']' && depth == 0)
                {
                    Keep(from, chunkStart - from);
                    chunkStart++;
                    return current;
                }

                if (current == '"') inString = true;
                else if (current is (byte)'{' or (byte)'[') depth++;
                else if (current is (byte)'}' or (byte)']') depth = Math.Max(0, depth - 1);
                else if (current == '\n') line++;
            }

            Keep(from, chunkStart - from);
        }
    }

    private int NextNonSpace(ref long line)
    {
        while (Fill())
        {
            byte value = chunk[chunkStart++];
            if (value == '\n') line++;
            if (value is not ((byte)' ' or (byte)'\t' or (byte)'\r' or (byte)'\n')) return value;
        }

        return -1;
    }

    private bool Fill()
    {
        if (chunkStart < chunkEnd) return true;
        chunkOffset += chunkEnd;
        chunkStart = 0;
        chunkEnd = source.Read(chunk);
        return chunkEnd > 0;
    }

    private void StartRow()
    {
        rowLength = 0;
        tooLong = false;
    }

    private void Keep(int from, int count)
    {
        if (tooLong) return;
        if (rowLength + (long)count > options.MaxRowBytes)
        {
            tooLong = true;
            rowLength = 0;
            return;
        }

        if (rowLength + count > row.Length) Array.Resize(ref row, Math.Max(rowLength + count, Math.Min(options.MaxRowBytes, row.Length * 2)));
        chunk.AsSpan(from, count).CopyTo(row.AsSpan(rowLength));
        rowLength += count;
    }

    private RawRow Take(long number, long line, long offset) => new(number, line, offset, row.AsMemory(0, rowLength),
        tooLong ? $"is longer than {options.MaxRowBytes:N0} bytes; shorten it or raise the limit." : null);

    private CannotImportException Refuse(long element, string reason) => new(new RowProblem(file, element, null, reason));

    private static bool IsBlank(ReadOnlySpan<byte> bytes) => bytes.IndexOfAnyExcept(" \t\r"u8) < 0;
}

/// <summary>Parses the bytes of one row into a JSON object, with a reason where that fails.</summary>
internal static class JsonRow
{
    /// <summary>The row as an object, or null and the reason. The document is the caller's to dispose.</summary>
    public static (JsonDocument? Document, string? Refusal) Parse(RawRow raw, ImportOptions options)
    {
        if (raw.Refusal is not null) return (null, raw.Refusal);
        ReadOnlySpan<byte> bytes = raw.Bytes.Span;
        if (InvalidUtf8At(bytes) is int at)
            return (null, $"is not valid UTF-8: byte 0x{bytes[at]:X2} at byte {at + 1:N0} of the row (byte {raw.Offset + at + 1:N0} of the file, line {raw.Line + bytes[..at].Count((byte)'\n'):N0}).");
        int nul = bytes.IndexOf((byte)0);
        if (nul >= 0) return (null, $"holds a NUL byte at byte {nul + 1:N0} of the row (byte {raw.Offset + nul + 1:N0} of the file).");
        JsonDocument document;
        try
        {
            document = JsonDocument.Parse(raw.Bytes, new JsonDocumentOptions { MaxDepth = options.MaxJsonDepth, AllowDuplicateProperties = false });
        }
        catch (JsonException problem)
        {
            return (null, Explain(problem, bytes, options));
        }
        catch (InvalidOperationException)
        {
            // The check for doubled names reads every name, at every depth, and throws this for one that is no text; behind it, names are safe to read.
            return (null, "has a field whose name holds half a surrogate pair (\\uD800 to \\uDFFF), which is no character.");
        }

        if (document.RootElement.ValueKind == JsonValueKind.Object) return (document, null);
        string kind = RowFields.Name(document.RootElement.ValueKind);
        document.Dispose();
        return (null, $"is {kind}; each row must be an object with named fields.");
    }

    /// <summary>Index of the first byte that is not part of valid UTF-8, or null.</summary>
    public static int? InvalidUtf8At(ReadOnlySpan<byte> bytes)
    {
        if (Utf8.IsValid(bytes)) return null;
        // Walk in pieces so that no second buffer of the row's size is needed.
        Span<char> chars = stackalloc char[512];
        int position = 0;
        while (position < bytes.Length)
        {
            var status = Utf8.ToUtf16(bytes[position..], chars, out int read, out _, replaceInvalidSequences: false);
            position += read;
            if (status != System.Buffers.OperationStatus.DestinationTooSmall) return Math.Min(position, bytes.Length - 1);
        }

        return bytes.Length - 1;
    }

    private static string Explain(JsonException problem, ReadOnlySpan<byte> bytes, ImportOptions options)
    {
        string message = problem.Message;
        if (message.Contains("depth", StringComparison.OrdinalIgnoreCase) && message.Contains("maximum", StringComparison.OrdinalIgnoreCase))
            return $"is nested deeper than {options.MaxJsonDepth} levels.";
        if (message.Contains("uplicate", StringComparison.Ordinal))
            return "names a field twice: " + FirstSentence(message);
        string start = bytes.IndexOfAnyExcept(" \t\r\n"u8) is var i && i >= 0 && bytes[i] != '{' ? " (it does not begin with '{'; a file with one object over several lines must be an array)" : "";
        return "is not valid JSON" + start + ": " + FirstSentence(message);
    }

    // System.Text.Json appends "LineNumber: … | BytePositionInLine: …" and "Path:", counted from the row's own start; the position helps, the rest does not.
    private static string FirstSentence(string message)
    {
        int cut = message.IndexOf(" LineNumber:", StringComparison.Ordinal);
        int path = message.IndexOf(" Path:", StringComparison.Ordinal);
        int position = message.IndexOf("BytePositionInLine:", StringComparison.Ordinal);
        string text = cut < 0 && path < 0 ? message : message[..Math.Min(cut < 0 ? int.MaxValue : cut, path < 0 ? int.MaxValue : path)];
        return position < 0 ? text : $"{text} (at byte {message[(position + 19)..].Trim().TrimEnd('.')} of its line)";
    }
}
