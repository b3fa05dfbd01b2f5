using System.Text.RegularExpressions;

namespace Portal.Tests.Tidy;

/// <summary>One text of the repository, as a tidy rule reads it.</summary>
/// <param name="Path">From the root: "web/Annotate/TakeTask.cs".</param>
internal sealed partial record SourceFile(string Path, string Text)
{
    private static readonly string[] Built = ["bin", "obj", "artifacts", "node_modules", ".git"];

    /// <summary>The file's name without its folder.</summary>
    public string Name => System.IO.Path.GetFileName(Path);

    /// <summary>The text without comments (strings stay, so that no rule can be hidden in one).</summary>
    public string Code => Comments().Replace(Text, match => match.Value.StartsWith('/') || match.Value.StartsWith("@*", StringComparison.Ordinal) ? " " : match.Value);

    /// <summary>Our own sources of the product: web, engine and data, without what is generated and without the stand-ins that mirror packages.</summary>
    public static IReadOnlyList<SourceFile> Product => OfProduct.Value;

    /// <summary>Everything that is written by hand here: sources, pages, documents, scripts.</summary>
    public static IReadOnlyList<SourceFile> All => Files.Value;

    private static readonly Lazy<IReadOnlyList<SourceFile>> Files = new(() => [.. Below(new DirectoryInfo(Repository.Root))]);

    private static readonly Lazy<IReadOnlyList<SourceFile>> OfProduct = new(() =>
        [.. All.Where(file => file.Path.Split('/')[0] is "web" or "engine" or "migrations" && !IsFenced(file.Path))]);

    private static bool IsFenced(string path) => path.StartsWith("migrations/Sqlite/", StringComparison.Ordinal) || path.StartsWith("migrations/Postgres/", StringComparison.Ordinal)
        || path.StartsWith("migrations/SQLitePCLRaw.core/", StringComparison.Ordinal) || path.StartsWith("engine/torch/", StringComparison.Ordinal);

    private static IEnumerable<SourceFile> Below(DirectoryInfo folder)
    {
        foreach (var file in folder.GetFiles().Where(file => file.Extension is ".cs" or ".razor" or ".md" or ".csproj" or ".targets" or ".cpp" or ".js" or ".py"))
            yield return new SourceFile(System.IO.Path.GetRelativePath(Repository.Root, file.FullName), File.ReadAllText(file.FullName));
        foreach (var below in folder.GetDirectories().Where(below => !Built.Contains(below.Name)))
            foreach (var file in Below(below))
                yield return file;
    }

    // Comments, or strings that must not be taken for comments ("http://...").
    [GeneratedRegex("""@\*.*?\*@|/\*.*?\*/|//[^\n]*|\"{3,}.*?\"{3,}|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])+'""", RegexOptions.Singleline)]
    private static partial Regex Comments();
}
