using System.Text.RegularExpressions;
using Xunit;

namespace Portal.Tests.Tidy;

/// <summary>Rules about what product code may call, and that each file of it is used.</summary>
public sealed partial class SourceRulesTests
{
    private const string Sanitiser = "web/Components/ModelText.razor";

    [Fact]
    public void Time_comes_from_a_TimeProvider()
    {
        var offenders = Code.Where(file => Clocks().IsMatch(file.Code)).Select(file => file.Path).ToArray();

        Assert.True(offenders.Length == 0, $"{string.Join(", ", offenders)}: take a TimeProvider and ask it (GetUtcNow), so that a test can move the clock; Program hands in TimeProvider.System.");
    }

    [Theory]
    [InlineData("var now = DateTime.Now;", true)]
    [InlineData("var now = DateTimeOffset.UtcNow;", true)]
    [InlineData("var day = DateTime.Today;", true)]
    [InlineData("var now = time.GetUtcNow(); // not DateTime.Now", false)]
    public void A_clock_in_the_code_is_caught(string line, bool caught) => Assert.Equal(caught, Clocks().IsMatch(new SourceFile("a.cs", line).Code));

    [Fact]
    public void The_portal_starts_no_work_that_nobody_waits_for()
    {
        var offenders = Code.Where(file => file.Path.StartsWith("web/", StringComparison.Ordinal) && Loose().IsMatch(file.Code)).Select(file => file.Path).ToArray();

        Assert.True(offenders.Length == 0, $"{string.Join(", ", offenders)}: no Task.Run in web. Await it, make it a job of the engine, or a hosted service that ends with the portal.");
    }

    [Theory]
    [InlineData("_ = Task.Run(() => Send());", true)]
    [InlineData("_ = Task.Factory.StartNew(Send);", true)]
    [InlineData("await Send(stop);", false)]
    public void Loose_work_is_caught(string line, bool caught) => Assert.Equal(caught, Loose().IsMatch(new SourceFile("web/A.cs", line).Code));

    [Fact]
    public void Markup_is_written_by_the_sanitiser_only()
    {
        var offenders = Code.Where(file => file.Path.StartsWith("web/", StringComparison.Ordinal) && file.Path != Sanitiser && Markup().IsMatch(file.Code)).Select(file => file.Path).ToArray();

        Assert.True(offenders.Length == 0, $"{string.Join(", ", offenders)}: text that a person, a model or a file wrote reaches a page through <ModelText> only; write the rest as markup of the component.");
    }

    [Theory]
    [InlineData("@((MarkupString)text)", true)]
    [InlineData("builder.AddMarkupContent(0, text);", true)]
    [InlineData("<ModelText Text=\"@text\" />", false)]
    public void Raw_markup_is_caught(string line, bool caught) => Assert.Equal(caught, Markup().IsMatch(new SourceFile("web/A.razor", line).Code));

    [Fact]
    public void Scripts_write_no_markup()
    {
        var offenders = SourceFile.All.Where(file => file.Path.StartsWith("wwwroot-assets/js/", StringComparison.Ordinal) && ScriptMarkup().IsMatch(file.Code)).Select(file => file.Path).ToArray();

        Assert.True(offenders.Length == 0, $"{string.Join(", ", offenders)}: set textContent, or build elements; markup out of a string runs what is in it.");
    }

    [Theory]
    [InlineData("node.innerHTML = text;", true)]
    [InlineData("node.insertAdjacentHTML('beforeend', text);", true)]
    [InlineData("node.textContent = text;", false)]
    public void A_script_that_writes_markup_is_caught(string line, bool caught) => Assert.Equal(caught, ScriptMarkup().IsMatch(new SourceFile("wwwroot-assets/js/a.js", line).Code));

    [Fact]
    public void Every_file_is_used_by_another_one()
    {
        var dead = Dead(SourceFile.Product, SourceFile.All.Where(file => file.Path.StartsWith("tests/", StringComparison.Ordinal))).ToArray();

        Assert.True(dead.Length == 0, $"{string.Join(", ", dead)}: no other file, tests included, names anything it declares. Remove it, or use it.");
    }

    [Fact]
    public void A_file_that_nobody_uses_is_caught_and_used_ones_are_not()
    {
        SourceFile[] files =
        [
            new("web/A.cs", "public sealed class Used; // see Lonely"),
            new("web/B.cs", "public sealed class User(Used used) { string Text => used.Loud(); }"),
            new("web/C.cs", "internal static class LoudWords { public static string Loud(this Used used) => \"\"; }"),
            new("web/D.cs", "public sealed class Lonely { Lonely Next() => new Lonely(); }"),
            new("web/Program.cs", "new User(new Used());"),
            new("web/E.razor", "@page \"/e\""),
            new("web/F.cs", "public static class QuietWords { extension(Used used) { public string Quiet() => used.Loud(); } }"),
            new("web/G.cs", "public static class TestedOnly;"),
        ];

        Assert.Equal(["web/D.cs", "web/F.cs", "web/G.cs"], Dead(files, []));
        Assert.Equal(["web/D.cs"], Dead(files, [new("tests/T.cs", "_ = nameof(TestedOnly); used.Quiet();")]));
    }

    private static IEnumerable<SourceFile> Code =>
        SourceFile.Product.Where(file => file.Name.EndsWith(".cs", StringComparison.Ordinal) || file.Name.EndsWith(".razor", StringComparison.Ordinal));

    /// <summary>C# files of which neither another one nor a test names a type or an extension member.</summary>
    private static IEnumerable<string> Dead(IReadOnlyList<SourceFile> files, IEnumerable<SourceFile> tests)
    {
        var users = files.Concat(tests).Where(file => !file.Name.EndsWith(".md", StringComparison.Ordinal))
            .SelectMany(file => Words().Matches(file.Code).Select(match => match.Value).Distinct(StringComparer.Ordinal)).CountBy(word => word, StringComparer.Ordinal)
            .ToDictionary(StringComparer.Ordinal);
        return files.Where(file => file.Name.EndsWith(".cs", StringComparison.Ordinal) && file.Name is not "Program.cs")
            .Where(file => NamesOf(file.Code) is { Count: > 0 } names && !names.Any(name => users.GetValueOrDefault(name) > 1 || (IsAttribute(name) && users.ContainsKey(name[..^9]))))
            .Select(file => file.Path);

        static bool IsAttribute(string name) => name.EndsWith("Attribute", StringComparison.Ordinal);
    }

    private static IReadOnlyList<string> NamesOf(string code) =>
    [
        .. Declared().Matches(code).Select(match => match.Groups[1].Value + match.Groups[2].Value + match.Groups[3].Value),
        .. Extensions().IsMatch(code) ? Members().Matches(code).Select(match => match.Groups[1].Value) : [],
    ];

    [GeneratedRegex(@"\bDateTime(?:Offset)?\.(?:UtcNow|Now|Today)\b")]
    private static partial Regex Clocks();

    [GeneratedRegex(@"\bTask\.Run\b|\bTask\.Factory\b|\bThreadPool\.(?:QueueUserWorkItem|UnsafeQueueUserWorkItem)\b")]
    private static partial Regex Loose();

    [GeneratedRegex(@"\bMarkupString\b|\bAddMarkupContent\b|\bHtmlString\b|\bHtml\.Raw\b")]
    private static partial Regex Markup();

    [GeneratedRegex(@"\b(?:innerHTML|outerHTML|insertAdjacentHTML|setHTMLUnsafe|eval)\b|\bdocument\.write\b|\bnew Function\b")]
    private static partial Regex ScriptMarkup();

    [GeneratedRegex(@"[A-Za-z_]\w*")]
    private static partial Regex Words();

    // A type, a delegate, or an extension method.
    [GeneratedRegex(@"\b(?:class|record|struct|interface|enum)\s+(?:struct\s+|class\s+)?([A-Z]\w*)|\bdelegate\s+[\w<>?,. ]+?\s(\w+)\(|\bstatic\s[^;{}=]*?\b(\w+)(?:<[^>]*>)?\(this\s")]
    private static partial Regex Declared();

    [GeneratedRegex(@"\bextension\s*(?:<[^>]*>)?\(")]
    private static partial Regex Extensions();

    [GeneratedRegex(@"\bpublic\s+(?!static class)[\w<>\[\]?,. ]+?\s(\w+)\s*(?:[({]|=>)")]
    private static partial Regex Members();
}
