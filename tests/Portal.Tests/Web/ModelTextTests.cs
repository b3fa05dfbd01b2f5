using System.Net;
using System.Text.RegularExpressions;
using Portal.Web.Components;
using Xunit;

namespace Portal.Tests.Web;

/// <summary>
/// The checker accepts only what it was told of: every "&lt;" must begin a listed tag with listed attributes and values.
/// It knows nothing of how ModelText works; its own negative controls stand at the foot.
/// </summary>
public sealed partial class ModelTextTests
{
    /// <summary>What could carry a text somewhere else than a paragraph.</summary>
    private static readonly string[] Carriers =
        ["{0}", "**{0}**", "> {0}", "1. {0}", "# {0}", "[{0}](https://x.example)", "[x]({0})", "![{0}]({0})", "| a |\n| --- |\n| {0} |", "~~{0}~~ `{0}`"];

    private static IEnumerable<string> Hostile() =>
        from text in HostileTexts.All from carrier in Carriers select carrier.Replace("{0}", text, StringComparison.Ordinal);

    [Fact]
    public void Hostile_text_never_becomes_active_content()
    {
        var bad = new List<string>();
        foreach (var text in Hostile())
        {
            foreach (var raw in new[] { false, true })
            {
                var html = Rendering.Html<ModelText>(("Text", text), ("Raw", raw));
                if (FirstProblem(html) is { } problem)
                {
                    bad.Add($"{(raw ? "raw" : "laid out")} {text} -> {problem}");
                }
            }
        }

        Assert.True(bad.Count == 0, $"{bad.Count} of {Hostile().Count()} texts: {string.Join("\n", bad.Take(5))}");
    }

    [Fact]
    public void Raw_text_is_shown_character_by_character()
    {
        foreach (var text in HostileTexts.All)
        {
            var html = Rendering.Html<ModelText>(("Text", text), ("Raw", true));

            var shown = WebUtility.HtmlDecode(Div().Match(html).Groups[1].Value);
            Assert.Equal(MarkdownAllowList.Readable(text), shown);
        }
    }

    [Fact]
    public void Nothing_that_was_written_is_dropped()
    {
        // Every word of these texts is shown, or said by a link's title.
        foreach (var text in HostileTexts.All.Where(static text => !text.StartsWith("- [x]", StringComparison.Ordinal)))
        {
            var html = Rendering.Html<ModelText>(("Text", text));

            var shown = WebUtility.HtmlDecode(Regex.Replace(html, "<[^>]*>", " ") + string.Concat(Titles().Matches(html).Select(static title => " " + title.Groups[1].Value)));
            foreach (Match word in Word().Matches(WebUtility.HtmlDecode(text.Replace("&colon;", ":", StringComparison.Ordinal))))
            {
                Assert.True(shown.Contains(word.Value, StringComparison.Ordinal), $"'{word.Value}' of '{text}' is not in '{html}'");
            }
        }
    }

    // Expected by hand from the CommonMark 0.31 and GFM specifications; attributes left out by Bare. Departures, as documented:
    // soft breaks stay line breaks (same characters), HTML is text, headings are divs, images are placeholders.
    [Theory]
    [InlineData("a\nb", "<p>a\nb</p>")]
    [InlineData("a  \nb", "<p>a<br>b</p>")]
    [InlineData("a\\\nb", "<p>a<br>b</p>")]
    [InlineData("a\n\nb", "<p>a</p><p>b</p>")]
    [InlineData("*a* _b_ **c** __d__ ***e***", "<p><em>a</em> <em>b</em> <strong>c</strong> <strong>d</strong> <em><strong>e</strong></em></p>")]
    [InlineData("snake_case_word 2*3*4", "<p>snake_case_word 2<em>3</em>4</p>")]
    [InlineData("~~a~~", "<p><s>a</s></p>")]
    [InlineData("`a``b` ``c`d``", "<p><code>a``b</code> <code>c`d</code></p>")]
    [InlineData("# a\n## b ##", "<div>a</div><div>b</div>")]
    [InlineData("a\n===", "<div>a</div>")]
    [InlineData("- a\n- b", "<ul><li>a</li><li>b</li></ul>")]
    [InlineData("- a\n\n- b", "<ul><li><p>a</p></li><li><p>b</p></li></ul>")]
    [InlineData("- a\n  - b", "<ul><li>a<ul><li>b</li></ul></li></ul>")]
    [InlineData("3. a\n4. b", "<ol><li>a</li><li>b</li></ol>")]
    [InlineData("> a\nb\n>\n> c", "<blockquote><p>a\nb</p><p>c</p></blockquote>")]
    [InlineData("```\na <b>\n  c\n```", "<pre><code>a <b>\n  c</code></pre>")]
    [InlineData("```python x\na\n```", "<div>python x</div><pre><code>a</code></pre>")]
    [InlineData("    code\n\n    more", "<pre><code>code\n\nmore</code></pre>")]
    [InlineData("***\n---\n___", "<hr><hr><hr>")]
    [InlineData("\\*a\\* &amp; &copy; &#35; &nosuch;", "<p>*a* & © # &nosuch;</p>")]
    [InlineData("[a](https://x.example/)", "<p><a>a</a></p>")]
    [InlineData("<https://x.example/>", "<p><a>https://x.example/</a></p>")]
    [InlineData("see https://x.example/a_b.", "<p>see <a>https://x.example/a_b</a>.</p>")]
    [InlineData("<me@x.example>", "<p><a>me@x.example</a></p>")]
    [InlineData("| a | b |\n| :- | -: |\n| 1 | 2 |", "<div><table><thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr><td>1</td><td>2</td></tr></tbody></table></div>")]
    [InlineData("a | b", "<p>a | b</p>")]
    [InlineData("- [x] a\n- [ ] b", "<ul><li>☑ a</li><li>☐ b</li></ul>")]
    [InlineData("<b>a</b>", "<p><b>a</b></p>")]
    [InlineData("<div>\n\n*a*\n\n</div>", "<p><div></p><p><em>a</em></p><p></div></p>")]
    public void Lays_out_CommonMark(string text, string expected)
    {
        var html = Rendering.Html<ModelText>(("Text", text));

        Assert.Equal(expected, Bare(Div().Match(html).Groups[1].Value));
    }

    [Theory]
    [InlineData("https://x.example/a?b=c#d", "https://x.example/a?b=c#d")]
    [InlineData("HTTP://X.example", "http://x.example/")]
    [InlineData("mailto:me@x.example", "mailto:me@x.example")]
    [InlineData("javascript:alert(1)", null)]
    [InlineData("data:text/html,x", null)]
    [InlineData("https:x.example", null)]
    [InlineData("https://", null)]
    [InlineData("//x.example", null)]
    [InlineData("/admin", null)]
    [InlineData("https://good.example@bad.example", null)]
    [InlineData("https://x.example/\nfoo", null)]
    [InlineData(" https://x.example", null)]
    public void Links_lead_only_to_whole_web_and_mail_addresses(string address, string? expected) =>
        Assert.Equal(expected, MarkdownAllowList.AllowedAddress(address));

    [Fact]
    public void Images_are_named_and_not_loaded()
    {
        var html = Rendering.Html<ModelText>(("Text", "![a cat](https://elsewhere.example/p.png)"));

        Assert.DoesNotContain("<img", html, StringComparison.OrdinalIgnoreCase);
        Assert.Contains("a cat (https://elsewhere.example/p.png)", Rendering.Words(html), StringComparison.Ordinal);
    }

    [Fact]
    public void Text_that_is_too_deep_or_too_long_is_shown_as_plain_text()
    {
        foreach (var text in new[]
        {
            string.Concat(Enumerable.Repeat("> ", 20_000)) + "x", string.Concat(Enumerable.Repeat("> ", 60)) + "x", new string('[', 20_000),
            string.Concat(Enumerable.Repeat("*a ", 16_000)), string.Concat(Enumerable.Repeat("[a](", 12_000)), string.Concat(Enumerable.Repeat("[a](", MarkdownAllowList.BracketsMax)), new string('a', MarkdownAllowList.CharactersMax + 1),
        })
        {
            var watch = System.Diagnostics.Stopwatch.StartNew();
            var html = Rendering.Html<ModelText>(("Text", text));

            Assert.Null(FirstProblem(html));
            Assert.True(html.Length >= text.Length, "something was cut");
            Assert.True(watch.Elapsed < TimeSpan.FromSeconds(8), $"{text[..8]}… took {watch.Elapsed}"); // 0.1 s alone; the machine may be shared
        }
    }

    [Fact]
    public void Control_characters_and_halves_of_characters_are_made_visible() =>
        Assert.Equal("a\u2400b\u241bc\ufffdd\n\te\u2421", MarkdownAllowList.Readable("a\0b\u001bc\ud800d\n\te\u007f"));

    // Negative controls: if the checker let one of these pass, the first test would prove nothing.
    [Theory]
    [InlineData("<script>alert(1)</script>")]
    [InlineData("<p onclick=\"x\">a</p>")]
    [InlineData("<p class=\"text\" style=\"color:red\">a</p>")]
    [InlineData("<a href=\"javascript:alert(1)\" title=\"x\" rel=\"noopener noreferrer nofollow\" target=\"_blank\">a</a>")]
    [InlineData("<a href=\"https://x.example\">a</a>")]
    [InlineData("<img src=\"https://x.example/p.png\">")]
    [InlineData("<p>a < b</p>")]
    [InlineData("<p class=\"text\">a")]
    public void The_checker_refuses_active_content(string html) => Assert.NotNull(FirstProblem(html));

    /// <summary>Null if the HTML holds only listed tags, attributes and values, and every element is closed.</summary>
    private static string? FirstProblem(string html)
    {
        var open = new Stack<string>();
        for (var at = html.IndexOf('<', StringComparison.Ordinal); at >= 0; at = html.IndexOf('<', at + 1))
        {
            var tag = AllowedTag().Match(html, at);
            if (!tag.Success || tag.Index != at)
            {
                return html.Substring(at, Math.Min(80, html.Length - at));
            }

            var name = tag.Groups["name"].Value;
            if (tag.Groups["close"].Success)
            {
                if (!open.TryPop(out var last) || last != name)
                {
                    return $"</{name}> closes nothing";
                }
            }
            else if (name is not ("br" or "hr"))
            {
                open.Push(name);
            }

            if (name == "a" && !tag.Groups["close"].Success && !SafeLink().IsMatch(tag.Value))
            {
                return tag.Value;
            }
        }

        return open.Count == 0 ? null : $"<{open.Peek()}> is not closed";
    }

    private static string Bare(string html) => WebUtility.HtmlDecode(Attributes().Replace(html, "<$1>")).Replace(" />", ">", StringComparison.Ordinal);

    [GeneratedRegex("""\G<(?<close>/)?(?<name>p|div|ul|ol|li|blockquote|pre|code|hr|br|table|thead|tbody|tr|th|td|strong|em|s|a|span)(?: (?:class="(?:text|text raw|text muted|small muted|h|scroll|num|mid|not-loaded|lang)"|dir="auto"|role="heading"|aria-level="[3-6]"|tabindex="0"|start="[0-9]{1,9}"|href="[^"<>]*"|title="[^"<>]*"|rel="noopener noreferrer nofollow"|target="_blank"))*(?: /)?>""")]
    private static partial Regex AllowedTag();

    [GeneratedRegex("""^<a href="(?:https?://[^"<>\s]+|mailto:[^"<>\s]+)" title="[^"<>]*" rel="noopener noreferrer nofollow" target="_blank">$""")]
    private static partial Regex SafeLink();

    [GeneratedRegex("""^<div[^>]*>(.*)</div>\s*$""", RegexOptions.Singleline)]
    private static partial Regex Div();

    [GeneratedRegex("""<([a-z0-9]+) [^>]*?(?:/)?>""")]
    private static partial Regex Attributes();

    [GeneratedRegex("title=\"([^\"]*)\"")]
    private static partial Regex Titles();

    [GeneratedRegex("[A-Za-z0-9]{3,}")]
    private static partial Regex Word();
}
