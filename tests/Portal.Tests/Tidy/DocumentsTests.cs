using System.Text.RegularExpressions;
using Xunit;

namespace Portal.Tests.Tidy;

/// <summary>What the documents name is there, and what the code cites is listed.</summary>
public sealed partial class DocumentsTests
{
    private static readonly string[] Documents = ["ARCHITECTURE.md", "README.md", "PAPERS.md", "CONTRIBUTING.md"];

    /// <summary>Names that stand for any file of their kind, and one that is restored, not written.</summary>
    private static readonly string[] Placeholders = ["XPage.razor", "XPage.razor.css", "VerbNoun.cs", "Folder/XPage.razor", "Texts.de.resx", "blazor.web.js"];

    private static readonly Lazy<IReadOnlySet<string>> FileNames = new(() =>
        Directory.EnumerateDirectories(Repository.Root).Where(folder => Path.GetFileName(folder) is "web" or "engine" or "migrations" or "tests" or "wwwroot-assets" or "docs" or "docker")
            .SelectMany(folder => Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories)).Where(path => !path.Contains("/node_modules/", StringComparison.Ordinal))
            .Concat(Directory.EnumerateFiles(Repository.Root)).Select(path => Path.GetFileName(path)).ToHashSet(StringComparer.Ordinal));

    [Fact]
    public void Every_path_that_a_document_names_exists()
    {
        var readings = SourceFile.All.Where(file => Documents.Contains(file.Path) || file.Name == "README.md").ToArray();
        Assert.Superset(Documents.ToHashSet(), readings.Select(file => file.Path).ToHashSet());
        var missing = readings.SelectMany(file => Paths(file).Where(path => !Exists(file, path)).Select(path => $"{file.Path} names {path}")).ToArray();

        Assert.True(missing.Length == 0, $"{string.Join("; ", missing)}. Documents name only what exists: correct the path, or take the sentence out until the file is there.");
    }

    [Theory]
    [InlineData("`web/Annotate/NoSuchPage.razor` shows two answers.", "web/Annotate/NoSuchPage.razor")]
    [InlineData("The engine (engine/Nowhere) trains.", "engine/Nowhere")]
    [InlineData("See [the guide](docs/no-such-guide.md).", "docs/no-such-guide.md")]
    [InlineData("Checked against Golden/no_such_vectors.json.", "Golden/no_such_vectors.json")]
    [InlineData("`NoSuchFile.cs` comes first.", "NoSuchFile.cs")]
    public void A_path_to_nowhere_is_caught(string text, string path)
    {
        var file = new SourceFile("engine/README.md", text);

        Assert.Equal([path], Paths(file).Where(named => !Exists(file, named)).ToArray());
    }

    [Theory]
    [InlineData("`web/Annotate/ComparePage.razor` -> `engine/torch`, [a licence](../LICENSE), `Program.cs`, `torch/Tensor.*.cs`, Golden/loss_vectors.json `reward_bt`, https://example.org/web/nothing.cs")]
    [InlineData("web -> data and `POST /api/x.json`; `./run story`")]
    public void Paths_that_exist_and_what_is_no_path_pass(string text)
    {
        var file = new SourceFile("engine/README.md", text);

        Assert.DoesNotContain(Paths(file), named => !Exists(file, named));
    }

    [Fact]
    public void Every_paper_cited_in_the_code_stands_in_PAPERS()
    {
        var known = Cited(SourceFile.All.Single(file => file.Path == "PAPERS.md").Text).ToHashSet();
        Assert.Contains("2305.18290", known);
        var sources = SourceFile.All.Where(file => file.Path.Split('/')[0] is "web" or "engine" or "migrations" && file.Name.Split('.')[^1] is "cs" or "razor" or "cpp");
        var missing = Unlisted(sources, known).ToArray();

        Assert.True(missing.Length == 0, $"{string.Join("; ", missing)}. Add a line to PAPERS.md: paper, what is used, file, what it is checked against, departures.");
    }

    [Fact]
    public void A_paper_without_a_line_is_caught_and_a_number_is_no_paper() =>
        Assert.Equal(["engine/A.cs cites 2401.99999"], Unlisted(
        [
            new SourceFile("engine/A.cs", "/// Source: Somebody 2024 (2401.99999) eq. 1; DPO is arXiv 2305.18290.\nvar x = 2402.11111;\n"),
        ], new HashSet<string> { "2305.18290" }));

    /// <summary>Paths below the repository's folders, files in backticks, and link targets; no addresses.</summary>
    private static IEnumerable<string> Paths(SourceFile document)
    {
        var text = Addresses().Replace(document.Text, " ");
        return Rooted().Matches(text).Select(match => match.Groups[1].Value.TrimEnd('.', '/'))
            .Concat(Ticked().Matches(text).Select(match => match.Groups[1].Value))
            .Concat(Links().Matches(text).Select(match => match.Groups[1].Value))
            .Where(path => !Placeholders.Contains(path)).Distinct(StringComparer.Ordinal);
    }

    /// <summary>From the root, from the document's own folder, or among the golden files of the tests; a bare name anywhere.</summary>
    private static bool Exists(SourceFile document, string path)
    {
        if (FileNames.Value.Contains(path))
            return true;
        var own = Path.GetDirectoryName(Path.Combine(Repository.Root, document.Path))!; // a file has a folder
        return new[] { Repository.Root, own, Path.Combine(Repository.Root, "tests") }.Any(folder =>
        {
            var full = Path.GetFullPath(Path.Combine(folder, path));
            return path.Contains('*')
                ? Directory.Exists(Path.GetDirectoryName(full)) && Directory.EnumerateFiles(Path.GetDirectoryName(full)!, Path.GetFileName(full)).Any() // checked just before
                : File.Exists(full) || Directory.Exists(full);
        });
    }

    private static IEnumerable<string> Unlisted(IEnumerable<SourceFile> sources, IReadOnlySet<string> known) =>
        from file in sources
        from line in file.Text.Split('\n')
        let comment = line.IndexOf("//", StringComparison.Ordinal)
        where comment >= 0
        from paper in Cited(line[comment..])
        where !known.Contains(paper)
        select $"{file.Path} cites {paper}";

    private static IEnumerable<string> Cited(string text) => Papers().Matches(text).Select(match => match.Value);

    [GeneratedRegex(@"https?://\S+")]
    private static partial Regex Addresses();

    [GeneratedRegex(@"(?<![\w./-])((?:web|engine|migrations|tests|wwwroot-assets|docs|docker|\.ci|Golden)/[\w.*/-]*[\w*])")]
    private static partial Regex Rooted();

    [GeneratedRegex(@"`((?:[\w.*-]+/)*[\w.*-]+\.(?:cs|razor|cpp|md|sh|targets|csproj|css|js|py|resx))`")]
    private static partial Regex Ticked();

    [GeneratedRegex(@"\]\(([^)#:\s]+)\)")]
    private static partial Regex Links();

    // arXiv's numbers since 2015: year, month, five digits.
    [GeneratedRegex(@"(?<![\d.])(?:1[5-9]|2\d)(?:0[1-9]|1[0-2])\.\d{5}(?!\d)")]
    private static partial Regex Papers();
}
