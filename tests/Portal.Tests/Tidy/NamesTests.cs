using System.Text.RegularExpressions;
using Xunit;

namespace Portal.Tests.Tidy;

/// <summary>Names that say nothing (Utils, Helper, Manager ...) and words that hide code (#region) stay out; pages are told from entities by their ending.</summary>
public sealed partial class NamesTests
{
    private const string Advice = "Name the file and the type after what it does (a slice is a verb, an entity a noun), and put it into the folder of its capability.";

    [Fact]
    public void No_folder_file_or_type_has_a_name_that_says_nothing()
    {
        var offenders = Own.SelectMany(Banned).ToArray();

        Assert.True(offenders.Length == 0, $"{string.Join("; ", offenders)}. {Advice}");
    }

    [Theory]
    [InlineData("web/Utils/Words.cs", "", "web/Utils/Words.cs: the folder Utils")]
    [InlineData("web/Services/A.cs", "", "web/Services/A.cs: the folder Services")]
    [InlineData("engine/Common/A.cs", "", "engine/Common/A.cs: the folder Common")]
    [InlineData("web/Train/TrainHelper.cs", "", "web/Train/TrainHelper.cs: its name")]
    [InlineData("web/Train/TrainBase.razor", "", "web/Train/TrainBase.razor: its name")]
    [InlineData("web/Train/Start.cs", "public sealed class JobManager", "web/Train/Start.cs: the type JobManager")]
    [InlineData("web/Train/Start.cs", "internal interface IVoteService { }", "web/Train/Start.cs: the type IVoteService")]
    [InlineData("web/Train/Start.cs", "public abstract record RecipeBase(int A);", "web/Train/Start.cs: the type RecipeBase")]
    public void A_banned_name_is_caught(string path, string text, string expected) => Assert.Equal([expected], Banned(new SourceFile(path, text)));

    [Theory]
    [InlineData("engine/Evaluation/Baselines.cs", "public static class LengthBaseline")]
    [InlineData("web/Accounts/ManagePeople.cs", "public sealed class ManagePeople // not a manager class Manager")]
    public void A_good_name_passes(string path, string text) => Assert.Empty(Banned(new SourceFile(path, text)));

    [Fact]
    public void Nothing_is_folded_away_in_a_region()
    {
        var offenders = Own.Where(HasRegion).Select(file => file.Path).ToArray();

        Assert.True(offenders.Length == 0, $"{string.Join(", ", offenders)}: no #region. A file that needs one tells two stories: make two files of it.");
    }

    [Fact]
    public void A_region_is_caught() => Assert.True(HasRegion(new SourceFile("a.cs", "class A\n{\n    #region Fields\n    #endregion\n}")));

    [Fact]
    public void Every_page_and_only_a_page_ends_in_Page()
    {
        var offenders = SourceFile.Product.Where(file => file.Name.EndsWith(".razor", StringComparison.Ordinal)).Where(IsMisnamedPage).Select(file => file.Path).ToArray();

        Assert.True(offenders.Length == 0, $"{string.Join(", ", offenders)}: a component with a route is called XPage.razor, one without is not (a page Job.razor would collide with the entity Job).");
    }

    [Theory]
    [InlineData("web/Jobs/Job.razor", "@page \"/jobs/{Number:int}\"\n<h1>Job</h1>", true)]
    [InlineData("web/Jobs/JobPage.razor", "<h1>Job</h1>", true)]
    [InlineData("web/Jobs/JobPage.razor", "@page \"/jobs/{Number:int}\"\n<h1>Job</h1>", false)]
    public void A_misnamed_page_is_caught(string path, string text, bool caught) => Assert.Equal(caught, IsMisnamedPage(new SourceFile(path, text)));

    /// <summary>Ours, tests included.</summary>
    private static IEnumerable<SourceFile> Own => SourceFile.Product.Concat(SourceFile.All.Where(file => file.Path.StartsWith("tests/", StringComparison.Ordinal) && !file.Path.StartsWith("tests/Portal.Tests/Tidy/", StringComparison.Ordinal)))
        .Where(file => file.Name.EndsWith(".cs", StringComparison.Ordinal) || file.Name.EndsWith(".razor", StringComparison.Ordinal));

    private static IEnumerable<string> Banned(SourceFile file)
    {
        foreach (var folder in file.Path.Split('/')[..^1].Where(folder => Folders().IsMatch(folder)))
            yield return $"{file.Path}: the folder {folder}";
        if (Endings().IsMatch(file.Name.Split('.')[0]))
            yield return $"{file.Path}: its name";
        foreach (var type in Types().Matches(file.Code).Select(match => match.Groups[1].Value).Where(type => Endings().IsMatch(type)))
            yield return $"{file.Path}: the type {type}";
    }

    private static bool HasRegion(SourceFile file) => Regions().IsMatch(file.Text);

    private static bool IsMisnamedPage(SourceFile file) => Routes().IsMatch(file.Text) != file.Name.EndsWith("Page.razor", StringComparison.Ordinal);

    [GeneratedRegex("^(Utils?|Utilities|Helpers?|Managers?|Services?|Common|Shared|Misc|Features|Base)$")]
    private static partial Regex Folders();

    [GeneratedRegex("(Utils?|Utility|Helpers?|Managers?|Services?|Common|Base)$")]
    private static partial Regex Endings();

    [GeneratedRegex(@"\b(?:class|record|struct|interface|enum)\s+(?:struct\s+|class\s+)?([A-Z]\w*)")]
    private static partial Regex Types();

    [GeneratedRegex(@"^\s*#region\b", RegexOptions.Multiline)]
    private static partial Regex Regions();

    [GeneratedRegex(@"^@page\s", RegexOptions.Multiline)]
    private static partial Regex Routes();
}
