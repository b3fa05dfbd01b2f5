using System.Text.RegularExpressions;
using System.Xml.Linq;
using Portal.Data;
using Portal.Data.Accounts;
using Portal.Data.JobSpecs;
using Portal.Tests.Tidy;
using Portal.Web.SaeFeatures;
using Xunit;

namespace Portal.Tests.Web;

/// <summary>Every text a page asks for stands in its folder's resource file, and every text there is asked for.</summary>
public sealed partial class TextsTests
{
    /// <summary>Texts that some value of their enum needs none of, and why.</summary>
    private static readonly IReadOnlyDictionary<(string Folder, string Use), string> Incomplete = new Dictionary<(string, string), string>
    {
        [("Datasets", "Model.{m.Kind}")] = "an SAE learns from no judgements",
        [("Datasets", "Model.{model.Kind}")] = "an SAE learns from no judgements",
        [("Registry", "Models.NoneServes.{kind}")] = "an SAE never serves by itself",
        [("Jobs", "Level.{line.Level}")] = "a line of information has no mark",
        [("Jobs", "Where.End.{(isOver ? job.State : JobState.Succeeded)}")] = "says how a job ends",
        [("MyWork", "Said.{verdict.Kind}")] = "a preference is told by its strength",
        [("Components", "Steps.{step.State}")] = "steps under way and waiting are told by their place",
    };

    /// <summary>Enums whose values pages compose keys of.</summary>
    private static readonly IReadOnlyList<IReadOnlyList<string>> Enums =
        [.. new[] { typeof(PortalDbContext), typeof(ShowFeatures) }.SelectMany(type => type.Assembly.GetTypes()).Where(type => type.IsEnum).Select(Enum.GetNames)];

    [Fact]
    public void Pages_and_resource_files_name_the_same_texts()
    {
        var problems = new List<string>();
        var incomplete = new HashSet<(string, string)>();
        foreach (var folder in SourceFile.Product.Where(file => file.Path.StartsWith("web/", StringComparison.Ordinal) && Path.GetExtension(file.Name) is ".razor" or ".cs").GroupBy(file => Path.GetDirectoryName(file.Path)!))
        {
            var (name, texts) = (Path.GetFileName(folder.Key), Path.Combine(Repository.Root, folder.Key, "Texts.resx"));
            var keys = File.Exists(texts) ? XDocument.Load(texts).Root!.Elements("data").Select(static data => (string)data.Attribute("name")!).ToList() : [];
            var source = string.Concat(folder.Select(file => file.Code));
            var missing = Missing(keys, source, Enums).ToList();
            incomplete.UnionWith(missing.Select(one => (name, one.Use)));
            problems.AddRange(Problems(keys, source).Concat(missing.Where(one => !Incomplete.ContainsKey((name, one.Use))).Select(one => one.Problem)).Select(problem => $"{name}: {problem}"));
        }
        problems.AddRange(Incomplete.Keys.Except(incomplete).Select(excused => $"{excused.Item1}: '{excused.Item2}' is excused, and nothing is missing there"));

        Assert.True(problems.Count == 0, string.Join("\n", problems));
    }

    /// <summary>Choices that are closed, but no enum: their values come from the code that makes them.</summary>
    [Fact]
    public void Choices_by_name_have_a_text_for_every_name()
    {
        string[] speakers = ["system", "user", "assistant", "tool"]; // engine/Datasets/StoredTurns.cs
        Assert.All(new[] { "Registry", "SaeFeatures", "MyWork" }, folder => Assert.Equal(speakers.Order(), Suffixes(folder, "Role.")));
        Assert.Equal(RoleNames.All.Order(), Suffixes("Accounts", "Role."));
        Assert.Equal(typeof(JobSpec).Assembly.GetTypes().Where(type => type.IsSubclassOf(typeof(JobSpec))).Select(type => type.Name).Order(), Suffixes("Jobs", "Kind."));

        static IEnumerable<string> Suffixes(string folder, string prefix) => XDocument.Load(Path.Combine(Repository.Root, "web", folder, "Texts.resx")).Root!.Elements("data")
            .Select(data => (string)data.Attribute("name")!).Where(key => key.StartsWith(prefix, StringComparison.Ordinal)).Select(key => key[prefix.Length..]).Order();
    }

    [Fact]
    public void A_missing_an_unused_and_a_doubled_text_are_found() =>
        Assert.Equal(
            ["'B' is used and not in Texts.resx", "'E.{kind}' is used and not in Texts.resx", "'C' is in Texts.resx and not used", "'A' is twice in Texts.resx"],
            Problems(["A", "A", "C", "D.x", "D.y"], """T["A"] T["B", 1] T[$"D.{kind}"] T[$"E.{kind}"]"""));

    /// <summary>A text about a number has two entries (web/Components/CountedText.cs).</summary>
    [Fact]
    public void A_counted_text_without_its_entry_for_one_is_found() =>
        Assert.Equal(["'BOne' is used and not in Texts.resx"], Problems(["A", "AOne", "B", "C.x", "C.xOne"], """T.Counted("A", rows.Count) T.Counted("B", 2) T.CountedAs($"C.{kind}", 1, "1")"""));

    [Fact]
    public void A_key_that_nobody_can_read_off_and_one_in_a_comment_are_found()
    {
        Assert.Equal(["'T[key]' and the like cannot be checked: write the key as a literal", "'A' is in Texts.resx and not used"], Problems(["A"], new SourceFile("a.razor", """@* T["A"] *@ @T[key]""").Code));
        Assert.Equal(["'T.Counted(key,' and the like cannot be checked: write the key as a literal"], Problems([], """T.Counted(key, 3)"""));
    }

    [Fact]
    public void A_value_of_an_enum_without_a_text_is_found()
    {
        IReadOnlyList<IReadOnlyList<string>> enums = [["Red", "Green", "Blue"], ["Up", "Down"]];

        Assert.Equal([("A.{colour}", "'A.Blue' may be asked for and is not in Texts.resx"), ("B.{way}.Text", "'B.Down.Text' may be asked for and is not in Texts.resx")],
            Missing(["A.Red", "A.Green", "B.Up.Text", "C.Up", "C.Down", "D.1", "D.2"], """T[$"A.{colour}"] T[$"B.{way}.Text"] T[$"C.{way}"] T[$"D.{step}"]""", enums));
    }

    /// <summary>Keys may be composed by interpolation; then every key that fits the pattern counts as used.</summary>
    private static IEnumerable<string> Problems(IReadOnlyList<string> keys, string source)
    {
        foreach (var use in Unreadable().Matches(source).Select(static match => match.Value).Distinct())
        {
            yield return $"'{use}' and the like cannot be checked: write the key as a literal";
        }

        var patterns = Use().Matches(source).SelectMany(static match => match.Groups["counted"].Success ? new[] { match.Groups["key"].Value, match.Groups["key"].Value + "One" } : [match.Groups["key"].Value])
            .Distinct().Select(static key => (Key: key, Fits: Pattern(key))).ToList();
        foreach (var (key, _) in patterns.Where(pattern => !keys.Any(pattern.Fits.IsMatch)))
        {
            yield return $"'{key}' is used and not in Texts.resx";
        }

        foreach (var key in keys.Distinct().Where(key => !patterns.Any(pattern => pattern.Fits.IsMatch(key))))
        {
            yield return $"'{key}' is in Texts.resx and not used";
        }

        foreach (var twice in keys.GroupBy(static key => key).Where(static group => group.Count() > 1))
        {
            yield return $"'{twice.Key}' is twice in Texts.resx";
        }
    }

    /// <summary>
    /// Keys that fit a composed one and are some but not all values of an enum: the rest may be asked for too. What is not told so: an enum whose values stand among other keys with the same
    /// beginning, and choices that are no enum.
    /// </summary>
    private static IEnumerable<(string Use, string Problem)> Missing(IReadOnlyList<string> keys, string source, IReadOnlyList<IReadOnlyList<string>> enums)
    {
        foreach (var use in Use().Matches(source).Select(static match => match.Groups["key"].Value).Distinct().Where(static key => Hole().Count(Regex.Escape(key)) == 1))
        {
            var pattern = Pattern(use);
            var values = keys.Select(key => pattern.Match(key)).Where(static match => match.Success).Select(static match => match.Groups[1].Value).Where(static value => !value.Contains('.')).ToHashSet();
            var possible = enums.Where(names => values.IsSubsetOf(names)).OrderBy(names => names.Count).FirstOrDefault();
            foreach (var value in values.Count > 0 && possible is not null ? possible.Except(values) : [])
            {
                yield return (use, $"'{Holes().Replace(use, value)}' may be asked for and is not in Texts.resx");
            }
        }
    }

    private static Regex Pattern(string key) => new("^" + Hole().Replace(Regex.Escape(key), "(.+)") + "$");

    [GeneratedRegex("""\bT(?:\[|\.(?<counted>Counted)(?:As)?\()\$?"(?<key>[^"]+)""")]
    private static partial Regex Use();

    [GeneratedRegex("""\bT(?:\[|\.Counted(?:As)?\()(?!\$?")[^\s"\])]*[\])]?""")]
    private static partial Regex Unreadable();

    [GeneratedRegex(@"\\\{[^}]*\}")]
    private static partial Regex Hole();

    [GeneratedRegex(@"\{[^}]*\}")]
    private static partial Regex Holes();
}
