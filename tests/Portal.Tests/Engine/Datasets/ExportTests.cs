using System.Text;
using System.Text.Json;
using Portal.Data;
using Portal.Engine.Datasets.Formats;
using Xunit;

namespace Portal.Tests.Engine.Datasets;

/// <summary>
/// Exports: what is written, what is dropped and counted, and that reading it back gives the same. Random rows come from a fixed seed, printed by a failure through the round's number.
/// </summary>
public sealed class ExportTests
{
    private static readonly Message User = new(MessageRole.User, "p");

    private static ParsedRow Pair(PairVerdict? verdict, params Message[] prompt) => new()
    {
        RowNumber = 1, Kind = verdict is null ? RowKind.UnlabelledPair : RowKind.Preference, Prompt = prompt.Length == 0 ? [User] : prompt, Responses = ["x", "y"], Pair = verdict,
    };

    private static ParsedRow Binary(BinaryVerdict verdict) => new() { RowNumber = 1, Kind = RowKind.Binary, Prompt = [User], Responses = ["x"], Binary = verdict };

    private static List<RowOutcome> ReadBack(MemoryStream file)
    {
        file.Position = 0;
        return [.. ImportReader.ReadAll(file, "export.jsonl", new ImportOptions { FindDuplicates = false }, CancellationToken.None)];
    }

    [Fact]
    public void Preference_lines_are_exactly_trls_with_the_portals_columns_beside()
    {
        var file = new MemoryStream();
        ParsedRow row = Pair(PairVerdict.SecondBetter) with { Strength = 3, Annotator = "sim-07", FirstShownLeft = true, Source = "pilot", Extra = new Dictionary<string, string> { ["topic"] = "sky" } };

        TrlExport.WritePreference(file, [new("j1", row)], new TrlExportOptions(), CancellationToken.None);
        TrlExport.WritePreference(file, [new("j1", row)], new TrlExportOptions { Conversational = false, ExtraColumns = false }, CancellationToken.None);

        string[] lines = Encoding.UTF8.GetString(file.ToArray()).TrimEnd('\n').Split('\n');
        Assert.Equal("""{"prompt":[{"role":"user","content":"p"}],"chosen":[{"role":"assistant","content":"y"}],"rejected":[{"role":"assistant","content":"x"}],"annotator":"sim-07","strength":3,"source":"pilot","topic":"sky","presented_left":"rejected"}""", lines[0]);
        Assert.Equal("""{"prompt":"p","chosen":"y","rejected":"x"}""", lines[1]);
    }

    [Fact]
    public void Everything_that_a_preference_file_cannot_carry_is_counted()
    {
        ExportRow[] rows =
        [
            new("1", Pair(PairVerdict.FirstBetter)), new("2", Pair(PairVerdict.Tie)), new("3", Pair(PairVerdict.Tie)), new("4", Pair(PairVerdict.BothGood)), new("5", Pair(PairVerdict.BothBad)),
            new("6", Pair(PairVerdict.CannotJudge)), new("7", Pair(PairVerdict.FirstBetter), Superseded: true), new("8", Pair(PairVerdict.FirstBetter), Withdrawn: "flagged"),
            new("9", Pair(null)), new("10", Binary(BinaryVerdict.Good)), new("11", Pair(PairVerdict.SecondBetter, User, new(MessageRole.Assistant, "q"), User)),
        ];

        ExportReport report = TrlExport.WritePreference(Stream.Null, rows, new TrlExportOptions { Conversational = false }, CancellationToken.None);

        Assert.Equal((11, 1, 1), (report.RowsGiven, report.RowsWritten, report.LinesWritten));
        Assert.Equal(report.RowsGiven, report.RowsWritten + report.Dropped.Sum(entry => entry.Count));
        Assert.Equal(("tie", 2L), (report.Dropped[0].Reason, report.Dropped[0].Count));
        Assert.Equal(["2", "3"], report.Dropped[0].FirstIds);
        Assert.Equal(["both bad", "both good", "cannot judge", "flagged", "judgement of one response, not a pair", "not judged yet", "prompt of several turns, in plain text", "superseded by a later version", "tie"],
            report.Dropped.Select(entry => entry.Reason).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Unpaired_lines_carry_labels_and_pairs_split_only_when_asked()
    {
        ExportRow[] rows = [new("1", Binary(BinaryVerdict.Good)), new("2", Binary(BinaryVerdict.Bad)), new("3", Binary(BinaryVerdict.Unsure)), new("4", Pair(PairVerdict.SecondBetter)), new("5", Pair(PairVerdict.Tie))];
        var plain = new MemoryStream();
        var split = new MemoryStream();

        ExportReport first = TrlExport.WriteUnpaired(plain, rows, new TrlExportOptions { Conversational = false }, CancellationToken.None);
        ExportReport second = TrlExport.WriteUnpaired(split, rows, new TrlExportOptions { Conversational = false, SplitPairs = true }, CancellationToken.None);

        Assert.Equal("{\"prompt\":\"p\",\"completion\":\"x\",\"label\":true}\n{\"prompt\":\"p\",\"completion\":\"x\",\"label\":false}\n", Encoding.UTF8.GetString(plain.ToArray()));
        Assert.Equal((2, 2), (first.RowsWritten, first.LinesWritten));
        Assert.Equal(["judgement of a pair, not of one response", "unsure"], first.Dropped.Select(entry => entry.Reason));
        Assert.EndsWith("{\"prompt\":\"p\",\"completion\":\"y\",\"label\":true}\n{\"prompt\":\"p\",\"completion\":\"x\",\"label\":false}\n", Encoding.UTF8.GetString(split.ToArray()));
        Assert.Equal((3, 4), (second.RowsWritten, second.LinesWritten));
        ExportRow sided = new("6", Pair(PairVerdict.FirstBetter) with { FirstShownLeft = true });
        Assert.Equal(1, TrlExport.WriteUnpaired(Stream.Null, [sided], new TrlExportOptions { SplitPairs = true }, CancellationToken.None).FieldsNotCarried["presented_left"]);
    }

    [Fact]
    public void Without_extra_columns_the_report_says_what_was_left_out()
    {
        ExportReport report = TrlExport.WritePreference(Stream.Null, [new("1", Pair(PairVerdict.FirstBetter) with { Strength = 2, Annotator = "a" })], new TrlExportOptions { ExtraColumns = false }, CancellationToken.None);

        Assert.Equal(new Dictionary<string, long> { ["annotator"] = 1, ["strength"] = 1 }, report.FieldsNotCarried);
    }

    [Fact]
    public void A_text_that_is_no_utf8_is_an_error_and_leaves_no_half_line()
    {
        var file = new MemoryStream();

        var error = Assert.Throws<ArgumentException>(() => TrlExport.WritePreference(file, [new("j9", Pair(PairVerdict.FirstBetter) with { Responses = ["a\ud800", "b"] })], new TrlExportOptions(), CancellationToken.None));

        Assert.Contains("Row j9: `chosen`", error.Message);
        Assert.Equal(0, file.Length);
    }

    [Theory]
    [InlineData("=1+1", "'=1+1")]
    [InlineData("+1", "'+1")]
    [InlineData("-1", "'-1")]
    [InlineData("@SUM(A1)", "'@SUM(A1)")]
    [InlineData("\tx", "'\tx")]
    [InlineData("\rx", "'\rx")]
    [InlineData(" =1", "' =1")]
    [InlineData("＝1", "'＝1")]
    [InlineData("a=1", "a=1")]
    [InlineData("", "")]
    [InlineData("'x", "'x")]
    public void Csv_cells_cannot_begin_a_formula(string cell, string expected) => Assert.Equal(expected, SpreadsheetCell.Guard(cell));

    [Fact]
    public void Csv_is_quoted_guarded_and_read_back()
    {
        var file = new MemoryStream();
        ParsedRow row = Pair(PairVerdict.SecondBetter) with { Prompt = [new(MessageRole.User, "one\n\"two\", three")], Responses = ["=cmd|' /C calc'!A0", "y"], Strength = 1 };

        ExportReport report = CsvExport.Write(file, [new("j1", row), new("j2", row, Superseded: true)], CancellationToken.None);

        Assert.Equal("id,kind,prompt,response_a,response_b,verdict,strength,annotator,source\nj1,pairwise,\"one\n\"\"two\"\", three\",'=cmd|' /C calc'!A0,y,b,1,,\n", Encoding.UTF8.GetString(file.ToArray()));
        Assert.Equal((2, 1), (report.RowsGiven, report.RowsWritten));
        ParsedRow back = Assert.Single(ReadBack(file)).Parsed!;
        Assert.Equal(("one\n\"two\", three", "y", 1), (back.Prompt[0].Text, back.Chosen, back.Strength));
    }

    [Fact]
    public void Trl_export_then_import_gives_the_same_pairs()
    {
        var random = new RandomRows(20261121);
        for (int round = 0; round < 300; round++)
        {
            ParsedRow[] rows = [.. Enumerable.Range(1, 5).Select(i => random.Judged(i))];
            bool pairs = round % 2 == 0;
            rows = [.. rows.Where(row => pairs ? row.Chosen is not null : row.Kind == RowKind.Binary && row.Binary != BinaryVerdict.Unsure)];
            var file = new MemoryStream();
            ExportRow[] given = [.. rows.Select((row, i) => new ExportRow($"{round}/{i}", row))];
            ExportReport report = pairs ? TrlExport.WritePreference(file, given, new TrlExportOptions(), CancellationToken.None) : TrlExport.WriteUnpaired(file, given, new TrlExportOptions(), CancellationToken.None);
            Assert.Equal(rows.Length, report.RowsWritten);
            if (rows.Length == 0) continue;

            List<RowOutcome> back = ReadBack(file);

            Assert.Equal(rows.Length, back.Count);
            foreach ((ParsedRow row, RowOutcome outcome) in rows.Zip(back))
            {
                Assert.True(outcome.Accepted, $"round {round}: {string.Join(" ", outcome.Problems)}");
                ParsedRow read = outcome.Parsed!;
                Assert.Equal(row.Prompt, read.Prompt);
                Assert.Equal((row.Chosen, row.Rejected, row.Binary, row.Strength, row.Margin, row.Annotator, row.Source), (read.Chosen, read.Rejected, read.Binary, read.Strength, read.Margin, read.Annotator, read.Source));
                if (pairs) Assert.Equal(row.FirstShownLeft is null ? null : row.FirstShownLeft == (row.Pair == PairVerdict.FirstBetter), read.FirstShownLeft);
                else Assert.Equal(row.Responses, read.Responses);
                Assert.Equal(row.Extra, read.Extra);
            }
        }
    }

    [Fact]
    public void The_lossless_format_is_lossless()
    {
        var random = new RandomRows(7);
        for (int round = 0; round < 200; round++)
        {
            PortalRecord[] records = [.. Enumerable.Range(0, 12).Select(_ => random.Record())];
            var file = new MemoryStream();
            var writer = new PortalJsonlWriter(file);
            foreach (PortalRecord record in records) writer.Write(record);
            writer.Finish();
            byte[] first = file.ToArray();

            List<RowOutcome> back = ReadBack(new MemoryStream(first));

            Assert.All(back, row => Assert.True(row.Accepted, $"round {round}: {string.Join(" ", row.Problems)}"));
            Assert.Equal(records.Length + 1, back.Count);
            // Records hold lists, which records compare by reference: so each field is compared through reflection and JSON of .NET's own serializer.
            foreach ((PortalRecord record, RowOutcome row) in records.Zip(back)) Assert.Equal(Fields(record), Fields(row.Record!));
            var again = new MemoryStream();
            var second = new PortalJsonlWriter(again);
            foreach (RowOutcome row in back) second.Write(row.Record!);
            second.Finish();
            Assert.Equal(first, again.ToArray());
        }

        static string Fields(PortalRecord record) => record.GetType().Name + JsonSerializer.Serialize(record, record.GetType());
    }

    [Fact]
    public void A_lossless_file_that_lost_lines_is_noticed()
    {
        var file = new MemoryStream();
        var writer = new PortalJsonlWriter(file);
        writer.Write(new PromptRecord("p1", [User]));
        writer.Write(new ResponseRecord("r1", "p1", "Blue."));
        writer.Finish();
        string[] lines = Encoding.UTF8.GetString(file.ToArray()).TrimEnd('\n').Split('\n');

        Assert.All(ImportText.Read(string.Join('\n', lines)), row => Assert.True(row.Accepted)); // the control
        Assert.Contains("the end line is missing", ImportText.Refused(string.Join('\n', lines[..2])).Reason);
        Assert.Contains("says 1 lines of type response, but 0 came", ImportText.Refused(lines[0] + "\n" + lines[2]).Reason);
        Assert.Contains("stands behind the end line", ImportText.Refused(string.Join('\n', lines) + "\n" + lines[0]).Reason);
    }

    [Theory]
    [InlineData("""{"type":"prompt","version":2,"id":"a"}""", "version", "newer than this portal reads")]
    [InlineData("""{"type":"vote","version":1}""", "type", "is \"vote\"")]
    [InlineData("""{"type":"response","version":1,"id":"r","text":"x"}""", "prompt_id", "is missing")]
    [InlineData("""{"type":"pairwise","version":1,"id":"j","prompt_id":"p","response_a_id":"a","response_b_id":"a","verdict":"a","annotator":"x"}""", "response_b_id", "is the same response")]
    [InlineData("""{"type":"pairwise","version":1,"id":"j","prompt_id":"p","response_a_id":"a","response_b_id":"b","verdict":"left","annotator":"x"}""", "verdict", "is \"left\"")]
    [InlineData("""{"type":"pairwise","version":1,"id":"j","prompt_id":"p","response_a_id":"a","response_b_id":"b","verdict":"tie","strength":2,"annotator":"x"}""", "strength", "prefers neither")]
    [InlineData("""{"type":"pairwise","version":1,"id":"j","prompt_id":"p","response_a_id":"a","response_b_id":"b","verdict":"a","annotator":"x","shown_left_id":"c"}""", "shown_left_id", "neither of the two")]
    [InlineData("""{"type":"pairwise","version":1,"id":"j","prompt_id":"p","response_a_id":"a","response_b_id":"b","verdict":"a","annotator":"x","judged_at":"yesterday"}""", "judged_at", "must be a time")]
    [InlineData("""{"type":"task","version":1,"id":"t","prompt_id":"p","kind":"pairwise"}""", "response_ids", "missing or empty")]
    [InlineData("""{"type":"end","version":1,"counts":{"prompt":1.5}}""", "counts.prompt", "whole number")]
    public void A_bad_lossless_line_is_refused_with_its_field(string line, string field, string reason)
    {
        RowOutcome row = ImportText.Read("""{"type":"skip","version":1,"id":"s","task_id":"t","annotator":"x"}""" + "\n" + line)[1];

        Assert.Contains(row.Problems, problem => problem.Field == field && problem.Reason.Contains(reason));
        Assert.Equal(2, row.Row);
    }

    [Fact]
    public void Random_bytes_throw_nothing_but_the_documented_exception()
    {
        var random = new Random(4711);
        string[] seeds =
        [
            """{"prompt":"p","chosen":"a","rejected":"b","strength":2}""" + "\n", """[{"conversations":[{"from":"human","value":"Hi"}],"chosen":{"from":"gpt","value":"x"},"rejected":{"from":"gpt","value":"y"}}]""",
            "prompt,response_a,response_b\n\"p\",x,y\n", """{"type":"end","version":1,"counts":{}}""" + "\n", """{"chosen":"\n\nHuman: a\n\nAssistant: b","rejected":"\n\nHuman: a\n\nAssistant: c"}""", """{"prompt":[{"role":"user","content":"\ud83d\ude00"}],"completion":"x","label":true}""",
        ];
        int thrown = 0, read = 0;
        for (int round = 0; round < 6000; round++)
        {
            byte[] bytes;
            if (round % 3 == 0)
            {
                bytes = new byte[random.Next(200)];
                random.NextBytes(bytes);
            }
            else
            {
                bytes = Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat(seeds[random.Next(seeds.Length)], random.Next(1, 4))));
                for (int change = random.Next(1, 6); change > 0; change--)
                {
                    int at = random.Next(bytes.Length);
                    switch (random.Next(4))
                    {
                        case 0: bytes[at] = (byte)random.Next(256); break;
                        case 1: bytes = [.. bytes[..at], .. bytes[Math.Min(bytes.Length, at + random.Next(8))..], (byte)'}']; break;
                        case 2: bytes = [.. bytes[..at], (byte)"\"\\{}[],:\n\ru"[random.Next(11)], .. bytes[at..]]; break;
                        default: bytes = [.. bytes[..at], .. "\\ud800"u8, .. bytes[at..]]; break;
                    }
                }

                if (random.Next(4) == 0) bytes = ImportText.Gzip(bytes)[..^random.Next(2)];
            }

            ColumnMapping? mapping = random.Next(5) == 0 ? new ColumnMapping { Kind = (RowKind)random.Next(4), Prompt = "prompt", First = "chosen", Second = "rejected", Completion = "completion", Label = "label" } : null;
            try
            {
                foreach (RowOutcome row in ImportText.Read(bytes, new ImportOptions { Mapping = mapping }))
                {
                    read++;
                    Assert.Equal(row.Accepted, row.Parsed is not null || row.Record is not null);
                    Assert.All(row.Problems, problem => Assert.False(string.IsNullOrWhiteSpace(problem.Reason)));
                }
            }
            catch (CannotImportException)
            {
                thrown++;
            }

            ImportReader.Preview(new MemoryStream(bytes), "x", new ImportOptions(), CancellationToken.None);
        }

        Assert.True(thrown > 500 && read > 500, $"the rounds must reach both ends: {thrown} thrown, {read} read");
    }
}
