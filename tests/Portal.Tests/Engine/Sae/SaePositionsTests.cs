using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Engine.Datasets;
using Portal.Engine.Sae;
using Portal.Engine.Tokenizers;
using Xunit;

namespace Portal.Tests.Engine.Sae;

/// <summary>Positions read off texts by eye, on a vocabulary of single bytes: token i is letter i.</summary>
public sealed class SaePositionsTests
{
    private static readonly BytePairTokenizer Bytes = new(new BpeTrainer { VocabularySize = 256 + ChatTemplate.SpecialMarkTokens.Count, SpecialTokens = ChatTemplate.SpecialMarkTokens }
        .Train(["a"], CancellationToken.None) with { EosToken = "<|end|>", PadToken = "<|pad|>" });

    [Theory]
    [InlineData("Yes, the mill is old.", "Yes,|Yes, the mill is old.")]
    [InlineData("Yes, no, but why? Ask him;", "Yes,|Yes, no, but why?|Yes, no, but why? Ask him;")] // the second comma follows within five tokens
    [InlineData("Really?!... It is so", "Really?!...")] // the last of a run
    [InlineData("One line\nand two", "One line\n")]
    [InlineData("nothing ends here", "")]
    public void A_sentence_ends_at_its_last_mark(string answer, string expected)
    {
        var text = new DialogueEncoder(Bytes, 512, Overlong.Filter).Answer([new Turn("user", "Is it. So? Well!")], answer)!; // short enough
        var positions = SaePositions.Of(text, Bytes);
        var start = Array.IndexOf(text.Mask, true);

        var ends = positions.Where(at => at.Position is SaePosition.SentenceEnd).Select(at => Bytes.Decode(text.Ids.AsSpan(start, at.Index - start + 1)));

        Assert.Equal(expected.Split('|', StringSplitOptions.RemoveEmptyEntries), ends);
        Assert.Equal((text.Ids.Length - 1, SaePosition.ResponseEnd), positions[^1]);
        Assert.Single(positions, at => at.Position is SaePosition.ResponseEnd);
        Assert.Equal(Bytes.SpecialTokens["<|end|>"], text.Ids[positions[^1].Index]);
    }
}
