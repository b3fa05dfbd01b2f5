using System.Globalization;
using System.Text;
using Markdig;
using Markdig.Extensions.Tables;
using Markdig.Extensions.TaskLists;
using Markdig.Syntax;
using Markdig.Syntax.Inlines;
using Microsoft.AspNetCore.Components.Rendering;

namespace Portal.Web.Components;

/// <summary>
/// Draws hostile Markdown (CommonMark, plus GitHub's tables, strike-through, task lists and bare links) without ever
/// building a string of HTML.
/// </summary>
/// <remarks>
/// The text is parsed to a tree with HTML switched off, and the tree is walked into Blazor's render tree: element and
/// attribute names are constants of this file, texts go in as text, so nothing in the input can become markup. What is
/// not on the list is shown as the characters it was written with; nothing is dropped, because people judge what the
/// model wrote. Only three attributes hold data: <c>href</c> (absolute http, https or mailto, no user name in it),
/// <c>title</c> (the same address and the link's own title, words only) and <c>start</c> (a number). Images are never loaded: a remote picture would tell its
/// server who reads, and when.
/// Departures from CommonMark: a single line break is kept as one, raw HTML is text, headings start at level 3 (the
/// page owns 1 and 2), link definitions stay visible.
/// </remarks>
public static class MarkdownAllowList
{
    /// <summary>Longer texts are shown as plain text.</summary>
    public const int CharactersMax = 50_000;

    /// <summary>Texts with more "[" are shown as plain text: the parser's time grows with their square (2.5 s for 20,000, so 0.1 s for these).</summary>
    public const int BracketsMax = 4_000;

    /// <summary>Deeper trees are shown as plain text: nobody reads them, and a walk must not exhaust the stack.</summary>
    public const int DepthMax = 48;

    private static readonly MarkdownPipeline Pipeline = new MarkdownPipelineBuilder()
        .DisableHtml()
        .UsePipeTables()
        .UseEmphasisExtras(Markdig.Extensions.EmphasisExtras.EmphasisExtraOptions.Strikethrough)
        .UseAutoLinks()
        .UseTaskLists()
        .Build();

    /// <summary>The tree of <paramref name="text"/>, or null where it is too long or too deep to draw and must be shown as plain text.</summary>
    public static MarkdownDocument? Parse(string text)
    {
        if (text.Length > CharactersMax || text.AsSpan().Count('[') > BracketsMax)
        {
            return null;
        }

        try
        {
            var document = Markdown.Parse(text, Pipeline);
            return IsTooDeep(document) ? null : document;
        }
        catch (ArgumentException)
        {
            // Markdig's own depth limit; its message is all there is to tell it by.
            return null;
        }
    }

    /// <summary>Draws a tree made by <see cref="Parse"/> from the same <paramref name="text"/>.</summary>
    public static void Draw(RenderTreeBuilder builder, MarkdownDocument document, string text)
    {
        var walk = new Walk(builder, text);
        walk.Blocks(document, isTight: false);
    }

    /// <summary>
    /// The address a link may lead to, or null. The raw text must already begin with an allowed scheme, so that control
    /// characters, spaces and entities in front of it never reach the browser's more forgiving reading.
    /// </summary>
    public static string? AllowedAddress(string? address)
    {
        if (address is null || address.Any(static c => char.IsControl(c) || char.IsWhiteSpace(c) || c is '\\'))
        {
            return null;
        }

        if (address.StartsWith("mailto:", StringComparison.OrdinalIgnoreCase))
        {
            return Uri.TryCreate(address, UriKind.Absolute, out var mail) && mail.Scheme == Uri.UriSchemeMailto ? mail.AbsoluteUri : null;
        }

        var isWeb = address.StartsWith("http://", StringComparison.OrdinalIgnoreCase) || address.StartsWith("https://", StringComparison.OrdinalIgnoreCase);
        return isWeb
            && Uri.TryCreate(address, UriKind.Absolute, out var web)
            && (web.Scheme == Uri.UriSchemeHttp || web.Scheme == Uri.UriSchemeHttps)
            && web.Host.Length > 0
            && web.UserInfo.Length == 0 // "https://bank.example@elsewhere" reads like another site
            ? web.AbsoluteUri
            : null;
    }

    /// <summary>The same text, fit to be shown: NUL and other invisible controls become their visible pictures, halves of a character U+FFFD.</summary>
    public static string Readable(string text)
    {
        var isClean = true;
        foreach (var c in text)
        {
            if (char.IsSurrogate(c) || (char.IsControl(c) && c is not ('\t' or '\n' or '\r')))
            {
                isClean = false;
                break;
            }
        }

        if (isClean)
        {
            return text;
        }

        var readable = new StringBuilder(text.Length);
        foreach (var rune in text.EnumerateRunes()) // a lone half of a pair comes out as U+FFFD
        {
            readable.Append(rune.Value switch
            {
                '\t' or '\n' or '\r' => rune,
                < 0x20 => new Rune(0x2400 + rune.Value),
                0x7f => new Rune(0x2421),
                >= 0x80 and < 0xa0 => Rune.ReplacementChar,
                _ => rune,
            });
        }

        return readable.ToString();
    }

    private static bool IsTooDeep(MarkdownDocument document)
    {
        var open = new Stack<(MarkdownObject Node, int Depth)>();
        open.Push((document, 0));
        while (open.TryPop(out var next))
        {
            if (next.Depth > DepthMax)
            {
                return true;
            }

            IEnumerable<MarkdownObject> children = next.Node switch
            {
                ContainerBlock blocks => blocks,
                LeafBlock { Inline: { } inline } => [inline],
                ContainerInline inlines => inlines,
                _ => [],
            };
            foreach (var child in children)
            {
                open.Push((child, next.Depth + 1));
            }
        }

        return false;
    }

    /// <summary>One drawing. Each child has a region of its own, so that sequence numbers are constants, as in compiled Razor.</summary>
    private sealed class Walk(RenderTreeBuilder builder, string text)
    {
        public void Blocks(ContainerBlock parent, bool isTight)
        {
            for (var index = 0; index < parent.Count; index++)
            {
                builder.OpenRegion(0);
                Draw(parent[index], isTight);
                builder.CloseRegion();
            }
        }

        private void Draw(Block block, bool isTight)
        {
            switch (block)
            {
                case ParagraphBlock paragraph when isTight:
                    Inlines(paragraph.Inline);
                    break;
                case HeadingBlock heading:
                    builder.OpenElement(0, "div");
                    builder.AddAttribute(1, "class", "h");
                    builder.AddAttribute(2, "role", "heading");
                    builder.AddAttribute(3, "aria-level", Math.Min(heading.Level + 2, 6).ToString(CultureInfo.InvariantCulture));
                    builder.OpenRegion(4);
                    Inlines(heading.Inline);
                    builder.CloseRegion();
                    builder.CloseElement();
                    break;
                case ThematicBreakBlock:
                    builder.OpenElement(0, "hr");
                    builder.CloseElement();
                    break;
                case QuoteBlock quote:
                    Container("blockquote", quote);
                    break;
                case ListBlock list:
                    List(list);
                    break;
                case CodeBlock code:
                    if (code is FencedCodeBlock { Info: { Length: > 0 } language } fence)
                    {
                        builder.OpenElement(0, "div");
                        builder.AddAttribute(1, "class", "lang");
                        builder.AddContent(2, Readable($"{language} {fence.Arguments}".TrimEnd()));
                        builder.CloseElement();
                    }

                    builder.OpenElement(3, "pre");
                    builder.AddAttribute(4, "tabindex", "0"); // it scrolls sideways: keys must reach it
                    builder.OpenElement(5, "code");
                    builder.AddContent(6, Readable(code.Lines.ToString()));
                    builder.CloseElement();
                    builder.CloseElement();
                    break;
                case Table table:
                    DrawTable(table);
                    break;
                case LinkReferenceDefinitionGroup group:
                    foreach (var definition in group)
                    {
                        Paragraph(() => builder.AddContent(0, Readable(Source(definition))));
                    }

                    break;
                case ContainerBlock container:
                    Blocks(container, isTight: false);
                    break;
                case LeafBlock { Inline: { } inline }:
                    Paragraph(() => Inlines(inline));
                    break;
                case LeafBlock leaf:
                    Paragraph(() => builder.AddContent(0, Readable(leaf.Lines.ToString())));
                    break;
            }
        }

        private void Paragraph(Action content)
        {
            builder.OpenElement(0, "p");
            builder.OpenRegion(1);
            content();
            builder.CloseRegion();
            builder.CloseElement();
        }

        private void Container(string element, ContainerBlock container)
        {
            builder.OpenElement(0, element);
            builder.OpenRegion(1);
            Blocks(container, isTight: false);
            builder.CloseRegion();
            builder.CloseElement();
        }

        private void List(ListBlock list)
        {
            builder.OpenElement(0, list.IsOrdered ? "ol" : "ul");
            if (list.IsOrdered && int.TryParse(list.OrderedStart, NumberStyles.None, CultureInfo.InvariantCulture, out var start) && start != 1)
            {
                builder.AddAttribute(1, "start", start.ToString(CultureInfo.InvariantCulture));
            }

            for (var index = 0; index < list.Count; index++)
            {
                builder.OpenRegion(10);
                builder.OpenElement(0, "li");
                builder.OpenRegion(1);
                if (list[index] is ContainerBlock item)
                {
                    Blocks(item, isTight: !list.IsLoose);
                }

                builder.CloseRegion();
                builder.CloseElement();
                builder.CloseRegion();
            }

            builder.CloseElement();
        }

        private void DrawTable(Table table)
        {
            builder.OpenElement(0, "div");
            builder.AddAttribute(1, "class", "scroll");
            builder.AddAttribute(2, "tabindex", "0");
            builder.OpenElement(3, "table");
            var rows = table.OfType<TableRow>().ToList();
            for (var index = 0; index < rows.Count; index++)
            {
                var row = rows[index];
                builder.OpenRegion(10);
                builder.OpenElement(0, row.IsHeader ? "thead" : "tbody");
                builder.OpenElement(1, "tr");
                for (var column = 0; column < row.Count; column++)
                {
                    if (row[column] is not TableCell cell)
                    {
                        continue;
                    }

                    builder.OpenRegion(11);
                    builder.OpenElement(0, row.IsHeader ? "th" : "td");
                    var align = column < table.ColumnDefinitions.Count ? table.ColumnDefinitions[column].Alignment : null;
                    if (align is TableColumnAlign.Right or TableColumnAlign.Center)
                    {
                        builder.AddAttribute(1, "class", align is TableColumnAlign.Right ? "num" : "mid");
                    }

                    builder.OpenRegion(2);
                    Blocks(cell, isTight: true);
                    builder.CloseRegion();
                    builder.CloseElement();
                    builder.CloseRegion();
                }

                builder.CloseElement();
                builder.CloseElement();
                builder.CloseRegion();
            }

            builder.CloseElement();
            builder.CloseElement();
        }

        private void Inlines(ContainerInline? parent)
        {
            for (var inline = parent?.FirstChild; inline is not null; inline = inline.NextSibling)
            {
                builder.OpenRegion(0);
                Draw(inline);
                builder.CloseRegion();
            }
        }

        private void Draw(Inline inline)
        {
            switch (inline)
            {
                case LiteralInline literal:
                    builder.AddContent(0, Readable(literal.Content.ToString()));
                    break;
                case LineBreakInline { IsHard: true }:
                    builder.OpenElement(0, "br");
                    builder.CloseElement();
                    break;
                case LineBreakInline:
                    builder.AddContent(0, "\n"); // the style sheet keeps line breaks
                    break;
                case CodeInline code:
                    builder.OpenElement(0, "code");
                    builder.AddContent(1, Readable(code.Content));
                    builder.CloseElement();
                    break;
                case HtmlEntityInline entity:
                    builder.AddContent(0, Readable(entity.Transcoded.ToString()));
                    break;
                case EmphasisInline emphasis:
                    builder.OpenElement(0, emphasis switch { { DelimiterChar: '~' } => "s", { DelimiterCount: 2 } => "strong", _ => "em" });
                    builder.OpenRegion(1);
                    Inlines(emphasis);
                    builder.CloseRegion();
                    builder.CloseElement();
                    break;
                case LinkInline { IsImage: true } image:
                    NotLoaded(image);
                    break;
                case LinkInline link:
                    Link(link.Url, link.Title, () => Inlines(link));
                    break;
                case AutolinkInline auto:
                    Link(auto.IsEmail ? "mailto:" + auto.Url : auto.Url, null, () => builder.AddContent(0, Readable(auto.Url)));
                    break;
                case TaskList task:
                    builder.AddContent(0, task.Checked ? "☑" : "☐");
                    break;
                case HtmlInline html:
                    builder.AddContent(0, Readable(html.Tag));
                    break;
                case DelimiterInline delimiter:
                    builder.AddContent(0, Readable(delimiter.ToLiteral()));
                    builder.OpenRegion(1);
                    Inlines(delimiter);
                    builder.CloseRegion();
                    break;
                case ContainerInline container:
                    Inlines(container);
                    break;
                default:
                    builder.AddContent(0, Readable(Source(inline)));
                    break;
            }
        }

        /// <summary>A link that may be followed, or its words with the address beside them as plain characters.</summary>
        private void Link(string? address, string? title, Action words)
        {
            if (AllowedAddress(address) is { } allowed)
            {
                builder.OpenElement(0, "a");
                builder.AddAttribute(1, "href", allowed);
                builder.AddAttribute(2, "title", Readable($"{allowed} {title}".TrimEnd()));
                builder.AddAttribute(3, "rel", "noopener noreferrer nofollow");
                builder.AddAttribute(4, "target", "_blank");
                builder.OpenRegion(5);
                words();
                builder.CloseRegion();
                builder.CloseElement();
                return;
            }

            builder.OpenRegion(10);
            words();
            builder.CloseRegion();
            builder.AddContent(11, " ");
            builder.OpenElement(12, "span");
            builder.AddAttribute(13, "class", "not-loaded");
            builder.AddContent(14, $"({Readable($"{address} {title}".Trim())})");
            builder.CloseElement();
        }

        private void NotLoaded(LinkInline image)
        {
            builder.OpenElement(0, "span");
            builder.AddAttribute(1, "class", "not-loaded");
            builder.AddContent(2, "▨ ");
            builder.OpenRegion(3);
            Inlines(image);
            builder.CloseRegion();
            builder.AddContent(4, $" ({Readable($"{image.Url} {image.Title}".Trim())})");
            builder.CloseElement();
        }

        private string Source(MarkdownObject node) =>
            node.Span is { IsEmpty: false } span && span.Start >= 0 && span.End < text.Length ? text.Substring(span.Start, span.Length) : "";
    }
}
