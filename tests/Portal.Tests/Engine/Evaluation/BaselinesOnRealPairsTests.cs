using Portal.Engine.Datasets;
using Portal.Engine.Datasets.Formats;
using Portal.Engine.Evaluation;
using Portal.Engine.Statistics;
using Xunit;

namespace Portal.Tests.Engine.Evaluation;

/// <summary>
/// The whole way on real pairs: import, split by prompt, baselines. On 2,299 pairs of people's opinions about harmlessness, counting words is expected to be near chance;
/// so what is asserted is that nothing leaks and that the numbers fit together, and a control with the answer written into the text must be found.
/// </summary>
public sealed class BaselinesOnRealPairsTests
{
    [SharedFact]
    public void Hh_rlhf_pairs_are_split_by_prompt_and_the_baselines_are_honest()
    {
        using FileStream file = File.OpenRead(SharedData.Path("data/preferences/hh-rlhf_harmless-base_test.jsonl.gz"));
        ParsedRow[] rows = [.. ImportReader.ReadAll(file, "hh", new ImportOptions(), CancellationToken.None).Where(row => row.Accepted).Select(row => row.Parsed!)];
        var split = new PromptSplit(0, 0.2, "evidence");
        ILookup<SplitPart, ParsedRow> parts = rows.ToLookup(row => split.PartOf(row.Prompt));
        Assert.Empty(NearDuplicatePrompts.Leaks(parts[SplitPart.Train].Select(row => row.Prompt), parts[SplitPart.Test].Select(row => (row.RowNumber.ToString(), row.Prompt))));

        BaselineReport report = Baselines.Evaluate(Pairs(parts[SplitPart.Train]), Pairs(parts[SplitPart.Test]), new SeededRandom(1), CancellationToken.None);

        Assert.Equal(2299, report.TrainingPairs + report.Length!.Pairs);
        Assert.InRange(report.Length.Pairs, 380, 540); // a fifth of 2,299, four standard errors
        foreach (PairwiseAccuracyResult result in new[] { report.Length, report.BagOfWords! })
        {
            Assert.InRange(result.Accuracy, 0.4, 0.75); // far above would be a leak: the first published reward models reach about .65 to .7 here
            Assert.True(result.Wilson.Holds(result.Accuracy) && result.ByPrompt.Holds(result.Accuracy));
        }

        TextPair[] marked = [.. Pairs(parts[SplitPart.Train]).Select(Marked)], markedTest = [.. Pairs(parts[SplitPart.Test]).Select(Marked)];
        Assert.True(Baselines.Evaluate(marked, markedTest, new SeededRandom(1), CancellationToken.None).BagOfWords!.Accuracy > 0.95);

        static TextPair[] Pairs(IEnumerable<ParsedRow> rows) => [.. rows.Select(row => new TextPair(PromptSplit.Key(row.Prompt), row.Chosen!, row.Rejected!))];
        static TextPair Marked(TextPair pair) => pair with { Chosen = pair.Chosen + " qqq" };
    }
}
