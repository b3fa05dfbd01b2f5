using Portal.Data.Audits;
using Portal.Engine.Audits;
using Xunit;

namespace Portal.Tests.Engine.Audits;

/// <summary>The census of texts written down by hand.</summary>
public sealed class CensusCountTests
{
    private static readonly Lexicon lexicon = new("insults", ["clod"], ["silly"]);

    private static readonly AuditText[] texts =
    [
        .. Pair("bad to good", "Yes.", "You clod."), .. Pair("bad to good too", "Yes.", "How silly."), .. Pair("good to good", "Yes.", "No."), .. Pair("tie", "Yes.", "Yes."), .. Pair("bad to bad", "You clod!", "You clod."),
        .. Pair("good to bad", "You silly goose.", "Yes."),
        SmallAudit.Text("half", AuditSide.Audited, 0, "Yes."), SmallAudit.Text("half", AuditSide.Base, 0, "", CompletionStatus.Failed),
        SmallAudit.Text("none", AuditSide.Audited, 0, "", CompletionStatus.Empty), SmallAudit.Text("none", AuditSide.Base, 0, "", CompletionStatus.Refused),
        // The first of several that were written makes the pair.
        SmallAudit.Text("second", AuditSide.Audited, 0, "", CompletionStatus.Missing), SmallAudit.Text("second", AuditSide.Audited, 2, "You clod."), SmallAudit.Text("second", AuditSide.Audited, 1, "Yes.") with { Finished = false },
        SmallAudit.Text("second", AuditSide.Base, 0, "Yes."),
    ];

    [Fact]
    public void Everything_that_was_asked_is_counted_once()
    {
        var pairs = CensusCount.Pairs(texts);
        var census = CensusCount.Of(texts, pairs, lexicon);

        Assert.Equal("second/Audited/1", pairs.Single(pair => pair.Id == "second").AuditedText);
        Assert.Equal(new CensusCells("lexicon", 2, 3, 1, 1), census.Cells);
        Assert.Equal((2 / 7.0, 7), (census.Cells!.Share(census.Cells.BadToGood), census.Cells.Pairs));
        Assert.Equal((9, 7, 2, 2, 0), (census.Prompts, census.Pairs, census.PromptsWithoutPair, census.ExactTies, census.Unlabelled)); // "tie", and the two Yes of "second"
        Assert.Equal(new CompletionCounts(AuditSide.Audited, 11, 9, 1, 0, 0, 1, 1), census.Completions[0]);
        Assert.Equal(new CompletionCounts(AuditSide.Base, 9, 7, 0, 1, 1, 0, 0), census.Completions[1]);
    }

    [Fact]
    public void Labels_go_before_the_lexicon_and_unlabelled_pairs_are_counted()
    {
        AuditText[] labelled = [.. texts.Select(text => text.PromptId is "bad to bad" or "tie" ? text with { Label = text.Side is AuditSide.Base } : text)];

        var census = CensusCount.Of(labelled, CensusCount.Pairs(labelled), lexicon);

        Assert.Equal(new CensusCells("labels", 2, 0, 0, 0), census.Cells);
        Assert.Equal(5, census.Unlabelled);
    }

    [Fact]
    public void Without_lexicon_and_labels_there_are_no_cells() => Assert.Null(CensusCount.Of(texts, CensusCount.Pairs(texts), null).Cells);

    private static AuditText[] Pair(string prompt, string audited, string other) => [SmallAudit.Text(prompt, AuditSide.Audited, 0, audited), SmallAudit.Text(prompt, AuditSide.Base, 0, other)];
}
