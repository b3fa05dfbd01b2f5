using Portal.Web.Components;
using Xunit;

namespace Portal.Tests.Web;

/// <summary>Two small cases by hand; random texts against the promise that both originals can be put together again.</summary>
public sealed class WordDifferenceTests
{
    [Fact]
    public void Words_and_signs_are_compared_one_by_one()
    {
        var pieces = WordDifference.Compare("Seven plus five is thirteen, as the old mill says.", "Seven plus five is twelve.");

        Assert.Equal(
            [
                new(DifferenceKind.Same, "Seven plus five is "),
                new(DifferenceKind.OnlyBefore, "thirteen, as the old mill says"),
                new(DifferenceKind.OnlyAfter, "twelve"),
                new(DifferenceKind.Same, "."),
            ],
            pieces);
    }

    [Fact]
    public void Both_texts_can_be_put_together_again()
    {
        var random = new Random(11);
        string[] words = ["a", "bee", " ", "  ", "\n", ".", "東", "京", "\r\n", "é", "😀", "x_y", "-", "\t", "مرحبا", "\0"];
        for (var round = 0; round < 500; round++)
        {
            var before = string.Concat(Enumerable.Range(0, random.Next(0, 60)).Select(_ => words[random.Next(words.Length)]));
            var after = string.Concat(Enumerable.Range(0, random.Next(0, 60)).Select(_ => words[random.Next(words.Length)]));

            var pieces = WordDifference.Compare(before, after);

            Assert.Equal(before, string.Concat(pieces.Where(static piece => piece.Kind != DifferenceKind.OnlyAfter).Select(static piece => piece.Text)));
            Assert.Equal(after, string.Concat(pieces.Where(static piece => piece.Kind != DifferenceKind.OnlyBefore).Select(static piece => piece.Text)));
        }
    }

    [Fact]
    public void Long_texts_are_compared_line_by_line_in_reasonable_time()
    {
        var before = string.Join('\n', Enumerable.Range(0, 5_000).Select(static line => $"line {line} of the first"));
        var after = string.Join('\n', Enumerable.Range(0, 5_000).Select(static line => $"line {line} of the {(line % 50 == 0 ? "second" : "first")}"));
        var watch = System.Diagnostics.Stopwatch.StartNew();

        var pieces = WordDifference.Compare(before, after);

        Assert.Equal(100, pieces.Count(static piece => piece.Kind == DifferenceKind.OnlyAfter));
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(5), watch.Elapsed.ToString());
    }

    [Fact]
    public void Differences_are_said_and_not_only_coloured()
    {
        var html = Rendering.Html<WordDiff>(("Before", "<b>one</b>"), ("After", "<b>two</b>"));

        Assert.Contains("<del><span class=\"vh\">removed: </span>one</del>", html, StringComparison.Ordinal);
        Assert.Contains("<ins><span class=\"vh\">added: </span>two</ins>", html, StringComparison.Ordinal);
        Assert.DoesNotContain("<b>", html, StringComparison.Ordinal);
    }
}
