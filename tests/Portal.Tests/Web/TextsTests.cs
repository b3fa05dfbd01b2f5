using System.Text.RegularExpressions;
using System.Xml.Linq;
using Xunit;

namespace Portal.Tests.Web;

/// <summary>Every text a page asks for stands in its folder's resource file, and every text there is asked for.</summary>
public sealed partial class TextsTests
{
    [Fact]
    public void Pages_and_resource_files_name_the_same_texts()
    {
        var problems = new List<string>();
        foreach (var file in Directory.EnumerateFiles(Path.Combine(Repository.Root, "web"), "Texts.resx", SearchOption.AllDirectories))
        {
            var folder = Path.GetDirectoryName(file)!;
            var keys = XDocument.Load(file).Root!.Elements("data").Select(static data => (string)data.Attribute("name")!).ToList();
            var sources = Directory.EnumerateFiles(folder).Where(static path => path.EndsWith(".razor", StringComparison.Ordinal) || path.EndsWith(".cs", StringComparison.Ordinal));
            problems.AddRange(Problems(keys, string.Concat(sources.Select(File.ReadAllText))).Select(problem => $"{Path.GetFileName(folder)}: {problem}"));
        }

        Assert.True(problems.Count == 0, string.Join("\n", problems));
    }

    [Fact]
    public void A_missing_an_unused_and_a_doubled_text_are_found() =>
        Assert.Equal(
            ["'B' is used and not in Texts.resx", "'C' is in Texts.resx and not used", "'A' is twice in Texts.resx"],
            Problems(["A", "A", "C", "D.x", "D.y"], """T["A"] T["B", 1] T[$"D.{kind}"]"""));

    /// <summary>A text about a number has two entries (web/Components/CountedText.cs).</summary>
    [Fact]
    public void A_counted_text_without_its_entry_for_one_is_found() =>
        Assert.Equal(["'BOne' is used and not in Texts.resx"], Problems(["A", "AOne", "B", "C.x", "C.xOne"], """T.Counted("A", rows.Count) T.Counted("B", 2) T.CountedAs($"C.{kind}", 1, "1")"""));

    /// <summary>Keys may be composed by interpolation; then every key that fits the pattern counts as used.</summary>
    private static IEnumerable<string> Problems(IReadOnlyList<string> keys, string source)
    {
        var patterns = Use().Matches(source).SelectMany(static match => match.Groups["counted"].Success ? new[] { match.Groups["key"].Value, match.Groups["key"].Value + "One" } : [match.Groups["key"].Value])
            .Select(static key => new Regex("^" + Hole().Replace(Regex.Escape(key), ".+") + "$")).ToList();
        foreach (var pattern in patterns.Where(pattern => !keys.Any(pattern.IsMatch)).DistinctBy(static pattern => pattern.ToString()))
        {
            yield return $"'{Regex.Unescape(pattern.ToString()[1..^1])}' is used and not in Texts.resx";
        }

        foreach (var key in keys.Distinct().Where(key => !patterns.Any(pattern => pattern.IsMatch(key))))
        {
            yield return $"'{key}' is in Texts.resx and not used";
        }

        foreach (var twice in keys.GroupBy(static key => key).Where(static group => group.Count() > 1))
        {
            yield return $"'{twice.Key}' is twice in Texts.resx";
        }
    }

    [GeneratedRegex("""\bT(?:\[|\.(?<counted>Counted)(?:As)?\()\$?"(?<key>[^"]+)""")]
    private static partial Regex Use();

    [GeneratedRegex(@"\\\{[^}]*\}")]
    private static partial Regex Hole();
}
