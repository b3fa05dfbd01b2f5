using System.Reflection;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using Portal.Web.Components;
using Portal.Web.Docs;
using Xunit;

namespace Portal.Tests.Web.Docs;

/// <summary>The documents of docs/: what they name exists, and the pages that show them read nothing else.</summary>
public sealed partial class DocsTests : IDisposable
{
    private static readonly string Folder = Path.Combine(Repository.Root, "docs");
    private readonly DirectoryInfo scratch = Directory.CreateTempSubdirectory("portal-docs-");

    public void Dispose() => scratch.Delete(recursive: true);

    [Fact]
    public async Task Only_documents_on_the_list_are_read()
    {
        File.WriteAllText(Path.Combine(scratch.FullName, "secret.md"), "# Secret");
        var folder = Directory.CreateDirectory(Path.Combine(scratch.FullName, "docs"));
        File.WriteAllText(Path.Combine(folder.FullName, "tutorial.md"), "# A first hour\n\nFrom here\nto there.\n");
        File.WriteAllText(Path.Combine(folder.FullName, "benches.md"), "# Benches\n");
        File.WriteAllText(Path.Combine(folder.FullName, "settings.json"), "{}");
        var files = new DocFiles(folder.FullName);

        Assert.Equal(["tutorial", "benches"], files.Names());
        Assert.NotNull(await files.Read("tutorial", default));
        foreach (var name in new[] { "../secret", "..%2Fsecret", "/etc/hostname", "settings", "settings.json", "TUTORIAL", "", "tutorial.md", "missing" })
            Assert.Null(await files.Read(name, default));
        Assert.Equal(new DocTitle("tutorial", "A first hour", "From here to there."), DocFiles.TitleOf("tutorial", (await files.Read("tutorial", default))!)); // read above
        Assert.Empty(new DocFiles(Path.Combine(scratch.FullName, "nowhere")).Names());
    }

    /// <summary>Expected by hand: what a reader of the file sees as one paragraph, item or row is one line.</summary>
    [Fact]
    public void Wrapped_paragraphs_and_items_become_one_line_and_nothing_else_does()
    {
        const string text = """
            # Title

            One sentence
            over two lines.

            - an item
              that goes on
            - another
            1. counted
            2. again

            | a | b |
            |---|---|
            | c | d |

            ## Below
            Text right under it
            and on.
            ```
            code  stays
              as it is
            ```
            """;

        Assert.Equal("""
            One sentence over two lines.

            - an item that goes on
            - another
            1. counted
            2. again

            | a | b |
            |---|---|
            | c | d |

            ## Below
            Text right under it and on.
            ```
            code  stays
              as it is
            ```
            """.ReplaceLineEndings("\n"), DocFiles.BodyOf(text));
    }

    [Fact]
    public void Every_document_has_a_title_and_a_lead_and_can_be_drawn()
    {
        var files = Directory.GetFiles(Folder, "*.md");
        Assert.True(files.Length >= 3, $"{Folder} holds {files.Length} documents");
        foreach (var path in files)
        {
            var name = Path.GetFileNameWithoutExtension(path);
            var title = DocFiles.TitleOf(name, File.ReadAllText(path));
            Assert.True(title.Title != name && title.Lead.Length > 20, $"docs/{name}.md needs a first heading (# ...) and a first paragraph that says what it is about");
            Assert.True(MarkdownAllowList.Parse(DocFiles.BodyOf(File.ReadAllText(path))) is not null, $"docs/{name}.md is too long to be drawn as a page");
        }
    }

    [Fact]
    public void Documents_lie_beside_the_built_portal()
    {
        var built = Path.Combine(AppContext.BaseDirectory.Replace("Portal.Tests", "Portal.Web", StringComparison.Ordinal), "docs");
        Assert.Equal(Directory.GetFiles(Folder, "*.md").Select(Path.GetFileName).Order(), Directory.GetFiles(built, "*.md").Select(Path.GetFileName).Order());
    }

    /// <summary>What the tutorial prints in bold is what stands on a page, so a renamed button is noticed.</summary>
    [Fact]
    public void The_tutorial_names_what_stands_on_the_pages()
    {
        var bold = Bold().Matches(File.ReadAllText(Path.Combine(Folder, "tutorial.md"))).Select(match => match.Groups[1].Value).Distinct().ToList();
        Assert.True(bold.Count > 20, "the tutorial names hardly anything");
        var missing = bold.Where(words => !Texts().Any(text => text == words)).ToList();

        Assert.True(missing.Count == 0, $"docs/tutorial.md names what no page shows: {string.Join(", ", missing)}");
        Assert.DoesNotContain("Start training now", Texts()); // the list has no room for what is not there
    }

    /// <summary>Each test that security.md names exists.</summary>
    [Fact]
    public void The_threat_table_names_real_tests()
    {
        var methods = typeof(DocsTests).Assembly.GetTypes().Where(type => !type.IsNested)
            .SelectMany(type => type.GetMethods(BindingFlags.Public | BindingFlags.Instance | BindingFlags.DeclaredOnly).Select(method => $"{type.Name}.{method.Name}")).ToHashSet();
        var named = TestName().Matches(File.ReadAllText(Path.Combine(Folder, "security.md"))).Select(match => match.Groups[1].Value).ToList();
        Assert.True(named.Count > 20, "the threat table names hardly any test");
        var missing = named.Where(name => !methods.Contains(name)).ToList();

        Assert.True(missing.Count == 0, $"docs/security.md names tests that do not exist: {string.Join(", ", missing)}");
        Assert.DoesNotContain("DocsTests.A_test_that_is_not_there", methods);
    }

    /// <summary>Each address that api.md names stands in the sources as a route.</summary>
    [Fact]
    public void The_addresses_of_the_api_document_are_routes()
    {
        var sources = string.Join('\n', new[] { "web", "engine", "migrations" }.SelectMany(folder => Directory.GetFiles(Path.Combine(Repository.Root, folder), "*.cs", SearchOption.AllDirectories))
            .Where(path => !path.Contains("/obj/", StringComparison.Ordinal)).Select(File.ReadAllText));
        var addresses = Address().Matches(File.ReadAllText(Path.Combine(Folder, "api.md"))).Select(match => match.Groups[1].Value).Distinct().ToList();
        Assert.True(addresses.Count > 10, "the document names hardly any address");
        var missing = addresses.Where(address => !IsRoute(sources, address)).ToList();

        Assert.True(missing.Count == 0, $"docs/api.md names addresses that nobody serves: {string.Join(", ", missing)}");
        Assert.False(IsRoute(sources, "/api/v1/nothing"));
    }

    /// <summary>A route stands whole in a string, or below the group /api/v1, or behind the prefix of exports.</summary>
    private static bool IsRoute(string sources, string address) =>
        sources.Contains($"\"{address}\"", StringComparison.Ordinal)
        || (address.StartsWith("/api/v1", StringComparison.Ordinal) && sources.Contains($"\"{address["/api/v1".Length..]}\"", StringComparison.Ordinal))
        || (address == "/exports/{name}" && sources.Contains("ResultPrefix + \"{name}\"", StringComparison.Ordinal));

    private static HashSet<string> Texts() =>
        [.. Directory.EnumerateFiles(Path.Combine(Repository.Root, "web"), "Texts.resx", SearchOption.AllDirectories)
            .SelectMany(file => XDocument.Load(file).Root!.Elements("data")).Select(data => (string)data.Element("value")!)]; // a resource file has a root, a text a value

    [GeneratedRegex(@"\*\*([^*]+)\*\*")]
    private static partial Regex Bold();

    [GeneratedRegex(@"`([A-Z]\w+Tests\.\w+)`")]
    private static partial Regex TestName();

    [GeneratedRegex(@"`(?:(?:GET|POST|PUT) )?(/(?:v1|api|hubs|exports|data/import/upload|health)[\w/{}-]*)`")]
    private static partial Regex Address();
}
