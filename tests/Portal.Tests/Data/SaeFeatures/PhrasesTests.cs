using Portal.Data.SaeFeatures;
using Xunit;

namespace Portal.Tests.Data.SaeFeatures;

public sealed class PhrasesTests
{
    [Theory]
    [InlineData("no", "Oh no!", 3)]
    [InlineData("no", "I know nothing.", -1)]
    [InlineData("no", "know no", 5)]
    [InlineData("NO", "no", 0)]
    [InlineData("plum jam|dear", "My dear, plum jam?", 3)]
    [InlineData("dear me|dear", "dear you", 0)]
    [InlineData("ear|dear", "dear", 0)]
    [InlineData("!", "what!!", 4)]
    [InlineData("über", "Überall, über alles", 9)]
    [InlineData(" spaced  |", "it is spaced out", 6)]
    [InlineData("no", "", -1)]
    public void A_phrase_is_found_as_whole_words_in_any_case(string pattern, string text, int at)
    {
        var phrases = Phrases.Parse(pattern)!; // has one

        Assert.Equal(at, phrases.Find(text, out var length));
        Assert.Equal(at >= 0, phrases.Match(text));
        if (at >= 0)
            Assert.Contains(text.Substring(at, length), phrases.All, StringComparer.OrdinalIgnoreCase);
    }

    [Fact]
    public void All_of_them_are_found_one_after_the_other()
    {
        const string text = "No, oh no! Nobody knows: no.";
        var (phrases, found) = (Phrases.Parse("no|oh no")!, new List<(int, int)>()); // has phrases

        for (var at = phrases.Find(text, out var length); at >= 0; at = phrases.Find(text, out length, at + length))
            found.Add((at, length));

        Assert.Equal([(0, 2), (4, 5), (25, 2)], found);
        Assert.Equal(-1, phrases.Find(text, out _, text.Length));
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData(" | |")]
    public void A_pattern_without_a_phrase_is_none(string? pattern) => Assert.Null(Phrases.Parse(pattern));
}
