using System.IO.Compression;
using System.Text.Json;
using Portal.Engine.Datasets.Formats;
using Xunit;

namespace Portal.Tests.Engine.Datasets;

/// <summary>
/// Real preference files of the shared folder. Row counts are those that its provenance table states (2,312, 300, 300, 999, 2,139). The 13 refused rows of hh-rlhf were
/// found by an independent script (Python: common prefix, rfind of the marker, split on the role markers), which gave the same rows and reasons.
/// </summary>
public sealed class ImportRealFilesTests
{
    private static List<RowOutcome> Read(string rel, ImportOptions? options = null)
    {
        using FileStream file = File.OpenRead(SharedData.Path(rel));
        return [.. ImportReader.ReadAll(file, Path.GetFileName(rel), options ?? new ImportOptions(), CancellationToken.None)];
    }

    [SharedFact]
    public void All_hh_rlhf_rows_are_accepted_or_explained()
    {
        List<RowOutcome> rows = Read("data/preferences/hh-rlhf_harmless-base_test.jsonl.gz");

        Assert.Equal(2312, rows.Count);
        var refused = rows.Where(row => !row.Accepted).ToDictionary(row => row.Row, row => Assert.Single(row.Problems));
        Assert.Equal(2299, rows.Count(row => row.Accepted));
        Assert.Equal([87, 517, 926, 1104], refused.Where(row => row.Value.Reason.Contains("empty reply")).Select(row => row.Key).Order());
        Assert.Equal([668, 764, 1320, 1850], refused.Where(row => row.Value.Reason.Contains("roles out of order")).Select(row => row.Key).Order());
        Assert.Equal([1255, 1689, 1951, 1953, 2037], refused.Where(row => row.Value.Reason.Contains("goes on with more turns")).Select(row => row.Key).Order());
        Assert.Equal("rejected", refused[1951].Field);
        Assert.Equal("chosen", refused[87].Field);
        Assert.DoesNotContain(rows, row => row.DuplicateOf is not null);
    }

    [SharedFact]
    public void Hh_rlhf_rows_put_together_again_give_the_transcripts()
    {
        var raw = new List<JsonElement>();
        using (var reader = new StreamReader(new GZipStream(File.OpenRead(SharedData.Path("data/preferences/hh-rlhf_harmless-base_test.jsonl.gz")), CompressionMode.Decompress)))
            while (reader.ReadLine() is { } line) raw.Add(JsonDocument.Parse(line).RootElement);

        foreach (RowOutcome row in Read("data/preferences/hh-rlhf_harmless-base_test.jsonl.gz").Where(row => row.Accepted))
        {
            string prompt = string.Concat(row.Parsed!.Prompt.Select(m => (m.Role == MessageRole.User ? "\n\nHuman: " : "\n\nAssistant: ") + m.Text));
            foreach ((string name, string reply) in new[] { ("chosen", row.Parsed.Chosen!), ("rejected", row.Parsed.Rejected!) })
            {
                // A few transcripts lack the space behind a marker; compare without these spaces.
                string expected = raw[(int)row.Row - 1].GetProperty(name).GetString()!;
                Assert.Equal(expected.Replace("Human: ", "Human:").Replace("Assistant: ", "Assistant:"),
                    (prompt + "\n\nAssistant: " + reply).Replace("Human: ", "Human:").Replace("Assistant: ", "Assistant:"));
            }
        }
    }

    [SharedFact]
    public void Llama_factory_dpo_demo_is_read_whole()
    {
        List<RowOutcome> rows = Read("data/preferences/llamafactory_dpo_en_demo.json");

        Assert.Equal(300, rows.Count);
        Assert.All(rows, row => Assert.True(row.Accepted, string.Join(" ", row.Problems)));
        Assert.All(rows, row => Assert.Equal(PairVerdict.FirstBetter, row.Parsed!.Pair));
        Assert.Equal(80, rows.Count(row => row.Parsed!.Prompt[0].Role == MessageRole.System)); // counted with Python over the JSON
        Assert.Equal(57, rows.Count(row => row.Parsed!.Prompt.Count == 5)); // likewise
    }

    [SharedFact]
    public void Llama_factory_kto_demo_is_read_whole()
    {
        List<RowOutcome> rows = Read("data/preferences/llamafactory_kto_en_demo.json");

        Assert.Equal(300, rows.Count);
        Assert.All(rows, row => Assert.True(row.Accepted, string.Join(" ", row.Problems)));
        Assert.Equal(150, rows.Count(row => row.Parsed!.Binary == BinaryVerdict.Good)); // the provenance table: 150 true, 150 false
        Assert.Equal(223, rows.Count(row => row.Parsed!.Prompt.Count == 1)); // counted with Python
    }

    [SharedFact]
    public void Llmfao_pairs_are_read_with_the_suggested_mapping()
    {
        ImportPreview preview;
        using (FileStream file = File.OpenRead(SharedData.Path("data/preferences/llmfao/pairs-crowd.jsonl")))
            preview = ImportReader.Preview(file, "pairs-crowd.jsonl", new ImportOptions(), CancellationToken.None);

        Assert.NotNull(preview.SuggestedMapping);
        Assert.Equal(("text", "result_x", "result_y", RowKind.UnlabelledPair), (preview.SuggestedMapping.Prompt, preview.SuggestedMapping.First, preview.SuggestedMapping.Second, preview.SuggestedMapping.Kind));
        Assert.NotNull(preview.Failure); // unknown columns: a person must confirm the mapping
        List<RowOutcome> rows = Read("data/preferences/llmfao/pairs-crowd.jsonl", new ImportOptions { Mapping = preview.SuggestedMapping });
        Assert.Equal(2139, rows.Count);
        Assert.Equal(1850, rows.Count(row => row.Accepted)); // counted with Python: 289 rows have an empty response, none two equal ones
        Assert.Equal(289, rows.Count(row => !row.Accepted && row.Problems[0].Reason == "is empty."));
        Assert.Equal("97", rows[0].Parsed!.Extra["model_x"]);
    }

    [SharedFact]
    public void Pandalm_array_is_read_with_a_mapping()
    {
        var mapping = new ColumnMapping { Kind = RowKind.UnlabelledPair, Prompt = "instruction", PromptContext = "input", First = "response1", Second = "response2" };

        List<RowOutcome> rows = Read("data/preferences/pandalm_testset-v1.json", new ImportOptions { Mapping = mapping });

        Assert.Equal(999, rows.Count);
        Assert.Equal(938, rows.Count(row => row.Accepted)); // counted with Python: 6 rows hold true or false where text belongs, 55 an empty response
        Assert.Equal(55, rows.Count(row => !row.Accepted && row.Problems[0].Reason == "is empty."));
        Assert.Equal(6, rows.Count(row => !row.Accepted && row.Problems[0].Reason.StartsWith("must be text, not ")));
    }

    [SharedFact]
    public void A_file_of_votes_without_texts_is_refused_with_its_columns()
    {
        var problem = Assert.Throws<CannotImportException>(() => Read("data/preferences/llmfao/gpt3-crowd-comparisons.csv"));

        Assert.Equal("gpt3-crowd-comparisons.csv", problem.Problem.File);
        Assert.Contains("`prompt`, `model_x`, `model_y`, `winner`", problem.Message);
        Assert.Contains("fit no known format", problem.Message);
    }
}
