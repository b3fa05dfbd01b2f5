using Portal.Engine.Datasets.Formats;
using Xunit;
using static Portal.Tests.Engine.Datasets.ImportText;

namespace Portal.Tests.Engine.Datasets;

/// <summary>Every format in its smallest form; what must come out was written by hand from the formats' own documentation.</summary>
public sealed class ImportFormatsTests
{
    private static readonly Message Sky = new(MessageRole.User, "What colour is the sky?");

    [Fact]
    public void Trl_preference_with_text_is_read()
    {
        ParsedRow row = ReadOne("""{"prompt": "What colour is the sky?", "chosen": "Blue.", "rejected": "Green."}""");

        Assert.Equal((RowKind.Preference, 1L, "Blue.", "Green."), (row.Kind, row.RowNumber, row.Chosen, row.Rejected));
        Assert.Equal([Sky], row.Prompt);
    }

    [Fact]
    public void Trl_preference_without_a_prompt_takes_the_common_beginning_and_leaves_one_space_to_the_responses()
    {
        ParsedRow row = ReadOne("""{"chosen": "The sky is blue.", "rejected": "The sky is green."}""");

        // TRL's documentation of extract_prompt gives exactly this example: "The sky is", " blue.", " green."
        Assert.Equal(("The sky is", " blue.", " green."), (row.Prompt[0].Text, row.Chosen, row.Rejected));
    }

    [Fact]
    public void Trl_preference_with_messages_is_read_with_and_without_a_prompt()
    {
        const string chosen = """{"role": "assistant", "content": "Blue."}""", rejected = """{"role": "assistant", "content": "Green."}""", user = """{"role": "user", "content": "What colour is the sky?"}""";
        foreach (string line in new[]
        {
            $$"""{"prompt": [{{user}}], "chosen": [{{chosen}}], "rejected": [{{rejected}}]}""",
            $$"""{"chosen": [{{user}}, {{chosen}}], "rejected": [{{user}}, {{rejected}}]}""",
            $$"""{"prompt": "What colour is the sky?", "chosen": [{{user}}, {{chosen}}], "rejected": [{{user}}, {{rejected}}]}""",
            $$"""{"prompt": "What colour is the sky?", "chosen": [{{chosen}}], "rejected": [{{rejected}}]}""",
        })
        {
            ParsedRow row = ReadOne(line);
            Assert.Equal([Sky], row.Prompt);
            Assert.Equal(("Blue.", "Green."), (row.Chosen, row.Rejected));
        }
    }

    [Fact]
    public void The_portals_extra_columns_are_understood_and_others_are_kept()
    {
        ParsedRow row = ReadOne("""{"prompt":"p","chosen":"a","rejected":"b","annotator":17,"strength":3,"margin":0.5,"presented_left":"rejected","source":"pilot","score":[1,2],"note":"x"}""");

        Assert.Equal(("17", 3, 0.5, false, "pilot"), (row.Annotator, row.Strength, row.Margin, row.FirstShownLeft, row.Source));
        Assert.Equal(new Dictionary<string, string> { ["note"] = "x", ["score"] = "[1,2]" }, row.Extra);
        Assert.Equal(PairVerdict.Tie, ReadOne("""{"prompt":"p","chosen":"a","rejected":"b","tie":true,"strength":2}""").Pair);
    }

    [Fact]
    public void Trl_unpaired_and_prompt_only_are_read()
    {
        ParsedRow bad = ReadOne("""{"prompt": "What colour is the sky?", "completion": "Green.", "label": false}""");
        ParsedRow good = ReadOne("""{"prompt": [{"role":"user","content":"What colour is the sky?"}], "completion": [{"role":"assistant","content":"Blue."}], "label": true}""");
        ParsedRow prompt = ReadOne("""{"prompt": "What colour is the sky?"}""");

        Assert.Equal((RowKind.Binary, BinaryVerdict.Bad, "Green."), (bad.Kind, bad.Binary, bad.Responses[0]));
        Assert.Equal((BinaryVerdict.Good, "Blue."), (good.Binary, good.Responses[0]));
        Assert.Equal(RowKind.Prompt, prompt.Kind);
        Assert.Equal([Sky], prompt.Prompt);
        Assert.Empty(prompt.Responses);
    }

    [Fact]
    public void Hh_transcripts_are_cut_back_to_the_last_assistant_turn()
    {
        ParsedRow row = ReadOne("""{"chosen": "\n\nHuman: Hi\n\nAssistant: Hello!\n\nHuman: Sky?\n\nAssistant: Bl", "rejected": "\n\nHuman: Hi\n\nAssistant: Hello!\n\nHuman: Sky?\n\nAssistant: Blue, of course"}""");

        Assert.Equal([new(MessageRole.User, "Hi"), new(MessageRole.Assistant, "Hello!"), new(MessageRole.User, "Sky?")], row.Prompt);
        Assert.Equal(("Bl", "Blue, of course"), (row.Chosen, row.Rejected)); // the shorter one ends inside the common beginning
    }

    [Fact]
    public void Unlabelled_pairs_may_carry_a_verdict()
    {
        Assert.Equal(RowKind.UnlabelledPair, ReadOne("""{"prompt":"p","response_a":"x","response_b":"y"}""").Kind);
        ParsedRow judged = ReadOne("""{"prompt":"p","response_a":"x","response_b":"y","verdict":"b","strength":1,"presented_left":"response_a"}""");
        Assert.Equal((RowKind.Preference, "y", "x", true), (judged.Kind, judged.Chosen, judged.Rejected, judged.FirstShownLeft));
        Assert.Equal(PairVerdict.BothBad, ReadOne("""{"prompt":"p","response_a":"x","response_b":"y","verdict":"both_bad"}""").Pair);
    }

    [Fact]
    public void Share_gpt_rows_are_read_from_an_array()
    {
        List<RowOutcome> rows = Read("""
            [ {"conversations":[{"from":"human","value":"Hi"}],"chosen":{"from":"gpt","value":"Hello"},"rejected":{"from":"gpt","value":"No"},"system":"Be kind."},
              {"conversations":[{"from":"human","value":"\"],}"}],"chosen":{"from":"gpt","value":"a]"},"rejected":{"from":"gpt","value":"b}"}} ]
            """);

        Assert.Equal(2, rows.Count);
        Assert.Equal([new(MessageRole.System, "Be kind."), new(MessageRole.User, "Hi")], rows[0].Parsed!.Prompt);
        Assert.Equal((2L, "\"],}", "a]"), (rows[1].Row, rows[1].Parsed!.Prompt[0].Text, rows[1].Parsed!.Chosen));
    }

    [Fact]
    public void Csv_is_read_with_quotes_line_breaks_and_any_separator()
    {
        foreach (char separator in ",;\t")
        {
            string text = $"prompt{separator}response_a{separator}response_b\r\n\"one\r\ntwo{separator} \"\"three\"\"\"{separator}x{separator}y\r\n\r\nü{separator}=1+1{separator}z\r\n";
            List<RowOutcome> rows = Read(text);
            Assert.Equal(2, rows.Count);
            Assert.Equal($"one\r\ntwo{separator} \"three\"", rows[0].Parsed!.Prompt[0].Text);
            Assert.Equal(("ü", "=1+1"), (rows[1].Parsed!.Prompt[0].Text, rows[1].Parsed!.Responses[0]));
        }
    }

    [Fact]
    public void Csv_columns_can_be_mapped_to_judgements()
    {
        var mapping = new ColumnMapping { Kind = RowKind.Preference, Prompt = "q", First = "left", Second = "right", Verdict = "winner", Annotator = "worker" };

        List<RowOutcome> rows = Read("q,left,right,winner,worker\np,x,y,right,58\np,x,y,tie,83\np,x,y,left,83\np,x,y,banana,83\n", new ImportOptions { Mapping = mapping });

        Assert.Equal([PairVerdict.SecondBetter, PairVerdict.Tie, PairVerdict.FirstBetter], rows.Take(3).Select(row => row.Parsed!.Pair!.Value));
        Assert.Equal("58", rows[0].Parsed!.Annotator);
        Assert.Equal((5L, "winner"), (rows[3].Problems[0].Row, rows[3].Problems[0].Field));
    }

    [Fact]
    public void Labels_in_csv_may_be_words()
    {
        List<RowOutcome> rows = Read("prompt,completion,label\np,x,true\np,x,0\np,x,unsure\np,x,perhaps\n");

        Assert.Equal([BinaryVerdict.Good, BinaryVerdict.Bad, BinaryVerdict.Unsure], rows.Take(3).Select(row => row.Parsed!.Binary!.Value));
        Assert.Contains("perhaps", rows[3].Problems[0].ToString());
    }

    [Fact]
    public void Gzip_is_known_by_its_content_and_may_have_several_members()
    {
        byte[] one = Gzip("""{"prompt":"a"}"""u8.ToArray()), two = Gzip("\n{\"prompt\":\"b\"}\n"u8.ToArray());

        Assert.Equal(["a", "b"], Read([.. one, .. two]).Select(row => row.Parsed!.Prompt[0].Text));
    }

    [Fact]
    public void Byte_order_mark_crlf_and_blank_lines_are_no_trouble()
    {
        List<RowOutcome> rows = Read("\uFEFF{\"prompt\":\"a\"}\r\n\r\n  \r\n{\"prompt\":\"b\"}\r\n");

        Assert.Equal([(1L, "a"), (4L, "b")], rows.Select(row => (row.Row, row.Parsed!.Prompt[0].Text)));
        Assert.Equal("a", Assert.Single(Read("\uFEFFprompt\r\na\r\n")).Parsed!.Prompt[0].Text);
    }

    [Fact]
    public void Duplicates_name_the_first_row_and_two_peoples_verdicts_are_none()
    {
        List<RowOutcome> rows = Read("""
            {"prompt":"p","chosen":"a","rejected":"b","annotator":"x"}
            {"prompt":"p","chosen":"a","rejected":"b","annotator":"y"}
            {"prompt":"p","chosen":"b","rejected":"a","annotator":"x"}
            {"rejected":"b","prompt":"p","annotator":"x","chosen":"a","source":"again"}
            """);

        Assert.Equal([null, null, null, 1L], rows.Select(row => row.DuplicateOf));
    }

    [Fact]
    public void Preview_says_what_it_saw()
    {
        string text = string.Concat(Enumerable.Range(0, 30).Select(i => $"{{\"prompt\":\"p{i % 25}\",\"chosen\":\"a\",\"rejected\":\"b\",\"topic\":\"t\"}}\n")) + "{\"prompt\":\"p\"}\n";

        ImportPreview preview = ImportReader.Preview(new MemoryStream(System.Text.Encoding.UTF8.GetBytes(text)), Name, new ImportOptions(), CancellationToken.None);

        Assert.Equal((ImportFormat.TrlPreference, RowContainer.JsonLines, 20, 31L, 1L, 5L, true), (preview.Format, preview.Container, preview.Rows.Count, preview.RowsSeen, preview.Refused, preview.Duplicates, preview.Complete));
        Assert.Equal(["prompt", "chosen", "rejected", "topic"], preview.Columns);
        Assert.Equal(["topic"], preview.ExtraColumns);
        Assert.Null(preview.Failure);
        Assert.Contains("TRL", preview.Why);
    }
}
