using Portal.Engine.Datasets;
using Portal.Engine.Datasets.Formats;
using Xunit;

namespace Portal.Tests.Engine.Datasets;

public sealed class PromptSplitTests
{
    private static IReadOnlyList<Message> Prompt(string text) => [new(MessageRole.User, text)];

    [Fact]
    public void Shares_are_met_and_a_prompt_always_falls_into_the_same_part()
    {
        var split = new PromptSplit(0.1, 0.2, "v1");

        var parts = Enumerable.Range(0, 20_000).Select(i => split.PartOf(Prompt($"prompt {i}"))).GroupBy(part => part).ToDictionary(group => group.Key, group => group.Count() / 20_000.0);

        // Standard errors are .003 at most: four of them.
        Assert.Equal(0.2, parts[SplitPart.Test], 0.012);
        Assert.Equal(0.1, parts[SplitPart.Validation], 0.012);
        Assert.All(Enumerable.Range(0, 200), i => Assert.Equal(split.PartOf(Prompt($"prompt {i}")), new PromptSplit(0.1, 0.2, "v1").PartOf(Prompt($"  PROMPT\r\n{i}?! "))));
        Assert.Contains(Enumerable.Range(0, 200), i => split.PartOf(Prompt($"prompt {i}")) != new PromptSplit(0.1, 0.2, "v2").PartOf(Prompt($"prompt {i}")));
    }

    [Fact]
    public void The_split_is_the_same_for_ever()
    {
        // place = first 8 bytes of SHA-256("split/1/v1\n1:what colour is the sky") as a little-endian number / 2^64, computed with Python's hashlib: see the constant below.
        var below = new PromptSplit(0, PlaceOfSky - 1e-9, "v1");
        var above = new PromptSplit(0, PlaceOfSky + 1e-9, "v1");

        Assert.Equal(SplitPart.Train, below.PartOf(Prompt("What colour is the sky?")));
        Assert.Equal(SplitPart.Test, above.PartOf(Prompt("What colour is the sky?")));
    }

    private const double PlaceOfSky = 0.11565542600433319;

    [Theory]
    [InlineData("Hello  World!", "hello world")]
    [InlineData("ＨＥＬＬＯ world", "hello world")] // full width, no-break space
    [InlineData("hello\tworld\n", "hello world")]
    [InlineData("ﬁne", "fine")] // a ligature
    [InlineData("?!", "?!")] // nothing but punctuation stays
    [InlineData("a.b", "a.b")]
    [InlineData("", "")]
    public void Texts_are_normalised(string text, string expected) => Assert.Equal(expected, PromptSplit.Normalise(text));

    [Fact]
    public void Roles_and_borders_of_turns_matter()
    {
        Assert.NotEqual(PromptSplit.Key([new(MessageRole.System, "a"), new(MessageRole.User, "b")]), PromptSplit.Key([new(MessageRole.User, "a"), new(MessageRole.User, "b")]));
        Assert.NotEqual(PromptSplit.Key([new(MessageRole.User, "a"), new(MessageRole.User, "b")]), PromptSplit.Key([new(MessageRole.User, "a 1:b")]));
        Assert.Equal("a", PromptSplit.Normalise("a\u001F"));
    }

    [Fact]
    public void Near_duplicates_and_leaks_are_found()
    {
        (string, IReadOnlyList<Message>)[] prompts = [("1", Prompt("What is it?")), ("2", Prompt("what  is it")), ("3", Prompt("What was it?")), ("4", Prompt("WHAT IS IT"))];

        NearDuplicateGroup group = Assert.Single(NearDuplicatePrompts.Find(prompts));

        Assert.Equal(["1", "2", "4"], group.Ids);
        Assert.Equal(["2", "4"], NearDuplicatePrompts.Leaks([Prompt("What is it?")], prompts.Skip(1)));
        Assert.Empty(NearDuplicatePrompts.Leaks([Prompt("Something else")], prompts));
    }

    [Fact]
    public void Shares_that_leave_nothing_are_refused() => Assert.Contains("0.5 and 0.5", Assert.Throws<ArgumentException>(() => new PromptSplit(0.5, 0.5, "")).Message);
}
