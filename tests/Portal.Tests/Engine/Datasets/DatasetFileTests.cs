using Portal.Engine.Datasets;
using Xunit;

namespace Portal.Tests.Engine.Datasets;

/// <summary>Rows for the command line out of the portal's own JSONL, whose lines refer to each other.</summary>
public sealed class DatasetFileTests : IDisposable
{
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("portal-file-");

    public void Dispose() => folder.Delete(recursive: true);

    [Fact]
    public void Judgements_are_joined_with_what_they_name_and_superseded_ones_are_left_out()
    {
        var file = Read(
            """{"type":"prompt","version":1,"id":"p","messages":[{"role":"user","content":"How?"}]}""",
            """{"type":"response","version":1,"id":"a","prompt_id":"p","text":"So."}""",
            """{"type":"response","version":1,"id":"b","prompt_id":"p","text":"Not so."}""",
            """{"type":"response","version":1,"id":"c","prompt_id":"p","text":"Nobody judged me."}""",
            """{"type":"pairwise","version":1,"id":"1","prompt_id":"p","response_a_id":"a","response_b_id":"b","verdict":"a","strength":3,"annotator":"x"}""",
            """{"type":"pairwise","version":1,"id":"2","prompt_id":"p","response_a_id":"a","response_b_id":"b","verdict":"b","strength":1,"annotator":"x","supersedes":"1"}""",
            """{"type":"pairwise","version":1,"id":"3","prompt_id":"p","response_a_id":"a","response_b_id":"b","verdict":"tie","annotator":"y"}""",
            """{"type":"binary","version":1,"id":"4","prompt_id":"p","response_id":"c","verdict":"good","annotator":"x"}""",
            """{"type":"end","version":1,"counts":{"prompt":1,"response":3,"pairwise":3,"binary":1}}""");
        var unused = new Dictionary<string, int>();

        var pairs = file.Pairs(0, 1, unused).Train;
        var verdicts = file.Verdicts(0, 1, new Dictionary<string, int>()).Train;
        var responses = file.Responses(0, 1).Train;

        Assert.Empty(file.Problems);
        var pair = Assert.Single(pairs);
        Assert.Equal(("Not so.", "So.", 1 / 3.0), (pair.Chosen, pair.Rejected, pair.Margin));
        Assert.Equal("How?", pair.Prompt[^1].Content);
        Assert.Equal(1, unused["Tie"]);
        Assert.Equal(("Nobody judged me.", true), (Assert.Single(verdicts).Response, verdicts[0].IsGood));
        Assert.Equal(["So.", "Not so.", "Nobody judged me."], responses.Select(row => row.Response).OrderBy(text => text.Length));
    }

    [Fact]
    public void Prompts_are_taken_once_each_whether_answered_or_not_and_split_as_their_rows_are()
    {
        var lines = Enumerable.Range(0, 60).Select(i => $$"""{"type":"prompt","version":1,"id":"p{{i}}","messages":[{"role":"user","content":"How many are {{i}}?"}]}""").Append("""{"type":"prompt","version":1,"id":"again","messages":[{"role":"user","content":"how many are  7"}]}""")
            .Concat(Enumerable.Range(0, 30).Select(i => $$"""{"type":"response","version":1,"id":"r{{i}}","prompt_id":"p{{i}}","text":"So."}""")).Append("""{"type":"end","version":1,"counts":{"prompt":61,"response":30}}""");
        var file = Read([.. lines]);

        var prompts = file.Prompts(0.3, 1);
        var responses = file.Responses(0.3, 1);

        Assert.Empty(file.Problems);
        Assert.Equal(60, prompts.Train.Concat(prompts.HeldOut).Select(prompt => prompt.Key).Distinct().Count());
        Assert.Equal(60, prompts.Train.Count + prompts.HeldOut.Count);
        Assert.InRange(prompts.HeldOut.Count, 8, 30);
        Assert.Subset(prompts.Train.Select(prompt => prompt.Key).ToHashSet(), responses.Train.Select(row => row.PromptKey).ToHashSet());
        Assert.Subset(prompts.HeldOut.Select(prompt => prompt.Key).ToHashSet(), responses.HeldOut.Select(row => row.PromptKey).ToHashSet());
        Assert.Equal("How many are 3?", prompts.Train.Concat(prompts.HeldOut).Single(prompt => prompt.Key.EndsWith(" 3", StringComparison.Ordinal)).Turns[^1].Content);
    }

    [Fact]
    public void A_judgement_of_something_that_is_not_there_is_refused_by_row_and_field()
    {
        var file = Read(
            """{"type":"prompt","version":1,"id":"p","messages":[{"role":"user","content":"How?"}]}""",
            """{"type":"response","version":1,"id":"a","prompt_id":"q","text":"So."}""",
            """{"type":"binary","version":1,"id":"4","prompt_id":"p","response_id":"z","verdict":"good","annotator":"x"}""",
            """{"type":"end","version":1,"counts":{"prompt":1,"response":1,"binary":1}}""");

        Assert.Equal(
        [
            "votes.jsonl, row 2, `prompt_id`: names the prompt \"q\", which no earlier line has.", "votes.jsonl, row 3, `response_id`: names the response \"z\", which no earlier line has.",
        ], file.Problems.Select(problem => $"{problem}"));
        Assert.Empty(file.Rows);
    }

    private DatasetFile Read(params string[] lines)
    {
        var path = Path.Combine(folder.FullName, "votes.jsonl");
        File.WriteAllLines(path, lines);
        return DatasetFile.Read(path, CancellationToken.None);
    }
}
