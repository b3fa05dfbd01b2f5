using System.Text;
using Portal.Engine.Datasets.Formats;
using Xunit;
using static Portal.Tests.Engine.Datasets.ImportText;

namespace Portal.Tests.Engine.Datasets;

/// <summary>Whatever is wrong with a file, the message names file, row and field, the rows around it are read, and nothing is repaired in silence.</summary>
public sealed class ImportBadInputTests
{
    private const string Good = """{"prompt":"p","chosen":"a","rejected":"b"}""";

    [Fact]
    public void Messages_name_file_row_and_field()
    {
        Assert.Equal("votes.jsonl, row 2, `chosen`: is empty.", Refused(Good + "\n" + """{"prompt":"p","chosen":" ","rejected":"b"}""").ToString());
    }

    [Theory]
    [InlineData("""{"prompt":"p","chosen":"a"}""", "rejected", "is missing")]
    [InlineData("""{"prompt":"p","chosen":"a","rejected":""}""", "rejected", "is empty")]
    [InlineData("""{"prompt":"","chosen":"a","rejected":"b"}""", "prompt", "is empty")]
    [InlineData("""{"prompt":"p","chosen":"a","rejected":" a\n"}""", "rejected", "is the same text as `chosen`")]
    [InlineData("""{"prompt":7,"chosen":"a","rejected":"b"}""", "prompt", "must be text, not a number")]
    [InlineData("""{"prompt":"p","chosen":true,"rejected":"b"}""", "chosen", "must be text, not true")]
    [InlineData("""{"prompt":"p","chosen":null,"rejected":"b"}""", "chosen", "must be text, not null")]
    [InlineData("""{"prompt":{"a":1},"chosen":"a","rejected":"b"}""", "prompt", "must be text, not an object")]
    [InlineData("""{"prompt":"p","chosen":"a\u0000","rejected":"b"}""", "chosen", "NUL character at position 2")]
    [InlineData("""{"prompt":"p","chosen":"a\ud800","rejected":"b"}""", "chosen", "half a surrogate pair")]
    [InlineData("""{"prompt":"p","chosen":"a","rejected":"b","strength":4}""", "strength", "whole number from 1 to 3")]
    [InlineData("""{"prompt":"p","chosen":"a","rejected":"b","strength":"2"}""", "strength", "must be a number, not a text")]
    [InlineData("""{"prompt":"p","chosen":"a","rejected":"b","margin":1e999}""", "margin", "must be a finite number")]
    [InlineData("""{"prompt":"p","chosen":"a","rejected":"b","presented_left":"top"}""", "presented_left", "must name the column")]
    [InlineData("""{"chosen":"abc","rejected":"xyz"}""", "prompt", "share no beginning")]
    [InlineData("""{"chosen":"The sky","rejected":"The sky is blue"}""", "chosen", "no response is left")]
    [InlineData("""{"prompt":[],"chosen":"a","rejected":"b"}""", "prompt", "is an empty list")]
    [InlineData("""{"prompt":["p"],"chosen":"a","rejected":"b"}""", "prompt[0]", "must be a message")]
    [InlineData("""{"prompt":[{"content":"p"}],"chosen":"a","rejected":"b"}""", "prompt[0]", "has no `role`")]
    [InlineData("""{"prompt":[{"role":"user"}],"chosen":"a","rejected":"b"}""", "prompt[0]", "has no `content`")]
    [InlineData("""{"prompt":[{"role":"king","content":"p"}],"chosen":"a","rejected":"b"}""", "prompt[0].role", "is \"king\"")]
    [InlineData("""{"prompt":[{"role":"user","content":3}],"chosen":"a","rejected":"b"}""", "prompt[0].content", "must be text")]
    [InlineData("""{"prompt":[{"role":"assistant","content":"p"}],"chosen":"a","rejected":"b"}""", "prompt", "roles out of order: message 1 is assistant, after nothing")]
    [InlineData("""{"prompt":[{"role":"user","content":"p"},{"role":"user","content":"q"}],"chosen":"a","rejected":"b"}""", "prompt", "message 2 is user, after user")]
    [InlineData("""{"prompt":[{"role":"user","content":"p"},{"role":"system","content":"q"}],"chosen":"a","rejected":"b"}""", "prompt", "message 2 is system")]
    [InlineData("""{"prompt":[{"role":"user","content":"p"},{"role":"assistant","content":"q"}],"chosen":"a","rejected":"b"}""", "prompt", "must end with the user's turn")]
    [InlineData("""{"prompt":"p","chosen":[{"role":"user","content":"a"}],"rejected":[{"role":"assistant","content":"b"}]}""", "chosen", "user's message where the assistant's is wanted")]
    public void A_bad_preference_row_is_refused_with_its_field(string line, string field, string reason)
    {
        List<RowOutcome> rows = Read(Good + "\n" + line + "\n" + Good, new ImportOptions { Format = ImportFormat.TrlPreference });

        Assert.Equal([true, false, true], rows.Select(row => row.Accepted));
        RowProblem problem = Assert.Single(rows[1].Problems);
        Assert.Equal((Name, 2L, field), (problem.File, problem.Row, problem.Field));
        Assert.Contains(reason, problem.Reason);
    }

    [Theory]
    [InlineData("""{"prompt":"p","completion":"a","label":"true"}""", "label", "must be true or false, not a text")]
    [InlineData("""{"prompt":"p","completion":"a","label":1}""", "label", "must be true or false, not a number")]
    [InlineData("""{"prompt":"p","completion":"a","label":null}""", "label", "is missing")]
    [InlineData("""{"prompt":"p","completion":"","label":true}""", "completion", "is empty")]
    public void A_bad_unpaired_row_is_refused_with_its_field(string line, string field, string reason)
    {
        RowProblem problem = Refused("""{"prompt":"p","completion":"a","label":true}""" + "\n" + line);

        Assert.Equal((2L, field), (problem.Row, problem.Field));
        Assert.Contains(reason, problem.Reason);
    }

    [Theory]
    [InlineData("{\"prompt\":\"p\"", "is not valid JSON")]
    [InlineData("nonsense", "is not valid JSON (it does not begin with '{'")]
    [InlineData("{\"prompt\":\"p\"} {\"prompt\":\"q\"}", "is not valid JSON")]
    [InlineData("[1]", "is a list; each row must be an object")]
    [InlineData("{\"prompt\":\"p\",\"prompt\":\"q\"}", "names a field twice")]
    [InlineData("{\"\\ud800\":1,\"prompt\":\"p\"}", "half a surrogate pair")]
    [InlineData("{\"prompt\":[{\"role\":\"user\",\"content\":\"x\",\"\\udc00\":1}]}", "half a surrogate pair")]
    [InlineData("{\"prompt\":\"a\0b\"}", "holds a NUL byte at byte 13 of the row")]
    public void A_line_that_is_no_object_is_refused_and_the_next_is_read(string line, string reason)
    {
        List<RowOutcome> rows = Read("{\"prompt\":\"first\"}\n" + line + "\n{\"prompt\":\"last\"}\n");

        Assert.Equal([true, false, true], rows.Select(row => row.Accepted));
        Assert.Equal(2, rows[1].Problems[0].Row);
        Assert.Contains(reason, rows[1].Problems[0].Reason);
    }

    [Fact]
    public void One_row_can_have_several_problems()
    {
        RowOutcome row = Assert.Single(Read("""{"prompt":"","chosen":"","rejected":3}"""));

        Assert.Equal(["prompt", "chosen", "rejected"], row.Problems.Select(problem => problem.Field));
    }

    [Fact]
    public void Unknown_columns_end_the_import_and_name_the_columns()
    {
        foreach (string text in new[] { "{\"foo\":1,\"bar\":2}\n", "foo,bar\n1,2\n" })
        {
            var problem = Assert.Throws<CannotImportException>(() => Read(text));
            Assert.Contains("`foo`, `bar` fit no known format", problem.Message);
            Assert.StartsWith(Name, problem.Message);
        }
    }

    [Fact]
    public void A_mapping_to_columns_that_are_not_there_is_refused()
    {
        var options = new ImportOptions { Mapping = new ColumnMapping { Kind = RowKind.UnlabelledPair, Prompt = "q", First = "x", Second = "z" } };

        Assert.Equal("z", Assert.Throws<CannotImportException>(() => Read("q,x,y\n1,2,3\n", options)).Problem.Field);
        Assert.Equal("z", Refused("""{"q":"p","x":"a","y":"b"}""", options).Field);
    }

    [Fact]
    public void Texts_above_the_limit_are_refused_and_at_the_limit_taken()
    {
        var options = new ImportOptions { MaxTextBytes = 1000 };

        Assert.True(Read($$"""{"prompt":"{{new string('x', 1000)}}"}""", options)[0].Accepted);
        Assert.Contains("is 1,001 bytes of text, more than 1,000", Refused($$"""{"prompt":"{{new string('x', 1001)}}"}""", options).Reason);
        Assert.Contains("is 1,002 bytes", Refused($$"""{"prompt":"{{new string('ü', 501)}}"}""", options).Reason);
        Assert.Contains("more than 1,048,576", Refused($$"""{"prompt":"{{new string('x', (1 << 20) + 1)}}"}""").Reason);
    }

    [Fact]
    public void A_ten_megabyte_line_is_skipped_and_the_next_is_read()
    {
        string text = "{\"prompt\":\"a\"}\n{\"prompt\":\"" + new string('x', 10_000_000) + "\"}\n{\"prompt\":\"b\"}\n";
        List<RowOutcome> rows = Read(text);
        Assert.Equal([true, false, true], rows.Select(row => row.Accepted));
        Assert.Contains("is longer than 8,388,608 bytes", rows[1].Problems[0].Reason);

        rows = Read("[" + text.TrimEnd().Replace("\n", ",\n") + "]");
        Assert.Equal([true, false, true], rows.Select(row => row.Accepted));

        var problem = Assert.Throws<CannotImportException>(() => Read("prompt\na\n\"" + new string('x', 10_000_000)));
        Assert.Contains("closing quote", problem.Message);
        Assert.Equal(3, problem.Problem.Row);
    }

    [Fact]
    public void Broken_utf8_is_refused_with_its_byte_and_never_replaced()
    {
        byte[] line = [.. "{\"prompt\":\"ok\"}\n{\"prompt\":\"a"u8, 0xC3, 0x28, .. "\"}\n{\"prompt\":\"ü\"}\n"u8];
        List<RowOutcome> rows = Read(line);
        Assert.Equal([true, false, true], rows.Select(row => row.Accepted));
        // Line 2 begins at byte 17 of the file (counted from 1); {"prompt":"a is 12 bytes, so the bad byte is the 13th of the row and the 29th of the file.
        Assert.Equal((2L, "is not valid UTF-8: byte 0xC3 at byte 13 of the row (byte 29 of the file, line 2)."), (rows[1].Row, rows[1].Problems[0].Reason));
        Assert.Equal("ü", rows[2].Parsed!.Prompt[0].Text);

        byte[] csv = [.. "prompt\nok\nü\na"u8, 0xE2, 0x82, .. "\nb\n"u8];
        var problem = Assert.Throws<CannotImportException>(() => Read(csv));
        Assert.Contains("is not valid UTF-8: byte 0xE2 on line 4 (byte 15 of the file)", problem.Message);

        Assert.Contains("is not valid UTF-8", Assert.Single(Read([.. "{\"prompt\":\""u8, 0xED, 0xA0, 0x80, .. "\"}"u8])[0].Problems).Reason); // a surrogate written in bytes
    }

    [Fact]
    public void Utf8_cut_at_any_chunk_border_is_still_valid()
    {
        // 64 KiB chunks: shift a run of four-byte characters through every position around the border.
        for (int shift = 0; shift < 5; shift++)
        {
            string text = new string('x', (64 << 10) - 40 + shift) + string.Concat(Enumerable.Repeat("😀", 20));
            Assert.Equal(text, Read("prompt\n" + text + "\n")[0].Parsed!.Prompt[0].Text);
            Assert.Equal(text, Read("{\"prompt\":\"" + text + "\"}")[0].Parsed!.Prompt[0].Text);
        }
    }

    [Fact]
    public void Other_encodings_and_archives_are_named()
    {
        Assert.Contains("UTF-16", Assert.Throws<CannotImportException>(() => Read(Encoding.Unicode.GetPreamble().Concat(Encoding.Unicode.GetBytes(Good)).ToArray())).Message);
        Assert.Contains("zip archive", Assert.Throws<CannotImportException>(() => Read([0x50, 0x4B, 3, 4, 0, 0, 0, 0])).Message);
    }

    [Theory]
    [InlineData("")]
    [InlineData("  \r\n \n")]
    [InlineData("[]")]
    [InlineData("prompt\n")]
    public void An_empty_file_says_so(string text)
    {
        Assert.Matches("is empty|holds no rows|has a header and no rows", Assert.Throws<CannotImportException>(() => Read(text)).Message);
        Assert.Matches("is empty|holds no rows|has a header and no rows", Assert.Throws<CannotImportException>(() => Read(Gzip(Encoding.UTF8.GetBytes(text)))).Message);
    }

    [Fact]
    public void A_gzip_file_cut_anywhere_is_noticed()
    {
        byte[] whole = Gzip(Encoding.UTF8.GetBytes(string.Concat(Enumerable.Range(0, 200).Select(i => $"{{\"prompt\":\"{i * 7919 % 1000003}\"}}\n"))));
        Assert.Equal(200, Read(whole).Count); // the control: uncut, it is read

        for (int length = 2; length < whole.Length; length += length < 40 || length > whole.Length - 40 ? 1 : 37)
        {
            var problem = Assert.Throws<CannotImportException>(() => Read(whole[..length]));
            Assert.Matches("cut short|is damaged", problem.Message);
        }

        byte[] flipped = [.. whole];
        flipped[^6] ^= 1; // in the checksum
        Assert.Matches("cut short|is damaged", Assert.Throws<CannotImportException>(() => Read(flipped)).Message);
        Assert.Matches("other bytes behind", Assert.Throws<CannotImportException>(() => Read([.. whole, 1, 2, 3])).Message);
    }

    [Fact]
    public void A_cut_file_says_after_which_row()
    {
        byte[] whole = Gzip(Encoding.UTF8.GetBytes(string.Concat(Enumerable.Range(0, 40_000).Select(i => $"{{\"prompt\":\"{i * 7919 % 1000003}\"}}\n"))));
        using IEnumerator<RowOutcome> rows = ImportReader.ReadAll(new MemoryStream(whole[..(whole.Length / 2)]), Name, new ImportOptions(), CancellationToken.None).GetEnumerator();
        long last = 0;

        var problem = Assert.Throws<CannotImportException>(() =>
        {
            while (rows.MoveNext()) last = rows.Current.Row;
        });

        Assert.True(last > 1000);
        Assert.Contains($"after row {last:N0}, the file", problem.Message);
    }

    [Fact]
    public void A_zip_bomb_is_stopped_by_its_ratio_long_before_its_end()
    {
        byte[] bomb = Gzip(new byte[200 << 20].Select(_ => (byte)' ').ToArray());
        long before = GC.GetAllocatedBytesForCurrentThread();

        var problem = Assert.Throws<CannotImportException>(() => Read(bomb));

        Assert.Contains("zip bomb", problem.Message);
        Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 32 << 20, "reading the bomb allocated more than 32 MiB");
        byte[] honest = Gzip(Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat("{\"prompt\":\"the same again\"}\n", 50_000))));
        Assert.Equal(50_000, Read(honest).Count); // the control: short and repetitive passes
    }

    [Fact]
    public void A_file_above_the_absolute_limit_is_stopped()
    {
        var options = new ImportOptions { MaxFileBytes = 1000 };
        string text = string.Concat(Enumerable.Repeat("{\"prompt\":\"x\"}\n", 100));

        Assert.Contains("is larger than 1,000 bytes; split it", Assert.Throws<CannotImportException>(() => Read(text, options)).Message);
        Assert.Contains("is larger than 1,000 bytes when decompressed", Assert.Throws<CannotImportException>(() => Read(Gzip(Encoding.UTF8.GetBytes(text)), options)).Message);
    }

    [Fact]
    public void Deep_nesting_is_refused()
    {
        string deep = "{\"prompt\":\"p\",\"x\":" + new string('[', 100_000) + new string(']', 100_000) + "}";

        Assert.Contains("is nested deeper than 32 levels", Refused("{\"prompt\":\"a\"}\n" + deep).Reason);
        Assert.Contains("is nested deeper than 32 levels", Refused("[{\"prompt\":\"a\"}," + deep + "]").Reason);
    }

    [Theory]
    [InlineData("[{\"prompt\":\"a\"}", "cut short: the file ends inside it")]
    [InlineData("[{\"prompt\":\"a\"},", "outer array is not closed")]
    [InlineData("[{\"prompt\":\"a\"},,{\"prompt\":\"b\"}]", "an element is missing beside a comma")]
    [InlineData("[{\"prompt\":\"a\"},]", "an element is missing beside a comma")]
    [InlineData("[{\"prompt\":\"a\"}] x", "something stands behind the array's ']'")]
    [InlineData("[{\"prompt\":\"a}", "cut short")]
    public void A_broken_array_is_named(string text, string reason) => Assert.Contains(reason, Assert.Throws<CannotImportException>(() => Read(text)).Message);

    [Theory]
    [InlineData("prompt,response_a,response_b\np,x\n", "has 2 cells where the header names 3 columns")]
    [InlineData("prompt,response_a,response_b\np,x\"y,z\n", "a quote inside an unquoted cell")]
    [InlineData("prompt,response_a,response_b\np,\"x\"y,z\n", "text behind a closing quote")]
    [InlineData("prompt,response_a,response_b\np,x,\"z\n", "never closed")]
    public void A_bad_csv_record_is_refused_and_others_are_read(string text, string reason)
    {
        List<RowOutcome> rows = Read(text);

        RowOutcome bad = Assert.Single(rows);
        Assert.Equal(2, bad.Problems[0].Row);
        Assert.Contains(reason, bad.Problems[0].Reason);
        if (reason.Contains("never")) return; // an unclosed quote swallows what follows
        rows = Read(text + "p,x,y\n");
        Assert.Equal([false, true], rows.Select(row => row.Accepted));
        Assert.Equal(3, rows[1].Row);
    }

    [Theory]
    [InlineData("a,b,A\n1,2,3\n", "stands twice in the header")]
    [InlineData("prompt,,x\n1,2,3\n", "column 2 has no name")]
    public void A_bad_csv_header_is_refused(string text, string reason) => Assert.Contains(reason, Assert.Throws<CannotImportException>(() => Read(text)).Message);

    [Fact]
    public void A_nul_in_a_csv_cell_is_refused_with_its_column() =>
        Assert.Equal(("response_a", 2L), (Refused("prompt,response_a,response_b\np,x\0,y\n").Field, Refused("prompt,response_a,response_b\np,x\0,y\n").Row));

    [Fact]
    public void Cancelling_stops_between_rows()
    {
        using var source = new CancellationTokenSource();
        using IEnumerator<RowOutcome> rows = ImportReader.ReadAll(new MemoryStream("{\"prompt\":\"a\"}\n{\"prompt\":\"b\"}\n"u8.ToArray()), Name, new ImportOptions(), source.Token).GetEnumerator();
        Assert.True(rows.MoveNext());
        source.Cancel();

        Assert.Throws<OperationCanceledException>(() => rows.MoveNext());
    }
}
