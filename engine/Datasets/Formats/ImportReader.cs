using System.Buffers.Binary;
using System.Text.Json;

namespace Portal.Engine.Datasets.Formats;

/// <summary>What a person sees before an import: what the file is taken for, and how its first rows would arrive.</summary>
/// <param name="Format">Null where no format fits; then <see cref="SuggestedMapping"/> may.</param>
/// <param name="Why">Why this format, in one sentence.</param>
/// <param name="Container">Lines, one array, or CSV.</param>
/// <param name="Columns">The columns of the rows looked at, in order of appearance.</param>
/// <param name="ExtraColumns">Columns that the format does not claim; they are kept beside the rows.</param>
/// <param name="SuggestedMapping">Which column could mean what, where no format fits; the rows below were read with it.</param>
/// <param name="Rows">The first accepted rows.</param>
/// <param name="Records">The first lines, where the file is the portal's own JSONL.</param>
/// <param name="Problems">Of the rows looked at; at most 100.</param>
/// <param name="RowsSeen">Rows looked at.</param>
/// <param name="Refused">Rows looked at that cannot be taken over.</param>
/// <param name="Duplicates">Rows looked at that repeat an earlier one.</param>
/// <param name="Complete">Whether the rows looked at are all there are.</param>
/// <param name="Failure">Why the file as a whole cannot be imported as it is (or from there on); null where it can.</param>
public sealed record ImportPreview(
    ImportFormat? Format, string Why, RowContainer? Container, IReadOnlyList<string> Columns, IReadOnlyList<string> ExtraColumns, ColumnMapping? SuggestedMapping,
    IReadOnlyList<ParsedRow> Rows, IReadOnlyList<PortalRecord> Records, IReadOnlyList<RowProblem> Problems,
    long RowsSeen, long Refused, long Duplicates, bool Complete, RowProblem? Failure);

/// <summary>
/// Reads any file that the portal knows, row by row, in bounded memory: gzip or not, UTF-8 with or without a byte order mark, LF or CRLF; JSON lines, one JSON array, CSV.
/// Format, container and compression are told from the content; the name only appears in messages.
/// </summary>
/// <remarks>
/// A fault of a row is a value (<see cref="RowOutcome.Problems"/>), and reading goes on with the next row. A fault of the file is a <see cref="CannotImportException"/>, the
/// only exception that content can cause; <see cref="OperationCanceledException"/> and the stream's own IOExceptions pass through.
/// Nothing is repaired: bytes that are no UTF-8 are refused, never replaced.
/// </remarks>
public static class ImportReader
{
    private const int PreviewProblems = 100;

    /// <summary>Every row of the file, lazily. The stream is read once, forwards, and not closed.</summary>
    /// <param name="stream">From its current position; need not seek.</param>
    /// <param name="fileName">As the person called it; only for messages.</param>
    /// <param name="options">Format and mapping where the person chose them, and the limits.</param>
    /// <param name="stop">Looked at before every row.</param>
    /// <exception cref="CannotImportException">While enumerating: the file is empty, of no known format, cut short, damaged or too large.</exception>
    public static IEnumerable<RowOutcome> ReadAll(Stream stream, string fileName, ImportOptions options, CancellationToken stop) =>
        Guarded(new Reading(fileName, options).Rows(stream, stop), fileName);

    /// <summary>Looks at the first rows (<see cref="ImportOptions.PreviewScanRows"/>); never throws for content: see <see cref="ImportPreview.Failure"/>.</summary>
    public static ImportPreview Preview(Stream stream, string fileName, ImportOptions options, CancellationToken stop)
    {
        var reading = new Reading(fileName, options) { SuggestWhereUnknown = true };
        var rows = new List<ParsedRow>();
        var records = new List<PortalRecord>();
        var problems = new List<RowProblem>();
        long seen = 0, refused = 0, duplicates = 0;
        bool complete = false;
        RowProblem? failure = null;
        try
        {
            complete = true;
            foreach (RowOutcome outcome in Guarded(reading.Rows(stream, stop), fileName))
            {
                if (seen == options.PreviewScanRows)
                {
                    complete = false;
                    break;
                }

                seen++;
                if (outcome.DuplicateOf is not null) duplicates++;
                if (!outcome.Accepted) refused++;
                problems.AddRange(outcome.Problems.Take(PreviewProblems - problems.Count));
                if (outcome.Parsed is not null && rows.Count < options.PreviewRows) rows.Add(outcome.Parsed);
                if (outcome.Record is not null && records.Count < options.PreviewRows) records.Add(outcome.Record);
            }
        }
        catch (CannotImportException problem)
        {
            failure = problem.Problem;
            complete = false;
        }

        if (reading.Suggested is not null) failure ??= reading.UnknownColumns;
        IReadOnlyList<string> extra = [.. rows.SelectMany(row => row.Extra.Keys).Distinct()];
        return new ImportPreview(reading.Format, reading.Why, reading.Container, reading.Columns, extra, reading.Suggested, rows, records, problems,
            seen, refused, duplicates, complete, failure);
    }

    // A fault of the bytes does not know its row; say behind which one it lies.
    private static IEnumerable<RowOutcome> Guarded(IEnumerable<RowOutcome> rows, string file)
    {
        long last = 0;
        using IEnumerator<RowOutcome> each = rows.GetEnumerator();
        while (true)
        {
            try
            {
                if (!each.MoveNext()) yield break;
            }
            catch (CannotImportException problem) when (problem.Problem.Row == 0 && last > 0)
            {
                throw new CannotImportException(problem.Problem with { File = file, Reason = $"after row {last:N0}, the file {problem.Problem.Reason}" }, problem);
            }

            last = each.Current.Row;
            yield return each.Current;
        }
    }

    /// <summary>One pass over one file, and what it found out about it.</summary>
    private sealed class Reading(string file, ImportOptions options)
    {
        private readonly Dictionary<UInt128, long> firstSeen = [];
        private readonly PortalJsonlReader portal = new();
        private readonly HashSet<string> columns = new(StringComparer.Ordinal);
        private readonly List<string> columnsInOrder = [];

        public bool SuggestWhereUnknown { get; init; }
        public ImportFormat? Format { get; private set; } = options.Mapping is not null ? ImportFormat.MappedColumns : options.Format;
        public string Why { get; private set; } = options.Mapping is not null || options.Format is not null ? "it was chosen by hand." : "";
        public RowContainer? Container { get; private set; }
        public ColumnMapping? Suggested { get; private set; }
        public RowProblem? UnknownColumns { get; private set; }
        public IReadOnlyList<string> Columns => columnsInOrder;

        public IEnumerable<RowOutcome> Rows(Stream stream, CancellationToken stop)
        {
            stop.ThrowIfCancellationRequested();
            if (Format == ImportFormat.MappedColumns && options.Mapping is null) throw new ArgumentException("MappedColumns needs a mapping.", nameof(options));
            SafeInput input = SafeInput.Open(stream, file, options);
            var start = new byte[4096];
            int length = input.ReadAtLeast(start, start.Length, throwOnEndOfStream: false);
            int mark = start.AsSpan(0, length).StartsWith((ReadOnlySpan<byte>)[0xEF, 0xBB, 0xBF]) ? 3 : 0;
            ReadOnlySpan<byte> head = start.AsSpan(mark, length - mark);
            int first = head.IndexOfAnyExcept(" \t\r\n"u8);
            if (first < 0 && length < start.Length) throw Refuse("is empty.");
            Container = first >= 0 && head[first] == '[' ? RowContainer.JsonArray : first >= 0 && head[first] == '{' ? RowContainer.JsonLines : RowContainer.Csv;
            char delimiter = Delimiter(head);
            var content = new Rewound(start.AsMemory(mark, length - mark), input);
            return Container == RowContainer.Csv ? Csv(content, delimiter, stop) : Json(new JsonRows(content, file, options, mark), stop);
        }

        private IEnumerable<RowOutcome> Json(JsonRows rows, CancellationToken stop)
        {
            long last = 0, count = 0;
            foreach (RawRow raw in Container == RowContainer.JsonArray ? rows.Elements(stop) : rows.Lines(stop))
            {
                (last, count) = (raw.Row, count + 1);
                yield return JsonOutcome(raw);
            }

            if (count == 0) throw Refuse("holds no rows.");
            if (Format == ImportFormat.PortalJsonl && !portal.Ended)
                yield return Refused(last + 1, new RowProblem(file, last + 1, null, "the end line is missing, so the file may have been cut short; what came before it is whole."));
        }

        private RowOutcome JsonOutcome(RawRow raw)
        {
            (JsonDocument? document, string? refusal) = JsonRow.Parse(raw, options);
            if (document is null) return Refused(raw.Row, new RowProblem(file, raw.Row, null, refusal!)); // not null: Parse gives one or the other
            using (document)
            {
                var fields = new RowFields(file, raw.Row, document.RootElement, options);
                foreach (string name in fields.Names) if (columns.Count < options.MaxColumns && columns.Add(name)) columnsInOrder.Add(name);
                return Outcome(fields);
            }
        }

        private IEnumerable<RowOutcome> Csv(Stream content, char delimiter, CancellationToken stop)
        {
            using var csv = new CsvRows(content, file, delimiter, options);
            columnsInOrder.AddRange(csv.Header);
            if (options.Mapping is not null && MappedFormat.Check(options.Mapping, csv.Header) is var (field, reason)) throw new CannotImportException(new RowProblem(file, 1, field, reason));
            long count = 0;
            foreach (CsvRecord row in csv.Rows(stop))
            {
                count++;
                yield return row.Refusal is not null ? Refused(row.Row, new RowProblem(file, row.Row, null, row.Refusal))
                    : Outcome(new RowFields(file, row.Row, csv.Header, row.Cells, options));
            }

            if (count == 0) throw Refuse("has a header and no rows.");
        }

        private RowOutcome Outcome(RowFields fields)
        {
            if (fields.Failed) return new RowOutcome(fields.Row, null, null, fields.Problems, null);
            Format ??= Recognise(fields);
            if (Format == ImportFormat.PortalJsonl)
            {
                if (Container != RowContainer.JsonLines) throw Refuse("looks like the portal's own JSONL, which has one object a line, not one array.");
                PortalRecord? record = portal.Parse(fields);
                return new RowOutcome(fields.Row, null, record, fields.Problems, null);
            }

            ParsedRow? row = Parse(fields);
            if (row is null && !fields.Failed) throw new InvalidOperationException($"The parser for {Format} gave up on row {fields.Row} without a reason.");
            return new RowOutcome(fields.Row, fields.Failed ? null : row, null, fields.Problems, fields.Failed ? null : DuplicateOf(row!)); // not null: checked above
        }

        private ParsedRow? Parse(RowFields fields) => Format switch
        {
            ImportFormat.TrlPreference => TrlPreferenceFormat.Parse(fields),
            ImportFormat.TrlUnpaired => TrlUnpairedFormat.Parse(fields),
            ImportFormat.TrlPromptOnly => TrlPromptFormat.Parse(fields),
            ImportFormat.HhTranscripts => HhTranscriptFormat.Parse(fields),
            ImportFormat.UnlabelledPairs => UnlabelledPairFormat.Parse(fields),
            ImportFormat.ShareGptPreference => ShareGptFormat.ParsePreference(fields),
            ImportFormat.MessagesWithLabel => ShareGptFormat.ParseLabelled(fields),
            ImportFormat.MappedColumns => MappedFormat.Parse(fields, options.Mapping ?? Suggested!), // not null: Rows and Recognise see to it
            ImportFormat.PortalJsonl or null => throw new InvalidOperationException("Handled before."),
        };

        private ImportFormat? Recognise(RowFields fields)
        {
            (ImportFormat? format, Why) = FormatDetector.Detect(fields);
            if (format is not null) return format;
            UnknownColumns = new RowProblem(file, fields.Row, null, $"the columns {FormatDetector.List([.. fields.Names])} fit no known format; name the column of the prompt and of the responses in a column mapping.");
            if (SuggestWhereUnknown) Suggested = FormatDetector.Suggest(fields);
            return Suggested is null ? throw new CannotImportException(UnknownColumns) : ImportFormat.MappedColumns;
        }

        private long? DuplicateOf(ParsedRow row)
        {
            if (!options.FindDuplicates) return null;
            // Half of SHA-256 is enough to tell rows apart, and keeps the table small.
            UInt128 key = BinaryPrimitives.ReadUInt128LittleEndian(row.ContentHash());
            if (firstSeen.TryGetValue(key, out long first)) return first;
            firstSeen.Add(key, row.RowNumber);
            return null;
        }

        private static RowOutcome Refused(long row, RowProblem problem) => new(row, null, null, [problem], null);

        private CannotImportException Refuse(string reason) => new(new RowProblem(file, 0, null, reason));

        // The sign that stands most often outside quotes in the header line; a comma where none does.
        private static char Delimiter(ReadOnlySpan<byte> head)
        {
            int commas = 0, semicolons = 0, tabs = 0;
            bool quoted = false;
            foreach (byte value in head)
            {
                if (value == '"') quoted = !quoted;
                if (quoted) continue;
                if (value == '\n') break;
                if (value == ',') commas++;
                else if (value == ';') semicolons++;
                else if (value == '\t') tabs++;
            }

            return tabs > commas && tabs >= semicolons ? '\t' : semicolons > commas ? ';' : ',';
        }
    }

    /// <summary>The bytes already looked at, then the rest.</summary>
    private sealed class Rewound(ReadOnlyMemory<byte> start, Stream rest) : ForwardStream
    {
        private ReadOnlyMemory<byte> left = start;

        public override int Read(Span<byte> buffer)
        {
            if (left.IsEmpty) return rest.Read(buffer);
            int count = Math.Min(buffer.Length, left.Length);
            left.Span[..count].CopyTo(buffer);
            left = left[count..];
            return count;
        }
    }
}
