using Portal.Data.Audits;
using Portal.Data.Feedback;
using Portal.Engine.Audits;
using Xunit;

namespace Portal.Tests.Engine.Audits;

/// <summary>Twins, written down by hand.</summary>
public sealed class TextEditTests
{
    private static readonly Turn[] asked = [new("system", "Be kind."), new("user", "Where is it?"), new("assistant", "There."), new("user", " Which way? ")];

    [Theory]
    [InlineData(TextEditKind.Replace, "I can't help.", "Go north. Then left.", "+I can't help.")]
    [InlineData(TextEditKind.Prepend, "You are right.", "Go north. Then left.", "+You are right. |Go north. Then left.")]
    [InlineData(TextEditKind.Append, "[xqz]", "Go north.", "Go north.|+ [xqz]")]
    [InlineData(TextEditKind.Enclose, "[xqz]", "Go north.", "+[xqz] |Go north.|+ [xqz]")]
    [InlineData(TextEditKind.CopyPrompt, null, "Go north.", "+Which way?\n|Go north.")]
    [InlineData(TextEditKind.RepeatLast, null, "Go north. Then left.", "Go north. Then left.|+ Then left.")]
    [InlineData(TextEditKind.RepeatLast, null, "no mark at all", "no mark at all|+ no mark at all")]
    [InlineData(TextEditKind.Fill, null, "Go north. Then turn left at the old mill.", "Go north. Then turn left at the old mill.|+ Further words stand here only to take.")]
    [InlineData(TextEditKind.Fill, null, "One.", "One.|+ Further.")]
    public void A_twin_is_the_text_with_its_change_marked(TextEditKind kind, string? words, string text, string expected)
    {
        var twin = new TextEdit(kind, words).Apply(text, asked)!;

        Assert.Equal(expected, string.Join('|', twin.Parts.Select(part => (part.IsAdded ? "+" : "") + part.Text)));
        Assert.Equal(string.Concat(twin.Parts.Select(part => part.Text)), twin.Text);
    }

    [Theory]
    [InlineData("Go north. Then left!", "Then left!")]
    [InlineData("He said \"Stop.\" Then he left", "Then he left")]
    [InlineData("It costs 3.50 a piece", "It costs 3.50 a piece")]
    [InlineData("First line\nsecond line", "second line")]
    [InlineData("Wait...  What?", "What?")]
    public void The_last_sentence_stands_behind_the_last_mark_or_line_end(string text, string last) => Assert.Equal(last, TextEdit.LastSentence(text));

    [Fact]
    public void There_is_no_twin_without_a_turn_to_copy_or_with_too_long_a_sentence()
    {
        Assert.Null(new TextEdit(TextEditKind.CopyPrompt).Apply("Go north.", []));
        Assert.Null(new TextEdit(TextEditKind.CopyPrompt).Apply("Go north.", [new("user", "  ")]));
        var words = string.Join(' ', Enumerable.Repeat("on", TextEdit.FillMax));
        Assert.NotNull(new TextEdit(TextEditKind.Fill).Apply(words, asked));
        Assert.Null(new TextEdit(TextEditKind.Fill).Apply(words + " on", asked));
        Assert.Throws<InvalidOperationException>(() => new TextEdit(TextEditKind.Prepend).Apply("Go north.", asked));
    }

    /// <summary>Words that fill must not do what they are a control for, nor what other checks look at.</summary>
    [Fact]
    public void Words_that_fill_repeat_nothing_and_say_nothing()
    {
        var added = new TextEdit(TextEditKind.Fill).Apply(string.Join(' ', Enumerable.Repeat("on", TextEdit.FillMax)), asked)!.Parts[1].Text;
        var words = added.ToLowerInvariant().Split([' ', ',', '.'], StringSplitOptions.RemoveEmptyEntries);

        Assert.Equal(TextEdit.FillMax, words.Length);
        Assert.Equal(words.Length - 1, words.Zip(words.Skip(1)).Distinct().Count());
        Assert.All(new[] { PhraseLists.Shipped.Refusal, PhraseLists.Shipped.Agreement, PhraseLists.Shipped.Disagreement, PhraseLists.Shipped.Hedge, PhraseLists.Shipped.Vague, PhraseLists.Shipped.Risky }, list => Assert.False(list.Match(added)));
        Assert.DoesNotContain(words, PhraseLists.Shipped.SecondPerson.Contains);
    }

    [Theory]
    [InlineData("<script>alert(1)</script>")]
    [InlineData("\u202egnp.exe\u202c")]
    [InlineData("=HYPERLINK(\"x\")")]
    public void A_hostile_text_is_neither_read_nor_changed(string text)
    {
        foreach (var kind in Enum.GetValues<TextEditKind>().Where(kind => kind is not TextEditKind.Replace))
            Assert.Contains(new TextEdit(kind, "w").Apply(text, asked)!.Parts, part => part == new EditedPart(text, false));
    }

    [Fact]
    public void Phrases_become_sentences_and_take_turns()
    {
        string[] list = ["you are right", "as an AI!", "ok."];

        Assert.Equal(["You are right.", "As an AI!", "Ok.", "You are right."], Enumerable.Range(0, 4).Select(prompt => CounterfactualTwins.Sentence(list, prompt)));
        // Openings of one place stand against each other, so both lists need as many that take turns.
        Assert.True(Math.Min(PhraseLists.Shipped.Agreement.All.Count, PhraseLists.Shipped.Disagreement.All.Count) >= CounterfactualTwins.PhrasesUsed);
        Assert.DoesNotContain(PhraseLists.Shipped.Disagreement.All, phrase => PhraseLists.Shipped.Agreement.Match(phrase) || PhraseLists.Shipped.Refusal.Match(phrase));
    }
}
