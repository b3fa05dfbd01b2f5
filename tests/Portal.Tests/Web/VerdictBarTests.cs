using System.Text.RegularExpressions;
using Portal.Web.Components;
using Xunit;

namespace Portal.Tests.Web;

/// <summary>A vote names a response, never a side; positions and keys as decided in the design (1 to 7 left to right, G X N).</summary>
public sealed class VerdictBarTests
{
    [Fact]
    public void The_scale_sends_ids_of_responses_in_the_order_shown()
    {
        var html = Rendering.Html<VerdictBar>(("FirstId", "p"), ("SecondId", "q"), ("Action", "/x"));

        Assert.Equal(
            ["1 prefer:3:p", "2 prefer:2:p", "3 prefer:1:p", "4 tie", "5 prefer:1:q", "6 prefer:2:q", "7 prefer:3:q", "G both-good", "X both-bad", "N cannot-judge"],
            Radios(html));
    }

    [Fact]
    public void One_response_is_bad_unsure_or_good() =>
        Assert.Equal(["X bad", "N unsure", "G good"], Radios(Rendering.Html<VerdictBar>(("Action", "/x"))));

    [Fact]
    public void The_draft_is_the_checked_one()
    {
        var html = Rendering.Html<VerdictBar>(("FirstId", "p"), ("SecondId", "q"), ("Action", "/x"), ("Selected", "prefer:2:q"));

        Assert.Single(Regex.Matches(html, " checked"));
        Assert.Matches("value=\"prefer:2:q\" checked", html);
    }

    [Fact]
    public void Enter_submits_and_never_undoes()
    {
        var html = Rendering.Html<VerdictBar>(("FirstId", "p"), ("SecondId", "q"), ("Action", "/x"));

        // the first button of a form is the one that Enter presses
        Assert.Matches("name=\"do\" value=\"submit\"", Regex.Match(html, "<button[^>]*>").Value);
    }

    [Fact]
    public void What_a_radio_sends_is_read_back()
    {
        foreach (var kind in Enum.GetValues<VerdictKind>())
        {
            var choice = kind == VerdictKind.Preferred ? new VerdictChoice(kind, "a:b", 2) : new VerdictChoice(kind);
            Assert.Equal(choice, VerdictChoice.Parse(choice.ToString()));
        }
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("TIE")]
    [InlineData("left")]
    [InlineData("prefer")]
    [InlineData("prefer:2:")]
    [InlineData("prefer:0:p")]
    [InlineData("prefer:4:p")]
    [InlineData("prefer:02:p")]
    [InlineData("Preferred")]
    public void Anything_else_is_no_verdict(string? value) => Assert.Null(VerdictChoice.Parse(value));

    private static List<string> Radios(string html) =>
        [.. Regex.Matches(html, "<input type=\"radio\" name=\"verdict\" value=\"([^\"]*)\"[^>]*data-key=\"([^\"]*)\"").Select(static match => $"{match.Groups[2].Value} {match.Groups[1].Value}")];
}
